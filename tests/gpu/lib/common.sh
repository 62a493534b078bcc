# Shared by the measurements in scripts/: where the built files are, a scheduler of their own, and the tenants.
# What they need is packed by `make gpu-pack` into build/gpu/; on the GPU machine only nvcc's programs are built.
set -euo pipefail
gpu_tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # read by the scripts
scripts=$gpu_tests/scripts loads=$gpu_tests/loads
built=${NVSHARE_BUILT:-$gpu_tests/../../build/gpu}
out=${OUT:-$(mktemp -d)}
stage=
# shellcheck source=tests/gpu/lib/simulated.sh
[ -z "${NVSHARE_TEST_DRIVER:-}" ] || . "$gpu_tests/lib/simulated.sh"
for file in libnvshare.so nvshare-scheduler nvsharectl load; do
  [ -f "$built/$file" ] || { echo "$built/$file is missing: run \`make gpu-pack\`" >&2; exit 2; }
done
# As nvidia-smi counts them. What is measured is the first of those that programs see.
export CUDA_DEVICE_ORDER=PCI_BUS_ID PYTHONUNBUFFERED=1 PYTHONPATH=$gpu_tests/lib${PYTHONPATH:+:$PYTHONPATH}
gpu=${CUDA_VISIBLE_DEVICES:-0} gpu=${gpu%%,*}
# usage: smi FIELDS: of that GPU; memory in MiB
smi() { nvidia-smi -i "$gpu" --query-gpu="$1" --format=csv,noheader,nounits; }
smi name >/dev/null || { echo 'no GPU on this machine' >&2; exit 2; }
runtime=$(mktemp -d)
scheduler_pid='' holder_pid=''
# Nothing that was started here is left behind, whatever goes wrong.
cleanup() {
  local pid pids
  pids="$scheduler_pid $holder_pid $(jobs -p)"
  for pid in $pids; do pids+=" $(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true)"; done
  # shellcheck disable=SC2086
  kill $pids 2>/dev/null || true
  rm -rf "$runtime" ${stage:+"$stage"}
}
trap cleanup EXIT

# A simulated card has so many times less of everything.
scale=${REHEARSAL_SCALE:-1} slack=0
# Small allocations share chunks of up to 32 MiB, which is more than nothing there.
[ "$scale" = 1 ] || slack=34
# usage: bytes_of GIB: in the program's own bytes
bytes_of() { python3 -c "print(int($1 * 2**30 / $scale) // 4096 * 4096)"; }
# usage: usable GIB: as the scheduler's configuration has it
usable() { echo "$(($(bytes_of "$1") / 1048576 + slack))MiB"; }

# Bytes of managed memory that all tenants together may have: what the card has free, less 4 GiB, and
# never so much that more than 32 GiB could be moved out at a time.
managed_budget() {
  local budget most=$((32 * 1024 * 1024 * 1024))
  budget=$((($(smi memory.free) - 4096) * 1024 * 1024))
  echo $((budget < most ? budget : most))
}
# usage: need_managed GIB: refuses to start what the card cannot hold
need_managed() {
  [ $(($1 * 1024 * 1024 * 1024)) -le "$(managed_budget)" ] || { echo "needs $1 GiB of managed memory; allowed here: $(managed_budget) bytes" >&2; exit 3; }
}
# usage: need_free GIB: of the card, for plain memory
need_free() { [ $(($1 * 1024)) -le "$(smi memory.free)" ] || { echo "needs $1 GiB of the card; free: $(smi memory.free) MiB" >&2; exit 3; }; }

