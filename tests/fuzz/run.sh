#!/bin/bash
# Builds the fuzzer, gives each target an equal part of a bounded time, two at once, and fails if one finds anything.
# What is found lies in FINDS; once it is mended, it is moved into the target's corpus. New inputs that reach
# further than the corpus stay in the build directory.
# usage: run.sh SECONDS [TARGETS...]      SECONDS: of all targets together
set -euo pipefail
seconds=${1:?usage: run.sh SECONDS [TARGETS...]}; shift
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
triple=$(rustc -vV | sed -n 's/^host: //p')
command -v c++ >/dev/null || { echo "fuzz: libFuzzer needs a C++ compiler: apt install g++" >&2; exit 1; }

# Coverage by LLVM's own pass, which the stable compiler has. Named by --target, so that build scripts go without.
flags='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares'
RUSTFLAGS=$flags cargo build --quiet --locked --profile fuzz --target "$triple" -p nvshare-fuzz --features libfuzzer
fuzz=$target/$triple/fuzz/fuzz

work=$target/fuzz-corpus finds=${FINDS:-$target/fuzz-finds}
mkdir -p "$finds"
[ $# -gt 0 ] || set -- $(ls tests/fuzz/corpus)
jobs=2
each=$((seconds * jobs / $#)); [ "$each" -gt 0 ] || each=1

one() { # TARGET
  mkdir -p "$work/$1"
  if NVSHARE_FUZZ_TARGET=$1 "$fuzz" -max_total_time="$each" -timeout=10 -rss_limit_mb=2048 -max_len=20000 \
    -artifact_prefix="$finds/$1-" "$work/$1" "tests/fuzz/corpus/$1" >"$work/$1.log" 2>&1; then
    echo "fuzz: $1: $(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) second.*/\1 inputs in \2 s/p' "$work/$1.log")"
  else
    echo "fuzz: $1 FAILED:"; tail -n 40 "$work/$1.log"; return 1
  fi
}
export -f one; export fuzz work finds each
printf '%s\0' "$@" | xargs -0 -n 1 -P "$jobs" bash -c 'one "$1"' one
