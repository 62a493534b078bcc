# What an engine makes of our errors.

# engine_faults NAME EXIT PROGRAM [SETTING]: `run` and `gpu` start a container; with `on_error = "fail"` the engine
# ends with one of EXIT and names PROGRAM, with "run-unmanaged" the container starts as if we were not there. Our words
# come through the engine, but for podman's hook, of whose words podman shows none: they are in our log.
engine_faults() {
    local name=$1 status=$2 program=$3 more=${4:-} wrong text said rc
    while IFS='|' read -r wrong text; do
        settings "$wrong
$more
on_error = \"fail\""
        : >"$log"
        said=$("${run[@]}" "${gpu[@]}" test/debian show 2>&1 </dev/null); rc=$?
        check "$name: $wrong, on_error = fail: exit $status" grep -qw "$rc" <<<"$status"
        check "$name: ... it names $program" grep -q "$program" <<<"$said"
        [ "$program" = nvshare-runtime ] || said=$(cat "$log")
        check "$name: ... in our words" grep -q "$text" <<<"$said"
        settings "$wrong
$more
on_error = \"run-unmanaged\""
        : >"$log"
        shows "$name: $wrong, on_error = run-unmanaged" "$unmanaged" "${run[@]}" "${gpu[@]}" test/debian show
        check "$name: ... and our log says why" grep -q "$text" "$log"
    done <<'END'
library = "/nonexistent.so"|/nonexistent.so
tenants_dir = "/run/nvshare/gone"|/run/nvshare/gone is missing; start nvshare-scheduler
preload = 3|preload = 3 is not allowed
END
    settings "$more"
}
