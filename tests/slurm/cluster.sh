# A cluster of one node. `only_v2`: a library of only-v2.c for slurmd and slurmstepd.

slurm_files() {
    cat >/etc/slurm/slurm.conf <<END
ClusterName=nvshare
SlurmctldHost=$node
AuthInfo=socket=$work/munge.sock
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/log/slurmctld.log
SlurmdLogFile=$work/log/slurmd.log
JobCompType=jobcomp/filetxt
JobCompLoc=$work/log/jobs
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
GresTypes=gpu,shard
KillWait=2
NodeName=$node CPUs=16 RealMemory=1000 Gres=gpu:2,shard:8 State=UNKNOWN
PartitionName=main Nodes=$node Default=YES State=UP
PartitionName=fast Nodes=$node State=UP
END
    printf 'Name=gpu File=%s/dev/nvidia[0-1]\nName=shard Count=8\n' "$work" >/etc/slurm/gres.conf
    local version=v2
    [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] || version=v1
    printf 'CgroupPlugin=cgroup/%s\nCgroupAutomount=no\nConstrainDevices=yes\n' $version >/etc/slurm/cgroup.conf
    # No systemd runs here to make a scope, nor what the scope lies in.
    [ $version = v1 ] || { echo 'IgnoreSystemd=yes' >>/etc/slurm/cgroup.conf; mkdir -p /sys/fs/cgroup/system.slice; }
}

munge_up() {
    mkdir -p "$work/munge"
    (umask 077; head -c 1024 /dev/urandom >"$work/munge/key")
    munged --force --num-threads=2 --key-file="$work/munge/key" --socket="$work/munge.sock" --pid-file="$work/munge.pid" \
        --log-file="$work/log/munged.log" --seed-file="$work/munge/seed" 2>/dev/null
}

# waited COMMAND...: until it succeeds, for 20 s at most.
waited() {
    local _
    for _ in $(seq 400); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
    "$@"
}
node_is() { sinfo -h -o '%T' | grep -q "$1"; }
slurmd_start() { env ${only_v2:+LD_PRELOAD="$only_v2"} slurmd -N "$node"; }
slurm_up() {
    slurmctld -c && slurmd_start && waited node_is 'idle\|mixed\|allocated'
}
slurmd_down() {
    local pid
    pid=$(cat "$work/slurmd.pid" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null
    waited sh -c "! kill -0 $pid 2>/dev/null"
    rm -f "$work/slurmd.pid"
}
slurm_down() {
    local pid
    [ -e /etc/slurm/slurm.conf ] && [ -e "$work/slurmctld.pid" ] && scancel --state=running,suspended,pending 2>/dev/null
    slurmd_down
    pid=$(cat "$work/slurmctld.pid" 2>/dev/null) && kill "$pid" 2>/dev/null && waited sh -c "! kill -0 $pid 2>/dev/null"
    return 0
}

scheduler_up() {
    nvshare-scheduler --runtime-dir /run/nvshare --config /dev/null --quantum 0.3 2>>"$work/scheduler.log" &
    scheduler=$!
    waited nvsharectl status
}
scheduler_down() { kill "$scheduler"; wait "$scheduler" 2>/dev/null; scheduler=; }
