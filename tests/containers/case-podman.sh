# podman: its precreate hook with runc and crun, and the shim by `--runtime`. It asks for cgroup2.

# built NAME COMMAND...: an image with a RUN is built with our hook in place.
built() {
    local name=$1; shift
    shows "$name: an image with a RUN" "built" "$@" --no-cache --network none --ulimit nofile=1024:1024 \
        --ulimit nproc=1024:1024 "$work/context"
}

# builds: what reads podman's directory of hooks and knows no stage `precreate` builds as without us.
builds() {
    local store=("${engine[@]:1:4}" --storage-driver vfs)
    mkdir -p "$work/context"
    printf 'FROM test/debian\nRUN echo built\n' >"$work/context/Dockerfile"
    built "podman build" "${engine[@]}" --runtime runc build
    built "buildah build" buildah "${store[@]}" build --isolation oci --runtime runc
    check "podman's own directory of hooks has nothing of ours" test ! -e /usr/share/containers/oci/hooks.d/50-nvshare.json
    shows "podman-hook: other directories stay" 'hooks_dir=["/opt/hooks","/usr/share/nvshare/hooks.d"]' other_hooks
}

# other_hooks: what the drop-in says where the administrator has named a directory.
other_hooks() {
    local drop_in=/etc/containers/containers.conf.d/99-nvshare-hooks.conf
    mv "$drop_in" "$work/drop-in"
    printf '[engine]\nhooks_dir = ["/opt/hooks"]\n' >/etc/containers/containers.conf.d/10-other.conf
    nvshare-ctk runtime configure --runtime=podman-hook --dry-run | tr -d ' '
    rm /etc/containers/containers.conf.d/10-other.conf
    mv "$work/drop-in" "$drop_in"
}

podman_case() {
    local low_level id engine
    settings
    hook_in_place
    mkdir -p "$work/podman"
    engine=(podman --root "$work/podman/root" --runroot "$work/podman/run" --tmpdir "$work/podman/tmp"
        --cgroup-manager cgroupfs --events-backend file --storage-driver vfs)
    printf '{"default":[{"type":"insecureAcceptAnything"}]}' >/etc/containers/policy.json
    echo "# $("${engine[@]}" --version)"
    for image in debian distroless static musl preloading; do
        tar -C "$work/images/$image" -c . | "${engine[@]}" import - "test/$image" >"$work/said" 2>&1 \
            || { not_ok "podman import $image: $(tail -1 "$work/said")"; return; }
    done
    # Its author would have it before others, and out of our sight.
    "${engine[@]}" build -q --annotation io.nvshare.priority=high --annotation io.nvshare.weight=1000 \
        --annotation io.nvshare.injected=x --annotation io.nvshare.mem-limit=1GiB -t test/loud - \
        <<<'FROM test/debian' >"$work/said" 2>&1 || { not_ok "podman build: $(tail -1 "$work/said")"; return; }
    builds
    gpu=(-e NVIDIA_VISIBLE_DEVICES=all)
    options=(--network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024)
    inside="LD_PRELOAD=- NVSHARE_SOCKET=/dev/nvshare/run/scheduler.sock"
    # runc finds its controllers where this machine has them; crun wants cgroup2, and here none of it.
    podman=("${engine[@]}" --runtime runc)
    run=("${podman[@]}" run --rm "${options[@]}")
    if said=$("${run[@]}" test/debian true 2>&1 </dev/null); then
        podman_with "podman, hook, runc"
    else
        skip "podman with runc" "it starts no container here: $(tail -1 <<<"$said")"
    fi
    cgroup2 || { skip "podman with crun" "no cgroup2 on this kernel"; return; }
    podman=("${engine[@]}" --runtime crun)
    run=("${podman[@]}" run --rm --cgroups=disabled "${options[@]}")
    if said=$("${run[@]}" test/debian true 2>&1 </dev/null); then
        podman_with "podman, hook, crun"
    else
        skip "podman with crun" "it starts no container here: $(tail -1 <<<"$said")"
        return
    fi
    # A hooks.d of which one file is broken stops podman; ours must never be that one.
    echo '[runtime' >/etc/nvshare/config.toml
    shows "podman, hook: broken settings stop nothing" "$unmanaged" "${run[@]}" "${gpu[@]}" test/debian show
    engine_faults "podman, hook, crun" "126 127" nvshare-hook
    hook_away
    check "nvshare-ctk cdi generate" nvshare-ctk cdi generate
    shows "podman, CDI, crun: --device nvshare.io/gpu=shared" "$managed LD_PRELOAD=-" \
        "${run[@]}" --device nvshare.io/gpu=shared test/debian show
    shows "podman, CDI, crun: musl" "loaded=0" "${run[@]}" --device nvshare.io/gpu=shared test/musl show
    shows "podman, CDI, crun: the image's ld.so.preload" 1 "${run[@]}" --device nvshare.io/gpu=shared \
        test/preloading grep -c 'r-xp.*libother' /proc/self/maps
    hook_in_place
    shows "podman, CDI and hook together" "$managed $inside" \
        "${run[@]}" --device nvshare.io/gpu=shared test/debian show
    nvshare-ctk runtime configure --runtime=podman >/dev/null 2>&1
    hook_away
    own_cgroup
    settings 'low_level_runtimes = ["runc"]'
    podman=("${engine[@]}" --runtime nvshare)
    run=("${podman[@]}" run --rm "${options[@]}")
    podman_with "podman --runtime nvshare"
    engine_faults "podman --runtime nvshare" "126 127" nvshare-runtime 'low_level_runtimes = ["runc"]'
    settings
}

