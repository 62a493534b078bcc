# The .rpm: into the files of a machine that is not running, then on the running one. The machine is a Debian with rpm,
# whose database knows none of the packages that ours requires.

rpm_case() {
    local name; name=$(basename "$rpm")
    lay bookworm
    check "rpm: installs into a machine that is off" rpm --root "$root" -i --nodeps "$rpm"
    boot
    check "rpm: the daemon runs at the first boot" active
    check "rpm: podman is told of the hook" inside grep -F /usr/share/nvshare/hooks.d /etc/containers/containers.conf.d/99-nvshare-hooks.conf
    check "rpm: is removed" inside rpm -e nvshare
    check "rpm: podman is told that the hook is gone" inside rmdir /etc/containers/containers.conf.d /etc/containers
    snapshot >"$work/before"
    check "rpm: installs on a running machine" inside rpm -i --nodeps "/packages/$name"
    check "rpm: the daemon runs and will at the next boot" active
    check "rpm: the daemon is confined" confined
    check "rpm: directories and sockets are whose they should be" directories
    check "rpm: nvshare-ctk doctor finds nothing wrong" inside nvshare-ctk doctor
    check "rpm: what is installed is what was packed" inside rpm -V --nodeps nvshare

    inside useradd --system somebody
    rm -f "$work/stdin"; mkfifo "$work/stdin"; exec 8<>"$work/stdin"
    start_tenant
    check "rpm: another user's program is a tenant and has swap space" known '.grants > 0 and .swap_bytes > 0'
    inside sed -i 's/^#quantum = .*/quantum = 7/' /etc/nvshare/config.toml
    check "rpm: engines are configured" configure_engines
    check "rpm: an upgrade replaces the daemon and leaves the tenant" rpm_upgrades "/packages/$(basename "$rpm_next")"
    check "rpm: an upgrade keeps changed settings" config_kept
    check "rpm: is removed" inside rpm -e nvshare
    check "rpm: no engine knows the runtime any more" nothing_configured
    check "rpm: changed settings stay" inside grep -x 'quantum = 7' /etc/nvshare/config.toml.rpmsave
    end_tenant
    check "rpm: the tenant ends well without us" ended_well
    inside rm -r /etc/nvshare
    check "rpm: nothing else is left behind" nothing_left
    halt
}

rpm_upgrades() { installs() { inside rpm -U --nodeps "$1"; }; upgrades "$1"; }
