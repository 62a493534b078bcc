# What the packages hold, looked at without installing them.

same_bytes() { cmp "$1" "$dist/again/$(basename "$1")"; }

# Every program has a page, and no page has a mistake.
pages() {
    local program page
    for program in "$unpacked"/usr/bin/*; do
        [ -e "$unpacked/usr/share/man/man8/$(basename "$program").8.gz" ] || { echo "no page of $program"; return 1; }
    done
    for page in "$unpacked"/usr/share/man/man*/*; do
        zcat "$page" | mandoc -Tlint -W error || return 1
    done
}

shells() {
    local name
    for name in nvshare-scheduler nvsharectl nvshare-ctk; do
        bash -c ". '$unpacked/usr/share/bash-completion/completions/$name' && complete -p $name" || return 1
        zsh -n "$unpacked/usr/share/zsh/vendor-completions/_$name" || return 1
        fish -n "$unpacked/usr/share/fish/vendor_completions.d/$name.fish" || return 1
    done
}

# No file names a directory of the machine that built it.
nothing_of_the_builder() {
    local place
    for place in "$target" "$(realpath "$here/../..")" "${CARGO_HOME:-$HOME/.cargo}"; do
        ! grep -rlF "$place" "$unpacked" || { echo "names $place"; return 1; }
    done
}

floors() {
    local program
    "$here/../tools/check-floor.sh" "$unpacked/usr/lib/nvshare/libnvshare.so" || return 1
    for program in "$unpacked"/usr/bin/*; do "$here/../tools/check-floor.sh" "$program" 2.28 || return 1; done
}

# Both hold the same, but for what one of the two distributions has elsewhere.
same_files() {
    local elsewhere='^(usr/share/(doc|licenses)/|usr/share/zsh/|usr/lib/systemd/system-preset/)'
    diff <(cd "$unpacked" && find . -type f | sed 's|^\./||' | grep -vE "$elsewhere" | sort) \
        <(rpm -qpl "$rpm" | sed 's|^/||' | grep -vE "$elsewhere" | sort)
}

# Both have the documents for people, the dashboard and the alert rules.
documents() {
    local file there; there=$(rpm -qpl "$rpm")
    for file in $(cd "$here/../../docs" && ls guide/*.md reference/*.md) grafana-dashboard.json prometheus-alerts.yml; do
        [ -s "$unpacked/usr/share/doc/nvshare/$file" ] && grep -qx "/usr/share/doc/nvshare/$file" <<<"$there" || { echo "no $file"; return 1; }
    done
}

# links: every link of an installed document to another one leads to it.
links() {
    local place=$unpacked/usr/share/doc/nvshare file link seen=0
    while IFS=: read -r file link; do
        link=${link#](} link=${link%)} link=${link%%#*}
        case $link in *://* | '') continue ;; esac
        seen=$((seen + 1))
        [ -e "$(dirname "$file")/$link" ] || { echo "${file#"$place"/}: $link"; return 1; }
    done < <(grep -roE '\]\([^)]+\)' "$place" --include='*.md')
    [ $seen -gt 30 ] || { echo "only $seen links"; return 1; }
}

config_is_kept() { rpm -qp --qf '[%{FILENAMES} %{FILEFLAGS:fflags}\n]' "$rpm" | grep -x '/etc/nvshare/config.toml cn'; }

# The plugin for Slurm: one file, which no Slurm loads as it is.
slurm_files() {
    has "$(dpkg-deb -c "$slurm_deb" | awk '$1 !~ /^d/ { print $6 }')" ./usr/lib/nvshare/nvshare_spank.so.in || return 1
    rpm -qpl "$slurm_rpm" | grep -x /usr/lib/nvshare/nvshare_spank.so.in
}
slurm_floor() {
    local plugin=$work/slurm/usr/lib/nvshare/nvshare_spank.so.in
    dpkg-deb -x "$slurm_deb" "$work/slurm" && "$here/../tools/check-floor.sh" "$plugin" 2.28 \
        && ! grep -F "$(realpath "$here/../..")" "$plugin"
}
# As Slurm loads and unloads it.
slurm_works() { NVSHARE_SLURM_DEB=$slurm_deb NVSHARE_WORLD=$world bash "$here/../slurm/run.sh" setup package; }

contents_case() {
    unpacked=$work/unpacked
    dpkg-deb -x "$deb" "$unpacked"
    check "the same binaries give the same .deb" same_bytes "$deb"
    check "the same binaries give the same .rpm" same_bytes "$rpm"
    check "lintian finds no error" lintian --allow-root --fail-on error "$deb" "$slurm_deb"
    check "nvshare-slurm: the same binaries give the same .deb" same_bytes "$slurm_deb"
    check "nvshare-slurm: the same binaries give the same .rpm" same_bytes "$slurm_rpm"
    check "nvshare-slurm: the .rpm is whole" rpm -K --nosignature "$slurm_rpm"
    check "nvshare-slurm: both packages hold the plugin" slurm_files
    check "nvshare-slurm: it keeps to its glibc and names no directory of its builder" slurm_floor
    check "nvshare-slurm: installed, used and removed beside a real Slurm" slurm_works
    check "the .rpm is whole" rpm -K --nosignature "$rpm"
    check "both packages hold the same files" same_files
    check "the .rpm leaves a changed config.toml alone" config_is_kept
    check "every program has a page, and no page has a mistake" pages
    check "both packages hold the documents, the dashboard and the alert rules" documents
    check "their links lead somewhere" links
    check "nvshare(7) is there" test -s "$unpacked/usr/share/man/man7/nvshare.7.gz"
    check "shells can read the completions" shells
    check "the programs keep to their glibc" floors
    check "nothing names a directory of its builder" nothing_of_the_builder
    check "the licences of the crates are there" grep -q 'minicbor ' <(zcat "$unpacked/usr/share/doc/nvshare/third-party.txt.gz")
}
