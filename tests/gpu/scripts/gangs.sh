#!/bin/bash
# Jobs whose processes wait for each other inside their kernels, and do not fit together.
# Part `one`, on one GPU: two jobs of two processes of 6 GiB on 16 GiB, as gangs, and as if nobody knew.
# Part `two`, on two GPUs: jobs of two processes (torchrun, NCCL) with products over 12 GiB a process and an all-reduce of
# 256 MiB. One job and two at the same time, natively and under nvshare where they fit; then on 16 GiB a GPU, where they do
# not, with the quantum auto and 2 s. Then a job of two processes on one GPU (gloo) beside another tenant, and two jobs that
# do not say that they are ones.
# Part `models`, on two GPUs: a tensor-parallel model on both beside a job of one, and DDP with a DataLoader beside another.
# What it must show: in turns >= 95 % of one alone in sum with the quantum auto; no stall longer than a turn and a second;
# where they fit >= 97 % of native; results right. A job that hangs is ended, told of, and the rest goes on.
# Expected: one 70 s, two 250 s, models 90 s; what does not fit into 75, 260 and 130 s is left out. Settings: PARTS ("one",
# on two GPUs "one two models"); ONE_SECONDS (16), SECONDS_EACH (40), MODELS_SECONDS (14).
unset CUDA_VISIBLE_DEVICES
. "$(dirname "$0")/../lib/common.sh"
need_free 40
gpus=$(nvidia-smi -L | grep -c '^GPU ')
parts=${PARTS:-one} one=${ONE_SECONDS:-16} each=${SECONDS_EACH:-40} models=${MODELS_SECONDS:-14}
[ -n "${PARTS:-}" ] || [ "$gpus" -lt 2 ] || parts='one two models'
# NVLink multicast stays off: it can put GPUs that others use out of service.
export NVSHARE_GANG=auto NVSHARE_LOG=warn NCCL_NVLS_ENABLE=0 TORCH_SYMM_MEM_DISABLE_MULTICAST=1 NVSHMEM_DISABLE_NVLS=1 OMP_NUM_THREADS=1
torchrun=(python3 -m torch.distributed.run)
[ -z "${NVSHARE_TEST_DRIVER:-}" ] || torchrun=(python3 "$gpu_tests/rehearsal/torchrun.py" "$built/rank" "$scale")
# What a job may take beyond its seconds: to start, to wait for its turns, and to end.
rank_grace=15 job_grace=35
port=29600 pids=() hung=$out/hung.txt
: >"$hung"

# usage: begin_part NAME SECONDS GIB SECONDS: of the part, and for touching so much of the host's memory, which may grow only
# as it is used
begin_part() {
  part=$1 part_ends=$((SECONDS + $2))
  local imported=''
  [ "$part" = one ] || { python3 -c 'import torch.distributed' 2>/dev/null & imported=$!; }
  python3 "$scripts/machine_warm.py" "$3" "$4" "$scale"
  [ -z "$imported" ] || wait $imported || true
}
# usage: has_time SECONDS NAME: whether there is time left for what takes so long
has_time() {
  [ $((part_ends - SECONDS)) -ge "$1" ] || { echo "$2: left out, part \"$part\" has no time left" >>"$hung"; return 1; }
}
# usage: bounded NAME SECONDS COMMAND...: in the background; ends it with all that it has started
bounded() {
  { code=0; timeout -k 3 "$2" "${@:3}" || code=$?; [ $code -lt 124 ] || echo "$1: hung, ended after $2 s" >>"$hung"; } & pids+=($!)
}
all_end() { local pid; for pid in "${pids[@]}"; do wait "$pid" || true; done; pids=(); }
# usage: job NAME SECONDS "PROGRAM WORDS" [COMMAND...]: a job of two processes, under COMMAND
job() {
  port=$((port + 1))
  # shellcheck disable=SC2016,SC2086
  bounded "$1" $(($2 + job_grace)) bash -c 'log=$1; shift; exec "$@" >"$log" 2>&1' job "$out/$1.log" "${@:4}" \
    "${torchrun[@]}" --nproc-per-node 2 --master-port "$port" $3 "out=$out/$1.json" "seconds=$2" "bound=$(($2 + job_grace))"
}
tenant=(env LD_PRELOAD="$built/libnvshare.so" NVSHARE_SOCKET="$runtime/tenants/scheduler.sock")
steps="$loads/job_steps.py"
# usage: pair_of NAME SECONDS WORDS [COMMAND...]: two jobs at the same time
pair_of() {
  has_time $(($2 + 12)) "$1" || return 0
  job "$1-1" "$2" "$3" "${@:4}"; job "$1-2" "$2" "$3" "${@:4}"; all_end
}
# usage: alone NAME SECONDS WORDS [COMMAND...]
alone() { has_time $(($2 + 12)) "$1" || return 0; job "$@"; all_end; }
# usage: beside NAME GIB SECONDS DEVICE: a tenant of one process, in the background
beside() {
  # shellcheck disable=SC2016
  bounded "$1" $(($3 + job_grace)) bash -c 'to=$1; shift; exec "$@" >"$to.json" 2>"$to.log"' beside "$out/$1" "${tenant[@]}" \
    python3 "$loads/torch_steps.py" "$2" "$3" "$4"
}

