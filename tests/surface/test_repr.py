"""What a person sees of an object, as text and in a notebook."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

from daskals import ALS, ALSModel
from daskals.evaluation import Evaluator, RankingEvaluator, RegressionEvaluator
from daskals.params import Param, Params
from daskals.params.converters import to_float
from daskals.tuning import (
    CrossValidator,
    CrossValidatorModel,
    ParamGridBuilder,
    TrainValidationSplit,
    TrainValidationSplitModel,
)

WRITTEN_BY_SPARK = Path(__file__).parents[1] / "spark_suite" / "written" / "spark-4.3.0"


class Table(HTMLParser):
    """The cells of all rows of a page, and its other text."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.text, self.tags, self.styles = [], [], set(), []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.styles += [value for name, value in attrs if name == "style"]
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1] and "td" in self.get_starttag_text():
            self.rows[-1][-1] += data
        else:
            self.text.append(data)

    @property
    def values(self):
        return {row[0]: row[1] for row in self.rows}


def shown(instance):
    """What a line of text tells: name -> value."""
    return dict(part.split("=", 1) for part in re.sub(r"^\w+: ", "", repr(instance)).split(", "))


@pytest.fixture
def model(ratings):
    return ALS(rank=2, maxIter=3, userCol="user").fit(ratings)


@pytest.fixture
def grid_of_six():
    als = ALS(rank=1, maxIter=2, coldStartStrategy="drop")
    return als, ParamGridBuilder().addGrid(als.rank, [1, 2]).addGrid(als.regParam, [0.1, 1.0, 50.0])


# ---- estimators, evaluators, validators ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instance", "text"),
    [
        (ALS(), "ALS()"),
        (ALS(rank=64, regParam=0.05), "ALS(rank=64, regParam=0.05)"),
        (ALS(regParam=0.05, rank=64), "ALS(rank=64, regParam=0.05)"),
        (ALS(rank=10, implicitPrefs=False), "ALS()"),
        (ALS(userCol="it's", userRegParam=0.0), 'ALS(userCol="it\'s", userRegParam=0.0)'),
        (ALS().setPredictionCol("guess").setRank(3), "ALS(rank=3, predictionCol='guess')"),
        (RegressionEvaluator(labelCol="rating", metricName="rmse"), "RegressionEvaluator(labelCol='rating')"),
        (RankingEvaluator(k=5), "RankingEvaluator(k=5)"),
        (CrossValidator(), "CrossValidator()"),
    ],
)
def test_an_estimator_shows_what_is_not_as_by_default(instance, text):
    """In the order of the constructor's keywords, so that the text is a call; what is no keyword comes last."""
    assert repr(instance) == text


def test_the_text_makes_the_same_estimator():
    als = ALS(rank=3, userCol="a 'b' \\ c", implicitPrefs=True, alpha=40, seed=-1, tol=1e-12, checkpointDir="/x")
    again = eval(repr(als))
    assert [again.getOrDefault(p.name) for p in als.params if als.isDefined(p)] == [
        als.getOrDefault(p) for p in als.params if als.isDefined(p)
    ]


def test_a_default_of_an_instance_is_shown():
    """It is not what the class says."""
    assert repr(ALS()._setDefault(regParam=0.33)) == "ALS(regParam=0.33)"


def test_a_validator_shows_its_parts_and_the_size_of_its_grid(grid_of_six):
    als, grid = grid_of_six
    evaluator = RegressionEvaluator(labelCol="rating")
    validator = TrainValidationSplit(
        estimator=als, estimatorParamMaps=grid.build(), evaluator=evaluator, trainRatio=0.5
    )
    assert repr(validator) == (
        "TrainValidationSplit(estimator=ALS(rank=1, maxIter=2, coldStartStrategy='drop'), "
        "estimatorParamMaps=[6 maps of rank, regParam], evaluator=RegressionEvaluator(labelCol='rating'), "
        "trainRatio=0.5)"
    )
    assert repr(validator.setEstimatorParamMaps([{}])).count("estimatorParamMaps=[1 map],") == 1
    assert repr(grid) == "ParamGridBuilder: maps=6, rank=[1, 2], regParam=[0.1, 1.0, 50.0]"
    assert repr(ParamGridBuilder()) == "ParamGridBuilder: maps=1"


