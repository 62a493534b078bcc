# A Debian with docker: three commands from the package to a container that is a tenant, each of which says what it did and
# what comes next.

# engine: docker on the booted machine (its unit is told to reload by procps's kill), and an image with a program that uses CUDA.
engine() {
    mkdir -p "$root/etc/docker" && printf '{ "bridge": "none", "iptables": false, "ip6tables": false, "storage-driver": "vfs" }\n' >"$root/etc/docker/daemon.json"
    inside apt-get update -qq && inside apt-get install -y -qq --no-install-recommends docker.io procps || return 1
    inside sh -c 'for _ in $(seq 300); do docker info >/dev/null 2>&1 && exit; sleep 0.1; done; journalctl -u docker -n 5; exit 1' || return 1
    inside sh -c 'mkdir -p /tmp/image/tmp; files=$(ldd /world/load /world/libcuda.so.1 | grep -o "/[^ :]*" | sort -u)
        for name in dl m pthread rt; do files="$files $(ls /lib/x86_64-linux-gnu/lib$name.so.*)"; done
        tar -chP $files | tar -x -C /tmp/image && tar -C /tmp/image -c . | docker import - tenant'
}

# says COMMAND WORDS...: runs it on the machine as root types it; it ends well and has said all of them.
says() {
    local command=$1 said words; shift
    said=$(inside sh -c "$command" 2>&1) || { echo "$said"; return 1; }
    for words; do
        case $said in *"$words"*) ;; *) echo "$said"; return 1 ;; esac
    done
}

docker_case() {
    lay bookworm
    boot --capability=all --system-call-filter='@keyring bpf'
    local seconds
    check "docker: is there" engine
    seconds=$(date +%s%N)
    check "docker: apt install" says 'apt-get install -y -qq --no-install-recommends /packages/nvshare_*.deb' \
        'nvshare: installed.' 'nvshare-ctk runtime configure --runtime=docker'
    check "docker: nvshare-ctk runtime configure" says 'nvshare-ctk runtime configure --runtime=docker' \
        '/etc/docker/daemon.json: changed. dockerd has been told. Next: docker run --runtime=nvshare'
    check "docker: docker run --runtime=nvshare" says \
        'docker run --rm --network none --runtime=nvshare -e NVIDIA_VISIBLE_DEVICES=all -e LD_LIBRARY_PATH=/world -e FAKECUDA_DIR=/tmp \
            -e FAKECUDA_BYTE_SCALE=512 tenant /world/load --bytes 25165824 --steps 3' '"wrong":0'
    seconds=$(($(date +%s%N) - seconds))
    echo "# the three took $((seconds / 1000000)) ms"
    check "docker: the three took less than a minute" [ $seconds -lt 60000000000 ]
    check "docker: its program was a tenant in a container" says 'journalctl -q -u nvshare-scheduler -o cat' 'container ' ' joined'
    check "docker: a configuration that has been made is not made again" says 'nvshare-ctk runtime configure --runtime=docker' 'nothing to change'
    check "docker: a removal tells docker" says 'apt-get remove -y -qq nvshare' 'dockerd has been told'
    halt
}
