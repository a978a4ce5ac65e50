"""How good predictions and recommendations are; the evaluators of ``pyspark.ml.evaluation``.

A model that predicts ratings well need not recommend well. MovieLens 100K, split ua, the first 10 films that a user has
not rated in training (`rankingReport`):

=======================================================  =======  ==========  =================  =======
recommended by                                           ndcgAtK  hitRateAtK  catalogueCoverage  novelty
=======================================================  =======  ==========  =================  =======
``ALS(rank=32, implicitPrefs=True)``                     .295     .932        .386               2.28
the most popular films                                   .133     .731        .053               1.36
``ALS(rank=10, maxIter=15, seed=1)``, an RMSE of .961    .018     .179        .271               6.12
random films                                             .007     .073        .995               5.71
=======================================================  =======  ==========  =================  =======

An explicit model is fitted to the ratings that there are, and they are of what people chose to see. Of other items it
knows nothing, and items with two or three high ratings lead its lists, since little holds their factors back: hence its
high novelty. ``minSupport=100`` keeps those out, and brings .018 to .071, still below popularity. An implicit model is
fitted to who chose what, which is what a list has to guess. So:

- Recommend by ``implicitPrefs=True``, also where there are stars; tune it by a `RankingEvaluator`.
- Predict ratings, and order candidates that were chosen otherwise, by an explicit model; tune it by a
  `RegressionEvaluator`. Where its own lists are wanted, give ``minSupport``, and look at the report.
- Leave out what users had in training, in lists and in the evaluation (``exclude=train``). With rated items in the
  lists the implicit model above has .089, and one of rank 8 is better than one of rank 32.
"""

from daskals.evaluation.evaluators import Evaluator, RegressionEvaluator
from daskals.evaluation.ranking_evaluator import RankingEvaluator
from daskals.evaluation.report import rankingReport

__all__ = ["Evaluator", "RankingEvaluator", "RegressionEvaluator", "rankingReport"]
