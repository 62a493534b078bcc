# youki alone, where somebody has installed it (cargo install youki).
youki_case() {
    command -v youki >/dev/null || { skip "youki" "it is not installed: cargo install youki"; return; }
    . "$here/bundles.sh"
    global=()
    low_level=youki
    . "$here/common-bundles.sh"
}
youki_case
low_level=runc
