# JupyterHub: the real DockerSpawner starts a notebook server's container with the document's settings.
. "$here/recipes.sh"

# hub: a Python environment with jupyterhub and dockerspawner, made once for each version of Python.
hub_python() {
    local venv; venv=$target/jupyterhub-$(/usr/bin/python3 -c 'import platform; print(platform.python_version())')
    if ! [ -e "$venv/made" ]; then
        rm -rf "$venv"
        { /usr/bin/python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check \
            jupyterhub==6.1.1 dockerspawner==14.0.0 && touch "$venv/made"; } >"$recipes/hub.log" 2>&1 || return 1
    fi
    hub=$venv/bin/python
}

jupyter_case() {
    local config id
    recipe_begin jupyter jupyter || return
    recipe_dockerd jupyter || { recipe_end; return; }
    hub_python || { skip jupyter "no jupyterhub: $(tail -n 1 "$recipes/hub.log")"; recipe_end; return; }
    config=$recipes/jupyter/jupyterhub_config.py
    # The kernel asks for 12 MiB.
    { echo 'c = get_config()'; sed 's/8MiB/16MiB/' "$recipes"/jupyter/*.jupyter.python; } >"$config"
    check "jupyter: DockerSpawner starts a container" spawned "$config" ada
    id=$(tail -n 1 "$recipes/spawned")
    check "jupyter: ... with the runtime nvshare and the GPU" sh -c \
        "docker inspect $id | jq -e '.[0].HostConfig | .Runtime == \"nvshare\" and .DeviceRequests[0].Count == -1'"
    check "jupyter: ... whose program is a tenant with the limit" \
        recipe_known "any(.tenants[]; .container == \"${id:0:12}\" and .limit_bytes == 16777216 and .grants > 0)"
    check "jupyter: ... and has right data" sh -c "docker wait $id | grep -qx 0 && docker logs $id 2>&1 | grep 'right: True'"
    docker rm -f "$id" >/dev/null 2>&1

    # Without the variable, by the annotation alone.
    if docker_knows_annotations; then
        sed -i '/c.DockerSpawner.environment/d' "$config"
        check "jupyter: DockerSpawner passes annotations" spawned "$config" eve
        id=$(tail -n 1 "$recipes/spawned")
        check "jupyter: ... which give the limit" \
            recipe_known "any(.tenants[]; .container == \"${id:0:12}\" and .limit_bytes == 16777216)"
        docker rm -f "$id" >/dev/null 2>&1
    else
        skip "jupyter: annotations" "this docker does not know them"
    fi
    recipe_end
}
# spawned CONFIG USER
spawned() {
    "$hub" "$here/spawn.py" "$1" "$2" 'network_name="none"' "volumes={'$card': '/card'}" \
        "extra_host_config={**spawner.extra_host_config, 'pid_mode': 'host'}" >"$recipes/spawned" 2>"$recipes/spawn.err" \
        || { tail -n 5 "$recipes/spawn.err"; return 1; }
}
jupyter_case
unset DOCKER_HOST
