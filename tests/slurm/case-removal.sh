# unconfigure leaves what was there before.
check "unconfigure --dry-run changes nothing" sh -c "nvshare-ctk slurm unconfigure --dry-run && [ -e /usr/lib/nvshare/nvshare_spank.so ] && [ -e /etc/slurm/plugstack.conf.d/nvshare.conf ]"
job=$(batch "$work/last.out" -n1 --gres=shard:1 --wrap "work 64 --seconds 3")
known "[.tenants[] | select(.container == \"job_$job\")] | length == 1" >/dev/null
check "unconfigure" nvshare-ctk slurm unconfigure
check "... leaves Slurm's files as they were" diff -r "$work/slurm-before" /etc/slurm
check "... and no plugin" test ! -e /usr/lib/nvshare/nvshare_spank.so
check "... twice is once" grep -q "nothing to change" <<<"$(nvshare-ctk slurm unconfigure 2>&1)"
shows "jobs with shards are left alone then" "$unmanaged" srun -n1 --gres=shard:1 show
over "$job"
check "a job that ran meanwhile has right data" right "$work/last.out"

# Where nobody has made plugstack.conf.
rm -rf /etc/slurm/plugstack.conf /etc/slurm/plugstack.conf.d
cp -a /etc/slurm "$work/slurm-bare"
check "configure makes plugstack.conf where there is none" nvshare-ctk slurm configure --mem-per-shard 96
shows "... and jobs are managed" "$managed" srun -n1 --gres=shard:1 show
nothing_left
nvshare-ctk slurm unconfigure >/dev/null 2>&1
check "... and unconfigure takes it away" diff -r "$work/slurm-bare" /etc/slurm
check "... and the directory of the steps' files" test ! -e /run/nvshare-slurm
