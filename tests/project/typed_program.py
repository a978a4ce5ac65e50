"""A small program as a user writes it, for type checkers (`test_typing`): nobody runs it.

A line that ends with "is wrong" must be reported, and no other.
"""

import pandas as pd

from daskals import ALS, ALSModel
from daskals.datasets import make_ratings
from daskals.evaluation import RankingEvaluator, RegressionEvaluator, rankingReport
from daskals.serving import LocalModel
from daskals.tuning import CrossValidator, CrossValidatorModel, ParamGridBuilder, TrainValidationSplit


def importing() -> None:
    from daskals import ASL  # is wrong

    print(ASL)


def fitting(ratings: pd.DataFrame) -> ALSModel:
    als = ALS(rank=5, maxIter=3).setRegParam(0.05).setRank(5)
    ALS(rnak=5)  # is wrong
    ALS(rank="5")  # is wrong
    rank: int = als.getRank()
    share: float = als.getRegParam() + als.getUserRegParam()
    column: str = als.getUserCol() + als.getRatingCol()
    als.getRnak()  # is wrong
    als.getRank().upper()  # is wrong
    als.setRank("5")  # is wrong
    als.setRank(5).setRgeParam(0.1)  # is wrong
    als.setBiases(True).setMaxIter(rank).setAlpha(share).setNumBlocks(2).setParams(seed=3).setUserCol(column)
    als.setParams(rnak=3)  # is wrong
    als.setParams(rank=3).getRnak()  # is wrong
    other: ALS = als.copy({als.rank: 3})
    print(als.rank.name, als.rnak, other.explainParams())  # is wrong
    als.save("als")
    ALS.load("als").getRnak()  # is wrong
    several: list[ALSModel] = als.fit(ratings, [{als.rank: 3}])
    model: ALSModel = als.fit(ratings, {als.rank: 3}, validation=ratings, callbacks=[lambda info: info.number > 3])
    als.fit(ratings, valdation=ratings)  # is wrong
    als.fit(ratings).rnak  # is wrong
    print(len(several))
    return model


def answering(model: ALSModel, test: pd.DataFrame) -> float:
    predicted = model.transform(test)
    best = model.setColdStartStrategy("drop").recommendForAllUsers(10)
    print(predicted["prediction"].mean(), best["recommendations"], model.userFactors["id"], model.history["rmse"])
    print(model.rank + 1, model.getBlockSize() + 1, model.bestIteration)
    model.setRank(3)  # is wrong
    model.getRegParam()  # is wrong
    model.recomendForAllUsers(10)  # is wrong
    model.parent.getAlpha()  # is wrong
    if model.parent is not None:
        model.parent.getAlpha()
    local: LocalModel = model.toLocal()
    local.recomend(1, 5)  # is wrong
    print([scored.score for scored in local.recommend(1, 5)], local.popular(3)[0].id)
    report = rankingReport(model, test, test, k=1)
    print(report.loc["model", "ndcgAtK"], ALSModel.load("model", frames="pandas").uid)
    return RegressionEvaluator(labelCol="rating").setMetricName("rmse").evaluate(predicted)


def tuning() -> CrossValidatorModel:
    ratings = make_ratings(n_users=10, n_items=10, n_ratings=50)
    als = ALS()
    grid = ParamGridBuilder().addGrid(als.rank, [5, 10]).addGrid(als.regParam, [0.1]).build()
    validator = CrossValidator(estimator=als, estimatorParamMaps=grid, evaluator=RankingEvaluator(k=3), numFolds=2)
    validator.setEstimatorParamMaps(grid).setNumFolds(3).setParallelism(2).setSeed(1)
    validator.setNumFold(3)  # is wrong
    RankingEvaluator(k=3).getRelevantForm()  # is wrong
    RegressionEvaluator().setK(5)  # is wrong
    TrainValidationSplit().setTrainRatio("0.5")  # is wrong
    TrainValidationSplit().setNumFolds(3)  # is wrong
    tuned = validator.fit(ratings)
    tuned.setNumFolds(3)  # is wrong
    print(tuned.getNumFolds() + 1, tuned.bestParams["rank"], tuned.avgMetrics, tuned.bestModel.rank)
    print(tuned.transform(ratings)["prediction"].max(), [model.rank for model in als.fit(ratings, grid)])
    return tuned
