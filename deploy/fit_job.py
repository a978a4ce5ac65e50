"""Fit ratings that stand in files, on whatever Dask runs on here: what all ways of deployment share.

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
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
from dask.utils import parse_timedelta
from distributed import Client

from daskals import ALS, ALSModel
from daskals.evaluation import RegressionEvaluator

logger = logging.getLogger("daskals.deploy")

#: How the names of files end that hold user, item, rating, timestamp between tabs, without a line of names.
MOVIELENS = (".base", ".test", ".data", ".tsv")
#: Bytes of text in a partition. Dask's own choice differs between machines.
BLOCK = "64MB"


# ---- command line ----------------------------------------------------------------------------------------


def add_fit_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what to fit; the same in all scripts."""
    parser.add_argument(
        "ratings",
        metavar="RATINGS",
        help="file, folder or URL: *.csv with a line of column names (a pattern such as 'ratings/*.csv' works); "
        f"*{', *'.join(MOVIELENS)} as published by MovieLens; anything else is Parquet",
    )
    parser.add_argument("--user", default="user", metavar="COL", help="column of users (default: user)")
    parser.add_argument("--item", default="item", metavar="COL", help="column of items (default: item)")
    parser.add_argument("--rating", default="rating", metavar="COL", help="column of ratings (default: rating)")
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
    name, _, value = text.partition("=")
    try:
        of_text = isinstance(ALS().getParam(name).default, str | None)
    except ValueError as error:  # names those there are
        raise argparse.ArgumentTypeError(str(error)) from None
    try:
        return name, value if of_text else json.loads(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: the value must be a number, true or false") from None


def checkpoint_dir(options: argparse.Namespace) -> str | None:
    """The folder of checkpoints that is in force."""
    folder: str | None = options.checkpoint_dir or dask.config.get("daskals.checkpoint-dir")
    return folder


def show_progress() -> None:
    """A line on stderr for each iteration, each checkpoint, and each worker that goes or comes."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("daskals").setLevel(logging.INFO)


# ---- workers ---------------------------------------------------------------------------------------------


def wait_for_workers(client: Client, number: int, patience: float | None) -> None:
    """Wait for so many worker processes. The fit divides the ratings by the threads that there are when it starts."""
    logger.info("waiting for %d worker processes", number)
    try:
        client.wait_for_workers(number, timeout=patience)
    except TimeoutError:
        raise TimeoutError(
            f"{len(client.nthreads())} of {number} worker processes came within {patience:.0f} s. Look at the queue, "
            "and at the logs of the workers: a wrong network interface, a Python without daskals, and a full queue "
            "are the usual reasons."
        ) from None


class Attendance:
    """Counts the workers that leave and come inside a with block, and says so."""

    def __init__(self, client: Client) -> None:
        self._client = client
        #: worker processes: at the start, lost since, come since
        self.counts = {"start": len(client.nthreads()), "lost": 0, "came": 0}

    def __enter__(self) -> "Attendance":
        self._client.subscribe_topic("all", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        # else the scheduler writes a traceback when the client leaves: it tells a client of its own departure
        self._client.unsubscribe_topic("all")

    def _note(self, event: tuple[float, Any]) -> None:
        _, message = event
        action = message.get("action") if isinstance(message, dict) else None
        for known, word in (("remove-worker", "lost"), ("add-worker", "came")):
            if action == known:
                self.counts[word] += 1
                logger.info("worker %s %s", message["worker"], word)


# ---- the fit ---------------------------------------------------------------------------------------------


def run(options: argparse.Namespace, client: Client | None = None) -> dict[str, Any]:
    """Read, fit, save, measure. ``client`` is current, or None where there is no cluster.

    Returns rank, iterations, trainingRmse (preferenceRmse of implicit fits), seconds (of the fit, reading included),
    and where they were asked for rmse (on the test ratings whose user and item are known) and model; on a cluster also
    workers: see `Attendance`.
    """
    # all that can be wrong with the arguments shows now, not after a night
    als = estimator(options)
    als.validate()
    ratings = read_ratings(options.ratings, options)
    test = read_ratings(options.evaluate, options) if options.evaluate else None
    if options.model_out and "://" not in options.model_out:
        Path(options.model_out).absolute().parent.mkdir(parents=True, exist_ok=True)

    with Attendance(client) if client else nullcontext() as attendance:
        start = time.monotonic()
        model = als.fit(ratings, resume=checkpoint_dir(options) is not None)
        report = {"rank": model.rank, **last_iteration(model), "seconds": round(time.monotonic() - start, 2)}
        if options.model_out:
            model.write().overwrite().save(options.model_out)
            report["model"] = options.model_out
        if test is not None:
            report["rmse"] = RegressionEvaluator(labelCol=options.rating).evaluate(model.transform(test))
        if attendance:
            report["workers"] = attendance.counts
    return report


def estimator(options: argparse.Namespace) -> ALS:
    """The estimator that the arguments describe."""
    folder = checkpoint_dir(options)
    named = {
        "rank": options.rank,
        "maxIter": options.max_iter,
        "seed": options.seed,
        "checkpointDir": folder,
        "checkpointInterval": options.checkpoint_interval if folder else None,
        "userCol": options.user,
        "itemCol": options.item,
        "ratingCol": options.rating,
    }
    given = {name: value for name, value in named.items() if value is not None}
    return ALS(**{"coldStartStrategy": "drop", **dict(options.set), **given})


def read_ratings(source: str, options: argparse.Namespace) -> dd.DataFrame:
    """A lazy frame of the ratings in a file, a folder, or at a URL."""
    columns = [options.user, options.item, options.rating]
    # were ratings not declared, dask would take whole numbers at the head of a file for integers all through
    if source.endswith(".csv"):
        return dd.read_csv(source, dtype={options.rating: "float64"}, blocksize=BLOCK)
    if source.endswith(MOVIELENS):
        dtypes = dict(zip(columns, ("int64", "int64", "float64"), strict=True))
        return dd.read_csv(
            source, sep="\t", header=None, names=[*columns, "timestamp"], dtype=dtypes, blocksize=BLOCK
        )  # fmt: skip
    return dd.read_parquet(source)


def last_iteration(model: ALSModel) -> dict[str, Any]:
    """How many iterations there were, and the error after the last: of ratings, or of preferences in implicit fits."""
    history = model.history
    error, name = ("rmse", "trainingRmse") if "rmse" in history else ("preferenceRmse", "preferenceRmse")
    if history.empty:
        return {"iterations": 0, name: None}
    return {"iterations": int(history["iteration"].iloc[-1]), name: float(history[error].iloc[-1])}


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
