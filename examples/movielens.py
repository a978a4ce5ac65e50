"""A notebook about Spark's ALS and MovieLens, told again on Dask: the same steps, in the same order.

    python examples/movielens.py                   # on the sample that comes with daskals; no network
    python examples/movielens.py --data ml-100k    # on MovieLens 100K, each figure beside the notebook's
    python examples/movielens.py --cluster         # the same code on a cluster of two processes

The notebook was run on Spark 2.3 with the split "ua" of MovieLens 100K. Where Spark's code differs from ours, a comment
above ours quotes it.
"""

import os

# Dask runs a task on each core. A BLAS that starts threads of its own in each task makes all of them wait for each
# other; it reads this when NumPy is imported. (The workers of a cluster have it from Dask. With threadpoolctl, which
# comes with daskals[fast], daskals sees to it.)
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import contextlib
import time
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
from distributed import Client, LocalCluster

from daskals.datasets import load_movielens, load_movielens_titles, load_sample
from daskals.evaluation import RegressionEvaluator
from daskals.recommendation import ALS, ALSModel

# What the notebook prints. Cells are numbered as there: In [14] and so on.
PREDICTIONS = {251: 3.0381240844726562, 580: 3.0317912101745605, 602: 3.5022647380828857,
               372: 3.834611177444458, 274: 3.3601744174957275}  # fmt: skip
COUNTS = {1: 542, 2: 995, 3: 2424, 4: 3316, 5: 2153}
RMSE_DROPPED, RMSE_20, RMSE_100 = 0.9590533627741923, 0.9558872242636991, 0.9475039684939921
USERS_FOR_ITEM = {
    1342: {662: 3.724311590194702, 118: 3.557661533355713, 440: 3.4993064403533936, 270: 3.4897232055664062,
           427: 3.3939871788024902},
    148: {507: 4.894386291503906, 907: 4.649669647216797, 513: 4.618252277374268, 688: 4.602916240692139,
          849: 4.570733070373535},
}  # fmt: skip
ITEMS_FOR_USER = {
    496: {838: 5.011465549468994, 1589: 4.678163051605225, 320: 4.476866722106934, 1449: 4.4084930419921875,
          853: 4.3602375984191895},
    463: {1463: 4.4693193435668945, 1449: 4.301555156707764, 1512: 4.2987494468688965, 1084: 4.217663764953613,
          1251: 4.2151079177856445},
}  # fmt: skip
ITEM_FACTORS = {
    10: [0.4910842180252075, 0.5687710046768188, 0.6812558770179749, -0.5482439398765564, 0.27426472306251526,
         0.3678845167160034, -1.098655104637146, 0.2107856124639511, 0.8881864547729492, 0.2629821300506592],
    20: [0.9072177410125732, 0.5339254140853882, 0.5115773677825928, -1.2328755855560303, 0.542868435382843,
         0.44991403818130493, -0.4627978801727295, 0.22674496471881866, -0.17887842655181885, -0.09169133007526398],
}  # fmt: skip
USER_FACTORS = {
    10: [0.9489773511886597, 0.5666304230690002, 1.103602409362793, -1.2175092697143555, 0.11277274787425995,
         -0.24626755714416504, -0.7906545400619507, 1.0588929653167725, 0.6422020792961121, 0.6299095749855042],
    20: [1.147719383239746, 0.6592509746551514, -0.3106571137905121, -1.272091031074524, -0.3390337824821472,
         -0.4940218925476074, -0.4846492409706116, 0.5361677408218384, 0.9728611707687378, 0.6635444760322571],
    30: [0.5372956395149231, 0.13461139798164368, 0.7390300631523132, -1.470736026763916, 0.1607738584280014,
         0.02893531695008278, -0.9771374464035034, 1.3123841285705566, 1.0575284957885742, 0.3354685306549072],
}  # fmt: skip

#: Of the sample, this item came out after the training data were collected, so the model cannot know it.
LATE_ITEM = 99

evaluator = RegressionEvaluator(labelCol="rating", metricName="rmse")


# ---- printing --------------------------------------------------------------------------------------------


