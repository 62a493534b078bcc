"""What single calls take, by the driver's API: for each line of standard input it prints microseconds.
allocate: cuMemAlloc of 1 GiB; free: cuMemFree of it; eight: one of eight such allocations in a row (freed afterwards);
launch: cuLaunchKernel of a kernel that does nothing, one of 5,000."""
import ctypes
import os
import pathlib
import sys
import time

cu = ctypes.CDLL("libcuda.so.1")
size = ctypes.c_size_t(2**30 // int(os.environ.get("REHEARSAL_SCALE", "1")))


def do(name, *arguments):
    code = getattr(cu, name)(*arguments)
    if code:
        sys.exit(f"{name}: error {code}")


device, context, taken = ctypes.c_int(), ctypes.c_void_p(), []
do("cuInit", 0)
do("cuDeviceGet", ctypes.byref(device), 0)
do("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
do("cuCtxSetCurrent", context)


def allocate():
    pointer = ctypes.c_uint64()
    start = time.perf_counter()
    do("cuMemAlloc_v2", ctypes.byref(pointer), size)
    took = time.perf_counter() - start
    taken.append(pointer)
    # Memory that nobody writes to may be cheaper than it looks.
    do("cuMemsetD8_v2", pointer, ctypes.c_ubyte(1), size)
    do("cuCtxSynchronize")
    return took


def free():
    start = time.perf_counter()
    do("cuMemFree_v2", taken.pop())
    return time.perf_counter() - start


def eight():
    took = sum(allocate() for _ in range(8)) / 8
    while taken:
        free()
    return took


module, kernel, word = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint64()
kernels = (pathlib.Path(__file__).resolve().parents[2] / "fakecuda" / "kernels.ptx").read_bytes() + b"\0"
do("cuModuleLoadData", ctypes.byref(module), kernels)
do("cuModuleGetFunction", ctypes.byref(kernel), module, b"fill")
do("cuMemAlloc_v2", ctypes.byref(word), ctypes.c_size_t(4096))
values = word, ctypes.c_uint32(0), ctypes.c_uint64(0)
arguments = (ctypes.c_void_p * 3)(*(ctypes.cast(ctypes.pointer(value), ctypes.c_void_p) for value in values))


def launch():
    call, count = cu.cuLaunchKernel, 5000
    do("cuCtxSynchronize")
    start = time.perf_counter()
    for _ in range(count):
        call(kernel, 1, 1, 1, 32, 1, 1, 0, None, arguments, None)
    do("cuCtxSynchronize")
    return (time.perf_counter() - start) / count


print("ready", flush=True)
for line in sys.stdin:
    print({"allocate": allocate, "free": free, "eight": eight, "launch": launch}[line.strip()]() * 1e6, flush=True)
