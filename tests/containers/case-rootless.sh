# podman of a user without rights, with the hook.
rootless_case() {
    local home=$work/home said
    settings
    cgroup2 || { skip "rootless podman" "no cgroup2 on this kernel"; return; }
    hook_in_place
    useradd --uid 4321 --no-create-home tenant 2>/dev/null
    grep -q '^tenant:' /etc/subuid || { echo tenant:200000:65536 >>/etc/subuid; echo tenant:200000:65536 >>/etc/subgid; }
    printf '{"default":[{"type":"insecureAcceptAnything"}]}' >/etc/containers/policy.json
    # In this place, since podman's own clean-up process looks nowhere else; without it every end takes 20 s.
    mkdir -p "$home" /run/user/4321; chown tenant "$home" /run/user/4321; chmod 700 /run/user/4321
    user=(setpriv --reuid tenant --regid tenant --clear-groups
        env HOME="$home" XDG_RUNTIME_DIR=/run/user/4321 USER=tenant
        podman --cgroup-manager cgroupfs --events-backend file --storage-driver vfs --runtime crun)
    cd /
    for image in debian preloading; do
        tar -C "$work/images/$image" -c . >"$work/$image.tar"; chmod 644 "$work/$image.tar"
        said=$("${user[@]}" import "$work/$image.tar" "test/$image" 2>&1) \
            || { skip "rootless podman" "it imports nothing here: $(tail -1 <<<"$said")"; return; }
    done
    run=("${user[@]}" run --rm --network none --cgroups=disabled --ulimit nofile=1024:1024 --ulimit nproc=1024:1024)
    said=$("${run[@]}" test/debian true 2>&1) \
        || { skip "rootless podman" "it starts no container here: $(tail -1 <<<"$said")"; return; }
    gpu=(-e NVIDIA_VISIBLE_DEVICES=all)
    shows "rootless podman: run" "$managed uid=0" "${run[@]}" "${gpu[@]}" test/debian show
    shows "rootless podman: --user 1000" "$managed uid=1000" "${run[@]}" "${gpu[@]}" --user 1000 test/debian show
    shows "rootless podman: the image's ld.so.preload" 1 \
        "${run[@]}" "${gpu[@]}" test/preloading grep -c 'r-xp.*libother' /proc/self/maps
    shows "rootless podman: not a GPU container" "$unmanaged" "${run[@]}" test/debian show
    nvshare-ctk cdi generate 2>/dev/null; hook_away
    shows "rootless podman: --device nvshare.io/gpu=shared" "$managed" \
        "${run[@]}" --device nvshare.io/gpu=shared test/debian show
    rootless_removal
}

# A user's containers of the runtime nvshare when the package goes.
rootless_removal() {
    local id podman
    own_cgroup
    settings 'low_level_runtimes = ["runc"]'
    nvshare-ctk runtime configure --runtime=podman 2>/dev/null
    podman=("${user[@]:0:${#user[@]}-2}" --runtime nvshare)
    id=$("${podman[@]}" run -d --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \
        "${gpu[@]}" test/debian show wait 2>"$work/said") \
        || { skip "rootless podman --runtime nvshare" "it starts none here: $(tail -1 "$work/said")"; return; }
    shows "rootless podman --runtime nvshare: exec" "$managed" "${podman[@]}" exec "$id" show
    cp -a /usr/bin/nvshare-runtime "$work/saved"
    sh "$here/../../packaging/unconfigure-engines.sh" >"$work/said" 2>&1
    check "rootless podman: a removal names the user's container" grep -q "$id (of uid 4321)" "$work/said"
    mv -f /usr/bin/.nvshare-runtime.left /usr/bin/nvshare-runtime
    podman=("${podman[@]:0:${#podman[@]}-2}")
    check "rootless podman: ... which is entered without the package" "${podman[@]}" exec "$id" true
    check "rootless podman: ... and stopped" timeout 40 "${podman[@]}" stop -t 1 "$id"
    "${podman[@]}" rm -f -t 0 "$id" >/dev/null 2>&1
    mv -f "$work/saved" /usr/bin/nvshare-runtime
    nvshare-ctk runtime unconfigure --runtime=podman >/dev/null 2>&1
}
rootless_case
