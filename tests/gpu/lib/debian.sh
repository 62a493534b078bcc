# A small Debian with systemd as its first process (tests/gpu/pack-systemd.sh), in memory and in namespaces of its own.
# Sourced by service.sh after common.sh, inside a mount namespace: make_tree, make_control_groups, boot_tree, in this order.
# What they make is the tree in $tree, the control groups below $work/cgroups and the process $leader; $log has what was
# said, $out/facts.tsv the facts.
# usage: fact NAME VALUE
fact() { printf '%s\t%s\n' "$1" "$2" >>"$out/facts.tsv"; }
now() { date +%s.%N; }
since() { python3 -c "import time; print(round(time.time() - $1, 3))"; }
finish() {
  set +e
  exec 7>&- 8>&- 9>&-
  # With the first process of its namespace all others end.
  [ -z "$leader" ] || [ -e "$out/journal.txt" ] || timeout 5 "$BASH" -c "$(declare -f inside); leader=$leader; inside journalctl --no-pager" >"$out/journal.txt"
  if [ -n "$leader" ]; then kill -KILL "$leader"; wait "$space"; fi
  cleanup
  local directory
  for directory in "$work"/cgroups/*/"$group"; do find "$directory" -depth -type d -exec rmdir {} + ; done
  umount -l "$tree" "$work"/cgroups/*
  rm -rf --one-file-system "$work"
} 2>/dev/null

# usage: library NAME: where the machine has it
library() {
  local found
  found=$(ldconfig -p | awk -v n="$1" '$1 == n && /x86-64/ && !found { found = $NF } END { print found }')
  # shellcheck disable=SC2086
  [ -n "$found" ] || found=$(find -L ${LD_LIBRARY_PATH//:/ } /usr/local/nvidia /usr/lib/x86_64-linux-gnu /usr/lib64 -maxdepth 3 -name "$1" 2>/dev/null)
  echo "${found%%$'\n'*}"
}
# The tree: Debian, what the package installs, and of the driver what a machine with NVIDIA's packages has.
make_tree() {
  mount -t tmpfs -o mode=755,size=1g tmpfs "$tree" 2>>"$log" || left_out "no file system can be mounted: $(tail -n 1 "$log")"
  # Not every machine has xz; Python does.
  python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$built/systemd.tar.xz" "$tree" 2>>"$log"
  packaging=$gpu_tests/../../packaging
  install -m 755 -t "$tree/usr/bin" "$built"/nvshare{-scheduler,ctl}
  for program in nvshare-ctk nvshare-runtime nvshare-hook; do
    [ -f "$built/$program" ] || { echo "$built/$program is missing: run tests/gpu/pack-systemd.sh" >&2; exit 2; }
    install -m 755 -t "$tree/usr/bin" "$built/$program"
  done
  install -m 755 -t "$tree/usr/bin" "$built/load"
  install -D -m 644 -t "$tree/usr/lib/nvshare" "$built/libnvshare.so"
  install -D -m 644 -t "$tree/usr/lib/systemd/system" "$packaging/nvshare-scheduler.service"
  install -D -m 644 "$packaging/nvshare.sysusers.conf" "$tree/usr/lib/sysusers.d/nvshare.conf"
  install -D -m 644 "$packaging/nvshare.tmpfiles.conf" "$tree/usr/lib/tmpfiles.d/nvshare.conf"
  install -D -m 644 -t "$tree/usr/share/nvshare/hooks.d" "$packaging/hooks.d/50-nvshare.json"
  # Two tenants of 7 GiB do not fit beside each other.
  configure "$(usable 9)" 'quantum = 1'
  install -D -m 644 "$runtime/config.toml" "$tree/etc/nvshare/config.toml"
  # What is asked of NVML is told at that level alone.
  mkdir -p "$tree/etc/systemd/system/nvshare-scheduler.service.d"
  printf '[Service]\nEnvironment=RUST_LOG=info,nvshare_scheduler::nvml=debug\n' >"$tree/etc/systemd/system/nvshare-scheduler.service.d/log.conf"
  libraries=$tree/usr/lib/x86_64-linux-gnu
  if [ -n "${NVSHARE_TEST_DRIVER:-}" ]; then
    # An NVML that says what it is told to, and numbers of devices without their driver.
    cc -shared -fPIC -o "$libraries/libnvidia-ml.so.1" "$gpu_tests/../../scheduler/tests/fake_nvml/nvml.c"
    echo "device $(smi uuid)" >"$libraries/libnvidia-ml.so.1.says"
    cp "$NVSHARE_TEST_DRIVER" "$libraries/libcuda.so.1"
    mkdir -p "$tree$FAKECUDA_DIR"
    mount --bind "$FAKECUDA_DIR" "$tree$FAKECUDA_DIR"
    nodes='nvidia0 195 0 nvidiactl 195 255'
  else
    for name in libnvidia-ml.so.1 libcuda.so.1; do
      found=$(library $name)
      [ -n "$found" ] || left_out "$name is nowhere to be found"
      echo "$name: $found" >>"$log"
      cp -L "$found" "$libraries/$name"
    done
    # What the driver loads of its own, to compile kernels for one.
    if mountpoint -q /usr/local/nvidia; then
      mkdir -p "$tree/usr/local/nvidia"
      mount --rbind /usr/local/nvidia "$tree/usr/local/nvidia"
    else
      for name in libnvidia-ptxjitcompiler.so.1 libnvidia-gpucomp.so."$(smi driver_version)"; do
        found=$(library "$name")
        [ -z "$found" ] || cp -L "$found" "$libraries/$name"
      done
    fi
    nodes=$(for node in /dev/nvidia[0-9]* /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-uvm-tools; do
      [ ! -c "$node" ] || echo "${node#/dev/} $((16#$(stat -c %t "$node"))) $((16#$(stat -c %T "$node")))"
    done)
    [ -n "$nodes" ] || left_out 'no /dev/nvidia*'
  fi
  install -m 755 -t "$tree/usr/bin" "$(command -v nvidia-smi)"
  mount -t tmpfs -o mode=755 tmpfs "$tree/dev"
  # The last one is nobody's: where it may be opened, there is no driver for it.
  read -ra nodes <<<"null 1 3 zero 1 5 full 1 7 random 1 8 urandom 1 9 tty 5 0 ptmx 5 2 ${nodes//$'\n'/ } other 60 0"
  for ((i = 0; i < ${#nodes[@]}; i += 3)); do
    mknod -m 666 "$tree/dev/${nodes[i]}" c "${nodes[i + 1]}" "${nodes[i + 2]}" 2>>"$log" || left_out "no device nodes can be made: $(tail -n 1 "$log")"
  done
  mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$tree/run" # sockets in it can be reached from here, too
  chroot "$tree" /usr/bin/systemd-sysusers >>"$log" 2>&1
}

# Control groups: a group of its own, which systemd takes for the root, in each hierarchy that is used.
# usage: hierarchy NAME MOUNT...
hierarchy() {
  mkdir -p "$work/cgroups/$1"
  mount "${@:2}" cgroup "$work/cgroups/$1" && mkdir "$work/cgroups/$1/$group" 2>>"$log" && return
  umount "$work/cgroups/$1" || true
  rmdir "$work/cgroups/$1"
  return 1
} 2>>"$log"
cgroups=''
make_control_groups() {
  [ "${CGROUPS:-2}" != 2 ] || ! hierarchy unified -t cgroup2 || cgroups=2
  if [ -z "$cgroups" ] && [ "${CGROUPS:-1}" = 1 ]; then
    hierarchy systemd -t cgroup -o none,name=systemd && hierarchy devices -t cgroup -o devices && cgroups=1
    for name in memory pids cpu cpuacct blkio; do hierarchy $name -t cgroup -o $name || true; done
  fi
  [ -n "$cgroups" ] || left_out "no control groups that systemd could have: $(grep -i cgroup "$log" | tail -n 1)"
}

# usage: inside COMMAND...: a program of the tree, in there
inside() { env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin nsenter -t "$leader" -m -u -i -p -C "$@"; }
# usage: among COMMAND...: a program of this machine, but among the processes in there, which the daemon can see. CUDA looks
# for itself in /proc by its number.
among() { nsenter -t "$leader" -p unshare --mount --propagation private sh -c 'mount -t proc proc /proc && exec "$@"' sh "$@"; }
# usage: boot TREE CGROUPS WORK: in namespaces of its own
boot() {
  set -e
  mount -t proc proc "$1/proc"
  mount -t sysfs sysfs "$1/sys"
  case $2 in
  2) mount -t cgroup2 cgroup "$1/sys/fs/cgroup" ;;
  1)
    mount -t tmpfs -o mode=755 tmpfs "$1/sys/fs/cgroup"
    for at in "$3"/cgroups/*; do
      name=${at##*/}
      mkdir "$1/sys/fs/cgroup/$name"
      [ "$name" = systemd ] && how=none,name=systemd || how=$name
      mount -t cgroup -o "$how" cgroup "$1/sys/fs/cgroup/$name"
    done
    ;;
  esac
  mkdir "$1/old"
  cd "$1"
  pivot_root . old
  exec /bin/sh -c \
    'umount -l /old && exec /usr/lib/systemd/systemd --log-target=console --show-status=no' </dev/null >/dev/console 2>&1
}
boot_tree() {
  # systemd writes to a console only if that is a terminal.
  python3 "$scripts/service_console.py" "$out/console.txt" "$work/console" &
  until [ -e "$work/console" ]; do sleep 0.05; done
  touch "$tree/dev/console"
  mount --bind "$(readlink "$work/console")" "$tree/dev/console"

  start=$(now)
  (
    for at in "$work"/cgroups/*; do echo 0 >"$at/$group/cgroup.procs"; done
    exec env -i container=other "PATH=$PATH" unshare --mount --pid --fork --kill-child --uts --ipc --cgroup \
      bash -c "$(declare -f boot); boot \"\$@\"" boot "$tree" "$cgroups" "$work"
  ) 2>>"$log" &
  space=$!
  end=$((SECONDS + 40)) state=''
  until [ "$state" = running ] || [ "$state" = degraded ]; do
    if ! kill -0 $space 2>/dev/null || [ $SECONDS -ge $end ]; then
      { tail -n 5 "$log"; tail -n 15 "$out/console.txt"; } >&2
      left_out "systemd does not come up here (cgroup v$cgroups): ${state:-$(tail -n 1 "$log")}"
    fi
    sleep 0.1
    leader=$(tr -d ' ' <"/proc/$space/task/$space/children" || true) 2>/dev/null
    [ -z "$leader" ] || state=$(inside systemctl is-system-running 2>>"$log") || true
  done
  fact boot "$(since "$start")"
  fact state "$state"
  inside systemctl --failed --no-legend >>"$log"
  case $(stat -fc %T "/proc/$leader/root/sys/fs/cgroup") in
  cgroup2fs) fact enforced 'bpf of cgroup v2' ;;
  *) fact enforced 'the devices controller of cgroup v1' ;;
  esac
}
