"""A model knows the estimator that fitted it."""

import copy
import json
import pickle
from pathlib import Path

import pytest
from support.models import write_metadata, write_side

from daskals import ALS, ALSModel
from daskals.evaluation import RegressionEvaluator
from daskals.tuning import CrossValidator, CrossValidatorModel, ParamGridBuilder

GIVEN = {"rank": 2, "maxIter": 2, "regParam": 0.07, "alpha": 3.0, "implicitPrefs": True, "seed": 5, "cgSteps": 2}


def assert_same(found, expected):
    assert type(found) is ALS
    assert found.uid == expected.uid
    assert found.extractParamMap() == expected.extractParamMap()
    assert [found.isSet(param.name) for param in found.params] == [expected.isSet(p.name) for p in expected.params]


def test_it_is_the_estimator_with_the_parameters_of_the_fit(ratings):
    als = ALS(**GIVEN)
    model = als.fit(ratings, {als.regParam: 0.9})
    als.setRegParam(5.0)
    assert_same(model.parent, als.copy({als.regParam: 0.9}))


def test_to_change_it_changes_nothing(ratings):
    model = ALS(**GIVEN).fit(ratings)
    model.parent.setRegParam(9.0)
    assert model.parent.getRegParam() == 0.07
    model.setUserCol("who")  # nor does the model change its parent
    assert model.parent.getUserCol() == "user"


def test_it_fits_the_same_model_again(ratings):
    model = ALS(**GIVEN).fit(ratings)
    assert model.parent.fit(ratings).userFactors.equals(model.userFactors)


def test_copies_pickles_and_files_have_it(ratings, tmp_path):
    als = ALS(**GIVEN, checkpointDir=str(tmp_path / "checkpoints"), checkpointInterval=1)
    model = als.fit(ratings)
    model.save(str(tmp_path / "model"))
    others = [model.copy(), copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    loaded = ALSModel.load(str(tmp_path / "model"))
    loaded.save(str(tmp_path / "again"))
    (checkpoint,) = (tmp_path / "checkpoints").glob("fit-*/iteration-000002")
    others += [loaded, ALSModel.load(str(tmp_path / "again")), ALSModel.load(str(checkpoint))]
    for other in others:
        assert_same(other.parent, als)


def test_defaults_of_an_instance_are_kept_in_files(ratings, tmp_path):
    als = ALS(rank=2, maxIter=1)._setDefault(regParam=0.33)
    als.fit(ratings).save(str(tmp_path / "model"))
    assert ALSModel.load(str(tmp_path / "model")).parent.getRegParam() == 0.33


def test_validators_models_have_that_of_the_best(ratings, tmp_path):
    als = ALS(rank=2, maxIter=1, coldStartStrategy="drop")
    grid = ParamGridBuilder().addGrid(als.regParam, [0.01, 10.0]).build()
    frame = ratings.loc[ratings.index.repeat(6)].reset_index(drop=True)
    tuned = CrossValidator(estimator=als, estimatorParamMaps=grid, evaluator=RegressionEvaluator(labelCol="rating"),
                           numFolds=2, seed=1, collectSubModels=True).fit(frame)  # fmt: skip
    best = grid[tuned.avgMetrics.index(min(tuned.avgMetrics))][als.regParam]
    assert tuned.bestModel.parent.getRegParam() == best
    assert [model.parent.getRegParam() for model in tuned.subModels[0]] == [0.01, 10.0]
    tuned.save(str(tmp_path / "tuned"))
    assert CrossValidatorModel.load(str(tmp_path / "tuned")).bestModel.parent.getRegParam() == best


def test_sparks_models_have_none(tmp_path):
    write_metadata(tmp_path / "model")
    for side in ("userFactors", "itemFactors"):
        write_side(tmp_path / "model" / side, [1, 2], [[1.0, 2.0], [3.0, 4.0]])
    model = ALSModel.load(str(tmp_path / "model"))
    assert model.parent is None
    model.save(str(tmp_path / "again"))
    assert ALSModel.load(str(tmp_path / "again")).parent is None


DAMAGE = {
    "no map": [],
    "no uid": {"paramMap": {}},
    "a uid of a wrong type": {"uid": 3, "paramMap": {}},
    "no parameters": {"uid": "ALS_1"},
    "parameters of a wrong type": {"uid": "ALS_1", "paramMap": ["rank"]},
    "a null": {"uid": "ALS_1", "paramMap": {"rank": None}},
    "an unknown parameter": {"uid": "ALS_1", "paramMap": {"depth": 3}},
    "a value of a wrong type": {"uid": "ALS_1", "paramMap": {"rank": "many"}},
    "a value out of range": {"uid": "ALS_1", "paramMap": {"regParam": -1.0}},
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_with_its_file(ratings, tmp_path, kind):
    path = tmp_path / "model"
    ALS(**GIVEN).fit(ratings).save(str(path))
    file = path / "metadata" / "part-00000"
    fields = json.loads(file.read_text())
    fields["daskals"]["parent"] = DAMAGE[kind]
    file.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=r"(?s)model are damaged in daskals.parent: "):
        ALSModel.load(str(path))


def test_files_of_before_have_none(ratings, tmp_path):
    path = tmp_path / "model"
    ALS(**GIVEN).fit(ratings).save(str(path))
    file = Path(path, "metadata", "part-00000")
    fields = json.loads(file.read_text())
    del fields["daskals"]["parent"]
    file.write_text(json.dumps(fields))
    assert ALSModel.load(str(path)).parent is None


def test_pysparks_idiom_is_answered(ratings):
    model = ALS(**GIVEN).fit(ratings)
    with pytest.raises(AttributeError, match=r"write bestModel\.parent\.getRegParam\(\)"):
        model._java_obj.parent().getRegParam()
    assert not hasattr(model, "_java_obj")
