"""Recommendations from a CSV or Parquet file of your own.

    python examples/own_ratings.py ratings.csv --user customer --item product --rating stars
    python examples/own_ratings.py plays.csv --user listener --item song --rating plays --implicit --out songs.csv
    python examples/own_ratings.py ratings.parquet                               # or a folder of Parquet files
    python examples/own_ratings.py u.data --sep tab --columns user,item,rating   # the file has no line of names
    python examples/own_ratings.py            # on the sample that comes with daskals

Each row of the file is a rating: who rated, what was rated, and how much. Ids are numbers or strings. A tenth of the
rows is held out to measure how good a model is: by the error of predicted ratings or, with --implicit (counts of plays,
clicks, purchases), by how many of the held-out items are among the recommended ones. Then a model of all rows
recommends to every user items that the user has not rated.
"""

import os

# Dask runs a task on each core. A BLAS that starts threads of its own in each task makes all of them wait for each
# other; it reads this when NumPy is imported. (The workers of a cluster have it from Dask. With threadpoolctl, which
# comes with daskals[fast], daskals sees to it.)
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
from pathlib import Path

import dask
import dask.dataframe as dd
import pandas as pd
from distributed import Client

from daskals import ALS, ALSModel
from daskals.datasets import load_sample
from daskals.evaluation import RankingEvaluator, RegressionEvaluator

#: Bytes of the file in a partition. Dask's own choice differs between machines.
BLOCK = "32MB"
#: Recommended items that the user has rated are left out, so more are asked for: at most this many. A user who has
#: rated more items than this may get fewer than --top. The memory needed is 12 bytes for each, times the number of
#: users.
LOOK_FURTHER = 500


# ---- the ratings -----------------------------------------------------------------------------------------


def read_ratings(options: argparse.Namespace) -> dd.DataFrame:
    """Read the columns that matter as a lazy frame; if there is no column of ratings, each row counts 1."""
    if options.file is None:
        ratings = dd.from_pandas(load_sample(), npartitions=4)
    else:
        ratings = read_parquet(options) if is_parquet(options.file) else read_csv(options)
    wanted = [column for column in (options.user, options.item, options.rating) if column]
    missing = [column for column in wanted if column not in ratings.columns]
    if missing:
        raise ValueError(
            f"no column {', '.join(map(repr, missing))}; the columns are {', '.join(map(repr, ratings.columns))}. "
            "Name yours with --user, --item and --rating, and the separator with --sep; if the first line of the file "
            "is a rating already, name its columns with --columns"
        )
    ratings = ratings[wanted]
    return ratings if options.rating else ratings.assign(rating=1.0)


def is_parquet(file: str) -> bool:
    """Whether a file, a folder or a pattern such as "ratings/*.parquet" is one of Parquet files."""
    return Path(file).suffix in (".parquet", ".pq") or Path(file).is_dir()


def read_parquet(options: argparse.Namespace) -> dd.DataFrame:
    """A lazy frame of Parquet files, in which columns have names and types."""
    ratings = dd.read_parquet(options.file)
    ids = [column for column in (options.user, options.item) if options.string_ids and column in ratings.columns]
    return ratings.astype(dict.fromkeys(ids, "string"))


def read_csv(options: argparse.Namespace) -> dd.DataFrame:
    """A lazy frame of a CSV file; with --columns its first line is a rating like the others."""
    dtypes = dict.fromkeys([options.user, options.item], "string") if options.string_ids else {}
    if options.rating:
        dtypes[options.rating] = "float64"  # else dask would take whole numbers at the head for integers
    how = {"sep": options.sep, "dtype": dtypes, "blocksize": BLOCK}
    if len(options.sep) > 1:
        how["engine"] = "python"  # the fast one knows separators of one character, not the :: of MovieLens
    if options.columns:
        # without usecols, columns at the end that have no name would turn the first ones into an index
        how |= {"header": None, "names": options.columns, "usecols": range(len(options.columns))}
    return dd.read_csv(options.file, **how)


def held_out(ratings: pd.DataFrame, ids: list[str]) -> pd.Series:
    """Mark the rows to hold out: a tenth, by a hash of user and item, so the same pairs whatever the order of rows."""
    return pd.util.hash_pandas_object(ratings[ids], index=False) % 10 == 0


def split(ratings: dd.DataFrame, options: argparse.Namespace) -> tuple[dd.DataFrame, dd.DataFrame]:
    """Divide ratings into training and test ratings."""
    mask = ratings.map_partitions(held_out, [options.user, options.item], meta=(None, bool))
    return ratings[~mask], ratings[mask]


# ---- model and measure -----------------------------------------------------------------------------------


def measure_ratings(als: ALS, train: dd.DataFrame, test: dd.DataFrame) -> None:
    """Print the error of predicted ratings, and to compare it with, that of guessing the mean."""
    label = als.getRatingCol()
    predictions = als.fit(train, {als.coldStartStrategy: "drop"}).transform(test).persist()
    known, total = len(predictions), len(test)
    if not known:
        print(f"No user and item of the {total:,} held-out ratings is known without them: nothing to measure.")
        return
    evaluator = RegressionEvaluator(labelCol=label)
    mean = train[label].mean().compute()
    guess = evaluator.evaluate(predictions.assign(prediction=mean))
    print(f"RMSE of {known:,} held-out ratings: {evaluator.evaluate(predictions):.4f}")
    print(f"   (guessing the mean, {mean:.2f}, each time: {guess:.4f})")
    if known < total:
        print(f"   ({total - known:,} more have a user or an item without other ratings)")