def test_a_parameter_is_short():
    """With its class, which the uid names; str has the uid."""
    als = ALS()
    assert (repr(als.rank), repr(ALS.rank), str(als.rank)) == ("ALS.rank", "Param('rank')", f"{als.uid}__rank")
    assert repr([{als.rank: 5}]) == "[{ALS.rank: 5}]"
    assert repr(ALS()._resetUid("mine").rank) == "Param('rank')"
    assert repr(CrossValidator().seed) == "CrossValidator.seed"


# ---- models ----------------------------------------------------------------------------------------------


def test_a_model_shows_its_size_and_how_its_fit_went(ratings, model):
    """The RMSE is that of its predictions of the training ratings."""
    rmse = RegressionEvaluator(labelCol="rating").evaluate(model.transform(ratings))
    assert repr(model) == (
        f"ALSModel: uid={model.uid}, rank=2, users=3, items=3, iterations=3, rmse={rmse:.4g}, factors=in this process"
    )


def test_a_model_of_biases_says_where_two_more_columns_come_from(ratings):
    table = Table(ALS(rank=2, biases=True).fit(ratings)._repr_html_())
    assert ["rank", "4", "two of them for biases"] in table.rows


def test_with_validation_it_shows_the_best_iteration(ratings):
    """Here not the last: 30 iterations without regularisation, of which the first ones generalise best."""
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"user": np.repeat(range(20), 12), "item": np.tile(range(12), 20)})
    rows["rating"] = rng.normal(size=len(rows))
    held = rng.random(len(rows)) < 0.3
    model = ALS(rank=6, maxIter=30, regParam=1e-4).fit(rows[~held], validation=rows[held])
    found, best = shown(model), model.history.iloc[model.history["validationRmse"].argmin()]
    assert best["iteration"] < 30
    assert int(found["bestIteration"]) == best["iteration"] == model.bestIteration
    assert (found["iterations"], found["rmse"]) == ("30", f"{best['rmse']:.4g}")
    assert found["validationRmse"] == f"{best['validationRmse']:.4g}"


def test_an_implicit_model_shows_what_there_is_in_place_of_the_rmse(ratings):
    model = ALS(rank=2, maxIter=2, implicitPrefs=True).fit(ratings)
    assert shown(model)["preferenceRmse"] == f"{model.history['preferenceRmse'].iloc[-1]:.4g}"
    assert "rmse" not in shown(model)


def test_no_iteration_is_no_error(ratings):
    assert list(shown(ALS(rank=2, maxIter=0).fit(ratings))) == ["uid", "rank", "users", "items", "factors"]


