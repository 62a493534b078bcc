# docker compose: the documents' files, by the compose that this machine has.
. "$here/recipes.sh"

# compose_place SERVICE...: what this place needs beside the document's file.
compose_place() {
    printf 'services:\n'
    printf '  %s: {network_mode: none, pid: host, volumes: ["'"$card"':/card"]}\n' "$@"
}
# up FILE SERVICE...: starts the services of a document's file; the first of its directory.
up() {
    local file=$1; shift
    mkdir -p "$recipes/up"
    cp "$file" "$recipes/up/compose.yaml"
    compose_place "$@" >"$recipes/up/place.yaml"
    (cd "$recipes/up" && PATH=$recipes/bin:$PATH docker compose up --no-color >"$recipes/up/said" 2>&1) &
    upped=$!
}
down() {
    wait "$upped"
    (cd "$recipes/up" && PATH=$recipes/bin:$PATH docker compose down) >/dev/null 2>&1
}
of_container='[.tenants[] | select(.container != null and .grants > 0)]'

compose_case() {
    recipe_begin compose compose compose-annotations || return
    recipe_dockerd compose || { recipe_end; return; }
    command -v docker-compose >/dev/null || { skip compose "no docker-compose"; recipe_end; return; }
    echo "# $(docker-compose version --short), dockerd $(docker version --format '{{.Server.Version}}')"
    check "compose: the runtime is configured as the document says" recipe_type "$(ls "$recipes"/compose/*.compose.sh)"
    local file; file=$(ls "$recipes"/compose/*.compose.yaml)

    # The program asks for 12 MiB: more than the first limit, less than the second.
    up "$file" first second
    check "compose: the second service is a tenant with its limit" recipe_known "$of_container | any(.limit_bytes == 16777216)"
    down
    check "compose: ... and its data is right" grep -q 'second.*right: True' "$recipes/up/said"
    check "compose: the first one's limit holds" sh -c "grep -q 'first.*CUDA error 2' '$recipes/up/said' && ! grep 'first.*right' '$recipes/up/said'"

    sed 's/ 8MiB/ 14MiB/' "$file" >"$recipes/compose/wider.yaml"
    up "$recipes/compose/wider.yaml" first second
    check "compose: with room for both, two containers hold the card" \
        recipe_known "$of_container | [.[].container] | unique | length == 2"
    down
    check "compose: ... and both have right data" test "$(grep -c 'right: True' "$recipes/up/said")" = 2

    file=$(ls "$recipes"/compose/*.compose-annotations.yaml)
    if docker_knows_annotations; then
        sed -i 's/8MiB/13MiB/' "$file"
        up "$file" background
        check "compose: annotations give a limit and a priority" \
            recipe_known "$of_container | any(.limit_bytes == 13631488 and .priority == \"low\")"
        down
        check "compose: ... and its data is right" grep -q 'right: True' "$recipes/up/said"
    else
        skip "compose: annotations" "this docker does not know them"
    fi
    recipe_end
}
compose_case
unset DOCKER_HOST
