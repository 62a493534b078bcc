#!/bin/bash
# Makes packages to test those of `make dist` with, in DIRECTORY: the same once more in again/, at another hour and with
# other habits, and a next revision in next/. usage: prepare.sh DIRECTORY
set -euo pipefail
directory=${1:?usage: prepare.sh DIRECTORY}
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
rm -rf "$directory"/{again,next}
find "$target"/x86_64-unknown-linux-gnu/release/package{,-slurm} -exec touch {} +
(umask 077; export TZ=Pacific/Chatham LC_ALL=C.UTF-8; NVSHARE_DIST=$directory/again packaging/dist.sh pack)
NVSHARE_DIST=$directory/next NVSHARE_REVISION=2 packaging/dist.sh pack
