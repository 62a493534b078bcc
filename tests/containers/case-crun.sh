# crun alone. It asks for cgroup2.
low_level=crun
crun_case() {
    cgroup2 || { skip "crun" "no cgroup2 on this kernel"; return; }
    . "$here/bundles.sh"
    global=(--cgroup-manager=disabled)
    . "$here/common-bundles.sh"
}
crun_case
low_level=runc
