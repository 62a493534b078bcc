#!/bin/bash
# The service as the package ships it, under systemd as PID 1 of a small Debian (tests/gpu/pack-systemd.sh), in its whole
# sandbox beside a real driver: does it start and stay, does NVML answer in there, do tenants of the machine take turns
# through it, and do they go on when it is restarted?
# What it must show: ready, exposure <= 1.0, NVIDIA's devices allowed and others not, NVML's list the same inside the sandbox
# as outside, memory of a program outside known, turns and data right, nobody harmed by a restart, no word from the watchdog.
#
# Needs root, and in build/gpu what `make gpu-pack` and tests/gpu/pack-systemd.sh put there. Nothing of the machine is
# changed: the Debian lives in memory, in namespaces of its own, and goes with the script.
# Expected: 45 s. Settings: LASTS (15: seconds that the daemon must live), CGROUPS (2 or 1; what the machine has, 2 first).
left_out() { echo "$*" >&2; exit 77; }
[ "$(id -u)" = 0 ] || left_out 'needs root'
PATH=$PATH:/usr/sbin:/sbin
for tool in unshare nsenter pivot_root chroot mknod ldconfig python3; do
  command -v $tool >/dev/null || left_out "no $tool on this machine"
done
[ -f "${NVSHARE_BUILT:-$(dirname "$0")/../../../build/gpu}/systemd.tar.xz" ] \
  || left_out 'needs build/gpu/systemd.tar.xz: run tests/gpu/pack-systemd.sh'
if [ -z "${NVSHARE_INSIDE:-}" ]; then
  export NVSHARE_INSIDE=1
  spaces=(--mount --propagation private --pid --fork --mount-proc --kill-child)
  said=$(unshare "${spaces[@]}" --uts --ipc --cgroup true 2>&1) || left_out "no namespaces here: $said"
  exec timeout -k 5 170 unshare "${spaces[@]}" bash "$0" "$@"
