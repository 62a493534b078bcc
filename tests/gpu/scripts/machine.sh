#!/bin/bash
# What the machine is and has, and its memory warmed: a virtual machine's memory may grow only as it is used, and nobody
# wants to measure that. Every framework is imported once, beside that, so that its files are in the page cache.
# Expected: 20 to 60 s. Settings: WARM_GIB (72), WARM_SECONDS (35): no more of either.
. "$(dirname "$0")/../lib/common.sh"
machine
nvidia-smi -L || true
for file in /sys/kernel/mm/transparent_hugepage/enabled /sys/kernel/mm/transparent_hugepage/shmem_enabled /sys/fs/cgroup/memory.max; do
  [ ! -r "$file" ] || echo "$file: $(head -n 1 "$file")"
done
echo "kernel $(uname -r), $(command -v nvcc >/dev/null && nvcc --version | tail -n 1 || echo 'no nvcc')"
imports() {
  local start=$SECONDS module pids=() names=()
  for module in torch jax cupy triton; do
    python3 -c "import $module; print('$module', $module.__version__)" 2>"$out/import-$module.log" & pids+=($!) names+=("$module")
  done
  for module in "${!pids[@]}"; do wait "${pids[$module]}" || echo "${names[$module]}: CANNOT BE IMPORTED: $(tail -n 1 "$out/import-${names[$module]}.log")"; done
  echo "imports: $((SECONDS - start)) s"
}
imports & imported=$!
python3 "$scripts/machine_warm.py" "${WARM_GIB:-72}" "${WARM_SECONDS:-35}" "$scale"
wait $imported
