#!/bin/bash
# Jobs of a real Slurm that share GPUs by shards: munged, slurmctld and slurmd of this Debian, fake GPU devices, and the
# simulated driver. Runs as root; installs Slurm if it is missing.
#
#   tests/slurm/run.sh [CASES...]      CASES: setup jobs limits turns several container operators faults guide cost removal
#                                     (all by default, in this order; setup always)
#
#   NVSHARE_WORLD     directory of the programs, libfakecuda.so and libnvshare_spank.so (default: target/debug)
#   NVSHARE_LIBRARY   the libnvshare.so to load (default: that of NVSHARE_WORLD)
#   NVSHARE_SLURM_DEB the package nvshare-slurm, for the case package (not by default)
#   NVSHARE_KEEP      a directory that the daemons' logs are copied to
#   NVSHARE_CGROUPS   2: with control groups of version 2, also on a host of version 1 (needs gcc)
#
# Nothing of the machine is changed but the packages: everything happens in mount, process, network and host name spaces
# of its own, with our files laid over /usr and /etc, and ends with this script.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../containers/tap.sh"

if [ "${NVSHARE_TEST_INSIDE:-}" != 1 ]; then
    [ "$(id -u)" = 0 ] || { echo "Bail out! root is needed"; exit 1; }
    packages=(slurm-client slurmctld slurmd munge jq iproute2 runc)
    for command in slurmctld slurmd srun munged jq ip runc; do
        command -v "$command" >/dev/null && continue
        export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
        # No daemon of the packages may start.
        policy=
        if ! [ -e /usr/sbin/policy-rc.d ]; then policy=/usr/sbin/policy-rc.d; printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; fi
        apt-get update -qq >/dev/null 2>&1
        apt-get install -y --no-install-recommends "${packages[@]}" >/dev/null 2>&1
        installed=$?
        [ -z "$policy" ] || rm -f "$policy"
        [ $installed = 0 ] || { echo "Bail out! cannot install ${packages[*]}"; exit 1; }
        break
    done
    # No fault may hold whoever waits for the end.
    exec env NVSHARE_TEST_INSIDE=1 timeout --foreground -k 10 600 unshare --mount --propagation private --net --uts --pid --fork --mount-proc --kill-child \
        bash "$here/run.sh" "$@"
fi

work=$(mktemp -d /var/tmp/nvshare-slurm.XXXXXX)
chmod 755 "$work"
node=nvs$(basename "$work" | tr -dc a-z0-9 | tail -c 6)
scheduler=
cleanup() {
    local pid
    [ ! -e "$work/slurmctld.pid" ] || slurm_down
    [ -z "$scheduler" ] || { kill "$scheduler"; wait "$scheduler"; } 2>/dev/null
    pid=$(cat "$work/munge.pid" 2>/dev/null) && kill "$pid" 2>/dev/null
    [ -z "${NVSHARE_KEEP:-}" ] || { mkdir -p "$NVSHARE_KEEP" && cp -r "$work/log" "$work"/*.log "$NVSHARE_KEEP"; } 2>/dev/null
    cd /
    # slurmstepd leaves the directories of its node behind.
    find /sys/fs/cgroup -depth -type d -path "*slurm_$node*" -exec rmdir {} + 2>/dev/null
    find /sys/fs/cgroup -depth -type d -path "*${node}_slurmstepd.scope*" -exec rmdir {} + 2>/dev/null
    umount -l /usr /etc /var/lib /run 2>/dev/null
    rm -rf --one-file-system "$work" 2>/dev/null
}
trap cleanup EXIT
trap 'exit 1' INT TERM

world=$(realpath "${NVSHARE_WORLD:-${CARGO_TARGET_DIR:-$here/../../target}/debug}")
library=$(realpath "${NVSHARE_LIBRARY:-$world/libnvshare.so}")
for file in "$world"/{nvshare-scheduler,nvsharectl,nvshare-ctk,load,libfakecuda.so,libnvshare_spank.so} "$library"; do
    [ -e "$file" ] || { echo "Bail out! $file is not built"; exit 1; }
done

# A node with nvshare's packages in place.
for directory in usr etc var/lib; do
    mkdir -p "$work/over/$directory/up" "$work/over/$directory/work"
    mount -t overlay overlay -o "lowerdir=/$directory,upperdir=$work/over/$directory/up,workdir=$work/over/$directory/work" "/$directory" \
        || { echo "Bail out! cannot lay a writable copy over /$directory"; exit 1; }
done
if [ "${NVSHARE_CGROUPS:-}" = 2 ] && [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup || { echo "Bail out! no control groups of version 2"; exit 1; }
    only_v2=$work/only-v2.so
    gcc -O1 -shared -fPIC -o "$only_v2" "$here/only-v2.c" -ldl || { echo "Bail out! only-v2.c cannot be compiled"; exit 1; }
fi
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
hostname "$node" || { echo "Bail out! the host name cannot be set"; exit 1; }
ip link set lo up
# Slurm's daemons look for addresses of families that the host has beside its loopback ones (AI_ADDRCONFIG).
ip addr add 192.0.2.1/32 dev lo
printf '127.0.0.1 localhost %s\n' "$node" >/etc/hosts
mkdir -p /usr/lib/nvshare /etc/nvshare /etc/slurm "$work"/{dev,log,state,spool,card,bin,driver}
chmod 1777 "$work/card" "$work/log"
install -m644 "$library" /usr/lib/nvshare/libnvshare.so
install -m644 "$world/libnvshare_spank.so" /usr/lib/nvshare/nvshare_spank.so.in
install -m755 "$world"/{nvshare-scheduler,nvsharectl,nvshare-ctk,load} /usr/bin/
ln -s "$world/libfakecuda.so" "$work/driver/libcuda.so.1"
rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf /etc/slurm/cgroup.conf
# What a job's program finds of a simulated GPU: 256 MiB each.
export LD_LIBRARY_PATH=$work/driver FAKECUDA_DIR=$work/card FAKECUDA_DEVICES=2 FAKECUDA_MEMORY=268435456
for n in 0 1; do mknod "$work/dev/nvidia$n" c 195 $n; done
for tool in /usr/bin/srun /usr/bin/sbatch /usr/bin/squeue; do [ -x $tool ] || { echo "Bail out! no $tool"; exit 1; }; done

. "$here/cluster.sh"
. "$here/jobs.sh"

munge_up || { echo "Bail out! munged does not start: $(tail -1 "$work/log/munged.log")"; exit 1; }
cases=${*:-setup jobs limits turns several container operators faults guide cost removal}
[[ " $cases " == *" setup "* ]] || cases="setup $cases"
for case in $cases; do
    echo "# $case"
    . "$here/case-$case.sh"
done
[ $failed = 0 ] || { echo "# the last lines of slurmd.log:"; tail -n 20 "$work/log/slurmd.log" | sed 's/^/#   /'; }
summary
