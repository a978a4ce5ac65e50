"""Fit ratings that stand in files, on whatever Dask runs on here: what all ways of deployment share.

The work is that of the command ``daskals fit`` (`daskals.cli.fitting`); this script adds a log of progress, and the
arguments that the scripts of queues share.

    python deploy/fit_job.py ratings.csv --model-out model                       # threads of this process
    python deploy/local.py -- deploy/fit_job.py ratings.csv --model-out model    # a cluster on this machine
    python deploy/fit_job.py ratings/ --scheduler-file scheduler.json ...        # a cluster that is there

The cluster is the one of --scheduler-file, else the one that the environment variable DASK_SCHEDULER_ADDRESS names.
All its workers must reach the files under the same path or URL. With a folder for checkpoints (--checkpoint-dir, or
daskals.checkpoint-dir in Dask's configuration) a fit always goes on from the newest checkpoint of the same ratings
and parameters: after whatever stopped it, run the same command again. The last line on stdout is a JSON object.
"""

import os

# Dask runs a task on each core. A BLAS that starts threads of its own in each task makes all of them wait for each
# other; it reads this when NumPy is imported. (Workers behind a nanny have it from Dask.)
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client

from daskals import ALS
from daskals.cli import fitting
from daskals.cli.reading import Reading, read_ratings
from daskals.cli.workers import wait_for_workers

#: Columns, for those who do not name them; names of a file without names.
NAMES = ("user", "item", "rating")


# ---- command line ----------------------------------------------------------------------------------------


def add_fit_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what to fit; the same in all scripts."""
    parser.add_argument(
        "ratings",
        metavar="RATINGS",
        help="file, folder, pattern such as 'ratings/*.csv', or URL: CSV, TSV, ::, JSON lines or Parquet, as "
        "'daskals fit' reads them; separator and line of names are found out",
    )
    for name in NAMES:
        parser.add_argument(
            f"--{name}", f"--{name}-col", metavar="COL", help=f"column of {name}s, by name or number (default: guessed)"
        )
    parser.add_argument("--rank", type=int, metavar="N", help="number of factors (default: that of ALS)")
    parser.add_argument("--max-iter", type=int, metavar="N", help="number of iterations (default: that of ALS)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the start values (default: that of ALS)")
    parser.add_argument(
        "--set",
        type=parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other parameter of ALS, such as regParam=0.05, implicitPrefs=true, solver=cg; may be repeated",
    )
    parser.add_argument("--checkpoint-dir", metavar="DIR", help="folder or URL for checkpoints, which workers reach")
    parser.add_argument(
        "--checkpoint-interval", type=positive, default=5, metavar="N", help="iterations between them (default: 5)"
    )
    parser.add_argument("--model-out", metavar="DIR", help="where the model goes; one that is there is replaced")
    parser.add_argument("--evaluate", metavar="TEST", help="ratings, in a form as above, to measure the error with")
    parser.add_argument(
        "--patience",
        type=seconds,
        metavar="TIME",
        help="give up when the workers have not come after so long, such as 2h (default: wait for ever)",
    )


def positive(text: str) -> int:
    """A number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def seconds(text: str) -> float:
    """A time with a unit, in seconds, for argparse."""
    try:
        return float(parse_timedelta(text))
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write it as 90s, 30m or 2h") from None


def parameter(text: str) -> tuple[str, Any]:
    """The name and the value, of the type that ALS wants, in NAME=VALUE; for argparse."""
    try:
        return fitting.set_parameter(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def checkpoint_dir(options: argparse.Namespace) -> str | None:
    """The folder of checkpoints that is in force."""
    return fitting.checkpoint_dir(options.checkpoint_dir)


def show_progress() -> None:
    """A line on stderr for each iteration, each checkpoint, and each worker that goes or comes."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("daskals").setLevel(logging.INFO)


# ---- the fit ---------------------------------------------------------------------------------------------


def run(options: argparse.Namespace, client: Client | None = None) -> dict[str, Any]:
    """Read, fit, save, measure: `daskals.cli.fitting.run`. ``client`` is current, or None where there is no cluster.

    Returns rank, iterations, trainingRmse (preferenceRmse of implicit fits), seconds (of the fit, reading included),
    and where they were asked for rmse (on the test ratings whose user and item are known) and model; on a cluster also
    workers, by `daskals.cli.workers.Attendance`.
    """
    estimator(options, NAMES)  # all that can be wrong with the arguments shows now, not after a night
    reading = Reading(options.user, options.item, options.rating)
    ratings = read_ratings(options.ratings, reading)
    als = estimator(options, (ratings.user, ratings.item, ratings.rating or ""))
    test = None
    if options.evaluate:
        held_out = read_ratings(options.evaluate, reading, prefer=(ratings.user, ratings.item))
        test = held_out.called(ratings.user, ratings.item)
    order = fitting.Order(als, options.model_out, overwrite=True, resume=checkpoint_dir(options) is not None)
    return fitting.run(order, ratings, test, client)[1]


def estimator(options: argparse.Namespace, columns: tuple[str, str, str]) -> ALS:
    """The estimator that the arguments describe, for these columns of users, items and ratings."""
    folder = checkpoint_dir(options)
    user, item, rating = columns
    given = {
        "rank": options.rank,
        "maxIter": options.max_iter,
        "seed": options.seed,
        "checkpointDir": folder,
        "checkpointInterval": options.checkpoint_interval if folder else None,
        "userCol": user,
        "itemCol": item,
        "ratingCol": rating,
    }
    return fitting.estimator(given, [("coldStartStrategy", "drop"), *options.set])


# ---- as a script -----------------------------------------------------------------------------------------


def client_of(options: argparse.Namespace) -> AbstractContextManager[Client | None]:
    """A client of the cluster that is meant; None where none is."""
    if options.scheduler_file:
        return Client(scheduler_file=options.scheduler_file)
    if dask.config.get("scheduler-address", None):  # set by DASK_SCHEDULER_ADDRESS
        return Client()
    return nullcontext()


def parser() -> argparse.ArgumentParser:
    """The command line of this script."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_fit_arguments(words)
    words.add_argument("--scheduler-file", metavar="FILE", help="written by the scheduler of the cluster to use")
    words.add_argument(
        "--workers", type=positive, default=1, metavar="N", help="worker processes to wait for (default: 1)"
    )
    return words


def main() -> None:
    """Fit on a cluster that somebody else started, or on threads."""
    options = parser().parse_args()
    show_progress()
    with client_of(options) as client:
        if client:
            wait_for_workers(client, options.workers, options.patience)
        report = run(options, client)
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