def test_a_loaded_model_names_its_files_and_does_not_read_them(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model.save("saved")
    loaded = ALSModel.load("saved")
    shutil.rmtree("saved")
    found = shown(loaded)
    assert found.pop("factors") == "in the files of 'saved'"
    assert found.items() <= shown(model).items()


def test_a_model_that_spark_wrote_has_no_history():
    model = ALSModel.load(str(WRITTEN_BY_SPARK / "model"))
    found = shown(model)
    assert list(found) == ["uid", "rank", "users", "items", "factors"]
    assert int(found["users"]) == len(model.userFactors)
    assert "<table" in model._repr_html_()


def test_on_a_cluster_it_names_it_and_what_is_gone_is_said_to_be_gone(ratings):
    """With the client that was closed, and when the cluster was restarted."""
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as workers:
        address = workers.scheduler_address
        with Client(workers):
            model = ALS(rank=2, maxIter=1).fit(ratings)
            assert shown(model)["factors"] == f"on cluster {address}"
            assert ["factors", f"on cluster {address}", ""] in Table(model._repr_html_()).rows
        assert shown(model)["factors"] == "gone: the client of their cluster is closed"
        with Client(workers) as client:
            model = ALS(rank=2, maxIter=1).fit(ratings)
            client.restart(wait_for_workers=False)  # without a nanny none comes back
            assert shown(model)["factors"] == f"gone from cluster {address}"
            notes = {row[0]: row[2] for row in Table(model._repr_html_()).rows}
            assert "cannot be had back" in notes["factors"]


def test_a_model_in_one_process_shows_its_size(model):
    assert repr(model.toLocal()) == f"LocalModel: uid={model.uid}, rank=2, users=3, items=3"


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"user": np.repeat(range(20), 12), "item": np.tile(range(12), 20)})
    return rows.assign(rating=rng.normal(3, 1, len(rows)))


@pytest.mark.parametrize("cls", [CrossValidator, TrainValidationSplit])
def test_a_tuned_model_shows_the_best_map_its_metric_and_the_best_model(cls, grid_of_six, many):
    als, grid = grid_of_six
    maps = grid.build()
    tuned = cls(estimator=als, estimatorParamMaps=maps, evaluator=RegressionEvaluator(labelCol="rating")).fit(many)
    metrics = tuned.avgMetrics if cls is CrossValidator else tuned.validationMetrics
    best = {param.name: value for param, value in maps[int(np.argmin(metrics))].items()}
    split = "numFolds=3" if cls is CrossValidator else "trainRatio=0.75"
    first, second = repr(tuned).split("\n")
    assert first == (
        f"{type(tuned).__name__}: uid={tuned.uid}, maps=6, bestParams={best}, rmse={min(metrics):.4g}, {split}"
    )
    assert second == f"  bestModel={tuned.bestModel!r}"
    notes = {row[0]: row[2] for row in Table(tuned._repr_html_()).rows[:5]}
    assert notes["rmse"] == f"of the best map; {max(metrics):.4g} of the worst"


def test_tuned_models_that_spark_wrote_and_those_made_by_hand_are_shown(model):
    assert repr(CrossValidatorModel.load(str(WRITTEN_BY_SPARK / "tuned"))).count("maps=") == 1
    by_hand = TrainValidationSplitModel(model)
    assert repr(by_hand) == f"TrainValidationSplitModel: uid={by_hand.uid}\n  bestModel={model!r}"
    assert repr(CrossValidatorModel("anything", [1.0])).endswith("bestModel='anything'")


# ---- notebooks -------------------------------------------------------------------------------------------


def test_a_notebook_shows_the_same_and_folds_the_rest():
    """Values and texts of all parameters; those that differ from their defaults before the others."""
    als = ALS(rank=64, regParam=0.05)
    table = Table(als._repr_html_())
    assert [row[:2] for row in table.rows[:2]] == [["rank", "64"], ["regParam", "0.05"]]
    assert sorted(row[0] for row in table.rows) == [param.name for param in als.params]
    assert {row[0]: row[2] for row in table.rows} == {param.name: param.doc for param in als.params}
    assert table.values["userRegParam"] == "not set"
    assert f"{len(als.params) - 2} parameters at default" in table.text


def test_a_notebook_shows_the_parameters_of_a_model_s_fit(ratings):
    model = ALS(rank=2, maxIter=3, coldStartStrategy="drop").fit(ratings).setColdStartStrategy("nan")
    model.setPredictionCol("guess")
    folded = Table(model._repr_html_()).rows[-4:]
    assert {row[0]: row[1] for row in folded} == {
        "rank": "2",
        "maxIter": "3",
        "coldStartStrategy": "'drop'",
        "predictionCol": "'guess'",
    }


EVIL = "<script>alert('1')</script> & \"x\"</td></table>"


