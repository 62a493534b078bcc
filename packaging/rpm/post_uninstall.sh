# $1: how many versions are left.
if [ "$1" -eq 0 ]; then
    rm -rf /run/nvshare
    # For containers that are there still: see unconfigure-engines.
    [ ! -e /usr/bin/.nvshare-runtime.left ] || mv -f /usr/bin/.nvshare-runtime.left /usr/bin/nvshare-runtime
    # name-hooks makes it where no other package does.
    rpm -qf /usr/share/containers/oci/hooks.d >/dev/null 2>&1 || rmdir -p --ignore-fail-on-non-empty /usr/share/containers/oci/hooks.d 2>/dev/null
    # The packager cannot own directories. A changed config.toml stays, as config.toml.rpmsave.
    rmdir /usr/lib/nvshare /usr/share/nvshare/hooks.d /usr/share/nvshare /usr/share/doc/nvshare /usr/share/licenses/nvshare /etc/nvshare 2>/dev/null
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
    fi
fi
exit 0
