# What every low-level runtime has to show.
settings "low_level_runtimes = [\"$low_level\"]"
global=("${global[@]:-}"); [ -n "${global[0]}" ] || global=()
echo "# $($low_level --version | head -1)"
loaded_both="LD_PRELOAD=- NVSHARE_SOCKET=/dev/nvshare/run/scheduler.sock"

# life BUNDLE: a container as engines treat it: created, started, and deleted when it has ended.
life() {
    local directory=$1 id=life$$-$RANDOM
    nvshare-runtime --root "$work/state" "${global[@]}" create --bundle "$directory" $id >"$work/said" 2>&1 </dev/null
    nvshare-runtime --root "$work/state" "${global[@]}" start $id
    for _ in $(seq 200); do
        $low_level --root "$work/state" state $id | jq -e '.status == "stopped"' >/dev/null && break
        sleep 0.05
    done
    nvshare-runtime --root "$work/state" "${global[@]}" delete $id
}

shows "$low_level: a GPU container is managed" "$managed $loaded_both" run_bundle "$(bundle b debian)"
shows "$low_level: distroless-like" "$managed" run_bundle "$(bundle b distroless)"
if [ -d "$work/images/debian11" ]; then
    shows "$low_level: glibc 2.31" "loaded=1 LD_PRELOAD=-" run_bundle "$(bundle b debian11)"
else
    skip "$low_level: glibc 2.31" "Debian 11 cannot be fetched: $(tail -1 "$work/debian11.log")"
fi
# LD_PRELOAD is nothing to the loader of a setuid program; /etc/ld.so.preload is.
shows "$low_level: a setuid program" "$managed uid=0" \
    run_bundle "$(bundle b setuid '.process.user = {uid: 1000, gid: 1000} | .process.noNewPrivileges = false')"
shows "$low_level: read-only rootfs" "$managed" run_bundle "$(bundle b debian '.root.readonly = true')"
shows "$low_level: another user" "$managed uid=1000" \
    run_bundle "$(bundle b debian '.process.user = {uid: 1000, gid: 1000}')"
settings "low_level_runtimes = [\"$low_level\"]
preload = \"env\""
shows "$low_level: preload = env" "$managed LD_PRELOAD=/dev/nvshare/libnvshare.so" run_bundle "$(bundle b debian)"
settings "low_level_runtimes = [\"$low_level\"]
preload = \"file\""
shows "$low_level: preload = file" "$managed LD_PRELOAD=-" run_bundle "$(bundle b debian)"
settings "low_level_runtimes = [\"$low_level\"]"

for image in musl static old; do
    : >"$log"
    shows "$low_level: $image starts as if we were not there" "$unmanaged" run_bundle "$(bundle b $image)"
    check "$low_level: $image: one warning in our log" test "$(wc -l <"$log")" = 1
done
shows "$low_level: glibc and musl in one image: a program of glibc" "$managed LD_PRELOAD=-" \
    run_bundle "$(bundle b both)"
shows "$low_level: glibc and musl in one image: a program of musl starts" "loaded=0" \
    run_bundle "$(bundle b both '.process.args = ["/bin/show-musl"]')"