def test_values_are_escaped(ratings):
    table = Table(ALS(userCol=EVIL)._repr_html_())
    assert table.values["userCol"] == repr(EVIL)
    assert "script" not in table.tags
    renamed = ratings.rename(columns={"user": EVIL})
    assert Table(ALS(userCol=EVIL, maxIter=1).fit(renamed)._repr_html_()).values["userCol"] == repr(EVIL)


def test_a_notebook_keeps_its_colours(model):
    """Dark ones as well as light ones: nothing says which colour anything has."""
    for each in (ALS(rank=3), model, model.toLocal(), CrossValidatorModel(model)):
        assert not re.search("color|background", " ".join(Table(each._repr_html_()).styles))


# ---- whatever happens ------------------------------------------------------------------------------------


def refuse(*args, **kwargs):
    raise AssertionError("something was computed")


def test_nothing_is_computed(ratings, model, tmp_path):
    model.save(str(tmp_path / "model"))
    loaded = ALSModel.load(str(tmp_path / "model"))
    lazy = ALS(rank=2, maxIter=1).fit(ratings).foldInUsers(ratings.assign(user=9))
    with dask.config.set(scheduler=refuse):
        for each in (model, loaded, lazy, CrossValidatorModel(loaded)):
            assert "rank=2" in repr(each)
            assert "<table" in each._repr_html_()


def test_parameters_out_of_range_are_shown():
    als = ALS(rank=-3, regParam=float("nan"))
    assert repr(als) == "ALS(rank=-3, regParam=nan)"
    assert "nan" in als._repr_html_()


def test_long_values_are_cut(grid_of_six):
    als, _ = grid_of_six
    maps = [{als.rank: 1 + n} for n in range(20_000)]
    validator = CrossValidator(estimator=als, estimatorParamMaps=maps)
    assert "[20000 maps of rank]" in repr(validator)
    assert len(repr(ALS(checkpointDir="x" * 10_000))) < 150
    assert len(repr(ParamGridBuilder().addGrid(als.rank, range(1, 10_000)))) < 150


class Odd(Params):
    """Parameters whose values are unlike others."""

    anything = Param("anything", "of any type", lambda value: value)
    number = Param("number", "a number", to_float, 1.0)


class Unshowable:
    def __repr__(self):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None


def test_values_of_any_type_are_shown():
    """Arrays, which have no truth value, and what raises when it is shown or compared."""
    assert repr(Odd().setAnything(np.arange(3))) == "Odd(anything=array([0, 1, 2]))"
    assert repr(Odd().setAnything(pd.DataFrame({"a": [1, 2]}))).count("\n") == 0
    assert re.fullmatch(r"Odd\(anything=<Unshowable instance at 0x\w+>\)", repr(Odd().setAnything(Unshowable())))


def test_an_object_that_is_not_complete_is_shown_too():
    """As in a debugger, after its constructor has raised."""
    for cls in (ALS, RegressionEvaluator, CrossValidator, ALSModel, CrossValidatorModel, ParamGridBuilder):
        half = object.__new__(cls)
        assert cls.__name__ in repr(half)
        assert half._repr_html_() is None


def test_an_evaluator_of_ones_own_is_shown(model):
    class Rows(Evaluator):
        def isLargerBetter(self):
            return False

    assert repr(Rows().setLabelCol("x")) == "Rows(labelCol='x')"
    als = ALS()
    tuned = CrossValidatorModel(model, [3.0, 2.0], None, [0.5, 0.25])
    tuned._set(estimator=als, estimatorParamMaps=[{als.rank: 1}, {als.rank: 2}])
    tuned._paramMap[tuned.evaluator] = Rows()
    assert repr(tuned).startswith(
        f"CrossValidatorModel: uid={tuned.uid}, maps=2, bestParams={{'rank': 2}}, metric=2, numFolds=3\n"
    )
    assert "standard deviation of 0.25" in tuned._repr_html_()
