"""How good predictions and recommendations are; the evaluators of ``pyspark.ml.evaluation``."""

from daskals.evaluation.evaluators import Evaluator, RegressionEvaluator
from daskals.evaluation.ranking_evaluator import RankingEvaluator
from daskals.evaluation.report import rankingReport

__all__ = ["Evaluator", "RankingEvaluator", "RegressionEvaluator", "rankingReport"]
