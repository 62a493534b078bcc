# Two containers on one simulated GPU take turns through the real scheduler. Needs the dockerd of case docker
# and the real library.
bin_world=${NVSHARE_WORLD:-$bin}

# start_real_scheduler [OVERLAP]: whether memory moves beside the turns too (true).
start_real_scheduler() {
    printf '[scheduler]\noverlap = %s\n' "${1:-true}" >"$work/turns.toml"
    "$bin_world/nvshare-scheduler" --runtime-dir /run/nvshare --config "$work/turns.toml" --quantum 0.3 --evict always \
        2>>"$work/scheduler.log" &
    scheduler=$!
    for _ in $(seq 100); do "$bin_world/nvsharectl" status >/dev/null 2>&1 && break; sleep 0.05; done
}

# two_containers SECONDS: starts them; fills `ids` and `pids`.
two_containers() {
    local name
    ids=() pids=()
    rm -rf "$work/card"; mkdir -p "$work/card"
    for name in first second; do
        "${docker[@]}" rm -f "$name" >/dev/null 2>&1
        # Processes of two containers share the card, and its file locks tell who is alive: one pid namespace.
        "${docker[@]}" run --name "$name" --network none --runtime=nvshare --pid host "${gpu[@]}" -v "$work/card:/card" \
            -e LD_LIBRARY_PATH=/usr/lib -e FAKECUDA_DIR=/card -e FAKECUDA_BYTE_SCALE=512 -e FAKECUDA_TIME_SCALE=25 \
            test/tenant load --bytes 25165824 --seconds "$1" >"$work/$name.out" 2>"$work/$name.err" &
        pids+=($!)
    done
}

# seen JQ: waits until the scheduler's status is as said.
seen() {
    for _ in $(seq 250); do
        "$bin_world/nvsharectl" status --json >"$work/status" 2>/dev/null && jq -e "$1" "$work/status" && return
        sleep 0.02
    done
    cat "$work/status"
    return 1
}
both='[.tenants[] | select(.container != null and .grants > 0) | .container] | unique | length == 2'

right_data() {
    local name i=0
    for name in first second; do
        wait "${pids[i]}"; i=$((i + 1))
        check "docker: $1: the $name container's data is right" \
            jq -e 'select(.wrong == 0 and .steps > 0)' <(tail -1 "$work/$name.out"; cat "$work/$name.err" >&2)
    done
}

# policy_holds: limits hold for a process that has none of the container's variables, and for one that asks for more.
policy_holds() {
    local world=(LD_LIBRARY_PATH=/usr/lib FAKECUDA_DIR=/card FAKECUDA_BYTE_SCALE=512 FAKECUDA_TIME_SCALE=25)
    local limit
    for limit in 16MiB 1GiB; do
        rm -rf "$work/card"; mkdir -p "$work/card"; mkfifo "$work/card/end"
        "${docker[@]}" run -d --name third --network none --runtime=nvshare "${gpu[@]}" -v "$work/card:/card" \
            -e NVSHARE_MEM_LIMIT=$limit test/tenant sh -c 'read line < /card/end' >/dev/null 2>&1
        for start in "env -i ${world[*]}" "env NVSHARE_MEM_LIMIT=2GiB ${world[*]}"; do
            # shellcheck disable=SC2086
            "${docker[@]}" exec third $start load --bytes 25165824 --seconds 1 >"$work/said" 2>&1
            if [ $limit = 16MiB ]; then
                check "docker: a limit of $limit holds for ${start:0:30}" grep -q 'CUDA error 2' "$work/said"
            else
                check "docker: a limit of $limit leaves room for ${start:0:30}" \
                    jq -e 'select(.wrong == 0 and .steps > 0)' <(tail -1 "$work/said")
            fi
        done
        "${docker[@]}" rm -f third >/dev/null 2>&1
    done
}

turns_case() {
    local name id
    [ -n "${NVSHARE_LIBRARY:-}" ] && "${docker[@]:-false}" info >/dev/null 2>&1 \
        || { skip "docker: two containers take turns" "no dockerd, or a stand-in for the library"; return; }
    settings
    kill "$scheduler"; wait "$scheduler" 2>/dev/null; rm -f /run/nvshare/tenants/scheduler.sock
    # One thing after the other, so that each turn brings all of the memory back.
    start_real_scheduler false
    with_libs "$work/images/tenant" /bin/sh /usr/bin/env "$bin_world/load" "$bin_world/libfakecuda.so"
    ln -s /usr/bin/libfakecuda.so "$work/images/tenant/usr/lib/libcuda.so.1"
    tar -C "$work/images/tenant" -c . | "${docker[@]}" import - test/tenant >/dev/null || not_ok "docker import tenant"

    two_containers 3
    check "docker: the scheduler knows two containers" seen "$both"
    for name in first second; do
        id=$("${docker[@]}" inspect -f '{{.Id}}' $name)
        check "docker: ... by docker's own id, the $name" grep -q "\"container\": \"${id:0:12}\"" "$work/status"
    done
    right_data turns
    "$bin_world/nvsharectl" trace --output "$work/trace.json" >/dev/null 2>&1
    check "docker: two containers take turns and their memory comes back in bulk" jq -e \
        '[.traceEvents[] | select(.name == "fetch" and .args.bytes == 25165824)] | length >= 3' "$work/trace.json"

    # A scheduler that dies without a word, and a new one in its place.
    kill "$scheduler"; wait "$scheduler" 2>/dev/null
    start_real_scheduler
    two_containers 5
    check "docker: before the scheduler is killed both have turns" seen "$both"
    kill -9 "$scheduler"; wait "$scheduler" 2>/dev/null
    start_real_scheduler
    check "docker: both containers come back to a new scheduler" seen "$both"
    check "docker: ... and take turns" seen "[.tenants[].grants] | min >= 2"
    right_data "the scheduler killed and started again"
    for name in first second; do
        check "docker: ... the $name one is told of nothing unmanaged at its end" \
            sh -c "! grep -i unmanaged '$work/$name.err'"
    done
    "${docker[@]}" rm -f first second >/dev/null 2>&1
    policy_holds
    kill "$scheduler"; wait "$scheduler" 2>/dev/null
    start_scheduler
}
turns_case
