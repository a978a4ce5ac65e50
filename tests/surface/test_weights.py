"""Weights of ratings: a column of them, and those that follow from the numbers of ratings."""

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from support.formula import best_row

from daskals import ALS, ALSModel
from daskals.engine import weighing

IMPLICIT = {"implicitPrefs": True, "alpha": 2.0}
KINDS = {
    "explicit": {},
    "biases": {"biases": True},
    "Spark's implicit": IMPLICIT,
    "iALS": {**IMPLICIT, "unobservedWeight": 0.2, "regCount": "all", "regExponent": 0.5},
}
each_kind = pytest.mark.parametrize("kind", KINDS)
COMMON = {"rank": 4, "maxIter": 3, "seed": 2, "numUserBlocks": 3, "numItemBlocks": 2, "precision": "double"}


def ratings_frame(n=700, seed=0):
    """Some pairs stand twice; weights are whole numbers, with no user or item all of whose are 0."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "user": rng.integers(0, 40, n),
            "item": (30 * rng.random(n) ** 2).astype(int),
            "rating": rng.choice([-1.0, 0, 1, 2, 3, 4, 5], n),
        }
    )
    return frame.assign(w=rng.integers(0, 4, n).astype(float))


FRAME = ratings_frame()
assert (FRAME.groupby("user")["w"].sum() > 0).all()
assert (FRAME.groupby("item")["w"].sum() > 0).all()


def als(kind="explicit", **more):
    return ALS(**{**COMMON, **KINDS[kind], **more})


def bits(model):
    found = []
    for side in (model.userFactors, model.itemFactors):
        frame = dask.compute(side)[0]
        frame = frame if isinstance(frame, pd.DataFrame) else frame.to_pandas()
        found += [frame["id"].to_numpy(), np.stack(frame["features"].to_numpy())]
    return found


def assert_same_bits(found, expected):
    for mine, its in zip(bits(found), bits(expected), strict=True):
        np.testing.assert_array_equal(mine, its)


def assert_alike(found, expected, atol=2e-6, history=1e-6):
    for mine, its in zip(bits(found), bits(expected), strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=atol * np.abs(its).max())
    names = found.history.columns[1:3]
    np.testing.assert_allclose(found.history[names], expected.history[names], rtol=history)


# ---- what a weight means ---------------------------------------------------------------------------------


@each_kind
def test_whole_weights_are_rows_that_stand_so_often(kind):
    """Where the penalty and the history are concerned too; rows of weight 0 are as absent."""
    repeated = FRAME.loc[FRAME.index.repeat(FRAME["w"].astype(int))]
    found, expected = als(kind, weightCol="w").fit(FRAME), als(kind).fit(repeated)
    assert_alike(found, expected)
    if kind == "biases":
        assert found.intercept == pytest.approx(expected.intercept, rel=1e-6)


@each_kind
def test_weights_of_one_are_no_weights(kind):
    assert_alike(als(kind, weightCol="w").fit(FRAME.assign(w=1)), als(kind).fit(FRAME))


@each_kind
def test_a_row_of_weight_zero_is_as_absent(kind):
    """If user and item have other rows: ids, and so start values, are those of all rows."""
    frame, absent = FRAME.assign(w=FRAME["w"] + 0.5), FRAME.index % 7 == 3
    assert set(frame["user"][~absent]) == set(frame["user"])
    assert set(frame["item"][~absent]) == set(frame["item"])
    found = als(kind, weightCol="w").fit(frame.assign(w=frame["w"].where(~absent, 0)))
    assert_alike(found, als(kind, weightCol="w").fit(frame[~absent]))


@pytest.mark.parametrize("solver", ["cholesky", "cg", "subspace"])
@each_kind
def test_users_all_of_whose_weights_are_zero_have_rows_of_zeros_and_move_nobody(kind, solver):
    nobody = pd.DataFrame({"user": [90, 90, 91], "item": [3, 4, 3], "rating": [5.0, 1.0, 2.0], "w": 0.0})
    estimator = als(kind, weightCol="w", solver=solver, subspaceSize=2, cgSteps=12, maxIter=1)
    found, expected = estimator.fit(pd.concat([FRAME, nobody])), estimator.fit(FRAME)
    rows = found.userFactors.set_index("id")["features"]
    for user in (90, 91):
        np.testing.assert_allclose(rows[user][:4], 0, rtol=0, atol=1e-12)  # what steps leave of them in implicit fits
        if kind == "biases":
            np.testing.assert_array_equal(rows[user][4:], np.float32([found.intercept, 1]))
    if kind in ("explicit", "biases"):  # in implicit fits their start rows are in the first Gram matrix
        mine, its = (np.stack(each.itemFactors["features"].to_numpy()) for each in (found, expected))
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-5 * np.abs(its).max())


@pytest.mark.parametrize("kind", ["explicit", "biases"])
def test_the_same_weight_for_all_scales_error_and_penalty_alike(kind):
    """So it changes nothing where the penalty grows with n, and is a smaller regParam where it does not."""
    double = FRAME.assign(w=2.0)
    for found, expected in (
        (als(kind, weightCol="w").fit(double), als(kind).fit(FRAME)),
        (
            als(kind, weightCol="w", regExponent=0.0, regParam=0.4).fit(double),
            als(kind, regExponent=0.0, regParam=0.2).fit(FRAME),
        ),
    ):
        for mine, its in zip(bits(found), bits(expected), strict=True):
            np.testing.assert_allclose(mine, its, rtol=0, atol=2e-6 * np.abs(its).max())
        np.testing.assert_allclose(found.history["objective"], 2 * expected.history["objective"], rtol=1e-6)
        np.testing.assert_allclose(found.history["rmse"], expected.history["rmse"], rtol=1e-6)


def test_the_intercept_is_the_weighted_mean():
    found = als("biases", weightCol="w").fit(FRAME).intercept
    assert found == pytest.approx(np.average(FRAME["rating"], weights=FRAME["w"]), rel=1e-6)
    assert als("biases", weightCol="w").fit(FRAME.assign(w=0.0)).intercept == 0


@pytest.mark.parametrize("more", [{}, {"biases": True}, IMPLICIT], ids=str)
def test_a_fit_all_of_whose_weights_are_zero_is_one_of_zeros(more):
    model = ALS(**{**COMMON, **more}, weightCol="w").fit(FRAME.assign(w=0.0))
    assert not any(rows[:, :4].any() for rows in bits(model)[1::2])
    assert (model.history.objective == 0).all()


def test_weights_do_not_count_in_the_numbers_of_ratings_that_a_model_keeps():
    """minSupport asks how many ratings there were."""
    counts = FRAME["item"].value_counts().sort_index()
    model = als(weightCol="w").fit(FRAME)
    found = model.recommendForAllUsers(30, flat=True, minSupport=20)
    assert set(found["item"]) == set(counts.index[counts >= 20]) != set(counts.index)
    assert model.toLocal().itemCounts.tolist() == counts.tolist()


def test_validation_rows_count_alike_and_need_no_weights():
    test = ratings_frame(100, seed=9)
    metrics = [
        als(weightCol="w").fit(FRAME, validation=each).history["validationRmse"]
        for each in (test, test.assign(w=7.0), test.drop(columns="w"))
    ]
    for each in metrics[1:]:
        np.testing.assert_allclose(each, metrics[0], rtol=1e-9)


# ---- weights by numbers of ratings -----------------------------------------------------------------------

EXPONENTS = [(0.5, 0.0), (0.0, 0.7), (0.4, 0.9), (1.0, 1.0)]


def by_count(frame, a, b):
    """n_user^-a n_item^-b over its mean; n are numbers of rows, whatever these weigh."""
    n_user = frame.groupby("user")["item"].transform("size").to_numpy(float)
    n_item = frame.groupby("item")["user"].transform("size").to_numpy(float)
    weights = n_user**-a * n_item**-b
    return weights / weights.mean()


@pytest.mark.parametrize(("a", "b"), EXPONENTS)
@each_kind
def test_count_exponents_are_a_column_of_weights_by_hand(kind, a, b):
    found = als(kind, userCountExponent=a, itemCountExponent=b).fit(FRAME)
    assert_alike(found, als(kind, weightCol="w").fit(FRAME.assign(w=by_count(FRAME, a, b))), history=1e-5)


@each_kind
def test_count_exponents_multiply_a_column_of_weights(kind):
    found = als(kind, weightCol="w", userCountExponent=0.4, itemCountExponent=0.9).fit(FRAME)
    product = FRAME.assign(w=FRAME["w"] * by_count(FRAME, 0.4, 0.9))
    assert_alike(found, als(kind, weightCol="w").fit(product), history=1e-5)


def test_fits_of_a_grid_do_not_take_each_other_s_weights():
    """They share the ratings, which stay as they were."""
    estimator = als()
    maps = [{estimator.userCountExponent: value} for value in (0.0, 0.5, 0.0, 1.0)]
    models = estimator.fit(FRAME, maps)
    assert_same_bits(models[0], models[2])
    for model, each in zip(models, maps, strict=True):
        assert_same_bits(model, estimator.fit(FRAME, each))


def test_count_exponents_are_learned_once_and_told_to_models(tmp_path):
    """The mean is that of the fit, also for rows that are folded in after loading."""
    model = als(userCountExponent=0.4, itemCountExponent=0.9).fit(FRAME)
    model.save(str(tmp_path / "model"))
    mine = pd.DataFrame({"user": 77, "item": [1, 2, 5], "rating": [4.0, 1.0, 3.0]})
    sizes = FRAME["item"].value_counts()
    raw = 3.0**-0.4 * sizes[mine["item"]].to_numpy(float) ** -0.9
    n_user = FRAME.groupby("user")["item"].transform("size").to_numpy(float)
    n_item = FRAME.groupby("item")["user"].transform("size").to_numpy(float)
    W = raw / (n_user**-0.4 * n_item**-0.9).mean()
    Y = np.stack(model.itemFactors["features"].to_numpy())
    row = best_row(Y, mine["item"].to_numpy(), mine["rating"].to_numpy(), reg=0.1, W=W)
    for each in (model, ALSModel.load(str(tmp_path / "model"))):
        ids, rows, *_ = bits(each.foldInUsers(mine))
        (found,) = rows[ids == 77]
        np.testing.assert_allclose(found, row, rtol=0, atol=1e-6 * np.abs(row).max())


def test_nothing_is_counted_where_no_exponent_asks_for_it(monkeypatch):
    monkeypatch.setattr(weighing, "_sum_of_weights", None)
    monkeypatch.setattr(weighing, "_sum_of_ratings", None)
    als(weightCol="w", userCountExponent=0.0).fit(FRAME)


# ---- columns of weights ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["explicit", "iALS"])
def test_frames_of_all_kinds_have_weights(kind):
    estimator = als(kind, weightCol="w")
    expected = estimator.fit(FRAME)
    for frame in (pl.from_pandas(FRAME), pa.Table.from_pandas(FRAME), dd.from_pandas(FRAME, npartitions=3, sort=False)):
        assert_alike(estimator.fit(frame), expected, atol=1e-6)


@pytest.mark.parametrize(
    "dtype", ["int8", "uint64", "float32", "Float64", "Int32", "int64[pyarrow]", "double[pyarrow]"]
)
def test_weights_may_have_any_type_of_number(dtype):
    expected = als(weightCol="w").fit(FRAME)
    assert_same_bits(als(weightCol="w").fit(FRAME.astype({"w": dtype})), expected)


def test_weights_that_are_truth_values_count_0_and_1():
    chosen = FRAME["w"] > 1
    assert_same_bits(
        als(weightCol="w").fit(FRAME.assign(w=chosen)), als(weightCol="w").fit(FRAME.assign(w=chosen.astype(float)))
    )


def test_the_order_of_rows_changes_no_bit_where_pairs_stand_twice_with_other_weights():
    """Of one value, too: they are put in order by weight."""
    twice = pd.concat([FRAME.assign(w=each) for each in (0.7, 1.3, 2.9)])
    expected = als(weightCol="w", precision="single").fit(twice)
    for seed in range(3):
        shuffled = twice.sample(frac=1.0, random_state=seed)
        assert_same_bits(als(weightCol="w", precision="single").fit(shuffled), expected)


def test_implicit_rows_without_a_column_of_ratings_have_weights():
    found = als("iALS", ratingCol="", weightCol="w").fit(FRAME)
    assert_alike(found, als("iALS", weightCol="w").fit(FRAME.assign(rating=1.0)))


@pytest.mark.parametrize("columns", [["user", "item", "rating", "w"], ["user", "item", "w"]])
def test_an_array_has_weights_in_its_last_column(columns):
    kind, name = ("explicit", "rating") if "rating" in columns else ("iALS", "")
    estimator = als(kind, weightCol="w", ratingCol=name)
    assert_same_bits(estimator.fit(FRAME[columns].to_numpy()), estimator.fit(FRAME))


def test_frames_for_folding_in_and_explaining_have_the_column_of_weights():
    model = als(weightCol="w").fit(FRAME)
    without = FRAME.drop(columns="w")
    for call in (
        lambda: model.foldInUsers(without),
        lambda: model.recommendForRatings(without, 3),
        lambda: model.explain(1, 1, ratings=without),
    ):
        with pytest.raises(ValueError, match=r"No column 'w' in the dataset.*set weightCol"):
            call()
