# Shards of one job on two GPUs, which Slurm gives since 23.11 where it is told so: its limit holds on each of them.
case $(srun --version) in
*' 22.05.'*) skip "shards on several GPUs" "Slurm 22.05 does not know MULTIPLE_SHARING_GRES_PJ" ;;
*)
    cp /etc/slurm/slurm.conf "$work/one-gpu.conf"
    sed -i 's/^SelectTypeParameters=.*/SelectTypeParameters=CR_Core,MULTIPLE_SHARING_GRES_PJ/' /etc/slurm/slurm.conf
    nvshare-ctk slurm configure --mem-per-shard 48 >/dev/null 2>&1
    slurm_down
    check "the cluster starts with shards on several GPUs" slurm_up
    out=$work/several.out
    # on DEVICE MIB: of a job of six shards, four of them are on one GPU.
    on() { timeout 30 srun -n1 --gres=shard:6 load --device "$1" --bytes $(($2 * MIB)) --steps 3 >"$out" 2>&1; }
    for n in 0 1; do
        check "six shards on two GPUs: three on each, 128 MiB on GPU $n" on $n 128
        check "... with right data" right "$out"
        on $n 160
        check "... and 160 MiB are refused" refused "$out"
    done
    job=$(batch "$out" -n1 --gres=shard:6 --wrap "load --device 0 --bytes $((64 * MIB)) --seconds 3 & load --device 1 --bytes $((64 * MIB)) --seconds 3; wait")
    check "processes of one job on two GPUs are of the job" \
        known "[.tenants[] | select(.container == \"job_$job\" and .grants > 0) | .gpus[]] | unique | length == 2"
    over "$job"
    check "... with right data" right "$out"
    cp "$work/one-gpu.conf" /etc/slurm/slurm.conf
    nvshare-ctk slurm configure --mem-per-shard 96 --weight 1 --priority-partition fast:high >/dev/null 2>&1
    slurm_down
    check "the cluster starts as before" slurm_up
    ;;
esac
