#!/bin/bash
# Every script once, shortened, on the simulated GPU: each has to run to its end and to measure something. What the figures
# are is nobody's concern here: the machine at hand is slow and busy.
# usage: tests/gpu/rehearse.sh [SCRIPT...]     Needs `make gpu-pack`, or `make build`. About three minutes.
# What the machine lacks for one of them (root and packs: for `service` tests/gpu/pack-systemd.sh, for `recipes_hosts`
# tests/gpu/pack-recipes.sh, for `slurm` tests/gpu/pack-slurm.sh) leaves it out.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
target=${CARGO_TARGET_DIR:-$root/target}
built=$root/build/gpu
[ -e "$built/libnvshare.so" ] || built=$target/debug
for driver in "$target"/release/libfakecuda.so "$target"/debug/libfakecuda.so; do [ ! -e "$driver" ] || break; done
out=${OUT:-$root/build/rehearsal}
rm -rf "$out"
mkdir -p "$out"
export NVSHARE_BUILT=$built NVSHARE_TEST_DRIVER=$driver CUDA_HEADERS=${CUDA_HEADERS:-$target/cuda-headers}
[ $# -gt 0 ] || set -- machine two-tenants oversubscribed interactive calls alone turns handover engines programs frameworks processes sharing crowded pauses several service hostile content recipes recipes_hosts slurm gangs
# What makes each of them short.
settings() {
  case $1 in
  machine) echo WARM_GIB=8 WARM_SECONDS=5 ;;
  two-tenants) echo SECONDS_EACH=8 ALONE_SECONDS=2 ;;
  oversubscribed) echo SECONDS_EACH=10 WHOLE_SECONDS=6 ;;
  interactive) echo SECONDS_EACH=8 SIZES=3 ;;
  calls) echo ROUNDS=6 ;;
  alone) echo SETS=2 ROUNDS=3 ;;
  turns) echo SECONDS_EACH=6 DRAIN_SECONDS=5 ;;
  handover) echo SECONDS_EACH=8 ;;
  engines) echo TURNS=0.5:4,1:2,2:1 ;;
  programs) echo SLOTS=2 'ONLY=alloc_plain launch_many memory_info pointer_attributes' ;;
  # What the stand-ins can stand in for.
  frameworks) echo 'ONLY=torch_eager torch_autocast jax cupy_pool' AT_ONCE=2 ROUNDS=2 ;;
  processes) echo 'ONLY=torch_eager jax' PROCESSES=2 ROUNDS=2 ;;
  several) echo SECONDS_EACH=6 FAKECUDA_DEVICES=2 ;;
  gangs) echo FAKECUDA_DEVICES=2 ONE_SECONDS=6 SECONDS_EACH=24 MODELS_SECONDS=6 ;;
  sharing) echo SECONDS_EACH=6 FIT_SECONDS=3 ;;
  service) echo LASTS=11 ;;
  hostile) echo SECONDS_EACH=8 ;;
  content) echo GRANULES=16 ROUNDS=4 SECONDS_EACH=6 ;;
  recipes) echo REQUESTS=2 SHARE_SECONDS=2 MODEL_GIB=10 ;;
  slurm) echo JOB_SECONDS=8 ;;
  recipes_hosts) echo USERS_SECONDS=6 CONTAINER_SECONDS=8 ;;
  esac
}
bad=0
for script; do
  start=$SECONDS code=0
  mkdir "$out/$script"
  mapfile -t set < <(settings "$script" | sed 's/ \([A-Z_]*=\)/\n\1/g')
  OUT=$out/$script setsid timeout -k 10 400 env "${set[@]}" bash "$here/scripts/$script.sh" >"$out/$script/table.txt" 2>"$out/$script/errors.txt" </dev/null &
  pid=$!
  wait $pid || code=$?
  kill -KILL -- "-$pid" 2>/dev/null
  # A promise of which nothing was measured, or no figure at all, is a script that does not work.
  empty=$(awk -F'\t' '$2 == "" && $5 == "falls short" { print "    " $1 }' "$out/$script/figures.tsv" 2>/dev/null)
  if [ $code = 77 ]; then
    echo "$script: left out, $(tail -n 1 "$out/$script/errors.txt")"
  elif [ $code -gt 1 ] || [ -n "$empty" ] || { [ "$script" != machine ] && [ ! -s "$out/$script/figures.tsv" ]; }; then
    bad=1
    echo "$script: exit $code after $((SECONDS - start)) s: does not work"
    echo "$empty"
    tail -n 15 "$out/$script/table.txt" "$out/$script/errors.txt"
  else
    echo "$script: runs, $((SECONDS - start)) s"
  fi
done
exit $bad
