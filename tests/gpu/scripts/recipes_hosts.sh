#!/bin/bash
# The recipes of docs/guide/recipes.md on a real card, by the document's own words: a lab's host (several users, an operator, a
# reader, the daemon as its own user), notebooks (two kernels as JupyterLab starts them), docker compose (runtime, devices,
# annotations) and the settings of DockerSpawner. Always programs that do not fit together, in turns.
# What it must show: right numbers; turns taken; limits held; everybody sees and sets what they may; containers named.
# Of containers, this place gives the card and its libraries in the stead of NVIDIA's hook, which is not there.
# The service of the document is run by service.sh, the LLM servers by recipes.sh.
#
# Needs root, and in build/gpu what `make gpu-pack` and tests/gpu/pack-recipes.sh put there. For a machine that may be
# thrown away: the package's files go into /usr, the engines into /opt; they are taken out at the end. /etc is a copy.
# usage: tests/gpu/scripts/recipes_hosts.sh [users] [notebooks] [containers]       (default: all three)
# Expected: 75 s. Settings: USERS_SECONDS (8), CONTAINER_SECONDS (10).
# shellcheck source=tests/gpu/lib/spaces.sh
. "$(dirname "$0")/../lib/spaces.sh"
needs recipes unshare setpriv useradd usermod groupadd ldconfig python3
enter 145 '' '' "$@"
# shellcheck source=tests/gpu/lib/common.sh
. "$(dirname "$0")/../lib/common.sh"
# shellcheck source=tests/gpu/lib/containers.sh
. "$gpu_tests/lib/containers.sh"
# shellcheck source=tests/gpu/lib/place.sh
. "$gpu_tests/lib/place.sh"
set +e
need_managed 28
make_place recipes
place_package
# As long as `users` runs.
mkdir -p "$engines"
unpack "$built/recipes.tar.xz" "$engines" & unpacking=$!
engine=''
finish_more() { rm -rf /run/nvs-docker; [ -z "$engine" ] || { kill "$engine" && wait "$engine"; }; }
"$gpu_tests/../documents/blocks.sh" "$work/blocks" program users compose compose-annotations jupyter
cp "$gpu_tests/../../docs/guide/recipes.md" "$work/"

