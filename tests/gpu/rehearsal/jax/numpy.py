from torch import StandIn, add, full as _full  # noqa: F401

float32 = "float32"


def full(shape, value, dtype):
    return _full(shape, value)


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return StandIn()
