#!/bin/bash
# The service as the package ships it, under systemd as PID 1 of a small Debian (tests/gpu/pack-systemd.sh), in its whole
# sandbox beside a real driver: does it start and stay, does NVML answer in there, do tenants of the machine take turns
# through it, and do they go on when it is restarted?
# Then a service with LD_PRELOAD, by the drop-in of docs/guide/recipes.md.
# What it must show: ready, exposure <= 1.0, NVIDIA's devices allowed and others not, NVML's list the same inside the sandbox
# as outside, memory of a program outside known, turns and data right, nobody harmed by a restart, no word from the watchdog, the service in turns with its limit.
#
# Needs root, and in build/gpu what `make gpu-pack` and tests/gpu/pack-systemd.sh put there. Nothing of the machine is
# changed: the Debian lives in memory, in namespaces of its own, and goes with the script.
# Expected: 55 s. Settings: LASTS (15: seconds that the daemon must live), CGROUPS (2 or 1; what the machine has, 2 first).
# shellcheck source=tests/gpu/lib/spaces.sh
. "$(dirname "$0")/../lib/spaces.sh"
needs systemd unshare nsenter pivot_root chroot mknod ldconfig python3
enter 170 '' '--uts --ipc --cgroup' "$@"
# shellcheck source=tests/gpu/lib/common.sh
. "$(dirname "$0")/../lib/common.sh"
# shellcheck source=tests/gpu/lib/debian.sh
. "$gpu_tests/lib/debian.sh"
need_managed 22
need_free 16
work=$(mktemp -d)
log=$out/service.log tree=$work/tree group=nvshare-${work##*.} space='' leader=''
mkdir "$tree"
: >"$log"
: >"$out/facts.tsv"
trap finish EXIT
trap 'exit 143' TERM INT

make_tree
make_control_groups
boot_tree

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
# A service of somebody's, by the drop-in of docs/guide/recipes.md as it is typed there: a third tenant beside the two, in a
# sandbox of its own, and through a restart of the scheduler.
{
  printf '[Service]\nExecStart=/usr/bin/load --bytes %s --seconds 8\nStandardOutput=truncate:/run/train.json\nStandardError=journal\n' "$(bytes_of 7)"
  printf 'ProtectSystem=strict\nNoNewPrivileges=yes\n'
  if [ -n "${NVSHARE_TEST_DRIVER:-}" ]; then
    # The simulated card is a folder of root's.
    echo "ReadWritePaths=$FAKECUDA_DIR"
    env | sed -n 's/^FAKECUDA_/Environment=&/p'
  else
    printf 'PrivateTmp=yes\nUser=nobody\n'
  fi
  [ ! -d "$tree/usr/local/nvidia" ] || echo Environment=LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/usr/local/nvidia/lib
} >"$tree/etc/systemd/system/train.service"
mkdir "$work/bin"
cat >"$work/bin/sudo" <<SH
#!/bin/bash
case \$1 in
systemctl) exec env -i PATH=/usr/bin nsenter -t $leader -m -u -i -p -C "\$@" ;;
*) exec "\${@/#\//$tree/}" ;;
esac
SH
chmod 755 "$work/bin/sudo"
"$gpu_tests/../documents/blocks.sh" "$work/blocks" machine
size=8GiB
[ "$scale" = 1 ] || size=$(bytes_of 8)
sed -i "s/8GiB/$size/" "$work"/blocks/recipes-*.machine.sh
limit=$(bytes_of 8)
(PATH=$work/bin:$PATH bash -eux "$work"/blocks/recipes-*.machine.sh) >>"$log" 2>&1 || bad+='train-typed '
known 20 served "any(t['limit_bytes'] == $limit and t['grants'] >= 1 for t in tenants)" || bad+='train '
fact train_pid "$(inside systemctl show --property=MainPID --value train)"
inside systemctl restart nvshare-scheduler >>"$log" 2>&1 || bad+='restart-2 '
known 20 served-again "any(t['limit_bytes'] == $limit and t['grants'] >= 1 for t in tenants)" || bad+='train-again '
until [ "$(inside systemctl show --property=ActiveState --value train)" != active ]; do sleep 0.2; done
cp "$tree/run/train.json" "$out/train.json" || true
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
