#!/bin/sh
# nvshare was removed while there were containers of its runtime. Their engines call this program for as long as such a
# container runs, or an engine's configuration names it. It hands every call to the runtime below, and removes itself
# when the last container goes and no configuration names it. `nvshare-needed` asks whether it is needed still.
below=@BELOW@
self=nvshare-runtime
for last; do :; done

# needed BUT: a configuration names it, or a container other than that one runs under it.
needed() {
    grep -qsF "$self" /etc/docker/daemon.json /etc/containerd/config.toml /etc/crio/crio.conf.d/99-nvshare.conf \
        /etc/containers/containers.conf.d/99-nvshare.conf && return
    for process in /proc/[0-9]*; do
        # Those of containers and of other users may call themselves anything.
        [ -O "$process" ] && [ "$(readlink "$process/ns/pid")" = "$(readlink /proc/self/ns/pid)" ] || continue
        read -r name 2>/dev/null <"$process/comm" || continue
        case $name in
        conmon) tr '\0' ' ' <"$process/cmdline" | grep -F "$self " | grep -qvF "${1:-no container}" && return ;;
        containerd-shim*)
            # One shim may serve all containers of a pod, each with a bundle beside its own.
            bundles=$process/cwd
            ! tr '\0' ' ' <"$process/cmdline" | grep -qF ' k8s.io ' || bundles="$process/cwd/../*"
            for bundle in $bundles; do
                bundle=$(readlink -f "$bundle")
                [ "${bundle##*/}" != "$1" ] && [ -f "$bundle/runtime" ] &&
                    timeout 2 grep -qsF "$self" "$bundle/runtime" && return
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
    needed "$last" || rm -f "$0"
    exit $status
    ;;
esac
exec "$below" "$@"
