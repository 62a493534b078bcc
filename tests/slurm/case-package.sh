# The package nvshare-slurm of NVSHARE_SLURM_DEB: configured, used, removed.
package_case() {
    [ -n "${NVSHARE_SLURM_DEB:-}" ] || { skip "package" "NVSHARE_SLURM_DEB names none"; return; }
    nvshare-ctk slurm unconfigure >/dev/null 2>&1
    rm -f /usr/lib/nvshare/nvshare_spank.so.in
    check "package: it installs" dpkg -i --force-depends "$NVSHARE_SLURM_DEB"
    check "... and changes nothing of Slurm's" diff -r "$work/slurm-before" /etc/slurm
    shows "... so that jobs are left alone" "$unmanaged" srun -n1 --gres=shard:1 show
    check "package: configure" nvshare-ctk slurm configure --mem-per-shard 96
    shows "package: a job with shards is managed" "$managed" srun -n1 --gres=shard:1 show
    echo old >/usr/lib/nvshare/nvshare_spank.so
    check "package: an upgrade leaves what is not ours alone" sh -c "dpkg -i --force-depends '$NVSHARE_SLURM_DEB' && grep -x old /usr/lib/nvshare/nvshare_spank.so"
    nvshare-ctk slurm configure --slurm-version 19.05.1 --mem-per-shard 96 >/dev/null 2>&1
    check "package: an upgrade" dpkg -i --force-depends "$NVSHARE_SLURM_DEB"
    shows "... makes the plugin anew for the Slurm that is installed" "$managed" srun -n1 --gres=shard:1 show
    check "package: it is removed" dpkg -r "nvshare-slurm"
    check "... and Slurm's files are as they were" diff -r "$work/slurm-before" /etc/slurm
    check "... and nothing of the plugin is left" sh -c "! ls /usr/lib/nvshare/nvshare_spank* /usr/share/doc/nvshare-slurm 2>/dev/null"
    shows "... and jobs run" "$unmanaged" srun -n1 --gres=shard:1 show
}
package_case
