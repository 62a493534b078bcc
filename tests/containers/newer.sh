#!/bin/bash
# The same with the engines of a newer Debian (trixie: docker 26, podman 5.4, runc 1.1.15, crun 1.21, containerd 1.7), which
# are put into a tree of their own. As root; about five minutes, and three more the first time.
# usage: newer.sh [CASES...]     Settings: those of ../tools/debian-tree.sh, and those of run.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(realpath "$here/../..")
. "$here/../tools/debian-tree.sh"
enter_debian containers "$here/newer.sh" "$@"
exec env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "${proxies[@]}" \
    NVSHARE_BIN="${NVSHARE_BIN:-$source/target/release}" NVSHARE_WORLD="${NVSHARE_WORLD:-$source/target/debug}" \
    NVSHARE_LIBRARY="${NVSHARE_LIBRARY:-$source/target/x86_64-unknown-linux-gnu/release/libnvshare.so}" \
    bash "$source/tests/containers/run.sh" "$@"
