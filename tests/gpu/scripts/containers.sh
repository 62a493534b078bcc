#!/bin/bash
# Containers of real engines on a real GPU: two PyTorch containers each of dockerd (--runtime=nvshare) and of podman
# (its precreate hook, with runc and with crun) take turns through one scheduler; a third process comes by `exec`.
# What it must show: data right, every process managed, turns taken, containers named.
#
# Needs root, and in build/gpu what `make gpu-pack` and tests/gpu/pack-engines.sh put there. For a machine that may be
# thrown away: the package's files go into /usr and /etc, engines into /opt; they are taken out at the end.
# usage: tests/gpu/scripts/containers.sh [docker] [podman-runc] [podman-crun]       (default: all three, in about two minutes)
# Expected: 130 s.
#   TENANT   a program to take PyTorch's place in the containers, started as TENANT GIB SECONDS
if [ "$(id -u)" != 0 ]; then echo 'needs root' >&2; exit 77; fi
if [ -n "${NVSHARE_TEST_DRIVER:-}" ]; then echo 'not for the simulated GPU: make test-containers' >&2; exit 77; fi
if [ ! -f "${NVSHARE_BUILT:-$(dirname "$0")/../../../build/gpu}/engines.tar.xz" ]; then
  echo 'needs build/gpu/engines.tar.xz: run tests/gpu/pack-engines.sh' >&2; exit 77
fi
if [ -z "${NVSHARE_INSIDE:-}" ]; then
  export NVSHARE_INSIDE=1
  spaces=(--mount --propagation private --pid --fork --mount-proc --kill-child)
  unshare "${spaces[@]}" true || spaces=(--mount --propagation private)
  exec timeout -k 5 235 unshare "${spaces[@]}" bash "$0" "$@"
fi
. "$(dirname "$0")/../lib/common.sh"
. "$gpu_tests/lib/containers.sh"
set +e
most=222 # seconds for everything; what is left of them bounds each step
gib=6 seconds=16
need_managed 13
log=$out/containers.log
: >"$log"
work=$(mktemp -d /var/tmp/nvshare-containers.XXXXXX)
engines=/opt/nvshare-engines
rmdir "$runtime"; runtime=/run/nvshare # where the package's settings look for it
# shellcheck disable=SC2034 # read by the trap
installed=() rows=() daemon='' failed=0

# usage: row ENGINE WORDS [held]
: >"$out/figures.tsv"
row() {
  rows+=("$(printf '%-12s %s' "$1" "$2")")
  printf '%s: %s\t\t\tdata right, managed, turns taken, named\t%s\n' "$1" "$2" "${3:-falls short}" >>"$out/figures.tsv"
}
finish() {
  [ -z "$daemon" ] || kill "$daemon" 2>/dev/null
  cleanup
  umount -l "$work/cgroups" 2>/dev/null
  rm -rf "${installed[@]}" "$engines" /run/nvs-podman /run/nvs-docker
  ldconfig
  rmdir /usr/lib/nvshare /etc/nvshare /usr/share/nvshare/hooks.d /usr/share/nvshare /etc/containers/containers.conf.d 2>/dev/null
  rm -rf --one-file-system "$work" 2>/dev/null
  { machine; printf '%s\n' "${rows[@]}"; } | tee "$out/containers.txt"
}
trap 'rc=$?; finish; exit $((rc | failed))' EXIT
trap 'row "" "stopped before its end"; exit 143' TERM INT

# usage: limited SECONDS COMMAND...
limited() {
  local limit=$1 left=$((most - SECONDS)); shift
  [ "$left" -gt 0 ] || { echo "no time left"; return 124; }
  timeout -k 2 $((limit < left ? limit : left)) "$@"
}
# usage: step NAME SECONDS COMMAND...: everything said goes to the log, its end is shown if the command fails
step() {
  local name=$1 rc; shift
  echo "## $name: ${*:2}" >>"$log"
  limited "$@" >"$work/said" 2>&1 </dev/null
  rc=$?
  cat "$work/said" >>"$log"
  [ $rc = 0 ] || tell "$name: exit $rc" "$work/said"
  return $rc
}
# usage: tell TITLE FILE...: the ends of files, on the terminal
tell() {
  local file title=$1; shift
  echo "-- $title"
  for file; do [ -s "$file" ] && sed "s|^|   ${file##*/}: |" "$file" | tail -n 12; done
}
# usage: put MODE SOURCE TARGET
put() {
  [ -e "$3" ] || installed+=("$3")
  install -D -m "$1" "$2" "$3" || { row "" "cannot install $3"; failed=1; exit 1; }
}
keep_cgroups

# The package's files, and the engines.
for file in nvshare-runtime nvshare-hook nvshare-ctk engines.tar.xz; do
  [ -f "$built/$file" ] || { echo "$built/$file is missing: run tests/gpu/pack-engines.sh" >&2; failed=2; exit 2; }
