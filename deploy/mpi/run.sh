#!/usr/bin/env bash
# Fit on a cluster that mpirun starts: rank 0 is the scheduler, the others are workers, this shell runs the client.
# Needs dask-mpi and mpi4py.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: run.sh RANKS RATINGS [options of fit_job.py]

    THREADS=8 MEMORY=28GiB deploy/mpi/run.sh 9 ratings/ --checkpoint-dir /shared/als --model-out /shared/model

9 ranks are a scheduler and 8 workers. From the environment:
  THREADS, MEMORY    of each worker (default: 1 thread; its share of the node's memory)
  LOCAL_DIRECTORY    on a disk of the node itself, for spilling (default: TMPDIR, else /tmp)
  SHARED_DIRECTORY   that all nodes reach, for the file by which ranks find each other (default: the current one)
  MPIRUN             the command (default: mpirun); with options, such as "mpirun --map-by node"
  PYTHON             the interpreter (default: python)
TEXT
}

case "${1:-}" in
    -h | --help) usage; exit 0 ;;
    '' | *[!0-9]*) usage >&2; exit 2 ;;
esac
if [ "$1" -lt 2 ] || [ $# -lt 2 ]; then
    usage >&2
    exit 2
fi
ranks=$1
shift

deploy=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python}
shared=$(mktemp -d "${SHARED_DIRECTORY:-$PWD}/daskals-mpi.XXXXXX")
cluster=

stop() {
    if [ -n "$cluster" ] && kill "$cluster" 2>/dev/null; then
        wait "$cluster" || true
    fi
    rm -rf "$shared"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# MPIRUN may hold options, so it is not quoted
${MPIRUN:-mpirun} -n "$ranks" "$python" -m dask_mpi.cli \
    --scheduler-file "$shared/scheduler.json" --worker-class distributed.Nanny \
    --nthreads "${THREADS:-1}" --memory-limit "${MEMORY:-auto}" \
    --local-directory "${LOCAL_DIRECTORY:-${TMPDIR:-/tmp}}" &
cluster=$!

until [ -s "$shared/scheduler.json" ]; do
    if ! kill -0 "$cluster" 2>/dev/null; then
        echo "run.sh: mpirun ended before there was a scheduler; what it said stands above" >&2
        exit 1
    fi
    sleep 0.2
done

"$python" "$deploy/fit_job.py" --scheduler-file "$shared/scheduler.json" --workers "$((ranks - 1))" "$@"
