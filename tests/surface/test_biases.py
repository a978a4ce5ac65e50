"""Fits with biases, beside least squares as they stand in the papers: float64, dense, one row after another.

A prediction is  mean + b_u + b_i + f_u . f_i,  and what is minimised

    sum over ratings  W (r - prediction)^2  +  sum over users and items  reg n^v (|f|^2 + b^2)

where W is the weight of a rating, n the sum of W over the ratings of a row, and mean the weighted mean of the ratings.
"""

import importlib
import pickle
from contextlib import nullcontext
from typing import NamedTuple

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest
from distributed import get_task_stream
from pandas.testing import assert_frame_equal
from support import cmfrec_biases
from support.marks import a_few
from support.models import edit_metadata, pandas, write_spark_model

from daskals import ALS, ALSModel, kernels
from daskals.blocks.biases import biases_of
from daskals.blocks.least_squares import pack_sources, solve_block
from daskals.blocks.ratings import InBlock
from daskals.blocks.streamed import accumulate, solve_accumulated
from daskals.evaluation import RegressionEvaluator
from daskals.kernels.objective import Objective, Solver
from daskals.serving import LocalModel
from daskals.tuning import CrossValidator, CrossValidatorModel, ParamGridBuilder

RMSE = RegressionEvaluator(labelCol="rating")
FIT = {"rank": 3, "maxIter": 3, "regParam": 0.1, "seed": 5, "biases": True, "numUserBlocks": 3, "numItemBlocks": 2}
#: What else a fit may be asked for; a column "weight" is there.
KINDS = {
    "plain": {},
    "rank 1": {"rank": 1},
    "more factors than ratings": {"rank": 30, "regParam": 0.02},
    "many factors": {"rank": 45, "regParam": 0.5},
    "regExponent 0": {"regExponent": 0.0, "regParam": 2.0},
    "regExponent 0.5": {"regExponent": 0.5},
    "a regularisation of each side": {"userRegParam": 0.3, "itemRegParam": 0.03},
    "weights": {"weightCol": "weight"},
    "weights by counts": {"userCountExponent": 0.5, "itemCountExponent": 0.25},
    "all of it": {"weightCol": "weight", "itemCountExponent": 0.5, "regExponent": 0.5, "itemRegParam": 0.2},
}
each_kind = pytest.mark.parametrize("kind", KINDS)
SOLVERS = {"cholesky": {}, "cg": {"solver": "cg", "cgSteps": 2}, "subspace": {"solver": "subspace", "subspaceSize": 2}}
each_solver = pytest.mark.parametrize("solver", SOLVERS)


def als(**more):
    return ALS(**{**FIT, **more})


@pytest.fixture(scope="module")
def frame():
    """800 ratings of 60 users and 35 items, of which some pairs stand twice, in no order; ids have gaps."""
    rng = np.random.default_rng(11)
    users, items = rng.integers(0, 60, 800), rng.integers(0, 35, 800)
    likes = rng.normal(size=60)[users] * 0.5 + rng.normal(size=35)[items] * 0.7
    likes += (rng.normal(size=(60, 2))[users] * rng.normal(size=(35, 2))[items]).sum(axis=1)
    ratings = np.clip(np.round(2 * (3.4 + likes)) / 2, 0.5, 5)
    return pd.DataFrame({"user": users * 3, "item": items * 7 - 20, "rating": ratings,
                         "weight": rng.integers(1, 5, 800) / 2})  # fmt: skip


@pytest.fixture(scope="module")
def model(frame):
    with dask.config.set(scheduler="threads"):
        return als().fit(frame)


# ---- the reference ---------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """Ratings by positions, and what is minimised."""

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    weights: np.ndarray
    mean: float
    #: (users,), (items,): the penalty of each row
    user_penalty: np.ndarray
    item_penalty: np.ndarray

    def predictions(self, users, items):
        """Of each rating; rows are [f, b]."""
        X, Y = users[self.users], items[self.items]
        return self.mean + X[:, -1] + Y[:, -1] + np.sum(X[:, :-1] * Y[:, :-1], axis=1)

    def squared_error(self, users, items):
        return float(np.sum(self.weights * (self.ratings - self.predictions(users, items)) ** 2))

    def objective(self, users, items):
        penalty = self.user_penalty @ np.sum(users**2, axis=1) + self.item_penalty @ np.sum(items**2, axis=1)
        return self.squared_error(users, items) + float(penalty)

    def solved(self, own, other, penalties, theirs):
        """The rows of the side ``own`` (a position for each rating), those of the other being ``theirs``."""
        rows = np.zeros((len(penalties), theirs.shape[1]))
        for row, c in enumerate(penalties):
            mine = own == row
            sources, w = theirs[other[mine]], self.weights[mine]
            design = np.column_stack([sources[:, :-1], np.ones(len(sources))])
            target = self.ratings[mine] - self.mean - sources[:, -1]
            if w.any():
                matrix = design.T @ (w[:, None] * design) + c * np.eye(design.shape[1])
                rows[row] = np.linalg.solve(matrix, design.T @ (w * target))
        return rows

    def new_users(self, items):
        return self.solved(self.users, self.items, self.user_penalty, items)

    def new_items(self, users):
        return self.solved(self.items, self.users, self.item_penalty, users)


def problem_of(frame, params):
    """The problem that a fit with these parameters solves."""
    values = {**FIT, **params}
    users, items = (np.unique(frame[name], return_inverse=True)[1] for name in ("user", "item"))
    weights = frame[values["weightCol"]].to_numpy(np.float64) if "weightCol" in values else np.ones(len(frame))
    a, b = values.get("userCountExponent", 0.0), values.get("itemCountExponent", 0.0)
    by_count = np.bincount(users)[users] ** -a * np.bincount(items)[items] ** -b
    weights = weights * by_count / by_count.mean()
    ratings, power = frame["rating"].to_numpy(np.float64), values.get("regExponent", 1.0)
    reg = [values.get(name, values["regParam"]) for name in ("userRegParam", "itemRegParam")]
    user_penalty, item_penalty = (
        each * np.bincount(side, weights) ** power for each, side in zip(reg, (users, items), strict=True)
    )
    mean = float(weights @ ratings / weights.sum())
    return Problem(users, items, ratings, weights, mean, user_penalty, item_penalty)


