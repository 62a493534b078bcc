# What the shim costs a container that is not ours: the median of 50 starts, in turn with bare runc.
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
for _ in $(seq 50); do once runc; once nvshare-runtime; done
bare=$(sort -n "$work/times-runc" | sed -n 25p)
ours=$(sort -n "$work/times-nvshare-runtime" | sed -n 25p)
echo "# a start takes $bare us with runc alone, $ours us through the shim: $((ours - bare)) us more"
check "speed: at most 5 ms more" test $((ours - bare)) -le 5000
