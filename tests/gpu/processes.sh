#!/bin/bash
# What a step costs alone under nvshare (swap, the default), beside natively, for those cases of frameworks.sh that wait for
# the processor: told by many processes of each kind, timed in turn on the same cores.
# What it must show: a step at most 1 % slower than natively, a launch at most 0.1 us.
# Expected: 40 to 60 s a case. Settings: ONLY="case ..."; PROCESSES (8); ROUNDS (9); PINNED (1: on the same cores, with addresses
# not randomised); LIMIT_SECONDS (540): what has not begun by then is told.
export BY=processes LIMIT_SECONDS=${LIMIT_SECONDS:-540}
export ONLY=${ONLY:-torch_eager torch_autocast torch_expandable torch_malloc_async torch_loader torch_ipc torch_compile_graphs jax cpp_static_launches cpp_shared_launches}
exec bash "$(dirname "$0")/frameworks.sh"
