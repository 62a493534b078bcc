#!/bin/bash
# The tests of run.sh with the engines of another Debian, in a tree of its own.
#   trixie: docker 26, containerd 1.7, podman 5.4, crun 1.21      sid: docker 28, containerd 2, podman 5.8, crun 1.28
# Runs as root. The tree is made once, in two minutes, and kept in NVSHARE_TREES (default: /var/cache/nvshare-tests).
# usage: tests/containers/newer.sh trixie|sid [CASES...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
suite=${1:?usage: newer.sh SUITE [CASES...]}; shift
tree=${NVSHARE_TREES:-/var/cache/nvshare-tests}/$suite
target=${CARGO_TARGET_DIR:-$here/../../target}
export NVSHARE_BIN=${NVSHARE_BIN:-$(realpath "$target/release")}

if ! [ -e "$tree/made" ]; then
    command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    rm -rf "$tree"; mkdir -p "$tree"
    debootstrap --variant=minbase "$suite" "$tree" "$(apt-get indextargets --format '$(REPO_URI)' | head -1)" >"$tree.log" 2>&1 \
        || { tail "$tree.log"; echo "Bail out! cannot make a tree of $suite"; exit 1; }
    # Services are for the tests to start.
    printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"; chmod 755 "$tree/usr/sbin/policy-rc.d"
    touch "$tree/made"
fi
cp /etc/resolv.conf "$tree/etc/resolv.conf"

enter() {
    local directory
    mount --bind "$tree" "$tree"
    for directory in /proc /sys /dev; do mount --rbind "$directory" "$tree$directory"; done
    for directory in "$(realpath "$here/../..")" "$NVSHARE_BIN" "${NVSHARE_WORLD:-$NVSHARE_BIN}" \
        "$(dirname "${NVSHARE_LIBRARY:-$NVSHARE_BIN/x}")"; do
        mkdir -p "$tree$directory"; mount --bind "$directory" "$tree$directory"
    done
    # podman tells its root directory from a plain chroot.
    cd "$tree"; mkdir -p old; pivot_root . old; cd /; umount -l /old
    exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NVSHARE_BIN="$NVSHARE_BIN" \
        ${NVSHARE_WORLD:+NVSHARE_WORLD="$NVSHARE_WORLD"} ${NVSHARE_LIBRARY:+NVSHARE_LIBRARY="$NVSHARE_LIBRARY"} \
        bash "$here/run.sh" "$@"
}
if [ "${NVSHARE_TEST_ENTERED:-}" = 1 ]; then enter "$@"; fi
NVSHARE_TEST_ENTERED=1 exec unshare --mount --propagation private bash "$0" "$suite" "$@"
