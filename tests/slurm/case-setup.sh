# nvshare-ctk slurm configure, and what doctor says before and after. One shard is 96 MiB: four are more than a card has.
slurm_files
doctor() { nvshare-ctk doctor --json | jq -r '.checks[] | select(.name == "slurm") | .state + " " + .text'; }

cp -a /etc/slurm "$work/slurm-before"
check "doctor says nothing of a Slurm that was not told of us" test -z "$(doctor)"
said=$(nvshare-ctk slurm configure --mem-per-shard 96 --dry-run 2>&1)
check "configure --dry-run prints the plugin's line" grep -qx "optional /usr/lib/nvshare/nvshare_spank.so mem_per_shard=96MiB" <<<"$said"
check "... and the lines for Slurm's files" \
    test "$(grep -c '^Name=shard Count=\|^GresTypes=gpu,shard\|^ConstrainDevices=yes' <<<"$said")" = 3
check "... and changes nothing" diff -r "$work/slurm-before" /etc/slurm
check "... nor makes a plugin" test ! -e /usr/lib/nvshare/nvshare_spank.so
for wrong in "--mem-per-shard much" "--priority-partition fast" "--slurm-version none"; do
    # shellcheck disable=SC2086
    check "configure $wrong is refused" sh -c "! nvshare-ctk slurm configure $wrong"
done
check "configure" nvshare-ctk slurm configure --mem-per-shard 96 --weight 1 --priority-partition fast:high
check "... for the Slurm that is installed" sh -c "doctor=\$(nvshare-ctk doctor --json); jq -e '.checks[] | select(.name == \"slurm\") | .state == \"ok\"' <<END
\$doctor
END"
check "... twice is once" sh -c "find /etc/slurm -type f -exec sha256sum {} + >$work/once; nvshare-ctk slurm configure --mem-per-shard 96 --weight 1 --priority-partition fast:high && find /etc/slurm -type f -exec sha256sum {} + | diff $work/once -"
sed -i 's/^GresTypes=.*/GresTypes=gpu/; s/^ProctrackType=.*/ProctrackType=proctrack\/linuxproc/' /etc/slurm/slurm.conf
check "doctor names what slurm.conf lacks" sh -c "[ \$(nvshare-ctk doctor --json | jq '[.checks[] | select(.name == \"slurm\" and .state == \"error\")] | length') = 2 ]"
slurm_files
printf 'include /etc/slurm/plugstack.conf.d/other.conf\n' >"$work/stack"
cp /etc/slurm/plugstack.conf "$work/plugstack.conf"
cp "$work/stack" /etc/slurm/plugstack.conf
check "doctor says that plugstack.conf does not include our file" grep -q 'does not include' <<<"$(doctor)"
cp "$work/plugstack.conf" /etc/slurm/plugstack.conf
said=$(nvshare-ctk slurm configure --mem-per-shard "96 MiB" --dry-run 2>&1)
check "a size with a blank is one word" grep -qx "optional /usr/lib/nvshare/nvshare_spank.so mem_per_shard=96MiB" <<<"$said"
check "a path with a blank is refused" sh -c "! nvshare-ctk slurm configure --plugin '$work/a b.so' --dry-run"
scheduler_up
check "the cluster starts" slurm_up
for command in srun sbatch salloc; do
    said=$($command --help 2>&1)
    check "$command --help has our options" sh -c 'for option in nvshare-mem=size nvshare-priority=word no-nvshare; do printf "%s" "$0" | grep -q -- "--$option" || exit 1; done' "$said"
done
