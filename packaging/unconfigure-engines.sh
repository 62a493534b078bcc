#!/bin/sh
# Takes the runtime nvshare out of the engines' configurations before the package goes: an engine whose default it
# is could start no container any more. Where nothing is ours, nothing is changed.
for engine in docker containerd crio podman podman-hook; do
    # What cannot be read is left to the administrator, who is told; the package goes all the same.
    said=$(nvshare-ctk runtime unconfigure --removing --runtime="$engine" 2>&1)
    case $said in
    *"nothing to change"*) continue ;;
    *) printf 'nvshare: %s\n' "$said" ;;
    esac
done
# The device's description, unless somebody has changed it.
if [ -e /etc/cdi/nvshare.json ] && nvshare-ctk cdi generate --output - | cmp -s - /etc/cdi/nvshare.json; then
    rm -f /etc/cdi/nvshare.json
fi
# Of a removal that was not ended.
rm -f /usr/bin/.nvshare-runtime.left
# Takes the shim's place when the package's files are gone.
nvshare-ctk runtime pass-through /usr/bin/.nvshare-runtime.left
if [ -e /usr/bin/.nvshare-runtime.left ]; then
    echo "nvshare: /usr/bin/nvshare-runtime stays as a script that hands every call to the runtime below, for the containers"
    echo "nvshare: and files named above. It goes with the last of the containers, once no file of an engine names it."
fi
