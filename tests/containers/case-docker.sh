# A private dockerd.
docker_case() {
    local id i
    settings
    mkdir -p "$work/docker" /etc/docker
    nvshare-ctk runtime configure --runtime=docker --config "$work/docker/daemon.json" >"$work/said" 2>&1 \
        || { not_ok "docker: nvshare-ctk runtime configure: $(cat "$work/said")"; return; }
    ok "docker: nvshare-ctk runtime configure"
    local major
    major=$(dockerd --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    if [ "$major" -ge 25 ]; then
        # Its own default from 28.2 on.
        jq '.features.cdi = true' "$work/docker/daemon.json" >"$work/said" && mv "$work/said" "$work/docker/daemon.json"
        check "docker: nvshare-ctk cdi generate" nvshare-ctk cdi generate
    fi
    dockerd --config-file "$work/docker/daemon.json" --data-root "$work/docker/data" --exec-root /run/nvd \
        --pidfile "$work/docker/pid" -H unix:///run/nvd.sock --bridge none --iptables=false --ip6tables=false \
        >"$work/docker/log" 2>&1 &
    children+=($!)
    docker=(docker -H unix:///run/nvd.sock)
    export DOCKER_CONFIG=$work/docker
    for i in $(seq 150); do "${docker[@]}" info >/dev/null 2>&1 && break; sleep 0.2; done
    "${docker[@]}" info >/dev/null 2>&1 \
        || { skip "docker" "dockerd does not start here: $(grep -v level=info "$work/docker/log" | tail -1)"; return; }
    echo "# dockerd $("${docker[@]}" version --format '{{.Server.Version}}')"
    for image in debian distroless static musl preloading; do
        tar -C "$work/images/$image" -c . | "${docker[@]}" import - "test/$image" >/dev/null || not_ok "docker import $image"
    done
    run=("${docker[@]}" run --rm --network none --runtime=nvshare)
    gpu=(-e NVIDIA_VISIBLE_DEVICES=all)
    inside="LD_PRELOAD=- NVSHARE_SOCKET=/dev/nvshare/run/scheduler.sock"

    shows "docker: run --runtime=nvshare" "$managed $inside" "${run[@]}" "${gpu[@]}" test/debian show
    shows "docker: distroless-like" "$managed" "${run[@]}" "${gpu[@]}" test/distroless show
    shows "docker: static" "$unmanaged" "${run[@]}" "${gpu[@]}" test/static show
    shows "docker: musl" "$unmanaged" "${run[@]}" "${gpu[@]}" test/musl show
    shows "docker: --read-only" "$managed" "${run[@]}" "${gpu[@]}" --read-only test/debian show
    shows "docker: --user 1000" "$managed uid=1000" "${run[@]}" "${gpu[@]}" --user 1000 test/debian show
    if "${docker[@]}" run --rm --network none --privileged test/debian true >/dev/null 2>&1; then
        shows "docker: --privileged" "$managed" "${run[@]}" "${gpu[@]}" --privileged test/debian show
    else
        skip "docker: --privileged" "this machine does not let runc alone start one"
    fi
    shows "docker: --cap-drop ALL, no new privileges" "$managed" \
        "${run[@]}" "${gpu[@]}" --cap-drop ALL --security-opt no-new-privileges test/debian show
    shows "docker: -v /dev:/dev" "loaded=1 connect=ok NVSHARE_SOCKET=/run/nvshare/run/scheduler.sock" \
        "${run[@]}" "${gpu[@]}" -v /dev:/dev test/debian show
    check "docker: ... leaves nothing in the host's /dev" test ! -e /dev/nvshare
    shows "docker: the user's LD_PRELOAD" "$managed LD_PRELOAD=/usr/lib/libother.so" \
        "${run[@]}" "${gpu[@]}" -e LD_PRELOAD=/usr/lib/libother.so test/preloading show
    shows "docker: the image's ld.so.preload" 1 \
        "${run[@]}" "${gpu[@]}" test/preloading grep -c 'r-xp.*libother' /proc/self/maps
    shows "docker: limits by variable" "$managed NVSHARE_MEM_LIMIT=4GiB policy:NVSHARE_MEM_LIMIT=4GiB" \
        "${run[@]}" "${gpu[@]}" -e NVSHARE_MEM_LIMIT=4GiB test/debian show
    : >"$log"
    shows "docker: a variable that is dropped" "$managed NVSHARE_PRIORITY=-" \
        "${run[@]}" "${gpu[@]}" -e NVSHARE_PRIORITY=high test/debian show
    check "docker: ... is told, with how to give it" grep -qF -e "--annotation io.nvshare.priority=high" "$log"
    shows "docker: not a GPU container" "$unmanaged" "${run[@]}" test/debian show
    shows "docker: NVSHARE_ENABLE=0" "$unmanaged" "${run[@]}" "${gpu[@]}" -e NVSHARE_ENABLE=0 test/debian show
    shows "docker: NVSHARE_ENABLE=1 is enough" "$managed" "${run[@]}" -e NVSHARE_ENABLE=1 test/debian show

    id=$("${run[@]}" "${gpu[@]}" -d test/debian show wait)
    shows "docker: exec" "$managed $inside" "${docker[@]}" exec "$id" show
    shows "docker: exec as a user" "$managed uid=1000" "${docker[@]}" exec -u 1000 "$id" show
    shows "docker: exec with an LD_PRELOAD of its own" "$managed" \
        "${docker[@]}" exec -e LD_PRELOAD=/usr/lib/libnone.so "$id" show
    restart_scheduler
    shows "docker: restarting the scheduler does not strand it" "$managed" "${docker[@]}" exec "$id" show
    "${docker[@]}" rm -f "$id" >/dev/null 2>&1

    "${docker[@]}" run --network none --runtime=nvshare --name d1 test/debian true >/dev/null 2>&1
    "${docker[@]}" run --network none --name d2 test/debian true >/dev/null 2>&1
    check "docker: not ours: docker diff as without us" diff <("${docker[@]}" diff d1) <("${docker[@]}" diff d2)
    "${docker[@]}" rm d1 d2 >/dev/null

    docker_build
    engine_faults docker 125 nvshare-runtime
    docker_is_asked
    docker_cdi "$major"
}

# A build of the engine's own builder, with us as its default runtime.
docker_build() {
    nvshare-ctk runtime configure --runtime=docker --set-as-default --config "$work/docker/daemon.json" >"$work/said" 2>&1
    kill -HUP "$(cat "$work/docker/pid")"
    for _ in $(seq 100); do
        [ "$("${docker[@]}" info --format '{{.DefaultRuntime}}' 2>/dev/null)" = nvshare ] && break
        sleep 0.1
    done
    DOCKER_BUILDKIT=0 "${docker[@]}" build --network none -t test/built - >"$work/said" 2>&1 <<'END'
FROM test/debian
ENV NVIDIA_VISIBLE_DEVICES=all
RUN show
END
    check "docker build: a RUN is managed" grep -qx loaded=1 "$work/said"
    check "docker build: ... and leaves nothing in the image" \
        sh -c "! ${docker[*]} run --rm --network none --runtime runc --entrypoint ls test/built -a /etc | grep preload"
    DOCKER_BUILDKIT=0 "${docker[@]}" build --network none -t test/built - >"$work/said" 2>&1 <<'END'
FROM test/debian
ENV NVIDIA_VISIBLE_DEVICES=all
RUN echo "# mine" >> /etc/ld.so.preload
END
    check "docker build: RUN echo ... >> /etc/ld.so.preload" grep -q '^Successfully built' "$work/said"
    check "docker build: ... is in the image, alone" test "$("${docker[@]}" run --rm --network none --runtime runc \
        --entrypoint cat test/built /etc/ld.so.preload)" = "# mine"
    "${docker[@]}" rmi -f test/built >/dev/null 2>&1
}

# docker_is_asked: what dockerd would not start with is refused before it is written.
docker_is_asked() {
    local file=$work/docker/other.json pid
    echo '{"log-level": "warn"}' >"$file"
    dockerd --config-file "$file" --default-runtime io.containerd.runc.v2 --data-root "$work/docker/other" --exec-root /run/nvo \
        --pidfile "$work/docker/other.pid" -H unix:///run/nvo.sock --bridge none --iptables=false --ip6tables=false >"$work/docker/other.log" 2>&1 &
    pid=$!
    until tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- --default-runtime; do sleep 0.05; done
    check "docker: a default on dockerd's command line: it is named" grep -q 'is started with "--default-runtime.*leave out --set-as-default' \
        <(nvshare-ctk runtime configure --runtime=docker --set-as-default --config "$file" 2>&1)
    check "docker: ... and the file is as before" test "$(cat "$file")" = '{"log-level": "warn"}'
    check "docker: ... without a default it is configured" nvshare-ctk runtime configure --runtime=docker --config "$file"
    kill $pid; wait $pid
    if dockerd --validate --config-file "$file" >/dev/null 2>&1; then
        echo '{"no-such-key": 1}' >"$file"
        check "docker: what dockerd's own validation refuses is not written" grep -q 'dockerd would refuse the file.*no-such-key' \
            <(nvshare-ctk runtime configure --runtime=docker --config "$file" 2>&1)
    else
        skip "docker: what dockerd's own validation refuses is not written" "this dockerd has no --validate"
    fi
}

# docker_cdi MAJOR: the device, with the engine's own runtime.
docker_cdi() {
    local device=(--device nvshare.io/gpu=shared) id
    [ "$1" -ge 25 ] || { skip "docker: --device nvshare.io/gpu=shared" "docker $1 does not know CDI"; return; }
    run=("${docker[@]}" run --rm --network none)
    shows "docker: --device nvshare.io/gpu=shared" "$managed LD_PRELOAD=-" "${run[@]}" "${device[@]}" test/debian show
    shows "docker: --device nvshare.io/gpu=shared, musl" "loaded=0" "${run[@]}" "${device[@]}" test/musl show
    shows "docker: --device nvshare.io/gpu=shared, --user 1000" "$managed uid=1000" \
        "${run[@]}" "${device[@]}" --user 1000 test/debian show
    shows "docker: --device nvshare.io/gpu=shared, the image's ld.so.preload" 1 "${run[@]}" "${device[@]}" \
        test/preloading grep -c 'r-xp.*libother' /proc/self/maps
    shows "docker: --device nvshare.io/gpu=shared and --runtime=nvshare" "$managed $inside" \
        "${run[@]}" --runtime=nvshare "${device[@]}" test/debian show
    id=$("${run[@]}" "${device[@]}" -d test/debian show wait)
    shows "docker: exec into a container with the device" "$managed" "${docker[@]}" exec "$id" show
    "${docker[@]}" rm -f "$id" >/dev/null 2>&1
    rm -f /etc/cdi/nvshare.json
}

docker_case
unset DOCKER_CONFIG
