#!/bin/bash
# Installs the programs that make packages into DIR/bin, in the versions named here. Takes some minutes once.
# usage: tools.sh DIR
set -euo pipefail
directory=${1:?usage: tools.sh DIR}
tool() { # NAME VERSION [OPTIONS...]
  grep -qF "\"$1 $2 " "$directory/.crates.toml" 2>/dev/null && return
  cargo install --quiet --locked --root "$directory" "$1@$2" "${@:3}"
}
tool cargo-deb 3.8.0
tool cargo-generate-rpm 0.21.1
tool cargo-about 0.9.3 --features cli