def start_of(frame, params):
    """The rows of the users before the first iteration, as a fit without biases has them; their biases are 0."""
    start = ALS(**{**FIT, **params, "biases": False, "maxIter": 0}).fit(frame)
    rows = np.stack(pandas(start.userFactors)["features"]).astype(np.float64)
    return np.column_stack([rows, np.zeros(len(rows))])


def reference(frame, params):
    """(problem, rows of users, rows of items) after the iterations."""
    problem, users = problem_of(frame, params), start_of(frame, params)
    for _ in range({**FIT, **params}["maxIter"]):
        items = problem.new_items(users)
        users = problem.new_users(items)
    return problem, users, items


def wide(side):
    (side,) = dask.compute(side)
    return np.stack([np.asarray(each) for each in pandas(side)["features"]]).astype(np.float64)


def narrow(model):
    """The rows [f, b] of users and of items, from what the model shows."""
    sides = []
    for factors, biases in ((model.userFactors, model.userBiases), (model.itemFactors, model.itemBiases)):
        assert pandas(factors)["id"].tolist() == pandas(biases)["id"].tolist()
        sides.append(np.column_stack([wide(factors)[:, :-2], pandas(biases)["bias"]]))
    return sides


def bits(model):
    return wide(model.userFactors), wide(model.itemFactors)


def assert_same_bits(model, expected):
    for mine, its in zip(bits(model), bits(expected), strict=True):
        np.testing.assert_array_equal(mine, its)
    assert model.intercept == expected.intercept


def assert_rows(model, users, items, atol):
    for mine, its in zip(narrow(model), (users, items), strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=atol)


# ---- factors and biases ----------------------------------------------------------------------------------


@each_kind
def test_factors_and_biases_are_those_of_the_reference(frame, kind):
    params = {**KINDS[kind], "precision": "double"}
    problem, users, items = reference(frame, params)
    model = als(**params).fit(frame)
    assert model.intercept == pytest.approx(problem.mean, rel=1e-7)
    assert_rows(model, users, items, 1e-5)
    assert model.history["objective"].iloc[-1] == pytest.approx(problem.objective(users, items), rel=1e-6)


@each_kind
def test_single_precision_comes_close(frame, kind):
    problem, users, items = reference(frame, KINDS[kind])
    model = als(**KINDS[kind]).fit(frame)
    predicted = model.transform(frame)["prediction"]
    np.testing.assert_allclose(predicted, problem.predictions(users, items), rtol=0, atol=1e-3)
    np.testing.assert_allclose(narrow(model)[0][:, -1], users[:, -1], rtol=0, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 9), (40, 2, 60), (3, 50, 120), (200, 90, 1500)])
def test_tables_of_other_shapes(shape):
    n_users, n_items, n = shape
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"user": rng.integers(0, n_users, n), "item": rng.integers(0, n_items, n),
                          "rating": rng.integers(1, 6, n)})  # fmt: skip
    params = {"precision": "double", "rank": 4}
    problem, users, items = reference(frame, params)
    model = als(**params).fit(frame)
    assert_rows(model, users, items, 1e-5)
    assert model.rank == 6
    assert [each.shape[1] for each in bits(model)] == [6, 6]
    predicted = model.transform(frame)["prediction"]
    np.testing.assert_allclose(predicted, problem.predictions(users, items), rtol=0, atol=1e-5)


@pytest.mark.parametrize("start", [{"numUserBlocks": 1}, {"sparkRandom": "2"}, {"startScale": 0.1}, {"seed": -7}])
def test_start_values_are_those_of_a_fit_without_biases(frame, start):
    params = {**start, "precision": "double"}
    assert_rows(als(**params).fit(frame), *reference(frame, params)[1:], 1e-5)
    first = als(**start, maxIter=0).fit(frame)
    assert len(first.history) == 0
    for mine, factors in zip(narrow(first), ("userFactors", "itemFactors"), strict=True):
        plain = wide(getattr(als(**start, maxIter=0, biases=False).fit(frame), factors))
        np.testing.assert_array_equal(mine[:, :-1], plain)
        assert not mine[:, -1].any()


def test_every_scheduler_gives_the_factors_of_the_reference(frame, scheduler):
    params = {"precision": "double", "userCountExponent": 0.5}
    assert_rows(als(**params).fit(frame), *reference(frame, params)[1:], 1e-5)


def test_blocks_partitions_and_the_order_of_rows_do_not_matter(frame):
    params = {**KINDS["all of it"], "precision": "double"}
    _, users, items = reference(frame, params)
    shuffled = frame.sample(frac=1, random_state=4).reset_index(drop=True)
    for blocks, data in (((1, 1), shuffled), ((11, 7), frame), ((3, 2), dd.from_pandas(shuffled, npartitions=4))):
        with dask.config.set({"daskals.user-blocks": blocks[0], "daskals.item-blocks": blocks[1]}):
            assert_rows(als(**params).fit(data), users, items, 1e-5)


def test_ids_of_strings_and_frames_of_other_libraries(frame, model):
    text = frame.assign(user="u" + frame.user.astype(str), item="i" + frame.item.astype(str))
    found = als(maxIter=20, tol=1e-7).fit(pl.from_pandas(text))
    assert isinstance(found.userBiases, pl.DataFrame)
    biases = dict(found.itemBiases.iter_rows())
    expected = als(maxIter=20, tol=1e-7, seed=9).fit(frame).itemBiases
    assert biases.keys() == set(text.item)
    # other ids begin elsewhere; which items are liked is the same
    ours = [biases[f"i{item}"] for item in expected["id"]]
    assert np.corrcoef(ours, expected["bias"])[0, 1] > 0.9


def test_a_user_whose_ratings_all_weigh_nothing_has_no_bias(frame):
    weighed = frame.assign(weight=frame.weight.where(frame.user != 9, 0.0))
    params = {"weightCol": "weight", "precision": "double"}
    model = als(**params).fit(weighed)
    assert_rows(model, *reference(weighed, params)[1:], 1e-5)
    assert model.userBiases.set_index("id")["bias"][9] == 0
    assert model.intercept == pytest.approx(np.average(weighed.rating, weights=weighed.weight), rel=1e-7)


