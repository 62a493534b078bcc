#!/bin/bash
# Two PyTorch tenants (9.4 GB additions, 60 s each) take turns of 2 s, everything moved out each time; their work beside
# that of one alone. Then JAX and CuPy tenants beside each other.
# What it must show: data right, the sum at least 85 % of one alone for the same wall time.
# Expected: 125 s. Settings: SECONDS_EACH (60), ALONE_SECONDS (12); OTHERS=no leaves JAX and CuPy out.
. "$(dirname "$0")/../lib/common.sh"
need_managed 26
seconds=${SECONDS_EACH:-60} failed=0
export NVSHARE_LOG=info
run() { block "$2" shared python3 "$loads/framework_adds.py" "$1" "$3"; }
pair() { # FRAMEWORK NAME FRAMEWORK NAME SECONDS
  local a b
  run "$1" "$2" "$5" & a=$!
  run "$3" "$4" "$5" & b=$!
  # What does not come to its end is told of by the table.
  wait $a || failed=1; wait $b || failed=1
}
start_scheduler --quantum 2 --evict always
run torch alone "${ALONE_SECONDS:-12}" || failed=1
pair torch first torch second "$seconds"
others=()
if [ "${OTHERS:-yes}" = yes ]; then
  export XLA_PYTHON_CLIENT_PREALLOCATE=false
  pair jax jax cupy cupy $((seconds / 4 > 2 ? seconds / 4 : 2))
  others=(jax cupy)
else
  echo 'OTHERS=no: JAX and CuPy are left out'
fi
ctl trace --output "$out/trace.json" >&2; ctl status --json >"$out/status.json"
python3 "$scripts/two_tenants.py" "$out" "$(machine)" "${others[@]}"
