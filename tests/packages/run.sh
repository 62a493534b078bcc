#!/bin/bash
# The packages of `make dist`: what they are, and what happens where they are installed, upgraded and removed. Runs
# as root on any Debian; installs what it needs, and keeps a tree of each Debian in NVSHARE_TREES.
#
#   tests/packages/run.sh [CASES...]      CASES: contents bookworm trixie docker rpm (all by default)
#
#   NVSHARE_DIST      directory of the packages, with what prepare.sh made in again/ and next/ below it
#   NVSHARE_WORLD     directory of load and libfakecuda.so (default: the debug target directory)
#   NVSHARE_TREES     default: /var/cache/nvshare-tests
#
# Nothing of this machine is changed but its packages: machines are booted in trees of their own.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../containers/tap.sh"
. "$here/machine.sh"
for case in contents debian docker rpm; do . "$here/case-$case.sh"; done

if [ "${NVSHARE_TEST_INSIDE:-}" != 1 ]; then
    [ "$(id -u)" = 0 ] || { echo "Bail out! root is needed"; exit 1; }
    needed=(debootstrap systemd-nspawn rpm lintian mandoc zsh fish jq)
    packages=(debootstrap systemd-container rpm lintian mandoc zsh fish jq)
    for command in "${needed[@]}"; do
        command -v "$command" >/dev/null && continue
        export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
        apt-get update -qq >/dev/null 2>&1
        apt-get install -y --no-install-recommends "${packages[@]}" >/dev/null 2>&1 \
            || { echo "Bail out! cannot install ${packages[*]}"; exit 1; }
        break
    done
    exec env NVSHARE_TEST_INSIDE=1 unshare --mount --propagation private --pid --fork --mount-proc --kill-child \
        bash "$here/run.sh" "$@"
fi

target=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")
dist=${NVSHARE_DIST:-$target/dist}
world=${NVSHARE_WORLD:-$target/debug}
trees=${NVSHARE_TREES:-/var/cache/nvshare-tests}
work=$(mktemp -d /var/tmp/nvshare-packages.XXXXXX)
layers=0 machine='' leader='' tenant=''
cleanup() {
    # A process that was started into the machine from here would keep it from ending.
    [ -z "$tenant" ] || kill "$tenant" 2>/dev/null
    [ -z "$machine" ] || { kill "$machine"; wait "$machine"; } 2>/dev/null
    cd /; umount -l "$work"/layer-*/root 2>/dev/null
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# one DIRECTORY PATTERN: the one file of that kind in the directory.
one() {
    local found=("$1"/$2)
    [ ${#found[@]} = 1 ] && [ -e "${found[0]}" ] || { echo "Bail out! $1 has not one $2: run make test-packages" >&2; exit 1; }
    echo "${found[0]}"
}
deb=$(one "$dist" 'nvshare_*.deb') && rpm=$(one "$dist" 'nvshare-[0-9]*.rpm') || exit 1
slurm_deb=$(one "$dist" 'nvshare-slurm_*.deb') && slurm_rpm=$(one "$dist" 'nvshare-slurm-*.rpm') || exit 1
deb_next=$(one "$dist/next" 'nvshare_*.deb') && rpm_next=$(one "$dist/next" 'nvshare-[0-9]*.rpm') || exit 1
mkdir "$work"/{packages,world}
cp "$deb" "$rpm" "$rpm_next" "$work/packages/"
cp "$world/load" "$work/world/" && cp "$world/libfakecuda.so" "$work/world/libcuda.so.1" || exit 1
chmod -R a+rX "$work"

for case in ${*:-contents bookworm trixie docker rpm}; do
    echo "# $case"
    case $case in
    contents | docker | rpm) "${case}_case" ;;
    *) debian_case "$case" ;;
    esac
done
summary
