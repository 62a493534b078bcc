# Root file systems made on the spot.

# with_libs TREE PROGRAM...: copies programs of this machine and the libraries that they need.
with_libs() {
    local tree=$1 program library; shift
    mkdir -p "$tree"/{usr/bin,usr/lib64,usr/lib,etc,dev,proc,sys,tmp,run,var}
    chmod 1777 "$tree/tmp"
    ln -sfn usr/bin "$tree/bin"; ln -sfn usr/lib "$tree/lib"; ln -sfn usr/lib64 "$tree/lib64"
    for program; do
        cp -L "$program" "$tree/usr/bin/"
        for library in $(ldd "$program" ${NVSHARE_LIBRARY:-} | grep -o '^\s.*' | grep -o '/[^ ]*'); do
            mkdir -p "$tree/usr/$(dirname "${library#/usr}")"
            cp -L "$library" "$tree/usr/${library#/usr}"
        done
    done
    printf 'root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n' >"$tree/etc/passwd"
}

# debian11 TREE: sh, grep and glibc 2.31 of Debian 11, fetched from the archive; a script takes show's place.
debian11() {
    local tree=$1 apt=$work/apt package
    mkdir -p "$apt"/{lists/partial,archives/partial,packages} "$tree"/{dev,proc,sys,tmp,run}
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bullseye main" >"$apt/sources.list"
    local options=(-qq -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists="$apt/lists" -o Dir::State::Status=/dev/null -o Dir::Cache="$apt"
        -o Acquire::Languages=none -o APT::Sandbox::User=root)
    timeout 60 apt-get "${options[@]}" update && (cd "$apt/packages" \
        && timeout 60 apt-get "${options[@]}" download libc6 libgcc-s1 dash grep libpcre3) || return 1
    for package in "$apt"/packages/*.deb; do dpkg -x "$package" "$tree"; done
    rm -rf "$tree"/usr/share
    ln -s dash "$tree/bin/sh"
    cat >"$tree/bin/show" <<'SHOW'
#!/bin/sh
echo "LD_PRELOAD=${LD_PRELOAD:--}"
echo "loaded=$(grep -c 'r-xp.*libnvshare.so' /proc/self/maps)"
SHOW
    chmod 755 "$tree/bin/show"
} >"$work/debian11.log" 2>&1

# thirty_two TREE: the loader of 32-bit programs and one such program, in a copy of the Debian.
thirty_two() {
    local tree=$1 apt=$work/apt32
    mkdir -p "$apt"
    (cd "$apt" && timeout 60 apt-get -qq -o APT::Sandbox::User=root download libc6-i386 && dpkg -x libc6-i386_*.deb .) || return 1
    cp -a "$images/debian" "$tree"
    cp -L "$apt"/lib32/ld-linux.so.2 "$tree/usr/lib/ld-linux.so.2"
    gcc -m32 -nostdlib -fPIC -pie -fno-stack-protector -O1 -Wl,-dynamic-linker,/lib/ld-linux.so.2 \
        -o "$tree/usr/bin/program-32" -xc - <<'PROGRAM'
void _start(void) {
    static const char text[] = "started\n";
    int done;
    __asm__ volatile("int $0x80" : "=a"(done) : "a"(4), "b"(1), "c"(text), "d"(sizeof text - 1) : "memory");
    __asm__ volatile("int $0x80" : : "a"(1), "b"(0));
}
PROGRAM
} >"$work/32.log" 2>&1

make_images() {
    local images=$1
    gcc -O1 -o "$images/show" "$here/show.c"
    gcc -O1 -static -o "$images/show-static" "$here/show.c"
    musl-gcc -O1 -o "$images/show-musl" "$here/show.c"
    ln -sf "$images/show" "$images/show-glibc"

    # A Debian, as far as sh and a few tools go.
    with_libs "$images/debian" /bin/sh /bin/true /bin/cat /bin/ls /bin/sleep /bin/grep /usr/bin/id "$images/show"
    # Nothing but one program and its libraries.
    with_libs "$images/distroless" "$images/show"
    # Nothing but one static program.
    mkdir -p "$images/static"/{dev,proc,sys,etc,bin}
    cp "$images/show-static" "$images/static/bin/show"
    # musl.
    mkdir -p "$images/musl"/{dev,proc,sys,etc,bin,lib,tmp}
    cp "$images/show-musl" "$images/musl/bin/show"
    cp -L /lib/ld-musl-*.so.1 "$images/musl/lib/"
    # glibc and musl in one image; the program is of musl.
    cp -a "$images/debian" "$images/both"
    cp -L /lib/ld-musl-*.so.1 "$images/both/usr/lib/"
    cp "$images/show-musl" "$images/both/usr/bin/show-musl"
    # A glibc whose own text says that it is older than the library needs. It is not run.
    cp -a "$images/distroless" "$images/old"
    local libc; libc=$(find "$images/old/usr" -name libc.so.6)
    sed -i 's/ release version 2\.[0-9]*\./ release version 2.1.\x00/' "$libc"
    cp "$images/show-static" "$images/old/usr/bin/show"
    debian11 "$images/debian11" || rm -rf "$images/debian11"
    thirty_two "$images/32" || rm -rf "$images/32"
    # A program that runs as another user than it is started by.
    cp -a "$images/debian" "$images/setuid"
    chmod u+s "$images/setuid/usr/bin/show"
    # Entries of the image's own.
    cp -a "$images/debian" "$images/preloading"
    gcc -shared -fPIC -o "$images/preloading/usr/lib/libother.so" -xc - <<<'int other_marker(void) { return 2; }'
    echo /usr/lib/libother.so >"$images/preloading/etc/ld.so.preload"
}

# python_image TREE WORLD: a Debian with python3, the stand-in for PyTorch (tests/gpu/rehearsal) and the simulated driver of
# the directory WORLD, and share.py of the documents, which asks for 12 MiB and runs for 5 s.
python_image() {
    local tree=$1 world=$2 python stdlib
    cp -a "$work/images/debian" "$tree"
    python=$(readlink -f /usr/bin/python3)
    stdlib=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    with_libs "$tree" "$python" "$stdlib"/lib-dynload/_ctypes.*.so "$world/load" "$world/libfakecuda.so"
    mv "$tree/usr/bin/$(basename "$python")" "$tree/usr/bin/python-itself"
    ln -s /usr/bin/libfakecuda.so "$tree/usr/lib/libcuda.so.1"
    mkdir -p "$tree$stdlib" "$tree/usr/share/tests/fakecuda" "$tree/usr/share/tests/gpu"
    tar -C "$stdlib" --exclude=__pycache__ --exclude=./test --exclude=./ensurepip --exclude=./idlelib --exclude=./config-\* -c . \
        | tar -C "$tree$stdlib" -x
    cp -r "$here/../gpu/rehearsal" "$tree/usr/share/tests/gpu/"
    cp "$here/../fakecuda/kernels.ptx" "$tree/usr/share/tests/fakecuda/"
    printf '#!/bin/sh\nexport LD_LIBRARY_PATH=/usr/lib %s PYTHONPATH=/usr/share/tests/gpu/rehearsal\nexec python-itself "$@"\n' \
        "${simulated[*]}" >"$tree/usr/bin/python3"
    chmod 755 "$tree/usr/bin/python3"
    share_program "$tree/share.py"
}
# How the simulated card is told from a real one.
simulated=(REHEARSAL_SCALE=1 FAKECUDA_BYTE_SCALE=512 FAKECUDA_TIME_SCALE=25)

# share_program FILE: the documents' program, of a size and length for a test.
share_program() {
    rm -rf "$work/share"
    "$here/../documents/blocks.sh" "$work/share" program
    sed 's/2 \* 2\*\*30/12582912/; s/+ 30/+ 5/' "$work/share/"*.program.python >"$1"
    grep -q '12582912.*cuda' "$1" && grep -q '+ 5' "$1"
}
