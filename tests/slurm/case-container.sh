# srun --container, as docs/guide/slurm.md has it: Slurm starts nvshare-runtime by oci.conf, which adds the library.
. "$here/../containers/images.sh"
case $(srun --version) in
*' 22.05.'*) skip "srun --container" "Slurm 22.05 tells a container nothing of its job's GPUs" ;;
*)
    install -m755 "$world/nvshare-runtime" "$world/nvshare-hook" /usr/bin/
    printf '[runtime]\nlog_file = "%s/runtime.log"\n' "$work" >/etc/nvshare/config.toml
    slurm_down
    # runc gives a container the right to make device files, and may not where Slurm has taken a GPU from the job (version 1).
    sed -i 's/^ConstrainDevices=.*/ConstrainDevices=no/' /etc/slurm/cgroup.conf
    "$here/../documents/blocks.sh" "$work/oci" slurm-oci
    cp "$work"/oci/*.slurm-oci.ini /etc/slurm/oci.conf
    check "the cluster starts with oci.conf" slurm_up
    bundle=$work/bundle
    with_libs "$bundle/rootfs" /bin/sh /bin/grep /bin/cat "$world/load" "$world/libfakecuda.so"
    ln -s /usr/bin/libfakecuda.so "$bundle/rootfs/usr/lib/libcuda.so.1"
    cp "$work/bin/show" "$bundle/rootfs/usr/bin/"
    (cd "$bundle" && runc spec)
    # One process namespace, for the locks of the simulated card.
    jq ".process.terminal = false | .root.readonly = false | del(.linux.seccomp)
        | .process.env = [\"PATH=/usr/bin\", \"LD_LIBRARY_PATH=/usr/lib\", \"NVIDIA_VISIBLE_DEVICES=all\", \"FAKECUDA_DIR=/card\", \"FAKECUDA_DEVICES=2\", \"FAKECUDA_MEMORY=268435456\"]
        | .linux.namespaces |= map(select(.type != \"network\" and .type != \"cgroup\" and .type != \"pid\"))
        | .mounts |= map(select(.type != \"cgroup\" and .type != \"mqueue\" and .type != \"sysfs\"))
        | .mounts += [{destination: \"/card\", source: \"$work/card\", type: \"bind\", options: [\"rbind\", \"rw\"]}]" \
        "$bundle/config.json" >"$bundle/new" && mv "$bundle/new" "$bundle/config.json"
    contained() { timeout 30 srun -n1 --gres=shard:2 --container="$bundle" "$@"; }
    out=$work/contained.out
    contained /usr/bin/show >"$out" 2>&1
    check "a container of a job has the library" grep -qx loaded=1 "$out"
    contained /usr/bin/load --bytes $((128 * MIB)) --seconds 3 >"$out" 2>&1 &
    running=$!
    check "... is its job's, by number and limit" known "[.tenants[] | select(.container | test(\"^job_[0-9]+$\")) | select(.limit_bytes == 192 * 1048576 and .limit_from == \"slurm\")] | length == 1"
    wait $running
    check "... has right data" right "$out"
    contained /usr/bin/load --bytes $((200 * MIB)) --steps 3 >"$out" 2>&1
    check "... and is refused what is above its shards" refused "$out"
    timeout 30 srun -n1 --container="$bundle" /usr/bin/sh -c 'show; echo end' >"$out" 2>&1
    check "a container without a GPU of Slurm's starts" grep -qx end "$out"
    check "nothing is left of jobs that have ended" nothing_left
    rm /etc/slurm/oci.conf
    slurm_down
    slurm_files
    check "the cluster starts as before" slurm_up
    ;;
esac
