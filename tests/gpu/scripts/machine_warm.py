"""Touches so much of the host's memory within so many seconds, and tells how much there was before and after.
usage: machine_warm.py GIB SECONDS SCALE"""

import concurrent.futures
import ctypes
import mmap
import sys
import time

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
print(
    f"memory: {before:.0f} GiB in all before, {total():.0f} GiB once {len(kept) / scale:.0f} GiB had been touched in {took:.1f} s"
)