# usage: configure USABLE [SETTINGS]: USABLE of the card for tenants (auto: all); SETTINGS of the scheduler's section
configure() {
  # Where a machine's memory grows with its use, `auto` takes half of the host's for too little. It comes in steps of 1 GiB.
  printf '[memory]\nusable = "%s"\nreserve = "%s"\n[swap]\nbudget = "%s"\n[scheduler]\n%s\n' \
    "$1" "$((1024 / scale))MiB" "$([ "$scale" = 1 ] && echo 80GiB || echo 8GiB)" "${2:-}" >"$runtime/config.toml"
}
# usage: start_scheduler ARGUMENTS...: returns when its socket answers
start_scheduler() {
  [ -e "$runtime/config.toml" ] || configure auto
  "$built/nvshare-scheduler" --runtime-dir "$runtime" --config "$runtime/config.toml" "$@" 2>>"$out/scheduler.log" & scheduler_pid=$!
  until_answers "$runtime" "$scheduler_pid" || { cat "$out/scheduler.log" >&2; exit 1; }
}
# usage: start_scheduler_each: one for each engine, in $runtime/ENGINE
start_scheduler_each() {
  local engine
  local -A schedulers=()
  configure auto
  for engine in swap managed; do
    "$built/nvshare-scheduler" --runtime-dir "$runtime/$engine" --config "$runtime/config.toml" 2>>"$out/scheduler-$engine.log" & schedulers[$engine]=$!
  done
  for engine in "${!schedulers[@]}"; do until_answers "$runtime/$engine" "${schedulers[$engine]}"; done
}
# usage: until_answers RUNTIME PID
until_answers() {
  local _
  for _ in $(seq 200); do
    "$built/nvsharectl" --runtime-dir "$1" status >/dev/null 2>&1 && return
    kill -0 "$2" 2>/dev/null || return 1
    sleep 0.05
  done
  return 1
}
# usage: world USABLE SETTINGS: a scheduler that gives tenants so much of the card, with more settings of its section
world() { configure "$@"; start_scheduler; rm "$runtime/config.toml"; }
stop_scheduler() { kill "$scheduler_pid"; wait "$scheduler_pid" 2>/dev/null || true; scheduler_pid=; }
ctl() { "$built/nvsharectl" --runtime-dir "$runtime" "$@"; }

# usage: hold_card GIB [COPIES]: a plain allocation takes the card but for so many GiB, tenants' contexts included
hold_card() {
  python3 "$loads/hold_card.py" "$(python3 -c "print($1 + $slack * $scale / 1024)")" "$runtime/held" "${@:2}" 2>"$out/hold.log" & holder_pid=$!
  until [ -e "$runtime/held" ]; do
    kill -0 "$holder_pid" 2>/dev/null || { cat "$out/hold.log" >&2; exit 1; }
    sleep 0.1
  done
}
release_card() { kill "$holder_pid"; wait "$holder_pid" 2>/dev/null || true; holder_pid=; rm "$runtime/held"; }

# usage: shared COMMAND...: a tenant
shared() { env LD_PRELOAD="$built/libnvshare.so" NVSHARE_SOCKET="$runtime/tenants/scheduler.sock" "$@"; }
# `nproc` takes OpenMP's word for it.
machine() { echo "$(smi name,memory.total,driver_version), $(env -u OMP_NUM_THREADS nproc) cores, $(date -u +%F)"; }
# usage: block NAME COMMAND...: what it says goes to NAME.json, its log beside it
block() { local name=$1; shift; "$@" >"$out/$name.json" 2>"$out/$name.log" || { tail -n 5 "$out/$name.log" | sed "s|^|$name: |" >&2; return 1; }; }
# usage: blocks NAME COUNT GIB SECONDS [shared]: so many at a time; $pause as torch_steps.py has it
blocks() {
  local pids=() i
  for i in $(seq "$2"); do block "$1-$i" "${@:5}" python3 "$loads/torch_steps.py" "$3" "$4" ${pause:+"pause=$pause"} & pids+=($!); done
  for i in "${pids[@]}"; do wait "$i"; done
}
# usage: until_says WORD FILE PID SECONDS
until_says() {
  local end=$((SECONDS + $4))
  until grep -q "$1" "$2" 2>/dev/null; do
    kill -0 "$3" 2>/dev/null || { echo "$2: ended before \"$1\"" >&2; tail -n 5 "$2" >&2; return 1; }
    [ $SECONDS -lt $end ] || { echo "$2: no \"$1\" within $4 s" >&2; return 1; }
    sleep 0.1
  done
}
