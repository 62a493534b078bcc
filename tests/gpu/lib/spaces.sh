# The beginning of scripts that need root and namespaces of their own. Sourced before common.sh.
PATH=$PATH:/usr/sbin:/sbin
left_out() { echo "$*" >&2; exit 77; }
# usage: needs NAME TOOL...: root, these tools, and what tests/gpu/pack-NAME.sh packs
needs() {
  local name=$1 tool; shift
  [ "$(id -u)" = 0 ] || left_out 'needs root'
  for tool; do command -v "$tool" >/dev/null || left_out "no $tool on this machine"; done
  [ -f "${NVSHARE_BUILT:-$(dirname "$0")/../../../build/gpu}/$name.tar.xz" ] \
    || left_out "needs build/gpu/$name.tar.xz: run tests/gpu/pack-$name.sh"
}
# usage: enter SECONDS "MORE" "TRIED" ARGUMENTS...: this script once more, with its arguments, in a mount and pid namespace of its own
# and MORE of unshare's; for so many seconds at most. TRIED: what it makes itself, and must be allowed to.
enter() {
  local said spaces=(--mount --propagation private --pid --fork --mount-proc --kill-child)
  [ -z "${NVSHARE_INSIDE:-}" ] || return 0
  export NVSHARE_INSIDE=1
  # shellcheck disable=SC2206 # several words
  spaces+=($2)
  # shellcheck disable=SC2086
  said=$(unshare "${spaces[@]}" $3 true 2>&1) || left_out "no namespaces here: $said"
  exec timeout -k 5 "$1" unshare "${spaces[@]}" bash "$0" "${@:4}"
}
