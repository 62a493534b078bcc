#!/bin/bash
# Jobs whose processes wait for each other inside their kernels, and do not fit together. On one GPU: two jobs of two processes
# of 6 GiB on 16 GiB, as gangs, and as if nobody knew. Then, where there are two GPUs:
# Jobs of two processes on two GPUs (torchrun, NCCL): products over 12 GiB a process and an all-reduce of 256 MiB. Two jobs at
# the same time, natively and under nvshare where they fit; then on 16 GiB a GPU, where they do not, with the quantum auto and
# 2 s. Then a job of two processes on one GPU (gloo) beside another tenant, and two jobs that do not say that they are ones.
# What it must show: in turns >= 95 % of one alone in sum with the quantum auto; no stall longer than a turn and a second;
# where they fit >= 97 % of native; results right.
# Expected: 80 s, on two GPUs 380 s. Settings: SECONDS_EACH (60).
unset CUDA_VISIBLE_DEVICES
. "$(dirname "$0")/../lib/common.sh"
need_free 40
gpus=$(nvidia-smi -L | grep -c '^GPU ')
seconds=${SECONDS_EACH:-60}
# NVLink multicast stays off: it can put GPUs that others use out of service.
export NVSHARE_GANG=auto NVSHARE_LOG=warn NCCL_NVLS_ENABLE=0 TORCH_SYMM_MEM_DISABLE_MULTICAST=1 NVSHMEM_DISABLE_NVLS=1 OMP_NUM_THREADS=1
port=29600 pids=()
# usage: job NAME GIB SECONDS "WORDS" [shared]: in the background
job() { # shellcheck disable=SC2086
  port=$((port + 1))
  "${@:5}" python3 -m torch.distributed.run --nproc-per-node 2 --master-port "$port" "$loads/job_steps.py" "$2" "$3" "$out/$1.json" $4 >"$out/$1.log" 2>&1 & pids+=($!)
}
all_end() { local pid; for pid in "${pids[@]}"; do wait "$pid" || true; done; pids=(); }
# usage: two NAME GIB SECONDS [shared]
two() { job "$1-1" "$2" "$3" '' "${@:4}"; job "$1-2" "$2" "$3" '' "${@:4}"; all_end; }

# In memory: a driver pins no pages of a disk's file.
meet=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$meet"; cleanup' EXIT
# usage: ranks NAME SECONDS GANG [SIZE]: two processes on the first GPU that meet inside their kernels, in the background, with
# a parent and a process group of their own. SIZE: how many a launcher would have told them that they are.
ranks() {
  set -m
  (
    for rank in 0 1; do
      shared env NVSHARE_GANG="$3" ${4:+OMPI_COMM_WORLD_SIZE="$4" OMPI_COMM_WORLD_LOCAL_SIZE="$4"} \
        "$built/rank" --device 0 --rank $rank --ranks 2 --meet "$meet/$1" --bytes "$(bytes_of 6)" --seconds "$2" >"$out/$1-$rank.txt" 2>"$out/$1-$rank.log" &
    done
    wait
  ) & pids+=($!)
  set +m
}
world 16GiB $'quantum = 2\ngangs = true'
ranks one-alone 8 a; all_end
ranks one-gang-1 24 a 2; ranks one-gang-2 24 b 2; all_end
stop_scheduler
cp "$out/scheduler.log" "$out/one-scheduler.log"
world 16GiB $'quantum = 2\ngangs = true'
# Nothing says that they are jobs: the scheduler learns it after ten seconds.
ranks one-unknown-1 30 off; ranks one-unknown-2 30 off; all_end
stop_scheduler
if [ "$gpus" -lt 2 ]; then
  python3 "$scripts/gangs.py" "$out" "$(machine)" one
  exit
fi
job native 12 12 ''; all_end
two native-both 12 15
world auto 'gangs = true'
job alone 12 12 '' shared; all_end
two fit 12 15 shared
stop_scheduler
# The limit counts what the programs allocate; NCCL's buffers come on top.
world 16GiB $'quantum = "auto"\ngangs = true'
two auto 12 "$seconds" shared
ctl trace --output "$out/trace-auto.json" >&2
stop_scheduler
world 16GiB $'quantum = 2\ngangs = true'
two short 12 "$((seconds / 2))" shared
ctl status --json >"$out/status.json"
job pair 6 20 'backend=gloo device=0' shared
block beside shared python3 "$loads/torch_steps.py" 12 20 0 & pids+=($!)
all_end
NVSHARE_GANG=off two unknown 12 20 shared
stop_scheduler
cp "$out/scheduler.log" "$out/gangs-scheduler.log"
python3 "$scripts/gangs.py" "$out" "$(machine)" two
