# Priorities, and what Slurm's operators do to jobs.
job=$(batch "$work/fast.out" -p fast -n1 --gres=shard:1 --wrap "work 32 --seconds 60")
check "a partition's priority is the job's" known "[.tenants[] | select(.container == \"job_$job\" and .priority == \"high\")] | length == 1"
scancel "$job"; over "$job"
job=$(batch "$work/low.out" -p fast -n1 --gres=shard:1 --nvshare-priority=low --wrap "work 32 --seconds 60")
check "--nvshare-priority asks for less" known "[.tenants[] | select(.container == \"job_$job\" and .priority == \"low\")] | length == 1"
scancel "$job"; over "$job"
job=$(batch "$work/high.out" -n1 --gres=shard:1 --nvshare-priority=high --wrap "NVSHARE_PRIORITY=high work 32 --seconds 60")
check "... and never for more than the site says" known "[.tenants[] | select(.container == \"job_$job\" and .priority == \"normal\")] | length == 1"
check "cancel: while it runs it has a file" test -e "/run/nvshare-slurm/$job.batch"
scancel "$job"; over "$job"
check "... then neither file nor tenant" nothing_left
check "... in the scheduler" known '.tenants == []'

# Suspended: first paused and moved out, as the guide says, then stopped by Slurm.
job=$(batch "$work/suspended.out" -n1 --gres=shard:2 --wrap "work 160 --seconds 8")
known "[.tenants[] | select(.container == \"job_$job\" and .grants > 0 and .resident_bytes > 0)] | length == 1" >/dev/null
nvsharectl pause --container "job_$job" >/dev/null && nvsharectl evict --container "job_$job" >/dev/null
check "a job that is paused and moved out leaves the GPU" known "[.tenants[] | select(.container == \"job_$job\" and .allocated_bytes > 0 and .resident_bytes == 0)] | length == 1"
scontrol suspend "$job"
other=$(batch "$work/other.out" -n1 --gres=shard:2 --wrap "work 160 --seconds 1")
check "scontrol suspend: another job takes the GPU" over "$other"
check "... with right data" right "$work/other.out"
scontrol resume "$job"
nvsharectl resume --container "job_$job" >/dev/null
over "$job"
check "... and the suspended one goes on with right data" right "$work/suspended.out"
# Without that: the memory of a job that is stopped stays where it is.
job=$(batch "$work/stopped.out" -n1 --gres=shard:2 --wrap "work 160 --seconds 8")
known "[.tenants[] | select(.container == \"job_$job\" and .grants > 0 and .resident_bytes > 0)] | length == 1" >/dev/null
scontrol suspend "$job"
other=$(batch "$work/small.out" -n1 --gres=shard:1 --wrap "work 64 --seconds 1")
check "a job that was only suspended keeps its memory, and another that fits beside it runs" over "$other"
check "... with right data" right "$work/small.out"
scontrol resume "$job"; over "$job"
check "... as the suspended one has" right "$work/stopped.out"

job=$(batch "$work/requeue.out" --requeue --open-mode=append -n1 --gres=shard:2 --wrap 'echo "restart ${SLURM_RESTART_COUNT:-0}"; show; work 64 --seconds 3')
known "[.tenants[] | select(.container == \"job_$job\")] | length == 1" >/dev/null
scontrol requeue "$job"
check "requeue: nothing is left behind" nothing_left
waited state_is "$job" PENDING
scontrol update jobid="$job" starttime=now
waited sh -c "grep -q 'restart 1' $work/requeue.out"
over "$job"
check "... and the job is managed again" sh -c "[ \$(grep -cx 'preload=$ours' $work/requeue.out) = 2 ] "
check "... both" right "$work/requeue.out"

job=$(batch "$work/restart.out" -n1 --gres=shard:2 --wrap "work 64 --seconds 5")
known "[.tenants[] | select(.container == \"job_$job\" and .limit_from == \"slurm\")] | length == 1" >/dev/null
slurmd_down; slurmd_start
scheduler_down; scheduler_up
check "slurmd and the scheduler start again: the job is known, with its limit" \
    known "[.tenants[] | select(.container == \"job_$job\" and .limit_from == \"slurm\" and .limit_bytes == 192 * 1048576)] | length == 1"
over "$job"
check "... and has right data" right "$work/restart.out"
check "... and a new job is managed" shows "a job after slurmd's restart" "$managed" srun -n1 --gres=shard:1 show
check "nothing is left" nothing_left
