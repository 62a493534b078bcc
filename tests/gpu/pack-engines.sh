#!/bin/bash
# Packs container engines of Debian 12 (dockerd 20.10, containerd, runc, podman 4.3, crun) and our container
# programs for a GPU machine that has no engine and no network. containers.sh unpacks them there.
# Run it on Debian 12, after `make gpu-pack`. About two minutes.
# usage: tests/gpu/pack-engines.sh [DIRECTORY]     (default: build/gpu)
. "$(dirname "$0")/lib/pack.sh"

packages=(runc docker.io containerd podman conmon crun libseccomp2 libyajl2 libgpgme11 libassuan0 libdevmapper1.02.1
  libtspi1 libbtrfs0 libsubid4 libglib2.0-0 libpcre2-8-0 libcap2 libsystemd0)
unpack_packages "${packages[@]}"
mkdir -p eng/bin eng/lib
cp all/usr/sbin/{dockerd,runc} all/usr/bin/{docker,containerd,containerd-shim-runc-v2,podman,conmon,crun} eng/bin/
find all/lib all/usr/lib -name 'lib*.so*' ! -path '*/systemd/*' -exec cp -a {} eng/lib/ \;
strip eng/bin/*
# One window over all of it: the Go programs have much in common, and an x86 filter helps.
tar -C eng -c . | xz --x86 --lzma2=preset=9,dict=256MiB >"$out/engines.tar.xz"
finish_pack
