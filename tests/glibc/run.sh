#!/bin/bash
# The library with real C libraries: those of Debian's releases (glibc 2.31, 2.36, 2.41 and the newest), each unpacked
# and run by its own loader. With each, a program has to find what it finds natively, but for the driver's functions,
# which the library answers; and programs whose allocators look functions up at their first call have to run: one in the
# program, one preloaded before the library and behind it, jemalloc and tcmalloc. Another library that stands in for
# dlsym behind ours is still asked, also one whose table is of the old kind.
# usage: run.sh VENV LIBRARY     VENV: with zig. Settings: SUITES; NVSHARE_TREES (where what was unpacked stays)
set -euo pipefail
venv=$(realpath "${1:?usage: run.sh VENV LIBRARY}") library=$(realpath "${2:?usage: run.sh VENV LIBRARY}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
trees=${NVSHARE_TREES:-$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")/glibc}
read -r -a suites <<<"${SUITES:-bullseye bookworm trixie sid}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# unpack SUITE: the suite's C library and two allocators, into its tree.
unpack() {
  local suite=$1 tree=$trees/$1 apt=$work/apt-$1 archive package
  [ ! -e "$tree/made" ] || return 0
  archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
  rm -rf "$tree"; mkdir -p "$tree" "$apt"/{lists/partial,archives/partial,packages}
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite main" >"$apt/sources.list"
  local options=(-qq -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::State::Lists="$apt/lists" -o Dir::State::Status=/dev/null -o Dir::Cache="$apt"
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Sandbox::User=root)
  timeout 300 apt-get "${options[@]}" update
  package=$(apt-cache "${options[@]}" --names-only search '^libtcmalloc-minimal4(t64)?$' | cut -d ' ' -f 1)
  (cd "$apt/packages" && timeout 300 apt-get "${options[@]}" download libc6 libgcc-s1 libstdc++6 libjemalloc2 "$package")
  for package in "$apt"/packages/*.deb; do dpkg -x "$package" "$tree"; done
  touch "$tree/made"
}

# Programs for any of them, by zig: on the library's own floor.
build() { "$venv/bin/python" -m ziglang cc -target x86_64-linux-gnu.2.17 -O1 -Wall -Werror -o "$work/$1" "${@:2}" -lpthread -ldl; }
build libcuda.so.1 -shared -fPIC -Wl,-soname,libcuda.so.1 "$here/../aarch64/driver.c"
build allocator.so -shared -fPIC "$here/allocator.c"
mkdir "$work/beside"
build beside/libbeside.so -shared -fPIC "$here/../aarch64/driver.c"
for style in sysv gnu; do build "interposer-$style.so" -shared -fPIC -Wl,--hash-style=$style "$here/interposer.c"; done
build lookup "$here/../aarch64/lookup.c" -Wl,--enable-new-dtags,-rpath,"\$ORIGIN/beside"
build allocates "$here/allocates.c"
printf '#include <stdio.h>\nint main(void) { puts("started"); return 0; }\n' >"$work/started.c"
build started "$work/started.c"
build allocates-itself "$here/allocates.c" "$here/allocator.c"

# usage: same SUITE WHAT PROGRAM PRELOADED...: natively, with what is preloaded but ours, and with ours among it (`US`)
same() {
  local suite=$1 what=$2 program=$3 tree=$trees/$1 loader folders preload native=() ours=() code=0
  shift 3
  loader=$(find "$tree" -name ld-linux-x86-64.so.2 | sort | head -n 1)
  folders=$(find "$tree" -type d -name x86_64-linux-gnu | paste -sd :)
  for preload; do
    [ "$preload" = US ] || native+=("$preload")
    [ "$preload" = US ] && ours+=("$library") || ours+=("$preload")
  done
  run() { # NAME PRELOADED...
    local name=$1 code=0; shift
    timeout 60 env NVSHARE_SOCKET="$work/none" LD_PRELOAD="$(IFS=:; echo "$*")" \
      "$loader" --library-path "$folders:$work" "$work/$program" >"$work/$name" 2>"$work/$name.said" || code=$?
    echo "exit $code" >>"$work/$name"
  }
  run native "${native[@]}"
  run ours "${ours[@]}"
  if ! grep -qx 'exit 0' "$work/native"; then
    echo "not ok $suite: $what: fails natively"; cat "$work/native" "$work/native.said"; failed=1
  elif ! sed 's/^\(cu[A-Za-z]*\): libcuda.so.1$/\1: libnvshare.so/' "$work/native" | diff - "$work/ours"; then
    echo "not ok $suite: $what"; cat "$work/ours.said"; failed=1
  elif ! grep -q 'no scheduler at' "$work/ours.said"; then
    echo "not ok $suite: $what: the library is not there"; cat "$work/ours.said"; failed=1
  else
    echo "ok $suite: $what"
  fi
}

for suite in "${suites[@]}"; do
  unpack "$suite"
  tree=$trees/$suite
  "$(find "$tree" -name ld-linux-x86-64.so.2 | sort | head -n 1)" "$(find "$tree" -name libc.so.6)" | sed -n 1p
  same "$suite" "what a program finds" lookup US
  same "$suite" "the program's own allocator" allocates-itself US
  same "$suite" "an allocator before the library" allocates "$work/allocator.so" US
  same "$suite" "an allocator behind the library" allocates US "$work/allocator.so"
  for style in sysv gnu; do
    same "$suite" "another dlsym behind the library, $style" lookup US "$work/interposer-$style.so"
  done
  for name in jemalloc tcmalloc_minimal; do
    file=$(find "$tree" -name "lib$name.so.*" | sort | head -n 1)
    [ -n "$file" ] || { echo "not ok $suite: no $name"; failed=1; continue; }
    same "$suite" "$name before the library" allocates "$file" US
    same "$suite" "$name behind the library" allocates US "$file"
  done
done

# own SUITE OTHER: a program that brings the C library of one release, and not the rest of it, to another one.
own() {
  local own=$work/own-$1 folders said
  mkdir -p "$own"
  cp -L "$(find "$trees/$1" -name ld-linux-x86-64.so.2 | sort | head -n 1)" "$(find "$trees/$1" -name libc.so.6 | head -n 1)" "$own"
  folders=$(find "$trees/$2" -type d -name x86_64-linux-gnu | paste -sd :)
  said=$(timeout 60 env LD_PRELOAD="$library" "$own/ld-linux-x86-64.so.2" --library-path "$own:$folders" "$work/started" 2>&1) || true
  if [ "$said" = started ]; then echo "ok $1: brought to $2"; else echo "not ok $1: brought to $2: $said"; failed=1; fi
}
if [ "${#suites[@]}" -gt 1 ]; then
  own "${suites[0]}" "${suites[-1]}"
  own "${suites[-1]}" "${suites[0]}"
fi
exit $failed
