"""What a fit minimises: its formula, written out with every pair, has its minimum where the factors are."""

import json
import warnings
from itertools import product

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from support.formula import Formula, best_row

from daskals import ALS, ALSModel
from daskals.engine import streaming
from daskals.recommendation import fitting
from daskals.serving import LocalModel

N_USERS, N_ITEMS = 12, 9
KINDS = {
    "explicit": {},
    "biases": {"biases": True},
    "Spark's implicit": {"implicitPrefs": True, "alpha": 2.0},
    "iALS": {"implicitPrefs": True, "alpha": 2.0, "unobservedWeight": 0.3},
}
each_kind = pytest.mark.parametrize("kind", KINDS)
COMMON = {"rank": 3, "seed": 3, "numUserBlocks": 2, "numItemBlocks": 2, "regParam": 0.2}


def small_frame():
    """Every user and item, some pairs twice; ratings of all signs and weights, some of both zero."""
    rng = np.random.default_rng(1)
    chosen = rng.random((N_USERS, N_ITEMS)) < 0.5
    chosen[np.arange(N_ITEMS), np.arange(N_ITEMS)] = chosen[:, 0] = True
    users, items = (np.concatenate([each, each[:5]]) for each in np.nonzero(chosen))
    n = len(users)
    return pd.DataFrame(
        {
            "user": users,
            "item": items,
            "rating": rng.choice([-2, 0, 0.5, 1, 2, 3, 5], n),
            "weight": rng.choice([0, 0.5, 1, 2, 3.5], n),
        }
    )


FRAME = small_frame()


def larger_frame(n=1500, n_users=90, n_items=60):
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "user": rng.integers(0, n_users, n),
            "item": (n_items * rng.random(n) ** 2).astype(int),
            "rating": rng.choice([-1.0, 0, 1, 2, 3, 4, 5], n),
            "weight": rng.choice([0.25, 1, 2, 3], n),
        }
    )


LARGER = larger_frame()


def options(kind):
    """Every combination of what an objective of this kind can have."""
    counts = ["observed", "all"] if "implicitPrefs" in KINDS[kind] else ["observed"]
    for exponent, count, column, exponents, own in product(
        [0.0, 0.5, 1.0],
        counts,
        ["", "weight"],
        [(0.0, 0.0), (0.5, 0.25)],
        [{}, {"userRegParam": 0.05, "itemRegParam": 0.7}],
    ):
        yield {
            **{"regExponent": exponent, "regCount": count, "weightCol": column, **own},
            **{"userCountExponent": exponents[0], "itemCountExponent": exponents[1]},
        }


def matrix(frame):
    if hasattr(frame, "compute"):
        frame = frame.compute()
    return np.stack(frame["features"].to_numpy()).astype(np.float64)


def bits(model):
    return [np.stack(dask.compute(each)[0]["features"].to_numpy()) for each in (model.userFactors, model.itemFactors)]


def rows_of(model, als):
    """Factors as the formula takes them: with biases [factors, bias]."""
    X, Y = matrix(model.userFactors), matrix(model.itemFactors)
    if not als.getBiases():
        return X, Y
    assert (X[:, -1] == 1).all()
    assert (Y[:, -2] == 1).all()
    own = X[:, -2:-1] - model.intercept
    return np.hstack([X[:, :-2], own]), np.hstack([Y[:, :-2], Y[:, -1:]])


def weights_of(als, frame):
    """W of each rating, by hand."""
    W = frame[als.getWeightCol()].to_numpy(float) if als.getWeightCol() else np.ones(len(frame))
    n_user = frame.groupby("user")["item"].transform("size").to_numpy(float)
    n_item = frame.groupby("item")["user"].transform("size").to_numpy(float)
    by_count = n_user ** -als.getUserCountExponent() * n_item ** -als.getItemCountExponent()
    return W * by_count / by_count.mean()


def formula_of(als, frame):
    W, ratings = weights_of(als, frame), frame["rating"].to_numpy(float)
    return Formula(
        frame["user"].to_numpy(),
        frame["item"].to_numpy(),
        ratings,
        W,
        alpha=als.getAlpha() if als.getImplicitPrefs() else None,
        unobserved=als.getUnobservedWeight() if als.isDefined("unobservedWeight") else None,
        user_reg=als.getUserRegParam() if als.isDefined("userRegParam") else als.getRegParam(),
        item_reg=als.getItemRegParam() if als.isDefined("itemRegParam") else als.getRegParam(),
        exponent=als.getRegExponent(),
        counts_all=als.getRegCount() == "all",
        mean=np.average(ratings, weights=W) if als.getBiases() else None,
    )


