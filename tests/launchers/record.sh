#!/bin/bash
# Records what launchers tell the processes that they start, for tests/tests/gang_detection.rs. Needs root, and the
# launchers that are to be recorded: Debian's openmpi-bin (mpirun.openmpi), mpich (mpiexec.hydra), slurm-wlm, python3-torch.
# Slurm gets a cluster of its own, of two nodes on this host, which ends with the script.
# usage: record.sh FOLDER: a file for each launcher
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
daemons=()
trap 'kill "${daemons[@]}" 2>/dev/null || true; wait; rm -rf "$work"' EXIT

probe() { python3 "$here/probe.py" "$@"; }
has() { command -v "$1" >/dev/null || { echo "no $1: not recorded" >&2; return 1; }; }
# Variables of whoever runs this script are no launcher's.
for name in $(compgen -e); do
    case $name in PATH | HOME | LANG | LD_LIBRARY_PATH) ;; *) unset "$name" ;; esac
done

record() { # FILE: begins it
    export RECORD=$work/record
    : >"$RECORD"
    record_to=$to/$1.txt
}
recorded() { # the records of one command, in the order of their ranks
    python3 - "$RECORD" "$record_to" "$1" <<'END'
import sys
from pathlib import Path

source, target, begins = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
if begins == "first":
    target.write_text("")
records = ["=== " + part for part in source.read_text().split("=== ")[1:]]
with target.open("a") as out:
    out.writelines(sorted(records, key=lambda one: [one.splitlines()[0], one]))
source.write_text("")
END
}

torchrun=$(command -v torchrun || true)
[ -n "$torchrun" ] || ! python3 -c 'import torch.distributed.run' 2>/dev/null || torchrun="python3 -m torch.distributed.run"
# Debian's torchrun fails without these two, with its Python.
[ -z "$torchrun" ] || torchrun+=" --redirects 1 --tee 1"
if [ -n "$torchrun" ]; then
    record torchrun
    $torchrun --standalone --nproc_per_node=2 "$here/probe.py" one host, standalone
    recorded first
    $torchrun --nproc_per_node=2 --master_port 29511 "$here/probe.py" one host
    recorded next
    for node in 0 1; do
        $torchrun --nnodes=2 --node_rank=$node --nproc_per_node=2 --master_addr 127.0.0.1 --master_port 29512 \
            "$here/probe.py" two hosts & agents[node]=$!
    done
    wait "${agents[@]}"
    recorded next
    $torchrun --standalone --nproc_per_node=1 "$here/probe.py" a job of one
    recorded next
else
    echo "no torchrun: not recorded" >&2
fi

if has mpirun.openmpi; then
    record openmpi
    mpirun.openmpi --allow-run-as-root --oversubscribe -n 2 python3 "$here/probe.py" two ranks
    recorded first
    mpirun.openmpi --allow-run-as-root --oversubscribe -n 1 python3 "$here/probe.py" a job of one
    recorded next
fi

if has mpiexec.hydra; then
    record mpich
    mpiexec.hydra -n 2 python3 "$here/probe.py" two ranks
    recorded first
fi

if has slurmctld; then
    record slurm
    mkdir -p "$work"/{state,spool-n1,spool-n2}
    cat >"$work/slurm.conf" <<END
ClusterName=recording
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmctldPort=16817
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool-%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd-%n.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=bf_interval=1,sched_interval=1
NodeName=n1,n2 NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=[16818-16819] CPUs=4 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
END
    export SLURM_CONF=$work/slurm.conf
    slurmctld -D -f "$SLURM_CONF" >"$work/ctl.txt" 2>&1 & daemons+=($!)
    for node in n1 n2; do
        slurmd -D -N $node -f "$SLURM_CONF" >"$work/$node.txt" 2>&1 & daemons+=($!)
    done
    timeout 60 bash -c 'until [ "$(sinfo -h -t idle -o %D)" = 2 ]; do sleep 0.5; done' ||
        { sinfo; cat "$work"/*.txt "$work"/*.log; exit 1; } >&2
    srun -N 1 -n 2 python3 "$here/probe.py" two tasks on one node
    recorded first
    srun -N 2 -n 3 --distribution=block python3 "$here/probe.py" three tasks on two nodes
    recorded next
    srun -n 1 python3 "$here/probe.py" one task
    recorded next
    cat >"$work/batch" <<END
#!/bin/bash
python3 $here/probe.py the batch script itself
srun -n 2 python3 $here/probe.py a step of two in a job of four
srun -n 1 python3 $here/probe.py a step of one in a job of four
export MASTER_ADDR=n1 MASTER_PORT=29513
srun -n 2 python3 $here/probe.py a step of two that meets as PyTorch does
export WORLD_SIZE=2
srun -n 2 python3 $here/probe.py a step of two that meets as PyTorch does, and says how many there are
END
    sbatch -N 1 -n 4 --export=ALL --output="$work/batch.txt" --wait "$work/batch" >/dev/null || cat "$work/batch.txt" >&2
    recorded next
    if [ -n "$torchrun" ]; then
        srun -N 1 -n 1 $torchrun --standalone --nproc_per_node=2 "$here/probe.py" torchrun in a step of one
        recorded next
    fi
fi
echo "recorded: $(cd "$to" && echo ./*.txt)"
