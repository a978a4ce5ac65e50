"""`plan`: what a fit will need, before it runs."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from distributed import Client
from distributed.deploy.cluster import Cluster

from daskals.blocks.goal import Learned
from daskals.engine.needs import Sizes, needs_of
from daskals.engine.speeds import Speed, speed_here
from daskals.execution.paper import Machines, PaperScheduler, machines_of, machines_of_client
from daskals.execution.scheduler import Scheduler, current_scheduler
from daskals.io.frame_sizes import size_of_frame
from daskals.io.frames import Frame, n_slices
from daskals.io.frames_in import read_columns
from daskals.params.arguments import at_least_one
from daskals.params.names import explain_unknown
from daskals.recommendation.estimator import ALS
from daskals.recommendation.fit_plan import FitPlan, shown_plan
from daskals.recommendation.hosts import Hosts, rate
from daskals.recommendation.meanings import blocks_wanted, columns_of, columns_to_read, goal_of, solver_of

#: Ratings in a part of which nothing is known but that a cluster reads it: Parquet of about 100 MB.
RATINGS_OF_PART = 10_000_000


def plan(
    ratings: Frame | tuple[float, float, float],
    als: ALS | None = None,
    *,
    cluster: Hosts | Client | Cluster | int | None = None,
    partitions: int | None = None,
    bandwidth: float | str | None = None,
    speed: float | Mapping[str, Any] | None = None,
    **params: Any,
) -> FitPlan:
    """What a fit will need before it runs: blocks, tasks, memory, bytes between processes, seconds.

    Nothing is fitted. The numbers of blocks and tasks, and the way in which factors travel, come from the code that
    decides them for a fit, under the configuration as it is now. Bytes and memory are arithmetic. Seconds are what
    machines like the one would take on which the constants were measured (`daskals.engine.speeds`).

    Parameters
    ----------
    ratings : (users, items, ratings), or a frame as `ALS.fit` takes it
        Three numbers, or ratings that are counted: rows, and different users and items. Of a dask frame, which is read
        once for that, users and items are estimated to about a percent where there are many.
    als : ALS, optional
        The estimator. Otherwise one is made of ``params``: ``plan(ratings, rank=64, solver="cg")``.
    cluster : Hosts, Client, LocalCluster (or another Dask cluster) or int, optional
        What it would run on: a cluster, one described by its sizes (`Hosts`), or so many threads of this process. None
        is Dask's scheduler in force.
    partitions : int, optional
        In how many parts the ratings are read, where the frame does not tell. 10 million ratings each by default, on a
        cluster.
    bandwidth : float or str, optional
        What a process can receive from others, in bytes a second or such as "10Gbit/s". `Hosts` have their own; other
        clusters are taken for one machine.
    speed : float or dict, optional
        How many times as fast as the machine that was measured a thread is; or the constants themselves, as
        ``benchmarks/constants.py`` prints them, those that you give taking the place of ours.
    **params
        Parameters of `ALS`, in place of those of ``als``.

    Returns
    -------
    FitPlan
        It shows itself as a table. What will not fit is also told by a ``UserWarning``.

    Raises
    ------
    TypeError
        Something that is no frame and no three numbers; a cluster that is none of those above.
    ValueError
        Sizes that no ratings have; a parameter out of range; what is wrong with a frame's columns.

    Examples
    --------
    >>> import daskals
    >>> cluster = daskals.Hosts(4, threads=16, memory="64GB", bandwidth="10Gbit/s")
    >>> needed = daskals.plan((1e6, 50e3, 100e6), rank=64, cluster=cluster)
    >>> needed.userBlocks, needed.itemBlocks, needed.itemsFromUsers, needed.fits
    (128, 128, 'gather', True)
    """
    als = _estimator(als, params)
    machines, scheduler = _where(cluster)
    if bandwidth is not None:
        machines = replace(machines, bandwidth=rate("bandwidth", bandwidth))
    sizes = _sizes(ratings, als, scheduler, machines, partitions)
    learned = Learned(0.0, 1.0)  # what a fit learns of its ratings changes nothing here
    needs = needs_of(
        sizes,
        PaperScheduler.of(machines, scheduler.settings),
        blocks_wanted(als, scheduler.settings),
        columns_of(als),
        goal_of(als, learned),
        solver_of(als),
    )
    found = shown_plan(needs, _speed(speed), als.getMaxIter())
    for text in found.cautions:
        warnings.warn(text, stacklevel=2)
    return found


def _estimator(als: ALS | None, params: dict[str, Any]) -> ALS:
    if als is not None and not isinstance(als, ALS):
        raise TypeError(
            f"als must be an ALS, got {als!r}: plan(ratings, ALS(rank=64)), or plan(ratings, rank=64). Sizes are one "
            "argument: plan((users, items, ratings))."
        )
    if als is None:
        als = ALS(**params)
    elif params:
        als = als.copy().setParams(**params)
    als.validate()
    return als


# ---- where it would run ----------------------------------------------------------------------------------


def _where(cluster: Any) -> tuple[Machines, Scheduler]:
    """The machines that are meant, and the scheduler in force, which counts frames and has the settings."""
    scheduler = current_scheduler()
    if cluster is None:
        return machines_of(scheduler), scheduler
    if isinstance(cluster, Hosts):
        return cluster._machines(), scheduler
    if isinstance(cluster, Client):
        return machines_of_client(cluster, scheduler.settings), scheduler
    if isinstance(cluster, Cluster):
        with Client(cluster, set_as_default=False) as client:
            return machines_of_client(client, scheduler.settings), scheduler
    if isinstance(cluster, numbers.Integral) and not isinstance(cluster, bool):
        threads = at_least_one("cluster", int(cluster))
        memory = Scheduler(None, scheduler.get, {}, threads, scheduler.settings).worker_memory()
        return Machines(1, threads, memory, is_cluster=False), scheduler
    raise TypeError(
        f"cluster must be a daskals.Hosts, a Client, a cluster of Dask or a number of threads, got {cluster!r}"
    )


def _speed(given: Any) -> Speed:
    """The constants that are meant; errors name ``speed``."""
    measured = speed_here()
    if given is None:
        return measured
    if isinstance(given, Mapping):
        known = [field.name for field in fields(Speed)]
        unknown = [str(name) for name in given if name not in known]
        if unknown:
            raise ValueError(f"speed has no constant {explain_unknown(unknown, known)}")
        return measured.with_constants(given)
    if isinstance(given, bool) or not isinstance(given, numbers.Real):
        raise TypeError(f"speed={given!r} is not allowed: it must be a number above 0, or a dict of constants")
    factor = float(given)
    if not 0 < factor < math.inf:
        raise ValueError(f"speed={given!r} is not allowed: it must be above 0")
    return measured.times(1 / factor)


# ---- how large the ratings are ---------------------------------------------------------------------------


def _sizes(ratings: Any, als: ALS, scheduler: Scheduler, machines: Machines, partitions: Any) -> Sizes:
    n_parts = None if partitions is None else at_least_one("partitions", partitions)
    has_weights = bool(als.getWeightCol())
    if isinstance(ratings, numbers.Real) or (isinstance(ratings, tuple | list) and not any(map(np.ndim, ratings))):
        n_users, n_items, n_ratings = _three_numbers(ratings)
        if n_parts is None:
            n_parts = n_slices(n_ratings, machines.threads)
            n_parts = max(n_parts, -(-n_ratings // RATINGS_OF_PART)) if machines.is_cluster else n_parts
        return Sizes(n_users, n_items, n_ratings, n_parts, has_weights)
    columns = columns_to_read(als)
    frame, _ = read_columns(ratings, columns, als.getPredictionCol())
    found = size_of_frame(scheduler, frame, columns)
    if not found.n_ratings:
        raise ValueError("No ratings: the dataset has no rows. Check the path or the filter that it comes from.")
    n_bytes = 0 if machines.is_cluster else found.n_bytes
    return Sizes(found.n_users, found.n_items, found.n_ratings, n_parts or found.n_parts, has_weights, n_bytes)


def _three_numbers(sizes: Any) -> tuple[int, int, int]:
    """Numbers of users, items and ratings; errors say what is wrong with them."""
    said = f"ratings={sizes!r} is not allowed: sizes are three numbers, (users, items, ratings)"
    given = sizes if isinstance(sizes, tuple | list) else [sizes]
    if len(given) != 3 or any(isinstance(each, bool) or not isinstance(each, numbers.Real) for each in given):
        raise TypeError(f"{said}; otherwise it must be a frame of ratings")
    if not all(1 <= each < 2**63 and each == int(each) for each in map(_finite, sizes)):
        raise ValueError(f"{said}, whole and at least 1")
    n_users, n_items, n_ratings = map(int, sizes)
    for name, n in (("users", n_users), ("items", n_items)):
        if n > n_ratings:
            raise ValueError(f"{said}, and {n:,} {name} cannot have {n_ratings:,} ratings: each has at least one")
    return n_users, n_items, n_ratings


def _finite(number: Any) -> float:
    return float(number) if math.isfinite(number) else 0.0


__all__ = ["FitPlan", "Hosts", "plan"]