# ---- the objective ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("kind", ["plain", "many factors", "all of it"])
def test_no_small_step_of_a_user_lowers_the_objective(frame, kind, precision):
    """The gradient with respect to the side that was solved last vanishes: that of factors and of biases."""
    problem = problem_of(frame, KINDS[kind])
    users, items = narrow(als(**KINDS[kind], precision=precision).fit(frame))
    residuals = problem.weights * (problem.ratings - problem.predictions(users, items))
    design = np.column_stack([items[:, :-1], np.ones(len(items))])[problem.items]
    gradient = 2 * problem.user_penalty[:, None] * users
    scale = 2 * problem.user_penalty[:, None] * np.abs(users)
    np.add.at(gradient, problem.users, -2 * residuals[:, None] * design)
    np.add.at(scale, problem.users, 2 * np.abs(residuals[:, None] * design))
    assert np.abs(gradient).max() < (3e-6 if precision == "double" else 1e-4) * scale.max()
    assert np.abs(gradient[:, -1]).max() < (3e-6 if precision == "double" else 1e-4) * scale[:, -1].max()
    assert scale[:, -1].max() > 1


@each_kind
def test_the_history_tells_the_objective(frame, kind):
    problem = problem_of(frame, KINDS[kind])
    model = als(**KINDS[kind]).fit(frame)
    users, items = narrow(model)
    last = model.history.iloc[-1]
    assert last["objective"] == pytest.approx(problem.objective(users, items), rel=1e-5)
    expected = np.sqrt(problem.squared_error(users, items) / problem.weights.sum())
    assert last["rmse"] == pytest.approx(expected, rel=1e-4)


@each_solver
@pytest.mark.parametrize("kind", ["plain", "all of it"])
def test_the_objective_never_rises(frame, kind, solver):
    objective = als(**KINDS[kind], **SOLVERS[solver], maxIter=15).fit(frame).history["objective"].to_numpy()
    assert (np.diff(objective) <= 1e-6 * objective[:-1]).all()
    assert objective[-1] < 0.9 * objective[0]


@each_solver
def test_the_history_of_other_solvers_tells_the_objective(frame, solver):
    model = als(**SOLVERS[solver]).fit(frame)
    expected = problem_of(frame, {}).objective(*narrow(model))
    assert model.history["objective"].iloc[-1] == pytest.approx(expected, rel=1e-5)


def test_many_steps_of_conjugate_gradients_are_exact(frame, model):
    found = als(solver="cg", cgSteps=20).fit(frame)
    for mine, its in zip(narrow(found), narrow(model), strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-3)


def test_a_subspace_of_all_columns_is_exact(frame, model):
    """The bias is one of the columns."""
    found = als(solver="subspace", subspaceSize=4).fit(frame)
    for mine, its in zip(narrow(found), narrow(model), strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-3)


@pytest.mark.parametrize("more", [SOLVERS["cg"], SOLVERS["subspace"], {"solver": "subspace", "subspaceSize": 3}])
def test_other_solvers_come_to_the_same_end(frame, more):
    """Of a problem that has one end alone: one factor, much regularised."""
    params = {"rank": 1, "regParam": 0.3, "maxIter": 60}
    expected, found = (als(**params, **each).fit(frame) for each in ({}, more))
    assert found.history["objective"].iloc[-1] == pytest.approx(expected.history["objective"].iloc[-1], rel=1e-5)
    np.testing.assert_allclose(found.itemBiases["bias"], expected.itemBiases["bias"], rtol=0, atol=2e-3)


# ---- what the model tells --------------------------------------------------------------------------------


def test_a_prediction_is_the_mean_both_biases_and_the_dot_product(model):
    users, items = narrow(model)
    pairs = pd.DataFrame(
        [(user, item) for user in model.userBiases["id"] for item in model.itemBiases["id"]], columns=["user", "item"]
    )
    expected = model.intercept + users[:, -1:] + items[:, -1] + users[:, :-1] @ items[:, :-1].T
    for data in (pairs, dd.from_pandas(pairs, npartitions=3)):
        found = pandas(model.transform(data))["prediction"].to_numpy()
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=0, atol=1e-5)


def test_intercept_and_frames_of_biases(frame, model):
    assert model.intercept == pytest.approx(frame.rating.mean(), rel=1e-7)
    assert model.rank == FIT["rank"] + 2
    assert model.parent.getRank() == FIT["rank"]
    for found, name in ((model.userBiases, "user"), (model.itemBiases, "item")):
        assert found.columns.tolist() == ["id", "bias"]
        assert found["id"].tolist() == sorted(frame[name].unique())
        assert (found["id"].dtype, found["bias"].dtype) == (frame[name].dtype, np.float32)
    assert (wide(model.userFactors)[:, -1] == 1).all()
    assert (wide(model.itemFactors)[:, -2] == 1).all()
    lazy = als().fit(dd.from_pandas(frame, npartitions=3))
    assert isinstance(lazy.userBiases, dd.DataFrame)
    assert_frame_equal(lazy.userBiases.compute().reset_index(drop=True), model.userBiases)
    assert lazy.itemBiases.dtypes.to_dict() == model.itemBiases.dtypes.to_dict()


def test_a_model_without_biases_has_no_intercept_and_says_why(frame, tmp_path):
    model = als(biases=False).fit(frame)
    assert model.intercept is None
    assert model.rank == FIT["rank"]
    for name in ("userBiases", "itemBiases"):
        with pytest.raises(ValueError, match="has no biases: it was not fitted with biases=True"):
            getattr(model, name)
    of_spark = ALSModel.load(str(write_spark_model(tmp_path / "spark")))
    assert of_spark.intercept is None
    with pytest.raises(ValueError, match="as those that Spark wrote"):
        of_spark.itemBiases.compute()


