# What the plugin adds to a submission: srun to its end, with and without, in turn; the median of 50 of each.
ours_conf=/etc/slurm/plugstack.conf.d/nvshare.conf
once() { local begin=$EPOCHREALTIME; srun -n1 --gres=shard:1 true 2>/dev/null; local end=$EPOCHREALTIME; echo $(( (${end/./} - ${begin/./}) )); }
cp "$ours_conf" "$work/with.conf"
for _ in 1 2 3; do once >/dev/null; done
: >"$work/with"; : >"$work/without"
for _ in $(seq "${NVSHARE_SLURM_ROUNDS:-50}"); do
    cp "$work/with.conf" "$ours_conf"; once >>"$work/with"
    : >"$ours_conf"; once >>"$work/without"
done
cp "$work/with.conf" "$ours_conf"
median() { sort -n "$1" | awk '{ all[NR] = $1 } END { print (NR % 2) ? all[(NR + 1) / 2] : int((all[NR / 2] + all[NR / 2 + 1]) / 2) }'; }
with=$(median "$work/with") without=$(median "$work/without")
echo "# srun: median of $(wc -l <"$work/with"): $((with / 1000)).$(printf %03d $((with % 1000))) ms with the plugin, $((without / 1000)).$(printf %03d $((without % 1000))) ms without"
check "the plugin adds at most 5 ms to a submission" test $((with - without)) -le 5000
