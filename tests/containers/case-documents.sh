# The commands of README.md and docs, as they stand there. What this place lacks has a stand-in under the same
# name: sudo, systemd, NVIDIA's container toolkit, the package, PyTorch (tests/gpu/rehearsal).
bin_world=${NVSHARE_WORLD:-$bin}
in=$work/documents

stand_in() { printf '#!/bin/sh\n%s\n' "$2" >"$in/bin/$1"; chmod 755 "$in/bin/$1"; }

prepare() {
    mkdir -p "$in/bin" "$in/lib" "$in/clone/target/x86_64-unknown-linux-gnu" "$in/card" "$in/home"
    chmod 777 "$in/home"
    stand_in sudo 'exec "$@"'
    stand_in python3 "exec env LD_LIBRARY_PATH=$in/lib FAKECUDA_DIR=\${CARD:-$in/card} ${simulated[*]} \\
        PYTHONPATH=$here/../gpu/rehearsal /usr/bin/python3 -B \"\$@\" >\${OUT:-$in}/share.\$\$.out"
    share_program "$in/clone/share.py" || not_ok "documents: share.py is not what the test expects"
    stand_in systemctl "case \"\$*\" in
        '--quiet is-active docker.service') kill -0 \$(cat $in/docker.pid) ;;
        'reload docker.service') kill -HUP \$(cat $in/docker.pid) && sleep 0.5 ;;
        'restart containerd') containerd config dump | grep -F nvshare-runtime ;;
        *) echo \"nobody stands in for systemctl \$*\"; exit 1 ;;
        esac"
    stand_in make 'echo "make $*: built already"'
    ln -s "$bin_world/libfakecuda.so" "$in/lib/libcuda.so.1"
    install -m755 "$bin_world/nvsharectl" /usr/bin/
    # A clone that has been built.
    ln -s "$bin_world" "$in/clone/target/release"
    ln -s "$(dirname "$NVSHARE_LIBRARY")" "$in/clone/target/x86_64-unknown-linux-gnu/release"
    # What NVIDIA's toolkit gives: --gpus for docker, a CDI device for podman.
    printf '#!/bin/sh\nexit 0\n' >/usr/bin/nvidia-container-runtime-hook; chmod 755 /usr/bin/nvidia-container-runtime-hook
    mkdir -p /etc/cdi
    echo '{"cdiVersion": "0.3.0", "kind": "nvidia.com/gpu", "devices": [{"name": "all",
        "containerEdits": {"env": ["NVIDIA_VISIBLE_DEVICES=all"]}}]}' >/etc/cdi/nvidia.json
    python_image "$in/image" "$bin_world"
    sed -i 's/+ 5/+ 1/' "$in/image/share.py"
    "$here/../documents/blocks.sh" "$in/blocks" clone processes unprivileged docker podman containerd
}

daemon() {
    PATH=$in/bin:$PATH "$bin_world/nvshare-scheduler" --runtime-dir /run/nvshare "$@" 2>>"$in/scheduler.log" &
    scheduler=$!
    for _ in $(seq 100); do "$bin_world/nvsharectl" status >/dev/null 2>&1 && return; sleep 0.05; done
}
no_daemon() { kill "$(cat /run/nvshare/scheduler.lock)"; until ! [ -e /run/nvshare/control.sock ]; do sleep 0.05; done; }

# Who types.
as=()
# type_block FILE: as somebody types it who has an image of that name. What it leaves running keeps no pipe open.
type_block() {
    sed 's|\bIMAGE\b|test/tenant|' "$1" >"$in/block"
    (cd "$in/clone" && PATH=$in/bin:$PATH "${as[@]}" bash -eux "$in/block") </dev/null >"$in/said" 2>&1
    local result=$?
    cat "$in/said"
    return $result
}

# each WORD [FUNCTION]: types the blocks of a kind, and calls the function after each.
each() {
    local block found=0
    for block in "$in/blocks/"*".$1.sh"; do
        found=1
        check "documents: $(basename "$block" ".$1.sh"), $1" type_block "$block"
        "${2:-true}"
    done
    [ $found = 1 ] || not_ok "documents: no block of kind $1"
}

# running [OPTIONS]: two programs hold the GPU. One that began before the scheduler listened holds it without a grant.
running() {
    for _ in $(seq 200); do
        "$bin_world/nvsharectl" "$@" status --json >"$in/status" 2>/dev/null \
            && jq -e '[.tenants[] | select(.grants > 0 or .state == "running")] | length == 2' "$in/status" && return
        sleep 0.05
    done
    cat "$in/status"
    return 1
}
# two_run: after the block that started them. limited: after the one whose program has a limit.
two_run() {
    [ "$(grep -o 'share.py &' "$in/block" | wc -l)" != 2 ] || check "documents: ... and two programs hold the GPU" running
    ! grep -q NVSHARE_MEM_LIMIT= "$in/block" || check "documents: ... whose limit is known" limited
}
limited() {
    for _ in $(seq 200); do
        "$bin_world/nvsharectl" status --json >"$in/status" && jq -e 'any(.tenants[]; .limit_bytes == 3 * pow(2; 30))' "$in/status" && return
        sleep 0.05
    done
    cat "$in/status"
    return 1
}

