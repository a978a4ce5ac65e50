"""A model beside the two recommenders that everybody has: the most popular items, and random ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from daskals.evaluation.beyond_accuracy import CATALOGUE_METRICS, ItemTable, item_table, merge_tables
from daskals.evaluation.comparing import (
    Comparison,
    Found,
    cut_alike,
    faults_of,
    lists_of,
    merge_found,
    metrics_of,
    read_users,
    score_lists,
)
from daskals.evaluation.naming import Names, names_of, require_pairs
from daskals.evaluation.ranking import Lists
from daskals.execution.scheduler import current_scheduler
from daskals.io.frames import Frame, of_matching_partitions
from daskals.params.arguments import at_least_one

#: The columns of a report.
REPORTED = (
    *("ndcgAtK", "precisionAtK", "recallAtK", "hitRateAtK", "meanReciprocalRankAtK", "meanAveragePrecisionAtK"),
    *CATALOGUE_METRICS,
)
#: Its rows.
MODEL, POPULAR, RANDOM = "model", "most popular", "random"
SEED = 0


def rankingReport(model: Any, train: Frame, test: Frame, k: int = 10) -> pd.DataFrame:
    """How good the first ``k`` recommendations of a model are, beside the most popular and random items.

    Parameters
    ----------
    model : ALSModel, or anything with ``recommendForUserSubset``, ``getUserCol`` and ``getItemCol``
    train : pandas.DataFrame, dask.dataframe.DataFrame or another frame
        The pairs that the model was fitted to, in the model's columns of users and items. They are recommended by none
        of the three, and are relevant to nobody. Its items are the catalogue.
    test : frame of any kind
        Held-out pairs, in the same columns; each calls an item relevant to a user, so filter out low ratings first.
        The users in it are those who are recommended to.
    k : int, default 10
        The number of recommendations.

    Returns
    -------
    pandas.DataFrame
        Rows "model", "most popular" (items with the most users in training, of equal ones those of the lower id) and
        "random" (any items of the catalogue, the same ones in each call); a column for each metric, named as in
        `RankingEvaluator`.

    Raises
    ------
    TypeError, ValueError
        As ``RankingEvaluator.evaluate``; for a ``k`` that is no positive integer, and for what is no model.

    Notes
    -----
    A model that is not well above "most popular" in ndcgAtK is not worth its while for top lists, whatever its RMSE.
    ``train`` is computed three times, so ``persist`` a dask frame if that is costly.

    Examples
    --------
    >>> import pandas as pd
    >>> from daskals.recommendation import ALS
    >>> pairs = [(user, item) for user in range(30) for item in range(12) if user % 3 == item % 3]
    >>> ratings = pd.DataFrame(pairs, columns=["user", "item"]).assign(rating=1.0)
    >>> is_test = ratings["user"] % 4 == ratings["item"] // 3
    >>> model = ALS(rank=3, implicitPrefs=True, regParam=0.01, seed=1).fit(ratings[~is_test])
    >>> report = rankingReport(model, ratings[~is_test], ratings[is_test], k=1)
    >>> report["hitRateAtK"].round(2).tolist()[0], report.index.tolist()
    (1.0, ['model', 'most popular', 'random'])
    """
    k = at_least_one("k", k)
    if not hasattr(model, "recommendForUserSubset"):
        raise TypeError(f"rankingReport takes a model first, such as ALS().fit(train), got {type(model).__name__}")
    names = Names(model.getUserCol(), model.getItemCol(), is_flat=False)
    train = require_pairs(train, names, "train", {})
    test = require_pairs(test, names, "test", {})
    recommended = model.recommendForUserSubset(test[[names.user]], k, exclude=train)
    names = names_of(recommended, names.user, names.item)
    frames = {"dataset": recommended, "heldOut": test, "exclude": train}
    comparison = Comparison(names, tuple(frames), REPORTED, k, "test")
    found = of_matching_partitions(
        current_scheduler(),
        _report_part,
        cut_alike(frames, names),
        names.user,
        comparison,
        _by_popularity(train, names),
        merge=_merge,
        name="als-report",
    )
    return pd.DataFrame(
        [metrics_of(each, comparison) for each in found.values()], index=list(found), columns=list(REPORTED)
    )


def _report_part(comparison: Comparison, popular: npt.NDArray[Any], *parts: pd.DataFrame) -> dict[str, Found]:
    """What is found of the users of a part, for each row of the report."""
    frames = dict(zip(comparison.roles, parts, strict=True))
    rows = len(frames["heldOut"])
    faults = faults_of(frames, comparison.names)
    if faults.total():
        return {name: Found({}, 0, rows, None, faults) for name in (MODEL, POPULAR, RANDOM)}
    users = read_users(frames, comparison.names)
    # enough for k that are left when the user's own items are taken out
    lengths = np.minimum(comparison.k + users.excluded.lengths, len(popular))
    lists = {
        MODEL: lists_of(frames["dataset"], users.ids, comparison.names),
        POPULAR: _first(popular, lengths),
        RANDOM: _drawn(popular, lengths, users.ids),
    }
    return {name: score_lists(some, users, comparison)._replace(rows=rows) for name, some in lists.items()}


def _merge(*parts: dict[str, Found]) -> dict[str, Found]:
    return {name: merge_found(*(part[name] for part in parts)) for name in parts[0]}


def _by_popularity(train: Frame, names: Names) -> npt.NDArray[Any]:
    """The items of the catalogue, those of the most users first, of equal ones the lower id."""
    (pairs,) = cut_alike({"exclude": train}, names)
    table = of_matching_partitions(
        current_scheduler(), _popularity_part, [pairs], names.user, names, merge=merge_tables, name="als-popularity"
    )
    ascending = np.argsort(table.items, kind="stable")
    popular: npt.NDArray[Any] = table.items[ascending[np.argsort(-table.owners[ascending], kind="stable")]]
    return popular


def _popularity_part(names: Names, train: pd.DataFrame) -> ItemTable:
    users = read_users({"heldOut": train.iloc[:0], "exclude": train}, names)
    return item_table(users.relevant, users.training)


def _first(items: npt.NDArray[Any], lengths: npt.NDArray[np.int64]) -> Lists:
    """A list for each length: the first items."""
    positions = Lists(lengths, np.empty(lengths.sum())).position
    return Lists(lengths, items[positions])


def _drawn(items: npt.NDArray[Any], lengths: npt.NDArray[np.int64], users: pd.Index) -> Lists:
    """A list for each length: different items, at random. Those of a user depend on its id alone."""
    seeds: list[int] = pd.util.hash_pandas_object(users, index=False).tolist()
    drawn = [
        np.random.default_rng([SEED, seed]).choice(len(items), size=length, replace=False)
        for seed, length in zip(seeds, lengths, strict=True)
    ]
    return Lists(lengths, items[np.concatenate([np.empty(0, np.int64), *drawn])])
