#!/bin/bash
# Makes the packages: stages the files of an installation, then a .deb and a .rpm of them in TARGET/dist.
# The same sources, compiler and SOURCE_DATE_EPOCH (default: the time of the last commit) give the same bytes.
#
# usage: dist.sh [stage|pack]     stage: only the files; pack: only the packages, of files that are staged; default: both
#
#   CARGO_TARGET_DIR      default: target
#   RUSTFLAGS             as the library was built with
#   NVSHARE_DIST          where the packages go (default: TARGET/dist)
#   NVSHARE_REVISION      of the packages (default: 1)
#   NVSHARE_MAINTAINER    NAME <ADDRESS> of whoever publishes them (default: packaging/maintainer.txt)
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
dist=$(realpath -m "${NVSHARE_DIST:-$target/dist}")
triple=x86_64-unknown-linux-gnu
built=$target/$triple/release
slurm=$built/package-slurm
root=$built/package # named as target/release/package in Cargo.toml: the packagers put the real place for it
export CARGO_TARGET_DIR=$target PATH="$target/tools/bin:$target/venv/bin:$PATH" LC_ALL=C TZ=UTC
programs=(nvshare-scheduler nvsharectl nvshare-runtime nvshare-hook nvshare-ctk)
revision=${NVSHARE_REVISION:-1}
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
maintainer=${NVSHARE_MAINTAINER:-$(cat packaging/maintainer.txt)}

stage() {
  local time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
  # The programs need what Debian 11 and RHEL 8 have; the library less, because it goes into containers.
  # A directory of their own, because what is built for one floor is not taken for another.
  cargo zigbuild --release --locked -p nvshare-scheduler -p nvshare-runtime-hook --bins \
    --target "$triple.2.28" --target-dir "$target/programs"
  cargo zigbuild --release --locked -p nvshare-slurm --target "$triple.2.28" --target-dir "$target/programs"
  rm -rf "$root" "$root.time" "$slurm"
  mkdir -p "$root"/usr/{bin,lib/nvshare,share/doc/nvshare}
  for program in "${programs[@]}"; do
    tests/tools/check-floor.sh "$target/programs/$triple/release/$program" 2.28
    strip -o "$root/usr/bin/$program" "$target/programs/$triple/release/$program"
  done
  tests/tools/check-floor.sh "$built/libnvshare.so"
  strip --strip-unneeded -o "$root/usr/lib/nvshare/libnvshare.so" "$built/libnvshare.so"
  mkdir -p "$slurm/usr/lib/nvshare"
  strip --strip-unneeded -o "$slurm/usr/lib/nvshare/nvshare_spank.so.in" "$target/programs/$triple/release/libnvshare_spank.so"
  # It comes into Slurm's programs, which have the libraries that ours may need.
  tests/tools/check-floor.sh "$slurm/usr/lib/nvshare/nvshare_spank.so.in" 2.28
  # Built for this machine: it is run here.
  env -u RUSTFLAGS cargo run --quiet --locked -p nvshare-packaging -- "$root" "$(date -u -d "@$time" +%F)"
  cargo fetch --quiet --locked
  cargo about generate --frozen --fail --workspace --target "$triple" \
    -c packaging/licences/about.toml -o "$root/usr/share/doc/nvshare/third-party.txt" packaging/licences/third-party.hbs
  install -m644 packaging/grafana/nvshare.json "$root/usr/share/doc/nvshare/grafana-dashboard.json"
  install -m644 packaging/grafana/nvshare-alerts.yml "$root/usr/share/doc/nvshare/prometheus-alerts.yml"
  local page
  for page in docs/{guide,reference,measurements}/*.md; do
    # Links to files of the repository alone become their text.
    sed -E 's|\[([^]]*)\]\(\.\./\.\./[^)]*\)|\1|g' "$page" \
      | install -Dm644 /dev/stdin "$root/usr/share/doc/nvshare/${page#docs/}"
  done
  for page in docs/{measurements,pictures}/*.svg; do
    install -Dm644 "$page" "$root/usr/share/doc/nvshare/${page#docs/}"
  done
  gzip -9n "$root"/usr/share/man/man*/* "$root/usr/share/doc/nvshare/third-party.txt"
  gzip -9nc CHANGELOG.md >"$root/usr/share/doc/nvshare/changelog.gz"
  for script in name-hooks unconfigure-engines print-next-steps; do
    install -Dm755 packaging/$script.sh "$root/usr/lib/nvshare/$script"
  done
  install -Dm644 packaging/nvshare-scheduler.service -t "$root/usr/lib/systemd/system"
  install -Dm644 packaging/nvshare.sysusers.conf "$root/usr/lib/sysusers.d/nvshare.conf"
  install -Dm644 packaging/nvshare.tmpfiles.conf "$root/usr/lib/tmpfiles.d/nvshare.conf"
  install -Dm644 packaging/hooks.d/50-nvshare.json -t "$root/usr/share/nvshare/hooks.d"
  echo "$time" >"$root.time"
}

pack() {
  [ -e "$root.time" ] || { echo "$root: nothing is staged; run dist.sh stage first" >&2; exit 1; }
  SOURCE_DATE_EPOCH=$(cat "$root.time")
  export SOURCE_DATE_EPOCH
  mkdir -p "$dist"
  package nvshare packaging "$root"
  package nvshare-slurm slurm "$slurm"
}

# package NAME FOLDER ROOT: both packages that the Cargo.toml of the folder describes.
package() {
  local crate=$1
  [ "$1" != nvshare ] || crate=nvshare-packaging
  mkdir -p "$3/deb"
  printf '%s (%s-%s) unstable; urgency=medium\n\n  * See /usr/share/doc/nvshare/changelog.gz.\n\n -- %s  %s\n' \
    "$1" "$version" "$revision" "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9nc >"$3/deb/changelog.Debian.gz"
  cargo deb --quiet --locked --no-build --no-strip -p "$crate" --target "$triple" \
    --deb-version "$version-$revision" --maintainer "$maintainer" -o "$dist/"
  cargo generate-rpm -p "$2" --target "$triple" --target-dir "$target" --payload-compress xz \
    --source-date "$SOURCE_DATE_EPOCH" -s "release = \"$revision\"" -s "vendor = \"$maintainer\"" -o "$dist/"
}

case ${1:-both} in
stage) stage ;;
pack) pack ;;
both) stage; pack; ls -l "$dist" ;;
*) echo "usage: dist.sh [stage|pack]" >&2; exit 2 ;;
esac
