# A lab's host with users: the documents' files and settings, with two users and an operator of this place.
. "$here/recipes.sh"

# as USER COMMAND...: in a login shell, which reads /etc/profile.d.
as() {
    local user=$1; shift
    setpriv --reuid="$user" --regid="$user" --init-groups env -i HOME=/ USER="$user" PATH=/usr/bin:/bin \
        LD_LIBRARY_PATH="$recipes/lib" FAKECUDA_DIR="$card" FAKECUDA_MEMORY=32GiB FAKECUDA_BYTE_SCALE=512 bash --login -c "umask 0; $*"
}
# program NAME USER MIB [VARIABLE=VALUE]: a program of the user's, until its pipe is closed.
program() {
    mkfifo "$recipes/users/$1.in"
    as "$2" "exec env ${4:-} $recipes/bin/load --bytes $(($3 << 20)) --until-closed" <"$recipes/users/$1.in" \
        >"$recipes/users/$1.out" 2>&1 &
    programs[$1]=$!
    exec {writer}>"$recipes/users/$1.in"
    writers[$1]=$writer
}
# end NAME: closes its pipe and waits for its end; not within a check, whose shell is another. right NAME: its data.
end() { writer=${writers[$1]}; exec {writer}>&-; wait "${programs[$1]}"; }
right() { jq -e 'select(.wrong == 0)' <(tail -n 1 "$recipes/users/$1.out"); }
tenants_of() { echo "([.tenants[] | select(.uid == $(id -u "$1") and .allocated_bytes > 0)] | length == $2)"; }
readers_set_nothing() { ! as dan nvsharectl set tq 5; }
# sees USER: those whose tenants the user sees, by number.
sees() { as "$1" nvsharectl status --json | jq -c '[.tenants[].uid] | unique'; }
refused() { cat "$recipes/users/$1.out"; grep -q 'CUDA error 2' "$recipes/users/$1.out"; }

users_case() {
    local user toml
    declare -A programs=() writers=()
    recipe_begin users users || return
    mkdir -p "$recipes/lib"
    install -m755 "$bin_world/load" "$recipes/bin/"
    install -m755 "$bin_world/libfakecuda.so" "$recipes/lib/libcuda.so.1"
    # What the package and the lab have made before.
    getent group nvshare >/dev/null || groupadd --system nvshare
    id nvshare >/dev/null 2>&1 || useradd --no-create-home --system -g nvshare nvshare
    for user in carol dan ada eve; do id $user >/dev/null 2>&1 || useradd --no-create-home $user; done
    toml=$recipes/users/config.toml
    # The limits of the document are met by programs of a small card.
    sed 's/128MiB/1GiB/' "$recipes"/users/*.users.toml >"$toml"
    cp "$toml" /etc/nvshare/config.toml
    recipe_stand_in systemctl "[ \"\$*\" = 'restart nvshare-scheduler' ] && touch $recipes/users/restarted"
    recipe_stand_in nvshare-scheduler "exec $bin_world/nvshare-scheduler \"\$@\""
    for block in "$recipes"/users/*.users.sh; do
        check "users: $(basename "$block" .users.sh) is typed" recipe_type "$block"
    done
    check "users: ... the daemon is restarted" test -e "$recipes/users/restarted"
    kill "$scheduler"; wait "$scheduler" 2>/dev/null
    recipe_scheduler "$toml"

    check "users: an operator sees the tenants" as carol nvsharectl status
    check "users: a reader sees them too" as dan nvsharectl status
    check "users: ... and sets nothing" readers_set_nothing
    check "users: an operator sets" as carol nvsharectl set tq 5
    program ada1 ada 12; program ada2 ada 12; program eve1 eve 12
    check "users: programs from a login are tenants" recipe_known "$(tenants_of ada 2) and $(tenants_of eve 1)"
    check "users: ... of their users, each within 20" recipe_known '[.tenants[].limit_bytes] | unique == [20 * 1048576]'
    check "users: another user sees their own tenants" test "$(sees ada)" = "[$(id -u ada)]"
    check "users: ... an operator and a reader all of them" test "$(sees carol) $(sees dan)" = "[$(id -u ada),$(id -u eve)] [$(id -u ada),$(id -u eve)]"
    program ada3 ada 12; wait "${programs[ada3]}"
    check "users: two programs that ask for nothing use a user's memory up" refused ada3
    program eve2 eve 24; wait "${programs[eve2]}"
    check "users: a program has at most memory_per_tenant" refused eve2
    program eve3 eve 4 NVSHARE_MEM_LIMIT=8MiB
    check "users: one that asks for less has less" recipe_known 'any(.tenants[]; .limit_bytes == 8 * 1048576)'
    # The later ones hold the pipes of those before them.
    for user in eve3 eve1 ada2 ada1; do end $user; check "users: $user has right data" right $user; done
    rm -f /etc/profile.d/nvshare.sh
    recipe_end
}
users_case
