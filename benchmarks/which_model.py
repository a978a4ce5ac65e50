"""What recommends better on MovieLens 100K: an implicit model, an explicit one, the most popular films.

::

    python benchmarks/which_model.py FOLDER     # ml-100k as published, or the folder that holds it

Prints the figures of "Which model to recommend by" in docs/benchmarks/quality.md: split ua, ten unseen films a user.
"""

from __future__ import annotations

import argparse

from daskals import ALS
from daskals.datasets import load_movielens
from daskals.evaluation import RankingEvaluator, rankingReport

COLUMNS = ["ndcgAtK", "hitRateAtK", "catalogueCoverage", "novelty"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where ml-100k is")
    train, test = load_movielens("ml-100k", parser.parse_args().folder, split="ua")
    models = {
        "ALS(rank=32, implicitPrefs=True)": ALS(rank=32, implicitPrefs=True).fit(train),
        "ALS(rank=10, maxIter=15, seed=1)": ALS(rank=10, maxIter=15, seed=1).fit(train),
    }
    for name, model in models.items():
        print(f"model: {name}\n{rankingReport(model, train, test, k=10)[COLUMNS].round(3).to_string()}")
    implicit, explicit = models.values()
    ndcg = RankingEvaluator(metricName="ndcgAtK", k=10)
    supported = explicit.recommendForAllUsers(10, exclude=train, minSupport=100)
    with_rated = implicit.recommendForAllUsers(10)
    print(f"explicit, minSupport=100: ndcgAtK {ndcg.evaluate(supported, heldOut=test, exclude=train):.3f}")
    # an empty frame: nothing is taken out
    print(f"implicit, rated films left in: ndcgAtK {ndcg.evaluate(with_rated, heldOut=test, exclude=train[:0]):.3f}")


if __name__ == "__main__":
    main()
