"""Writes what a real Spark saves, for tests that need neither Spark nor Java: ``python write.py`` where there is one.

The folder is named after the version of Spark; ``expected.json`` is what that Spark says of what it saved.
"""

import json
from pathlib import Path

import pyspark
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.recommendation import ALS
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import SparkSession

OUT = Path(__file__).parent / f"spark-{pyspark.__version__}"
COLUMNS = ["who", "item", "rating"]
ROWS = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0), (-7, 2, 3.0), (2**31 - 1, 0, 1.0)]

settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
builder = SparkSession.builder.master("local[2]")
for key, value in settings.items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()

blocks = {"numUserBlocks": 3, "numItemBlocks": 2}
als = ALS(rank=2, maxIter=3, seed=5, userCol="who", coldStartStrategy="drop", regParam=0.05, **blocks)
ratings = spark.createDataFrame(ROWS, COLUMNS)
model = als.fit(ratings).setPredictionCol("guess")
als.save(f"{OUT}/als")
model.save(f"{OUT}/model")

square = [(user, item, float(user * item % 5)) for user in range(6) for item in range(5)]
tuned = CrossValidator(
    estimator=als,
    estimatorParamMaps=ParamGridBuilder().addGrid(als.regParam, [1.0, 0.1]).build(),
    evaluator=RegressionEvaluator(labelCol="rating", metricName="mae"),
    numFolds=2,
    seed=1,
).fit(spark.createDataFrame(square, COLUMNS))
tuned.save(f"{OUT}/tuned")


def factors(frame):
    return sorted([row.id, row.features] for row in frame.collect())


expected = {
    "uid": model.uid,
    "ratings": ROWS,
    "predictions": sorted([row.who, row.item, row.guess] for row in model.transform(ratings).collect()),
    "users": factors(model.userFactors),
    "items": factors(model.itemFactors),
    "recommendations": sorted(
        [row.who, [list(each) for each in row.recommendations]] for row in model.recommendForAllUsers(2).collect()
    ),
    "avgMetrics": [float(each) for each in tuned.avgMetrics],
    "tunedItems": factors(tuned.bestModel.itemFactors),
}
(OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")
spark.stop()
