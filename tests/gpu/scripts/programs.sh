#!/bin/bash
# The programs of tests/programs: natively, under nvshare alone, and under nvshare beside a tenant that always wants
# the card (everything moved out at each turn's end), with each engine. They are compiled here, by nvcc.
# What it must show: the same output and exit code each time, but for what tests/programs/differs.txt documents, which is
# told and counted apart. A program that makes and ends many contexts takes half a minute beside 16 processes: each
# takes about a second there (one H100, driver 580.159.04). What takes longer than PATIENCE (60 s) hangs.
# Expected: 60 to 250 s. Settings: ONLY="name ..." for some of them; QUANTUM (0.2 s); SLOTS (8): so many run at once, each
# with a scheduler of its own; LIMIT_SECONDS (275): what has not begun by then is told as not run.
# The programs are as large on a simulated card as on a real one.
[ -z "${NVSHARE_TEST_DRIVER:-}" ] || export REHEARSAL_SCALE=1 FAKECUDA_MEMORY=8GiB FAKECUDA_TIME_SCALE=4
# shellcheck source=tests/gpu/lib/common.sh
. "$(dirname "$0")/../lib/common.sh"
quantum=${QUANTUM:-0.2} slots=${SLOTS:-8} load_bytes=$((256 * 1024 * 1024)) most=${LIMIT_SECONDS:-275} patience=${PATIENCE:-60}
# Each of the programs has less than 0.6 GiB, beside its slot's load.
need_managed $((slots * 9 / 10 + 1))
mkdir "$runtime/bin"
end() {
  # shellcheck disable=SC2046
  kill $(cat "$runtime"/*/pids 2>/dev/null) 2>/dev/null || true
  cleanup
}
trap end EXIT

# --- compile --------------------------------------------------------------------------------------------
cd "$gpu_tests/../programs"
# usage: note KIND FILE: what the comment with which a program begins says of it; common.h explains the kinds
note() { sed -n "\\|^//|!q; s|^// $1: ||p" "$2"; }
compile() { # FILE
  local name flags=()
  name=$(basename "${1%.*}")
  read -r -a flags <<<"$(note build "$1")"
  case $1 in
  *.cu) nvcc -O1 -arch=native -I . "${toolkit[@]}" -o "$runtime/bin/$name" "$1" "${flags[@]}" ;;
  *)
    if [ -n "${NVSHARE_TEST_DRIVER:-}" ]; then
      cc -O1 -pthread -I . -I "$CUDA_HEADERS/13" -o "$runtime/bin/$name" "$1" -Wl,--as-needed "$NVSHARE_TEST_DRIVER"
    else
      nvcc -O1 -cudart none -I . "${toolkit[@]}" -o "$runtime/bin/$name" "$1" -Xlinker --as-needed -lcuda -lpthread -ldl
    fi ;;
  esac >"$runtime/bin/$name.log" 2>&1 || echo "does not compile: $1" >>"$runtime/bin/failed"
}
sources=(*/*.c)
# shellcheck source=tests/gpu/lib/toolkit.sh
if command -v nvcc >/dev/null; then sources+=(*/*.cu); . "$gpu_tests/lib/toolkit.sh"; else echo 'no nvcc: the programs of the runtime API are left out'; fi
if [ -n "${ONLY:-}" ]; then
  wanted=()
  for name in $ONLY; do for file in "${sources[@]}"; do [ "$(basename "${file%.*}")" != "$name" ] || wanted+=("$file"); done; done
  sources=("${wanted[@]}")
fi
kept=()
for file in "${sources[@]}"; do
  crashes=$(note 'crashes the driver' "$file")
  if [ -n "$crashes" ] && [ -z "${NVSHARE_TEST_DRIVER:-}" ]; then echo "left out: $(basename "${file%.*}"): $crashes"; else kept+=("$file"); fi
done
sources=("${kept[@]}")
compile_some() { local file; while file=$(next "$runtime/sources") && [ -n "$file" ]; do compile "$file"; done; }
next() { ( # LIST: its next line, each line to one asker only
  exec 9>>"$1.lock"; flock 9
  local at; at=$(cat "$1.at" 2>/dev/null || echo 1)
  sed -n "${at}p" "$1"; echo $((at + 1)) >"$1.at"
) }
printf '%s\n' "${sources[@]}" >"$runtime/sources"
touch "$runtime/bin/failed"
for _ in $(seq "$(nproc)"); do compile_some & done
wait
cat "$runtime"/bin/*.log >"$out/compile.log"

# --- run --------------------------------------------------------------------------------------------------
parallel=() single=()
for file in "${sources[@]}"; do
  name=$(basename "${file%.*}")
  [ -x "$runtime/bin/$name" ] || continue
  if [ -n "$(note alone "$file")" ]; then single+=("$name"); else parallel+=("$name"); fi
done

# usage: run_one WAY NAME SOCKET ENGINE
run_one() {
  local at="$runtime/$1/$2" code=0 settings=()
  if [ "$1" != native ]; then
    # What the program asks for itself comes last, and holds.
    read -r -a settings <<<"$(note nvshare */"$2".c*)"
    settings=("LD_PRELOAD=$built/libnvshare.so" "NVSHARE_SOCKET=$3" "NVSHARE_ENGINE=$4" "${settings[@]}")
  fi
  # What is to be told at the end must be told in time.
  local left=$((most + 10 - SECONDS))
  timeout -k 2 $((left < 5 ? 5 : left < patience ? left : patience)) env "${settings[@]}" "$runtime/bin/$2" >"$at.out" 2>"$at.err" </dev/null || code=$?
  echo $code >"$at.code"
}

