#!/bin/bash
# Two GPUs of one machine: a queue each (a tenant on one does not wait for a tenant on the other), two tenants in turns on
# each, then two processes that use both GPUs beside a tenant on each: each process gets its GPUs together, no GPU has two
# holders at a time, nobody is left out. Last the programs of tests/programs that use several devices.
# What it must show: >= 98 % of native where nobody shares; >= 90 % of one alone in turns; no overlap, data right.
# Expected: 95 s. Settings: SECONDS_EACH (12).
unset CUDA_VISIBLE_DEVICES
. "$(dirname "$0")/../lib/common.sh"
[ "$(nvidia-smi -L | grep -c '^GPU ')" -ge 2 ] || { echo 'needs two GPUs' >&2; exit 77; }
need_managed 14
export NVSHARE_LOG=info
seconds=${SECONDS_EACH:-12}
# usage: on NAME GIB SECONDS "DEVICE..." COMMAND...: a tenant in the background
pids=()
on() { # shellcheck disable=SC2086
  block "$1" "${@:5}" python3 "$loads/torch_steps.py" "$2" "$3" $4 & pids+=($!)
}
all_end() { local pid; for pid in "${pids[@]}"; do wait "$pid" || true; done; pids=(); }

on native-1 6 6 0; on native-2 6 6 1; all_end
start_scheduler --evict always
on queues-1 6 6 0 shared; on queues-2 6 6 1 shared; all_end
stop_scheduler
start_scheduler --evict always --quantum 1
for i in 1 2; do on "first-$i" 6 "$seconds" 0 shared; on "second-$i" 6 "$seconds" 1 shared; done; all_end
stop_scheduler
start_scheduler --evict always --quantum 0.5
for i in 1 2; do on "both-$i" 6 $((seconds + 6)) '0 1' shared; done
on single-1 4 $((seconds + 6)) 0 shared; on single-2 4 $((seconds + 6)) 1 shared; all_end
ctl trace --output "$out/trace.json" >&2
stop_scheduler
programs=0
mkdir -p "$out/programs"
if command -v nvcc >/dev/null || [ -n "${NVSHARE_TEST_DRIVER:-}" ]; then
  ONLY='context_devices copy_across copy_peer ipc_across peer_access peer_pool pool_device vmm_outlives_context' OUT=$out/programs LIMIT_SECONDS=80 bash "$scripts/programs.sh" >"$out/programs.txt" 2>&1 || programs=$?
else
  programs=nvcc
fi
python3 "$scripts/several.py" "$out" "$(machine)" "$programs"