fi
# shellcheck source=tests/gpu/lib/common.sh
. "$(dirname "$0")/../lib/common.sh"
need_managed 15
need_free 16
work=$(mktemp -d)
log=$out/service.log tree=$work/tree group=nvshare-${work##*.} space='' leader=''
mkdir "$tree"
: >"$log"
: >"$out/facts.tsv"
# usage: fact NAME VALUE
fact() { printf '%s\t%s\n' "$1" "$2" >>"$out/facts.tsv"; }
now() { date +%s.%N; }
since() { python3 -c "import time; print(round(time.time() - $1, 3))"; }
finish() {
  set +e
  exec 7>&- 8>&- 9>&-
  # With the first process of its namespace all others end.
  [ -z "$leader" ] || [ -e "$out/journal.txt" ] || timeout 5 "$BASH" -c "$(declare -f inside); leader=$leader; inside journalctl --no-pager" >"$out/journal.txt"
  if [ -n "$leader" ]; then kill -KILL "$leader"; wait "$space"; fi
  cleanup
  local directory
  for directory in "$work"/cgroups/*/"$group"; do find "$directory" -depth -type d -exec rmdir {} + ; done
  umount -l "$tree" "$work"/cgroups/*
  rm -rf --one-file-system "$work"
} 2>/dev/null
trap finish EXIT
trap 'exit 143' TERM INT

# The tree: Debian, what the package installs, and of the driver what a machine with NVIDIA's packages has.
mount -t tmpfs -o mode=755,size=1g tmpfs "$tree" 2>>"$log" || left_out "no file system can be mounted: $(tail -n 1 "$log")"
# Not every machine has xz; Python does.
python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$built/systemd.tar.xz" "$tree" 2>>"$log"
packaging=$gpu_tests/../../packaging
install -m 755 -t "$tree/usr/bin" "$built"/nvshare{-scheduler,ctl}
for program in nvshare-ctk nvshare-runtime nvshare-hook; do
  [ -f "$built/$program" ] || { echo "$built/$program is missing: run tests/gpu/pack-systemd.sh" >&2; exit 2; }
  install -m 755 -t "$tree/usr/bin" "$built/$program"
done
install -D -m 644 -t "$tree/usr/lib/nvshare" "$built/libnvshare.so"
install -D -m 644 -t "$tree/usr/lib/systemd/system" "$packaging/nvshare-scheduler.service"
install -D -m 644 "$packaging/nvshare.sysusers.conf" "$tree/usr/lib/sysusers.d/nvshare.conf"
install -D -m 644 "$packaging/nvshare.tmpfiles.conf" "$tree/usr/lib/tmpfiles.d/nvshare.conf"
install -D -m 644 -t "$tree/usr/share/nvshare/hooks.d" "$packaging/hooks.d/50-nvshare.json"
# Two tenants of 7 GiB do not fit beside each other.
configure "$(usable 9)" 'quantum = 1'
install -D -m 644 "$runtime/config.toml" "$tree/etc/nvshare/config.toml"
# What is asked of NVML is told at that level alone.
mkdir -p "$tree/etc/systemd/system/nvshare-scheduler.service.d"
printf '[Service]\nEnvironment=RUST_LOG=info,nvshare_scheduler::outside=debug\n' >"$tree/etc/systemd/system/nvshare-scheduler.service.d/log.conf"
# usage: library NAME: where the machine has it
library() {
  local found
  found=$(ldconfig -p | awk -v n="$1" '$1 == n && /x86-64/ && !found { found = $NF } END { print found }')
  # shellcheck disable=SC2086
  [ -n "$found" ] || found=$(find -L ${LD_LIBRARY_PATH//:/ } /usr/local/nvidia /usr/lib/x86_64-linux-gnu /usr/lib64 -maxdepth 3 -name "$1" 2>/dev/null)
  echo "${found%%$'\n'*}"
}
libraries=$tree/usr/lib/x86_64-linux-gnu
if [ -n "${NVSHARE_TEST_DRIVER:-}" ]; then
  # An NVML that says what it is told to, and numbers of devices without their driver.
  cc -shared -fPIC -o "$libraries/libnvidia-ml.so.1" "$gpu_tests/../../scheduler/tests/fake_nvml/nvml.c"
  echo "device $(smi uuid)" >"$libraries/libnvidia-ml.so.1.says"
  cp "$NVSHARE_TEST_DRIVER" "$libraries/libcuda.so.1"
  nodes='nvidia0 195 0 nvidiactl 195 255'
else
  for name in libnvidia-ml.so.1 libcuda.so.1; do
    found=$(library $name)
    [ -n "$found" ] || left_out "$name is nowhere to be found"
    echo "$name: $found" >>"$log"
    cp -L "$found" "$libraries/$name"
  done
  nodes=$(for node in /dev/nvidia[0-9]* /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-uvm-tools; do
    [ ! -c "$node" ] || echo "${node#/dev/} $((16#$(stat -c %t "$node"))) $((16#$(stat -c %T "$node")))"
  done)
  [ -n "$nodes" ] || left_out 'no /dev/nvidia*'
fi
install -m 755 -t "$tree/usr/bin" "$(command -v nvidia-smi)"
mount -t tmpfs -o mode=755 tmpfs "$tree/dev"
# The last one is nobody's: where it may be opened, there is no driver for it.
read -ra nodes <<<"null 1 3 zero 1 5 full 1 7 random 1 8 urandom 1 9 tty 5 0 ptmx 5 2 ${nodes//$'\n'/ } other 60 0"
for ((i = 0; i < ${#nodes[@]}; i += 3)); do
  mknod -m 666 "$tree/dev/${nodes[i]}" c "${nodes[i + 1]}" "${nodes[i + 2]}" 2>>"$log" || left_out "no device nodes can be made: $(tail -n 1 "$log")"
done
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$tree/run" # sockets in it can be reached from here, too
chroot "$tree" /usr/bin/systemd-sysusers >>"$log" 2>&1

# Control groups: a group of its own, which systemd takes for the root, in each hierarchy that is used.
# usage: hierarchy NAME MOUNT...
hierarchy() {
  mkdir -p "$work/cgroups/$1"
  mount "${@:2}" cgroup "$work/cgroups/$1" && mkdir "$work/cgroups/$1/$group" 2>>"$log" && return
  umount "$work/cgroups/$1" || true
  rmdir "$work/cgroups/$1"
  return 1
} 2>>"$log"
cgroups=''
[ "${CGROUPS:-2}" != 2 ] || ! hierarchy unified -t cgroup2 || cgroups=2
if [ -z "$cgroups" ] && [ "${CGROUPS:-1}" = 1 ]; then
  hierarchy systemd -t cgroup -o none,name=systemd && hierarchy devices -t cgroup -o devices && cgroups=1
  for name in memory pids cpu cpuacct blkio; do hierarchy $name -t cgroup -o $name || true; done
fi
[ -n "$cgroups" ] || left_out "no control groups that systemd could have: $(grep -i cgroup "$log" | tail -n 1)"

# systemd writes to a console only if that is a terminal.
python3 "$scripts/service_console.py" "$out/console.txt" "$work/console" &
until [ -e "$work/console" ]; do sleep 0.05; done
touch "$tree/dev/console"
mount --bind "$(readlink "$work/console")" "$tree/dev/console"

# usage: boot TREE CGROUPS WORK: in namespaces of its own
boot() {
  set -e
  mount -t proc proc "$1/proc"
  mount -t sysfs sysfs "$1/sys"
  case $2 in
  2) mount -t cgroup2 cgroup "$1/sys/fs/cgroup" ;;
  1)
    mount -t tmpfs -o mode=755 tmpfs "$1/sys/fs/cgroup"
    for at in "$3"/cgroups/*; do
      name=${at##*/}
      mkdir "$1/sys/fs/cgroup/$name"
      [ "$name" = systemd ] && how=none,name=systemd || how=$name
      mount -t cgroup -o "$how" cgroup "$1/sys/fs/cgroup/$name"
    done
    ;;
  esac
  mkdir "$1/old"
  cd "$1"
  pivot_root . old
  exec /bin/sh -c \
    'umount -l /old && exec /usr/lib/systemd/systemd --log-target=console --show-status=no' </dev/null >/dev/console 2>&1
}
start=$(now)
(
  for at in "$work"/cgroups/*; do echo 0 >"$at/$group/cgroup.procs"; done
  exec env -i container=other "PATH=$PATH" unshare --mount --pid --fork --kill-child --uts --ipc --cgroup \
    bash -c "$(declare -f boot); boot \"\$@\"" boot "$tree" "$cgroups" "$work"
) 2>>"$log" &
space=$!
# usage: inside COMMAND...: a program of the tree, in there
inside() { env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin nsenter -t "$leader" -m -u -i -p -C "$@"; }
# usage: among COMMAND...: a program of this machine, but among the processes in there, which the daemon can see. CUDA looks
# for itself in /proc by its number.
among() { nsenter -t "$leader" -p unshare --mount --propagation private sh -c 'mount -t proc proc /proc && exec "$@"' sh "$@"; }
end=$((SECONDS + 40)) state=''
until [ "$state" = running ] || [ "$state" = degraded ]; do
  if ! kill -0 $space 2>/dev/null || [ $SECONDS -ge $end ]; then
    { tail -n 5 "$log"; tail -n 15 "$out/console.txt"; } >&2
    left_out "systemd does not come up here (cgroup v$cgroups): ${state:-$(tail -n 1 "$log")}"
  fi
  sleep 0.1
  leader=$(tr -d ' ' <"/proc/$space/task/$space/children" || true) 2>/dev/null
  [ -z "$leader" ] || state=$(inside systemctl is-system-running 2>>"$log") || true
done
fact boot "$(since "$start")"
fact state "$state"
inside systemctl --failed --no-legend >>"$log"
case $(stat -fc %T "/proc/$leader/root/sys/fs/cgroup") in
cgroup2fs) fact enforced 'bpf of cgroup v2' ;;
*) fact enforced 'the devices controller of cgroup v1' ;;
esac

# The service.
rm -r "$runtime"
runtime=$tree/run/nvshare
start=$(now)
inside systemctl enable --now nvshare-scheduler >>"$log" 2>&1 || true
fact start "$(since "$start")"
service() { inside systemctl show --property="$1" --value nvshare-scheduler; }
fact active "$(service ActiveState)"
if [ "$(service ActiveState)" != active ]; then
  inside journalctl --no-pager -u nvshare-scheduler >"$out/journal.txt"
  tail -n 15 "$out/journal.txt" "$out/console.txt" >&2
  exit 3
fi
inside systemctl show nvshare-scheduler >"$out/unit.txt"
inside systemd-analyze security --no-pager nvshare-scheduler >"$out/security.txt" 2>&1 || true
fact exposure "$(awk '/exposure level/ { print $(NF - 1) == "OK" || $(NF - 1) ~ /^[0-9.]+$/ ? $(NF - 1) : $(NF - 2) }' "$out/security.txt")"
inside nvshare-ctk doctor >"$out/doctor.txt" 2>&1 || true
# What the kernel says of the daemon.
proc=/proc/$leader/root/proc daemon=$(service MainPID)
cp "$proc/$daemon/status" "$out/daemon-status.txt"
fact user "$(awk -F: '$3 == '"$(stat -c %u "$proc/$daemon")"' { print $1 }' "$tree/etc/passwd")"
fact network "$([ "$(readlink "$proc/$daemon/ns/net")" != "$(readlink "$proc/1/ns/net")" ] && echo own)"
fact root "$(awk '$5 == "/" { print $6 }' "$proc/$daemon/mountinfo" | tail -n 1)"

# usage: probe NAME EDIT COMMAND...: in a sandbox as the daemon's, but for what EDIT (of sed) changes; what it says: probe-NAME.txt
probe() {
  local name=$1 edit=$2; shift 2
  sed -E -e '/^(NotifyAccess|Restart.*|WatchdogSec|ExecStart|RuntimeDirectory.*|Before)=/d' -e 's/^Type=.*/Type=oneshot/' -e "$edit" \
    -e "s|^\[Service\]|&\nExecStart=$*\nStandardOutput=truncate:/run/probe\nStandardError=journal|" \
    "$packaging/nvshare-scheduler.service" >"$tree/run/systemd/system/probe-$name.service"
  inside systemctl daemon-reload >>"$log" 2>&1
  : >"$tree/run/probe"
  inside systemctl start "probe-$name" >>"$log" 2>&1 || echo "probe $name: failed" >>"$log"
  cp "$tree/run/probe" "$out/probe-$name.txt"
}
mkdir -p "$tree/run/systemd/system"
cat >"$tree/usr/bin/open-devices" <<'SH'
for node in /dev/*; do
  [ -c "$node" ] && [ ! -L "$node" ] || continue
  if said=$( (: <>"$node") 2>&1); then echo "${node#/dev/} opened"; else echo "${node#/dev/} ${said##*: }"; fi
done
SH
probe devices '' /bin/sh /usr/bin/open-devices
probe anything 's/^DevicePolicy=.*/DevicePolicy=auto/; /^DeviceAllow=/d' /bin/sh /usr/bin/open-devices
# usage: ask NAME QUERY: of NVML, in the sandbox (probe-NAME.txt) and out of it (NAME.txt)
ask() {
  probe "$1" '' "/usr/bin/nvidia-smi --query-$2 --format=csv,noheader,nounits"
  among nvidia-smi "--query-$2" --format=csv,noheader,nounits >"$out/$1.txt" 2>&1 || true
}
gpus=gpu=index,name,uuid,memory.total,driver_version
ask smi $gpus
# Otherwise: without which part of the sandbox it answers.
if ! cmp -s "$out/smi.txt" "$out/probe-smi.txt"; then
  for part in $(sed -n '/^User=/,/^\[Install\]/s/^\([A-Z][A-Za-z]*\)=.*/\1/p' "$packaging/nvshare-scheduler.service" | sed 's/^Device.*/Device(Policy|Allow)/' | sort -u) '[A-Z][A-Za-z]*'; do
    [ $SECONDS -lt 100 ] || break
    probe without "/^User=/,/^\[Install\]/{/^$part=/d}" "/usr/bin/nvidia-smi --query-$gpus --format=csv,noheader,nounits"
    ! cmp -s "$out/smi.txt" "$out/probe-without.txt" || fact culprit "$part"
  done