# ---- A lab's host ---------------------------------------------------------------------------------------------------------
# usage: program NAME USER COMMAND: in the background
declare -A programs=()
program() { as "$2" "exec $3" >"$out/users-$1.json" 2>"$out/users-$1.log" </dev/null & programs[$1]=$!; }
right() { wait "${programs[$1]}" && python3 - "$out/users-$1.json" <<'P' || { tail -n 3 "$out/users-$1".{json,log}; return 1; }
import json, sys
last = json.loads(open(sys.argv[1]).read().splitlines()[-1])
sys.exit(0 if last.get("right", last.get("wrong") == 0) else 1)
P
}
refused() { not wait "${programs[$1]}" && grep -q 'CUDA error 2\|out of memory' "$out/users-$1".{json,log} || { tail -n 3 "$out/users-$1".{json,log}; return 1; }; }
# usage: sees USER NUMBER...: whose tenants the user sees
sees() { [ "$(as "$1" 'nvsharectl status --json' | python3 -c 'import json, sys; print(*sorted({t["uid"] for t in json.load(sys.stdin)["tenants"]}))')" = "${*:2}" ]; }
users_part() {
  local user ada eve seconds=${USERS_SECONDS:-8} wide
  getent group nvshare >/dev/null || groupadd --system nvshare
  id nvshare >/dev/null 2>&1 || useradd --no-create-home --system -g nvshare nvshare
  for user in carol dan ada eve; do id $user >/dev/null 2>&1 || useradd --no-create-home $user; done
  ada=$(id -u ada) eve=$(id -u eve)
  # The document's settings; and what this place has: a card for two of three programs at most.
  { scaled <"$(ls "$work"/blocks/*.users.toml)"; printf '[memory]\nusable = "%s"\nreserve = "%s"\n[scheduler]\nquantum = 1\n' "$(usable 13)" "$((1024 / scale))MiB"; } >/etc/nvshare/config.toml
  stand_in systemctl "[ \"\$*\" = 'restart nvshare-scheduler' ] && touch $work/restarted"
  for user in "$work"/blocks/*.users.sh; do type_block "$user" >>"$log" 2>&1 || echo "$user" >>"$work/untyped"; done
  holds "lab: the document's commands are typed, of $(ls "$work"/blocks/*.users.sh | wc -l) blocks" not cat "$work/untyped"
  holds 'lab: ... and restart the daemon' test -e "$work/restarted"
  install -d -o nvshare -g nvshare /run/nvshare /run/nvshare/tenants
  setpriv --reuid=nvshare --regid=nvshare --init-groups --inh-caps=-all --bounding-set=-all nvshare-scheduler --runtime-dir /run/nvshare \
    --config /etc/nvshare/config.toml 2>>"$out/scheduler.log" & scheduler_pid=$!
  until_answers /run/nvshare "$scheduler_pid" || { holds 'lab: the daemon starts as its own user' sh -c "tail -n 3 $out/scheduler.log; false"; return; }
  program ada1 ada "$python $steps 6 $seconds"
  program eve1 eve "$python $steps 6 $seconds"
  program ada2 ada "$work/bin/load --bytes $(bytes_of 6) --seconds $((seconds + 4))"
  holds 'lab: programs of three logins are tenants, each within 20 GiB' known 60 users \
    "sorted(t['uid'] for t in tenants if t['allocated_bytes'] > 0 and t['grants'] > 0) == [$ada, $ada, $eve] and {t['limit_bytes'] for t in tenants} == {$(($(mib 20) * 1048576))}"
  holds 'lab: a user sees their own tenants' sees ada "$ada"
  holds 'lab: an operator sees all' sees carol "$ada" "$eve"
  holds 'lab: a reader sees all' sees dan "$ada" "$eve"
  holds 'lab: an operator sets' as carol 'nvsharectl set tq 0.7'
  holds 'lab: a reader sets nothing' not as dan 'nvsharectl set tq 5'
  holds 'lab: ... nor does a user' not as ada 'nvsharectl set tq 5'
  program ada3 ada "$work/bin/load --bytes $(bytes_of 6) --steps 2"
  program eve2 eve "$work/bin/load --bytes $(bytes_of 24) --steps 2"
  holds "lab: two programs use a user's memory up: the third is refused" refused ada3
  holds 'lab: a program has at most 20 GiB: 24 are refused' refused eve2
  # That one has had the rest of its user's memory until it ended.
  program eve3 eve "env NVSHARE_MEM_LIMIT=$(mib 5)MiB $work/bin/load --bytes $(bytes_of 4) --seconds 2"
  holds 'lab: one that asks for less has less' known 20 users-less "any(t['limit_bytes'] == $(($(mib 5) * 1048576)) and t['uid'] == $eve for t in tenants)"
  wide=0
  for user in ada1 ada2 eve1 eve3; do if right $user >>"$log" 2>&1; then wide=$((wide + 1)); else tail -n 3 "$out/users-$user".* >>"$failed"; fi; done
  figure 'lab: programs with right numbers, of 4' $wide '' 4 "$([ $wide = 4 ] && echo yes)"
  wide=$(handovers)
  figure 'lab: hand-overs meanwhile' "${wide:-0}" '' '>= 4' "$([ "${wide:-0}" -ge 4 ] && echo yes)"
  stop_scheduler
  rm -rf /run/nvshare /etc/profile.d/nvshare.sh
  mkdir -p /run/nvshare/tenants
}

# ---- Notebooks ------------------------------------------------------------------------------------------------------------
notebooks_part() {
  local started first
  wait "$unpacking" || { holds 'notebooks: the pack is there' false; return; }
  # As the document writes them, between back ticks.
  started=$(sed -n 's/.*start it as `\(LD_PRELOAD=[^ ]*\) jupyter lab`.*/\1/p' "$work/recipes.md")
  first=$(sed -n "s/.*first cell, before anything uses CUDA: \`\([^\`]*\)\`.*/\1/p" "$work/recipes.md" | scaled)
  holds 'notebooks: the document says how they start and what they ask for' test -n "$started" -a -n "$first"
  # Notebooks of 4 and 8 GiB do not fit together, even on a simulated card.
  configure "$(usable $((scale == 1 ? 9 : 7)))" 'quantum = 1'
  start_scheduler
  env "$started" HOME="$work/home" PYTHONPATH="$engines/site${PYTHONPATH:+:$PYTHONPATH}" timeout 60 \
    "$python" "$scripts/recipes_notebooks.py" "$facts" "$runtime" "$first" "$(bytes_of 1)" >>"$log" 2>"$work/said"
  code=$?
  cat "$work/said" >>"$log"
  holds 'notebooks: the session comes to its end' sh -c "tail -n 6 $work/said >&2; exit $code"
  stop_scheduler
}

