"""The quality of cmfrec and implicit on the data sets of ``examples/quality.py``, each with its best settings.

::

    python benchmarks/quality_peers.py FOLDER          # needs cmfrec==3.5.1 and implicit==0.7.3

Settings are chosen as those of daskals are: on a tenth of the training rows, which is held out of them. Test rows are
looked at once.

cmfrec has biases, on ml-100k and ml-1m, and its regularisation is searched, both scaled by numbers of ratings and not.
implicit is given the same grid of rank, alpha, regularisation and iterations as daskals, on last.fm. Of the difference
in NDCG@10 the table has the 95 % interval, by bootstrap over the users.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from daskals import ALS
from daskals.datasets import randomSplit

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import quality

CMFREC = {
    "k": [16, 40],
    "lambda_": [(2.0, False), (5.0, False), (10.0, False), (0.05, True), (0.08, True), (0.12, True)],
}
#: The same for both: the regularisation of implicit is not multiplied by numbers of ratings.
LASTFM = {"rank": [32, 64, 128], "alpha": [2.0, 5.0, 20.0], "iterations": [6, 12]}
REG = {"implicit": [0.1, 1.0, 5.0], "daskals": [0.01, 0.1, 0.3]}
K = 10
RESAMPLES = 10_000


def cmfrec_error(train: pd.DataFrame, held: pd.DataFrame, k: int, lambda_: tuple[float, bool]) -> float:
    """RMSE of cmfrec's model with biases, predictions clipped to 1..5."""
    from cmfrec import CMF

    model = CMF(k=k, lambda_=lambda_[0], scale_lam=lambda_[1], niter=15, use_cg=False, nthreads=2, verbose=False)
    model.fit(train[["user", "item", "rating"]].set_axis(["UserId", "ItemId", "Rating"], axis=1))
    predicted = model.predict(held["user"].to_numpy(), held["item"].to_numpy()).clip(1, 5)
    return float(np.sqrt(np.mean((np.nan_to_num(predicted, nan=train["rating"].mean()) - held["rating"]) ** 2)))


def beside_cmfrec(name: str, folder: Path) -> None:
    data = quality.DATA_SETS[name]
    splits = data.splits(folder)
    parts = [randomSplit(train, [0.9, 0.1], seed=7) for train, _ in splits.values()]
    errors = {
        settings: np.mean([cmfrec_error(*part, *settings) for part in parts])
        for settings in itertools.product(*CMFREC.values())
    }
    best = min(errors, key=errors.__getitem__)
    print(f"{name}: cmfrec with biases, k={best[0]}, lambda_={best[1][0]}, scale_lam={best[1][1]}")
    for split, (train, test) in splits.items():
        print(f"  {split}: RMSE {cmfrec_error(train, test, *best):.4f}", flush=True)


def lists_of_implicit(train: pd.DataFrame, users: Any, settings: dict[str, Any]) -> dict[Any, Any]:
    """The ``K`` best items of each user, as ids, by implicit."""
    from implicit.cpu.als import AlternatingLeastSquares

    user_codes, user_ids = pd.factorize(train["user"], sort=True)
    item_codes, item_ids = pd.factorize(train["item"], sort=True)
    counts = sparse.csr_matrix((np.ones(len(train), np.float32), (user_codes, item_codes)))
    model = AlternatingLeastSquares(
        factors=settings["rank"],
        alpha=settings["alpha"],
        regularization=settings["reg"],
        iterations=settings["iterations"],
        use_cg=False,
        num_threads=2,
        random_state=1,
    )
    model.fit(counts, show_progress=False)
    rows = user_ids.get_indexer(users)
    known = rows >= 0
    found, _ = model.recommend(rows[known], counts[rows[known]], N=K, filter_already_liked_items=True)
    return dict(zip(np.asarray(users)[known], item_ids.to_numpy()[found], strict=True))


def lists_of_daskals(train: pd.DataFrame, users: Any, settings: dict[str, Any]) -> dict[Any, Any]:
    """The same by daskals."""
    options = {name: settings[name] for name in settings if name not in ("reg", "iterations")}
    als = ALS(ratingCol="", implicitPrefs=True, seed=1, maxIter=settings["iterations"], regParam=settings["reg"])
    model = als.setParams(**options).fit(train)
    found = model.recommendForUserSubset(pd.DataFrame({"user": users}), K, exclude=train, flat=True)
    return {user: rows.to_numpy() for user, rows in found.groupby("user")["item"]}


def ndcg_by_user(lists: dict[Any, Any], train: pd.DataFrame, held: pd.DataFrame) -> pd.Series:
    """NDCG@K of each user with held-out items; an item that nobody has in train counts too, and is never found."""
    seen = set(zip(train["user"], train["item"], strict=True))
    gains = 1 / np.log2(np.arange(2, K + 2))
    scores = {}
    for user, items in held.groupby("user")["item"]:
        relevant = {item for item in items if (user, item) not in seen}
        if relevant:
            hits = np.array([item in relevant for item in lists.get(user, [])])
            scores[user] = gains[: len(hits)][hits].sum() / gains[: len(relevant)].sum() if len(hits) else 0.0
    return pd.Series(scores)


def beside_implicit(folder: Path) -> None:
    ((train, test),) = quality.DATA_SETS["lastfm"].splits(folder).values()
    part, held = randomSplit(train, [0.9, 0.1], seed=7)
    found = {}
    for name, lists_of in (("implicit", lists_of_implicit), ("daskals", lists_of_daskals)):
        best = (-1.0, {})
        for values in itertools.product(*LASTFM.values(), REG[name]):
            settings = dict(zip((*LASTFM, "reg"), values, strict=True))
            score = ndcg_by_user(lists_of(part, held["user"].unique(), settings), part, held).mean()
            best = max(best, (score, settings), key=lambda pair: pair[0])
        found[name] = ndcg_by_user(lists_of(train, test["user"].unique(), best[1]), train, test)
        print(f"lastfm: {name}, {best[1]}: NDCG@{K} {found[name].mean():.4f}", flush=True)
    settings = {**quality.DATA_SETS["lastfm"].fixed, **quality.DATA_SETS["lastfm"].found}
    model = ALS(**settings).fit(train)
    lists = model.recommendForUserSubset(test[["user"]].drop_duplicates(), K, exclude=train, flat=True)
    found["daskals, iALS"] = ndcg_by_user(
        {user: rows.to_numpy() for user, rows in lists.groupby("user")["item"]}, train, test
    )
    print(f"lastfm: daskals, {settings}: NDCG@{K} {found['daskals, iALS'].mean():.4f}")
    rng = np.random.default_rng(0)
    for name in ("daskals", "daskals, iALS"):
        difference = (found[name] - found["implicit"]).to_numpy()
        means = [rng.choice(difference, len(difference)).mean() for _ in range(RESAMPLES)]
        low, high = np.percentile(means, [2.5, 97.5])
        print(f"lastfm: {name} less implicit {difference.mean():+.4f}, 95 % interval {low:+.4f} to {high:+.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the data sets")
    folder = parser.parse_args().folder
    for name in ("ml-100k", "ml-1m"):
        beside_cmfrec(name, folder)
    beside_implicit(folder)


if __name__ == "__main__":
    main()
