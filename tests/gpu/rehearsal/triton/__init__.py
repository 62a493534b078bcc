"""Not Triton: see torch.py beside it."""
from torch import StandIn

__version__, jit, cdiv = "0, a stand-in for rehearsals", StandIn(), StandIn()
