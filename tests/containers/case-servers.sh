# Two LLM servers on one card: the documents' server.py and commands. PyTorch and transformers are the stand-ins of
# tests/gpu/rehearsal, the card is simulated; tests/gpu/scripts/recipes.sh runs the same on a GPU with the real ones.
. "$here/recipes.sh"

# ready: both servers have loaded their models.
ready() {
    local name
    for name in chat code; do
        for _ in $(seq 300); do docker logs $name 2>/dev/null | grep -qx ready && break; sleep 0.1; done
        docker logs $name 2>/dev/null | grep -qx ready || { docker logs $name; return 1; }
    done
}
# at_once: both are asked three times at the same time; each answers as it does when it is alone.
at_once() {
    local pids=() pid
    for _ in 1 2 3; do
        for port in 8601 8602; do
            sh -c "curl --silent --show-error --fail --max-time 20 -d once http://localhost:$port/ | cmp - $recipes/alone-$port" & pids+=($!)
        done
    done
    for pid in "${pids[@]}"; do wait "$pid" || return 1; done
}

servers_case() {
    local port
    recipe_begin servers servers || return
    recipe_dockerd servers || { recipe_end; return; }
    # The card has 32 MiB: two models of 20 MiB do not fit together.
    cp "$recipes"/servers/*.servers.python "$card/server.py"
    recipe_stand_in docker "shift; exec $(command -v docker) run --network host --pid host -v $card:/card \\
        -e REHEARSAL_MODEL=20971520 -w /card \"\$@\""
    local blocks=("$recipes"/servers/*.servers.sh)
    sed -i 's/60MiB/24MiB/' "${blocks[0]}"
    check "servers: two servers start as the document says" recipe_type "${blocks[0]}"
    check "servers: ... and load models that do not fit together" ready
    check "servers: both are tenants in containers, with their limits" recipe_known \
        '[.tenants[] | select(.container != null and .limit_bytes == 25165824 and .allocated_bytes >= 20971520)] | length == 2'
    check "servers: both answer as the document asks them" recipe_type "${blocks[1]}"
    for port in 8601 8602; do curl --silent --fail -d once http://localhost:$port/ >"$recipes/alone-$port"; done
    check "servers: the answers depend on the model's whole memory" grep -qx 'once and right' "$recipes/alone-8601"
    check "servers: asked at the same time, both give the same answers" at_once
    check "servers: ... by hand-overs" recipe_known '.gpus[0].handovers >= 2'
    docker rm -f chat code >/dev/null 2>&1
    recipe_end
}
servers_case
unset DOCKER_HOST
