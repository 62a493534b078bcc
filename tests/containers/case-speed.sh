# What the shim costs a container that is not ours: the median of 50 starts beside bare runc.
. "$here/bundles.sh"
settings 'low_level_runtimes = ["runc"]'
directory=$(bundle s static '.process.args = ["/bin/show"] | .process.env = []')
median() {
    local i from
    for i in $(seq 50); do
        from=$(date +%s%N)
        "$@" run --bundle "$directory" "s$$-$i" >/dev/null 2>&1 </dev/null
        echo $((($(date +%s%N) - from) / 1000))
    done | sort -n | sed -n 25p
}
bare=$(median runc --root "$work/state")
ours=$(median nvshare-runtime --root "$work/state")
echo "# a start takes $bare us with runc alone, $ours us through the shim: $((ours - bare)) us more"
check "speed: at most 5 ms more" test $((ours - bare)) -le 5000
