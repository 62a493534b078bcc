"""Not JAX: see torch.py beside it."""
from torch import StandIn

__version__ = "0, a stand-in for rehearsals"


def jit(function):
    return function


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return StandIn()
