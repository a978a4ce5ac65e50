"""Run by check_wheel.py where daskals is installed without any extra, or (--compiled) with `fast`.

The last word that it writes is the version of daskals.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import daskals
from daskals import ALS, ALSModel, kernels, plots
from daskals.datasets import load_sample
from daskals.evaluation import RegressionEvaluator
from daskals.serving import LocalModel

OPTIONAL = ("numba", "threadpoolctl", "tqdm", "matplotlib", "bokeh", "pytest")


def check_users(model, ratings, regParam):
    """Each user's factors are the least squares of his ratings, given the items' factors."""
    users, items = (
        dict(zip(frame["id"], map(np.array, frame["features"]), strict=True))
        for frame in (model.userFactors, model.itemFactors)
    )
    for user, rated in ratings.groupby("user"):
        y = np.array([items[item] for item in rated["item"]], float)
        a = y.T @ y + regParam * len(rated) * np.eye(y.shape[1])
        np.testing.assert_allclose(users[user], np.linalg.solve(a, y.T @ rated["rating"]), rtol=1e-3, atol=1e-4)


def check_command(ratings):
    """The installed command, as a process: its demonstration, and recommendations for a file."""
    with tempfile.TemporaryDirectory() as folder:

        def run(*words):
            command = [Path(sys.executable).with_name("daskals"), *words]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

        run("demo")
        ratings.to_csv(Path(folder) / "ratings.csv", index=False)
        run("recommend", "ratings.csv", "-n", "3", "--out", "best.csv")
        best = pd.read_csv(Path(folder) / "best.csv")
    assert best.groupby("user").size().eq(3).all()
    assert best["user"].nunique() == ratings["user"].nunique()
    assert best[["user", "item"]].merge(ratings, on=["user", "item"]).empty, "what was seen is recommended"


def check_pictures(model):
    """Without matplotlib they say what to install."""
    message = "there is no matplotlib, and yet there is a picture"
    try:
        plots.trainingCurve(model)
    except ImportError as error:
        message = str(error)
    assert "pip install 'daskals[viz]'" in message, message


def main():
    compiled = sys.argv[1:] == ["--compiled"]
    optional = [name for name in OPTIONAL if not (compiled and name in ("numba", "threadpoolctl"))]
    there = [name for name in optional if importlib.util.find_spec(name)]
    assert not there, f"daskals brings {', '.join(there)}, which it can do without"
    assert kernels.backend == ("numba" if compiled else "numpy")
    ratings = load_sample()
    assert len(ratings) == 1501
    model = ALS(rank=5, regParam=0.2, seed=1, coldStartStrategy="drop").fit(ratings)
    check_users(model, ratings, regParam=0.2)
    predictions = model.transform(ratings)
    rmse = RegressionEvaluator(labelCol="rating").evaluate(predictions)
    expected = np.sqrt(np.mean((predictions["rating"] - predictions["prediction"]) ** 2))
    assert abs(rmse - expected) < 1e-6 < expected < ratings["rating"].std()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model")
        model.save(path)
        loaded = ALSModel.load(path)
        assert loaded.transform(ratings).equals(predictions)
        unseen = loaded.recommendForUserSubset(ratings[["user"]].iloc[:3], 4, exclude=ratings)
        local = LocalModel.load(path)
        user, lists = unseen.iloc[0]
        seen = ratings.loc[ratings["user"] == user, "item"]
        answer = [scored.id for scored in local.recommend(user, 4, exclude=seen)]
        assert answer == [each["item"] for each in lists]
        assert not set(answer) & set(seen)
    check_command(ratings)
    check_pictures(model)
    print(sys.version_info[:2], daskals.__file__, daskals.__version__)


if __name__ == "__main__":
    main()
