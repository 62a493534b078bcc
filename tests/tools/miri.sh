#!/bin/bash
# Runs under miri, which finds undefined behaviour and data races, the unit tests that need no kernel and no driver:
# miri cannot call foreign functions, so that the library's calls of both, and all that happens around them, are not
# reached. It is some hundred times slower than the machine, so that what takes long is left out by name.
# usage: miri.sh      MIRI_TOOLCHAIN: a nightly one (nightly)
set -euo pipefail
cd "$(dirname "$0")/../.."
toolchain=${MIRI_TOOLCHAIN:-nightly}
rustup toolchain list | grep -q "^$toolchain" || rustup toolchain install "$toolchain" --profile minimal
rustup component add miri rust-src --toolchain "$toolchain"
export PROPTEST_CASES=1

tests() { # CARGO'S ARGUMENTS -- TESTS
  cargo +"$toolchain" miri test --locked "$@"
}

# Handles are numbers with the type of a pointer, as in NVIDIA's header.
export MIRIFLAGS=-Zmiri-permissive-provenance
tests -p nvshare-abi --test table -- no_symbol

# From here on tests read files.
MIRIFLAGS+=' -Zmiri-disable-isolation'
tests -p nvshare-interposer --lib
# What threads share, in several orders of their steps.
MIRIFLAGS="$MIRIFLAGS -Zmiri-many-seeds=0..8" tests -p nvshare-interposer --lib -- gate:: captures:: teardown:: bypass:: stream::

tests -p nvshare-protocol --all-features --tests -- --skip a_reader_stays_small --skip arbitrary_bytes --skip every_message_has
tests -p nvshare-core --test golden -- --skip golden_transcripts
tests -p nvshare-core --lib -- spans:: by_hand:: operations:: --skip who_comes_back_at_once
tests -p nvshare-runtime-hook --lib -- argv:: settings:: ctk:: edit:: hook:: selection:: --skip in_use
