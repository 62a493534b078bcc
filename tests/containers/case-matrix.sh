# Engines by actions, each with us and without us: exit code and output have to be the same. Prints a table.
# The programs come in a small .deb with the scripts of ours, so that a removal and an upgrade are what dpkg makes of them.
matrix=$work/matrix

# small_deb VERSION: the programs of the runtime, the hook and the scripts.
small_deb() {
    local tree=$work/deb script packaging=$here/../../packaging
    mkdir -p "$tree"/{DEBIAN,usr/bin,usr/lib/nvshare}
    printf 'Package: nvshare\nVersion: %s\nArchitecture: amd64\nMaintainer: tests <tests@nvshare.invalid>\nDescription: test\n' "$1" >"$tree/DEBIAN/control"
    for script in postinst prerm postrm; do
        sed '/#DEBHELPER#/d' "$packaging/deb/$script" >"$tree/DEBIAN/$script"; chmod 755 "$tree/DEBIAN/$script"
    done
    install -m755 "$bin"/nvshare-{runtime,hook,ctk} "$tree/usr/bin/"
    for script in name-hooks unconfigure-engines print-next-steps; do install -m755 "$packaging/$script.sh" "$tree/usr/lib/nvshare/$script"; done
    install -D -m644 "$packaging/hooks.d/50-nvshare.json" -t "$tree/usr/share/nvshare/hooks.d"
    # The library is the machine's own here, so that a removal leaves it mounted where it is.
    dpkg-deb -b --root-owner-group "$tree" "$work/nvshare_$1.deb" >/dev/null
}

installed() { dpkg -i "$work/nvshare_$1.deb"; }

# begin NAME: installs the package, on a machine with settings and a scheduler, which a removal took.
begin() {
    mkdir -p /etc/nvshare /run/nvshare/tenants
    settings 'low_level_runtimes = ["runc"]'
    restart_scheduler
    check "$1: the package installs" installed 1
}

# told COMMAND...: its exit code and what it said, without ids and the names of runtimes.
told() {
    local said rc
    said=$("$@" 2>&1 </dev/null); rc=$?
    sed -E 's/[0-9a-f]{11,64}/ID/g; s/-(ours|plain)\b//g; s/time="[^"]*"//' <<<"$said"
    echo "exit $rc"
}

# alike ENGINE ACTION FUNCTION...: the function is called with "plain" and with "ours" as its last word. What fails
# without us, on this machine, says nothing.
alike() {
    local engine=$1 action=$2 plain ours; shift 2
    plain=$(told "$@" plain) ours=$(told "$@" ours)
    case ${plain##*exit } in
    1 | 12[4-7])
        skip "$engine: $action" "it fails without us: $(head -1 <<<"$plain")"
        printf '%s|%s|none\n' "$engine" "$action" >>"$matrix"
        return ;;
    esac
    if [ "$plain" = "$ours" ]; then
        ok "$engine: $action"
        printf '%s|%s|same\n' "$engine" "$action" >>"$matrix"
    else
        not_ok "$engine: $action"
        diff <(echo "$plain") <(echo "$ours") | sed 's/^/#   /'
        printf '%s|%s|other\n' "$engine" "$action" >>"$matrix"
    fi
}

# table: a row for each engine, as docs/guide/compatibility.md has it.
table() {
    echo "# | engine | as without us | differs | fails here without us as well |"
    echo "# |---|---|---|---|"
    awk -F'|' '!($1 in at) { at[$1] = ++rows; name[rows] = $1 }
        { of[$1, $3] = of[$1, $3] (of[$1, $3] == "" ? "" : "; ") $2 }
        END { for (row = 1; row <= rows; row++)
            printf "# | %s | %s | %s | %s |\n", name[row], of[name[row], "same"], of[name[row], "other"], of[name[row], "none"] }' "$matrix"
}

