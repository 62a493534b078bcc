# A host of its own for documents' commands, on a GPU machine that may be thrown away: the package's files in their places, a copy
# of /etc, programs where every user reads them; and the table of what must hold. Sourced after common.sh and containers.sh, in
# namespaces of its own. The script may define `finish_more`, which runs first at the end.
# usage: make_place NAME: a directory $work, and what else is named here
make_place() {
  work=$(mktemp -d "/var/tmp/nvshare-$1.XXXXXX") engines=/opt/nvshare-$1
  log=$out/$1.log facts=$out/facts.tsv failed=$out/failed.txt python=$(command -v python3) preload=/usr/lib/nvshare/libnvshare.so
  : >"$log" >"$facts" >"$failed"
  chmod 755 "$work"
  mkdir "$work"/{bin,blocks,home,etc}
  rmdir "$runtime"; runtime=/run/nvshare # where the package's settings look for it
  installed=(/usr/lib/nvshare /usr/bin/nvshare-{runtime,hook,ctk,scheduler} /usr/bin/nvsharectl)
  trap 'rc=$?; finish_place; exit $rc' EXIT
  trap 'exit 143' TERM INT
  if [ -n "${NVSHARE_TEST_DRIVER:-}" ]; then
    # Here the machine is somebody's.
    mkdir -p "$work"/over/{up,work} "$work"/{card,lib,tests/fakecuda}
    mount -t overlay overlay -o "lowerdir=/usr,upperdir=$work/over/up,workdir=$work/over/work" /usr || left_out 'no writable copy of /usr can be had'
    mount -t tmpfs -o mode=755 tmpfs /run
    engines=/usr/nvshare-$1 python=/usr/bin/python3 # Root's own Python is nobody else's.
    chmod 1777 "$work/card"
    cp -L "$NVSHARE_TEST_DRIVER" "$work/lib/libcuda.so.1"
    cp "$gpu_tests/../fakecuda/kernels.ptx" "$work/tests/fakecuda/"
    export FAKECUDA_DIR=$work/card LD_LIBRARY_PATH=$work/lib PYTHONPATH=$work/tests/gpu/rehearsal:$work/tests/gpu/lib
  fi
  cp -a /etc/. "$work/etc/"
  mount --bind "$work/etc" /etc || left_out '/etc cannot be a copy'
}
place_package() {
  local file name
  mkdir -p "$work/tests/gpu"
  cp -r "$gpu_tests"/{loads,rehearsal,lib} "$work/tests/gpu/"
  cp "$built/load" "$work/bin/"
  for file in nvshare-{runtime,hook,ctk,scheduler} nvsharectl; do install -m 755 "$built/$file" /usr/bin/ || exit 2; done
  install -D -m 644 -t /usr/lib/nvshare "$built/libnvshare.so"
  mkdir -p /run/nvshare/tenants /etc/nvshare
  stand_in sudo 'exec "$@"'
  # What programs of other users, and containers, get of this machine.
  # shellcheck disable=SC2046
  container_place $("$python" -c 'import os, sys, torch
print(sys.prefix, sys.base_prefix, os.path.dirname(os.path.dirname(torch.__file__)))' 2>>"$log")
  [ -z "${NVSHARE_TEST_DRIVER:-}" ] || {
    mounts+=("$work/lib" "$work/tests") devices=(/dev/full) # The card is no device file; that one is given takes the same way.
    for name in FAKECUDA_DIR FAKECUDA_CARD FAKECUDA_MEMORY FAKECUDA_BYTE_SCALE REHEARSAL_SCALE PYTHONPATH; do variables+=("$name=${!name}"); done
  }
  steps=$work/tests/gpu/loads/torch_steps.py
}
# Not every machine has xz; Python does. usage: unpack FILE DIRECTORY
unpack() { python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$@" 2>>"$log"; }
finish_place() {
  ! declare -F finish_more >/dev/null || finish_more
  cleanup
  cd /
  umount -l "$work/cgroups" /etc
  if [ -n "${NVSHARE_TEST_DRIVER:-}" ]; then umount -l /usr /run; else rm -rf "${installed[@]}" "$engines" /run/nvshare; ldconfig; fi
  rm -rf --one-file-system "$work"
} 2>/dev/null

# The table: usage: figure WHAT VALUE UNIT [PROMISE yes|no]
figure() { printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}" "${5:-}" >>"$facts"; }
# usage: holds WHAT COMMAND...: what must succeed; what it says otherwise stands below the table
holds() {
  local what=$1; shift
  if "$@" >"$work/said" 2>&1; then figure "$what" 1 '' 1 yes; return; fi
  figure "$what" 0 '' 1 no
  { echo "-- $what"; tail -n 6 "$work/said"; } >>"$failed"
}
not() { ! "$@"; }
# usage: known SECONDS NAME CONDITION: waits until the scheduler's status is so; it stays in NAME.json
known() {
  local end=$((SECONDS + $1))
  until ctl status --json >"$out/$2.json" 2>>"$log" && python3 "$scripts/service_status.py" "$out/$2.json" "$3"; do
    [ $SECONDS -lt $end ] || { echo "not within $1 s: $3"; ctl status; return 1; }
    sleep 0.2
  done 2>>"$log"
}
handovers() { ctl status --json 2>/dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["gpus"][0]["handovers"])'; }
stand_in() { printf '#!/bin/sh\n%s\n' "$2" >"$work/bin/$1"; chmod 755 "$work/bin/$1"; }
# usage: type_block FILE: as somebody types it
type_block() { (cd "$work" && PATH=$work/bin:$PATH bash -eux "$1") </dev/null; }
# usage: scaled: sizes of the document, as small as a simulated card is
scaled() { if [ "$scale" = 1 ]; then cat; else python3 -c 'import re, sys; print(re.sub(r"(\d+)GiB", lambda m: f"{int(m[1]) * 1024 // int(sys.argv[1])}MiB", sys.stdin.read()), end="")' "$scale"; fi; }
mib() { echo $(($(bytes_of "$1") / 1048576)); }
# usage: as USER COMMAND: in a login shell
as() { (cd / && setpriv --reuid="$1" --regid="$1" --init-groups env -i "${variables[@]}" USER="$1" PATH=/usr/bin:/bin bash --login -c "umask 0; $2"); }
