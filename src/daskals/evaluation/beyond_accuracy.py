"""Metrics of all lists together: how much of the catalogue they show, and how little known it is.

They need to know who had what in training. A part of the data (some users, with all of their lists and training pairs)
is summed up in a table with a row for each item (`ItemTable`), tables are merged, and the metrics are read off the
merged table.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from daskals.evaluation.ranking import Float64, Int64, Lists, coded

#: Names of the metrics. They look at the first k items, as the metrics ...AtK do.
CATALOGUE_METRICS = ("catalogueCoverage", "novelty")


class ItemTable(NamedTuple):
    """What is kept of some users, their lists and their training pairs."""

    items: npt.NDArray[Any]  #: shape (items,): each that is recommended or was had in training, once
    owners: Int64  #: shape (items,): how many users had it in training
    shown: Float64  #: shape (items,): sum of 1 / (length of the list), over the lists that it is in
    users: int  #: how many users there were in training
    lists: int  #: how many lists with an item or more


def item_table(predicted: Lists, training: Lists) -> ItemTable:
    """Sum up lists, of the first k items each, and the training pairs of all users, each pair once."""
    codes, items = coded(predicted.values, training.values)
    shown, owned = codes[: len(predicted.values)], codes[len(predicted.values) :]
    share = 1 / np.repeat(np.maximum(predicted.lengths, 1), predicted.lengths)
    return ItemTable(
        items,
        np.bincount(owned, minlength=len(items)),
        np.bincount(shown, weights=share, minlength=len(items)).astype(np.float64),
        users=int(np.count_nonzero(training.lengths)),
        lists=int(np.count_nonzero(predicted.lengths)),
    )


def merge_tables(*tables: ItemTable) -> ItemTable:
    """The table of the users of all parts."""
    codes, items = coded(*(table.items for table in tables))
    owners, shown = (
        np.bincount(codes, weights=np.concatenate(columns), minlength=len(items))
        for columns in ([table.owners for table in tables], [table.shown for table in tables])
    )
    users, lists = sum(table.users for table in tables), sum(table.lists for table in tables)
    return ItemTable(items, owners.astype(np.int64), shown.astype(np.float64), users, lists)


def catalogue_metric(name: str, table: ItemTable) -> float:
    """One of `CATALOGUE_METRICS`.

    ``catalogueCoverage``
        The share of the catalogue, which is the items of the training pairs, that is in the first k items of anybody
        (Ge, Delgado-Battenfeld and Jannach, "Beyond accuracy", RecSys 2010).
    ``novelty``
        The mean over users of the mean self-information of their first k items: -log2(share of the users in training
        who had the item), in bits (Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender
        systems", PNAS 2010; "mean inverse user frequency" in RecTools). An item that nobody had counts as if one user
        had it. Users to whom nothing is recommended are left out; NaN if that is everybody.

    >>> lists = Lists(np.array([1, 2, 2]), np.array([3, 2, 3, 1, 2]))
    >>> training = Lists(np.array([2, 1, 1]), np.array([1, 2, 1, 1]))
    >>> table = item_table(lists, training)
    >>> catalogue_metric("catalogueCoverage", table), round(catalogue_metric("novelty", table), 4)
    (1.0, 1.3208)
    """
    if name == "catalogueCoverage":
        catalogue = table.owners > 0
        return float(np.count_nonzero(catalogue & (table.shown > 0)) / np.count_nonzero(catalogue))
    if name == "novelty":
        information = -np.log2(np.maximum(table.owners, 1) / table.users)
        return math.fsum(table.shown * information) / table.lists if table.lists else math.nan
    raise ValueError(f"There is no metric {name!r}; the metrics are {', '.join(CATALOGUE_METRICS)}")