def test_recommendations_are_the_best_of_all_predictions(frame, model):
    users, items = narrow(model)
    scores = model.intercept + users[:, -1:] + items[:, -1] + users[:, :-1] @ items[:, :-1].T
    item_ids, user_ids = (side["id"].to_numpy() for side in (model.itemBiases, model.userBiases))
    for found, table, ids in (
        (model.recommendForAllUsers(5), scores, item_ids),
        (model.recommendForAllItems(5), scores.T, user_ids),
    ):
        for row, recommended in enumerate(found["recommendations"]):
            best = np.argsort(-table[row])[:5]
            (name,) = {key for key in recommended[0] if key != "rating"}
            np.testing.assert_allclose([each["rating"] for each in recommended], table[row, best], rtol=0, atol=1e-5)
            chosen = np.searchsorted(ids, [each[name] for each in recommended])
            np.testing.assert_allclose(table[row, chosen], table[row, best], rtol=0, atol=1e-5)
    flat = model.recommendForAllUsers(35, exclude=frame, flat=True)
    assert not len(flat.merge(frame, on=["user", "item"]))
    assert len(flat) == 60 * 35 - len(frame.drop_duplicates(["user", "item"]))
    predicted = model.transform(flat)
    np.testing.assert_allclose(predicted["rating"], predicted["prediction"], rtol=0, atol=1e-5)
    assert (flat.groupby("user")["rating"].diff().dropna() <= 0).all()


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_neighbours_are_compared_without_their_biases(model, metric):
    """Two items that are liked by all are not for that alike: factors say what they are like."""
    for method, side in (("similarItems", 1), ("similarUsers", 0)):
        rows, ids = narrow(model)[side][:, :-1], (model.userBiases, model.itemBiases)[side]["id"].to_numpy()
        if metric == "cosine":
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        likeness = rows @ rows.T
        np.fill_diagonal(likeness, -np.inf)
        found = getattr(model, method)(None, 4, metric=metric, flat=True)
        shown = found["similarity"].to_numpy().reshape(len(ids), 4)
        np.testing.assert_allclose(shown, -np.sort(-likeness, axis=1)[:, :4], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["plain", "all of it"])
def test_contributions_and_the_baseline_add_up_to_the_score(frame, kind):
    model = als(**KINDS[kind]).fit(frame)
    pairs = pd.DataFrame({"user": frame.user.unique()[:4]}).merge(pd.DataFrame({"item": [-20, 1, 22]}), how="cross")
    biases = model.itemBiases.set_index("id")["bias"]
    for user, item, predicted in model.transform(pairs)[["user", "item", "prediction"]].itertuples(index=False):
        found = model.explain(user, item, 3, frame)
        every = model.explain(user, item, 1000, frame)
        assert found.attrs["baseline"] == pytest.approx(model.intercept + biases[item], abs=1e-5)
        total = every["contribution"].sum() + every.attrs["baseline"]
        assert total == pytest.approx(found.attrs["score"], abs=1e-9)
        assert total == pytest.approx(predicted, abs=1e-4)
        assert len(every) == (frame.user == user).sum()


def test_a_contribution_is_what_the_score_would_lose(frame, model):
    """Of a linear system: a rating that is one higher adds as much as it contributes for each that it is above."""
    mine = frame[frame.user == 30].drop_duplicates("item").reset_index(drop=True)
    item = int(frame.item.iloc[0])
    before = model.explain(30, item, 100, mine)
    raised = model.explain(30, item, 100, mine.assign(rating=mine.rating.where(mine.index != 2, mine.rating + 1)))
    biases = model.itemBiases.set_index("id")["bias"]
    above = mine.rating[2] - model.intercept - biases[mine.item[2]]
    share = before.set_index("item")["contribution"][mine.item[2]]
    assert raised.attrs["score"] - before.attrs["score"] == pytest.approx(share / above, rel=1e-3)


# ---- new users and items ---------------------------------------------------------------------------------


@each_kind
def test_users_that_are_folded_in_get_the_rows_of_a_half_step(frame, kind):
    """All at once; and one alone, whose ratings have another mean than those of the fit."""
    model = als(**KINDS[kind]).fit(frame)
    folded = model.foldInUsers(frame)
    for mine, its in zip(narrow(folded), narrow(model), strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-5)
    assert folded.intercept == model.intercept
    one = frame[frame.user == 30].assign(user=1000)
    assert abs(one.rating.mean() - frame.rating.mean()) > 0.05
    newcomer = model.foldInUsers(one)
    assert newcomer.userBiases["id"].tolist() == [*model.userBiases["id"], 1000]
    biases = newcomer.userBiases.set_index("id")["bias"]
    assert biases[1000] == pytest.approx(biases[30], abs=1e-5)
    np.testing.assert_allclose(wide(newcomer.userFactors)[-1], wide(model.userFactors)[10], rtol=0, atol=1e-5)
    assert newcomer.intercept == model.intercept