done
for program in nvshare-runtime nvshare-hook nvshare-ctk nvsharectl; do put 755 "$built/$program" "/usr/bin/$program"; done
put 644 "$built/libnvshare.so" /usr/lib/nvshare/libnvshare.so
put 644 "$gpu_tests/../../packaging/hooks.d/50-nvshare.json" /usr/share/nvshare/hooks.d/50-nvshare.json
hooks=/etc/containers/containers.conf.d/99-nvshare-hooks.conf
[ -e "$hooks" ] || { installed+=("$hooks"); nvshare-ctk runtime configure --runtime=podman-hook 2>/dev/null; }
mkdir -p /run/nvshare/tenants /etc/nvshare "$engines"
printf '[runtime]\nlog_file = "%s/runtime.log"\n' "$work" >"$work/config.toml"
put 644 "$work/config.toml" /etc/nvshare/config.toml
printf '{"default":[{"type":"insecureAcceptAnything"}]}\n' >"$work/policy.json"
[ -e /etc/containers/policy.json ] || put 644 "$work/policy.json" /etc/containers/policy.json
# Not every machine has xz; Python does.
step "unpack the engines" 60 python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' \
  "$built/engines.tar.xz" "$engines" || exit 1
echo "$engines/lib" >"$work/zz.conf"
put 644 "$work/zz.conf" /etc/ld.so.conf.d/zz-nvshare-engines.conf
ldconfig
export PATH=$engines/bin:$PATH

# What a container gets: the GPU's device files and this machine's userland.
if [ -n "${TENANT:-}" ]; then
  tenant=("$TENANT") prefixes=$(dirname "$TENANT")
