#!/bin/bash
# Every promise that a GPU has to hold, one script after the other, each within its time; their tables, and at the end
# what falls short. Beside that NAME.tsv (each figure; tests/gpu/report.py reads it) and NAME.tar.gz (tables, logs, traces,
# plots), both up to date after every script.
# usage: tests/gpu/all.sh [GROUP | SCRIPT]...     (default: every group, about 30 minutes; groups: see the plan below)
#   OUT      where those two go (default: build/gpu-out, where the tables and all details are in any case: NAME.details)
#   LIMIT    seconds for all of it (default: 540 for each group named): what has no time left is left out, and said
# Groups may run beside each other on several GPUs: CUDA_VISIBLE_DEVICES=1 tests/gpu/all.sh compatibility
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# group, script, seconds after which it is stopped; a script's first lines say what it usually takes
plan='
steady-state machine 75
steady-state two-tenants 160
steady-state oversubscribed 240
steady-state interactive 180
overhead machine 75
overhead calls 40
overhead alone 160
overhead turns 170
overhead engines 260
compatibility machine 75
compatibility programs 290
compatibility frameworks 290
memory handover 100
memory sharing 130
memory crowded 110
memory pauses 200
containers containers 240
multi-gpu several 200
processes processes 560
service service 180
hostile hostile 220
gangs gangs 540
content content 240
recipes recipes 200
recipes recipes_hosts 150
slurm slurm 150
facts facts 300'

names=("$@") lines=''
[ $# -gt 0 ] || names=(steady-state overhead compatibility memory containers multi-gpu service)
for name in "${names[@]}"; do
  more=$(awk -v n="$name" '$1 == n' <<<"$plan")
  [ -n "$more" ] || more=$(awk -v n="$name" '$2 == n' <<<"$plan" | head -n 1)
  [ -n "$more" ] || { echo "no such group or script: $name; there are:$plan" >&2; exit 2; }
  lines+=$more$'\n'
done
# Twice in a row is not needed: what more than one group begins with.
lines=$(awk 'NF && !seen[$2]++' <<<"$lines")
limit=${LIMIT:-$((540 * ${#names[@]}))} name=all
[ $# -eq 0 ] || name=$(IFS=-; echo "${names[*]}")
out=${OUT:-$here/../../build/gpu-out} details=$here/../../build/gpu-out/$name.details
rm -rf "$details"
mkdir -p "$out" "$details"
out=$(realpath "$out")
: >"$details/tables.txt"
say() { printf '%s\n' "$@" | tee -a "$details/tables.txt"; }
pid='' short=()
stop() { [ -z "$pid" ] || kill -KILL -- "-$pid" 2>/dev/null; say 'stopped before its end'; exit 143; }
trap stop TERM INT

machine=$(nvidia-smi -i "${CUDA_VISIBLE_DEVICES:-0}" --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null | head -n 1)
[ -n "$machine" ] || machine=${NVSHARE_TEST_DRIVER:+SIMULATED}
printf '# machine\t%s, %s cores\n# date\t%s\n# command\ttests/gpu/all.sh %s\n' "$machine" "$(nproc)" "$(date -u +%F)" "$*" >"$out/$name.tsv"
# usage: run SCRIPT SECONDS
run() {
  local at=$details/$1 code=0 start=$SECONDS left=$((limit - SECONDS)) took
  mkdir "$at"
  if [ "$left" -lt 15 ]; then
    say "== $1: LEFT OUT: no time"; short+=("$1: left out, no time"); return
  fi
  # A session of its own: whatever it leaves behind can be ended with it.
  OUT=$at setsid timeout -k 15 $(($2 < left ? $2 : left)) bash "$here/scripts/$1.sh" >"$at/table.txt" 2>"$at/errors.txt" </dev/null &
  pid=$!
  wait $pid || code=$?
  kill -KILL -- "-$pid" 2>/dev/null
  pid='' took=$((SECONDS - start))
  say "== $1 ($took s)"
  tee -a "$details/tables.txt" <"$at/table.txt"
  if [ -f "$at/figures.tsv" ]; then sed "s/^/$1\t/" "$at/figures.tsv" >>"$out/$name.tsv"; fi
  printf '%s\tseconds it took\t%s\ts\t\t\n' "$1" "$took" >>"$out/$name.tsv"
  case $code in
  0) ;;
  1) short+=("$1: falls short") ;;
  77) short+=("$1: left out, $(tail -n 1 "$at/errors.txt")") ;;
  124 | 137) short+=("$1: NOT FINISHED, stopped after $took s") ;;
  *) short+=("$1: FAILED, exit $code") ;;
  esac
  [ $code = 0 ] || tail -n 6 "$at/errors.txt" | sed 's/^/  ! /' | tee -a "$details/tables.txt"
  (cd "$details/.." && find "$name.details" -type f -size -6M -print0 | tar --null -T - -czf "$out/$name.tar.gz.new") \
    && mv "$out/$name.tar.gz.new" "$out/$name.tar.gz"
}
while read -r _ script seconds; do run "$script" "$seconds"; done <<<"$lines"
echo
if [ ${#short[@]} -eq 0 ]; then say "all as promised ($name, $SECONDS s)"; exit 0; fi
say "what falls short ($name, $SECONDS s):" "${short[@]/#/  }"
awk -F'\t' '$6 == "falls short" { printf "    %s: %s: %s %s (must: %s)\n", $1, $2, $3, $4, $5 }' "$out/$name.tsv" | tee -a "$details/tables.txt"
exit 1
