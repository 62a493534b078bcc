#!/bin/bash
# The library for aarch64: built on its glibc floor, its symbols looked at, and run under emulation (qemu), where a
# program has to find what it finds natively, but for the driver's functions, which the library answers. There is no
# GPU in this, and no machine of that kind.
# usage: run.sh VENV      VENV: with cargo-zigbuild and zig
set -euo pipefail
PATH=$(realpath "${1:?usage: run.sh VENV}")/bin:$PATH
cd "$(dirname "$0")/../.."
triple=aarch64-unknown-linux-gnu
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
if ! command -v qemu-aarch64 aarch64-linux-gnu-gcc >/dev/null; then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
fi
rustup target add $triple
cargo zigbuild --release --locked -p nvshare-interposer --target $triple.2.17
library=$target/$triple/release/libnvshare.so
tests/tools/check-floor.sh "$library"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
aarch64-linux-gnu-gcc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$work/libcuda.so.1" tests/aarch64/driver.c
mkdir "$work/beside"
aarch64-linux-gnu-gcc -shared -fPIC -o "$work/beside/libbeside.so" tests/aarch64/driver.c
aarch64-linux-gnu-gcc -O1 -o "$work/lookup" tests/aarch64/lookup.c -Wl,--enable-new-dtags,-rpath,"\$ORIGIN/beside" -ldl
emulated() { timeout 120 qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$work" -E NVSHARE_SOCKET="$work/none" "$@" "$work/lookup"; }
emulated >"$work/native"
emulated -E LD_PRELOAD="$library" >"$work/ours" 2>"$work/said"
sed 's/^\(cu[A-Za-z]*\): libcuda.so.1$/\1: libnvshare.so/' "$work/native" | diff - "$work/ours"
grep -q 'no scheduler at' "$work/said" # The agent's thread has run.
cat "$work/ours"
