# Two containers on one simulated GPU take turns through the real scheduler. Needs the dockerd of case docker
# and the real library.
turns_case() {
    local name tenants=(first second) card="$work/card" bin=${NVSHARE_WORLD:-$bin}
    [ -n "${NVSHARE_LIBRARY:-}" ] && "${docker[@]:-false}" info >/dev/null 2>&1 \
        || { skip "docker: two containers take turns" "no dockerd, or a stand-in for the library"; return; }
    settings
    kill "$scheduler"; wait "$scheduler" 2>/dev/null; rm -f /run/nvshare/tenants/scheduler.sock
    "$bin/nvshare-scheduler" --runtime-dir /run/nvshare --quantum 0.3 --evict always 2>"$work/scheduler.log" &
    scheduler=$!
    for _ in $(seq 100); do "$bin/nvsharectl" status >/dev/null 2>&1 && break; sleep 0.05; done
    with_libs "$work/images/tenant" /bin/sh "$bin/load" "$bin/libfakecuda.so"
    ln -s /usr/bin/libfakecuda.so "$work/images/tenant/usr/lib/libcuda.so.1"
    tar -C "$work/images/tenant" -c . | "${docker[@]}" import - test/tenant >/dev/null || not_ok "docker import tenant"
    mkdir -p "$card"
    for name in "${tenants[@]}"; do
        # Processes of two containers share the card, and its file locks tell who is alive: one pid namespace.
        "${docker[@]}" run --name "$name" --network none --runtime=nvshare --pid host "${gpu[@]}" -v "$card:/card" \
            -e LD_LIBRARY_PATH=/usr/lib -e FAKECUDA_DIR=/card -e FAKECUDA_BYTE_SCALE=512 -e FAKECUDA_TIME_SCALE=25 \
            test/tenant load --bytes 25165824 --seconds 3 >"$work/$name.out" 2>"$work/$name.err" &
        eval "pid_$name=$!"
    done
    for _ in $(seq 200); do
        "$bin/nvsharectl" status --json >"$work/status" 2>/dev/null
        [ "$(jq '[.tenants[] | select(.container != null)] | length' "$work/status")" = 2 ] && break
        sleep 0.02
    done
    check "docker: the scheduler names both containers" test \
        "$(jq -r '[.tenants[].container | select(. != null)] | unique | length' "$work/status")" = 2
    for name in "${tenants[@]}"; do
        eval "wait \$pid_$name"
        check "docker: the $name container's data is right" jq -e 'select(.wrong == 0 and .steps > 0)' <(tail -1 "$work/$name.out"; cat "$work/$name.err" >&2)
    done
    "$bin/nvsharectl" trace --output "$work/trace.json" >/dev/null 2>&1
    check "docker: two containers take turns and their memory comes back in bulk" jq -e \
        '[.traceEvents[] | select(.name == "fetch" and .args.bytes == 25165824)] | length >= 3' "$work/trace.json"
    kill "$scheduler"; wait "$scheduler" 2>/dev/null
    start_scheduler
}
turns_case
