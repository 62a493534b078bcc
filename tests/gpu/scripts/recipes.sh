#!/bin/bash
# The programs of the documents on a real card: share.py and share.cu of docs/guide/getting-started.md, two of each at the same
# time; server.py of docs/guide/recipes.md (transformers, a model of random weights that is made here), natively, alone, two of
# them where both fit, and where one fits.
# What it must show: right numbers; the same answers as natively, always; alone an answer at most 5 % later than natively; where
# one fits, an answer to one that was idle at most 1 s later than alone.
# Expected: 80 s. Settings: MODEL_GIB (4); REQUESTS (6); TOKENS (24, of an answer); SHARE_SECONDS (5).
. "$(dirname "$0")/../lib/common.sh"
model_gib=${MODEL_GIB:-4} requests=${REQUESTS:-6} seconds=${SHARE_SECONDS:-5}
need_free $((model_gib * 5 + 6))
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error NVSHARE_LOG=info
"$gpu_tests/../documents/blocks.sh" "$runtime/blocks" program servers gpu
sed "s/2 \* 2\*\*30/$(bytes_of 2)/; s/+ 30/+ $seconds/" "$runtime"/blocks/*.program.python >"$runtime/share.py"
sed "s/max_new_tokens=64/max_new_tokens=${TOKENS:-24}/" "$runtime"/blocks/*.servers.python >"$runtime/server.py"

# The model, and how much of it the stand-in for rehearsals has. It is made, and share.cu compiled, while share.py runs.
REHEARSAL_MODEL=$(bytes_of "$model_gib")
export REHEARSAL_MODEL
making='' compiling=''
[ "$scale" != 1 ] || { python3 "$loads/llm_model.py" "$runtime/model" "$model_gib" >"$out/model.log" 2>&1 & making=$!; }
if command -v nvcc >/dev/null && [ "$scale" = 1 ]; then
  sed "s/+ 30/+ $seconds/" "$runtime"/blocks/*.gpu.cuda >"$runtime/share.cu"
  (cd "$runtime" && bash -eux "$runtime"/blocks/*.gpu.sh) >"$out/nvcc.log" 2>&1 & compiling=$!
fi

# usage: twice NAME COMMAND...: two of them at the same time, as tenants
twice() {
  local name=$1 pids=() i; shift
  for i in 1 2; do shared "$@" >"$out/$name-$i.txt" 2>"$out/$name-$i.log" & pids+=($!); done
  for i in "${pids[@]}"; do wait "$i" || true; done
}
start_scheduler
twice share-py python3 "$runtime/share.py"
if [ -n "$compiling" ]; then
  wait "$compiling" || cat "$out/nvcc.log" >&2
  twice share-cu "$runtime/share"
fi

# A second scheduler beside the first, under which one of two servers fits. All servers start at the same time; who is not asked
# does nothing.
tight=$runtime/tight
mkdir "$tight"
runtime=$tight configure "$(usable "$(python3 -c "print($model_gib * 1.5)")")"
"$built/nvshare-scheduler" --runtime-dir "$tight" --config "$tight/config.toml" 2>>"$out/scheduler-tight.log" & tight_scheduler=$!
until_answers "$tight" "$tight_scheduler" || { cat "$out/scheduler-tight.log" >&2; exit 1; }
[ -z "$making" ] || wait "$making" || { tail -n 5 "$out/model.log" >&2; exit 1; }
declare -A servers=()
# usage: serve NAME PORT [shared]
serve() { "${@:3}" python3 "$runtime/server.py" "$server_model" "$2" >"$out/$1.txt" 2>"$out/$1.log" & servers[$1]=$!; }
server_model=$runtime/model
cp "$runtime/server.py" "$tight/"
serve native 8601
serve alone 8602 shared
serve second 8603 shared
for name in tight-1:8604 tight-2:8605; do runtime=$tight serve ${name/:/ } shared; done
for name in "${!servers[@]}"; do until_says ready "$out/$name.txt" "${servers[$name]}" 90 || { tail -n 5 "$out/$name.log" >&2; exit 1; }; done
ask() { local name=$1; shift; python3 "$loads/ask.py" "$@" >"$out/$name.json" 2>"$out/$name.log" || tail -n 3 "$out/$name.log" >&2; }

ask native at-once "$requests" 8601
ask alone at-once "$requests" 8602
ask fit at-once "$requests" 8602 8603
ask idle in-turn $((requests > 4 ? 4 : requests)) 8604 8605
ask busy at-once "$requests" 8604 8605
runtime=$tight ctl status --json >"$out/status.json"
# A server under the library is the child of a shell.
for pid in "${servers[@]}"; do
  # shellcheck disable=SC2046
  kill $(cat "/proc/$pid/task/$pid/children" 2>/dev/null) "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
done
kill "$tight_scheduler"
python3 "$scripts/recipes.py" "$out" "$(machine)" "$model_gib"
