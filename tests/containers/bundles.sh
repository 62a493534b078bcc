# Bundles for runtimes that are started by hand.

# bundle NAME IMAGE [JQ]: a bundle with a copy of the image; JQ edits its config.json.
bundle() {
    local directory=$work/bundles/$1
    rm -rf "$directory"; mkdir -p "$directory"
    cp -a "$work/images/$2" "$directory/rootfs"
    (cd "$directory" && runc spec)
    jq "del(.linux.seccomp) | .process.terminal = false | .root.readonly = false
        | .process.args = [\"/bin/show\"] | .process.env += [\"NVIDIA_VISIBLE_DEVICES=all\"]
        | .linux.namespaces |= map(select(.type != \"network\" and .type != \"cgroup\"))
        | (.mounts |= map(select(.type != \"cgroup\")))
        | ${3:-.}" "$directory/config.json" >"$directory/new"
    mv "$directory/new" "$directory/config.json"
    echo "$directory"
}

# run_bundle BUNDLE [WORDS]: runs it to its end under the low-level runtime of this case.
run_bundle() {
    local directory=$1; shift
    timeout 10 nvshare-runtime --root "$work/state" "${global[@]}" run --bundle "$directory" "$@" "c$$-$RANDOM"
}
