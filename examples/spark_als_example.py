"""The example of Spark's documentation, `als_example.py`, on Dask: the same steps in the same order.

python examples/spark_als_example.py

Spark reads a text file of `user::item::rating::timestamp`, which comes with it; the same file comes with daskals. The
rows of the split are others than Spark's, whose split depends on its partitions, and so are the error and the lists.
"""

from daskals.datasets import load_sample, randomSplit
from daskals.evaluation import RegressionEvaluator
from daskals.recommendation import ALS

if __name__ == "__main__":
    # spark.read.text(...).rdd, row.value.split("::"), createDataFrame: one line here
    ratings = load_sample().rename(columns={"user": "userId", "item": "movieId"})
    training, test = randomSplit(ratings, [0.8, 0.2], seed=1)

    # "drop" leaves out users and movies that are in the test rows alone, for which the error would be NaN
    als = ALS(maxIter=5, regParam=0.01, userCol="userId", itemCol="movieId", coldStartStrategy="drop")
    model = als.fit(training)

    predictions = model.transform(test)
    evaluator = RegressionEvaluator(metricName="rmse", labelCol="rating", predictionCol="prediction")
    print(f"Root-mean-square error = {evaluator.evaluate(predictions):.4f}")

    user_recs = model.recommendForAllUsers(10)
    movie_recs = model.recommendForAllItems(10)

    users = ratings[["userId"]].drop_duplicates().head(3)  # Spark: ratings.select("userId").distinct().limit(3)
    user_subset_recs = model.recommendForUserSubset(users, 10)
    movies = ratings[["movieId"]].drop_duplicates().head(3)
    movie_subset_recs = model.recommendForItemSubset(movies, 10)

    for recs in (user_recs, movie_recs, user_subset_recs, movie_subset_recs):
        print(recs.head(3))

    # what Spark's example leaves to a join: recommendations that the user has not rated, a row for each
    print(model.recommendForAllUsers(3, exclude=ratings, flat=True).head(3))
