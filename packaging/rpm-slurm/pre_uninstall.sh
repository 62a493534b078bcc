# $1: how many versions will be left.
[ "$1" -ne 0 ] || nvshare-ctk slurm unconfigure
exit 0
