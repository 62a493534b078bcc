# Test lines: "ok", "not ok", and "ok # SKIP" with the reason.
passed=0 failed=0 skipped=0

ok() { passed=$((passed + 1)); echo "ok - $*"; }
not_ok() { failed=$((failed + 1)); echo "not ok - $*"; }
skip() { skipped=$((skipped + 1)); echo "ok - $1 # SKIP $2"; }

# check NAME COMMAND...: the command succeeds; what it said is shown if not.
check() {
    local name=$1 said; shift
    if said=$("$@" 2>&1); then ok "$name"; else not_ok "$name"; echo "$said" | sed 's/^/#   /' | head -20; fi
}

# has TEXT LINE...: every line stands in the text, whole; "!LINE" must not.
has() {
    local text=$1 line bad=0; shift
    for line; do
        case $line in
            !*) grep -qxF -- "${line#!}" <<<"$text" && { echo "unexpected: ${line#!}"; bad=1; } ;;
            *) grep -qxF -- "$line" <<<"$text" || { echo "missing: $line"; bad=1; } ;;
        esac
    done
    [ $bad = 0 ] || { echo "in:"; echo "$text"; }
    return $bad
}

# shows NAME "LINE LINE..." COMMAND...: the command's output has the lines.
shows() {
    local name=$1 lines=$2 said; shift 2
    said=$("$@" 2>&1 </dev/null)
    # shellcheck disable=SC2086
    check "$name" has "$said" $lines
}

summary() {
    echo "1..$((passed + failed + skipped))"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
