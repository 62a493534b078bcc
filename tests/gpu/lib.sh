# Shared by the scripts beside it: where the built files are, and a scheduler of their own.
# What they need is packed by `make gpu-pack` into build/gpu/: nothing is built on the GPU machine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
built=${NVSHARE_BUILT:-$here/../../build/gpu}
out=${OUT:-$(mktemp -d)}
for file in libnvshare.so nvshare-scheduler nvsharectl load; do
  [ -f "$built/$file" ] || { echo "$built/$file is missing: run \`make gpu-pack\`" >&2; exit 2; }
done
nvidia-smi -L >/dev/null || { echo 'no GPU on this machine' >&2; exit 2; }
runtime=$(mktemp -d)
scheduler_pid=
cleanup() { [ -z "$scheduler_pid" ] || kill "$scheduler_pid" 2>/dev/null || true; rm -rf "$runtime"; }
trap cleanup EXIT

# Bytes of managed memory that all tenants together may have: what the card has free, less 4 GiB, and
# never so much that more than 32 GiB could be moved out at a time.
managed_budget() {
  local free; free=$(nvidia-smi --query-gpu=memory.free --format=csv,noheader,nounits | head -n 1)
  local budget=$(( (free - 4096) * 1024 * 1024 )) most=$(( 32 * 1024 * 1024 * 1024 ))
  echo $(( budget < most ? budget : most ))
}
# usage: need_managed BYTES: refuses to start what the card cannot hold
need_managed() {
  [ "$1" -le "$(managed_budget)" ] || { echo "needs $1 bytes of managed memory; allowed here: $(managed_budget)" >&2; exit 3; }
}
# usage: start_scheduler ARGUMENTS...: returns when its socket answers
start_scheduler() {
  "$built/nvshare-scheduler" --runtime-dir "$runtime" "$@" 2>>"$out/scheduler.log" & scheduler_pid=$!
  for _ in $(seq 100); do
    "$built/nvsharectl" --runtime-dir "$runtime" status >/dev/null 2>&1 && return
    kill -0 "$scheduler_pid" 2>/dev/null || break
    sleep 0.05
  done
  cat "$out/scheduler.log" >&2; exit 1
}
stop_scheduler() { kill "$scheduler_pid"; wait "$scheduler_pid" 2>/dev/null || true; scheduler_pid=; }
ctl() { "$built/nvsharectl" --runtime-dir "$runtime" "$@"; }
# usage: shared COMMAND...: a tenant
shared() { env LD_PRELOAD="$built/libnvshare.so" NVSHARE_SOCKET="$runtime/tenants/scheduler.sock" "$@"; }
machine() { echo "$(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader | head -n 1), $(nproc) cores, $(date -u +%F)"; }