fi

# usage: known SECONDS NAME CONDITION: waits until the status (s) is so, which stays in NAME.json
known() {
  local end=$((SECONDS + $1))
  until inside nvsharectl status --json >"$out/$2.json" 2>>"$log" && python3 "$scripts/service_status.py" "$out/$2.json" "$3" 2>>"$log"; do
    [ $SECONDS -lt $end ] || { echo "$2: not within $1 s: $3" >&2; return 1; }
    sleep 0.2
  done
}
# usage: program NAME GIB LOAD...: in the background, until its standard input is closed
mkfifo "$work"/{one,two,stranger}
exec 7<>"$work/one" 8<>"$work/two" 9<>"$work/stranger"
program() {
  among "${@:3}" --bytes "$(bytes_of "$2")" --until-closed <"$work/$1" >"$out/$1.json" 2>"$out/$1.log" 7>&- 8>&- 9>&- & pids+=($!)
}
# usage: number PID: of the process that it started, as it is counted in there
number() {
  local pid=$1 child
  while child=$(awk '{ print $1 }' "/proc/$pid/task/$pid/children") && [ -n "$child" ]; do pid=$child; done
  awk '/^NSpid:/ { print $NF }' "/proc/$pid/status"
}
bad='' pids=()
tenant=(env LD_PRELOAD="$built/libnvshare.so" NVSHARE_SOCKET="$runtime/tenants/scheduler.sock" "$built/load")
program one 7 "${tenant[@]}"
program two 7 "${tenant[@]}"
known 40 turns 'len(tenants) == 2 and all(t["grants"] >= 2 and t["pid"] > 0 for t in tenants) and devices[0]["handovers"] >= 4' || bad+='turns '
program stranger 0.25 "$built/load" --rest-ms 50
until_says step "$out/stranger.json" "${pids[2]}" 20 || bad+='stranger '
stranger=$(number "${pids[2]}") || true
fact stranger "$stranger"
if [ -n "${NVSHARE_TEST_DRIVER:-}" ]; then
  python3 "$scripts/service_nvml.py" "$out/turns.json" "$stranger" >"$libraries/said"
  mv "$libraries/said" "$libraries/libnvidia-ml.so.1.says"