def row_of(als, Y, rated, ratings, W=None, base=0.0):
    """The row of a user, by its equations, if the model of ``als`` is without biases."""
    implicit = als.getImplicitPrefs()
    return best_row(
        *(Y, rated, ratings),
        reg=als.getUserRegParam() if als.isDefined("userRegParam") else als.getRegParam(),
        alpha=als.getAlpha() if implicit else None,
        W=W,
        unobserved=als.getUnobservedWeight() if als.isDefined("unobservedWeight") else None,
        exponent=als.getRegExponent(),
        base=base,
    )


TOLERANCES = {"double": 3e-6, "single": 3e-5}


# ---- the minimum -----------------------------------------------------------------------------------------


@each_kind
def test_the_fitted_rows_are_where_the_formula_has_its_minimum(kind):
    """Users and items, for every combination of parameters: the formula has no slope."""
    every = list(options(kind))
    assert len(every) == (48 if "implicitPrefs" in KINDS[kind] else 24)
    assert_no_slopes(kind, every, "double")
    assert_no_slopes(kind, every[::6], "single")


@pytest.mark.slow
@each_kind
def test_so_they_are_in_single_precision(kind):
    assert_no_slopes(kind, list(options(kind)), "single")


def assert_no_slopes(kind, every, precision):
    start, tolerance = ALS(**COMMON, **KINDS[kind], maxIter=0).fit(FRAME), TOLERANCES[precision]
    for more in every:
        als = ALS(**COMMON, **KINDS[kind], **more, maxIter=1, precision=precision)
        model, formula = als.fit(FRAME), formula_of(als, FRAME)
        X, Y = rows_of(model, als)
        before = rows_of(start, als)[0]
        if als.getBiases():
            assert model.intercept == pytest.approx(formula.mean, rel=1e-6)
            before[:, -1] = 0
        for left, right, of_users in ((X, Y, True), (before, Y, False)):
            zero = (0 * left, right) if of_users else (left, 0 * right)
            slopes, scale = formula.slopes(left, right, of_users), np.abs(formula.slopes(*zero, of_users)).max()
            assert np.abs(slopes).max() <= tolerance * scale, (more, of_users)
        assert_history_is_of(formula, model, X, Y)


def assert_history_is_of(formula, model, X, Y):
    last, rounding = model.history.iloc[-1], 2e-6 * formula.value(0 * X, 0 * Y)
    assert last["objective"] == pytest.approx(formula.value(X, Y), abs=rounding)
    squared = last["rmse" if "rmse" in last else "preferenceRmse"] ** 2
    assert squared == pytest.approx(formula.mean_error(X, Y), abs=rounding / formula.weight(X, Y))


@each_kind
def test_the_history_has_the_value_of_the_formula(kind):
    for more in list(options(kind))[::7]:
        als = ALS(**COMMON, **KINDS[kind], **more, maxIter=3)
        model = als.fit(FRAME)
        assert_history_is_of(formula_of(als, FRAME), model, *rows_of(model, als))


def test_pairs_that_weigh_much_bring_spark_s_implicit_error_below_zero_and_history_says_so():
    """Its 1 for each pair is there once, whatever the pair weighs: so is it where a pair stands several times."""
    als = ALS(**COMMON, **KINDS["Spark's implicit"], maxIter=3, weightCol="weight")
    frame = FRAME[FRAME["rating"] > 0].assign(weight=4.0)
    for estimator, ratings in ((als, frame), (als.copy().setWeightCol(""), pd.concat([frame] * 4))):
        objective = estimator.fit(ratings).history.objective.iloc[-1]
        formula = formula_of(als, frame)
        X, Y = (matrix(each) for each in (als.fit(frame).userFactors, als.fit(frame).itemFactors))
        assert formula.value(X, Y) < 0
        assert objective == pytest.approx(formula.value(X, Y), rel=1e-4)


