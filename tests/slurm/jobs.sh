# Jobs, and what they say.

MIB=1048576
# The job's program, on the GPU that Slurm has given. The simulated driver shows all; CUDA_VISIBLE_DEVICES counts those that
# the job can open.
cat >"$work/bin/work" <<'END'
#!/bin/sh
# usage: work MIB OPTIONS...
mib=$1; shift
gpus=${SLURM_STEP_GPUS:-$SLURM_JOB_GPUS}
exec load --device "${gpus%%,*}" --bytes $((mib * 1048576)) "$@"
END
# What a program finds of us.
cat >"$work/bin/show" <<'END'
#!/bin/sh
echo "preload=${LD_PRELOAD:--}"
echo "loaded=$(grep -c 'r-xp.*libnvshare.so' /proc/self/maps)"
echo "shards=${SLURM_SHARDS_ON_NODE:--}"
END
chmod 755 "$work"/bin/*
PATH=$work/bin:$PATH
ours=/usr/lib/nvshare/libnvshare.so
managed="preload=$ours loaded=1"
unmanaged="preload=- loaded=0"

# batch FILE OPTIONS... <<SCRIPT: submits; the job's number. Its output goes to FILE.
batch() { local file=$1; shift; sbatch --parsable -o "$file" "$@"; }
is_over() { ! squeue -h -j "$1" 2>/dev/null | grep -q .; }
over() { waited is_over "$1"; }
state_is() { [ "$(squeue -h -o %T -j "$1" 2>/dev/null)" = "$2" ]; }

# right FILE: the program's last line says that all its data was right.
right() { jq -Rse 'split("\n") | map(fromjson? | select(type == "object" and .steps != null)) | last | .wrong == 0 and .steps > 0' "$1" || { tail -n 5 "$1"; return 1; }; }
refused() { grep -q 'CUDA error 2' "$1" || { tail -n 5 "$1"; return 1; }; }

# known JQ: waits until the scheduler's status is as said.
status_is() { nvsharectl status --json >"$work/status" && jq -e "$1" "$work/status"; }
known() { waited status_is "$1" >/dev/null || { jq -c '.tenants[] | {container, slurm_step, state, limit_bytes, limit_from, weight, priority}' "$work/status"; return 1; }; }
nothing_left() { waited sh -c '[ -z "$(ls -A /run/nvshare-slurm 2>/dev/null)" ]' || { ls -A /run/nvshare-slurm; return 1; }; }
