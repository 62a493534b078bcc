#!/bin/sh
# Fetches NVIDIA's cuda.h of CUDA 12 and CUDA 13 from PyPI into DIR/12 and DIR/13, for the checks of the table
# of entry points. Does nothing where they already are.
#
#   tests/tools/setup-headers.sh [DIR]       DIR: target/cuda-headers below the repository, unless named
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
dir=${1:-$root/target/cuda-headers}

# 13.0 is the CUDA of the driver whose answers are recorded in tests/fakecuda/data.
fetch() { # VERSION REQUIREMENT
    [ -f "$dir/$1/cuda.h" ] && return 0
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --dest "$work" "$2" || {
        echo "setup-headers: could not fetch $2 with pip; is python3-pip installed, and PyPI in reach?" >&2
        exit 1
    }
    python3 -m zipfile -e "$work"/*.whl "$work/unpacked"
    found=$(find "$work/unpacked" -name cuda.h | head -n 1)
    [ -n "$found" ] || { echo "setup-headers: $2 holds no cuda.h" >&2; exit 1; }
    printf '#include <cuda.h>\n' >"$work/alone.c"
    cc -fsyntax-only -I "$(dirname "$found")" "$work/alone.c" || {
        echo "setup-headers: cuda.h of $2 does not compile alone" >&2
        exit 1
    }
    mkdir -p "$dir"
    rm -rf "$dir/$1.new" "${dir:?}/$1"
    cp -r "$(dirname "$found")" "$dir/$1.new"
    mv "$dir/$1.new" "$dir/$1"
    rm -rf "$work"
    trap - EXIT
}

fetch 12 nvidia-cuda-runtime-cu12==12.9.79
fetch 13 nvidia-cuda-runtime==13.0.96
echo "cuda.h of CUDA 12 and 13: $dir"
