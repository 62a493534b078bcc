# Shared by the scripts that pack for a GPU machine: $out, to which our container programs go, a work directory, and the
# functions below. Sourced with the script's arguments.
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

# usage: unpack_packages PACKAGE...: of this Debian, into $work/all
unpack_packages() {
  local package
  # Also apt's own user has to come in.
  chmod 755 "$work"
  cd "$work"
  get() { apt-get download -qq -o APT::Sandbox::User=root "$@"; }
  get "$@" || { apt-get update -qq && get "$@"; }
  mkdir -p all
  for package in *.deb; do dpkg -x "$package" all; done
}

# What there is to carry; an error if that is too much.
finish_pack() {
  local size
  du -ch "$out"/* | tail -n 20
  size=$(du -sm "$out" | cut -f1)
  [ "$size" -lt 60 ] || { echo "$out holds $size MiB: too much to carry (60)" >&2; exit 1; }
}
