"""Not PyTorch: what the scripts beside this folder use of it, over the driver's API, so that they can be rehearsed on the
simulated GPU. Memory is the driver's and every word is checked; words are whole numbers whatever their type is called.
Whatever else is asked for is a stand-in that computes nothing, so that a rehearsal shows that a script runs, not that what
it asks of PyTorch is right."""
import contextlib
import ctypes
import itertools
import os
import pathlib
from unittest.mock import MagicMock

_cu = ctypes.CDLL("libcuda.so.1")
_kernels = (pathlib.Path(__file__).parents[2] / "fakecuda" / "kernels.ptx").read_bytes() + b"\0"
_contexts, _streams = {}, [ctypes.c_void_p(0)]
__version__ = "0, a stand-in for rehearsals"
uint8 = "uint8"


def _do(name, *arguments):
    code = getattr(_cu, name)(*arguments)
    if code:
        raise RuntimeError(f"CUDA error {code}: {name}")


def _on(device):
    """Makes the device's context current; its kernels."""
    if not _contexts:
        _do("cuInit", 0)
    if device not in _contexts:
        context, module, kernels = ctypes.c_void_p(), ctypes.c_void_p(), {}
        _do("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        _do("cuCtxSetCurrent", context)
        _do("cuModuleLoadData", ctypes.byref(module), _kernels)
        for name in ("fill", "add_one", "vector_add"):
            kernels[name] = ctypes.c_void_p()
            _do("cuModuleGetFunction", ctypes.byref(kernels[name]), module, name.encode())
        _contexts[device] = context, kernels
    context, kernels = _contexts[device]
    _do("cuCtxSetCurrent", context)
    return kernels


def _launch(device, name, *arguments):
    kernel = _on(device)[name]
    pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.cast(ctypes.pointer(a), ctypes.c_void_p) for a in arguments))
    _do("cuLaunchKernel", kernel, 64, 1, 1, 128, 1, 1, 0, _streams[-1], pointers, None)


class Tensor:
    def __init__(self, shape, dtype=None, device="cuda", pin_memory=False):
        shape = shape if isinstance(shape, tuple) else (shape,)
        count = 1
        for length in shape:
            count *= length
        self.words, self.device, self.at = count // 4 if dtype == uint8 else count, None, ctypes.c_uint64()
        self.bytes = ctypes.c_size_t(self.words * 4)
        self.device = int(device.split(":")[1]) if ":" in device else 0
        self.pinned = pin_memory
        _on(self.device)
        if pin_memory:
            _do("cuMemHostAlloc", ctypes.byref(self.at), self.bytes, 0)
        else:
            _do("cuMemAlloc_v2", ctypes.byref(self.at), self.bytes)

    def __del__(self):
        if getattr(self, "at", None) and self.at.value:
            _on(self.device)
            _cu.cuMemFreeHost(self.at) if self.pinned else _cu.cuMemFree_v2(self.at)

    def fill_(self, value):
        _launch(self.device, "fill", self.at, ctypes.c_uint32(int(value)), ctypes.c_uint64(self.words))
        return self

    def add_(self, other):
        if isinstance(other, Tensor):
            return add(self, other, out=self)
        for _ in range(other):
            _launch(self.device, "add_one", self.at, ctypes.c_uint64(self.words))
        return self

    def copy_(self, other, non_blocking=False):
        _on(self.device)
        _do("cuMemcpyAsync", self.at, other.at, self.bytes, _streams[-1])
        return self

    def __getitem__(self, _):
        return self

    def chunk(self, _):
        return [self]

    def __eq__(self, value):
        host = (ctypes.c_uint32 * self.words)()
        _on(self.device)
        _do("cuMemcpyDtoH_v2", host, self.at, self.bytes)
        right = bytes(host) == int(value).to_bytes(4, "little") * self.words
        return MagicMock(all=lambda: right)

    def block_until_ready(self):
        cuda.synchronize(self.device)
        return self


def full(shape, value, **how):
    return Tensor(shape, **how).fill_(value)


def zeros(shape, **how):
    return full(shape, 0, **how)


def ones(shape, **how):
    return full(shape, 1, **how)


def empty(shape, **how):
    return Tensor(shape, **how)


def empty_like(other):
    return Tensor(other.words, device=f"cuda:{other.device}")


def add(a, b, out=None):
    out = empty_like(a) if out is None else out
    # Small whole numbers as the bits of floats add up as whole numbers do.
    _launch(a.device, "vector_add", out.at, a.at, b.at, ctypes.c_uint64(a.words))
    return out


class Event:
    def __init__(self, enable_timing=False):
        self.event = ctypes.c_void_p()
        _on(0)
        _do("cuEventCreate", ctypes.byref(self.event), 0)

    def record(self):
        _do("cuEventRecord", self.event, _streams[-1])

    def elapsed_time(self, end):
        took = ctypes.c_float()
        _do("cuEventElapsedTime", ctypes.byref(took), self.event, end.event)
        return took.value


class Stream:
    def __init__(self):
        self.stream = ctypes.c_void_p()
        _on(0)
        _do("cuStreamCreate", ctypes.byref(self.stream), 1)

    def wait_stream(self, _):
        pass


class _Cuda:
    Event, Stream = Event, Stream

    @staticmethod
    def synchronize(device=0):
        _on(device)
        _do("cuCtxSynchronize")

    @staticmethod
    def mem_get_info():
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        _on(0)
        _do("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    @staticmethod
    def empty_cache():
        pass

    @staticmethod
    @contextlib.contextmanager
    def stream(stream):
        _streams.append(stream.stream)
        yield
        _streams.pop()

    def __getattr__(self, name):
        return StandIn()


class StandIn(MagicMock):
    """Answers anything with another of its kind; the number is 1."""

    def __iter__(self):
        return itertools.repeat(StandIn())


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return StandIn()


cuda = _Cuda()
if os.environ.get("REHEARSAL_SCALE") is None:
    raise ImportError("this stand-in is for rehearsals alone")
