#!/bin/bash
# Packs a Debian 12 that is just enough for systemd 252 to run a service, and our container programs, for a GPU machine
# that has neither systemd nor a network. service.sh boots it there.
# Run it on Debian 12, after `make gpu-pack`. About half a minute.
# usage: tests/gpu/pack-systemd.sh [DIRECTORY]     (default: build/gpu)
. "$(dirname "$0")/lib/pack.sh"

packages=(systemd libsystemd-shared dash mount libc6 libgcc-s1 libacl1 libapparmor1 libaudit1 libblkid1 libcap-ng0 libcap2
  libcrypt1 libssl3 libgcrypt20 libgpg-error0 libip4tc2 libkmod2 liblz4-1 liblzma5 libmount1 libpam0g libpcre2-8-0
  libseccomp2 libselinux1 libzstd1)
unpack_packages "${packages[@]}"
mkdir -p tree/{dev,proc,sys,run,root,tmp,var/tmp,var/log,etc,usr/bin,usr/sbin,usr/lib/systemd/system}
chmod 1777 tree/{tmp,var/tmp}
ln -s ../run tree/var/run
for name in bin sbin lib lib64; do mkdir -p "tree/usr/$name"; ln -s "usr/$name" "tree/$name"; done

# Programs.
programs=(lib/systemd/{systemd,systemd-journald,systemd-shutdown} bin/{systemctl,journalctl,systemd-sysusers,systemd-tmpfiles}
  usr/bin/systemd-analyze bin/{mount,umount,dash})
for program in "${programs[@]}"; do
  install -D -m 755 "all/$program" "tree/usr/${program#usr/}"
done
ln -s dash tree/usr/bin/sh
# Of the libraries those that they or ours need, and those that NVIDIA's name beside them.
libraries=tree/usr/lib/x86_64-linux-gnu
mkdir -p "$libraries"
cp -a all/lib64/. tree/usr/lib64/
for directory in all/lib/x86_64-linux-gnu all/usr/lib/x86_64-linux-gnu all/usr/lib/x86_64-linux-gnu/systemd; do
  find "$directory" -maxdepth 1 -name 'lib*.so*' -exec cp -a {} "$libraries/" \;
done
cp -a all/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "$libraries/"
needed=$(for program in "${programs[@]/#/all/}" "$out"/nvshare-{scheduler,ctk,runtime,hook} "$out/nvsharectl"; do
  # In systemd's programs stands where its own libraries are; the tree has them beside the others.
  all/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --inhibit-cache --library-path "$libraries" --list "$program"
done)
missing=$(grep 'not found' <<<"$needed" || true)
[ -z "$missing" ] || { echo "a package is missing in this script:" "$missing" >&2; exit 1; }
keep=" $(awk '{ print $1 }' <<<"$needed" | sort -u | xargs) ld-linux-x86-64.so.2 libdl.so.2 libm.so.6 libpthread.so.0 librt.so.1 "
real=' '
for library in $keep; do
  [ ! -e "$libraries/$library" ] || real+="$(basename "$(realpath "$libraries/$library")") "
done
for file in "$libraries"/*; do
  [[ $keep$real == *" ${file##*/} "* ]] || rm "$file"
done
find tree -type f '(' -name '*.so*' -o -perm -100 ')' -exec strip --strip-unneeded {} + 2>/dev/null || true

# Units: what is up before the services of multi-user.target are, the log, and the files of tmpfiles.d.
units=all/lib/systemd/system
for unit in sysinit basic multi-user local-fs local-fs-pre sockets timers paths slices swap shutdown umount final exit halt; do
  cp "$units/$unit.target" tree/usr/lib/systemd/system/
done
cp "$units"/systemd-{journald.service,journald.socket,journald-dev-log.socket,tmpfiles-setup.service,exit.service,halt.service} \
  tree/usr/lib/systemd/system/
wants() {
  mkdir -p "tree/usr/lib/systemd/system/$1.wants"
  for unit in "${@:2}"; do ln -s "../$unit" "tree/usr/lib/systemd/system/$1.wants/$unit"; done
}
wants sysinit.target systemd-journald.service systemd-tmpfiles-setup.service
wants sockets.target systemd-journald.socket systemd-journald-dev-log.socket
ln -s multi-user.target tree/usr/lib/systemd/system/default.target
install -D -m 644 all/usr/lib/sysusers.d/basic.conf -t tree/usr/lib/sysusers.d
printf 'g systemd-journal - -\n' >tree/usr/lib/sysusers.d/journal.conf
. /etc/os-release
printf 'ID=%s\nVERSION_ID=%s\nPRETTY_NAME="%s, for a test"\n' "$ID" "$VERSION_ID" "$PRETTY_NAME" >tree/etc/os-release

tar -C tree --owner=0 --group=0 --sort=name -c . | xz --x86 --lzma2=preset=9e >"$out/systemd.tar.xz"
finish_pack
