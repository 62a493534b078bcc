# What containers get on a GPU machine that has neither images nor a network: the device files of its GPUs, and its own
# userland, read-only. Sourced.
# usage: container_place PREFIX...: besides /usr, /opt and the libraries, what lies in these directories. Fills the arrays
# `devices` (paths), `mounts` (directories) and `variables` (NAME=VALUE).
container_place() {
  local directory libraries=${LD_LIBRARY_PATH:-}
  devices=() mounts=(/usr /opt /lib /lib64) variables=("PATH=$PATH" HOME=/tmp "CUDA_DEVICE_ORDER=$CUDA_DEVICE_ORDER")
  [ -z "${CUDA_VISIBLE_DEVICES:-}" ] || variables+=("CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES")
  for directory in /dev/nvidia[0-9]* /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-uvm-tools; do
    [ ! -c "$directory" ] || devices+=("$directory")
  done
  for directory in "$@" $(mountpoint -q /usr/local/nvidia && echo /usr/local/nvidia); do
    case $directory/ in
      /usr/local/nvidia/*) ;;
      /usr/* | /opt/*) continue ;;
    esac
    case " ${mounts[*]} " in *" $directory "*) ;; *) mounts+=("$directory") ;; esac
  done
  if ! ldconfig -p | grep -q 'libcuda\.so\.1 '; then
    for directory in /usr/local/nvidia/lib64 /usr/local/nvidia/lib; do
      [ ! -e "$directory/libcuda.so.1" ] || libraries=$directory${libraries:+:$libraries}
    done
  fi
  [ -z "$libraries" ] || variables+=("LD_LIBRARY_PATH=$libraries")
}
# usage: container_tree DIRECTORY: the root of their image, with a copy of this machine's /etc
container_tree() {
  mkdir -p "$1"/{usr,opt,lib,lib64,etc,proc,sys,dev,tmp,var,run}
  chmod 1777 "$1/tmp"
  ln -s usr/bin "$1/bin"
  ln -s usr/sbin "$1/sbin"
  cp -a /etc/. "$1/etc/"
  rm -f "$1"/etc/{resolv.conf,hosts,hostname,mtab}
}
# Engines differ in the version of cgroups that they can use; this machine's own is kept aside, in $work/cgroups.
keep_cgroups() { mkdir "$work/cgroups" && mount --rbind /sys/fs/cgroup "$work/cgroups"; }
own_cgroups() { umount -R /sys/fs/cgroup; mount --rbind "$work/cgroups" /sys/fs/cgroup; } 2>/dev/null
cgroup2() { umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; } 2>/dev/null
