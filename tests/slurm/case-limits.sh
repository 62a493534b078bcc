# One shard is 96 MiB, whatever the job says.
out=$work/limit.out
runs() { srun -n1 "$@" >"$out" 2>&1; }
check "two shards hold 128 MiB" sh -c "srun -n1 --gres=shard:2 work 128 --steps 3 >$out 2>&1"
check "... with right data" right "$out"
runs --gres=shard:1 work 128 --steps 3
check "one shard does not" refused "$out"
NVSHARE_MEM_LIMIT=4GiB runs --gres=shard:1 work 128 --steps 3
check "... nor where the job asks for more" refused "$out"
runs --gres=shard:1 --no-nvshare env LD_PRELOAD="$ours" work 128 --steps 3
check "... nor where a job that is left alone loads the library by itself" refused "$out"
LD_PRELOAD=$'/\xff.so' runs --gres=shard:1 work 128 --steps 3
check "... nor where LD_PRELOAD is no text" refused "$out"
# What the scheduler reads, a job cannot write. Quiet: srun would also say that it waits for the job before to end.
said=$(runuser -u nobody -- srun -Q -n1 -D / --gres=shard:1 sh -c '
    file=/run/nvshare-slurm/$SLURM_JOB_ID.0
    cat $file
    { echo NVSHARE_MEM_LIMIT=1TiB >$file || echo NVSHARE_MEM_LIMIT=1TiB >/run/nvshare-slurm/$SLURM_JOB_ID.batch || rm -f $file; } 2>/dev/null
    cat $file' 2>&1)
check "... nor where another user's job writes its file" test "$said" = "$(printf 'NVSHARE_MEM_LIMIT=96MiB\nNVSHARE_WEIGHT=1\n%.0s' 1 2)"
runs --gres=shard:2 --nvshare-mem=100MiB work 128 --steps 3
check "--nvshare-mem is a limit" refused "$out"
runs --gres=shard:1 --nvshare-mem=1GiB work 128 --steps 3
check "... and never above the shards" refused "$out"
for wrong in --nvshare-mem=much --nvshare-priority=urgent; do
    for command in "srun -n1" "sbatch --wrap true" "salloc -n1 true"; do
        # shellcheck disable=SC2086
        said=$(${command%% *} $wrong ${command#* } 2>&1)
        check "${command%% *} refuses $wrong" test $? != 0
        check "... and says what is allowed" grep -q "is not allowed (allowed: " <<<"$said"
    done
done

# Two processes of one job have together what the job has.
job=$(batch "$out" -n1 --gres=shard:2 <<END
#!/bin/sh
mkfifo $work/one; exec 9<>$work/one
work 64 --until-closed <$work/one >$work/first.out 2>&1 9>&- &
until grep -q allocated $work/first.out; do sleep 0.05; done
work 64 --steps 3 >$work/second.out 2>&1
work 160 --steps 3 >$work/third.out 2>&1
exec 9>&-; wait
END
)
over "$job"
check "two processes of a job have half of it each" right "$work/second.out"
check "... both of them" right "$work/first.out"
check "... and no more, though one alone could" refused "$work/third.out"
