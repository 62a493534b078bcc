#!/bin/bash
# Fails if the preloaded library, or a program, needs more than a version of glibc, or any library beside glibc's own.
# usage: check-floor.sh FILE [VERSION]      VERSION: 2.17 unless named
set -euo pipefail
library=${1:?usage: check-floor.sh FILE [VERSION]}
floor=GLIBC_${2:-2.17}
newest=$(objdump -T "$library" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1)
[ -n "$newest" ] || { echo "$library: no versioned symbol found: is it a library?" >&2; exit 1; }
if [ "$(printf '%s\n%s\n' "$newest" "$floor" | sort -V | tail -n 1)" != "$floor" ]; then
  echo "$library needs $newest; the floor is $floor:" >&2
  objdump -T "$library" | grep -F "$newest" >&2
  exit 1
fi
# The loader would bring into every program what the library names: libc and the loader are there, of one build.
case $library in
  *.so) allowed='libc|ld-linux-x86-64|ld-linux-aarch64' ;;
  *) allowed='libc|libdl|libpthread|libm|librt|ld-linux-x86-64|ld-linux-aarch64' ;;
esac
others=$(objdump -p "$library" | awk '$1 == "NEEDED" { print $2 }' | grep -vE "^($allowed)\.so\.[0-9]+\$" || true)
[ -z "$others" ] || { echo "$library needs $others" >&2; exit 1; }
echo "$library: newest symbol $newest, nothing needed beside glibc"
