#!/bin/bash
# Packs a Slurm 22.05 of Debian 12 (munged, slurmctld, slurmd, the commands, the plugins) and our plugin for it, for a GPU
# machine that has none and no network. slurm.sh unpacks it there.
# Run it on Debian 12, after `make gpu-pack` and `cargo build --release -p nvshare-slurm`. About half a minute.
# usage: tests/gpu/pack-slurm.sh [DIRECTORY]     (default: build/gpu)
. "$(dirname "$0")/lib/pack.sh"
[ -f "$built/libnvshare_spank.so" ] || { echo "$built/libnvshare_spank.so is missing: cargo build --release -p nvshare-slurm" >&2; exit 2; }
packages=(slurm-client slurmctld slurmd slurm-wlm-basic-plugins munge libmunge2 libhwloc15 libjson-c5 liblz4-1 libnuma1 libssl3 libgcrypt20
  libgpg-error0 libsystemd0 libudev1 libyaml-0-2 libzstd1 libdbus-1-3 libreadline8 libtinfo6 libpam0g libaudit1 libcap-ng0 libcap2
  liblzma5 libbz2-1.0 zlib1g)
unpack_packages "${packages[@]}"
# tree/usr goes over the machine's; the libraries stay beside the machine's own.
plugins=tree/usr/lib/x86_64-linux-gnu/slurm-wlm
mkdir -p tree/usr/{bin,sbin,lib/nvshare} tree/lib $plugins
# Debian's alternatives give the daemons these names.
for daemon in slurmctld slurmd slurmstepd; do cp "all/usr/sbin/$daemon-wlm" "tree/usr/sbin/$daemon"; done
cp all/usr/sbin/munged tree/usr/sbin/
cp all/usr/bin/{srun,sbatch,squeue,scontrol,scancel,sinfo} tree/usr/bin/
for directory in all/lib/x86_64-linux-gnu all/usr/lib/x86_64-linux-gnu; do
  find "$directory" -maxdepth 1 -name 'lib*.so*' -exec cp -a {} tree/lib/ \;
done
needs() { LD_LIBRARY_PATH=$work/tree/lib:$work/$plugins ldd "$1"; }
for file in all/usr/lib/x86_64-linux-gnu/slurm-wlm/*.so; do
  # What wants a database's library, or another that nobody needs here, stays out.
  if [[ ${file##*/} == libslurm* ]] || ! needs "$file" | grep -qv "=> $work\|libc.so\|libm.so\|libdl\|libpthread\|librt\|linux-vdso\|ld-linux\|libslurm\|libresolv\|libgcc_s\|libcrypt.so\|statically"; then cp "$file" $plugins/; fi
done
cp "$built/libnvshare_spank.so" tree/usr/lib/nvshare/nvshare_spank.so.in
find tree -type f -exec strip --strip-unneeded {} + 2>/dev/null || true
missing=$(for file in tree/usr/*bin/*; do needs "$file"; done | grep 'not found' || true)
[ -z "$missing" ] || { echo "a package is missing in this script:" "$missing" >&2; exit 1; }
# Of the libraries those that something here needs.
needed=$(for file in tree/usr/*bin/* $plugins/*.so; do needs "$file"; done | awk '{ print $1 }' | sort -u | xargs)
for library in $needed; do [ ! -e "tree/lib/$library" ] || needed+=" $(basename "$(realpath "tree/lib/$library")")"; done
for file in tree/lib/*; do [[ " $needed " == *" ${file##*/} "* ]] || rm "$file"; done
tar -C tree --owner=0 --group=0 --sort=name -c . | xz --x86 --lzma2=preset=9e >"$work/slurm.tar.xz"
mv "$work/slurm.tar.xz" "$out/"
finish_pack
