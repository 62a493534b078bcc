#!/bin/bash
# Jobs of a real Slurm (22.05 of Debian 12) that share a real GPU by shards: munged, slurmctld and slurmd of one node, our plugin as
# docs/guide/slurm.md puts it in place. Two PyTorch jobs of two users do not fit together and take turns; a job is refused beyond
# its shards; one is suspended as the document says.
# What it must show: right numbers; turns; each job's limit by its shards; who is who by the job's number and user; a suspended
# job's memory moved out, and right when it goes on; nothing left behind.
#
# Needs root, and in build/gpu what `make gpu-pack` and tests/gpu/pack-slurm.sh put there. For a machine that may be thrown away:
# Slurm goes into /usr, its libraries into /opt; they are taken out at the end. /etc is a copy; network and host name are its own.
# Expected: 60 s. Settings: JOB_SECONDS (10); TRACK (which ways to follow a job's processes are tried: own cgroup2 linuxproc).
# shellcheck source=tests/gpu/lib/spaces.sh
. "$(dirname "$0")/../lib/spaces.sh"
needs slurm unshare setpriv useradd ldconfig python3
enter 145 '--net --uts' '' "$@"
# shellcheck source=tests/gpu/lib/common.sh
. "$(dirname "$0")/../lib/common.sh"
# shellcheck source=tests/gpu/lib/containers.sh
. "$gpu_tests/lib/containers.sh"
# shellcheck source=tests/gpu/lib/place.sh
. "$gpu_tests/lib/place.sh"
set +e
need_managed 14
make_place slurm
# The machine's own Slurm, where it has one, is none here.
[ -z "${NVSHARE_TEST_DRIVER:-}" ] || {
  rm -rf /usr/lib/x86_64-linux-gnu/slurm-wlm /usr/*bin/{slurmctld,slurmd,slurmstepd,srun,sbatch,squeue,scontrol,scancel,sinfo,munged}* /etc/slurm
}
place_package
seconds=${JOB_SECONDS:-10}

# The pack: what goes over /usr, and libraries beside the machine's.
mkdir -p "$engines"
unpack "$built/slurm.tar.xz" "$engines" || exit 2
while read -r file; do [ -e "/usr/$file" ] || installed+=("/usr/$file"); done < <(cd "$engines/usr" && find . -type f -printf '%P\n')
cp -a "$engines/usr/." /usr/
echo "$engines/lib" >/etc/ld.so.conf.d/zz-nvshare-place.conf
ldconfig

# A node of its own: its name, and an address beside the loopback one, without which Slurm's daemons find none.
node=nvs$(basename "$work" | tr -dc a-z0-9 | tail -c 6)
python3 - "$node" <<'P' || left_out 'no network of its own'
import fcntl, socket, struct, sys
socket.sethostname(sys.argv[1])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    for name, address in (("lo", "127.0.0.1"), ("lo:1", "192.0.2.1")):
        fcntl.ioctl(s, 0x8916, struct.pack("16sH2x4s8x", name.encode(), socket.AF_INET, socket.inet_aton(address)))  # SIOCSIFADDR
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", name.encode(), 0x1 | 0x40))  # SIOCSIFFLAGS: up, running
P
printf '127.0.0.1 localhost %s\n' "$node" >"$work/hosts"
cat "$work/hosts" >/etc/hosts
mkdir -p /etc/slurm "$work"/{dev,state,spool,jobs}
mkdir -m 1777 "$work/log"
chmod 1777 "$work/jobs"
device=/dev/nvidia$gpu
[ -z "${NVSHARE_TEST_DRIVER:-}" ] || { device=$work/dev/nvidia0; mknod "$device" c 195 0; }
# shellcheck source=tests/slurm/cluster.sh
. "$gpu_tests/../slurm/cluster.sh"
finish_more() {
  [ ! -e "$work/slurmctld.pid" ] || slurm_down
  kill "$(cat "$work/munge.pid")"
  cp "$work"/log/*.log "$work"/jobs/* "$out/"
  find /sys/fs/cgroup -depth -type d '(' -path "*slurm_$node*" -o -path "*${node}_slurmstepd.scope*" ')' -exec rmdir {} + 
} >/dev/null 2>&1
# usage: batch NAME USER SHARDS COMMAND: submits; the job's number
batch() { as "$2" "sbatch --parsable -D / -J $1 -n1 --gres=shard:$3 -o $work/jobs/$1.json -e $work/jobs/$1.err --wrap '$4'"; }
is_over() { ! squeue -h -j "$1" 2>/dev/null | grep -q .; }
over() { local end=$((SECONDS + 60)); until is_over "$1"; do [ $SECONDS -lt $end ] || return 1; sleep 0.1; done; }
state_is() { [ "$(squeue -h -o %T -j "$1" 2>/dev/null)" = "$2" ]; }
right() { over "$1" && tail -n 1 "$work/jobs/$2.json" | python3 -c 'import json, sys; last = json.load(sys.stdin); sys.exit(not last.get("right", last.get("wrong") == 0))' || { tail -n 3 "$work/jobs/$2".*; return 1; }; }

munge_up || { holds 'munged starts' tail -n 3 "$work/log/munged.log"; }
"$gpu_tests/../documents/blocks.sh" "$work/blocks" slurm slurm-suspend slurm-resume slurm-remove
sed -i "s/--mem-per-shard 1024/--mem-per-shard $((1024 / scale))/" "$work"/blocks/*
keep_cgroups
# How Slurm follows a job's processes: by this machine's control groups, by a hierarchy of version 2, or not by groups at all.
track=none
for way in ${TRACK:-own cgroup2 linuxproc}; do
  case $way in cgroup2) cgroup2 ;; *) own_cgroups ;; esac
  slurm_files
  printf 'Name=gpu File=%s\nName=shard Count=16\n' "$device" >/etc/slurm/gres.conf
  sed -i 's/Gres=gpu:2,shard:8/Gres=gpu:1,shard:16/' /etc/slurm/slurm.conf
  if [ "$way" = linuxproc ]; then
    sed -i 's|proctrack/cgroup|proctrack/linuxproc|; s|task/cgroup|task/none|' /etc/slurm/slurm.conf
    sed -i 's/^ConstrainDevices=.*/ConstrainDevices=no/' /etc/slurm/cgroup.conf
  fi
  rm -rf "$work"/{state,spool}/*
  echo "# $way" | tee -a "$work"/log/*.log >/dev/null
  if slurm_up >>"$log" 2>&1 && timeout 10 srun -n1 --gres=shard:1 true >>"$log" 2>&1; then
    track=$way
    break
  fi
  tail -n 4 "$work"/log/slurm*.log >>"$log"
  slurm_down >>"$log" 2>&1
done
case $track/$(stat -fc %T /sys/fs/cgroup) in none/*) version=-1 ;; linuxproc/*) version=0 ;; */cgroup2fs) version=2 ;; *) version=1 ;; esac
figure "Slurm follows jobs by control groups of version (0: not by groups; the limits of jobs hold by groups alone)" $version '' '>= 0' "$([ $version -ge 0 ] && echo yes)"
cp /etc/slurm/*.conf "$out/"
[ $version -ge 0 ] || { tail -n 12 "$log" >>"$failed"; python3 "$scripts/place_table.py" "$out" "$(machine)"; exit 1; }

# Two programs of 6 GiB do not fit together, even on a simulated card.
configure "$(usable $((scale == 1 ? 9 : 7)))" 'quantum = 1'
start_scheduler
# As the document has it: the plugin in its place, and what doctor says of it. The rest of the block is the jobs'.
configured=$(grep -l 'slurm configure --mem-per-shard' "$work"/blocks/*.slurm.sh | head -n 1)
holds 'the plugin is configured as the document says' type_block "$configured"
cp /etc/slurm/plugstack.conf.d/*.conf "$out/" 2>/dev/null
slurm_down >>"$log" 2>&1
holds 'Slurm starts with the plugin' slurm_up

id ada >/dev/null 2>&1 || useradd --no-create-home ada
first=$(batch first root 7 "$python $steps 6 $seconds" 2>>"$log")
second=$(batch second ada 7 "$python $steps 6 $seconds" 2>>"$log")
gib7=$(($(mib 7) * 1048576))
by_limit=''
[ $version = 0 ] || by_limit=" and {t['limit_bytes'] for t in tenants} == {$gib7} and {t['limit_from'] for t in tenants} == {'slurm'}"
holds 'two jobs are tenants with the limits of their shards' known 60 jobs "len([t for t in tenants if t['grants'] >= 2]) == 2$by_limit"
if [ $version != 0 ]; then
  holds 'status names the jobs, their steps and users' known 5 named \
    "sorted((t['container'], t['slurm_step'], t['user']) for t in tenants) == sorted([('job_$first', '$first.batch', 'root'), ('job_$second', '$second.batch', 'ada')])"
fi
holds "squeue has both running" sh -c "[ \$(squeue -h -t running -j $first,$second | wc -l) = 2 ]"
over "$first" && over "$second"
turns=$(handovers)
figure 'hand-overs between the two' "${turns:-0}" '' '>= 4' "$([ "${turns:-0}" -ge 4 ] && echo yes)"
ctl trace --output "$out/trace.json" >>"$log"
moved=$(python3 -c 'import json, sys
print(sum(e["args"].get("bytes", 0) for e in json.load(open(sys.argv[1]))["traceEvents"] if e["name"] == "fetch") * int(sys.argv[2]) / 2**30)' "$out/trace.json" "$scale" 2>>"$log")
figure 'memory that came back for their turns' "${moved:-0}" GiB
holds "the first job's numbers are right" right "$first" first
holds "the second job's numbers are right" right "$second" second

# usage: refused OPTIONS COMMAND...
refused() { not timeout 30 srun -n1 "$@" && grep -q 'CUDA error 2' "$work/said" || return 1; }
in_two() { timeout 30 srun -n1 --gres=shard:2 "$work/bin/load" --bytes "$(bytes_of "$1")" --steps 2; }
holds 'a job of 2 shards has 1.5 GiB' in_two 1.5
if [ $version != 0 ]; then
  three=$(bytes_of 3)
  holds '... and is refused 3 GiB' refused --gres=shard:2 "$work/bin/load" --bytes "$three" --steps 2
  holds '... whatever limit it sets for itself' refused --gres=shard:2 env NVSHARE_MEM_LIMIT=64GiB "$work/bin/load" --bytes "$three" --steps 2
fi

# Suspended, as the document says: pause, evict, and when nothing is resident any more, suspend.
if [ $version != 0 ]; then
  job=$(batch suspended ada 7 "$python $steps 6 $((seconds / 2))" 2>>"$log")
  sed -i "s/job_42/job_$job/; s/\b42\b/$job/" "$work"/blocks/*.slurm-{suspend,resume}.sh
  grep -v scontrol "$work"/blocks/*.slurm-suspend.sh >"$work/before.sh"
  grep scontrol "$work"/blocks/*.slurm-suspend.sh >"$work/then.sh"
  holds 'a third job is a tenant' known 40 third "any(t['container'] == 'job_$job' and t['resident_bytes'] >= $(bytes_of 6) for t in tenants)"
  holds '... paused and evicted as the document says' type_block "$work/before.sh"
  holds '... its memory is moved out' known 20 out "all(t['resident_bytes'] == 0 and t['allocated_bytes'] > 0 for t in tenants if t['container'] == 'job_$job') and tenants"
  holds '... suspended' type_block "$work/then.sh"
  holds '... which squeue says' state_is "$job" SUSPENDED
  holds '... meanwhile a job has the whole card' in_two 1.5
  holds '... it goes on' type_block "$(ls "$work"/blocks/*.slurm-resume.sh)"
  holds "... and its numbers are right" right "$job" suspended
fi
nothing_left() { local end=$((SECONDS + 10)); while [ -n "$(ls -A /run/nvshare-slurm 2>/dev/null)" ]; do [ $SECONDS -lt $end ] || { ls /run/nvshare-slurm; return 1; }; sleep 0.1; done; }
holds 'nothing is left of jobs that have ended' nothing_left
holds 'unconfigured as the document says' type_block "$(ls "$work"/blocks/*.slurm-remove.sh)"
stop_scheduler
python3 "$scripts/place_table.py" "$out" "$(machine)"