# Programs that the library is not for, or that have none of the container's environment.
directory=$(bundle b debian '.process.args = ["/bin/chroot", "/other", "/bin/show"]
    | .process.capabilities[] += ["CAP_SYS_CHROOT"]')
cp -a "$work/images/debian" "$directory/rootfs/other"
for program in chroot env; do with_libs "$directory/rootfs" "$(command -v $program)"; done
said=$(run_bundle "$directory" 2>&1 </dev/null)
check "$low_level: below another root a program starts and nothing is said" has "$said" uid=0 LD_PRELOAD=-
check "$low_level: ... by its loader" sh -c "! grep -q ERROR <<'END'
$said
END"
jq '.process.args = ["/bin/env", "-i", "/bin/show"]' "$directory/config.json" >"$work/said" && cp "$work/said" "$directory/config.json"
shows "$low_level: env -i: a program is managed" "$managed NVSHARE_SOCKET=-" run_bundle "$directory"
directory=$(bundle b debian ".mounts += [[\"/lib/ld-musl-x86_64.so.1\", \"/opt/show-musl\"][]
    | {destination: ., source: (\"$work/images/musl/\" + if . == \"/opt/show-musl\" then \"bin/show\" else .[1:] end), type: \"bind\", options: [\"bind\", \"ro\"]}]
    | .process.args = [\"/bin/sh\", \"-c\", \"/opt/show-musl && /bin/show\"]")
said=$(run_bundle "$directory" 2>&1 </dev/null)
check "$low_level: a program of musl that is mounted in starts, and those of glibc are managed" has "$said" loaded=0 loaded=1
if [ -d "$work/images/32" ]; then
    shows "$low_level: 32 bits beside 64: a program of 64" "$managed" run_bundle "$(bundle b 32)"
    said=$(run_bundle "$(bundle b 32 '.process.args = ["/bin/program-32"]')" 2>&1 </dev/null)
    check "$low_level: 32 bits beside 64: a program of 32 starts and nothing is said" test "$said" = started
    directory=$(bundle b 32 '.process.args = ["/bin/sh", "-c", "/bin/program-32 && /bin/show"]')
    life "$directory"
    check "$low_level: ... and its image is as it was" diff -r --no-dereference "$work/images/32" "$directory/rootfs"
    check "$low_level: ... and its shell too starts both" sh -c "grep -qx started '$work/said' && grep -qx loaded=1 '$work/said'"
else
    skip "$low_level: 32 bits beside 64" "libc6-i386 cannot be fetched: $(tail -1 "$work/32.log")"
fi

shows "$low_level: the user's LD_PRELOAD is kept" \
    "$managed LD_PRELOAD=/usr/lib/libother.so" \
    run_bundle "$(bundle b preloading '.process.env += ["LD_PRELOAD=/usr/lib/libother.so"]')"
directory=$(bundle b preloading '.process.args = ["/bin/grep", "-c", "r-xp.*libother", "/proc/self/maps"]')
shows "$low_level: the image's ld.so.preload is kept" "1" run_bundle "$directory"
check "$low_level: the image's own file is as it was" \
    test "$(cat "$directory/rootfs/etc/ld.so.preload")" = /usr/lib/libother.so

# What a build does with the file is the image's, and nothing of ours is (docker, containerd, podman and buildah all
# have a container created, started and deleted).
directory=$(bundle b debian)
life "$directory"
check "$low_level: a container that has ended was managed" grep -qx loaded=1 "$work/said"
check "$low_level: ... and its image is as it was" diff -r --no-dereference "$work/images/debian" "$directory/rootfs"
directory=$(bundle b debian '.mounts += [{destination: "/dev", source: "/dev", type: "bind", options: ["rbind"]}]')
life "$directory"
check "$low_level: ... also with the host's /dev" diff -r --no-dereference "$work/images/debian" "$directory/rootfs"
check "$low_level: ... which was managed" grep -qx NVSHARE_SOCKET=/run/nvshare/run/scheduler.sock "$work/said"
for image in debian preloading; do
    directory=$(bundle b $image '.process.args = ["/bin/sh", "-c", "echo \"# mine\" >>/etc/ld.so.preload && cat /etc/ld.so.preload"]')
    life "$directory"
    check "$low_level: $image: a program adds to /etc/ld.so.preload" grep -qx '# mine' "$work/said"
    check "$low_level: $image: ... which is then the image's, without us" \
        test "$(cat "$directory/rootfs/etc/ld.so.preload")" = "$(cat "$work/images/$image/etc/ld.so.preload" 2>/dev/null; echo '# mine')"
    check "$low_level: $image: ... with the mode that it has natively" test "$(stat -c %a "$directory/rootfs/etc/ld.so.preload")" = 644
done

# A breaker's: what the end of a container took from its user.
mine='echo "# mine" >/etc/ld.so.preload; exec sleep 100'
directory=$(bundle b debian ".process.args = [\"/bin/sh\", \"-c\", $(jq -n --arg text "$mine" '$text')]")
cp "$directory/config.json" "$work/before.json"
id=forced$$
nvshare-runtime --root "$work/state" "${global[@]}" run --detach --bundle "$directory" $id </dev/null >"$work/said" 2>&1
for _ in $(seq 100); do grep -qsx '# mine' "$directory/nvshare-ld.so.preload" && break; sleep 0.05; done
check "$low_level: delete --force of one that runs" nvshare-runtime --root "$work/state" "${global[@]}" delete --force $id
check "$low_level: ... keeps what it wrote" test "$(cat "$directory/rootfs/etc/ld.so.preload")" = '# mine'
check "$low_level: ... and its config.json is byte for byte as it was" cmp "$work/before.json" "$directory/config.json"
check "$low_level: ... and nothing of ours is in its bundle" test "$(ls "$directory")" = "config.json
rootfs"
directory=$(bundle b debian '.process.args = ["/bin/sh", "-c", "cp -a /etc /etc.new; echo \"# site\" >/etc.new/ld.so.preload; mv /etc /etc.old; mv /etc.new /etc"]')
for program in cp mv; do with_libs "$directory/rootfs" "$(command -v $program)"; done
life "$directory"
check "$low_level: a program that puts a new /etc in place" test "$(cat "$directory/rootfs/etc/ld.so.preload")" = '# site'
directory=$(bundle b debian '.process.args = ["/bin/sh", "-c", "/bin/show; : >/etc/ld.so.preload"]')
for which in first second; do
    life "$directory"
    check "$low_level: a bundle that is started twice: the $which start is managed" grep -qx loaded=1 "$work/said"
done
mv /usr/lib/nvshare/libnvshare.so "$work/library-away"
: >"$log"
life "$directory"
check "$low_level: ... and starts as if we were not there once the library has gone" grep -qx loaded=0 "$work/said"
mv "$work/library-away" /usr/lib/nvshare/libnvshare.so
rm -rf "$work/shared-rootfs"; cp -a "$work/images/debian" "$work/shared-rootfs"
for which in a b; do
    directory=$(bundle "shared-$which" debian '.process.args = ["/bin/show", "wait"]')
    rm -rf "$directory/rootfs"; mkdir "$directory/rootfs"; mount --bind "$work/shared-rootfs" "$directory/rootfs"
    nvshare-runtime --root "$work/state" "${global[@]}" run --detach --bundle "$directory" "shared-$which-$$" </dev/null >"$work/said" 2>&1
done
nvshare-runtime --root "$work/state" "${global[@]}" delete --force "shared-a-$$"
shows "$low_level: two containers on one rootfs: the end of one takes nothing from the other" "$managed" \
    nvshare-runtime --root "$work/state" "${global[@]}" exec "shared-b-$$" /bin/show
nvshare-runtime --root "$work/state" "${global[@]}" delete --force "shared-b-$$"
umount "$work/bundles/shared-a/rootfs" "$work/bundles/shared-b/rootfs"

# Read-only for good: env alone, and no mount point can be made.
directory=$(bundle b debian)
mount --bind "$directory/rootfs" "$directory/rootfs" && mount -o remount,bind,ro "$directory/rootfs"
shows "$low_level: a rootfs mounted read-only" "$managed" run_bundle "$directory"
check "$low_level: ... by LD_PRELOAD alone" grep -q '"io.nvshare.injected":"env /dev/nvshare"' "$directory/config.json"
umount "$directory/rootfs"

# Volumes of the host as the whole userland.
volumes='[["/usr","/lib","/lib64","/bin","/etc"][] | {destination: ., source: ., type: "bind", options: ["rbind","ro"]}]'
directory=$(bundle b static ".mounts += $volumes | .process.args = [\"$work/images/show\"]
    | .mounts += [{destination: \"$work/images\", source: \"$work/images\", type: \"bind\", options: [\"bind\"]}]")
shows "$low_level: the host's directories as volumes" "$managed" run_bundle "$directory"
check "$low_level: nothing is left in the host's /etc" test ! -e /etc/ld.so.preload

# A volume of the user's own that holds the file is written as without us.
for volume in /etc/ld.so.preload /etc; do
    rm -rf "$work/volume"; cp -a "$work/images/debian/etc" "$work/volume"; : >"$work/volume/ld.so.preload"
    source=$work/volume; [ $volume = /etc ] || source=$source/ld.so.preload
    directory=$(bundle b debian ".mounts += [{destination: \"$volume\", source: \"$source\", type: \"bind\", options: [\"bind\", \"rw\"]}]
        | .process.args = [\"/bin/sh\", \"-c\", \"/bin/show; echo '# mine' >>/etc/ld.so.preload\"]")
    shows "$low_level: a volume at $volume: a program is managed" "$managed LD_PRELOAD=/dev/nvshare/libnvshare.so" run_bundle "$directory"
    check "$low_level: ... and writes the volume" test "$(cat "$work/volume/ld.so.preload")" = '# mine'
done

# Not ours.
for edit in '.process.env |= map(select(startswith("NVIDIA") | not))' \
    '.process.env += ["NVSHARE_ENABLE=0"]' '.annotations["io.nvshare.enable"] = "false"' \
    '.process.env += ["NVIDIA_VISIBLE_DEVICES=void"]'; do
    directory=$(bundle b debian "$edit")
    cp "$directory/config.json" "$work/before.json"
    shows "$low_level: not ours: ${edit:0:60}" "$unmanaged" run_bundle "$directory"
    check "$low_level: ... its config.json is byte for byte as it was" cmp "$work/before.json" "$directory/config.json"
    check "$low_level: ... and its rootfs too" diff -r --no-dereference "$work/images/debian" "$directory/rootfs"
done

shows "$low_level: annotations set limit and weight" "$managed NVSHARE_MEM_LIMIT=8GiB NVSHARE_WEIGHT=3" run_bundle \
    "$(bundle b debian '.annotations = {"io.nvshare.mem-limit": "8GiB", "io.nvshare.weight": "3"}')"
shows "$low_level: annotations set priority and share of time" "$managed NVSHARE_PRIORITY=high NVSHARE_TIME_SHARE=30%" \
    run_bundle "$(bundle b debian '.annotations = {"io.nvshare.priority": "high", "io.nvshare.time-share": "30%"}')"
shows "$low_level: an annotation names the gang" "$managed NVSHARE_GANG=auto policy:NVSHARE_GANG=auto" run_bundle \
    "$(bundle b debian '.annotations = {"io.nvshare.gang": "auto"}')"
shows "$low_level: an image sets its share of time and not its priority" \
    "$managed NVSHARE_PRIORITY=- NVSHARE_TIME_SHARE=30%" run_bundle \
    "$(bundle b debian '.process.env += ["NVIDIA_VISIBLE_DEVICES=all", "NVSHARE_PRIORITY=high", "NVSHARE_TIME_SHARE=30%"]')"

# What nobody understands is told, and the container runs without it.
for wrong in '.process.env += ["NVSHARE_PRIORITY=high"]:--annotation io.nvshare.priority=high' \
    '.process.env += ["NVSHARE_MEM_LIMIT=50%"]:NVSHARE_MEM_LIMIT=50% is not understood' \
    '.annotations = {"io.nvshare.gang": "my job"}:a name of at most 128 characters without spaces' \
    '.annotations = {"io.nvshare.memlimit": "8GiB"}:did you mean io.nvshare.mem-limit?'; do
    edit=${wrong%:*}
    : >"$log"
    shows "$low_level: a wrong wish: ${edit:0:60}" "$managed" run_bundle "$(bundle b debian "$edit")"
    check "$low_level: ... and our log says what is right, once" \
        test "$(wc -l <"$log")$(grep -cF -e "${wrong##*:}" "$log")" = 11
done

# Hostile images: nothing outside may change.
outside=$work/outside; mkdir -p "$outside"; echo untouched >"$outside/x"
up=../../../../../../../../../../..
# What changes outside under $1, a command that runs a bundle made hostile by $2. Old runtimes themselves
# follow a /dev that leads out of the image, so the bare one is the measure.
traces() {
    local runner=$1 directory
    rm -rf "$outside"; mkdir -p "$outside"; echo untouched >"$outside/x"
    directory=$(bundle b debian)
    (cd "$directory/rootfs" && eval "$2")
    $runner "$directory" >"$work/said" 2>&1 </dev/null
    find "$outside" -printf '%P %y %s %l\n' | sort; ls -d /tmp/ld.so.preload 2>/dev/null
}
bare() { timeout 10 $low_level --root "$work/state" "${global[@]}" run --bundle "$1" "c$$-$RANDOM"; }
hostile() {
    local name=$1 without with
    without=$(traces bare "$2"); with=$(traces run_bundle "$2")
    check "$low_level: hostile $name: nothing outside changes" diff <(echo "$without") <(echo "$with")
    if [ "$3" = starts ]; then check "$low_level: hostile $name: it starts" grep -q '^loaded=' "$work/said"; fi
}
hostile "etc/ld.so.preload -> outside" "ln -s $outside/x etc/ld.so.preload" starts
hostile "etc/ld.so.preload -> ../outside" "ln -s $up$outside/x etc/ld.so.preload" starts
hostile "etc/ld.so.preload -> new file" "ln -s $up$outside/new etc/ld.so.preload" starts
hostile "etc -> /tmp" "rm -r etc; ln -s /tmp etc" starts
hostile "etc -> ../outside" "rm -r etc; ln -s $up$outside etc" starts
hostile "dev -> outside" "rmdir dev; ln -s $up$outside dev" may
hostile "etc/ld.so.preload is a directory" "mkdir etc/ld.so.preload" starts
hostile "etc/ld.so.preload -> itself" "ln -s ld.so.preload etc/ld.so.preload" starts
hostile "lib64 -> outside" "ln -sfn $up$outside lib64" may
hostile "etc/ld.so.preload -> /proc/1/mem" "ln -s /proc/1/mem etc/ld.so.preload" may

# restore: what is restored has been managed since its start, or becomes so.
directory=$(bundle r debian)
printf '#!/bin/sh\ncp config.json seen.json\nprintf "%%s\\n" "$@" >words\n' >"$work/recorder"; chmod 755 "$work/recorder"
settings "low_level_runtimes = [\"$work/recorder\"]"
(cd "$directory" && nvshare-runtime --root /r restore --image-path /i c1)
check "$low_level: restore is a start" grep -q '"io.nvshare.injected":"file /dev/nvshare"' "$directory/seen.json"
check "$low_level: restore's words are handed on" test "$(xargs <"$directory/words")" = "--root /r restore --image-path /i c1"
settings "low_level_runtimes = [\"$low_level\"]"
if criu check >"$work/said" 2>&1; then
    directory=$(bundle r debian '.process.args = ["/bin/show", "wait"]')
    id=restored$$
    nvshare-runtime --root "$work/state" "${global[@]}" run --detach --bundle "$directory" $id </dev/null >"$work/said" 2>&1
    check "$low_level: checkpoint" nvshare-runtime --root "$work/state" "${global[@]}" checkpoint --image-path "$work/checkpoint" $id
    check "$low_level: restore" nvshare-runtime --root "$work/state" "${global[@]}" restore --detach --bundle "$directory" \
        --image-path "$work/checkpoint" $id
    shows "$low_level: exec in what was restored" "$managed" \
        nvshare-runtime --root "$work/state" "${global[@]}" exec $id /bin/show
    nvshare-runtime --root "$work/state" "${global[@]}" delete --force $id >/dev/null 2>&1
else
    skip "$low_level: checkpoint and restore" "criu does not work here: $(grep -m 1 . "$work/said")"
fi

# exec: programs that are started later.
directory=$(bundle e debian '.process.args = ["/bin/show", "wait"]')
id=exec$$
nvshare-runtime --root "$work/state" "${global[@]}" run --detach --bundle "$directory" $id </dev/null >"$work/said" 2>&1
jq -n '{terminal: false, user: {uid: 0, gid: 0}, cwd: "/", args: ["/bin/show"], env: ["PATH=/bin"]}' >"$work/process.json"
shows "$low_level: exec of a process document is managed" "$managed $loaded_both" \
    nvshare-runtime --root "$work/state" "${global[@]}" exec --process "$work/process.json" $id
shows "$low_level: exec of words is managed" "$managed" \
    nvshare-runtime --root "$work/state" "${global[@]}" exec $id /bin/show
nvshare-runtime --root "$work/state" "${global[@]}" delete --force $id >/dev/null 2>&1

# Errors: named to the engine, or unmanaged.
# fault NAME SETTING TEXT BUNDLE: with `on_error = "fail"` the engine is told TEXT and the container says nothing.
fault_fails() {
    local name=$1 setting=$2 expected=$3 directory=$4 rc
    rm -f "$work/engine.log"
    settings "$setting
on_error = \"fail\"
low_level_runtimes = [\"$low_level\"]"
    nvshare-runtime --root "$work/state" --log "$work/engine.log" --log-format json "${global[@]}" \
        run --bundle "$directory" f$$ >"$work/said" 2>&1 </dev/null
    rc=$?
    check "$low_level: $name: on_error = fail fails" test $rc -ne 0 -a ! -s "$work/said"
    check "$low_level: $name: the engine is told" \
        jq -e --arg text "$expected" 'select(.level == "error") | .msg | contains($text)' "$work/engine.log"
}
# usage: fault_runs NAME SETTING BUNDLE: with `on_error = "run-unmanaged"` it starts as if we were not there.
fault_runs() {
    : >"$log"
    settings "$2
on_error = \"run-unmanaged\"
low_level_runtimes = [\"$low_level\"]"
    shows "$low_level: $1: on_error = run-unmanaged runs" "$unmanaged" run_bundle "$3"
    check "$low_level: $1: ... and our log says why, once" test "$(wc -l <"$log")" = 1
}
faults() {
    local directory
    directory=$(bundle f debian)
    cp "$directory/config.json" "$work/before.json"
    fault_fails "$1" "$2" "$3" "$directory"
    check "$low_level: $1: config.json is whole" cmp "$work/before.json" "$directory/config.json"
    fault_runs "$1" "$2" "$directory"
    check "$low_level: $1: config.json is still whole" cmp "$work/before.json" "$directory/config.json"
}
faults "missing library" 'library = "/nonexistent.so"' /nonexistent.so
faults "missing socket directory" 'tenants_dir = "/run/nvshare/gone"' "start nvshare-scheduler"
echo "no library" >"$work/text.so"
faults "a library that is none" "library = \"$work/text.so\"" "$work/text.so"
faults "broken configuration" 'nonsense = 1' '[runtime] nonsense is no setting'

directory=$(bundle f debian '.annotations = {"io.nvshare.memlimit": "8GiB"}')
cp "$directory/config.json" "$work/before.json"
fault_fails "a misspelt annotation" "" "did you mean io.nvshare.mem-limit?" "$directory"
check "$low_level: a misspelt annotation: config.json is whole" cmp "$work/before.json" "$directory/config.json"
settings

# A bundle that cannot be written: read-only, and on a full disk.
directory=$(bundle f debian ".root.path = \"$work/bundles/whole\"")
rm -rf "$work/bundles/whole"; mv "$directory/rootfs" "$work/bundles/whole"
cp "$directory/config.json" "$work/before.json"
mount --bind "$directory" "$directory" && mount -o remount,bind,ro "$directory"
fault_fails "read-only bundle" "" "$directory/config.json" "$directory"
fault_runs "read-only bundle" "" "$directory"
umount "$directory"
mkdir -p "$work/full"; mount -t tmpfs -o size=64k tmpfs "$work/full"
cp "$work/before.json" "$work/full/config.json"
head -c 64k /dev/zero >"$work/full/filler" 2>/dev/null
fault_fails "full disk" "" "$work/full/config.json" "$work/full"
fault_runs "full disk" "" "$work/full"
check "$low_level: full disk: config.json is whole, nothing else is left" \
    sh -c "cmp '$work/before.json' '$work/full/config.json' && test \"\$(ls -A '$work/full')\" = 'config.json
filler'"
umount "$work/full"
check "$low_level: full disk: no copy is left elsewhere" test -z "$(ls /var/lib/nvshare/preload 2>/dev/null | grep ^full-)"

# A config.json that cannot be read: we say so, or the runtime below does in its own words.
unreadable() {
    local directory without with
    directory=$(bundle f debian)
    (cd "$directory" && eval "$1")
    fault_fails "config.json: $1" "" "$2" "$directory"
    settings "low_level_runtimes = [\"$low_level\"]"
    without=$(bare "$directory" 2>&1 </dev/null | sed 's/time="[^"]*"//; s/^[0-9TZ:.-]*//')
    with=$(run_bundle "$directory" 2>&1 </dev/null | sed 's/time="[^"]*"//; s/^[0-9TZ:.-]*//')
    check "$low_level: config.json: $1: on_error = run-unmanaged leaves it to the runtime" \
        test -n "$with" -a "$with" = "$without"
}
unreadable 'rm config.json' "cannot read"
unreadable 'echo "{" >config.json' "is not JSON"
unreadable ': >config.json' "is not JSON"
unreadable 'rm config.json; mkdir config.json' "is not a file"
unreadable 'rm config.json; ln -s config.json config.json' "cannot read"
settings "low_level_runtimes = [\"$low_level\"]"

# Two shims that name each other.
cp /usr/bin/nvshare-runtime /usr/bin/other-shim
settings "low_level_runtimes = [\"other-shim\", \"nvshare-runtime\", \"$low_level\"]"
shows "$low_level: two shims that name each other end at the runtime" "$managed" run_bundle "$(bundle b debian)"
settings "low_level_runtimes = [\"$low_level\"]"

# The prestart face, for bundles that nobody edits.
for stage in prestart createRuntime; do
    hooks=".hooks = {$stage: [{path: \"/usr/bin/nvshare-hook\", args: [\"nvshare-hook\", \"$stage\"]}]}"
    directory=$(bundle h debian "$hooks")
    shows "$low_level: $stage hook, and annotations" "$managed policy:NVSHARE_MEM_LIMIT=1GiB" $low_level \
        --root "$work/state" "${global[@]}" run --bundle \
        "$(bundle h debian "$hooks | .annotations = {\"io.nvshare.mem-limit\": \"1GiB\"}")" h$$
    directory=$(bundle h debian "$hooks")
    shows "$low_level: $stage hook" "$managed LD_PRELOAD=-" $low_level --root "$work/state" "${global[@]}" run --bundle "$directory" h$$
    check "$low_level: ... leaves no mount on the host" sh -c "! grep -q '$directory' /proc/self/mountinfo"
done
# Without the newer system calls: ENOSYS before Linux 5.2 and 5.6, EPERM in some sandboxes.
gcc -O1 -o /usr/bin/refuse "$here/refuse.c"
cdi='.mounts += [{destination: "/dev/nvshare/libnvshare.so", source: "/usr/lib/nvshare/libnvshare.so", type: "bind", options: ["bind", "ro", "nosuid", "nodev"]},
    {destination: "/dev/nvshare/run", source: "/run/nvshare/tenants", type: "bind", options: ["rbind", "ro", "nosuid", "nodev", "noexec"]}]'
for errno in 1 38; do
    directory=$(bundle b debian)
    refuse $errno nvshare-runtime --root "$work/state" "${global[@]}" create --bundle "$directory" r$$ >/dev/null 2>&1 </dev/null
    check "$low_level: errno $errno for openat2: the shim sees the image" \
        grep -q '"io.nvshare.injected":"file /dev/nvshare"' "$directory/config.json"
    $low_level --root "$work/state" "${global[@]}" delete --force r$$ >/dev/null 2>&1
    for stage in prestart createRuntime createContainer; do
        hooks=".hooks = {$stage: [{path: \"/usr/bin/refuse\", args: [\"refuse\", \"$errno\", \"/usr/bin/nvshare-hook\", \"$stage\"]}]}"
        [ $stage = createContainer ] && hooks="$cdi | $hooks"
        directory=$(bundle h debian "$hooks | .annotations = {\"io.nvshare.weight\": \"2\"}")
        shows "$low_level: errno $errno for open_tree and its kin: $stage hook" "$managed LD_PRELOAD=- policy:NVSHARE_WEIGHT=2" \
            $low_level --root "$work/state" "${global[@]}" run --bundle "$directory" h$$
        check "$low_level: ... leaves no mount on the host" sh -c "! grep -q 'nvshare-h\|libnvshare\|$directory' /proc/self/mountinfo"
    done
done
check "$low_level: doctor names the call" sh -c 'refuse 38 nvshare-ctk doctor | grep -q "open_tree is refused here"'
hooks='.hooks = {createRuntime: [{path: "/usr/bin/nvshare-hook", args: ["nvshare-hook", "createRuntime"]}]}'
for wicked in "ln -s $up$outside/new etc/ld.so.preload" "rm -r etc; ln -s $up$outside etc" "ln -s $outside/x etc/ld.so.preload"; do
    directory=$(bundle h debian "$hooks")
    (cd "$directory/rootfs" && eval "$wicked")
    rm -rf "$outside"; mkdir -p "$outside"; echo untouched >"$outside/x"
    shows "$low_level: hook, hostile: $wicked: it starts" "uid=0" $low_level --root "$work/state" "${global[@]}" run --bundle "$directory" h$$
    check "$low_level: hook, hostile: nothing outside changes" test "$(ls -A "$outside")$(cat "$outside/x")" = xuntouched
done
cdi='.mounts += [{destination: "/dev/nvshare/libnvshare.so", source: "/usr/lib/nvshare/libnvshare.so", type: "bind", options: ["bind", "ro", "nosuid", "nodev"]},
    {destination: "/dev/nvshare/run", source: "/run/nvshare/tenants", type: "bind", options: ["rbind", "ro", "nosuid", "nodev", "noexec"]}]
    | .hooks = {createContainer: [{path: "/usr/bin/nvshare-hook", args: ["nvshare-hook", "createContainer"]}]}'
shows "$low_level: createContainer hook with the CDI mounts" "$managed LD_PRELOAD=-" \
    $low_level --root "$work/state" "${global[@]}" run --bundle "$(bundle h debian "$cdi")" h$$
shows "$low_level: ... and a program that adds to /etc/ld.so.preload" "#mine" $low_level --root "$work/state" \
    "${global[@]}" run --bundle "$(bundle h debian "$cdi
    | .process.args = [\"/bin/sh\", \"-c\", \"echo '#mine' >>/etc/ld.so.preload && grep mine /etc/ld.so.preload\"]")" h$$
shows "$low_level: ... and annotations" "$managed LD_PRELOAD=- policy:NVSHARE_WEIGHT=2" $low_level --root "$work/state" \
    "${global[@]}" run --bundle "$(bundle h debian "$cdi | .annotations = {\"io.nvshare.weight\": \"2\"}")" h$$
shows "$low_level: ... and the shim at the same time" "$managed" run_bundle "$(bundle h debian "$cdi")"
shows "$low_level: ... on musl" "loaded=0" \
    $low_level --root "$work/state" "${global[@]}" run --bundle "$(bundle h musl "$cdi")" h$$
