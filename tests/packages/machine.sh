# Machines to install packages on: Debians booted under systemd, each with a layer of its own that is thrown away.

# tree SUITE: makes the machine's files once, in some minutes; they stay in NVSHARE_TREES.
tree() {
    local suite=$1 tree=$trees/packages-$1
    [ -e "$tree/made" ] && return
    rm -rf "$tree"; mkdir -p "$tree"
    debootstrap --variant=minbase --include=systemd-sysv,dbus,runc,rpm "$suite" "$tree" \
        "$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1)" >"$tree.log" 2>&1 \
        || { tail "$tree.log"; echo "Bail out! cannot make a tree of $suite"; exit 1; }
    touch "$tree/made"
}

# lay SUITE: puts a new layer over the suite's tree, as $root.
lay() {
    tree "$1"
    layers=$((layers + 1))
    local layer=$work/layer-$layers
    root=$layer/root
    mkdir -p "$layer"/{up,work,root}
    mount -t overlay overlay -o "lowerdir=$trees/packages-$1,upperdir=$layer/up,workdir=$layer/work" "$root" \
        || { echo "Bail out! cannot lay a layer over the tree of $1"; exit 1; }
    rm "$root/made"
}

# boot [OPTIONS OF systemd-nspawn...]: starts the machine in $root and waits until it is up.
boot() {
    # Newer systemds do without the old control groups.
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --register=no --keep-unit --directory="$root" \
        --bind="$work/packages:/packages" --bind="$work/world:/world" --console=pipe "$@" --boot </dev/null >"$work/console" 2>&1 &
    machine=$!
    local try
    for try in $(seq 600); do
        leader=$(pgrep -P "$machine" | head -1)
        case $([ -z "$leader" ] || inside systemctl is-system-running --wait 2>/dev/null) in running | degraded) return ;; esac
        sleep 0.1
    done
    tail "$work/console"; echo "Bail out! the machine in $root does not boot"; exit 1
}

# inside COMMAND...: runs it on the machine.
inside() {
    nsenter -t "$leader" -m -u -i -p -n -C env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# halt: stops the machine and throws its layer away.
halt() {
    [ -z "$tenant" ] || kill "$tenant" 2>/dev/null
    [ -z "$machine" ] || { kill "$machine"; wait "$machine" 2>/dev/null; }
    machine='' leader='' tenant=''
    umount -l "$root"
}
