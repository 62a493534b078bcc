# The .deb on a booted Debian: installed, used, upgraded under a running tenant, removed, purged.

# Every path of the machine that an installation could leave behind.
snapshot() {
    inside find / -xdev '(' -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp \
        -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/rpm -o -path /var/cache -o -path /var/log \
        -o -path /root -o -path /packages -o -path /world -o -path /var/lib/systemd ')' -prune -o -print | sort
    inside ls -d /run/nvshare /var/log/nvshare 2>/dev/null
}

installs() { inside apt-get install -y -qq --no-install-recommends --allow-downgrades -o Dpkg::Options::=--force-confold "$1"; }

# typed WORDS: the documents' block for a machine with these words in it, as root types it in a clone with packages.
typed() {
    local block; block=$(grep -lF "$1" "$work/documents/"*.machine.sh) || return 1
    sed 's/^sudo //' "$block" >"$root/root/clone/block"; rm "$block"
    inside sh -c 'cd /root/clone && bash -eux block' <<<y
}
all_typed() { [ -z "$(ls "$work/documents")" ]; }

daemon() { inside systemctl show --property=MainPID --value nvshare-scheduler; }
active() { inside systemctl is-active nvshare-scheduler && inside systemctl is-enabled nvshare-scheduler; }
quiet_log() { ! inside journalctl -q -u nvshare-scheduler -o cat | grep -E 'WARN|ERROR|panicked'; }

# The kernel's view of the daemon: its user, no capability, no new privileges, a filter of system calls.
confined() {
    local status; status=$(inside cat "/proc/$(daemon)/status" | tr '\t' ' ')
    has "$status" "CapEff: 0000000000000000" "CapBnd: 0000000000000000" "NoNewPrivs: 1" "Seccomp: 2" \
        && [ "$(inside stat -c %U "/proc/$(daemon)")" = nvshare ]
}

directories() {
    has "$(inside stat -c '%n %U:%G %a' /run/nvshare /run/nvshare/tenants /run/nvshare/tenants/scheduler.sock /run/nvshare/control.sock)" \
        "/run/nvshare nvshare:nvshare 755" "/run/nvshare/tenants nvshare:nvshare 755" \
        "/run/nvshare/tenants/scheduler.sock nvshare:nvshare 666" "/run/nvshare/control.sock nvshare:nvshare 660"
}

# Members of the group are operators. Others see their own tenants and set nothing.
operators() {
    as() { local user=$1; shift; inside setpriv --reuid="$user" --regid="$user" --init-groups nvsharectl "$@" 2>&1; }
    as op set evict pressure && as op status && as somebody status || return 1
    ! as somebody set evict pressure
}

start_tenant() {
    inside setpriv --reuid=somebody --regid=somebody --clear-groups env LD_PRELOAD=/usr/lib/nvshare/libnvshare.so LD_LIBRARY_PATH=/world FAKECUDA_DIR=/tmp/card \
        FAKECUDA_BYTE_SCALE=512 /world/load --bytes 25165824 --seconds 5 --stay <"$work/stdin" 8>&- >"$work/tenant.out" 2>"$work/tenant.err" &
    tenant=$!
}

# known JQ: waits until the scheduler's status is as said of the one tenant.
known() {
    local try
    for try in $(seq 300); do
        inside nvsharectl status --json >"$work/status" 2>/dev/null && jq -e ".tenants | length == 1 and (.[0] | $1)" "$work/status" && return
        sleep 0.1
    done
    cat "$work/status" "$work/tenant.err"
    return 1
}

# A restart and a stop keep the directory that containers have bound.
directory_stays() {
    local before; before=$(inside stat -c %i /run/nvshare/tenants)
    inside systemctl restart nvshare-scheduler && inside systemctl stop nvshare-scheduler && inside systemctl start nvshare-scheduler \
        && [ "$(inside stat -c %i /run/nvshare/tenants)" = "$before" ]
}

# The daemon stands still, as if it had lost itself: systemd starts another.
watchdog() {
    local before try; before=$(daemon)
    inside sh -c "kill -STOP $before"
    for try in $(seq 600); do
        [ "$(daemon)" != "$before" ] && active && return
        sleep 0.1
    done
    return 1
}

