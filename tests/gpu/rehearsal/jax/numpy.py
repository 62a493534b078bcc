from torch import StandIn, add  # noqa: F401
from torch import full as _full

float32 = "float32"


def full(shape, value, dtype):
    return _full(shape, value)


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return StandIn()
