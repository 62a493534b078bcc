#!/bin/sh
# nvshare was removed while there were containers of its runtime. Their engines call this program for as long as such a
# container runs, or an engine's configuration names it. It hands every call to the runtime below, and removes itself
# when the last container goes and no configuration names it. `nvshare-needed` asks whether it is needed still, and says by
# what.
below=@BELOW@
self=nvshare-runtime
for last; do :; done

# needed BUT: a configuration names it, or a container other than that one runs under it.
needed() {
    for file in /etc/docker/daemon.json /etc/containerd/config.toml /etc/crio/crio.conf.d/99-nvshare.conf \
        /etc/containers/containers.conf.d/99-nvshare.conf; do
        grep -qsF "$self" "$file" && echo "$file names it" && return
    done
    for process in /proc/[0-9]*; do
        # Those of containers may call themselves anything.
        [ "$(readlink "$process/ns/pid" 2>/dev/null)" = "$(readlink /proc/self/ns/pid)" ] || continue
        read -r name 2>/dev/null <"$process/comm" || continue
        case $name in
        conmon)
            # Of any user: podman without rights has this script too. What it says keeps the script in place, no more.
            tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -F "$self " | grep -qvF "${1:-no container}" &&
                echo "a container runs under process ${process#/proc/}" && return
            ;;
        containerd-shim*)
            [ -O "$process" ] || continue
            # One shim may serve all containers of a pod, each with a bundle beside its own.
            bundles=$process/cwd
            ! tr '\0' ' ' <"$process/cmdline" | grep -qF ' k8s.io ' || bundles="$process/cwd/../*"
            for bundle in $bundles; do
                bundle=$(readlink -f "$bundle")
                [ "${bundle##*/}" != "$1" ] && [ -f "$bundle/runtime" ] &&
                    timeout 2 grep -qsF "$self" "$bundle/runtime" &&
                    echo "a container runs under process ${process#/proc/}" && return
            done
            ;;
        esac
    done
    return 1
}

[ "$1" = nvshare-needed ] && { needed; exit; }
case " $* " in
*" delete "*)
    "$below" "$@"
    status=$?
    needed "$last" >/dev/null || rm -f "$0"
    exit $status
    ;;
esac
exec "$below" "$@"
