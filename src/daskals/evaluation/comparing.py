"""Comparing recommendations with held-out and with training pairs.

Three frames are cut by user (`daskals.io.frames.of_matching_partitions`), so that a part has all rows of its users::

    dataset     what is recommended, a list for each user
    heldOut     pairs: what is relevant to whom
    exclude     pairs: what each user had in training, which is neither to be recommended nor to be found again

A part becomes lists by user (`read_users`, `lists_of`), the lists become a few numbers (`score_lists`: `Found`), and
these are merged to the metrics. So one computation serves any number of metrics, and of kinds of lists.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from daskals.evaluation.beyond_accuracy import CATALOGUE_METRICS, ItemTable, catalogue_metric, item_table, merge_tables
from daskals.evaluation.checks import Faults, common_dtype, raise_faults, require_rows
from daskals.evaluation.naming import RANK, RECOMMENDATIONS, Names
from daskals.evaluation.parts import read_column
from daskals.evaluation.ranking import Lists, items_from_arrow, ranking_scores
from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import Frame, of_matching_partitions


class Comparison(NamedTuple):
    """What is asked of the parts of some frames."""

    names: Names
    roles: tuple[str, ...]  #: of the frames, in their order: "dataset", "heldOut", "exclude"
    metrics: tuple[str, ...]
    k: int
    counted: str = "heldOut"  #: what tells which users count, for messages


class Users(NamedTuple):
    """The users of a part who count, with their lists, a row for each; and the training pairs of everybody in it."""

    ids: pd.Index
    relevant: Lists
    excluded: Lists
    training: Lists  #: of all users in ``exclude``, each pair once


class Found(NamedTuple):
    """What is known of some users' lists."""

    sums: dict[str, list[float]]  #: of the metrics of each user; a sum for each part
    users: int  #: how many users count
    rows: int  #: how many rows there were that tell which users count
    table: ItemTable | None  #: for the metrics of all lists together, if one is asked for
    faults: Faults


def compare(frames: Mapping[str, Frame], comparison: Comparison) -> dict[str, float]:
    """The metrics of the recommendations in ``frames["dataset"]``, by name."""
    names = comparison.names
    found = of_matching_partitions(
        current_scheduler(),
        _compare_part,
        cut_alike(frames, names),
        names.user,
        comparison,
        merge=merge_found,
        name="als-compare",
    )
    return metrics_of(found, comparison)


def cut_alike(frames: Mapping[str, Frame], names: Names) -> list[Frame]:
    """The columns that are read of each frame, with users of one dtype; for categories that of their values."""
    dtype = common_dtype({role: _of_values(frame.dtypes[names.user]) for role, frame in frames.items()}, names.user)
    columns = {role: names.recommended if role == "dataset" else [names.user, names.item] for role in frames}
    return [frame[columns[role]].astype({names.user: dtype}) for role, frame in frames.items()]


def _of_values(dtype: Any) -> Any:
    """The dtype; of categories that of their values, in which a model returns such ids."""
    return dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype


def _compare_part(comparison: Comparison, *parts: pd.DataFrame) -> Found:
    frames = dict(zip(comparison.roles, parts, strict=True))
    who = frames.get("heldOut", frames["dataset"])
    faults = faults_of(frames, comparison.names)
    if faults.total():  # then nothing can be matched
        return Found({}, 0, len(who), None, faults)
    users = read_users(frames, comparison.names)
    found = score_lists(lists_of(frames["dataset"], users.ids, comparison.names), users, comparison)
    return found._replace(rows=len(who))


def faults_of(frames: Mapping[str, pd.DataFrame], names: Names) -> Faults:
    """What is wrong with the rows of a part; those of ``exclude`` with a null are passed over, as by models."""
    faults: Faults = Counter()
    roles = {"userCol": names.user, "itemCol": names.item}
    if "dataset" in frames and names.is_flat:
        for what, column in {**roles, "column": RANK}.items():
            faults[f"missing values in {what} {column!r} of dataset"] = int(frames["dataset"][column].isna().sum())
    elif "dataset" in frames:
        repeated = frames["dataset"][names.user].duplicated()
        faults[f"repeated values in userCol {names.user!r} of dataset"] = int(repeated.sum())
    if "heldOut" in frames:
        for what, column in roles.items():
            faults[f"missing values in {what} {column!r} of heldOut"] = int(frames["heldOut"][column].isna().sum())
    return faults


