#!/bin/bash
# Packs what docs/guide/recipes.md needs and a GPU machine without a network lacks: dockerd 26, containerd and compose 2.26 of
# Debian 13 (the first that know annotations), runc of Debian 12, and a notebook's kernel (jupyter_client, ipykernel) for
# Python 3.12 and for this machine's. recipes_hosts.sh unpacks it there.
# Run it on Debian 12, after `make gpu-pack`. About three minutes.
# usage: tests/gpu/pack-recipes.sh [DIRECTORY]     (default: build/gpu)
. "$(dirname "$0")/lib/pack.sh"
newer=(docker.io docker-compose containerd)
older=(runc libseccomp2 libsystemd0 libcap2 libgcrypt20 libgpg-error0 liblzma5 libzstd1 liblz4-1)
wheels=(ipykernel jupyter_client jupyter_core tornado traitlets ipython decorator prompt_toolkit stack_data executing asttokens
  pure_eval matplotlib-inline pexpect ptyprocess comm nest_asyncio platformdirs wcwidth ipython_pygments_lexers pygments
  python-dateutil six packaging typing_extensions psutil)
cd "$work"
chmod 755 .
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
mkdir -p apt/{lists/partial,archives/partial} all eng/bin eng/lib eng/site
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >apt/sources.list
# Debian 13, from the mirror of this machine.
apt13=(-qq -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/apt/lists"
  -o Dir::State::Status=/dev/null -o Dir::Cache="$work/apt" -o Acquire::Languages=none -o APT::Sandbox::User=root)
apt-get "${apt13[@]}" update
apt-get "${apt13[@]}" download "${newer[@]}"
unpack_packages "${older[@]}"
cp all/usr/sbin/{dockerd,runc} all/usr/bin/{containerd,containerd-shim-runc-v2} all/usr/libexec/docker/cli-plugins/docker-compose eng/bin/
find all/lib all/usr/lib -name 'lib*.so*' ! -path '*/systemd/*' -exec cp -a {} eng/lib/ \;
# What needs a newer C library than machines of 2022 have would not start on all that this is for.
newest=$(objdump -T eng/bin/* eng/lib/* 2>/dev/null | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -n 1)
[ "${newest#GLIBC_2.}" -le 36 ] || { echo "these programs need $newest" >&2; exit 1; }

# usage: get PLATFORM... -- PACKAGE...: wheels for Python 3.12
platforms=(--only-binary=:all: --implementation cp --python-version 3.12)
for platform in manylinux_2_28 manylinux_2_26 manylinux_2_17 manylinux2014 manylinux_2_5 manylinux1; do platforms+=(--platform "${platform}_x86_64"); done
pip=(python3 -m pip --quiet --disable-pip-version-check)
"${pip[@]}" install --no-deps --no-compile --target eng/site "${platforms[@]}" "${wheels[@]}" pyzmq
# The binary part of it for the Python of this machine lies beside the other, for rehearsals.
"${pip[@]}" install --no-deps --no-compile --target here "pyzmq==$(sed -n 's/^Version: //p' eng/site/pyzmq-*.dist-info/METADATA)"
cp -rn here/. eng/site/
rm -rf eng/site/{bin,share} eng/site/*/tests
strip eng/bin/* 2>/dev/null || true
# One window over all of it: the Go programs have much in common, and an x86 filter helps.
tar -C eng --owner=0 --group=0 --sort=name -c . | xz --x86 --lzma2=preset="${PRESET:-9}",dict=256MiB >"$work/recipes.tar.xz"
mv "$work/recipes.tar.xz" "$out/"
finish_pack
