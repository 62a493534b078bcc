#!/bin/bash
# Frameworks and CUDA's libraries in each way that they use the GPU: natively, under nvshare alone, and in turns with
# another tenant (everything moved out at each turn's end), with both engines.
# What it must show: the same results; alone, a step at most 1 % slower than natively, a launch at most 0.1 us (swap, the
# default; managed is shown beside it).
# A step of what waits for the processor differs by 10 % and more from one process to the next, natively too: of those cases,
# processes.sh tells more.
# Expected: 240 s. Settings: ONLY="case ..."; AT_ONCE (7); ROUNDS (7); LIMIT_SECONDS (275): what has not begun by then is told.
. "$(dirname "$0")/../lib/common.sh"
# Each of the cases at work has less than 3 GiB (JAX with its preallocation: 6 % of the card), the load 2.
need_managed 26
need_free 60
TORCHINDUCTOR_CACHE_DIR=$runtime/inductor TRITON_CACHE_DIR=$runtime/triton MACHINE=$(machine)
export TORCHINDUCTOR_CACHE_DIR TRITON_CACHE_DIR MACHINE TORCHINDUCTOR_COMPILE_THREADS=4
started=$SECONDS
mkdir "$runtime/speed"
built_speed=()
if command -v nvcc >/dev/null; then
  # shellcheck source=tests/gpu/lib/toolkit.sh
  . "$gpu_tests/lib/toolkit.sh"
  for library in static shared; do
    nvcc -O1 -arch=native -rdc=true -cudart $library "${toolkit[@]}" -o "$runtime/speed/speed-$library" "$loads/speed.cu" \
      -lcublas -lcufft -lcudadevrt >"$out/speed-$library.log" 2>&1 & built_speed+=($!)
  done
fi
start_scheduler_each
for pid in "${built_speed[@]}"; do wait "$pid" || { cat "$out"/speed-*.log >&2; echo 'speed.cu does not compile' >&2; }; done
# Those that take long to begin are not all in one batch.
cases=(torch_eager torch_compile_graphs cpp_static_launches cpp_shared_launches jax
  torch_autocast torch_expandable cpp_static_add cpp_static_cublas jax_preallocated
  torch_malloc_async torch_graph cpp_static_cufft cpp_static_dynamic cupy_pool
  torch_loader torch_fft cpp_shared_add cupy_async_pool triton
  torch_ipc)
[ -z "${ONLY:-}" ] || read -r -a cases <<<"$ONLY"
python3 "$scripts/${BY:-frameworks}.py" "$out" "$runtime" "$built" "$runtime/speed" $((${LIMIT_SECONDS:-275} - SECONDS + started)) "${cases[@]}"
