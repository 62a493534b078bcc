# What the shim costs a container that is not ours: the median of 50 starts beside bare runc, the two in turn
# and each first in half of the pairs. Other work on this machine only ever adds to a start, and not to both
# alike: a promise that one of three rounds keeps is kept.
. "$here/bundles.sh"
settings 'low_level_runtimes = ["runc"]'
directory=$(bundle s static '.process.args = ["/bin/show"] | .process.env = []')
once() {
    local from
    from=$(date +%s%N)
    "$1" --root "$work/state" run --bundle "$directory" "s$$" >"$work/said" 2>&1 </dev/null \
        || { not_ok "speed: $1 starts no container: $(tail -1 "$work/said")"; return; }
    echo $((($(date +%s%N) - from) / 1000)) >>"$work/times-$1"
}
for round in 1 2 3; do
    rm -f "$work"/times-*
    for _ in $(seq 25); do once runc; once nvshare-runtime; once nvshare-runtime; once runc; done
    bare=$(sort -n "$work/times-runc" | sed -n 25p)
    ours=$(sort -n "$work/times-nvshare-runtime" | sed -n 25p)
    more=$((ours - bare))
    echo "# round $round: a start takes $bare us with runc alone, $ours us through the shim: $more us more"
    [ "$more" -gt 5000 ] || break
done
check "speed: at most 5 ms more" test "$more" -le 5000
