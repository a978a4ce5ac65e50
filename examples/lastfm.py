"""Artists for listeners, from counts of plays: an implicit model, chosen by how well it recommends.

    python examples/lastfm.py FOLDER        # with user_artists.dat of HetRec 2011 in it: userID artistID weight
    python examples/lastfm.py               # on plays that are made up

Ids are strings here, as in most logs of plays. A fifth of the rows is held out and looked at once, at the end; the
parameters are chosen on rows held out of the others.
"""

import argparse
from pathlib import Path

import pandas as pd

from daskals import ALS
from daskals.datasets import make_ratings, randomSplit
from daskals.evaluation import RankingEvaluator, rankingReport
from daskals.tuning import ParamGridBuilder, TrainValidationSplit


def read_plays(folder: Path | None) -> pd.DataFrame:
    """Columns listener and artist, strings, and plays, counts."""
    if folder is None:
        plays = make_ratings(n_users=300, n_items=400, n_ratings=40_000)
        in_taste = plays["user"] % 8 == plays["item"] % 8  # eight tastes, and a twentieth of all plays by chance
        plays = plays[in_taste | (plays.index % 20 == 0)].assign(rating=1.0)
    else:
        plays = pd.read_csv(folder / "user_artists.dat", sep="\t")
    plays = plays.set_axis(["listener", "artist", "plays"], axis=1)
    return plays.assign(
        listener="listener " + plays["listener"].astype(str), artist="artist " + plays["artist"].astype(str)
    )


def main() -> None:
    """Choose a model, measure it once, recommend."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="the folder of user_artists.dat")
    plays = read_plays(parser.parse_args().folder)
    train, test = randomSplit(plays, [0.8, 0.2], seed=3)

    # counts that go into the thousands say less than that somebody listened at all: ratingCol="" counts each row 1
    als = ALS(userCol="listener", itemCol="artist", ratingCol="", implicitPrefs=True, maxIter=8, rank=16)
    grid = ParamGridBuilder().addGrid(als.rank, [16, 48]).addGrid(als.alpha, [3.0, 20.0]).build()
    tuned = TrainValidationSplit(
        estimator=als, estimatorParamMaps=grid, evaluator=RankingEvaluator(metricName="ndcgAtK", k=10), seed=3
    ).fit(train)
    for params, ndcg in zip(grid, tuned.validationMetrics, strict=True):
        print(f"{ {param.name: value for param, value in params.items()} }: NDCG@10 {ndcg:.4f} on validation rows")
    print(f"Best: {tuned.bestParams}")
    print(rankingReport(tuned.bestModel, train, test, k=10).round(4).to_string())

    model = als.setParams(**tuned.bestParams).fit(plays)
    print(model.recommendForAllUsers(3, exclude=plays, flat=True).head(6).to_string(index=False))


if __name__ == "__main__":
    main()