class Report:
    """Prints headings and figures. With ``compare``, the notebook's figure stands beside each of ours."""

    def __init__(self, *, compare: bool) -> None:
        self.compare = compare
        self.sections = 0
        self.differences: list[float] = []

    def section(self, title: str) -> None:
        """Print a numbered heading."""
        self.sections += 1
        print(f"\n{self.sections}. {title}")

    def figure(self, name: str, ours: float, notebook: float) -> None:
        """Print one number, and the notebook's."""
        line = f"   {name:<34}{ours:>18.12g}"
        if self.compare:
            line += f"    notebook {notebook:<18.12g}{self._difference(ours, notebook)}"
        print(line.rstrip())

    def numbers(self, name: str, ours: object, notebook: object = None) -> None:
        """Print a list of numbers, or a dict of numbers by id, and how far the notebook's are from them.

        Ids must be the same ones as in the notebook, in the same order.
        """
        print(f"   {name:<18}{_row(ours)}")
        if not self.compare or notebook is None:
            return
        if isinstance(notebook, dict):
            same_ids = list(ours) == list(notebook)
            ours, notebook = list(ours.values()), list(notebook.values())
            difference = self._difference(ours, notebook) if same_ids else self._difference(np.inf, 0)
            ids = "ids and order alike, " if same_ids else "IDS OR ORDER DIFFER, "
        else:
            difference, ids = self._difference(ours, notebook), ""
        print(f"   {'':<18}notebook: {ids}largest {difference}")

    def _difference(self, ours: object, notebook: object) -> str:
        ours, notebook = np.atleast_1d(np.asarray(ours, float)), np.atleast_1d(np.asarray(notebook, float))
        apart = np.where(np.isnan(ours) & np.isnan(notebook), 0.0, np.abs(ours - notebook))
        self.differences += apart.tolist()
        return f"difference {apart.max():.1e}"

    def summary(self) -> None:
        """Print how close all figures were to the notebook's."""
        if self.compare:
            print(f"   {len(self.differences)} figures compared, the largest difference is {max(self.differences):.1e}")


def _row(values: object) -> str:
    if isinstance(values, dict):
        return "  ".join(f"{key}: {value:.6f}" for key, value in values.items())
    return " ".join(f"{value:9.6f}" for value in values)


# ---- the notebook ----------------------------------------------------------------------------------------


def replay(dataset: dd.DataFrame, test: dd.DataFrame, report: Report, **settings: str) -> ALSModel:
    """Run all cells of the notebook, with these parameters of ALS besides; return the model with the smallest error."""
    report.section("Read the ratings  (In [5] to [7])")
    # Spark: spark.read.csv(...).repartition(20).cache()
    print(dataset.head(5).to_string(index=False, col_space=8))
    print(f"   {len(dataset):,} ratings to train on")
    report.figure("partitions", dataset.npartitions, 20)

    report.section("Fit  (In [8] to [11])")
    als = ALS(rank=10, maxIter=5, seed=5757, **settings)
    model = timed_fit(als, dataset)
    report.figure("model.rank", model.rank, 10)

    report.section("Predict the ratings of the test set  (In [12] to [14])")
    predictions = model.transform(test)  # lazy, as in Spark
    if report.compare:
        of_item_148 = predictions[predictions["item"] == 148].compute().set_index("user")["prediction"]
        for user, prediction in PREDICTIONS.items():
            report.figure(f"user {user}, item 148", of_item_148[user], prediction)
    else:
        print(predictions.head(5).to_string(index=False, col_space=8))

    report.section("Measure the error  (In [15] to [17])")
    report.figure("RMSE", evaluator.evaluate(predictions), float("nan"))
    print("   One prediction that is NaN makes the error NaN. Where does it come from?")

    report.section("Count the test ratings by value  (In [18])")
    # Spark: predictions.groupBy("rating").count()
    counts = predictions.groupby("rating").size().compute()
    for rating, count in COUNTS.items():
        report.figure(f"rating {rating}", counts[rating], count)

    report.section("Find the missing predictions  (In [19] to [24])")
    # Spark: predictions.filter(f.isnan("prediction"))
    lost = predictions[predictions["prediction"].isna()].compute()
    report.figure("predictions that are NaN", len(lost), 2)
    print(lost.head(5).to_string(index=False, col_space=8))
    explain(lost, dataset, report)

    report.section("Leave them out by hand  (In [25], [26])")
    report.figure("RMSE", evaluator.evaluate(predictions.dropna()), RMSE_DROPPED)

    report.section("Let the model leave them out: the cold start strategy  (In [27] to [30])")
    model = timed_fit(als, dataset, {als.coldStartStrategy: "drop"})
    print(f"   coldStartStrategy is {model.getOrDefault('coldStartStrategy')!r}")
    error = evaluator.evaluate(model.transform(test))
    report.figure("RMSE", error, RMSE_DROPPED)

    report.section("Can we do better?  (In [93] to [95])")
    longer = timed_fit(als, dataset, {als.coldStartStrategy: "drop", als.maxIter: 20})
    error_20 = evaluator.evaluate(longer.transform(test))
    report.figure("RMSE, maxIter 20", error_20, RMSE_20)

    report.section("Or even better?  (In [97] to [99])")
    larger = timed_fit(als, dataset, {als.coldStartStrategy: "drop", als.maxIter: 20, als.rank: 100})
    error_100 = evaluator.evaluate(larger.transform(test))
    report.figure("RMSE, maxIter 20, rank 100", error_100, RMSE_100)

    # the notebook ran these cells before those on doing better: the model is that of In [27]
    report.section("What else do we have here? The best users for an item, the best items for a user  (In [31], [32])")
    show_recommendations(model.recommendForAllItems(5), "item", "user", USERS_FOR_ITEM, report)
    show_recommendations(model.recommendForAllUsers(5), "user", "item", ITEMS_FOR_USER, report)

    report.section("The factors themselves  (In [34], [35])")
    show_factors(model.itemFactors, "item", ITEM_FACTORS, report)
    show_factors(model.userFactors, "user", USER_FACTORS, report)

    return min(zip((error, error_20, error_100), (model, longer, larger), strict=True), key=lambda pair: pair[0])[1]


