# What the cases of docs/guide/recipes.md share. Each takes the document's own blocks, and changes in them only what a small
# simulated card and a place without a network need: the image's name, GiB to MiB.
bin_world=${NVSHARE_WORLD:-$bin}
recipes=$work/recipes
card=$work/recipes/card

recipe_stand_in() { printf '#!/bin/sh\n%s\n' "$2" >"$recipes/bin/$1"; chmod 755 "$recipes/bin/$1"; }

# recipe_begin NAME WORDS...: the blocks of these words, in $recipes/NAME; the real scheduler. Fails where this cannot be.
recipe_begin() {
    local name=$1; shift
    [ -n "${NVSHARE_LIBRARY:-}" ] || { skip "$name" "a stand-in for the library"; return 1; }
    rm -rf "${recipes:?}/$name" "$card"
    mkdir -p "$recipes/bin" "$recipes/$name" "$card"
    chmod 1777 "$card"
    "$here/../documents/blocks.sh" "$recipes/$name" "$@"
    sed -i 's|\bIMAGE\b|test/recipe|g; s/\([0-9]\)GiB/\1MiB/g' "$recipes/$name"/*
    settings
    install -m755 "$bin_world/nvsharectl" /usr/bin/
    recipe_stand_in sudo 'exec "$@"'
    kill "$scheduler"; wait "$scheduler" 2>/dev/null; rm -f /run/nvshare/tenants/scheduler.sock
    recipe_scheduler
}
# recipe_scheduler [CONFIG]
recipe_scheduler() {
    "$bin_world/nvshare-scheduler" --runtime-dir /run/nvshare --config "${1:-/dev/null}" 2>>"$recipes/scheduler.log" &
    scheduler=$!
    for _ in $(seq 100); do nvsharectl status >/dev/null 2>&1 && return; sleep 0.05; done
}
recipe_end() {
    kill "$scheduler"; wait "$scheduler" 2>/dev/null
    start_scheduler
}

# recipe_type FILE: as somebody types it.
recipe_type() { (cd "$(dirname "$1")" && PATH=$recipes/bin:$PATH bash -eux "$1") </dev/null; }

# recipe_known JQ: waits until the scheduler's status is as said.
recipe_known() {
    for _ in $(seq 300); do
        nvsharectl status --json >"$recipes/status" 2>/dev/null && jq -e "$1" "$recipes/status" >/dev/null && return
        sleep 0.05
    done
    jq -c ".tenants[]" "$recipes/status"
    return 1
}

# recipe_dockerd: a dockerd at its usual socket with the image test/recipe, once for all cases; whether it runs. What a
# container needs of this place (the card's directory, one pid namespace for the locks in it) is given to `docker run`.
recipe_dockerd() {
    export DOCKER_HOST=unix:///run/docker.sock
    recipe_stand_in docker "case \$1 in
        run) shift; exec $(command -v docker) run --network host --pid host -v $card:/card \"\$@\" ;;
        compose) shift; exec docker-compose -f compose.yaml -f place.yaml \"\$@\" ;;
        *) exec $(command -v docker) \"\$@\" ;;
        esac"
    recipe_stand_in systemctl "case \"\$*\" in
        '--quiet is-active docker.service') kill -0 \$(cat $recipes/docker.pid) ;;
        'reload docker.service') kill -HUP \$(cat $recipes/docker.pid) ;;
        *) echo \"nobody stands in for systemctl \$*\"; exit 1 ;;
        esac"
    docker info >/dev/null 2>&1 && return
    mkdir -p /etc/docker "$recipes/image"
    printf '#!/bin/sh\nexit 0\n' >/usr/bin/nvidia-container-runtime-hook; chmod 755 /usr/bin/nvidia-container-runtime-hook
    nvshare-ctk runtime configure --runtime=docker --no-reload >"$work/said" 2>&1 || { not_ok "recipes: $(cat "$work/said")"; return 1; }
    dockerd --data-root "$recipes/docker" --exec-root /run/recipes --pidfile "$recipes/docker.pid" -H "$DOCKER_HOST" \
        --bridge none --iptables=false --ip6tables=false >"$recipes/docker.log" 2>&1 &
    children+=($!)
    for _ in $(seq 150); do docker info >/dev/null 2>&1 && break; sleep 0.2; done
    docker info >/dev/null 2>&1 || { skip "$1" "dockerd does not start here: $(tail -n 1 "$recipes/docker.log")"; return 1; }
    python_image "$recipes/image/tree" "$bin_world"
    tar -C "$recipes/image/tree" -c . | docker import --change 'ENV FAKECUDA_DIR=/card' --change 'CMD ["python3", "share.py"]' \
        - test/recipe >/dev/null || { not_ok "recipes: docker import"; return 1; }
}
docker_knows_annotations() { docker version --format '{{.Server.APIVersion}}' | awk -F. '{ exit !($1 > 1 || $2 >= 43) }'; }