# usage: worker WAY LIST NUMBER ENGINE CONTENDED: runs what is left of the list
worker() {
  local way=$1 list=$2 engine=$4 dir="$runtime/$1-$3-$RANDOM" name socket='' ready=yes
  if [ "$way" != native ]; then
    mkdir "$dir"
    socket="$dir/tenants/scheduler.sock"
    "$built/nvshare-scheduler" --runtime-dir "$dir" --quantum "$quantum" --evict always 2>"$dir/log" & echo $! >"$dir/pids"
    for _ in $(seq 200); do "$built/nvsharectl" --runtime-dir "$dir" status >/dev/null 2>&1 && break; sleep 0.05; done
    if [ "$5" = contended ]; then
      env LD_PRELOAD="$built/libnvshare.so" NVSHARE_SOCKET="$socket" NVSHARE_ENGINE="$engine" \
        "$built/load" --bytes "$load_bytes" --seconds 1000 >"$dir/load" 2>&1 & echo $! >>"$dir/pids"
      for _ in $(seq 400); do grep -q '"step"' "$dir/load" && break; sleep 0.05; done
      grep -q '"step"' "$dir/load" || { echo "$way: the load does not start: $(tail -n 1 "$dir/load")" >>"$out/details.txt"; ready=no; }
    fi
  fi
  # Without what is to be beside them, they are not run, and the table says so.
  while [ $ready = yes ] && [ $SECONDS -lt "$most" ] && name=$(next "$list") && [ -n "$name" ]; do run_one "$way" "$name" "$socket" "$engine"; done
  if [ "$way" != native ]; then
    # shellcheck disable=SC2046
    kill $(cat "$dir/pids") 2>/dev/null || true
    wait
    { echo "--- $way $3"; tail -n 40 "$dir/log"; } >>"$out/schedulers.log"
  fi
}

# usage: all_of WAY ENGINE CONTENDED
all_of() {
  local start=$SECONDS number
  [ $start -lt "$most" ] || { echo "$1: NO TIME LEFT"; mkdir "$runtime/$1"; return; }
  mkdir "$runtime/$1"
  printf '%s\n' "${parallel[@]}" >"$runtime/$1/list"
  printf '%s\n' "${single[@]}" >"$runtime/$1/single"
  for number in $(seq "$slots"); do worker "$1" "$runtime/$1/list" "$number" "$2" "$3" & done
  wait
  # Those that look at the whole card's memory, one after the other.
  worker "$1" "$runtime/$1/single" 0 "$2" "$3"
  echo "$1: $((SECONDS - start)) s"
}
echo "compiled: $((SECONDS)) s"
all_of native '' ''
all_of alone auto ''
all_of contended auto contended
all_of contended-managed managed contended

# --- compare ------------------------------------------------------------------------------------------------
python3 "$scripts/programs.py" "$runtime" "$out" "$(machine)" differs.txt "${parallel[@]}" "${single[@]}"
