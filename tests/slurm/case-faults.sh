# Whatever is wrong with us, jobs run.
plugin=/usr/lib/nvshare/nvshare_spank.so
log=$work/log/slurmd.log
line_for() { # what the log says since the mark
    tail -c "+$((mark + 1))" "$log" | grep -c "$1"
}
mark() { mark=$(stat -c %s "$log"); }
cp "$plugin" "$work/plugin"

mark; mv "$ours" "$work/away.so"
said=$(srun -n1 --gres=shard:1 show 2>/dev/null)
check "without the library a job runs unmanaged" has "$said" $unmanaged
check "... and the log has one line" test "$(line_for 'runs unmanaged: the library')" = 1
mv "$work/away.so" "$ours"

rm -rf /run/nvshare-slurm; : >/run/nvshare-slurm; mark
said=$(srun -n1 --gres=shard:1 show 2>/dev/null)
check "where its file cannot be written a job runs unmanaged" has "$said" $unmanaged
check "... and the log has one line" test "$(line_for 'runs unmanaged: /run/nvshare-slurm')" = 1
rm -f /run/nvshare-slurm

mv "$plugin" "$work/away.so"
shows "without the plugin jobs run" "$unmanaged" srun -n1 --gres=shard:1 show
: >"$plugin"
shows "with a plugin that is empty jobs run" "$unmanaged" srun -n1 --gres=shard:1 show
echo broken >"$plugin"
shows "with a plugin that is broken jobs run" "$unmanaged" srun -n1 --gres=shard:1 show
check "... and doctor says so" sh -c "nvshare-ctk doctor --json | jq -e '.checks[] | select(.name == \"slurm\" and .state == \"error\")'"
nvshare-ctk slurm configure --slurm-version 19.05.1 >/dev/null 2>&1
shows "with a plugin for another Slurm jobs run" "$unmanaged" srun -n1 --gres=shard:1 show
check "... and doctor says so" sh -c "nvshare-ctk doctor --json | jq -e '.checks[] | select(.name == \"slurm\" and .state == \"error\") | .text | test(\"19.05.1\")'"
printf 'optional %s mem_per_shard=much colour=blue\n' "$plugin" >/etc/slurm/plugstack.conf.d/nvshare.conf
cp "$work/plugin" "$plugin"; mark
shows "with wrong arguments jobs are managed by the others" "$managed" srun -n1 --gres=shard:1 show
check "... and the log names them" test "$(line_for 'in plugstack.conf is not understood')" -ge 2

nvshare-ctk slurm configure --mem-per-shard 96 --on-error fail >/dev/null 2>&1
shows "on_error=fail: a job that can be managed runs" "$managed" srun -n1 --gres=shard:1 show
mv "$ours" "$work/away.so"
timeout 20 srun -n1 --gres=shard:1 show >"$work/said" 2>&1
check "... and one that cannot does not" sh -c "! grep 'loaded=' '$work/said'"
mv "$work/away.so" "$ours"
node_back() { waited node_is idle || scontrol update nodename="$node" state=resume; }
node_back
shows "... no job without shards fails for what it says" "preload=- loaded=0" env LD_PRELOAD=$'/\xff.so' srun -n1 env -u LD_PRELOAD show
sed -i 's/mem_per_shard=[^ ]*/mem_per_shard=much/' /etc/slurm/plugstack.conf.d/nvshare.conf
shows "... with wrong arguments a job without shards runs" "$unmanaged" srun -n1 show
timeout 20 srun -n1 --gres=shard:1 show >"$work/said" 2>&1
check "... and one with shards does not" sh -c "! grep 'loaded=' '$work/said'"
check "... and doctor names the argument" sh -c "nvshare-ctk doctor --json | jq -e '.checks[] | select(.name == \"slurm\" and .state == \"error\") | .text | test(\"mem_per_shard=much.*no step with shards starts\")'"
node_back
nvshare-ctk slurm configure --mem-per-shard 96 --weight 1 --priority-partition fast:high >/dev/null 2>&1

scheduler_down
said=$(srun -n1 --gres=shard:2 work 64 --steps 3 2>/dev/null); echo "$said" >"$work/alone.out"
check "without a scheduler a job runs" right "$work/alone.out"
scheduler_up