# in_force QUANTUM: by the daemon's word.
in_force() { inside nvsharectl status --json | jq -e ".quantum_seconds == $1"; }

# The settings that have been changed hold at once, with the same daemon.
reloads() {
    local before; before=$(daemon)
    ! in_force 7 && inside systemctl reload nvshare-scheduler && in_force 7 && [ "$(daemon)" = "$before" ]
}

# A broken file changes nothing, and whoever reloads it hears of that.
refuses_broken() {
    local before file=/etc/nvshare/config.toml; before=$(daemon)
    inside cp -p $file $file.kept && inside sh -c "echo 'quantum = soon' >>$file"
    inside systemctl reload nvshare-scheduler; local code=$?
    inside mv $file.kept $file
    [ $code != 0 ] && in_force 7 && [ "$(daemon)" = "$before" ] && active \
        && inside journalctl -q -u nvshare-scheduler -o cat | grep -F $file
}

configure_engines() {
    local engine
    for engine in docker containerd crio podman; do
        inside nvshare-ctk runtime configure --runtime=$engine --set-as-default || return 1
    done
    inside nvshare-ctk cdi generate
}

nothing_configured() { ! inside grep -rl nvshare /etc/docker /etc/containerd /etc/crio /etc/containers /etc/cdi 2>/dev/null; }

# upgrades PACKAGE: the tenant lives through it, and the daemon is another one.
upgrades() {
    local before pid; before=$(daemon)
    pid=$(jq '.tenants[0].pid' "$work/status")
    installs "$1" || return 1
    [ "$(daemon)" != "$before" ] && active && known ".pid == $pid"
}

config_kept() { inside grep -x 'quantum = 7' /etc/nvshare/config.toml && inside nvshare-scheduler --check | grep -x 'quantum = 7'; }
# Not within a check, whose shell is another.
end_tenant() { exec 8>&-; wait "$tenant"; ended=$?; }
ended_well() { [ "$ended" = 0 ] && jq -e 'select(.wrong == 0)' <(tail -1 "$work/tenant.out"); }
# Directories that were made for engines' files are left to the engines, if nothing of ours is in them.
nothing_left() {
    inside rm -r /etc/docker /etc/containerd
    inside rmdir /etc/crio/crio.conf.d /etc/crio /etc/containers/containers.conf.d /etc/containers /etc/cdi || return 1
    diff "$work/before" <(snapshot)
}

# next_deb: the next revision with another config.toml, so that there is something to decide.
next_deb() {
    dpkg-deb -R "$deb_next" "$work/next" && echo '# Another default.' >>"$work/next/etc/nvshare/config.toml" \
        && dpkg-deb -b --root-owner-group "$work/next" "$work/packages/next.deb" >/dev/null && rm -r "$work/next"
}

# older_deb: a package before this one, with podman's hook where buildah and CRI-O look too.
older_deb() {
    local old=$work/older
    dpkg-deb -R "$deb" "$old" && mkdir -p "$old/usr/share/containers/oci" && mv "$old/usr/share/nvshare/hooks.d" "$old/usr/share/containers/oci/" \
        && rmdir "$old/usr/share/nvshare" && rm -r "$old/usr/lib/nvshare/name-hooks" \
        && sed -i '/name-hooks/d; s|^if \[ "$1" = configure \]; then$|& :|' "$old/DEBIAN/postinst" && sed -i 's/^Version: .*/Version: 0.0.1-1/' "$old/DEBIAN/control" \
        && dpkg-deb -b --root-owner-group "$old" "$work/packages/older.deb" >/dev/null && rm -r "$old"
}

# moves_hook: an upgrade from that package names our directory to podman and leaves nothing in the other.
moves_hook() {
    installs /packages/older.deb && inside test -e /usr/share/containers/oci/hooks.d/50-nvshare.json \
        && ! inside test -e "$drop_in" && installs "/packages/$(basename "$deb")" || return 1
    ! inside test -e /usr/share/containers/oci/hooks.d/50-nvshare.json && inside grep -F /usr/share/nvshare/hooks.d "$drop_in"
}

# hook_off: an administrator's empty file stays empty over an upgrade.
hook_off() {
    inside sh -c ": >$drop_in" && installs /packages/next.deb && [ "$(inside stat -c %s "$drop_in")" = 0 ]
}