def test_items_that_are_folded_in_get_the_rows_of_the_next_iteration(frame, model):
    folded, after = model.foldInItems(frame), als(maxIter=4).fit(frame)
    np.testing.assert_allclose(narrow(folded)[1], narrow(after)[1], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(narrow(folded)[0], narrow(model)[0])


def test_folded_in_rows_with_another_regularisation(frame, model):
    problem, (_, items) = problem_of(frame, {"regParam": 0.7}), narrow(model)
    found = narrow(model.foldInUsers(frame, regParam=0.7))[0]
    np.testing.assert_allclose(found, problem.new_users(items), rtol=0, atol=1e-4)


def test_folding_in_on_every_scheduler_and_from_dask_frames(frame, model, scheduler):
    found = model.foldInUsers(dd.from_pandas(frame[frame.user < 60], npartitions=3))
    for mine, its in zip(narrow(found), narrow(model), strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-5)


def test_strangers_get_recommendations_by_their_ratings(frame, model):
    mine = frame[frame.user.isin([30, 33])]
    found = model.recommendForRatings(mine.assign(user=mine.user + 10_000), 6, flat=True)
    expected = model.recommendForUserSubset(mine, 6, exclude=mine, flat=True)
    assert (found["user"] - 10_000).tolist() == expected["user"].tolist()
    assert found["item"].tolist() == expected["item"].tolist()
    np.testing.assert_allclose(found["rating"], expected["rating"], rtol=0, atol=1e-5)


# ---- strangers -------------------------------------------------------------------------------------------

STRANGERS = pd.DataFrame({"user": [30, 10_000, 10_000, 30, 0], "item": [10_000, 1, 10_000, 1, 10_001], "n": range(5)})


def test_the_mean_and_the_known_bias_are_predicted_for_strangers(model, scheduler):
    users, items = (side.set_index("id")["bias"] for side in (model.userBiases, model.itemBiases))
    expected = [users[30], items[1], 0.0, None, users[0]]
    known = model.transform(STRANGERS.iloc[[3]])["prediction"].iloc[0]
    for data in (STRANGERS, dd.from_pandas(STRANGERS, npartitions=2)):
        found = pandas(model.transform(data, {model.coldStartStrategy: "bias"}))
        assert found["n"].tolist() == list(range(5))
        assert found["prediction"].dtype == np.float32
        for predicted, bias in zip(found["prediction"], expected, strict=True):
            assert predicted == pytest.approx(known if bias is None else model.intercept + bias, abs=1e-6)
    assert len(model.transform(STRANGERS.head(0), {model.coldStartStrategy: "bias"})) == 0


def test_other_strategies_for_strangers_are_as_before(model):
    found = model.transform(STRANGERS)["prediction"]
    assert found.isna().tolist() == [True, True, True, False, True]
    kept = model.transform(STRANGERS, {model.coldStartStrategy: "drop"})
    assert kept["n"].tolist() == [3]
    assert kept["prediction"].iloc[0] == found[3]


def test_the_strategy_may_be_set_for_the_fit_or_for_the_model(frame, model):
    expected = model.transform(STRANGERS, {model.coldStartStrategy: "bias"})["prediction"].tolist()
    fitted = als(coldStartStrategy="Bias").fit(frame)
    assert fitted.transform(STRANGERS)["prediction"].tolist() == expected
    assert model.copy().setColdStartStrategy("bias").transform(STRANGERS)["prediction"].tolist() == expected
    array = STRANGERS[["user", "item"]].to_numpy()
    assert fitted.transform(array).tolist() == expected


def test_users_and_items_that_were_folded_in_are_no_strangers(frame, model):
    fresh = pd.DataFrame({"user": [10_000, 10_000], "item": [1, 8], "rating": [5.0, 4.5]})
    folded = model.foldInUsers(fresh).setColdStartStrategy("bias")
    found = folded.transform(STRANGERS)["prediction"]
    bias = folded.userBiases.set_index("id")["bias"][10_000]
    assert bias > 0
    assert found[2] == pytest.approx(model.intercept + bias, abs=1e-6)
    assert found[0] == model.transform(STRANGERS, {model.coldStartStrategy: "bias"})["prediction"][0]


def test_biases_are_needed_to_predict_by_them(frame, tmp_path):
    model = als(biases=False).fit(frame)
    with pytest.raises(ValueError, match=r"coldStartStrategy='bias' needs biases.* Set 'nan' or 'drop'"):
        model.transform(STRANGERS, {model.coldStartStrategy: "bias"})
    of_spark = ALSModel.load(str(write_spark_model(tmp_path / "spark"))).setColdStartStrategy("bias")
    with pytest.raises(ValueError, match=r"needs biases.*Spark wrote"):
        of_spark.transform(STRANGERS.rename(columns={"user": of_spark.getUserCol()}))


# ---- files, and going on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "all of it"])
def test_a_saved_model_is_the_same_when_it_is_loaded(frame, kind, tmp_path):
    model = als(**KINDS[kind], coldStartStrategy="bias").fit(frame)
    model.save(str(tmp_path / "model"))
    loaded = ALSModel.load(str(tmp_path / "model"), frames="pandas")
    assert_same_bits(loaded, model)
    assert loaded.parent.getBiases()
    assert loaded.parent.extractParamMap() == model.parent.extractParamMap()
    assert loaded.getColdStartStrategy() == "bias"
    for name in ("userBiases", "itemBiases", "history"):
        assert_frame_equal(getattr(loaded, name), getattr(model, name))
    assert_frame_equal(loaded.transform(STRANGERS), model.transform(STRANGERS))
    assert_same_bits(loaded.foldInUsers(frame), model.foldInUsers(frame))
    assert_frame_equal(loaded.similarItems(1, 3, flat=True), model.similarItems(1, 3, flat=True))
    mine, theirs = (each.explain(30, 1, 5, frame) for each in (loaded, model))
    assert_frame_equal(mine, theirs)
    assert mine.attrs == theirs.attrs
    folded = model.foldInUsers(frame[frame.user == 30].assign(user=1000))
    folded.save(str(tmp_path / "folded"))
    assert_same_bits(ALSModel.load(str(tmp_path / "folded")), folded)


@pytest.mark.parametrize(
    ("params", "words"),
    [({}, "it has biases, and nothing tells the mean"),
     ({"biases": False, "itemCountExponent": 0.5}, "it has weights by numbers of ratings, and nothing tells their")],
)  # fmt: skip
def test_a_model_whose_files_do_not_tell_what_the_fit_has_learned_is_refused(frame, params, words, tmp_path):
    """Rows that are folded in would be wrong, and nobody would see it."""
    path = str(tmp_path / "model")
    als(**params).fit(frame).save(path)
    edit_metadata(path, lambda fields: fields["daskals"]["parent"].pop("learned"))
    for kind in (ALSModel, LocalModel):
        with pytest.raises(ValueError, match=rf"metadata of .*model are damaged in daskals.parent: {words}"):
            kind.load(path)


def test_a_saved_estimator_has_biases_when_it_is_loaded(tmp_path):
    als(coldStartStrategy="bias", regExponent=0.5).save(str(tmp_path / "als"))
    loaded = ALS.load(str(tmp_path / "als"))
    assert loaded.getBiases()
    assert loaded.getColdStartStrategy() == "bias"
    assert "biases" in loaded.explainParams()


def test_a_pickled_model_is_the_same(frame, model):
    again = pickle.loads(pickle.dumps(model))
    assert_same_bits(again, model)
    assert_frame_equal(again.userBiases, model.userBiases)
    strategy = {again.coldStartStrategy: "bias"}
    assert_frame_equal(again.transform(STRANGERS, strategy), model.transform(STRANGERS, strategy))


class Interruption(Exception):
    """Ends a fit."""


def interrupt(iteration):
    if iteration.number == 5:
        raise Interruption


GOING_ON = {
    **SOLVERS,
    "weights": {"weightCol": "weight"},
    "weights by counts": {"userCountExponent": 0.5, "solver": "cg"},
}


@pytest.mark.parametrize("kind", GOING_ON)
def test_a_fit_that_goes_on_from_a_checkpoint_is_undisturbed_to_the_bit(frame, kind, tmp_path, cluster):
    """Some go on where they began, and one on a cluster."""
    params = {**GOING_ON[kind], "maxIter": 7}
    expected = als(**params).fit(frame)
    estimator = als(**params, checkpointDir=str(tmp_path), checkpointInterval=3)
    with pytest.raises(Interruption):
        estimator.fit(frame, callbacks=[interrupt])
    seen = []
    with cluster.as_current() if kind == "weights by counts" else nullcontext():
        model = estimator.fit(frame, resume=True, callbacks=[lambda each: seen.append(each.number)])
        assert seen == [4, 5, 6, 7]
        assert_same_bits(model, expected)
    columns = ["iteration", "objective", "rmse"]
    assert model.history[columns].to_numpy().tolist() == expected.history[columns].to_numpy().tolist()


def test_a_checkpoint_is_a_model_with_biases_and_of_fits_with_biases_alone(frame, tmp_path):
    params = {"checkpointDir": str(tmp_path), "checkpointInterval": 2, "maxIter": 2}
    model = als(**params).fit(frame)
    (path,) = tmp_path.glob("fit-*/iteration-000002")
    checkpoint = ALSModel.load(str(path))
    assert_same_bits(checkpoint, model)
    np.testing.assert_array_equal(checkpoint.itemBiases.compute()["bias"], model.itemBiases["bias"])
    with pytest.raises(ValueError, match="biases: True in the checkpoint, False now"):
        als(**params, **{"biases": False}).fit(frame, resume=True)


@each_solver
def test_a_fit_that_starts_from_a_model_goes_on_to_the_bit(frame, solver, tmp_path):
    first = als(**SOLVERS[solver], maxIter=3).fit(frame)
    expected = als(**SOLVERS[solver], maxIter=5).fit(frame)
    first.save(str(tmp_path / "first"))
    for start in (first, ALSModel.load(str(tmp_path / "first"))):
        model = als(**SOLVERS[solver], maxIter=2).fit(frame, initialModel=start)
        assert_same_bits(model, expected)


@each_solver
def test_a_start_from_the_model_of_ratings_with_another_mean(frame, solver):
    """What the model predicts is what the fit begins with, whatever the share of the mean in it."""
    first = als(maxIter=10).fit(frame)
    shifted = frame.assign(rating=frame.rating + 0.25)
    begin = als(maxIter=0).fit(shifted, initialModel=first)
    assert begin.intercept == pytest.approx(first.intercept + 0.25)
    predicted = begin.transform(frame)["prediction"]
    np.testing.assert_allclose(predicted, first.transform(frame)["prediction"], rtol=0, atol=1e-5)
    after = als(**SOLVERS[solver], maxIter=1).fit(shifted, initialModel=first)
    problem = problem_of(shifted, {})
    assert after.history["objective"][0] < problem.objective(*narrow(begin))
    assert after.history["objective"][0] == pytest.approx(problem.objective(*narrow(after)), rel=1e-5)


def test_models_with_and_without_biases_are_no_start_for_each_other(frame, model):
    plain = als(biases=False).fit(frame)
    with pytest.raises(ValueError, match=r"initialModel has no biases, and this fit has biases=True: set biases=False"):
        als().fit(frame, initialModel=plain)
    with pytest.raises(ValueError, match=r"initialModel has biases, and this fit has biases=False: set biases=True"):
        als(biases=False).fit(frame, initialModel=model)
    with pytest.raises(ValueError, match="initialModel has rank 3, and this fit has rank 2: set rank=3"):
        als(rank=2).fit(frame, initialModel=model)
    with pytest.raises(ValueError, match="set rank=3"):  # as many columns
        als(rank=5).fit(frame, initialModel=model)


# ---- several fits ----------------------------------------------------------------------------------------


def test_fits_of_a_grid_are_those_of_single_fits(frame):
    estimator = als()
    maps = [{estimator.regParam: 0.05}, {estimator.biases: False}, {estimator.userCountExponent: 0.5}, {}]
    found = dict(estimator.fitMultiple(frame, maps))
    for place, params in enumerate(maps):
        expected = estimator.copy(params).fit(frame)
        assert_same_bits(found[place], expected)
        assert found[place].rank == (3 if place == 1 else 5)
    assert found[2].intercept != found[3].intercept


def test_a_search_for_the_regularisation(frame, tmp_path):
    estimator = als(coldStartStrategy="bias")
    grid = ParamGridBuilder().addGrid(estimator.regParam, [0.02, 0.2, 2.0]).build()
    found = CrossValidator(
        estimator=estimator, estimatorParamMaps=grid, evaluator=RMSE, numFolds=3, seed=1, parallelism=2
    ).fit(frame)
    best = int(np.argmin(found.avgMetrics))
    assert np.isfinite(found.avgMetrics).all()
    assert_same_bits(found.bestModel, estimator.copy(grid[best]).fit(frame))
    found.save(str(tmp_path / "search"))
    loaded = CrossValidatorModel.load(str(tmp_path / "search")).bestModel
    assert_same_bits(loaded, found.bestModel)
    assert_frame_equal(loaded.transform(STRANGERS), found.bestModel.transform(STRANGERS))


def test_held_out_ratings_are_predicted_with_biases(frame):
    train, held = frame.iloc[150:], frame.iloc[:150]
    model = als(regParam=0.02, maxIter=6).fit(train, validation=held)
    expected = [RMSE.evaluate(als(regParam=0.02, maxIter=n).fit(train).transform(held).dropna()) for n in range(1, 7)]
    np.testing.assert_allclose(model.history["validationRmse"], expected, rtol=1e-5)
    assert_same_bits(model, als(regParam=0.02, maxIter=model.bestIteration).fit(train))


def test_biases_help_where_there_are_few_ratings(ml100k):
    """What they are for; and what they say of strangers is not much worse."""
    few = ml100k.base.sample(frac=0.25, random_state=1)
    rmse = {}
    for biases in (True, False):
        model = ALS(rank=4, maxIter=6, regParam=0.3, seed=1, biases=biases, coldStartStrategy="drop").fit(few)
        rmse[biases] = RMSE.evaluate(model.transform(ml100k.test))
        if biases:
            everybody = RMSE.evaluate(model.transform(ml100k.test, {model.coldStartStrategy: "bias"}))
    assert rmse[True] < 1.03 < 1.07 < rmse[False]
    assert everybody < 1.03


# ---- what is refused -------------------------------------------------------------------------------------


def test_implicit_and_nonnegative_fits_are_refused(frame):
    with pytest.raises(ValueError, match=r"biases=True needs explicit ratings.*Set implicitPrefs=False, or biases=Fal"):
        als(implicitPrefs=True).fit(frame)
    with pytest.raises(ValueError, match=r"cannot be together with nonnegative=True.*half of them are negative"):
        als(nonnegative=True).fit(frame)
    with pytest.raises(TypeError, match="biases"):
        als(biases=1)


def test_rows_of_other_objectives_are_refused(frame, model):
    for wrong, words in (({"implicitPrefs": True}, "needs explicit ratings"), ({"nonnegative": True}, "together")):
        for call in (
            lambda wrong: model.foldInUsers(frame, **wrong),
            lambda wrong: model.recommendForRatings(frame, 3, **wrong),
            lambda wrong: model.explain(30, 1, 3, frame, **wrong),
        ):
            with pytest.raises(ValueError, match=words):
                call(wrong)


def test_a_user_whose_bias_nothing_determines_is_named(frame):
    """One rating, and no regularisation."""
    alone = pd.DataFrame({"user": [77], "item": [1], "rating": [2.0], "weight": [1.0]})
    for share in (0.3, 0.0):
        with (
            dask.config.set({"daskals.factor-share": share}),
            pytest.raises(ValueError, match="equations of the user with id 77"),
        ):
            als(userRegParam=0.0).fit(pd.concat([frame, alone]))


# ---- panel by panel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "double", "cg", "weights", "all of it"])
def test_streamed_fits_agree(frame, kind):
    params = {"double": {"precision": "double"}, **GOING_ON, **KINDS}[kind]
    expected = als(**params).fit(frame)
    with dask.config.set({"daskals.factor-share": 0, "daskals.panels": 2}):
        streamed = als(**params).fit(frame)
        folded = streamed.foldInUsers(frame)
    assert_nearly(streamed, expected, 1e-5 if kind == "double" else 2e-3)
    if "solver" not in params:
        np.testing.assert_allclose(narrow(folded)[0], narrow(streamed)[0], rtol=0, atol=1e-5)


def assert_nearly(streamed, expected, atol):
    assert_rows(streamed, *narrow(expected), atol)
    np.testing.assert_allclose(streamed.history["objective"], expected.history["objective"], rtol=1e-4)
    assert streamed.intercept == expected.intercept


@pytest.mark.parametrize("kind", a_few(["double", "all of it"], "all of it"))
def test_fits_that_are_streamed_on_a_cluster_agree(frame, kind, cluster):
    """Its workers have one panel of the other side at hand."""
    params = {"double": {"precision": "double"}, **KINDS}[kind]
    expected = als(**params).fit(frame)
    with (
        dask.config.set({"daskals.factor-share": 1e-9, "daskals.panels": 2}),
        cluster.as_current(),
        get_task_stream(client=cluster) as done,
    ):
        assert_nearly(als(**params).fit(frame), expected, 1e-5 if kind == "double" else 2e-3)
    assert any(each["key"].startswith("als-add-") for each in done.data)


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_rows_that_float32_cannot_tell_from_singular_ones_are_solved_in_float64(name, monkeypatch):
    """What is known of each source beforehand is not forgotten in the second try."""
    module = pytest.importorskip(f"daskals.kernels.{name}", reason="compiled kernels need numba")
    for function in module.__all__:
        monkeypatch.setattr(kernels, function, getattr(module, function), raising=False)
    column = np.linspace(1, 2, 12, dtype=np.float32)[:, None] * 1000
    biases = biases_of("users", 4, 3.0)
    items = np.concatenate([column, column, np.ones_like(column), column / 4000], axis=1)
    row = np.array([0.002, 0.001, 3.0 + 0.5, 1.0])
    ratings = (items @ row).astype(np.float32)
    # nobody has rated the first items: in the second try positions are counted anew
    block = InBlock(5, np.array([0, 9, 17]), np.r_[3:12, 4:12].astype(np.int32), ratings[np.r_[3:12, 4:12]])
    objective = Objective(1e-5)
    tries, solve = [], kernels.solve_rows
    monkeypatch.setattr(kernels, "solve_rows", lambda *args: tries.append(args[4].double) or solve(*args))
    solved = solve_block(block, pack_sources([items], None, objective, Solver(), biases), None, objective, Solver(),
                         biases=biases)  # fmt: skip
    assert tries == [False, True]
    np.testing.assert_allclose(items @ solved.rows[0], ratings, rtol=0, atol=2e-2)
    np.testing.assert_allclose(items @ solved.rows[1], ratings, rtol=0, atol=2e-2)
    assert (solved.rows[:, 3] == 1).all()
    whole = pack_sources([items[:5]], None, objective, Solver(), biases)
    rest = pack_sources([items[5:]], None, objective, Solver(), biases)
    equations = accumulate(block, 5, rest, objective, Solver(), accumulate(block, 0, whole, objective, Solver(), None))
    again = solve_accumulated(block, equations, None, objective, Solver(), biases=biases)
    np.testing.assert_allclose(items @ again.rows[0], ratings, rtol=0, atol=0.5)


# ---- known answers ---------------------------------------------------------------------------------------


@each_solver
@pytest.mark.parametrize("value", [3.5, 4.1, 0.0, -2.0])
def test_ratings_that_are_all_equal_are_the_mean(frame, value, solver):
    """Nothing is left for biases: factors are 0, or, where steps begin at random ones, become so."""
    model = als(**SOLVERS[solver], maxIter=60, regParam=0.2).fit(frame.assign(rating=value))
    assert model.intercept == np.float32(value)
    atol = 0 if solver == "cholesky" else 1e-5
    for rows in narrow(model):
        np.testing.assert_allclose(rows, 0, rtol=0, atol=atol)
    predicted = model.transform(frame)["prediction"]
    np.testing.assert_allclose(predicted, np.float32(value), rtol=0, atol=atol)


def test_a_mean_and_biases_are_found_where_there_is_nothing_else():
    rng = np.random.default_rng(8)
    users, items = np.nonzero(rng.random((50, 30)) < 0.5)
    own, other = rng.normal(size=50), rng.normal(size=30)
    whole = 3 + own[:, None] + other
    frame = pd.DataFrame({"user": users, "item": items, "rating": whole[users, items]})
    model = als(rank=1, regParam=1e-6, maxIter=40, startScale=0.01).fit(frame)
    pairs = pd.DataFrame([(user, item) for user in range(50) for item in range(30)], columns=["user", "item"])
    found = model.transform(pairs)["prediction"].to_numpy().reshape(50, 30)
    np.testing.assert_allclose(found, whole, rtol=0, atol=0.02)
    for biases, truth in ((model.userBiases["bias"], own), (model.itemBiases["bias"], other)):
        np.testing.assert_allclose(biases - biases.mean(), truth - truth.mean(), rtol=0, atol=0.05)


def test_a_constant_that_is_added_to_all_ratings_shifts_the_intercept_alone(frame):
    params = {**KINDS["all of it"], "precision": "double"}
    expected = als(**params).fit(frame)
    for constant in (10.0, -3.25):
        model = als(**params).fit(frame.assign(rating=frame.rating + constant))
        assert model.intercept == pytest.approx(expected.intercept + constant, abs=1e-6)
        for mine, its in zip(narrow(model), narrow(expected), strict=True):
            np.testing.assert_allclose(mine, its, rtol=0, atol=1e-4)
        np.testing.assert_allclose(model.history["objective"], expected.history["objective"], rtol=1e-5)


def test_without_factors_biases_are_those_of_a_ridge_regression(frame):
    """Start rows so short, and so much regularised, that they never come to anything."""
    problem = problem_of(frame, {"regParam": 1.0})
    n = 60
    design = np.zeros((len(frame), n + 35))
    design[np.arange(len(frame)), problem.users] = 1
    design[np.arange(len(frame)), n + problem.items] = 1
    penalty = np.diag(np.concatenate([problem.user_penalty, problem.item_penalty]))
    expected = np.linalg.solve(design.T @ design + penalty, design.T @ (problem.ratings - problem.mean))
    model = als(regParam=1.0, startScale=1e-12, maxIter=25, precision="double").fit(frame)
    users, items = narrow(model)
    assert max(np.abs(users[:, :-1]).max(), np.abs(items[:, :-1]).max()) < 1e-3
    np.testing.assert_allclose(np.concatenate([users[:, -1], items[:, -1]]), expected, rtol=0, atol=1e-5)


def test_one_rating_is_its_own_mean():
    model = als(coldStartStrategy="bias").fit(pd.DataFrame({"user": [4], "item": [2], "rating": [1.7]}))
    pairs = pd.DataFrame({"user": [4, 4, 5], "item": [2, 3, 2]})
    assert model.transform(pairs)["prediction"].tolist() == [np.float32(1.7)] * 3


# ---- cmfrec ----------------------------------------------------------------------------------------------

each_case = pytest.mark.parametrize("name", cmfrec_biases.CASES)


def minimised_by_cmfrec(name):
    k, reg, scaled = cmfrec_biases.CASES[name]
    params = {"rank": k, "regParam": reg, "regExponent": float(scaled), "precision": "double"}
    return params, problem_of(cmfrec_biases.ratings(), params)


def assert_same_minimum(name, mean, users, items):
    """The same objective, predictions and biases, from other start values; and it is a minimum of both sides."""
    params, problem = minimised_by_cmfrec(name)
    assert mean == pytest.approx(problem.mean, abs=1e-9)
    np.testing.assert_allclose(problem.new_users(items), users, rtol=0, atol=1e-7)
    np.testing.assert_allclose(problem.new_items(users), items, rtol=0, atol=1e-7)
    frame = cmfrec_biases.ratings()
    model = als(**params, maxIter=400, tol=1e-12).fit(frame)
    assert model.history["objective"].iloc[-1] == pytest.approx(problem.objective(users, items), rel=1e-6)
    assert model.intercept == pytest.approx(mean, rel=1e-6)
    predicted = model.transform(frame)["prediction"]
    np.testing.assert_allclose(predicted, problem.predictions(users, items), rtol=0, atol=1e-3)
    np.testing.assert_allclose(model.userBiases["bias"], users[:, -1], rtol=0, atol=1e-3)
    np.testing.assert_allclose(model.itemBiases["bias"], items[:, -1], rtol=0, atol=1e-3)


@each_case
def test_cmfrec_finds_the_same_minimum(name):
    assert_same_minimum(name, *cmfrec_biases.recorded(name))


@each_case
def test_from_the_items_of_cmfrec_users_become_its_users(name):
    """A half-step of ours, and the other way round; with the losses of the objective."""
    params, problem = minimised_by_cmfrec(name)
    mean, users, items = cmfrec_biases.recorded(name)
    objective = Objective(params["regParam"], reg_exponent=params["regExponent"])
    penalty = 0.0
    for side, own, other, sources, expected in (
        ("users", problem.users, problem.items, items, users),
        ("items", problem.items, problem.users, users, items),
    ):
        columns = biases_of(side, params["rank"] + 2, mean)
        rows = biases_of({"users": "items", "items": "users"}[side], params["rank"] + 2, mean).widen(
            sources.astype(np.float32)
        )
        order = np.lexsort((other, own))
        indptr = np.concatenate([[0], np.cumsum(np.bincount(own))])
        block = InBlock(0, indptr, other[order].astype(np.int32), problem.ratings[order].astype(np.float32))
        packed = pack_sources([rows], None, objective, Solver(double=True), columns)
        solved = solve_block(block, packed, None, objective, Solver(double=True), biases=columns)
        np.testing.assert_allclose(columns.narrow(solved.rows), expected, rtol=0, atol=2e-6)
        penalty += solved.losses.penalty
    total = solved.losses.squared_error + penalty
    assert total == pytest.approx(problem.objective(users, items), rel=1e-6)


@each_case
def test_cmfrec_itself_finds_the_same_minimum(name):
    """Where it can be imported, which takes a build for the NumPy that is here."""
    try:
        importlib.import_module("cmfrec")
    except Exception as error:
        pytest.skip(f"cmfrec cannot be imported: {type(error).__name__}")
    assert_same_minimum(name, *cmfrec_biases.fitted(name))
