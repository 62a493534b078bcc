# $1: how many versions are installed now.
systemd-sysusers nvshare.conf
/usr/lib/nvshare/name-hooks
if [ -d /run/systemd/system ]; then
    systemd-tmpfiles --create nvshare.conf
    systemctl daemon-reload
fi
if [ "$1" -eq 1 ]; then
    # As the distribution and the administrator have it; 90-nvshare.preset says enable.
    systemctl --no-reload preset nvshare-scheduler.service
    if [ -d /run/systemd/system ] && systemctl --quiet is-enabled nvshare-scheduler.service; then
        systemctl start nvshare-scheduler.service
    fi
    /usr/lib/nvshare/print-next-steps
elif [ -d /run/systemd/system ]; then
    # Tenants run on meanwhile and come back by themselves.
    systemctl try-restart nvshare-scheduler.service
fi
exit 0
