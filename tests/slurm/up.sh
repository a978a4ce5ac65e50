#!/usr/bin/env bash
# Start a SLURM of one node on this machine: up.sh FOLDER. As root; needs Debian's slurm-wlm and munge, no systemd.
# All that it writes is in FOLDER, and it uses no usual port or socket, so another SLURM may be there.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
root=$1
host=$(hostname -s)
export SLURM_CONF=$root/slurm.conf

mkdir -p "$root/state" "$root/spool" "$root/munge"
cat >"$SLURM_CONF" <<CONF
ClusterName=daskals
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$root/munge/socket
StateSaveLocation=$root/state
SlurmdSpoolDir=$root/spool
SlurmctldPidFile=$root/slurmctld.pid
SlurmdPidFile=$root/slurmd.pid
SlurmctldLogFile=$root/slurmctld.log
SlurmdLogFile=$root/slurmd.log
# no cgroups and no accounting: cores and memory are shared out, but not watched
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
# jobs of one core share the node, and start without delay
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1024
SchedulerParameters=batch_sched_delay=1,sched_interval=2
# seconds between the request to a job to end, and its end
KillWait=2
ReturnToService=2
# four cores and 8 GB to share out, whatever the machine has
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 Sockets=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=8192 State=UNKNOWN
PartitionName=debug Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF

head -c 1024 /dev/urandom >"$root/munge/key"
chmod 0600 "$root/munge/key"
# --force: a folder that only root enters is right here
munged --force --key-file="$root/munge/key" --socket="$root/munge/socket" --pid-file="$root/munged.pid" \
    --log-file="$root/munged.log" --seed-file="$root/munge/seed"
slurmctld
slurmd
for _ in $(seq 60); do
    if [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ]; then
        exit 0
    fi
    sleep 0.5
done
echo "up.sh: the node did not become idle; sinfo and the ends of the logs:" >&2
sinfo --long >&2 || true
tail -n 15 "$root/slurmctld.log" "$root/slurmd.log" >&2 || true
exit 1
