#!/bin/bash
# How much of the product the tests reach, but for those in containers and packages. Programs and libraries are built
# first, as for `make test`, in a build directory of their own; what stands in tests/ is no part of the product.
# Fails, after the report, if a test has failed.
# usage: coverage.sh VENV      VENV: with cargo-llvm-cov
set -euo pipefail
PATH=$(realpath "${1:?usage: coverage.sh VENV}")/bin:$PATH
cd "$(dirname "$0")/../.."
export CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")/coverage
environment=$(cargo llvm-cov show-env --sh 2>/dev/null)
eval "$environment"
# The counters lie in the file that they are kept in (%c), so that processes that are killed are counted too.
export LLVM_PROFILE_FILE=${LLVM_PROFILE_FILE%-%p-*}-%4m%c.profraw
export RUSTFLAGS=-Cllvm-args=-runtime-counter-relocation

cargo llvm-cov clean --workspace --profraw-only
cargo build --workspace --locked
failed=0
# Two that measure times are left out: counting makes the simulated card too slow for them.
cargo test --workspace --locked --lib --bins --tests --no-fail-fast -- \
  --skip paging_costs_what_the_report_says --skip a_turn_ends_soon_however_much || failed=1
report=$CARGO_TARGET_DIR/report
cargo llvm-cov report --ignore-filename-regex '(^|/)tests(/|\.rs$)' --summary-only >"$report"
cat "$report"
echo
awk '/\.rs / {
  if ($1 ~ /^(interposer\/abi|scheduler\/core|scheduler\/protocol)\//) { split($1, part, "/"); package = part[1] "/" part[2] }
  else { split($1, part, "/"); package = part[1] }
  lines[package] += $8; missed[package] += $9
}
END { for (package in lines) printf "%-20s %6d lines %6.1f %%\n", package, lines[package], 100 * (1 - missed[package] / lines[package]) }' "$report" | sort
exit $failed
