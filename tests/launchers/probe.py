"""Prints what this process was told by its launcher: one record, in which the variables stand in their order.

An argument is the record's name. Only variables that a launcher sets are shown: others say something of the machine."""

import os
import sys
from pathlib import Path

PREFIXES = ("OMPI_COMM_WORLD_", "PMI_", "MPI_LOCAL", "TORCHELASTIC_R", "GROUP_", "ROLE_", "CROSS_")
NAMES = {
    "MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_SIZE", "NODE_RANK",
    "PMIX_NAMESPACE", "PMIX_RANK", "OMPI_MCA_ess_base_jobid",
    "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS", "SLURM_NNODES",
    "SLURM_NPROCS", "SLURM_TASKS_PER_NODE", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES", "SLURM_STEP_TASKS_PER_NODE",
}  # fmt: skip


def is_a_launchers(name):
    return name in NAMES or name.startswith(PREFIXES) and not name.endswith(("_FD", "_PORT"))


def main():
    name = " ".join(sys.argv[1:])
    host = os.uname().nodename
    lines = [f"=== {name}"]
    lines += [f"{key}={value.replace(host, 'host')}" for key, value in sorted(os.environ.items()) if is_a_launchers(key)]
    # One write, so that the records of processes that run at the same time do not mix.
    with Path(os.environ["RECORD"]).open("a") as record:
        record.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
