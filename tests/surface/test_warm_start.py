"""Fits that start from a model, and grids that go from value to value."""

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

from daskals import ALS, ALSModel
from daskals.evaluation import RegressionEvaluator
from daskals.io import identity
from daskals.recommendation.fitting import Fit
from daskals.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit

RMSE = RegressionEvaluator(labelCol="rating")
KINDS = {
    "exact": {},
    "double": {"precision": "double"},
    "nonnegative": {"nonnegative": True},
    "cg": {"solver": "cg", "cgSteps": 2},
}
VALIDATORS = [CrossValidator, TrainValidationSplit]


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(7)
    users, items = np.nonzero(rng.random((60, 40)) < 0.4)
    return pd.DataFrame({"user": users, "item": items, "rating": rng.uniform(1, 5, len(users))})


def als(**more):
    return ALS(**{"rank": 4, "seed": 5, "numUserBlocks": 3, "numItemBlocks": 2, **more})


def rows(side):
    (side,) = dask.compute(side)
    return dict(zip(side["id"].tolist(), map(tuple, side["features"]), strict=True))


def bits(model):
    return rows(model.userFactors), rows(model.itemFactors)


# ---- one fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_on_as_if_maxiter_had_been_larger(frame, kind, scheduler):
    first = als(maxIter=3, **KINDS[kind]).fit(frame)
    model = als(maxIter=2, **KINDS[kind]).fit(frame, initialModel=first)
    expected = als(maxIter=5, **KINDS[kind]).fit(frame)
    assert bits(model) == bits(expected)
    columns = ["objective", "rmse"]
    assert model.history["iteration"].tolist() == [1, 2]
    assert model.history[columns].to_numpy().tolist() == expected.history[columns].iloc[3:].to_numpy().tolist()
    assert bits(expected) != bits(first)


@pytest.mark.parametrize("more", [{}, {"solver": "cg"}])
def test_an_implicit_fit_goes_on(frame, more):
    """To rounding: the Gram matrix of the rows is summed anew."""
    more = {"implicitPrefs": True, **more}
    model = als(maxIter=2, **more).fit(frame, initialModel=als(maxIter=3, **more).fit(frame))
    expected = als(maxIter=5, **more).fit(frame)
    for mine, its in zip(bits(model), bits(expected), strict=True):
        np.testing.assert_allclose(np.array(list(mine.values())), np.array(list(its.values())), atol=1e-5)


@pytest.mark.parametrize("ids", ["integers", "strings", "unsigned"])
def test_known_ids_start_from_the_model_and_others_as_usual(frame, ids):
    """With maxIter 0 the factors are the start rows. What only the model has is dropped."""
    change = {
        "integers": lambda frame: frame,
        "strings": lambda frame: frame.assign(user="u" + frame.user.astype(str), item="i" + frame.item.astype(str)),
        "unsigned": lambda frame: frame.astype({"user": "uint64", "item": "uint32"}),
    }[ids]
    old, new = change(frame[frame.user < 45]), change(frame[(frame.user >= 15) & (frame.item % 3 > 0)])
    model = als(maxIter=2).fit(frame[frame.user < 45] if ids == "unsigned" else old)
    warm, cold = als(maxIter=0).fit(new, initialModel=model), als(maxIter=0).fit(new)
    for mine, known, usual in zip(bits(warm), bits(model), bits(cold), strict=True):
        assert mine.keys() == usual.keys()
        assert mine == {each: known.get(each, row) for each, row in usual.items()}
    assert set(bits(warm)[0]) - set(bits(model)[0]), "some users are new"
    assert set(bits(model)[0]) - set(bits(warm)[0]), "some are gone"


@pytest.mark.parametrize("blocks", [(1, 1), (2, 5), (60, 40), (7, 3)])
@pytest.mark.parametrize("part", ["gaps", "the first half", "the second half", "nothing"])
def test_whatever_the_blocks(frame, blocks, part):
    chosen = {
        "gaps": frame.user % 7 < 2,
        "the first half": frame.user < 30,
        "the second half": frame.user >= 30,
        "nothing": frame.user < 1000,
    }[part]
    old = frame[chosen] if part != "nothing" else frame.assign(user=frame.user + 1000, item=frame.item + 1000)
    model = als(maxIter=1).fit(old)
    expected = [
        {each: known.get(each, row) for each, row in usual.items()}
        for known, usual in zip(bits(model), bits(als(maxIter=0).fit(frame)), strict=True)
    ]
    with dask.config.set({"daskals.user-blocks": blocks[0], "daskals.item-blocks": blocks[1]}):
        assert list(bits(als(maxIter=0).fit(frame, initialModel=model))) == expected


