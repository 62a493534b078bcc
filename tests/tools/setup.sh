#!/bin/bash
# Installs what building and testing need: Debian packages, and a Python environment with zig for the
# library's glibc floor. Idempotent; root is needed only for packages that are missing.
# usage: setup.sh VENV
set -euo pipefail
venv=${1:?usage: setup.sh VENV}
declare -A package=([cc]=gcc [objdump]=binutils [python3]=python3 [make]=make)
missing=()
for program in "${!package[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
if ! [ -x "$venv/bin/cargo-zigbuild" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'ziglang>=0.13,<0.18' 'cargo-zigbuild>=0.20,<0.25'
fi
# promtool, which the alert rules are checked with: the program alone, for the package would start Prometheus.
if ! command -v promtool >/dev/null && ! [ -x "$venv/bin/promtool" ]; then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  place=$(mktemp -d)
  get() { (cd "$place" && apt-get -qq -o APT::Sandbox::User=root download prometheus && dpkg -x prometheus_*.deb .) >/dev/null 2>&1; }
  if get || { $sudo apt-get update -qq && get; }; then
    install -m755 "$place/usr/bin/promtool" "$venv/bin/"
  else
    echo 'setup: no promtool to be had; the alert rules are not checked with it' >&2
  fi
  rm -rf "$place"
fi
