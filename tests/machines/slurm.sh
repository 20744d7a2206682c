#!/usr/bin/env bash
# A Slurm of one node, this machine, for the tests: slurm.sh start | stop. Needs root and Debian's slurm-wlm and munge.
set -euo pipefail
here=/run/bnrepro-slurm
export SLURM_CONF=$here/slurm.conf

start() {
    mkdir -p $here/state $here/spool /run/munge
    chown munge: /run/munge
    [ -f /etc/munge/munge.key ] || mungekey --create
    if ! pgrep -x munged > /dev/null; then
        runuser -u munge -- munged --pid-file=/run/munge/bnrepro.pid
        cp /run/munge/bnrepro.pid $here/munged.pid
    fi
    cat > $SLURM_CONF << EOF
ClusterName=bnrepro
SlurmctldHost=$(hostname -s)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=20
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldPidFile=$here/slurmctld.pid
SlurmdPidFile=$here/slurmd.pid
SlurmctldLogFile=$here/slurmctld.log
SlurmdLogFile=$here/slurmd.log
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/spool
SlurmctldPort=16817
SlurmdPort=16818
SchedulerParameters=sched_interval=2,requeue_delay=1
NodeName=$(hostname -s) CPUs=$(nproc) State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=60 OverSubscribe=NO
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=9 OverSubscribe=NO
EOF
    slurmctld
    slurmd
    for _ in $(seq 30); do
        [ "$(sinfo -h -p low -o %T 2> /dev/null)" = idle ] && return
        sleep 1
    done
    sinfo >&2
    tail -n 5 $here/slurmctld.log $here/slurmd.log >&2
    exit 1
}

stop() {
    scancel -u root 2> /dev/null || true
    for name in slurmd slurmctld munged; do # those of start alone: this machine may have others
        pid=$(cat $here/$name.pid 2> /dev/null) || continue
        [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = $name ] || continue
        kill "$pid"
        timeout 20 tail --pid="$pid" -f /dev/null || true # it still writes into the folder that goes next
    done
    rm -rf $here
}

case ${1:-} in
    start | stop) "$1" ;;
    *) echo "usage: $0 start|stop" >&2; exit 2 ;;
esac
