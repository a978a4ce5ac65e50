#!/usr/bin/env bash
# Cancel what runs, and stop what `up.sh FOLDER` started: down.sh FOLDER. Only processes named in its pid files.
set -u
PATH=$PATH:/usr/sbin:/sbin
root=$1
export SLURM_CONF=$root/slurm.conf

timeout 10 squeue --noheader --format=%A | xargs --no-run-if-empty timeout 10 scancel
for _ in $(seq 40); do
    [ -z "$(timeout 10 squeue --noheader)" ] && break
    sleep 0.25
done
for daemon in slurmd slurmctld munged; do
    [ -s "$root/$daemon.pid" ] || continue
    pid=$(cat "$root/$daemon.pid")
    kill "$pid" || continue
    for _ in $(seq 40); do
        kill -0 "$pid" 2>/dev/null || continue 2
        sleep 0.25
    done
    kill -KILL "$pid"
done
exit 0