# a_service: the unit of a service that uses the GPU, in the sandbox that docs/guide/recipes.md speaks of.
a_service() {
    cat >"$root/etc/systemd/system/train.service" <<'END'
[Service]
ExecStart=/world/load --bytes 6291456
Environment=LD_LIBRARY_PATH=/world FAKECUDA_DIR=/tmp/card FAKECUDA_BYTE_SCALE=512
User=somebody
PrivateTmp=yes
ProtectSystem=strict
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX
END
    inside systemctl daemon-reload
    inside systemctl start train.service
}
service_is_managed() {
    typed train.service && inside systemd-analyze verify --man=no train.service \
        && known ".program == \"load\" and .grants > 0 and .limit_bytes == 8 * pow(2; 30) and .pid == $(inside systemctl show --property=MainPID --value train)"
}
service_survives() {
    local before; before=$(inside systemctl show --property=MainPID --value train)
    inside systemctl restart nvshare-scheduler && known ".pid == $before" && inside systemctl is-active train.service
}
no_service() { inside systemctl stop train.service; inside rm -r /etc/systemd/system/train.service /etc/systemd/system/train.service.d; inside systemctl daemon-reload; }

debian_case() {
    local suite=$1 drop_in=/etc/containers/containers.conf.d/99-nvshare-hooks.conf
    lay "$suite"; boot
    snapshot >"$work/before"
    older_deb
    check "$suite: an upgrade moves podman's hook" moves_hook
    next_deb
    check "$suite: an upgrade leaves a hook that is turned off" hook_off
    inside apt-get purge -y -qq nvshare
    inside rm -r /etc/containers
    inside useradd --system somebody; inside useradd --system op
    mkdir -p "$root/root/clone"; cp "$deb" "$root/root/clone/"
    "$here/../documents/blocks.sh" "$work/documents" machine
    check "$suite: installs as the documents say" typed 'apt install'
    check "$suite: the daemon runs and will at the next boot" active
    inside usermod -aG nvshare op
    check "$suite: systemd finds nothing wrong with the unit" inside systemd-analyze verify --man=no nvshare-scheduler.service
    check "$suite: the unit's exposure is at most 1.0" \
        inside systemd-analyze security --offline=yes --threshold=10 nvshare-scheduler.service
    check "$suite: the daemon is confined" confined
    check "$suite: directories and sockets are whose they should be" directories
    check "$suite: the shipped settings are right" inside nvshare-scheduler --check
    check "$suite: nvshare-ctk doctor finds nothing wrong" inside nvshare-ctk doctor
    check "$suite: members of the group are operators, others see their own and set nothing" operators
    check "$suite: the directory of the tenants' socket outlives restarts" directory_stays

    a_service
    check "$suite: a service becomes a tenant as the documents say" service_is_managed
    check "$suite: ... and goes on when the scheduler is restarted" service_survives
    no_service

    rm -f "$work/stdin"; mkfifo "$work/stdin"; exec 8<>"$work/stdin"
    start_tenant
    check "$suite: another user's program is a tenant and has swap space" known '.grants > 0 and .swap_bytes > 0'
    check "$suite: the daemon has nothing to complain of" quiet_log
    check "$suite: a daemon that stands still is replaced" watchdog
    check "$suite: the tenant comes back to the new one" known true

    inside sed -i 's/^#quantum = .*/quantum = 7/' /etc/nvshare/config.toml
    check "$suite: systemctl reload applies changed settings" reloads
    check "$suite: ... and a broken file changes nothing" refuses_broken
    check "$suite: engines are configured" configure_engines
    check "$suite: an upgrade replaces the daemon and leaves the tenant" upgrades /packages/next.deb
    check "$suite: an upgrade keeps changed settings" config_kept
    check "$suite: is removed" inside apt-get remove -y -qq nvshare
    check "$suite: no engine knows the runtime any more" nothing_configured
    check "$suite: the settings stay until a purge" inside grep -x 'quantum = 7' /etc/nvshare/config.toml
    end_tenant
    check "$suite: the tenant ends well without us" ended_well
    check "$suite: is purged as the documents say" typed 'apt purge'
    check "$suite: every block of the documents has been typed" all_typed
    check "$suite: nothing is left behind" nothing_left
    halt
}