# What engines of docker's command line do; $cli starts them, `create WHICH` starts the container named c-WHICH.
waits='trap "exit 5" TERM; while :; do sleep 0.1; done'
does_run() { start "$1" --rm test/debian sh -c 'echo hello; exit 3'; }
does_exec() { "${cli[@]}" exec "c-$1" sh -c 'echo inside; exit 4'; }
does_pause() { "${cli[@]}" pause "c-$1" && "${cli[@]}" inspect -f '{{.State.Status}}' "c-$1" && "${cli[@]}" unpause "c-$1"; }
does_update() { "${cli[@]}" update --cpu-shares 512 "c-$1"; }
does_commit() { "${cli[@]}" commit "c-$1" "committed-$1" && start plain --rm "committed-$1" sh -c "echo committed"; }
does_restart() { "${cli[@]}" restart -t 10 "c-$1" && does_exec "$1"; }
# A signal that is not delivered shows as a stop that takes all of its 10 s, and as 137.
does_stop() { "${cli[@]}" stop -t 10 "c-$1" && "${cli[@]}" inspect -f '{{.State.ExitCode}}' "c-$1"; }
does_kill() { "${cli[@]}" kill -s TERM "c-$1" && "${cli[@]}" wait "c-$1"; }
does_start() { "${cli[@]}" start "c-$1" && does_exec "$1"; }
does_rm() { "${cli[@]}" rm "c-$1"; }

# does_build WHICH: "plain" is a machine without our package.
does_build() {
    local result
    [ "$1" = ours ] || mount -t tmpfs tmpfs /etc/containers/containers.conf.d
    [ "$1" = ours ] || mount -t tmpfs tmpfs /usr/share/nvshare
    "${builder[@]}" --no-cache "${limits[@]}" "$work/context"; result=$?
    [ "$1" = ours ] || umount /etc/containers/containers.conf.d /usr/share/nvshare
    return $result
}

create() { start "$1" -d --name "c-$1" test/debian sh -c "$waits" >/dev/null; }
life() { local action; for action in exec pause update commit restart stop start kill; do alike "$1" "$action" "does_$action"; done; }

# all_of ENGINE: life, an upgrade and a removal under running containers.
all_of() {
    alike "$1" run does_run
    create plain; create ours
    shows "$1: the container with us is managed" "$managed" "${cli[@]}" exec c-ours show
    life "$1"
    "${cli[@]}" start c-plain c-ours >/dev/null
    check "$1: an upgrade under a running container" installed 2
    for action in exec restart; do alike "$1" "upgrade, $action" "does_$action"; done
    check "$1: a removal under a running container" removes
    for action in exec pause restart stop start kill rm; do alike "$1" "removal, $action" "does_$action"; done
}

# removes: dpkg takes the package, names the container and leaves a way for it.
removes() {
    local said
    said=$(dpkg -r nvshare 2>&1) && grep -q "$("${cli[@]}" inspect -f '{{.Id}}' c-ours)" <<<"$said" \
        && test -x /usr/bin/nvshare-runtime && test ! -e /usr/bin/nvshare-ctk && return
    echo "$said"
    return 1
}

matrix_docker() {
    local daemon=(dockerd --data-root "$work/matrix-docker" --exec-root /run/matrix --pidfile "$work/matrix.pid"
        --bridge none --iptables=false --ip6tables=false)
    mkdir -p /etc/docker
    rm -f /etc/docker/daemon.json
    nvshare-ctk runtime configure --runtime=docker 2>"$work/said"
    "${daemon[@]}" >"$work/matrix.log" 2>&1 &
    children+=($!)
    cli=(docker)
    for _ in $(seq 150); do docker info >/dev/null 2>&1 && break; sleep 0.2; done
    docker info >/dev/null 2>&1 || { skip "matrix: docker" "dockerd does not start here: $(tail -1 "$work/matrix.log")"; return; }
    tar -C "$work/images/debian" -c . | docker import - test/debian >/dev/null
    start() {
        local runtime=runc; [ "$1" = plain ] || runtime=nvshare
        docker run --network none --runtime "$runtime" -e NVIDIA_VISIBLE_DEVICES=all "${@:2}"
    }
    all_of "docker $(docker version --format '{{.Server.Version}}')"
    check "docker: a purge says what stays, why, and how it goes" purge_says_why
    dpkg -i "$work/nvshare_1.deb" >/dev/null 2>&1; "${cli[@]}" create --name c-last --runtime nvshare test/debian true >/dev/null
    kill "$(cat "$work/matrix.pid")"; wait "${children[-1]}" 2>/dev/null
    check "docker: a removal while dockerd is down" removed_without_an_answer
    check "docker: an entry that is taken out and a container that goes take the script along" script_goes
}

