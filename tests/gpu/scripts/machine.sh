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
python3 - "${WARM_GIB:-72}" "${WARM_SECONDS:-35}" "$scale" <<'PY'
import concurrent.futures, ctypes, mmap, sys, time
libc = ctypes.CDLL(None)
gib, seconds, scale = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
def total():
    return int(next(line for line in open("/proc/meminfo") if line.startswith("MemTotal")).split()[1]) / 2**20
size, start, kept, before = int(2**30 / scale), time.monotonic(), [], total()
def touch(_):
    if time.monotonic() - start > seconds:
        return None
    part = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # By the kernel, at once, and without the interpreter's lock: MADV_POPULATE_WRITE.
    done = libc.madvise(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(part))), ctypes.c_size_t(size), 23)
    return part if done == 0 else None
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    kept = [part for part in pool.map(touch, range(int(gib))) if part]
took = time.monotonic() - start
print(f"memory: {before:.0f} GiB in all before, {total():.0f} GiB once {len(kept) / scale:.0f} GiB had been touched in {took:.1f} s")
PY
wait $imported
