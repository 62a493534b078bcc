"""Not CuPy: see torch.py beside it."""
from torch import StandIn, Stream, add  # noqa: F401
from torch import cuda as _cuda
from torch import full as _full

__version__, float32 = "0, a stand-in for rehearsals", "float32"


def full(shape, value, dtype):
    return _full(shape, value)


class cuda(StandIn):
    class Stream:
        class null:
            synchronize = _cuda.synchronize

    MemoryPool = MemoryAsyncPool = StandIn
    set_allocator = StandIn()


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return StandIn()
