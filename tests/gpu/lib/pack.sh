# Shared by the two scripts that pack for a GPU machine: $out, to which our container programs go, a work directory, and
# `finish_pack`. Sourced with the script's arguments.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
out=${1:-$root/build/gpu}
built=${CARGO_TARGET_DIR:-$root/target}/release
mkdir -p "$out"
out=$(realpath "$out")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for program in nvshare-runtime nvshare-hook nvshare-ctk; do
  [ -f "$built/$program" ] || { echo "$built/$program is missing: cargo build --release -p nvshare-runtime-hook" >&2; exit 2; }
  strip -o "$out/$program" "$built/$program"
done

# What there is to carry; an error if that is too much.
finish_pack() {
  local size
  du -ch "$out"/* | tail -n 20
  size=$(du -sm "$out" | cut -f1)
  [ "$size" -lt 60 ] || { echo "$out holds $size MiB: too much to carry (60)" >&2; exit 1; }
}