fi
# What NVML tells in the sandbox and out of it, and with the numbers of which processes.
known 8 outside 'devices[0]["outside_bytes"] > 0' 2>>"$log" || true
ask apps compute-apps=pid,used_memory
nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader,nounits >"$out/apps-here.txt" 2>&1 || true
fact handles "$(find "$proc/$daemon/fd" -lname '/dev/nvidia*' -printf '%l\n' | sort -u | xargs)"

# A restart under the tenants, then time for the watchdog.
steps() { awk 'END { print NR }' "$out/$1.json"; }
fact first_pid "$daemon"
fact first_restarts "$(service NRestarts)"
before=("$(steps one)" "$(steps two)")
start=$(now)
inside systemctl restart nvshare-scheduler >>"$log" 2>&1 || bad+='restart '
fact restart "$(since "$start")"
daemon=$(service MainPID)
same="sorted(t['pid'] for t in tenants) == $(python3 -c 'import json, sys; print(sorted(t["pid"] for t in json.load(open(sys.argv[1]))["tenants"]))' "$out/turns.json" 2>>"$log")" || true
known 40 again "$same and all(t['grants'] >= 2 for t in tenants) and devices[0]['handovers'] >= 4" || bad+='again '
fact came_back "$(since "$start")"
fact more_steps "$(($(steps one) - before[0])) $(($(steps two) - before[1]))"
known 8 outside-again 'devices[0]["outside_bytes"] > 0' 2>>"$log" || true
known $((${LASTS:-15} + 30)) lasts "s['uptime_seconds'] >= ${LASTS:-15}" || bad+='lasts '
fact same_pid "$([ "$(service MainPID)" = "$daemon" ] && echo same)"
fact restarts "$(service NRestarts)"
fact watchdog "$(service WatchdogTimestampMonotonic)"
fact ready "$(service ActiveEnterTimestampMonotonic)"
exec 7>&- 8>&- 9>&-
for pid in "${pids[@]}"; do wait "$pid" || bad+="$pid "; done
inside nvsharectl trace --output /run/trace.json >>"$log" 2>&1 && cp "$tree/run/trace.json" "$out/trace.json"
start=$(now)
inside systemctl stop nvshare-scheduler || bad+='stop '
fact stop "$(since "$start")"
fact result "$(service Result)"
inside journalctl --no-pager -o short-monotonic >"$out/journal.txt"
inside journalctl --no-pager -o cat -u nvshare-scheduler >"$out/journal-service.txt"

python3 "$scripts/service.py" "$out" "$(machine)" "$bad" "${LASTS:-15}" "$scale"
