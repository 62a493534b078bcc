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

# A configuration in another directory: whoever takes the plugin out has not been told where.
other=$work/other
cp -a "$work/slurm-bare" "$other"
nvshare-ctk slurm configure --config "$other" --mem-per-shard 96 --on-error fail >/dev/null 2>&1
check "unconfigure knows the directory that configure was told" nvshare-ctk slurm unconfigure
check "... leaves it as it was" diff -r "$work/slurm-bare" "$other"
check "... and no plugin" test ! -e /usr/lib/nvshare/nvshare_spank.so
check "... nor a memory of it" test ! -e /etc/nvshare/slurm-places
nvshare-ctk slurm configure --config "$other" --mem-per-shard 96 --on-error fail >/dev/null 2>&1
mv "$other/plugstack.conf.d/nvshare.conf" "$other/plugstack.conf.d/site.conf"
said=$(nvshare-ctk slurm unconfigure 2>&1)
check "where our file is not found, another may name the plugin" grep -q 'nvshare_spank.so stays' <<<"$said"
check "... which stays" test -e /usr/lib/nvshare/nvshare_spank.so
rm -rf "$other" /etc/nvshare/slurm-places
nvshare-ctk slurm unconfigure >/dev/null 2>&1
check "... until the memory of it is gone" test ! -e /usr/lib/nvshare/nvshare_spank.so
