#!/bin/bash
# Containers started by real engines. Runs as root on any Debian; installs what it needs.
#
#   tests/containers/run.sh [CASES...]      CASES: speed runc crun youki docker turns containerd podman rootless matrix
#                                          documents compose jupyter servers users
#                                          (all by default)
#
#   NVSHARE_BIN       directory of nvshare-runtime, nvshare-hook, nvshare-ctk (default: the cargo target directory)
#   NVSHARE_WORLD     directory of nvshare-scheduler, nvsharectl, load, libfakecuda.so (default: NVSHARE_BIN)
#   NVSHARE_LIBRARY   a libnvshare.so to load (default: a stand-in, compiled here)
#
# Nothing of the machine is changed but the packages: everything happens in a mount and a process namespace,
# with the package's files laid over /usr and /etc, and ends with this script.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tap.sh"
. "$here/images.sh"
. "$here/engine-faults.sh"

if [ "${NVSHARE_TEST_INSIDE:-}" != 1 ]; then
    [ "$(id -u)" = 0 ] || { echo "Bail out! root is needed"; exit 1; }
    needed=(python3 docker-compose curl useradd runc crun dockerd docker containerd ctr podman buildah musl-gcc jq newuidmap gcc conmon)
    packages=(python3 python3-venv docker-compose curl passwd runc crun docker.io containerd podman buildah musl-tools musl jq uidmap gcc libc6-dev conmon)
    for command in "${needed[@]}"; do
        command -v "$command" >/dev/null && continue
        export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
        apt-get update -qq >/dev/null 2>&1
        # Newer Debians have the client in a package of its own.
        apt-cache show docker-cli >/dev/null 2>&1 && packages+=(docker-cli)
        apt-get install -y --no-install-recommends "${packages[@]}" >/dev/null 2>&1 \
            || { echo "Bail out! cannot install ${packages[*]}"; exit 1; }
        break
    done
    exec env NVSHARE_TEST_INSIDE=1 unshare --mount --propagation private --pid --fork --mount-proc --kill-child \
        bash "$here/run.sh" "$@"
fi

work=$(mktemp -d /var/tmp/nvshare-containers.XXXXXX)
children=()
cleanup() {
    local pid
    for pid in "${children[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${children[@]}"; do wait "$pid" 2>/dev/null; done
    cd /; umount -l /usr /etc /run /var/lib 2>/dev/null
    rm -rf --one-file-system "$work" 2>/dev/null
}
trap cleanup EXIT
trap 'exit 1' INT TERM

target=${CARGO_TARGET_DIR:-$here/../../target}
bin=${NVSHARE_BIN:-}
for directory in "$target/release" "$target/debug"; do
    [ -z "$bin" ] && [ -x "$directory/nvshare-runtime" ] && bin=$directory
done
[ -n "$bin" ] || { echo "Bail out! build nvshare-runtime-hook first or set NVSHARE_BIN"; exit 1; }

# A machine with the package's files in place.
for directory in usr etc var/lib; do
    mkdir -p "$work/over/$directory/up" "$work/over/$directory/work"
    mount -t overlay overlay -o "lowerdir=/$directory,upperdir=$work/over/$directory/up,workdir=$work/over/$directory/work" "/$directory" \
        || { echo "Bail out! cannot lay a writable copy over /$directory"; exit 1; }
done
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
# podman keeps its locks here; one held by a run that was stopped would stop all later ones.
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
mkdir -p /run/lock /run/nvshare/tenants /usr/lib/nvshare /etc/nvshare
chmod 755 "$work"
mkdir /run/own-cgroup && mount --rbind /sys/fs/cgroup /run/own-cgroup
cgroup2() { umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup; }
# What the package does for podman, and undoes.
hook_in_place() {
    install -D -m644 "$here/../../packaging/hooks.d/50-nvshare.json" -t /usr/share/nvshare/hooks.d
    nvshare-ctk runtime configure --runtime=podman-hook 2>/dev/null
}
hook_away() {
    nvshare-ctk runtime unconfigure --runtime=podman-hook 2>/dev/null
    rm -r /usr/share/nvshare/hooks.d
}
own_cgroup() { umount -R /sys/fs/cgroup && mount --rbind /run/own-cgroup /sys/fs/cgroup; }
install -m755 "$bin"/nvshare-{runtime,hook,ctk} /usr/bin/
if [ -n "${NVSHARE_LIBRARY:-}" ]; then
    install -m644 "$NVSHARE_LIBRARY" /usr/lib/nvshare/libnvshare.so
else
    gcc -shared -fPIC -o /usr/lib/nvshare/libnvshare.so "$here/marker.c"
fi
log=$work/runtime.log
settings() { printf '[runtime]\nlog_file = "%s"\n%s\n' "$log" "${1:-}" >/etc/nvshare/config.toml; }
settings

mkdir "$work/images"
make_images "$work/images" || { echo "Bail out! cannot make images"; exit 1; }
# With musl beside glibc this machine itself would be an image of both kinds.
rm -f /usr/lib/ld-musl-*
start_scheduler() {
    "$work/images/show" serve /run/nvshare/tenants/scheduler.sock >/dev/null 2>&1 &
    scheduler=$!
    for _ in $(seq 100); do [ -S /run/nvshare/tenants/scheduler.sock ] && return; sleep 0.05; done
}
restart_scheduler() {
    kill "$scheduler"; wait "$scheduler" 2>/dev/null
    rm -f /run/nvshare/tenants/scheduler.sock
    start_scheduler
}
start_scheduler

managed="loaded=1 connect=ok"
unmanaged="loaded=0 LD_PRELOAD=- NVSHARE_SOCKET=- connect=-"

for case in ${*:-speed runc crun youki docker turns containerd podman rootless matrix documents compose jupyter servers users}; do
    echo "# $case"
    . "$here/case-$case.sh"
    own_cgroup
done
summary