def test_dask_frames_on_a_cluster_and_a_model_of_this_process(frame, cluster):
    first = als(maxIter=3).fit(frame)
    expected = bits(als(maxIter=5).fit(frame))
    with cluster.as_current():
        lazy = dd.from_pandas(frame, npartitions=3)
        assert bits(als(maxIter=2).fit(lazy, initialModel=first)) == expected
        assert bits(als(maxIter=2).fit(lazy, initialModel=als(maxIter=3).fit(lazy))) == expected


def test_a_model_that_was_saved(frame, tmp_path):
    als(maxIter=3).fit(frame).save(str(tmp_path / "model"))
    model = als(maxIter=2).fit(frame, initialModel=ALSModel.load(str(tmp_path / "model")))
    assert bits(model) == bits(als(maxIter=5).fit(frame))


def test_a_nonnegative_fit_starts_from_absolute_values(frame):
    model = als(maxIter=2).fit(frame.assign(rating=frame.rating - 3))
    warm = als(maxIter=0, nonnegative=True).fit(frame, initialModel=model)
    for mine, known in zip(bits(warm), bits(model), strict=True):
        assert mine == {each: tuple(np.abs(row)) for each, row in known.items()}
        assert any(min(row) < 0 for row in known.values())


def test_the_model_that_it_starts_from_stays_as_it_is(frame):
    first = als(maxIter=1).fit(frame)
    before = bits(first)
    als(maxIter=3, nonnegative=True).fit(frame, initialModel=first)
    assert bits(first) == before


def test_of_several_maps_each_starts_from_the_model(frame):
    first, estimator = als(maxIter=3).fit(frame), als(maxIter=2)
    models = estimator.fit(frame, [{estimator.regParam: 0.1}, {estimator.regParam: 1.0}], initialModel=first)
    assert bits(models[0]) == bits(als(maxIter=5).fit(frame))
    assert bits(models[1]) == bits(als(maxIter=2, regParam=1.0).fit(frame, initialModel=first))


# ---- what is refused -------------------------------------------------------------------------------------


def test_another_rank(frame):
    model = als(rank=3, maxIter=1).fit(frame)
    with pytest.raises(ValueError, match="initialModel has rank 3, and this fit has rank 4: set rank=3"):
        als().fit(frame, initialModel=model)


@pytest.mark.parametrize("model", ["a path", als(), 3])
def test_what_is_no_model(frame, model):
    with pytest.raises(TypeError, match=r"initialModel must be an ALSModel, got .*ALSModel.load\(path\)"):
        als().fit(frame, initialModel=model)


def test_ids_of_another_kind(frame):
    model = als(maxIter=1).fit(frame)
    for column in ("user", "item"):
        with pytest.raises(TypeError, match=f"Column '{column}' has ids of kind str, but initialModel was trained on"):
            als().fit(frame.astype({column: str}), initialModel=model)


@pytest.mark.slow
def test_a_model_of_a_cluster_that_is_closed(frame):
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as workers, Client(workers):
        model = als(maxIter=1).fit(frame)
    with pytest.raises(RuntimeError, match="a cluster whose client has been closed"):
        als().fit(frame, initialModel=model)


# ---- checkpoints -----------------------------------------------------------------------------------------


def test_a_fit_goes_on_only_if_it_started_from_the_same_factors(frame, tmp_path):
    first, other = als(maxIter=3).fit(frame), als(maxIter=4).fit(frame)
    place = {"checkpointDir": str(tmp_path / "checkpoints"), "checkpointInterval": 1}
    als(maxIter=2, **place).fit(frame, initialModel=first)
    first.save(str(tmp_path / "first"))
    again = als(maxIter=4, **place)
    for given in (other, None):
        with pytest.raises(ValueError, match=f"{identity.WARM}: '[0-9a-f]{{16}}' in the checkpoint, .* now"):
            again.fit(frame, resume=True, initialModel=given)
    with dask.config.set({"daskals.user-blocks": 7, "daskals.item-blocks": 5}):
        model = again.fit(frame, resume=True, initialModel=ALSModel.load(str(tmp_path / "first")))
    assert len(model.history) == 4
    for mine, its in zip(bits(model), bits(als(maxIter=7).fit(frame)), strict=True):
        np.testing.assert_allclose(np.array(list(mine.values())), np.array(list(its.values())), atol=1e-6)
    cold = als(maxIter=2, **{**place, "checkpointDir": str(tmp_path / "cold")})
    cold.fit(frame)
    with pytest.raises(ValueError, match=f"{identity.WARM}: None in the checkpoint, '[0-9a-f]{{16}}' now"):
        cold.fit(frame, resume=True, initialModel=first)