# ended COUNT [DIRECTORY]: so many programs have ended and say that their data is right.
ended() {
    local right
    for _ in $(seq 200); do
        right=$(cat "${2:-$in}"/share.*.out | grep -c 'right: True')
        [ "$right" = "$1" ] && break
        sleep 0.1
    done
    [ "$right" = "$1" ] || { head "${2:-$in}"/share.*.out; return 1; }
    rm "${2:-$in}"/share.*.out
}

# unprivileged: as a user of this machine, with the package's files unpacked in their home.
unprivileged() {
    local place=$in/home/nvshare
    mkdir -p "$in/package/usr/bin" "$in/package/usr/lib/nvshare" "$in/home/card"
    install -m755 "$bin_world"/{nvshare-scheduler,nvsharectl} "$in/package/usr/bin/"
    install -m644 "$NVSHARE_LIBRARY" "$in/package/usr/lib/nvshare/libnvshare.so"
    : >"$in/clone/nvshare_0_amd64.deb"
    chmod 777 "$in/home/card"
    stand_in dpkg-deb "[ \"\$1\" = -x ] && [ -e \"\$2\" ] && cp -r $in/package \"\$3\""
    as=(setpriv --reuid=1000 --regid=1000 --clear-groups env HOME="$in/home" CARD="$in/home/card" OUT="$in/home")
    each unprivileged own_scheduler
    as=()
    check "documents: ... which end with right data" ended 2 "$in/home"
    kill "$(cat "$place/run/scheduler.lock")"
}
own_scheduler() {
    grep -q 'share.py &' "$in/block" || return 0
    check "documents: ... and two programs hold the GPU by their user's own scheduler" \
        running --runtime-dir "$in/home/nvshare/run"
}

# was_a_tenant: the container that a block started, if it started one.
was_a_tenant() {
    grep -q ' run ' "$in/block" || return 0
    check "documents: ... and its program was a tenant in a container" \
        sh -c "grep -q 'joined.*container\|container.*joined' '$in/scheduler.log' && grep -q 'right: True' '$in/said'"
    : >"$in/scheduler.log"
}

with_dockerd() {
    local options=(--data-root "$in/docker" --exec-root /run/documents --pidfile "$in/docker.pid"
        --bridge none --iptables=false --ip6tables=false)
    mkdir -p /etc/docker
    rm -f /etc/docker/daemon.json
    dockerd "${options[@]}" >"$in/docker.log" 2>&1 &
    children+=($!)
    for _ in $(seq 150); do docker info >/dev/null 2>&1 && break; sleep 0.2; done
    docker info >/dev/null 2>&1 || { skip "documents: docker" "dockerd does not start here: $(tail -1 "$in/docker.log")"; return; }
    tar -C "$in/image" -c . | docker import - test/tenant >/dev/null || not_ok "documents: docker import"
    stand_in docker "[ \"\$1\" = run ] || exec $(command -v docker) \"\$@\"; shift; exec $(command -v docker) run --network none \"\$@\""
    each docker was_a_tenant
    kill "$(cat "$in/docker.pid")"
}

with_podman() {
    local engine="--root $work/p/root --runroot $work/p/run --tmpdir $work/p/tmp --cgroup-manager cgroupfs
        --events-backend file --storage-driver vfs --runtime runc"
    engine=$(tr -s '\n ' '  ' <<<"$engine")
    mkdir -p "$work/p"
    hook_in_place
    printf '{"default":[{"type":"insecureAcceptAnything"}]}' >/etc/containers/policy.json
    tar -C "$in/image" -c . | podman $engine import - test/tenant >"$in/said" 2>&1 || not_ok "documents: podman import $(tail -1 "$in/said")"
    # What this place needs of podman comes before and behind the word `run`.
    stand_in podman "before=; while [ \"\$1\" != run ]; do before=\"\$before \$1\"; shift; done; shift
        exec $(command -v podman) $engine \$before run --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \"\$@\""
    each podman was_a_tenant
    hook_away
}

documents_case() {
    [ -n "${NVSHARE_LIBRARY:-}" ] || { skip documents "a stand-in for the library"; return; }
    settings
    kill "$scheduler"; wait "$scheduler" 2>/dev/null; rm -f /run/nvshare/tenants/scheduler.sock
    prepare
    each clone two_run
    check "documents: ... which end with right data" ended 2
    no_daemon
    daemon
    each processes two_run
    check "documents: ... which end with right data" ended 3
    unprivileged
    with_dockerd
    with_podman
    mkdir -p /etc/containerd; rm -f /etc/containerd/config.toml
    each containerd
    rm -f /usr/bin/nvidia-container-runtime-hook /etc/cdi/*.json /etc/containers/containers.conf.d/99-nvshare.conf
    no_daemon
    start_scheduler
}
documents_case
