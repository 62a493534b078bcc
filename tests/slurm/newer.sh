#!/bin/bash
# The same with the Slurm of a newer Debian (trixie: 24.11), which is put into a tree of its own. As root; the first time two
# minutes longer.
# usage: newer.sh [CASES...]     Settings: SUITE (trixie); NVSHARE_TREES (where trees stay), and those of run.sh
set -euo pipefail
suite=${SUITE:-trixie} tree=${NVSHARE_TREES:-/var/cache/nvshare-tests}/slurm-${SUITE:-trixie}
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
for name in http_proxy https_proxy; do [ -z "${!name:-}" ] || proxies+=("$name=${!name}"); done
cd "$tree"
pivot_root . old
umount -l /old
exec env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "${proxies[@]}" \
    NVSHARE_WORLD="${NVSHARE_WORLD:-$source/target/debug}" bash "$source/tests/slurm/run.sh" "$@"