def measure_ranking(als: ALS, train: dd.DataFrame, test: dd.DataFrame, top: int) -> None:
    """Print how well the first recommendations match the held-out items."""
    user, item = als.getUserCol(), als.getItemCol()
    table = recommend(als.fit(train), train, user, item, top)
    lists = table.groupby(user)[item].agg(list).rename("recommendations").reset_index()
    evaluator = RankingEvaluator(k=top)
    print(f"Of {len(test):,} held-out rows, by the first {top} recommendations:")
    for metric in ("recallAtK", "precisionAtK", "ndcgAtK"):
        params = {evaluator.metricName: metric}
        value = evaluator.evaluate(lists, params, heldOut=test, exclude=train, userCol=user, itemCol=item)
        print(f"   {metric:<14}{value:.4f}")


def recommend(model: ALSModel, ratings: dd.DataFrame, user: str, item: str, top: int) -> pd.DataFrame:
    """The ``top`` best items among those that a user has not rated, a row for each: user, rank, item, score."""
    rated = ratings[[user, item]].compute().drop_duplicates()
    most = int(rated[user].value_counts().max())
    best = model.recommendForAllUsers(top + min(most, LOOK_FURTHER)).compute()
    # at this point a row is (user, [{item, rating}, ...], best first); now each recommendation gets its own
    best = best.explode("recommendations", ignore_index=True)
    best = best[[user]].join(best["recommendations"].struct.explode().rename(columns={"rating": "score"}))
    best = best.merge(rated.assign(is_rated=True), on=[user, item], how="left")
    new = best[best["is_rated"].isna()].groupby(user).head(top).drop(columns="is_rated")
    new.insert(1, "rank", new.groupby(user).cumcount() + 1)
    return new.reset_index(drop=True)


# ---- command line ----------------------------------------------------------------------------------------


def read_arguments() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", metavar="FILE", help="ratings: .csv or the like, .parquet, or a folder")
    parser.add_argument("--user", default="user", metavar="COL", help="column of users (default: user)")
    parser.add_argument("--item", default="item", metavar="COL", help="column of items (default: item)")
    parser.add_argument(
        "--rating",
        metavar="COL",
        help="column of ratings (default: rating; with --implicit: none, each row counts 1, which often does better "
        "than counts that go into the thousands)",
    )
    parser.add_argument("--implicit", action="store_true", help="ratings are counts of what users did, not opinions")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="recommendations to a user (default: 10)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write them: .parquet or .csv")
    parser.add_argument("--sep", default=",", metavar="CHAR", help="separator of the file, or 'tab' (default: a comma)")
    parser.add_argument(
        "--columns",
        metavar="A,B,...",
        help="names of the columns of a text file that has no line of names, in order, such as user,item,rating",
    )
    parser.add_argument("--string-ids", action="store_true", help="read ids as strings even if they look like numbers")
    options = parser.parse_args()
    if options.top < 1:
        parser.error(f"--top {options.top}: must be at least 1")
    if options.out and options.out.suffix not in (".parquet", ".csv"):
        parser.error(f"--out {options.out}: the name must end in .parquet or .csv")
    options.sep = "\t" if options.sep == "tab" else options.sep
    options.columns = options.columns.split(",") if options.columns else None
    if options.columns and len(set(options.columns)) < len(options.columns):
        parser.error(f"--columns {','.join(options.columns)}: each name must be there once")
    if options.columns and (options.file is None or is_parquet(options.file)):
        parser.error("--columns names the columns of a text file without a line of names; Parquet files have names")
    if not options.implicit:
        options.rating = options.rating or "rating"
    return options


def main() -> None:
    """Read, measure, recommend, write."""
    options = read_arguments()
    if dask.config.get("scheduler-address", None):  # set by DASK_SCHEDULER_ADDRESS; without a cluster threads do it
        Client()
    print(f"Ratings: {options.file or 'the sample that Apache Spark publishes and daskals ships'}")
    ratings = read_ratings(options).persist()
    als = ALS(
        userCol=options.user,
        itemCol=options.item,
        ratingCol=options.rating or "rating",
        implicitPrefs=options.implicit,
    )
    train, test = split(ratings, options)
    if options.implicit:
        measure_ranking(als, train, test, options.top)
    else:
        measure_ratings(als, train, test)
    table = recommend(als.fit(ratings), ratings, options.user, options.item, options.top)
    print(f"Recommendations: {len(table):,} to {table[options.user].nunique():,} users, such as")
    print(table.head(5).to_string(index=False))
    if options.out:
        if options.out.suffix == ".csv":
            table.to_csv(options.out, index=False)
        else:
            table.to_parquet(options.out, index=False)
        print(f"Written to {options.out}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, TypeError, ValueError) as error:  # what the file is to blame for: the message says what to do
        sys.exit(f"own_ratings: {error}")
