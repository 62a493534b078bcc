# $1: how many versions are installed now.
# Where Slurm was told of the plugin, it is made anew.
nvshare-ctk slurm refresh
[ "$1" -ne 1 ] || echo "nvshare-slurm: next, sudo nvshare-ctk slurm configure"
exit 0