@pytest.mark.parametrize("solver", ["cholesky", "subspace"])
@each_kind
def test_the_objective_never_rises(kind, solver):
    for more in list(options(kind))[::5]:
        als = ALS(**COMMON, **KINDS[kind], **more, maxIter=5, solver=solver, subspaceSize=2)
        objective, rounding = als.fit(FRAME).history.objective.to_numpy(), 2e-6 * np.abs(FRAME["rating"]).sum()
        assert (np.diff(objective) <= rounding).all(), more


@each_kind
@pytest.mark.parametrize("solver", [{"solver": "cg", "cgSteps": 12}, {"solver": "subspace", "subspaceSize": 64}])
def test_many_steps_and_one_run_of_all_columns_are_the_exact_solution(kind, solver):
    for more in list(options(kind))[::5]:
        als = ALS(**COMMON, **KINDS[kind], **more, maxIter=1)
        X, Y = rows_of(als.fit(FRAME), als)
        for mine, exact in zip(rows_of(als.copy().setParams(**solver).fit(FRAME), als), (X, Y), strict=True):
            np.testing.assert_allclose(mine, exact, rtol=0, atol=2e-4 * np.abs(exact).max(), err_msg=str(more))


@each_kind
def test_the_plain_kernels_minimise_the_same(kind, monkeypatch):
    import daskals.kernels.numpy as plain
    from daskals import kernels

    for more in list(options(kind))[::7]:
        als = ALS(**COMMON, **KINDS[kind], **more, maxIter=2, precision="double")
        expected = als.fit(FRAME)
        with monkeypatch.context() as patch:
            for name in plain.__all__:
                patch.setattr(kernels, name, getattr(plain, name))
            found = als.fit(FRAME)
        for mine, its in zip(bits(found), bits(expected), strict=True):
            np.testing.assert_allclose(mine, its, rtol=0, atol=2e-6 * np.abs(its).max(), err_msg=str(more))
        np.testing.assert_allclose(found.history.objective, expected.history.objective, rtol=1e-9)


# ---- what is the same ------------------------------------------------------------------------------------

DEFAULTS = {
    **{"regExponent": 1.0, "regCount": "observed", "weightCol": "", "startScale": 1.0, "solver": "cholesky"},
    **{"userCountExponent": 0.0, "itemCountExponent": 0.0, "subspaceSize": 64},
}


@each_kind
def test_defaults_that_are_set_change_no_bit(kind):
    plain = ALS(**COMMON, **KINDS[kind], maxIter=3)
    for mine, its in zip(bits(plain.copy().setParams(**DEFAULTS).fit(LARGER)), bits(plain.fit(LARGER)), strict=True):
        np.testing.assert_array_equal(mine, its)


@each_kind
def test_equal_reg_params_of_both_sides_are_one_reg_param_to_the_bit(kind):
    one = ALS(**{**COMMON, "regParam": 0.3}, **KINDS[kind], maxIter=3).fit(LARGER)
    both = ALS(**{**COMMON, "regParam": 9.0}, **KINDS[kind], maxIter=3, userRegParam=0.3, itemRegParam=0.3).fit(LARGER)
    for mine, its in zip(bits(both), bits(one), strict=True):
        np.testing.assert_array_equal(mine, its)
    np.testing.assert_array_equal(both.history.objective, one.history.objective)