# A question that fails is no answer: the containers may be there.
removed_without_an_answer() {
    local said
    said=$(dpkg -r nvshare 2>&1) && grep -q 'docker does not tell of its containers' <<<"$said" \
        && grep -q 'take `runtimes.nvshare` out of /etc/docker/daemon.json' <<<"$said" \
        && grep -q nvshare-runtime /etc/docker/daemon.json && test -x /usr/bin/nvshare-runtime && return
    echo "$said"
    return 1
}

# While a file names it, a purge leaves the script.
purge_says_why() {
    local said
    said=$(dpkg -P nvshare 2>&1) && grep -q 'nvshare-runtime stays.*/etc/docker/daemon.json names it' <<<"$said" \
        && grep -q 'then: rm /usr/bin/nvshare-runtime' <<<"$said" && test -x /usr/bin/nvshare-runtime && return
    echo "$said"
    return 1
}
# script_goes: nothing needs it, which a purge notices.
script_goes() { rm /etc/docker/daemon.json && dpkg -P nvshare && test ! -e /usr/bin/nvshare-runtime; }

matrix_podman() {
    local engine=(podman --root "$work/mp/root" --runroot "$work/mp/run" --tmpdir "$work/mp/tmp"
        --cgroup-manager cgroupfs --events-backend file --storage-driver vfs)
    local name limits=(--network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024)
    name=$(podman --version | sed 's/ version//')
    mkdir -p "$work/mp" "$work/context"
    printf '{"default":[{"type":"insecureAcceptAnything"}]}' >/etc/containers/policy.json
    tar -C "$work/images/debian" -c . | "${engine[@]}" import - test/debian >"$work/said" 2>&1
    nvshare-ctk runtime configure --runtime=podman 2>"$work/said"
    # ctk asks the usual podman.
    printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v podman) ${engine[*]:1}" >"$work/podman-here"; chmod 755 "$work/podman-here"
    cp /usr/bin/podman "$work/podman-real"
    sed -i "s|$(command -v podman) |$work/podman-real |" "$work/podman-here"
    # By another name first: one that still runs cannot be written to.
    cp "$work/podman-here" /usr/bin/podman.new && mv -f /usr/bin/podman.new /usr/bin/podman
    cli=(podman)
    printf 'FROM test/debian\nRUN echo built\n' >"$work/context/Dockerfile"
    builder=(podman --runtime runc build)
    alike "$name" build does_build
    builder=(buildah "${engine[@]:1:4}" --storage-driver vfs build --isolation oci --runtime runc)
    alike "$(buildah --version | cut -d' ' -f1,3)" build does_build
    start() {
        local runtime=runc; [ "$1" = plain ] || runtime=nvshare
        podman --runtime "$runtime" run "${limits[@]}" -e NVIDIA_VISIBLE_DEVICES=all "${@:2}"
    }
    all_of "$name"
    cp "$work/podman-real" /usr/bin/podman.new && mv -f /usr/bin/podman.new /usr/bin/podman
}

# removed: to its end, with the word that the script stays. (A reader that ends early would end dpkg too.)
removed() {
    local said
    said=$(dpkg -r nvshare 2>&1) && grep -q "/usr/bin/nvshare-runtime stays" <<<"$said" && test ! -e /usr/bin/nvshare-ctk && return
    echo "$said"
    return 1
}

