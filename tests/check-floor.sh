#!/bin/bash
# Fails if the preloaded library needs more than glibc 2.17, or any library beside glibc's own.
# usage: check-floor.sh LIBRARY
set -euo pipefail
library=${1:?usage: check-floor.sh LIBRARY}
newest=$(objdump -T "$library" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1)
[ -n "$newest" ] || { echo "$library: no versioned symbol found: is it a library?" >&2; exit 1; }
if [ "$(printf '%s\nGLIBC_2.17\n' "$newest" | sort -V | tail -n 1)" != GLIBC_2.17 ]; then
  echo "$library needs $newest; the floor is GLIBC_2.17:" >&2
  objdump -T "$library" | grep -F "$newest" >&2
  exit 1
fi
others=$(objdump -p "$library" | awk '$1 == "NEEDED" { print $2 }' |
  grep -vE '^(libc|libdl|libpthread|libm|librt|ld-linux-x86-64|ld-linux-aarch64)\.so\.[0-9]+$' || true)
[ -z "$others" ] || { echo "$library needs $others" >&2; exit 1; }
echo "$library: newest symbol $newest, nothing needed beside glibc"
