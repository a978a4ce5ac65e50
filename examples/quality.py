"""How good models get on four public data sets: the figures of docs/benchmarks/quality.md.

    python examples/quality.py FOLDER                       # all four
    python examples/quality.py FOLDER ml-100k               # one
    python examples/quality.py FOLDER ml-100k --search      # how its settings were found

The settings were chosen on rows that were held out of the training rows: ``--search`` holds some out (`a_tenth`,
`of_a_third_of_the_users`), fits each point of the grid below the data set to the others, with ``validation=`` and
``patience``, and takes the point and the number of iterations that are best. Test rows are looked at once, without
``--search``, with the settings that the search found. FOLDER/ml-100k is as GroupLens publishes it; ml-1m is that too,
or a Parquet file of its ratings; gowalla holds the train and test pairs of LightGCN (He et al., 2020), and lastfm-2k
the plays of HetRec 2011.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from daskals import ALS, ALSModel
from daskals.datasets import load_movielens, randomSplit
from daskals.evaluation import RankingEvaluator

Split = tuple[pd.DataFrame, pd.DataFrame]
Settings = dict[str, Any]


@dataclass
class DataSet:
    """One data set: where its rows come from, what is measured, the settings that were found and the grid of them."""

    #: by the name of a split, its training and test rows
    splits: Callable[[Path], dict[str, Split]]
    #: model, rows that it was fitted to, held-out rows -> metrics, of which the first one decides
    measure: Callable[[ALSModel, pd.DataFrame, pd.DataFrame], dict[str, float]]
    larger_is_better: bool
    #: training rows -> rows to fit and rows to choose settings by
    hold_out: Callable[[pd.DataFrame], Split]
    #: what is not searched
    fixed: Settings
    found: Settings
    #: all values of each setting with all of the others, or a list of the points themselves
    grid: dict[str, list[Any]] | list[Settings]
    #: the most iterations of a search
    most: int = 20

    def fit(self, train: pd.DataFrame) -> ALSModel:
        """A model with the settings that were found."""
        return ALS(**{**self.fixed, **self.found}).fit(train)

    def curve(self, settings: Settings, parts: Split) -> "pd.Series[float]":
        """The validation metric after each iteration, by the number of the iteration."""
        als = ALS(**{**self.fixed, **settings, "maxIter": self.most, "patience": 3})
        history = als.fit(parts[0], validation=parts[1]).history
        return history.set_index("iteration").iloc[:, -1]


def rating_error(model: ALSModel, _: pd.DataFrame, held_out: pd.DataFrame) -> dict[str, float]:
    """The error of predictions that are clipped to the scale of the ratings."""
    errors = model.transform(held_out)["prediction"].clip(1, 5) - held_out["rating"]
    return {"RMSE": float(np.sqrt((errors**2).mean()))}


def ranking_quality(k: int) -> Callable[[ALSModel, pd.DataFrame, pd.DataFrame], dict[str, float]]:
    """How good the first ``k`` recommendations are, training items excluded."""

    def measure(model: ALSModel, train: pd.DataFrame, held_out: pd.DataFrame) -> dict[str, float]:
        users = held_out[["user"]].drop_duplicates()
        recommended = model.recommendForUserSubset(users, k, exclude=train)
        metrics = {"NDCG": "ndcgAtK", "Recall": "recallAtK"}
        return {
            f"{name}@{k}": RankingEvaluator(metricName=metric, k=k).evaluate(
                recommended, heldOut=held_out, exclude=train, userCol="user", itemCol="item"
            )
            for name, metric in metrics.items()
        }

    return measure


# ---- rows to choose settings by --------------------------------------------------------------------------


def a_tenth(train: pd.DataFrame) -> Split:
    """Nine tenths and one tenth of the rows, at random."""
    rest, held = randomSplit(train, [0.9, 0.1], seed=7)
    return rest, held


def of_a_third_of_the_users(train: pd.DataFrame) -> Split:
    """A fifth of the rows of a third of the users, at random, is held out: as test rows are, and fewer to rank."""
    users = train["user"].drop_duplicates().sample(frac=1 / 3, random_state=7)
    some = train["user"].isin(users)
    rest, held = randomSplit(train[some], [0.8, 0.2], seed=7)
    return pd.concat([train[~some], rest]), held


# ---- where rows come from --------------------------------------------------------------------------------


def ml_100k(folder: Path) -> dict[str, Split]:
    """The published splits."""
    return {split: load_movielens("ml-100k", folder / "ml-100k", split=split) for split in ("ua", "ub", "u1")}


def ml_1m(folder: Path) -> dict[str, Split]:
    """Nine tenths and one tenth, at random."""
    parquet = folder / "ml-1m" / "ratings.parquet"
    if parquet.exists():
        ratings = pd.read_parquet(parquet).iloc[:, :3].set_axis(["user", "item", "rating"], axis=1)
    else:
        ratings = load_movielens("ml-1m", folder / "ml-1m")
    train, test = randomSplit(ratings, [0.9, 0.1], seed=1)
    return {"90/10": (train, test)}


def gowalla(folder: Path) -> dict[str, Split]:
    """LightGCN's split."""
    train, test = (
        pd.read_parquet(folder / "gowalla" / f"{name}.parquet").iloc[:, :2].set_axis(["user", "item"], axis=1)
        for name in ("train", "test")
    )
    return {"LightGCN's": (train, test)}


def lastfm(folder: Path) -> dict[str, Split]:
    """Four fifths and one fifth, at random."""
    plays = pd.read_csv(folder / "lastfm-2k" / "user_artists.dat", sep="\t").set_axis(["user", "item", "plays"], axis=1)
    train, test = randomSplit(plays, [0.8, 0.2], seed=3)
    return {"80/20": (train, test)}


