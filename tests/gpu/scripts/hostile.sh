#!/bin/bash
# A hostile user beside two honest PyTorch tenants that fit together: connections that say whatever the tenants' language
# has words for (tests/src/bin/hostile.rs), while NVML tells the scheduler what the machine and each process really has; and
# a tenant that is stopped while others wait.
# What it must show: the honest ones do at least 80 % of what they do by themselves, every number is right; NVML names the
# card's memory; a stopped tenant is named within a second, and others go on.
# Expected: 110 s. Needs root for the other user. Settings: SECONDS_EACH (30).
. "$(dirname "$0")/../lib/common.sh"
[ "$(id -u)" = 0 ] || { echo 'needs root: the hostile user is another one' >&2; exit 77; }
need_managed 24
export NVSHARE_LOG=info
each=${SECONDS_EACH:-30}
chmod 755 "$runtime"
mkfifo "$runtime/going"
install -m 755 "$built/hostile" "$runtime/hostile"
uuid=$(nvidia-smi -i "$gpu" --query-gpu=uuid --format=csv,noheader)
world 28GiB ''
blocks without 2 12 "$each" shared || true
setpriv --reuid 65534 --regid 65534 --clear-groups "$runtime/hostile" "$runtime/tenants/scheduler.sock" "$uuid" \
  <"$runtime/going" >"$out/hostile.json" 2>"$out/hostile.log" & hostile=$!
exec 9>"$runtime/going"
blocks beside 2 12 "$each" shared || true
ctl status --json >"$out/status.json"
exec 9>&-
wait "$hostile"
grep VmHWM "/proc/$scheduler_pid/status" >"$out/daemon.txt"
stop_scheduler

# One of 16 GiB is stopped while it holds; one of 12 does not fit beside it, one of 4 does.
configure 24GiB
start_scheduler
ctl events --json >"$out/events.jsonl" & events=$!
block stopped-1 shared python3 "$loads/torch_steps.py" 16 14 & first=$!
# What it says on its standard error begins with its grant.
until_says 'granted' "$out/stopped-1.log" "$first" 60
pid=$(ctl status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["tenants"][0]["pid"])')
kill -STOP "$pid"
block stopped-2 shared python3 "$loads/torch_steps.py" 12 10 & second=$!
block stopped-3 shared python3 "$loads/torch_steps.py" 4 6 & third=$!
wait "$third" || true
kill -CONT "$pid"
wait "$first" || true
wait "$second" || true
kill "$events"
python3 "$scripts/hostile.py" "$out" "$(machine)"
