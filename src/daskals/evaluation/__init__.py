"""How good predictions and recommendations are; the evaluators of ``pyspark.ml.evaluation``."""

from daskals.evaluation.evaluators import Evaluator, RankingEvaluator, RegressionEvaluator

__all__ = ["Evaluator", "RankingEvaluator", "RegressionEvaluator"]