podman_with() {
    local name=$1 id said limit=-
    shows "$name: run" "$managed $inside" "${run[@]}" "${gpu[@]}" test/debian show
    shows "$name: distroless-like" "$managed" "${run[@]}" "${gpu[@]}" test/distroless show
    shows "$name: static" "$unmanaged" "${run[@]}" "${gpu[@]}" test/static show
    shows "$name: musl" "$unmanaged" "${run[@]}" "${gpu[@]}" test/musl show
    shows "$name: --read-only" "$managed" "${run[@]}" "${gpu[@]}" --read-only test/debian show
    shows "$name: --user 1000" "$managed uid=1000" "${run[@]}" "${gpu[@]}" --user 1000 test/debian show
    shows "$name: --uidmap" "$managed" \
        "${run[@]}" "${gpu[@]}" --uidmap 0:100000:5000 --gidmap 0:100000:5000 test/debian show
    shows "$name: the user's LD_PRELOAD" "$managed LD_PRELOAD=/usr/lib/libother.so" \
        "${run[@]}" "${gpu[@]}" -e LD_PRELOAD=/usr/lib/libother.so test/preloading show
    shows "$name: the image's ld.so.preload" 1 \
        "${run[@]}" "${gpu[@]}" test/preloading grep -c 'r-xp.*libother' /proc/self/maps
    if said=$("${run[@]}" -v "$work/images/debian/usr:/usr:O" test/debian true 2>&1); then
        shows "$name: an overlay volume over /usr" "$managed" \
            "${run[@]}" "${gpu[@]}" -v "$work/images/debian/usr:/usr:O" test/debian show
    else
        skip "$name: an overlay volume over /usr" "it starts none here: $(tail -1 <<<"$said")"
    fi
    shows "$name: an annotation sets the limit" "$managed NVSHARE_MEM_LIMIT=2GiB" \
        "${run[@]}" "${gpu[@]}" --annotation io.nvshare.mem-limit=2GiB test/debian show
    shows "$name: not a GPU container" "$unmanaged" "${run[@]}" test/debian show
    shows "$name: annotation io.nvshare.enable=false" "$unmanaged" \
        "${run[@]}" "${gpu[@]}" --annotation io.nvshare.enable=false test/debian show
    # podman handed an image's annotations on until 4.5.0.
    id=$("${podman[@]}" create "${options[@]}" test/loud show 2>/dev/null)
    "${podman[@]}" inspect "$id" | grep -q io.nvshare.mem-limit && limit=1GiB
    "${podman[@]}" rm -f "$id" >/dev/null 2>&1
    : >"$log"
    shows "$name: an image's annotations are not its user's" \
        "$managed NVSHARE_PRIORITY=- NVSHARE_WEIGHT=- NVSHARE_MEM_LIMIT=$limit" "${run[@]}" "${gpu[@]}" test/loud show
    [ $limit = - ] || for said in priority weight injected; do
        check "$name: the image's $said is ignored, and that is said once" \
            test "$(grep -c "annotation io.nvshare.$said is ignored" "$log")" = 1
    done
    shows "$name: its user's annotations beside them" "$managed NVSHARE_PRIORITY=low NVSHARE_WEIGHT=2" \
        "${run[@]}" "${gpu[@]}" --annotation io.nvshare.priority=low --annotation io.nvshare.weight=2 test/loud show
    id=$("${run[@]}" "${gpu[@]}" -d test/loud show wait 2>/dev/null)
    shows "$name: exec beside an image's annotations" "$managed NVSHARE_PRIORITY=- NVSHARE_WEIGHT=-" \
        "${podman[@]}" exec "$id" show
    "${podman[@]}" rm -f -t 0 "$id" >/dev/null 2>&1
    id=$("${run[@]}" "${gpu[@]}" --annotation io.nvshare.mem-limit=2GiB -d test/debian show wait 2>/dev/null)
    shows "$name: exec" "$managed policy:NVSHARE_MEM_LIMIT=2GiB" "${podman[@]}" exec "$id" show
    shows "$name: exec as a user" "$managed uid=1000" "${podman[@]}" exec --user 1000 "$id" show
    restart_scheduler
    shows "$name: restarting the scheduler does not strand it" "$managed" "${podman[@]}" exec "$id" show
    "${podman[@]}" rm -f -t 0 "$id" >/dev/null 2>&1
    nvshare-ctk runtime unconfigure --runtime=podman >/dev/null 2>&1
}
podman_case