def test_words_are_taken_in_any_case():
    als = ALS(**COMMON, **KINDS["iALS"], maxIter=2)
    found = [als.copy().setRegCount(word).fit(LARGER) for word in ("all", "ALL")]
    for mine, its in zip(*map(bits, found), strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize(
    ("more", "same_as"),
    [
        ({"rank": 63}, "cholesky"),
        ({"rank": 64}, "cg"),
        ({"rank": 384}, "subspace"),
        ({"rank": 384, "implicitPrefs": True}, "cg"),
        ({"rank": 64, "nonnegative": True}, "cholesky"),
    ],
    ids=str,
)
def test_the_automatic_solver_goes_by_the_rank_and_the_mode(more, same_as):
    als = ALS(**{**COMMON, **more}, maxIter=1)
    frame = LARGER.head(40)
    found, expected = (als.copy().setSolver(solver).fit(frame) for solver in ("auto", same_as))
    for mine, its in zip(bits(found), bits(expected), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_an_exponent_of_zero_is_one_penalty_for_all_rows():
    als = ALS(**COMMON, maxIter=2, regExponent=0.0, precision="double")
    model = als.fit(LARGER)
    X, Y = rows_of(model, als)
    for user, rows in LARGER.groupby("user"):
        y = Y[rows["item"]]
        expected = np.linalg.solve(y.T @ y + 0.2 * np.eye(3), y.T @ rows["rating"].to_numpy())
        np.testing.assert_allclose(X[user], expected, rtol=0, atol=1e-6)


def test_ials_is_its_equations_with_a_penalty_that_grows_with_all_pairs():
    """A = w0 G + alpha sum |r| y y' + L (n + w0 N)^v I,  b = alpha sum r y over ratings above 0."""
    w0, alpha, reg, v = 0.1, 3.0, 0.01, 0.7
    als = ALS(rank=4, maxIter=2, implicitPrefs=True, alpha=alpha, regParam=reg, unobservedWeight=w0)
    als.setParams(regCount="all", regExponent=v, precision="double", numItemBlocks=3)
    model = als.fit(LARGER)
    X, Y = matrix(model.userFactors), matrix(model.itemFactors)
    assert len(Y) == LARGER["item"].nunique() == 60
    for user, rows in LARGER.groupby("user"):
        y, r = Y[rows["item"]], rows["rating"].to_numpy()
        A = w0 * Y.T @ Y + alpha * (y.T * abs(r)) @ y + reg * ((r > 0).sum() + w0 * 60) ** v * np.eye(4)
        np.testing.assert_allclose(X[user], np.linalg.solve(A, alpha * y.T @ np.maximum(r, 0)), rtol=0, atol=1e-6)


def test_without_an_exponent_the_objective_is_that_of_implicit():
    """Its half-step for all users, from our items: their ``recalculate_user`` has the same penalty for each row."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = pytest.importorskip("implicit.cpu.als", reason="needs implicit: pip install 'daskals[peers]'")
    frame = LARGER[LARGER["rating"] != 0].drop_duplicates(["user", "item"])
    model = ALS(rank=6, maxIter=3, implicitPrefs=True, alpha=2.0, regParam=0.4, regExponent=0.0).fit(frame)
    signs, confidence = np.sign(frame["rating"]), 1 + 2.0 * frame["rating"].abs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peer.AlternatingLeastSquares(factors=6, regularization=0.4, num_threads=1)
    theirs.item_factors = matrix(model.itemFactors).astype(np.float32)
    data = csr_matrix((signs * confidence, (frame["user"], frame["item"])))
    users = matrix(model.userFactors)
    expected = theirs.recalculate_user(np.arange(len(users)), data)
    np.testing.assert_allclose(users, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


# ---- start values ----------------------------------------------------------------------------------------


def test_start_rows_are_spark_s_times_the_scale():
    als = ALS(rank=6, maxIter=0)
    for scale in (0.01, 7.5):
        for mine, spark in zip(bits(als.copy().setStartScale(scale).fit(LARGER)), bits(als.fit(LARGER)), strict=True):
            np.testing.assert_allclose(np.linalg.norm(spark, axis=1), 1, rtol=1e-6)
            np.testing.assert_allclose(np.linalg.norm(mine, axis=1), scale, rtol=1e-6)
            np.testing.assert_array_equal(mine, spark * np.float32(scale))


def test_scaled_start_rows_are_nonnegative_where_rows_must_be_and_biases_begin_at_zero():
    for mine in bits(ALS(rank=6, maxIter=0, nonnegative=True, startScale=0.5).fit(LARGER)):
        assert (mine >= 0).all()
        np.testing.assert_allclose(np.linalg.norm(mine, axis=1), 0.5, rtol=1e-6)
    model = ALS(rank=6, maxIter=0, biases=True, startScale=0.5).fit(LARGER)
    users, items = bits(model)
    np.testing.assert_array_equal(users[:, 6:], np.tile(np.float32([model.intercept, 1]), (len(users), 1)))
    np.testing.assert_array_equal(items[:, 6:], np.tile(np.float32([1, 0]), (len(items), 1)))
    np.testing.assert_allclose(np.linalg.norm(users[:, :6], axis=1), 0.5, rtol=1e-6)


def test_a_scale_of_the_start_leads_a_fit_elsewhere():
    als = ALS(**COMMON, **KINDS["iALS"], maxIter=1)
    objectives = [als.copy().setStartScale(scale).fit(LARGER).history.objective[0] for scale in (1.0, 0.1)]
    assert objectives[0] != pytest.approx(objectives[1], rel=1e-3)


# ---- rows for others -------------------------------------------------------------------------------------

#: fits whose rows are solved again
FOLDED = {
    "explicit": {"regExponent": 0.5, "userRegParam": 0.05},
    "explicit, weights": {"weightCol": "weight", "userCountExponent": 0.5, "itemCountExponent": 0.3},
    "implicit": {**KINDS["Spark's implicit"], "regExponent": 0.0, "itemCountExponent": 0.5},
    "iALS": {**KINDS["iALS"], "regCount": "all", "regExponent": 0.7, "userRegParam": 0.03},
    "iALS, weights": {**KINDS["iALS"], "weightCol": "weight", "regCount": "all", "userCountExponent": 0.4},
}
each_folded = pytest.mark.parametrize("kind", FOLDED)
USER = 7


def folded_case(kind):
    """An estimator, its model, the ratings of a user of the fit, and the row that is best for that user."""
    als = ALS(**COMMON, **FOLDED[kind], maxIter=3, precision="double")
    model, mine = als.fit(LARGER), LARGER[LARGER["user"] == USER]
    Y = matrix(model.itemFactors)
    base = len(Y) * formula_of(als, LARGER).g if als.getRegCount() == "all" else 0.0
    W = weights_of(als, LARGER)[LARGER["user"] == USER]
    return als, model, mine, Y, row_of(als, Y, mine["item"].to_numpy(), mine["rating"].to_numpy(), W, base)


@each_folded
def test_a_user_that_is_folded_in_gets_the_row_of_the_fit(kind):
    _, model, mine, _, row = folded_case(kind)
    np.testing.assert_allclose(matrix(model.userFactors)[USER], row, rtol=0, atol=1e-6)
    known, new = (model.foldInUsers(mine.assign(user=user)) for user in (USER, 500))
    for found, user in ((known, USER), (new, 500)):
        rows = found.userFactors.set_index("id")["features"]
        np.testing.assert_allclose(rows[user], row, rtol=0, atol=1e-6)
    others = new.userFactors[lambda frame: frame["id"] != 500]
    np.testing.assert_array_equal(matrix(others), matrix(model.userFactors))


@each_folded
def test_an_item_that_is_folded_in_minimises_the_formula(kind):
    """Its penalty is that of items, and its ratings weigh what they would weigh in a fit."""
    als, model, *_ = folded_case(kind)
    X, Y = matrix(model.userFactors), matrix(model.itemFactors)
    rows = model.foldInItems(LARGER[LARGER["item"] == 4]).itemFactors.set_index("id")["features"]
    Y[4] = rows[4]
    formula = formula_of(als, LARGER)
    gradient = formula.items_gradient(X, Y)[4]
    assert np.abs(gradient).max() <= 2e-6 * np.abs(formula.items_gradient(X, 0 * Y)).max()


@each_folded
def test_recommendations_for_ratings_are_by_that_row(kind):
    _, model, mine, Y, row = folded_case(kind)
    found = model.recommendForRatings(mine, 60, flat=True, exclude=None).set_index("item")["rating"]
    assert len(found) == 60
    np.testing.assert_allclose(found.sort_index(), Y @ row, rtol=0, atol=1e-5)


@each_folded
def test_the_shares_of_an_explanation_add_up_to_the_score_of_that_row(kind):
    als, model, mine, Y, row = folded_case(kind)
    reasons = model.explain(USER, 3, n=1000, ratings=LARGER)
    assert len(reasons) == len(mine)
    assert reasons["contribution"].sum() == pytest.approx(Y[3] @ row, abs=1e-6)
    assert reasons.attrs["score"] == pytest.approx(Y[3] @ row, abs=1e-6)
    if als.getImplicitPrefs():
        assert (reasons["contribution"][reasons["rating"] <= 0] == 0).all()


@each_folded
def test_a_local_model_has_the_same_objective(kind, tmp_path):
    """It takes no weights: then each rating counts 1, but for what numbers of ratings make of it."""
    als, model, mine, Y, _ = folded_case(kind)
    W = weights_of(als.copy().setWeightCol(""), LARGER)[LARGER["user"] == USER]
    base = len(Y) * formula_of(als, LARGER).g if als.getRegCount() == "all" else 0.0
    row = row_of(als, Y, mine["item"].to_numpy(), mine["rating"].to_numpy(), W, base)
    model.save(str(tmp_path / "model"))
    pairs = list(zip(mine["item"].tolist(), mine["rating"].tolist(), strict=True))
    for local in (model.toLocal(), LocalModel.load(str(tmp_path / "model"))):
        found = dict(local.recommendForRatings(pairs, 60, includeRated=True))
        np.testing.assert_allclose([found[item] for item in range(60)], Y @ row, rtol=0, atol=1e-5)
        explained = local.explain(None, 3, 1000, pairs)
        assert explained.score == pytest.approx(Y[3] @ row, abs=1e-6)
        assert sum(share for _, share in explained.shares) == pytest.approx(explained.score, abs=1e-6)


def test_a_reg_param_of_the_caller_takes_the_place_of_that_of_users():
    als = ALS(**COMMON, maxIter=2, userRegParam=5.0, itemRegParam=7.0, precision="double")
    model, mine = als.fit(LARGER), LARGER[LARGER["user"] == USER]
    Y = matrix(model.itemFactors)
    expected = Y @ best_row(Y, mine["item"].to_numpy(), mine["rating"].to_numpy(), reg=0.4)
    found = model.recommendForRatings(mine, 60, flat=True, exclude=None, regParam=0.4).set_index("item")["rating"]
    np.testing.assert_allclose(found.sort_index(), expected, rtol=0, atol=1e-5)
    pairs = list(zip(mine["item"].tolist(), mine["rating"].tolist(), strict=True))
    local = dict(model.toLocal().recommendForRatings(pairs, 60, includeRated=True, regParam=0.4))
    np.testing.assert_allclose([local[item] for item in range(60)], expected, rtol=0, atol=1e-5)


def test_strangers_among_the_items_do_not_count_in_a_row_that_is_folded_in():
    als, model, mine, _, _ = folded_case("iALS")
    strange = pd.concat([mine, mine.assign(item=1000)])
    for each in (mine, strange):
        rows = model.foldInUsers(each).userFactors.set_index("id")["features"]
        np.testing.assert_allclose(rows[USER], matrix(model.userFactors)[USER], rtol=0, atol=1e-6)
    assert als.getRegCount() == "all"


# ---- saved -----------------------------------------------------------------------------------------------

ALL = {
    **{"implicitPrefs": True, "alpha": 2.0, "regExponent": 0.7, "userRegParam": 0.2, "itemRegParam": 0.3},
    **{"regCount": "all", "unobservedWeight": 0.2, "weightCol": "weight", "userCountExponent": 0.4},
    **{"itemCountExponent": 0.1, "startScale": 0.3, "solver": "subspace", "subspaceSize": 2},
}
SPARK_KNOWS = {"implicitPrefs", "alpha", "rank", "seed", "regParam", "numUserBlocks", "numItemBlocks"}


def test_an_estimator_keeps_them_where_spark_does_not_look(tmp_path):
    als = ALS(**COMMON, **ALL)
    als.save(str(tmp_path / "als"))
    assert ALS.load(str(tmp_path / "als")).extractParamMap() == als.extractParamMap()
    metadata = json.loads((tmp_path / "als/metadata/part-00000").read_text())
    assert set(metadata["paramMap"]) == SPARK_KNOWS
    assert not (ALL.keys() - SPARK_KNOWS) & metadata["defaultParamMap"].keys()


def test_a_model_knows_them_after_loading(tmp_path):
    als = ALS(**COMMON, **ALL, maxIter=2)
    model = als.fit(LARGER)
    model.save(str(tmp_path / "model"))
    loaded = ALSModel.load(str(tmp_path / "model"))
    for each in (model, loaded):
        assert each.parent.extractParamMap() == als.extractParamMap()
    mine = LARGER[LARGER["user"] == USER]
    rows = [matrix(each.foldInUsers(mine).userFactors) for each in (model, loaded)]
    np.testing.assert_array_equal(*rows)
    metadata = json.loads((tmp_path / "model/metadata/part-00000").read_text())
    assert not (ALL.keys() & metadata["paramMap"].keys())


# ---- wherever it runs ------------------------------------------------------------------------------------

PLACES = {
    "explicit": {"regExponent": 0.5, "weightCol": "weight", "startScale": 0.5},
    "biases": {"biases": True, "weightCol": "weight", "itemCountExponent": 0.5},
    "iALS": {**KINDS["iALS"], "regCount": "all", "regExponent": 0.3, "itemRegParam": 0.02},
    "iALS, weights": {**KINDS["iALS"], "weightCol": "weight", "userCountExponent": 0.5},
}
each_place = pytest.mark.parametrize("kind", PLACES)


def assert_alike(kind, found, expected):
    """To the bit, but for sums that go over blocks: Gram matrices, and means."""
    for mine, its in zip(bits(found), bits(expected), strict=True):
        if kind == "explicit":
            np.testing.assert_array_equal(mine, its)
        else:
            np.testing.assert_allclose(mine, its, rtol=0, atol=2e-5 * np.abs(its).max())
    np.testing.assert_allclose(found.history.objective, expected.history.objective, rtol=1e-5)


@each_place
def test_blocks_and_the_order_of_rows_change_nothing(kind):
    als = ALS(**COMMON, **PLACES[kind], maxIter=2)
    expected = als.fit(LARGER)
    for blocks, frame in (((1, 1), LARGER.sample(frac=1.0, random_state=3)), ((20, 7), LARGER.iloc[::-1])):
        with dask.config.set({"daskals.user-blocks": blocks[0], "daskals.item-blocks": blocks[1]}):
            assert_alike(kind, als.fit(frame), expected)


@pytest.mark.parametrize("kind", ["explicit", pytest.param("iALS, weights", marks=pytest.mark.slow)])
def test_schedulers_and_partitions_change_nothing(kind, scheduler):
    als = ALS(**COMMON, **PLACES[kind], maxIter=2)
    with dask.config.set(scheduler="threads"):
        expected = als.fit(LARGER)
    assert_alike(kind, als.fit(dd.from_pandas(LARGER, npartitions=4, sort=False)), expected)


@pytest.mark.parametrize("settings", [{}, {"precision": "double"}, {"solver": "cg", "cgSteps": 4}], ids=str)
@each_place
def test_streamed_half_steps_give_the_same_to_rounding(kind, settings, monkeypatch):
    als = ALS(**{**COMMON, "rank": 6}, **PLACES[kind], **settings, maxIter=2)
    expected, parts, add = als.fit(LARGER), [], streaming.accumulate
    monkeypatch.setattr(streaming, "accumulate", lambda *args: parts.append(1) or add(*args))
    with dask.config.set({"daskals.factor-share": 0, "daskals.panels": 4}):
        found = als.fit(LARGER)
    assert parts
    for mine, its in zip(bits(found), bits(expected), strict=True):
        tolerance = 1e-6 if settings.get("precision") else 1e-3
        np.testing.assert_allclose(mine, its, rtol=0, atol=tolerance * np.abs(its).max())
    np.testing.assert_allclose(found.history.objective, expected.history.objective, rtol=1e-4)


# ---- what cannot be --------------------------------------------------------------------------------------

CONTRADICTIONS = {
    "unobservedWeight": ({"unobservedWeight": 0.1}, ["unobservedWeight", "implicitPrefs=True", "leave it out"]),
    "regCount": ({"regCount": "all"}, ["regCount='all'", "implicitPrefs=True", "regCount='observed'"]),
    "regCount in capitals": ({"regCount": "ALL"}, ["regCount='all'", "implicitPrefs=True", "regCount='observed'"]),
    "biases, implicitPrefs": ({"biases": True, "implicitPrefs": True}, ["biases=True", "implicitPrefs=False"]),
    "biases, nonnegative": ({"biases": True, "nonnegative": True}, ["biases=True", "nonnegative=True", "to False"]),
    "subspace, nonnegative": (
        {"solver": "subspace", "nonnegative": True},
        ["solver='subspace'", "solver='cholesky'", "nonnegative=False"],
    ),
    "cg, nonnegative": ({"solver": "CG", "nonnegative": True}, ["solver='cg'", "'cholesky'", "nonnegative=False"]),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_parameters_that_contradict_each_other_are_both_named_with_what_to_set(name):
    """Before anything is read, by `validate` too."""
    values, words = CONTRADICTIONS[name]
    als = ALS(**values)
    for call in (lambda: als.fit(None), als.validate):
        with pytest.raises(ValueError, match=r"[Ss]et ") as error:
            call()
        for word in words:
            assert word in str(error.value)


def test_an_objective_that_cannot_be_is_refused_in_folding_in_too():
    model = ALS(**COMMON, **KINDS["iALS"], regCount="all", maxIter=1).fit(FRAME)
    for call in (model.foldInUsers, lambda frame, **more: model.explain(1, 1, ratings=frame, **more)):
        with pytest.raises(ValueError, match=r"unobservedWeight.*implicitPrefs=True"):
            call(FRAME, implicitPrefs=False)


def test_nonnegative_fits_have_all_objectives_but_biases():
    for kind in ("explicit", "Spark's implicit", "iALS"):
        als = ALS(**COMMON, **KINDS[kind], maxIter=3, nonnegative=True, weightCol="weight", regExponent=0.5)
        model, formula = als.fit(FRAME), formula_of(als, FRAME)
        X, Y = rows_of(model, als)
        assert min(X.min(), Y.min()) >= 0
        gradient = formula.users_gradient(X, Y)
        scale = np.abs(formula.users_gradient(0 * X, Y)).max()
        assert np.abs(gradient[X > 0]).max() <= 1e-5 * scale
        assert gradient.min() >= -1e-5 * scale
        assert model.history.objective.iloc[-1] == pytest.approx(formula.value(X, Y), rel=1e-5)


# ---- no penalty, and numbers that are too large ----------------------------------------------------------


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("unobserved", [{}, {"unobservedWeight": 0.1}], ids=str)
def test_implicit_rows_that_nothing_determines_are_refused_and_not_made_up(precision, unobserved):
    """Without a penalty, 4 items cannot determine 20 numbers."""
    frame = FRAME[FRAME["item"] < 4].assign(rating=1.0)
    als = ALS(rank=20, maxIter=2, regParam=0.0, implicitPrefs=True, precision=precision, **unobserved)
    with pytest.raises(ValueError, match=r"(user|item) with id .*singular.*Set regParam above 0"):
        als.fit(frame)


@pytest.mark.parametrize("kind", ["Spark's implicit", "iALS"])
def test_a_tiny_penalty_makes_no_large_numbers_where_items_are_fewer_than_factors(kind):
    frame = LARGER[LARGER["item"] < 7]
    als = ALS(rank=32, maxIter=4, regParam=1e-9, **KINDS[kind])
    single, double = (als.copy().setPrecision(each).fit(frame) for each in ("single", "double"))
    for mine, its in zip(bits(single), bits(double), strict=True):
        assert np.abs(mine).max() <= 10 * np.abs(its).max()
    np.testing.assert_allclose(single.history.objective, double.history.objective, rtol=1e-3)


@pytest.mark.parametrize("solver", ["cholesky", "cg", "subspace"])
def test_confidences_that_are_too_large_end_as_an_error_or_a_warning_that_says_so(solver):
    als = ALS(rank=8, implicitPrefs=True, alpha=3e38, solver=solver, maxIter=3)
    if solver == "cholesky":
        with pytest.raises(ValueError, match="ratings are so large"):
            als.fit(LARGER)
    else:
        with pytest.warns(UserWarning, match="is not a finite number"):
            als.fit(LARGER)


@pytest.mark.parametrize("solver", ["cholesky", "cg", "subspace"])
def test_start_rows_that_are_too_large_warn_of_nothing_but_the_history(solver):
    """NumPy's own warnings, which name no cause, would be errors here."""
    als = ALS(**COMMON, implicitPrefs=True, startScale=1e38, solver=solver, maxIter=2)
    if solver == "cholesky":
        als.fit(LARGER)
    else:
        with pytest.warns(UserWarning, match="is not a finite number"):
            als.fit(LARGER)


@pytest.mark.parametrize(
    ("more", "least"),
    [
        ({}, 0.2),
        ({"userRegParam": 0.0}, 0.0),
        ({"itemRegParam": 0.05, "userRegParam": 3.0}, 0.05),
        ({"weightCol": "weight"}, 0.0),
        ({"userCountExponent": 0.5}, 0.0),
    ],
)
def test_large_factors_are_looked_for_by_what_the_penalty_is_at_least(more, least, monkeypatch):
    """The objective bounds the factors by the smaller penalty alone, and by none where ratings may weigh little."""
    found = []
    monkeypatch.setattr(fitting, "warn_of_overflow", lambda *args: found.append(args[-1]))
    ALS(**COMMON, maxIter=1, **more).fit(FRAME)
    assert found == [least]