else
  tenant=("$(command -v python3)" "$loads/container_tenant.py")
  step "PyTorch on the host" 60 python3 -c 'import torch; print(torch.ones(1, device="cuda"))' || exit 1
  prefixes=$(python3 -c 'import os, sys, torch
print(sys.prefix, sys.base_prefix, os.path.dirname(os.path.dirname(torch.__file__)))')
fi
# shellcheck disable=SC2086
container_place $prefixes
given=(--network none -v "$gpu_tests:$gpu_tests:ro")
for variable in "${variables[@]}"; do given+=(-e "$variable"); done
for device in "${devices[@]}"; do given+=(--device "$device"); done
for directory in "${mounts[@]}"; do given+=(-v "$directory:$directory:ro"); done
container_tree "$work/image"
step "make the image" 30 tar -C "$work/image" -cf "$work/image.tar" . || exit 1
echo "containers get: ${given[*]}" >>"$log"

# usage: look WORD: a fact of the scheduler's status
look() {
  ctl status --json 2>/dev/null | tee "$work/status" | python3 -c 'import json, sys
tenants = [t for t in json.load(sys.stdin)["tenants"] if t["grants"] > 0]
print({"count": len(tenants), "containers": " ".join(sorted({t["container"] or "-" for t in tenants}))}[sys.argv[1]])' "$1" 2>/dev/null
}
# usage: see COUNT SECONDS PID...: waits until so many tenants have had a turn, as long as the processes live
see() {
  local count=$1 limit=$2 pid end; shift 2
  end=$((SECONDS + limit))
  until [ "$(look count)" = "$count" ]; do
    for pid; do kill -0 "$pid" 2>/dev/null || return 1; done
    [ $SECONDS -lt $end ] && [ $SECONDS -lt $most ] || return 1
    sleep 0.2
  done
}
# usage: pair LABEL: with `run` (up to the image), `exec_in`, `ids` and `remove`, two containers take turns
pair() {
  local label=$1 name pids=() named=no exec_named=no exec_pid all
  local -A id=()
  start_scheduler --quantum 1 --evict always
  for name in first second; do
    limited 90 "${run[@]:0:${#run[@]}-1}" --name "nvs-$name" "${run[-1]}" "${tenant[@]}" $gib $seconds \
      >"$work/$name.out" 2>"$work/$name.err" </dev/null &
    pids+=($!)
  done
  if see 2 45 "${pids[@]}"; then
    for name in first second; do id[$name]=$("${ids[@]}" "nvs-$name" 2>/dev/null | cut -c 1-12); done
    all=$(look containers)
    [ "$all" = "$(printf '%s\n' "${id[@]}" | sort | xargs)" ] && named=yes
    [ "$all" = - ] && named='no cgroup'
    limited 40 "${exec_in[@]}" nvs-first "${tenant[@]}" 0.1 2 >"$work/exec.out" 2>"$work/exec.err" </dev/null &
    exec_pid=$!
    if see 3 30 "$exec_pid"; then
      { echo "# $label"; ctl status; } >>"$out/status.txt"
      [ "$(look containers)" = "$all" ] && exec_named=$named
    fi
    wait "$exec_pid"
  else
    tell "$label: the scheduler does not see two tenants" "$work/status"
  fi
  wait "${pids[@]}"
  ctl trace --output "$out/trace-$label.json" >/dev/null
  stop_scheduler
  "${remove[@]}" nvs-first nvs-second >/dev/null 2>&1
  cat "$work"/{first,second,exec}.{out,err} >>"$log" 2>/dev/null
  if said=$(python3 "$scripts/containers_turns.py" "$work" "$out/trace-$label.json" "$named" "$exec_named" $gib 2>>"$log"); then row "$label" "$said" held; else
    row "$label" "${said:-no result}"; failed=1
    tell "$label falls short" "$work"/{first,second,exec}.{err,out} "$work/runtime.log" "$out/scheduler.log"
  fi
}

docker_case() {
  local docker=(docker -H unix:///run/nvs-docker/sock) cgroups etc
  mkdir -p /run/nvs-docker
  step "nvshare-ctk" 10 nvshare-ctk runtime configure --runtime=docker --config "$work/daemon.json" || return 1
  for cgroups in own_cgroups cgroup2; do
    $cgroups
    dockerd --config-file "$work/daemon.json" --data-root "$work/docker" --exec-root /run/nvs-docker/exec \
      --pidfile /run/nvs-docker/pid -H unix:///run/nvs-docker/sock --storage-driver vfs --bridge none \
      --iptables=false --ip6tables=false --exec-opt native.cgroupdriver=cgroupfs >"$work/dockerd.log" 2>&1 &
    daemon=$!
    for _ in $(seq 100); do
      "${docker[@]}" info >/dev/null 2>&1 && break
      kill -0 $daemon 2>/dev/null || break
      sleep 0.2
    done
    if step "docker import" 30 "${docker[@]}" import "$work/image.tar" nvs/pytorch; then
      for etc in '-v /etc:/etc:ro' ''; do
        # shellcheck disable=SC2206
        run=("${docker[@]}" run --rm --runtime=nvshare "${given[@]}" $etc nvs/pytorch)
        if step "docker run, $cgroups, ${etc:-the own /etc of the image}" 30 "${run[@]}" true; then
          exec_in=("${docker[@]}" exec) ids=("${docker[@]}" inspect -f '{{.Id}}') remove=("${docker[@]}" rm -f)
          pair docker
          break 2
        fi
      done
    fi
    tell "dockerd" "$work/dockerd.log"
    kill $daemon; wait $daemon
  done
  cat "$work/dockerd.log" >>"$log"
  [ ${#exec_in[@]} -gt 0 ] || return 1
  kill $daemon; wait $daemon 2>/dev/null; daemon=''
}

# The image's own /etc: the hook can set /etc/ld.so.preload, which is what reaches `podman exec`.
podman_case() {
  local runtime_below=$1 podman attempt
  podman=(podman --root "$work/podman" --runroot /run/nvs-podman/run --tmpdir /run/nvs-podman/tmp --conmon "$engines/bin/conmon"
    --cgroup-manager cgroupfs --events-backend file --storage-driver vfs --runtime "$engines/bin/$runtime_below")
  mkdir -p /run/nvs-podman
  "${podman[@]}" image exists localhost/nvs/pytorch 2>/dev/null \
    || step "podman import" 30 "${podman[@]}" import "$work/image.tar" localhost/nvs/pytorch || return 1
  for attempt in own_cgroups: cgroup2: own_cgroups:--cgroups=disabled cgroup2:--cgroups=disabled; do
    ${attempt%%:*}
    # shellcheck disable=SC2206
    run=("${podman[@]}" run --rm ${attempt#*:} --pids-limit -1 --ulimit nofile=1024:1024 --ulimit nproc=1024:1024
      "${given[@]}" localhost/nvs/pytorch)
    if step "podman run, $runtime_below, $attempt" 30 "${run[@]}" true; then
      exec_in=("${podman[@]}" exec) ids=("${podman[@]}" inspect -f '{{.Id}}') remove=("${podman[@]}" rm -f -t 0)
      pair "podman-$runtime_below"
      return
    fi
  done
  return 1
}

[ $# -gt 0 ] || set -- docker podman-runc podman-crun
for engine; do
  echo "== $engine, after $SECONDS s"
  own_cgroups
  run=() exec_in=() ids=() remove=()
  case $engine in
    docker) docker_case ;;
    podman-runc | podman-crun) podman_case "${engine#podman-}" ;;
    *) echo "no such engine; there are docker, podman-runc, podman-crun" && false ;;
  esac || { row "$engine" "no container: see above"; failed=1; }
done