# script_gone: or who needs it.
script_gone() { [ ! -e /usr/bin/nvshare-runtime ] || { sh -x /usr/bin/nvshare-runtime nvshare-needed 2>&1 | tail -4; grep -lE 'conmon|shim' /proc/[0-9]*/comm; false; }; }

# The same words for ctr, which starts the runtime that it is told.
matrix_containerd() {
    mkdir -p "$work/mc"
    printf 'version = 2\nroot = "%s"\nstate = "/run/mc/state"\ndisabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "/run/mc/sock"\n' \
        "$work/mc/root" >"$work/mc/config.toml"
    containerd --config "$work/mc/config.toml" >"$work/mc/log" 2>&1 &
    children+=($!)
    local name ctr=(timeout 20 ctr -a /run/mc/sock) containerd=$!
    name="containerd $(containerd --version | cut -d' ' -f3 | tr -d '~')"
    for _ in $(seq 100); do "${ctr[@]}" version >/dev/null 2>&1 && break; sleep 0.1; done
    "${ctr[@]}" version >/dev/null 2>&1 || { skip "matrix: containerd" "it does not start here"; return; }
    task_start() {
        local runtime=/usr/sbin/runc; [ "$1" = plain ] || runtime=/usr/bin/nvshare-runtime
        "${ctr[@]}" run --rootfs --runtime io.containerd.runc.v2 --runc-binary "$runtime" --env NVIDIA_VISIBLE_DEVICES=all "${@:2}"
    }
    task_run() { task_start "$1" --rm "$work/images/debian" "r-$1" /bin/sh -c 'echo hello; exit 3'; }
    task_exec() { "${ctr[@]}" task exec --exec-id "e$RANDOM" "c-$1" /bin/sh -c 'echo inside; exit 4'; }
    task_pause() { "${ctr[@]}" task pause "c-$1" && "${ctr[@]}" task ls | grep "c-$1 .*PAUSED" | awk '{ print $1, $3 }' && "${ctr[@]}" task resume "c-$1"; }
    task_kill() { "${ctr[@]}" task kill -s TERM "c-$1" && { until "${ctr[@]}" task ls | grep -q "c-$1.*STOPPED"; do sleep 0.1; done; "${ctr[@]}" task rm "c-$1"; echo "exit was $?"; }; }
    alike "$name" run task_run
    local which action
    for which in plain ours; do task_start $which -d "$work/images/debian" "c-$which" /bin/sh -c "$waits" >/dev/null 2>&1; done
    shows "$name: the container with us is managed" "$managed" "${ctr[@]}" task exec --exec-id e0 c-ours /bin/show
    for action in exec pause; do alike "$name" "$action" "task_$action"; done
    check "$name: an upgrade under a running container" installed 2
    for action in exec pause; do alike "$name" "upgrade, $action" "task_$action"; done
    check "$name: a removal under a running container" removed
    for action in exec pause kill; do alike "$name" "removal, $action" "task_$action"; done
    check "$name: the script goes with its last container" script_gone
    kill $containerd
}

matrix_case() {
    mkdir -p "$work/over/dpkg"/{up,work}
    mount -t overlay overlay -o "lowerdir=/var/lib/dpkg,upperdir=$work/over/dpkg/up,workdir=$work/over/dpkg/work" /var/lib/dpkg
    : >"$matrix"
    # Of a case before this one, and read where there are no such containers.
    rm -f /etc/containers/containers.conf.d/99-nvshare.conf
    small_deb 1; small_deb 2
    begin docker; matrix_docker
    begin podman; matrix_podman
    rm -f /etc/containers/containers.conf.d/99-nvshare.conf
    begin containerd; matrix_containerd
    dpkg -P nvshare >/dev/null 2>&1
    umount /var/lib/dpkg
    mkdir -p /etc/nvshare /run/nvshare/tenants
    install -m755 "$bin"/nvshare-{runtime,hook,ctk} /usr/bin/
    settings
    restart_scheduler
    table
}
matrix_case
