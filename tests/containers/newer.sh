#!/bin/bash
# The same with the engines of a newer Debian (trixie: docker 26, podman 5.4, runc 1.1.15, crun 1.21, containerd 1.7), which
# are put into a tree of their own. As root; about five minutes, and three more the first time.
# usage: newer.sh [CASES...]     Settings: SUITE (trixie); NVSHARE_TREES (where trees stay), and those of run.sh
set -euo pipefail
suite=${SUITE:-trixie} tree=${NVSHARE_TREES:-/var/cache/nvshare-tests}/containers-${SUITE:-trixie}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(realpath "$here/../..")

if [ "${NVSHARE_NEWER_INSIDE:-}" != 1 ]; then
    if ! [ -e "$tree/made" ]; then
        command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
        rm -rf "$tree"; mkdir -p "$tree"
        debootstrap --variant=minbase --include=ca-certificates "$suite" "$tree" \
            "$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)" >"$tree.log" 2>&1 \
            || { tail "$tree.log"; echo "Bail out! cannot make a tree of $suite"; exit 1; }
        touch "$tree/made"
    fi
    exec env NVSHARE_NEWER_INSIDE=1 unshare --mount --propagation private bash "$here/newer.sh" "$@"
fi

# The tree becomes the root for good: below a chroot an engine's exec would look into the wrong root, and there are no
# user namespaces.
mount --bind "$tree" "$tree"
mount -t proc proc "$tree/proc"
for place in sys dev; do mount --rbind "/$place" "$tree/$place"; done
for place in run tmp; do mount -t tmpfs tmpfs "$tree/$place"; done
mkdir -p "$tree/$source" "$tree/old"
mount --rbind "$source" "$tree/$source"
cp /etc/resolv.conf "$tree/etc/"
# Whoever this machine trusts, behind a proxy of its own for instance.
cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
cp -n /etc/apt/apt.conf.d/* "$tree/etc/apt/apt.conf.d/"
proxies=()
for name in http_proxy https_proxy PIP_CERT PIP_INDEX_URL; do [ -z "${!name:-}" ] || proxies+=("$name=${!name}"); done
cd "$tree"
pivot_root . old
umount -l /old
exec env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "${proxies[@]}" \
    NVSHARE_BIN="${NVSHARE_BIN:-$source/target/release}" NVSHARE_WORLD="${NVSHARE_WORLD:-$source/target/debug}" \
    NVSHARE_LIBRARY="${NVSHARE_LIBRARY:-$source/target/x86_64-unknown-linux-gnu/release/libnvshare.so}" \
    bash "$source/tests/containers/run.sh" "$@"
