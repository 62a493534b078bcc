# $1: how many versions will be left.
if [ "$1" -eq 0 ]; then
    /usr/lib/nvshare/unconfigure-engines
    systemctl --no-reload disable nvshare-scheduler.service >/dev/null 2>&1
    if [ -d /run/systemd/system ]; then
        systemctl stop nvshare-scheduler.service
    fi
fi
exit 0
