#!/bin/bash
# What a step costs alone under nvshare (swap, the default), beside natively, for those cases of frameworks.sh that wait for
# the processor: told by many processes of each kind, timed in turn on the same cores.
# What it must show: a step at most 1 % slower than natively, a launch at most 0.1 us.
# Expected: 30 to 60 s a case. Settings: ONLY="case case:large ..."; PROCESSES (8) and LARGE_PROCESSES (4) of each kind;
# ROUNDS (9) and LARGE_ROUNDS (5); LIMIT_SECONDS (590): what has not begun by then is told.
export BY=processes LIMIT_SECONDS=${LIMIT_SECONDS:-590}
export ONLY=${ONLY:-torch_eager:large torch_autocast:large torch_compile_graphs:large torch_expandable:large torch_malloc_async:large torch_loader:large torch_ipc:large jax:large jax_preallocated:large cpp_static_launches cpp_shared_launches}
exec bash "$(dirname "$0")/frameworks.sh"
