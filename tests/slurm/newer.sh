#!/bin/bash
# The same with the Slurm of a newer Debian (trixie: 24.11), which is put into a tree of its own. As root; the first time two
# minutes longer.
# usage: newer.sh [CASES...]     Settings: those of ../tools/debian-tree.sh, and those of run.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(realpath "$here/../..")
. "$here/../tools/debian-tree.sh"
enter_debian slurm "$here/newer.sh" "$@"
exec env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "${proxies[@]}" \
    NVSHARE_WORLD="${NVSHARE_WORLD:-$source/target/debug}" bash "$source/tests/slurm/run.sh" "$@"