# ---- settings --------------------------------------------------------------------------------------------

EXPLICIT = {"biases": True, "seed": 1, "coldStartStrategy": "bias"}
#: The objective of iALS, from small start values; the pairs have no ratings, or none that help.
IMPLICIT = {"implicitPrefs": True, "ratingCol": "", "seed": 1, "regCount": "all", "startScale": 0.1}
#: Where the search on gowalla begins: its fits take minutes, so it changes one setting at a time, and then those
#: together that helped. These four values were not found on validation rows: they come from an earlier trial, which had
#: looked at test rows.
GOWALLA: Settings = {"rank": 1024, "unobservedWeight": 0.03, "regParam": 0.0024, "userCountExponent": 0.5}
DATA_SETS = {
    "ml-100k": DataSet(
        ml_100k,
        rating_error,
        larger_is_better=False,
        hold_out=a_tenth,
        fixed=EXPLICIT,
        found={"rank": 64, "regExponent": 0.5, "regParam": 1.25, "maxIter": 20},
        grid={
            "rank": [64, 128],
            "regExponent": [0.4, 0.5, 0.6],
            "regParam": [0.8, 1.0, 1.25, 1.5],
        },
    ),
    "ml-1m": DataSet(
        ml_1m,
        rating_error,
        larger_is_better=False,
        hold_out=a_tenth,
        fixed=EXPLICIT,
        found={"rank": 128, "regExponent": 0.6, "regParam": 0.7, "maxIter": 5},
        grid={"rank": [64, 128], "regExponent": [0.6, 0.7, 0.8], "regParam": [0.2, 0.3, 0.4, 0.5, 0.7]},
    ),
    "gowalla": DataSet(
        gowalla,
        ranking_quality(20),
        larger_is_better=True,
        hold_out=of_a_third_of_the_users,
        fixed={**IMPLICIT, "validationK": 20},
        found={**GOWALLA, "userCountExponent": 0.3, "itemCountExponent": 0.2, "startScale": 0.03, "maxIter": 3},
        grid=[
            {**GOWALLA, **change}
            for change in (
                {},
                {"userCountExponent": 0.3},
                {"userCountExponent": 0.7},
                {"itemCountExponent": 0.2},
                {"regParam": 0.0016},
                {"regParam": 0.0036},
                {"regParam": 0.01, "regExponent": 0.7},
                {"unobservedWeight": 0.02},
                {"unobservedWeight": 0.05},
                {"startScale": 0.03},
                # what helped by itself, together
                {"itemCountExponent": 0.2, "startScale": 0.03},
                {"itemCountExponent": 0.2, "userCountExponent": 0.3},
                {"itemCountExponent": 0.2, "userCountExponent": 0.3, "startScale": 0.03},
                {"itemCountExponent": 0.35, "userCountExponent": 0.3, "startScale": 0.03},
            )
        ],
        most=8,
    ),
    "lastfm": DataSet(
        lastfm,
        ranking_quality(10),
        larger_is_better=True,
        hold_out=of_a_third_of_the_users,
        fixed={**IMPLICIT, "validationK": 10},
        found={"rank": 64, "unobservedWeight": 0.03, "regParam": 0.02, "maxIter": 14},
        grid={
            "rank": [64, 128, 256],
            "unobservedWeight": [0.01, 0.02, 0.03],
            "regParam": [0.02, 0.03, 0.04],
        },
    ),
}


# ---- what is done with them ------------------------------------------------------------------------------


def settings_of(grid: dict[str, list[Any]] | list[Settings]) -> Iterator[Settings]:
    """All points of a grid."""
    if isinstance(grid, list):
        return iter(grid)
    return (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))


def search(data: DataSet, folder: Path) -> None:
    """Measure all points of the grid on rows of train which the models have not seen; means over all splits."""
    parts = [data.hold_out(train) for train, _ in data.splits(folder).values()]
    best: tuple[float, Settings] | None = None
    for settings in settings_of(data.grid):
        # a split that has stopped earlier has nothing better to come
        curves = pd.concat([data.curve(settings, each) for each in parts], axis=1).ffill().mean(axis=1)
        losses = -curves if data.larger_is_better else curves
        number = int(losses.idxmin())
        print(f"{settings}: {curves[number]:.5f} after {number} iterations", flush=True)
        if best is None or losses[number] < best[0]:
            best = float(losses[number]), {**settings, "maxIter": number}
    assert best is not None
    print(f"Best: {best[1]}")


def look_at_test(name: str, data: DataSet, folder: Path) -> None:
    """Fit with the settings that were found, and measure on the test rows."""
    print(f"{name}: ALS({', '.join(f'{key}={value!r}' for key, value in {**data.fixed, **data.found}.items())})")
    for split, (train, test) in data.splits(folder).items():
        clock = time.perf_counter()
        model = data.fit(train)
        seconds = time.perf_counter() - clock
        metrics = ", ".join(f"{key} {value:.4f}" for key, value in data.measure(model, train, test).items())
        print(f"  {split}: {metrics}; fitted in {seconds:.1f} s", flush=True)


def main() -> None:
    """Measure, or search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the data sets")
    parser.add_argument("names", nargs="*", choices=[[], *DATA_SETS], help="which of them; all if none is named")
    parser.add_argument("--search", action="store_true", help="look for settings on rows held out of train")
    args = parser.parse_args()
    for name in args.names or DATA_SETS:
        if args.search:
            search(DATA_SETS[name], args.folder)
        else:
            look_at_test(name, DATA_SETS[name], args.folder)


if __name__ == "__main__":
    main()
