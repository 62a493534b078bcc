# Four jobs of two shards on two GPUs of four: 640 MiB on 512 MiB.
jobs=()
for n in 1 2 3 4; do
    jobs+=("$(batch "$work/turn-$n.out" -J turn$n -n1 --gres=shard:2 --wrap "show; work 160 --seconds 4")")
done
check "four jobs of two shards are tenants at the same time" \
    known '[.tenants[] | select(.state != "idle" and .container != null) | .container] | unique | length == 4'
check "... two on each of two GPUs" known '[.tenants[].gpus[]] | group_by(.) | map(length) == [2, 2]'
check "... each with its limit, by Slurm's word" \
    jq -e '[.tenants[] | select(.limit_bytes == 192 * 1048576 and .limit_from == "slurm" and .weight == 2)] | length == 4' "$work/status"
squeue -h -t running -o '%A %U' | sort >"$work/squeue"
jq -r '.tenants[] | "\(.slurm_step | split(".")[0]) \(.user_uid)"' "$work/status" | sort >"$work/tenants"
check "squeue and nvsharectl status name the same jobs and users" diff "$work/squeue" "$work/tenants"
check "... the step as sacct names it" jq -e '[.tenants[].slurm_step | test("^[0-9]+[.]batch$")] | all' "$work/status"
check "nvsharectl status shows the job" sh -c "nvsharectl status --container job_${jobs[0]} | grep -q 'job_${jobs[0]}'"
check "nvsharectl why names it" grep -q "job ${jobs[0]}" <<<"$(nvsharectl why --container "job_${jobs[0]}")"
check "... and a part of its number names nothing" sh -c "! nvsharectl why --container job_"
# What docs/guide/slurm.md says of whole GPUs beside shards.
whole=$(batch "$work/whole.out" -n1 --gres=gpu:1 --wrap true)
case $(srun --version) in
*' 22.05.'*) check "Slurm 22.05 starts a job with a whole GPU beside shards" over "$whole" ;;
*)
    check "Slurm keeps a job with a whole GPU waiting for shards" waited sh -c "squeue -h -j $whole -o '%T %r' | grep -qx 'PENDING Resources'"
    check "... while they are in use" status_is '[.tenants[].container] | unique | length >= 3'
    ;;
esac
for n in 0 1 2 3; do
    over "${jobs[n]}"
    check "job $((n + 1)) has right data" right "$work/turn-$((n + 1)).out"
done
check "memory moved: they had turns" sh -c "nvsharectl trace -o $work/trace.json && jq -e '[.traceEvents[] | select(.name == \"fetch\" and .args.bytes > 0)] | length >= 4' $work/trace.json"
sacct -c -n -P -o jobid,uid 2>"$work/sacct.err" | tr '|' ' ' | sort >"$work/sacct"
grep -xFf "$work/squeue" "$work/sacct" >"$work/both"
check "sacct names the same jobs and users" sh -c "[ \$(wc -l <$work/both) = 4 ] || { cat $work/sacct.err $work/sacct; exit 1; }"
nvsharectl report --by container --format csv >"$work/report" 2>&1
check "nvsharectl report counts for jobs" test "$(grep -c "job_\(${jobs[0]}\|${jobs[1]}\|${jobs[2]}\|${jobs[3]}\)," "$work/report")" = 4
check "nothing is left of jobs that have ended" nothing_left
