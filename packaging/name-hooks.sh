#!/bin/sh
# Names our directory of hooks to podman, at an installation and at an upgrade. A file that is there stays as its
# administrator has it; an empty one turns the hook off.
# podman gives up all hooks where a directory that it is told of is missing.
mkdir -p /usr/share/containers/oci/hooks.d
drop_in=/etc/containers/containers.conf.d/99-nvshare-hooks.conf
[ -e "$drop_in" ] || nvshare-ctk runtime configure --runtime=podman-hook || true
