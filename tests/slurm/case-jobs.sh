# Which jobs are managed, and how.
shows "a job with shards is managed" "$managed shards=2" srun -n1 --gres=shard:2 show
shows "a job with a whole GPU is left alone" "$unmanaged" srun -n1 --gres=gpu:1 show
shows "a job without a GPU is left alone" "$unmanaged" srun -n1 show
shows "... whatever it says of shards" "$unmanaged" env SLURM_SHARDS_ON_NODE=8 srun -n1 show
shows "a job with shards says nothing else of them" "$managed shards=2" env SLURM_SHARDS_ON_NODE=8 srun -n1 --gres=shard:2 show
shows "--export=NONE" "$managed" srun -n1 --export=NONE --gres=shard:1 "$work/bin/show"
shows "another user" "$managed" runuser -u nobody -- srun -n1 --gres=shard:1 -D / "$work/bin/show"
shows "--no-nvshare" "$unmanaged" srun -n1 --gres=shard:1 --no-nvshare show
shows "the user's own LD_PRELOAD stays" "preload=$ours:/usr/lib/nvshare/none.so loaded=1" \
    sh -c "LD_PRELOAD=/usr/lib/nvshare/none.so srun -n1 --gres=shard:1 '$work/bin/show' 2>/dev/null"
shows "what a managed shell submits is left alone without shards" "$unmanaged" env LD_PRELOAD="$ours" srun -n1 --gres=gpu:1 show
shows "salloc" "$managed" salloc -Q --gres=shard:1 -n1 srun show

job=$(batch "$work/steps.out" -n2 --gres=shard:4 <<'END'
#!/bin/sh
show
srun -n1 show
srun -n1 --gres=shard:1 show
srun -n2 show
ls /run/nvshare-slurm | sort | tr '\n' ' '
END
)
over "$job"
check "a batch job and its steps are managed, and each has the library once" \
    test "$(grep -cx "preload=$ours" "$work/steps.out")" = 5
check "... with their own shards" test "$(grep shards= "$work/steps.out" | tr '\n' ' ')" = "shards=4 shards=4 shards=1 shards=4 shards=4 "
check "... and the files of steps that have ended are gone" grep -qx "$job.batch " "$work/steps.out"
job=$(batch "$work/array-%a.out" --array=1-3 -n1 --gres=shard:1 <<'END'
#!/bin/sh
show
END
)
over "$job"
check "an array" test "$(cat "$work"/array-*.out | grep -cx "preload=$ours")" = 3
check "nothing is left of jobs that have ended" nothing_left
