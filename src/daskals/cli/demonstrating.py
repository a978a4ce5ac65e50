"""A first success: data that are at hand, a fit, its error, and recommendations to three users."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import pandas as pd

from daskals.cli.recommending import usual_support
from daskals.cli.talking import in_words, say, show_json
from daskals.cli.titling import add_titles
from daskals.cli.writing import aligned
from daskals.datasets import MOVIELENS_NAMES, load_movielens, load_movielens_titles, load_sample, randomSplit
from daskals.evaluation import RegressionEvaluator
from daskals.recommendation import ALS

USERS, ITEMS = 3, 5
COMMANDS = """\
Now with your own ratings, in a file that has a line such as user,item,rating for each:
    daskals recommend ratings.csv --out recommendations.csv
or, to keep the model:
    daskals fit ratings.csv
    daskals recommend ratings.model --user 42"""


def demonstrate(data: str, *, as_json: bool) -> None:
    """Show it."""
    ratings, titles = _data(data)
    users, items = ratings["user"].nunique(), ratings["item"].nunique()
    size = f"{in_words(len(ratings), 'rating')} of {in_words(items, 'film')} by {in_words(users, 'user')}"
    als = ALS(rank=10, maxIter=10, regParam=0.1, coldStartStrategy="drop")
    say(f"{data}: {size}. Fitting a model to nine tenths of them, to measure it with the others")
    train, test = randomSplit(ratings, [0.9, 0.1], seed=0)
    evaluator = RegressionEvaluator(labelCol="rating")
    rmse = evaluator.evaluate(als.fit(train).transform(test))
    guess = evaluator.evaluate(test.assign(prediction=train["rating"].mean()))
    start = time.monotonic()
    model = als.fit(ratings)
    seconds = time.monotonic() - start
    some = pd.DataFrame({"user": sorted(ratings["user"].unique())[:USERS]})
    support = usual_support(ratings["item"].value_counts().to_numpy())
    best = model.recommendForUserSubset(some, ITEMS, exclude=ratings, minSupport=support, flat=True)
    table = best.rename(columns={"rating": "score"})[["user", "rank", "item", "score"]]
    table = add_titles(table, "item", titles)
    if as_json:
        facts: dict[str, Any] = {"data": data, "ratings": len(ratings), "users": users, "items": items, "rmse": rmse}
        show_json({**facts, "rmseOfMean": guess, "recommendations": table.to_dict(orient="records")})
        return
    click.echo(f"RMSE {rmse:.3f} on the others, where guessing the mean each time has {guess:.3f}")
    click.echo(f"Then all of them, in {seconds:.2f} s. The best {ITEMS} films that the first users have not rated:\n")
    click.echo(aligned(table))
    click.echo(f"\n{COMMANDS}")


def _data(name: str) -> tuple[pd.DataFrame, dict[str, str] | None]:
    """Ratings, and titles where there are any."""
    if name == "sample":
        return load_sample(), None
    path = None
    if name not in MOVIELENS_NAMES:
        folder = Path(name)
        if not folder.is_dir():
            raise click.BadParameter(f"{name!r} is none of sample, {', '.join(MOVIELENS_NAMES)}, and no folder of one")
        found = next((each for each in MOVIELENS_NAMES if folder.resolve().name.lower() == each), "ml-latest-small")
        name, path = found, folder
    try:
        titles = load_movielens_titles(name, path)
        ratings = load_movielens(name, path)
    except ConnectionError as error:
        what, *_ = str(error).split("load_movielens(")
        raise ConnectionError(f"{what}daskals demo FOLDER; 'daskals demo' alone needs no network") from None
    return ratings, {str(item): title for item, title in titles.items()}
