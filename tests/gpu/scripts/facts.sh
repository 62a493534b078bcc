#!/bin/bash
# Facts of the driver at hand that the design rests on.
# Expected: 60 s.
. "$(dirname "$0")/../lib/common.sh"
need_managed 13
nvcc -w -O1 -o "$runtime/facts" "$loads/facts.c" -lcuda
machine
what=${1:-all}
run() { [ "$what" = all ] || [ "$what" = "$1" ] || return 0; timeout 120 "$runtime/facts" "$@" | tee "$out/$1.txt"; }
run capture
run record
run address
run managed 12
run memfd 12