# ---- grids -----------------------------------------------------------------------------------------------


def validator(cls, estimator, grid, **more):
    folds = {"numFolds": 2} if cls is CrossValidator else {}
    return cls(estimator=estimator, estimatorParamMaps=grid, evaluator=RMSE, seed=1, **folds, **more)


@pytest.fixture
def estimator():
    return als(maxIter=2, coldStartStrategy="drop")


@pytest.fixture
def grid(estimator):
    return ParamGridBuilder().addGrid(estimator.regParam, [3.0, 0.3, 0.03]).build()


@pytest.mark.parametrize("cls", VALIDATORS)
def test_each_map_starts_from_the_model_of_the_one_before(cls, frame, estimator, grid, monkeypatch):
    """In each fold, and in the fit to all rows; each model is the one that initialModel= gives."""
    fitted, run = [], Fit.run

    def noting(fit):
        model = run(fit)
        fitted.append((fit.params.getRegParam(), fit.options.initial_model, model))
        return model

    monkeypatch.setattr(Fit, "run", noting)
    found = validator(cls, estimator, grid, warmStart=True, collectSubModels=True).fit(frame)
    folds = found.subModels if cls is CrossValidator else [found.subModels]
    best = [each[found.getEstimator().regParam] for each in grid].index(found.bestParams["regParam"])
    assert [reg for reg, _, _ in fitted] == [3.0, 0.3, 0.03] * len(folds) + [3.0, 0.3, 0.03][: best + 1]
    for number, (_, initial, _) in enumerate(fitted):
        assert initial is (fitted[number - 1][2] if number % 3 else None)
    monkeypatch.undo()
    model = None
    for each in grid[: best + 1]:
        model = estimator.fit(frame, each, initialModel=model)
    assert bits(found.bestModel) == bits(model)
    assert bits(found.bestModel) != bits(estimator.fit(frame, grid[best])) or not best


def test_its_metrics_are_those_of_more_iterations(frame, estimator):
    """Of a grid of one value three times: the metrics are those of maxIter 2, 4 and 6."""
    grid = [{estimator.regParam: 0.1}] * 3
    found = validator(TrainValidationSplit, estimator, grid, warmStart=True).fit(frame).validationMetrics
    longer = [{estimator.maxIter: n} for n in (2, 4, 6)]
    expected = validator(TrainValidationSplit, estimator, longer).fit(frame).validationMetrics
    assert found == expected
    assert len(set(expected)) == 3


def test_another_rank_begins_anew(frame, estimator):
    grid = ParamGridBuilder().addGrid(estimator.rank, [2, 3]).addGrid(estimator.regParam, [1.0, 0.1]).build()
    found = validator(TrainValidationSplit, estimator, grid, warmStart=True).fit(frame)
    expected = validator(TrainValidationSplit, estimator, grid).fit(frame).validationMetrics
    same = [mine == its for mine, its in zip(found.validationMetrics, expected, strict=True)]
    assert same == [True, False, True, False]


@pytest.mark.parametrize("cls", VALIDATORS)
def test_it_is_refused_with_parallelism_and_other_estimators(cls, frame, estimator, grid):
    with pytest.raises(ValueError, match=r"warmStart=True fits the maps one after the other.*parallelism=2"):
        validator(cls, estimator, grid, warmStart=True, parallelism=2).fit(frame)
    inner = validator(TrainValidationSplit, estimator, grid)
    with pytest.raises(ValueError, match=r"warmStart=True needs an ALS as estimator.*TrainValidationSplit is none"):
        validator(cls, inner, [{}], warmStart=True).fit(frame)


@pytest.mark.parametrize("cls", VALIDATORS)
def test_it_is_saved_where_spark_ignores_it(cls, estimator, grid, tmp_path):
    made = validator(cls, estimator, grid, warmStart=True)
    made.save(str(tmp_path / "validator"))
    assert cls.load(str(tmp_path / "validator")).getWarmStart() is True
    (metadata,) = (tmp_path / "validator" / "metadata").glob("part-*")
    before, _, after = metadata.read_text(encoding="utf-8").partition('"daskals"')
    assert "warmStart" not in before.replace("daskals", "")
    assert "warmStart" in after