# In memory: a driver pins no pages of a disk's file.
meet=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$meet"; cleanup' EXIT
# usage: ranks NAME SECONDS [VARIABLE=VALUE...]: two processes on the first GPU that meet inside their kernels, in the
# background, with a parent and a process group of their own
ranks() {
  # shellcheck disable=SC2016
  bounded "$1" $(($2 + rank_grace)) "${tenant[@]}" env "${@:3}" bash -c '
    for rank in 0 1; do
      "$1" --device 0 --rank $rank --ranks 2 --meet "$2" --bytes "$3" --seconds "$4" >"$5-$rank.txt" 2>"$5-$rank.log" &
    done
    wait' ranks "$built/rank" "$meet/$1" "$(bytes_of 6)" "$2" "$out/$1"
}
# What mpirun would have told the processes of a job NAME.
launched() { echo "NVSHARE_GANG=$1 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_SIZE=2"; }
# usage: end_world NAME: its scheduler's log
end_world() { stop_scheduler; mv "$out/scheduler.log" "$out/$1-scheduler.log"; }

part_one() {
  begin_part one 75 26 10
  world "$(usable 16)" $'quantum = 2\ngangs = true'
  # shellcheck disable=SC2046
  if has_time 8 one-alone; then ranks one-alone 5 $(launched a); all_end; fi
  # shellcheck disable=SC2046
  if has_time $((one + 4)) one-gang; then ranks one-gang-1 "$one" $(launched a); ranks one-gang-2 "$one" $(launched b); all_end; fi
  end_world one
  world "$(usable 16)" $'quantum = 2\ngangs = true'
  # Nothing says that they are jobs: the scheduler learns it after ten seconds.
  if has_time $((one + 8)) one-unknown; then
    ranks one-unknown-1 $((one + 4)) -u NVSHARE_GANG; ranks one-unknown-2 $((one + 4)) -u NVSHARE_GANG; all_end
  fi
  end_world one-unknown
}
part_two() {
  begin_part two 260 56 22
  alone native 7 "$steps gib=12"
  pair_of native-both 9 "$steps gib=12"
  # Each has a turn for itself before they run beside each other: not a long one.
  world auto $'quantum = 1\ngangs = true'
  alone alone 7 "$steps gib=12" "${tenant[@]}"
  pair_of fit 13 "$steps gib=12" "${tenant[@]}"
  ctl trace --output "$out/trace-fit.json" >&2
  end_world two-fit
  # The limit counts what the programs allocate; NCCL's buffers come on top.
  world "$(usable 16)" $'quantum = "auto"\ngangs = true'
  pair_of auto "$each" "$steps gib=12" "${tenant[@]}"
  ctl trace --output "$out/trace-auto.json" >&2
  end_world two-auto
  world "$(usable 16)" $'quantum = 2\ngangs = true'
  pair_of short $((each / 2)) "$steps gib=12" "${tenant[@]}"
  ctl status --json >"$out/status.json"
  if has_time 26 pair; then
    beside beside 12 14 0
    job pair 14 "$steps gib=6 backend=gloo device=0" "${tenant[@]}"; all_end
  fi
  end_world two-short
  world "$(usable 16)" $'quantum = 2\ngangs = true'
  pair_of unknown 26 "$steps gib=12" "${tenant[@]}" env -u NVSHARE_GANG
  end_world two-unknown
}
part_models() {
  begin_part models 130 48 20
  world "$(usable 16)" $'quantum = 2\ngangs = true'
  alone parallel-alone 6 "$loads/job_tensor_parallel.py gib=12" "${tenant[@]}"
  if has_time $((models + 12)) parallel; then
    beside parallel-beside 12 "$models" 1
    job parallel "$models" "$loads/job_tensor_parallel.py gib=12" "${tenant[@]}"; all_end
  fi
  pair_of ddp "$models" "$loads/job_ddp.py gib=10" "${tenant[@]}"
  end_world models
}
shown=()
for name in $parts; do
  case $name in
  one) ;;
  two | models) [ "$gpus" -ge 2 ] || { echo "part \"$name\" needs two GPUs; there are $gpus" >&2; exit 3; } ;;
  *) echo "no such part: $name; there are one, two and models" >&2; exit 2 ;;
  esac
  shown+=("$name")
  "part_$name"
done
python3 "$scripts/gangs.py" "$out" "$(machine)" "$gpus" "${shown[@]}"
