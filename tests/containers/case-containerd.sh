# containerd by itself, through ctr.
containerd_case() {
    local i ctr id
    settings
    mkdir -p "$work/containerd"
    printf 'version = 2\nroot = "%s"\nstate = "/run/nvc/state"\ndisabled_plugins = ["io.containerd.internal.v1.opt"]\n[grpc]\naddress = "/run/nvc/sock"\n' \
        "$work/containerd/root" >"$work/containerd/config.toml"
    check "containerd: nvshare-ctk runtime configure" \
        nvshare-ctk runtime configure --runtime=containerd --set-as-default --config "$work/containerd/config.toml"
    containerd --config "$work/containerd/config.toml" config dump >"$work/containerd/dump" 2>"$work/said"
    # What containerd itself makes of our section.
    for i in 'default_runtime_name = "nvshare"' 'BinaryName = "/usr/bin/nvshare-runtime"' 'pod_annotations = ["io.nvshare.*"]'; do
        check "containerd: reads $i" grep -qF "$i" "$work/containerd/dump"
    done
    printf 'version = 2\n[grpc]\naddress = 3\n' >"$work/containerd/broken.toml"
    check "containerd: what it refuses itself is not written" grep -q 'containerd would refuse the file' \
        <(nvshare-ctk runtime configure --runtime=containerd --config "$work/containerd/broken.toml" 2>&1)
    printf 'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\nSystemdCgroup = true\n' >"$work/containerd/kubeadm.toml"
    nvshare-ctk runtime configure --runtime=containerd --config "$work/containerd/kubeadm.toml" 2>/dev/null
    check "containerd: reads runc's SystemdCgroup in our section" grep -qz 'runtimes.nvshare.options\][^[]*SystemdCgroup = true' \
        <(containerd --config "$work/containerd/kubeadm.toml" config dump 2>/dev/null)
    containerd --config "$work/containerd/config.toml" >"$work/containerd/log" 2>&1 &
    children+=($!)
    ctr=(timeout 20 ctr -a /run/nvc/sock)
    for i in $(seq 100); do "${ctr[@]}" version >/dev/null 2>&1 && break; sleep 0.1; done
    "${ctr[@]}" version >"$work/said" 2>&1 \
        || { skip "containerd" "it does not start here: $(grep -v level=info "$work/containerd/log" | tail -1)"; return; }
    echo "# $(containerd --version)"
    "${ctr[@]}" plugins ls >"$work/said" 2>&1
    check "containerd: its CRI plugin takes the configuration" grep -E 'cri.* ok ' "$work/said"
    start=("${ctr[@]}" run --rootfs --runtime io.containerd.runc.v2 --runc-binary /usr/bin/nvshare-runtime)
    run=("${start[@]}" --rm)
    gpu=(--env NVIDIA_VISIBLE_DEVICES=all)
    shows "containerd: ctr run --runc-binary nvshare-runtime" "$managed LD_PRELOAD=-" \
        "${run[@]}" "${gpu[@]}" "$work/images/debian" c1 /bin/show
    shows "containerd: musl" "$unmanaged" "${run[@]}" "${gpu[@]}" "$work/images/musl" c2 /bin/show
    shows "containerd: an annotation sets the limit" "$managed NVSHARE_MEM_LIMIT=2GiB" \
        "${run[@]}" "${gpu[@]}" --annotation io.nvshare.mem-limit=2GiB "$work/images/debian" c3 /bin/show
    shows "containerd: not a GPU container" "$unmanaged" "${run[@]}" "$work/images/debian" c4 /bin/show
    "${start[@]}" -d "${gpu[@]}" "$work/images/debian" c5 /bin/show wait >"$work/said" 2>&1 </dev/null
    shows "containerd: ctr task exec" "$managed LD_PRELOAD=-" \
        "${ctr[@]}" task exec --exec-id e1 c5 /bin/show
    "${ctr[@]}" task kill -s KILL c5 >/dev/null 2>&1; sleep 0.2; "${ctr[@]}" task rm c5 >/dev/null 2>&1
    settings 'library = "/nonexistent.so"
on_error = "fail"'
    check "containerd: an error of ours is shown" grep -q 'nvshare-runtime: .*/nonexistent.so' \
        <("${run[@]}" "${gpu[@]}" "$work/images/debian" c6 /bin/show 2>&1 </dev/null)
    settings
}
containerd_case
