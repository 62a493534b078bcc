# The commands of README.md and docs, as they stand there. What this place lacks has a stand-in under the same
# name: sudo, systemd, NVIDIA's container toolkit, and python3, which is the load of the tests.
bin_world=${NVSHARE_WORLD:-$bin}
in=$work/documents
LOAD='load --bytes 12582912 --seconds 5'

stand_in() { printf '#!/bin/sh\n%s\n' "$2" >"$in/bin/$1"; chmod 755 "$in/bin/$1"; }

prepare() {
    mkdir -p "$in/bin" "$in/lib" "$in/clone/target/x86_64-unknown-linux-gnu" "$in/card"
    stand_in sudo 'exec "$@"'
    stand_in python3 "exec env LD_LIBRARY_PATH=$in/lib FAKECUDA_DIR=$in/card FAKECUDA_BYTE_SCALE=512 \\
        FAKECUDA_TIME_SCALE=25 $bin_world/$LOAD >$in/\$1.out"
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
    cp -a "$work/images/debian" "$in/image"
    with_libs "$in/image" "$bin_world/load" "$bin_world/libfakecuda.so"
    ln -s /usr/bin/libfakecuda.so "$in/image/usr/lib/libcuda.so.1"
    printf '#!/bin/sh\nexport LD_LIBRARY_PATH=/usr/lib\nexec %s\n' "${LOAD/seconds 5/steps 3}" >"$in/image/usr/bin/python3"
    chmod 755 "$in/image/usr/bin/python3"
    "$here/../documents/blocks.sh" "$in/blocks" clone processes docker podman containerd
}

daemon() {
    PATH=$in/bin:$PATH "$bin_world/nvshare-scheduler" --runtime-dir /run/nvshare "$@" 2>>"$in/scheduler.log" &
    scheduler=$!
    for _ in $(seq 100); do "$bin_world/nvsharectl" status >/dev/null 2>&1 && return; sleep 0.05; done
}
no_daemon() { kill "$(cat /run/nvshare/scheduler.lock)"; until ! [ -e /run/nvshare/control.sock ]; do sleep 0.05; done; }

# type_block FILE: as somebody types it who has an image of that name. What it leaves running keeps no pipe open.
type_block() {
    sed 's|\bIMAGE\b|test/tenant|' "$1" >"$in/block"
    (cd "$in/clone" && PATH=$in/bin:$PATH bash -eux "$in/block") </dev/null >"$in/said" 2>&1
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

# running: two programs hold the GPU. One that began before the scheduler listened holds it without a grant.
running() {
    for _ in $(seq 200); do
        "$bin_world/nvsharectl" status --json >"$in/status" 2>/dev/null \
            && jq -e '[.tenants[] | select(.grants > 0 or .state == "running")] | length == 2' "$in/status" && return
        sleep 0.05
    done
    cat "$in/status"
    return 1
}
# two_run: after the block that started them.
two_run() { ! grep -q 'train.py' "$in/block" || check "documents: ... and two programs hold the GPU" running; }

ended() {
    local program
    for program in train other; do
        for _ in $(seq 200); do tail -n 1 "$in/$program.py.out" | grep -q '"wrong"' && break; sleep 0.1; done
        jq -e 'select(.wrong == 0)' <(tail -n 1 "$in/$program.py.out") || return 1
        rm "$in/$program.py.out"
    done
}

# was_a_tenant: the container that a block started, if it started one.
was_a_tenant() {
    grep -q ' run ' "$in/block" || return 0
    check "documents: ... and its program was a tenant in a container" \
        sh -c "grep -q 'joined.*container\|container.*joined' '$in/scheduler.log' && grep -q '\"wrong\":0' '$in/said'"
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
    check "documents: ... which end with right data" ended
    no_daemon
    daemon
    each processes two_run
    check "documents: ... which end with right data" ended
    with_dockerd
    with_podman
    mkdir -p /etc/containerd; rm -f /etc/containerd/config.toml
    each containerd
    rm -f /usr/bin/nvidia-container-runtime-hook /etc/cdi/*.json /etc/containers/containers.conf.d/99-nvshare.conf
    no_daemon
    start_scheduler
}
documents_case
