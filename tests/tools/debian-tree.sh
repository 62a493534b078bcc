# A newer Debian in a tree of its own, which becomes the root of the script that sources this and of all that it starts. As
# root; the first time some minutes longer. Settings: SUITE (trixie); NVSHARE_TREES (where trees stay).

# usage: enter_debian NAME SCRIPT [ARGUMENTS...]: SCRIPT is run once more in a mount namespace of its own, and comes back from
# here in the tree NAME. The checkout lies there where it lies outside; `proxies` has what programs need to reach registries.
enter_debian() {
    local suite=${SUITE:-trixie} name=$1 script=$2 source place variable
    local tree=${NVSHARE_TREES:-/var/cache/nvshare-tests}/$name-$suite
    shift 2
    source=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
    if [ "${NVSHARE_NEWER_INSIDE:-}" != 1 ]; then
        if ! [ -e "$tree/made" ]; then
            command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
            rm -rf "$tree"; mkdir -p "$tree"
            debootstrap --variant=minbase --include=ca-certificates "$suite" "$tree" \
                "$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)" >"$tree.log" 2>&1 \
                || { tail "$tree.log"; echo "Bail out! cannot make a tree of $suite"; exit 1; }
            touch "$tree/made"
        fi
        exec env NVSHARE_NEWER_INSIDE=1 unshare --mount --propagation private bash "$script" "$@"
    fi
    # The tree becomes the root for good: below a chroot an engine's exec would look into the wrong root, and there are no
    # user namespaces.
    mount --bind "$tree" "$tree"
    mount -t proc proc "$tree/proc"
    for place in sys dev; do mount --rbind "/$place" "$tree/$place"; done
    for place in run tmp; do mount -t tmpfs tmpfs "$tree/$place"; done
    mkdir -p "$tree/$source" "$tree/old"
    mount --rbind "$source" "$tree/$source"
    cp /etc/resolv.conf "$tree/etc/"
    # Whoever this machine trusts, behind a proxy of its own for instance.
    cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
    cp -n /etc/apt/apt.conf.d/* "$tree/etc/apt/apt.conf.d/"
    proxies=()
    for variable in http_proxy https_proxy PIP_CERT PIP_INDEX_URL; do
        [ -z "${!variable:-}" ] || proxies+=("$variable=${!variable}")
    done
    cd "$tree"
    pivot_root . old
    umount -l /old
}