# ---- docker compose, and DockerSpawner --------------------------------------------------------------------------------------
api() { python3 "$scripts/docker_api.py" "$work/docker.sock" "$@"; }
# usage: dockerd_up: at the first try, with this machine's control groups; at the second, with those of version 2
dockerd_up() {
  local cgroups
  keep_cgroups
  for cgroups in own_cgroups cgroup2; do
    $cgroups
    PATH=$engines/bin:$PATH dockerd --data-root "$work/docker" --exec-root /run/nvs-docker/exec --pidfile "$work/docker.pid" -H "unix://$work/docker.sock" \
      --storage-driver vfs --bridge none --iptables=false --ip6tables=false --exec-opt native.cgroupdriver=cgroupfs >>"$out/dockerd.log" 2>&1 & engine=$!
    until api ping >/dev/null 2>&1; do
      kill -0 "$engine" 2>/dev/null || break
      sleep 0.1
    done
    if api import "$work/image.tar" nvs/recipe >>"$log" 2>&1 && api try nvs/recipe "$work/place.json" >>"$log" 2>&1; then echo "$cgroups" >>"$log"; return; fi
    { kill "$engine" && wait "$engine"; } 2>/dev/null
    engine=''
  done
  tail -n 4 "$log" "$out/dockerd.log"
  return 1
}
# usage: project NAME FILE PROGRAM SERVICE...: `docker compose up` of a document's file, in the background
declare -A projects=()
project() {
  local name=$1 at=$work/$1
  mkdir "$at"
  cp "$2" "$at/compose.yaml"
  python3 "$scripts/docker_api.py" - place "$work/place.json" "$work/$3" "${@:4}" >"$at/place.json"
  (cd "$at" && DOCKER_HOST=unix://$work/docker.sock PATH=$engines/bin:$PATH HOME=$work/home docker-compose -f compose.yaml -f place.json up --no-color "${@:4}" >"$out/compose-$name.txt" 2>&1) & projects[$name]=$!
}
says() { wait "${projects[$1]}"; grep -q "$2" "$out/compose-$1.txt" || { tail -n 5 "$out/compose-$1.txt"; return 1; }; }
of_container='t["container"] and t["allocated_bytes"] > 0'
containers_part() {
  local size file gib8=$(($(mib 8) * 1048576)) gib16=$(($(mib 16) * 1048576)) id turns
  wait "$unpacking"
  # Systems libraries of the machine come first.
  echo "$engines/lib" >/etc/ld.so.conf.d/zz-nvshare-recipes.conf
  ldconfig
  printf '[runtime]\nlog_file = "%s/runtime.log"\n' "$out" >/etc/nvshare/config.toml
  printf '#!/bin/sh\nexit 0\n' >"$engines/bin/nvidia-container-runtime-hook"
  chmod 755 "$engines/bin/nvidia-container-runtime-hook"
  for size in 6 12; do
    sed "s/2 \* 2\*\*30/$(bytes_of $size)/; s/+ 30/+ ${CONTAINER_SECONDS:-10}/" "$work"/blocks/*.program.python >"$work/share-$size.py"
  done
  sed -i 's/\bIMAGE\b/nvs\/recipe/g' "$work"/blocks/*.{yaml,python}
  for file in "$work"/blocks/*compose*.yaml "$work"/blocks/*.jupyter.python; do scaled <"$file" >"$work/said" && cp "$work/said" "$file"; done
  container_tree "$work/image"
  tar -C "$work/image" -cf "$work/image.tar" .
  printf '%s\n' "${variables[@]}" >"$work/variables"
  python3 "$scripts/docker_api.py" - describe "$work" "${NVSHARE_TEST_DRIVER:+simulated}" "${mounts[*]}" "${devices[*]}" >"$work/place.json"
  # The machine has no docker-proxy, without which dockerd refuses to start; nobody needs it here.
  [ -z "${NVSHARE_TEST_DRIVER:-}" ] || rm -f /usr/*bin/docker-proxy /usr/libexec/docker/docker-proxy
  mkdir -p /etc/docker /run/nvs-docker
  echo '{"userland-proxy": false}' >/etc/docker/daemon.json
  stand_in systemctl "case \"\$*\" in
    '--quiet is-active docker.service') exit 0 ;;
    'reload docker.service') [ ! -e $work/docker.pid ] || kill -HUP \$(cat $work/docker.pid) ;;
    *) echo \"nobody stands in for systemctl \$*\"; exit 1 ;;
    esac"
  cp "$engines"/bin/dockerd "$work/bin/" 2>/dev/null
  holds 'containers: docker is configured as the document says' type_block "$(ls "$work"/blocks/*.compose.sh)"
  holds 'containers: dockerd 26 starts a container' dockerd_up
  [ -n "$engine" ] || return
  configure "$(usable 13)" 'quantum = 1'
  start_scheduler
  file=$(ls "$work"/blocks/*.compose.yaml)
  project pair "$file" share-6.py first second
  project behind "$(ls "$work"/blocks/*.compose-annotations.yaml)" share-6.py background
  project above "$file" share-12.py first
  # A notebook server's container, by the settings that JupyterHub would read.
  id=$(api spawn "$(ls "$work"/blocks/*.jupyter.python)" "$work/place.json" "$work/share-6.py" 2>>"$log")
  holds 'compose: both services are tenants in containers, with their limits' known 60 compose \
    "{$gib8, $gib16} <= {t['limit_bytes'] for t in tenants if $of_container and t['priority'] == 'normal'}"
  holds 'compose: annotations give a limit and a priority' known 40 annotations \
    "any(t['limit_bytes'] == $gib8 and t['priority'] == 'low' for t in tenants if t['container'])"
  holds 'DockerSpawner: the container has runtime, devices and annotations' api has "$id"
  holds 'DockerSpawner: its program is a tenant with the limit' known 40 spawned "any(t['container'] == '${id:0:12}' and t['limit_bytes'] == $gib8 and t['grants'] > 0 for t in tenants)"
  holds 'compose: the first one has right numbers' says pair 'first.*right: True'
  holds 'compose: the second one has right numbers' says pair 'second.*right: True'
  holds 'compose: the one with annotations has right numbers' says behind 'right: True'
  holds 'compose: a service is refused what is above its limit' says above 'CUDA error 2\|out of memory'
  holds 'DockerSpawner: its program has right numbers' api ended "$id" 'right: True'
  turns=$(handovers)
  figure 'containers: hand-overs meanwhile' "${turns:-0}" '' '>= 6' "$([ "${turns:-0}" -ge 6 ] && echo yes)"
  stop_scheduler
}

[ $# -gt 0 ] || set -- users notebooks containers
for part; do
  from=$SECONDS
  "${part}_part"
  figure "$part: seconds" $((SECONDS - from)) s
done
python3 "$scripts/place_table.py" "$out" "$(machine)"