def read_users(frames: Mapping[str, pd.DataFrame], names: Names) -> Users:
    """Those of ``heldOut``, as far as something is relevant to them that they did not have in training.

    Without that frame, all users of ``dataset``.
    """
    excluded_rows = frames["exclude"].dropna() if "exclude" in frames else None
    if "heldOut" not in frames:
        ids = pd.Index(frames["dataset"][names.user].unique())
        nothing = Lists(np.zeros(len(ids), np.int64), np.empty(0))
        return Users(ids, nothing, *_training(excluded_rows, ids, names))
    held_out = frames["heldOut"]
    number, uniques = pd.factorize(held_out[names.user])
    ids = pd.Index(uniques)
    items = read_column(held_out[names.item], f"itemCol {names.item!r} of heldOut", items_from_arrow)
    excluded, training = _training(excluded_rows, ids, names)
    relevant = Lists.grouped(number, items, len(ids)).without(excluded)
    counts = relevant.lengths > 0
    return Users(ids[counts], relevant.of_queries(counts), excluded.of_queries(counts), training)


def _training(rows: pd.DataFrame | None, ids: pd.Index, names: Names) -> tuple[Lists, Lists]:
    """Training pairs, each once: those of the users ``ids``, a list for each, and those of all users."""
    if rows is None:
        return Lists(np.zeros(len(ids), np.int64), np.empty(0)), Lists(np.empty(0, np.int64), np.empty(0))
    rows = rows.drop_duplicates()
    number, users = pd.factorize(rows[names.user])
    items = read_column(rows[names.item], f"itemCol {names.item!r} of exclude", items_from_arrow)
    row = ids.get_indexer(pd.Index(users))[number]
    theirs = Lists.grouped(row[row >= 0], items[row >= 0], len(ids))
    return theirs, Lists.grouped(number, items, len(users))


def lists_of(recommended: pd.DataFrame, ids: pd.Index, names: Names) -> Lists:
    """What is recommended to users, a list for each of ``ids``; empty for those to whom nothing is."""
    if not names.is_flat:
        row = pd.Index(recommended[names.user]).get_indexer(ids)
        return read_column(
            recommended[RECOMMENDATIONS],
            f"column {RECOMMENDATIONS!r}",
            # -1, no such user, becomes a missing list, which is an empty one
            lambda cells: Lists.from_arrow(cells.take(pa.array(row, mask=row < 0)), field=names.item),
        )
    number = ids.get_indexer(pd.Index(recommended[names.user]))
    chosen = np.flatnonzero(number >= 0)
    order = chosen[np.argsort(recommended[RANK].to_numpy()[chosen], kind="stable")]
    items = read_column(recommended[names.item], f"itemCol {names.item!r} of dataset", items_from_arrow)
    return Lists.grouped(number[order], items[order], len(ids))


def score_lists(predicted: Lists, users: Users, comparison: Comparison) -> Found:
    """The metrics of the lists of some users, without what these had in training."""
    predicted = predicted.without(users.excluded)
    k, names = comparison.k, [name for name in comparison.metrics if name not in CATALOGUE_METRICS]
    sums = {name: [math.fsum(ranking_scores(name, predicted, users.relevant, k))] for name in names}
    asked = len(names) < len(comparison.metrics)
    table = item_table(predicted.head(k), users.training) if asked else None
    return Found(sums, len(users.ids), len(users.ids), table, Counter())


def merge_found(*parts: Found) -> Found:
    """What is known of all parts."""
    sums: dict[str, list[float]] = {}
    for part in parts:
        for name, some in part.sums.items():
            sums.setdefault(name, []).extend(some)
    tables = [part.table for part in parts if part.table is not None]
    return Found(
        sums,
        sum(part.users for part in parts),
        sum(part.rows for part in parts),
        merge_tables(*tables) if tables else None,
        sum((part.faults for part in parts), Counter()),
    )


def metrics_of(found: Found, comparison: Comparison) -> dict[str, float]:
    """The metrics, by name; ``ValueError`` for faults in the data, and where there is nothing to evaluate."""
    raise_faults([found.faults])
    require_rows(found.rows, comparison.counted)
    if not found.users:
        raise ValueError(
            f"No row of {comparison.counted} counts: all of its {found.rows} pairs are in exclude too. Pass the "
            "training pairs as exclude, and others as heldOut"
        )
    if found.table is not None and not found.table.users:
        raise ValueError("exclude has no rows, and coverage and novelty are measured by the training pairs")
    return {
        each: catalogue_metric(each, found.table)
        if each in CATALOGUE_METRICS and found.table is not None
        else math.fsum(found.sums[each]) / found.users
        for each in comparison.metrics
    }
