# docs/guide/slurm.md, as somebody types it: changed are only the program, which is a load, and the numbers of the job.
guide=$work/guide
"$here/../documents/blocks.sh" "$guide" slurm slurm-suspend slurm-resume slurm-remove
printf '#!/bin/sh\nexec "$@"\n' >"$work/bin/sudo"
printf '#!/bin/sh\nexec work 160 --steps 3\n' >"$work/bin/python3"
chmod 755 "$work/bin/sudo" "$work/bin/python3"
type_block() { (cd "$guide" && PATH=$work/bin:$PATH bash -eux "$1") </dev/null; }
check "guide: its blocks are there" test "$(ls "$guide" | wc -l)" = 6
for file in "$guide"/*.slurm.sh; do
    check "guide: $(basename "$file")" type_block "$file"
done
job=$(batch "$work/guide.out" -n1 --gres=shard:2 --wrap "work 160 --seconds 8")
known "[.tenants[] | select(.container == \"job_$job\" and .resident_bytes > 0)] | length == 1" >/dev/null
sed -i "s/\\b42\\b/$job/; s/job_42/job_$job/" "$guide"/*
check "guide: suspend" type_block "$(echo "$guide"/*.slurm-suspend.sh)"
check "... the job is stopped" state_is "$job" SUSPENDED
check "guide: resume" type_block "$(echo "$guide"/*.slurm-resume.sh)"
over "$job"
check "... and its data is right" right "$work/guide.out"
check "guide: taking it out" type_block "$(echo "$guide"/*.slurm-remove.sh)"
check "... leaves Slurm's files as they were" diff -r "$work/slurm-before" /etc/slurm
nvshare-ctk slurm configure --mem-per-shard 96 --weight 1 --priority-partition fast:high >/dev/null 2>&1