def timed_fit(als: ALS, dataset: dd.DataFrame, params: dict | None = None) -> ALSModel:
    """Fit a model, and print how long it took."""
    start = time.perf_counter()
    model = als.fit(dataset, params=params)
    print(f"   fitted in {time.perf_counter() - start:.1f} s")
    return model


def explain(lost: pd.DataFrame, dataset: dd.DataFrame, report: Report) -> None:
    """Print what the training data know of a user and an item without a prediction."""
    # Spark: dataset.filter(dataset.user == 675) and so on
    user, item = (675, 1653) if report.compare else lost[["user", "item"]].iloc[0]
    report.figure(f"training ratings of user {user}", (dataset["user"] == user).sum().compute(), 24)
    report.figure(f"training ratings of item {item}", (dataset["item"] == item).sum().compute(), 0)
    if report.compare:
        both = (dataset["user"] == 675) & (dataset["item"] == 1582)
        report.figure("... of user 675 and item 1582", both.sum().compute(), 0)
        print(f"   and of item 1582 by anyone: {(dataset['item'] == 1582).sum().compute()}")
    print("   The users are known, the items are not: no factors, so no prediction. This is the cold start.")


def show_recommendations(frame: dd.DataFrame, query: str, other: str, notebook: dict, report: Report) -> None:
    """Print the recommendations for the notebook's users or items, or for the first ones."""
    for row in rows_of(frame, query, notebook, report):
        found = {each[other]: each["rating"] for each in row["recommendations"]}
        report.numbers(f"{query} {row[query]}", found, notebook.get(row[query]))


def show_factors(frame: dd.DataFrame, name: str, notebook: dict, report: Report) -> None:
    """Print the factors of the notebook's users or items, or of the first ones."""
    print(f"   {len(frame):,} {name}s have factors")
    for row in rows_of(frame, "id", notebook, report):
        report.numbers(f"{name} {row['id']}", list(row["features"]), notebook.get(row["id"]))


def rows_of(frame: dd.DataFrame, key: str, notebook: dict, report: Report) -> list[dict]:
    """The rows that the notebook shows, in its order; without a notebook the first two."""
    if not report.compare:
        return frame.head(2).to_dict("records")
    rows = frame[frame[key].isin(list(notebook))].compute().set_index(key, drop=False)
    return rows.loc[list(notebook)].to_dict("records")


# ---- beyond the notebook: something to read ----------------------------------------------------------------


def suggest(model: ALSModel, dataset: dd.DataFrame, titles: pd.Series | None) -> None:
    """Print for a few users what they liked, and what they might like among the items that they have not rated."""

    def named(item: int) -> str:
        return f"item {item}" if titles is None else titles[item]

    users = model.userFactors["id"].head(3)
    rated = dataset[dataset["user"].isin(users.tolist())].compute()
    # pandas in, pandas out: columns user, item, rating, rank
    unseen = model.recommendForUserSubset(pd.DataFrame({"user": users}), 5, exclude=rated, flat=True)
    for user in users:
        liked = rated[rated["user"] == user].sort_values(["rating", "item"], ascending=[False, True]).head(3)
        print(f"   User {user} liked    {'; '.join(map(named, liked['item']))}")
        best = unseen[unseen["user"] == user]
        scored = zip(best["item"], best["rating"], strict=True)
        print(f"      and may like  {'; '.join(f'{named(item)} ({score:.1f})' for item, score in scored)}")


# ---- data and cluster ------------------------------------------------------------------------------------


def split_sample() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide the shipped sample into training and test ratings: each fifth row, and one item, are for the test."""
    ratings = load_sample()
    held_out = (np.arange(len(ratings)) % 5 == 4) | (ratings["item"] == LATE_ITEM)
    return ratings[~held_out], ratings[held_out]


def to_dask(ratings: pd.DataFrame, npartitions: int) -> dd.DataFrame:
    """A Dask frame without the timestamp, which stays in memory: in this process, or on the workers."""
    return dd.from_pandas(ratings.drop(columns="timestamp"), npartitions=npartitions).persist()


@contextlib.contextmanager
def dask_cluster(*, wanted: bool):
    """Use the cluster at DASK_SCHEDULER_ADDRESS if that is set, else one of our own if it is wanted, else threads."""
    if dask.config.get("scheduler-address", None):  # Dask's name for that variable
        with Client() as client:
            yield f"the cluster at {client.scheduler.address}"
    elif wanted:
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
            Client(cluster),
        ):
            yield "a cluster of 2 worker processes, started for this run"
    else:
        yield "the threads of this process"


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="the folder of MovieLens 100K as unpacked from the published ml-100k.zip; default: the shipped sample",
    )
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="run on a Dask cluster: that of the environment variable DASK_SCHEDULER_ADDRESS (which is used also "
        "without this option), else one of 2 processes that is started and stopped here; default: threads",
    )
    return parser.parse_args()


def main() -> None:
    """Read the data, start a cluster if one is wanted, and run the notebook."""
    arguments = read_arguments()
    start = time.perf_counter()
    titles = None
    if arguments.data is None:
        train, test = split_sample()
        settings = {}
        print(
            "Data: the sample that Apache Spark publishes and daskals ships: 1,501 ratings, 30 users, 100 items,\n"
            f"without titles. Every fifth rating, and all of item {LATE_ITEM}, are the test set. The notebook's "
            "figures\nare of MovieLens 100K: give its folder with --data to see them beside ours."
        )
    else:
        try:
            train, test = load_movielens("ml-100k", arguments.data, split="ua")
        except (OSError, ValueError) as error:
            raise SystemExit(f"--data {arguments.data}: {error}") from None
        with contextlib.suppress(FileNotFoundError):
            titles = load_movielens_titles("ml-100k", arguments.data)
        # the notebook's Spark was one of version 2, whose arithmetic is in float64
        settings = {"sparkRandom": "2", "precision": "double"}
        print(f"Data: MovieLens 100K in {arguments.data}, split ua.")
    report = Report(compare=arguments.data is not None)
    with dask_cluster(wanted=arguments.cluster) as where:
        print(f"Dask: {where}.")
        dataset, test = to_dask(train, 20), to_dask(test, 4)
        best = replay(dataset, test, report, **settings)
        report.section("In the end")
        suggest(best, dataset, titles)
        print(f"   RMSE of this model on the test set: {evaluator.evaluate(best.transform(test)):.4f}")
    report.summary()
    print(f"   {time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
