"""Parameters behave as Spark's: types are checked when a value is set, ranges when it is used."""

import copy
import inspect
import pickle
import re
import warnings
from itertools import chain

import cloudpickle
import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from daskals import ALS
from daskals.evaluation import RankingEvaluator, RegressionEvaluator
from daskals.params.converters import at_least, one_of, to_float, to_int
from daskals.params.declared import Params
from daskals.params.keywords import keyword_only
from daskals.params.names import ELSEWHERE
from daskals.params.param import Param
from daskals.tuning import CrossValidator, CrossValidatorModel, TrainValidationSplit

#: Spark's constructor, in its order; seed has another default (None stands for it) in every process there
SPARK_DEFAULTS = {
    "rank": 10,
    "maxIter": 10,
    "regParam": 0.1,
    "numUserBlocks": 10,
    "numItemBlocks": 10,
    "implicitPrefs": False,
    "alpha": 1.0,
    "userCol": "user",
    "itemCol": "item",
    "seed": None,
    "ratingCol": "rating",
    "nonnegative": False,
    "checkpointInterval": 10,
    "intermediateStorageLevel": "MEMORY_AND_DISK",
    "finalStorageLevel": "MEMORY_AND_DISK",
    "coldStartStrategy": "nan",
    "blockSize": 4096,
}
OURS = {
    **{"precision": "single", "sparkRandom": "3", "solver": "cholesky", "cgSteps": 3, "subspaceSize": 64},
    **{"checkpointDir": "", "biases": False, "regExponent": 1.0, "regCount": "observed", "weightCol": ""},
    **{"userCountExponent": 0.0, "itemCountExponent": 0.0, "startScale": 1.0},
    **{"tol": 0.0, "patience": 0, "validationK": 10},
}
#: those without a default: not set, they mean something that no number says
UNDEFINED = ["userRegParam", "itemRegParam", "unobservedWeight"]
SEED = 1994790107
VALIDATORS = [CrossValidator, TrainValidationSplit]
MODEL_PARAMS = ["blockSize", "coldStartStrategy", "itemCol", "predictionCol", "userCol"]
INTS = [
    *("rank", "maxIter", "numUserBlocks", "numItemBlocks", "checkpointInterval", "blockSize", "seed"),
    *("cgSteps", "subspaceSize", "patience", "validationK"),
]
FLOATS = [
    *("regParam", "alpha", "regExponent", "userRegParam", "itemRegParam", "unobservedWeight"),
    *("userCountExponent", "itemCountExponent", "startScale", "tol"),
]
BOOLEANS = ["implicitPrefs", "nonnegative", "biases"]
STRINGS = [
    *("userCol", "itemCol", "ratingCol", "predictionCol", "coldStartStrategy", "finalStorageLevel", "precision"),
    *("weightCol", "regCount", "solver", "checkpointDir"),
]


def upper(name):
    return name[0].upper() + name[1:]


def get(als, name):
    return getattr(als, f"get{upper(name)}")()


def fresh(name, value):
    """An estimator in which one parameter was set by its setter."""
    return getattr(ALS(), f"set{upper(name)}")(value)


@pytest.fixture
def model(ratings):
    als = ALS(rank=2, maxIter=1, userCol="who", blockSize=77, coldStartStrategy="DROP", regParam=0.5)
    return als.fit(ratings.rename(columns={"user": "who"}))


# ---- the constructor -------------------------------------------------------------------------------------


def test_constructor_has_spark_s_parameters_and_defaults():
    """Same names, same order, same defaults, all by keyword; then those that Spark does not have."""
    parameters = inspect.signature(ALS).parameters
    defaults = [(name, each.default) for name, each in parameters.items()]
    assert defaults[: len(SPARK_DEFAULTS)] == list(SPARK_DEFAULTS.items())
    assert dict(defaults).items() >= OURS.items()
    assert {each.kind for each in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}


def test_every_parameter_but_one_is_a_keyword_with_the_same_default():
    """What the signature shows is what holds."""
    als, shown = ALS(), inspect.signature(ALS).parameters
    assert set(shown) == {each.name for each in als.params} - {"predictionCol"}
    assert all(shown[name].default == als.getOrDefault(name) for name in set(shown) - {"seed", *UNDEFINED})
    assert {name for name in shown if not als.hasDefault(name)} == set(UNDEFINED)
    assert all(shown[name].default is None for name in UNDEFINED)


def test_defaults_of_a_new_estimator():
    """Getters return them; nothing counts as set; the seed is a fixed number."""
    als = ALS()
    for name, default in {**SPARK_DEFAULTS, **OURS, "seed": SEED, "predictionCol": "prediction"}.items():
        assert get(als, name) == als.getOrDefault(name) == default
        assert type(get(als, name)) is type(default)
        assert not als.isSet(name)
        assert als.hasDefault(name)
        assert als.isDefined(name)


@pytest.mark.parametrize("name", UNDEFINED)
def test_a_parameter_without_a_default_is_undefined_until_set_and_after_it_is_cleared(ratings, name):
    als = ALS(rank=2, maxIter=2, implicitPrefs=True, **{name: None})
    assert not als.isDefined(name)
    with pytest.raises(KeyError, match=name):
        get(als, name)
    plain = als.fit(ratings).itemFactors
    als.set(name, 0.5)
    assert get(als, name) == 0.5
    assert not als.fit(ratings).itemFactors.equals(plain)
    als.clear(name)
    assert not als.isDefined(name)
    assert_frame_equal(als.fit(ratings).itemFactors, plain)


@pytest.mark.parametrize(
    ("call", "keywords"),
    [
        (lambda: ALS(10), "ALS(rank=10)"),
        (lambda: ALS(10, 5), "ALS(rank=10, maxIter=5)"),
        (lambda: ALS(10, maxIter=5), "ALS(rank=10)"),
        (lambda: ALS([1]), "ALS(rank=...)"),
        (lambda: ALS().setParams(10), "setParams(rank=10)"),
        (lambda: RegressionEvaluator("p"), "RegressionEvaluator(predictionCol='p')"),
    ],
)
def test_positional_arguments_are_refused(call, keywords):
    """With Spark's own words, and the call as it has to be."""
    with pytest.raises(TypeError, match=r"^Method (__init__|setParams) forces keyword arguments\.") as caught:
        call()
    assert f"would be {keywords}." in str(caught.value)


@pytest.mark.parametrize("call", [ALS, ALS().setParams], ids=["__init__", "setParams"])
def test_unknown_keywords_are_refused_with_those_that_were_meant(call):
    """All unknown ones are named, each with its neighbour."""
    with pytest.raises(TypeError) as caught:
        call(ranks=10, maxIter=3, lambda_=1)
    assert str(caught.value) == (
        "ALS has no parameter 'ranks' (did you mean rank?), 'lambda_' (did you mean regParam?)"
    )


@pytest.mark.parametrize("call", [ALS, ALS().setParams], ids=["__init__", "setParams"])
def test_where_nothing_is_near_all_keywords_are_listed(call):
    """Every one that there is, the neighbour of another unknown one as well."""
    with pytest.raises(TypeError) as caught:
        call(colour=10, maxIter=3, factors=1)
    message = str(caught.value)
    assert "'colour'," in message
    assert "'factors' (did you mean rank?)" in message
    for name in (*SPARK_DEFAULTS, *OURS):
        assert re.search(rf"\b{name}\b", message)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *[
            (name, "maxIter")
            for name in ("max_iter", "maxiter", "MaxIter", "iterations", "n_iter", "epochs", "maxIters")
        ],
        *[(name, "rank") for name in ("factors", "n_factors", "features", "n_components", "embedding_size", "Rank")],
        *[(name, "regParam") for name in ("regularization", "lambda_", "reg", "reg_param", "regPram", "damping")],
        *[(name, "seed") for name in ("random_state", "random_seed", "rng", "seeds")],
        *[("user_col", "userCol"), ("items", "itemCol"), ("implicit_prefs", "implicitPrefs"), ("cg_steps", "cgSteps")],
    ],
)
def test_names_of_other_libraries_and_misspellings_are_understood(name, meant):
    """Those of implicit, LensKit, Surprise, scikit-learn and Spark's older interface."""
    with pytest.raises(TypeError, match=rf"no parameter '{name}' \(did you mean {meant}\?\)$"):
        ALS(**{name: 1})
    with pytest.raises(ValueError, match=rf"no parameter '{name}' \(did you mean {meant}\?\)$"):
        ALS().getParam(name)


def test_a_table_of_other_names_leads_to_parameters_and_from_no_parameter():
    """A parameter's own name in the table would never be reached; a misspelt target would lead nowhere."""
    classes = ALS, RankingEvaluator, CrossValidator, TrainValidationSplit
    known = {param.name for cls in classes for param in cls().params}
    assert ELSEWHERE.keys() <= known
    assert not known & set(chain.from_iterable(ELSEWHERE.values()))
    names = [name.replace("_", "") for name in chain.from_iterable(ELSEWHERE.values())]
    assert len(set(names)) == len(names)


def test_prediction_col_is_a_parameter_but_no_keyword():
    """As in Spark: only setPredictionCol."""
    with pytest.raises(TypeError, match=r"'predictionCol' is a parameter of ALS but no keyword.* setPredictionCol"):
        ALS(predictionCol="p")
    assert ALS().setPredictionCol("p").getPredictionCol() == "p"


def test_uid():
    """ALS_ and twelve hexadecimal digits, different each time."""
    one, other = ALS(), ALS()
    assert re.fullmatch("ALS_[0-9a-f]{12}", one.uid)
    assert one.uid != other.uid


# ---- getting and setting ---------------------------------------------------------------------------------

OTHER_VALUES = {
    "rank": 7,
    "maxIter": 3,
    "regParam": 0.25,
    "numUserBlocks": 4,
    "numItemBlocks": 6,
    "implicitPrefs": True,
    "alpha": 2.5,
    "userCol": "u",
    "itemCol": "i",
    "seed": -12,
    "ratingCol": "r",
    "nonnegative": True,
    "checkpointInterval": 2,
    "intermediateStorageLevel": "DISK_ONLY",
    "finalStorageLevel": "NONE",
    "coldStartStrategy": "drop",
    "blockSize": 128,
    "precision": "double",
    "sparkRandom": "2",
    "solver": "subspace",
    "cgSteps": 5,
    "checkpointDir": "folder",
    "biases": True,
    "regExponent": 0.5,
    "userRegParam": 0.3,
    "itemRegParam": 0.0,
    "regCount": "all",
    "unobservedWeight": 0.1,
    "weightCol": "w",
    "userCountExponent": 0.75,
    "itemCountExponent": 1.5,
    "startScale": 0.01,
    "subspaceSize": 32,
    "tol": 0.001,
    "patience": 2,
    "validationK": 20,
}


@pytest.mark.parametrize("name", [*OTHER_VALUES, "predictionCol"])
def test_setter_and_getter_of_each_parameter(name):
    """The setter returns the estimator, and nothing else changes."""
    value = OTHER_VALUES.get(name, "p")
    als = ALS()
    before = als.extractParamMap()
    assert getattr(als, f"set{upper(name)}")(value) is als
    assert get(als, name) == als.getOrDefault(name) == als.getOrDefault(als.getParam(name)) == value
    assert als.isSet(name)
    assert als.extractParamMap() == {**before, als.getParam(name): value}


def test_constructor_and_set_params_take_all_of_them():
    """Only what was passed counts as set; setParams leaves the others alone and returns the estimator."""
    als = ALS(**OTHER_VALUES)
    for name, value in OTHER_VALUES.items():
        assert get(als, name) == value
        assert als.isSet(name)
    assert als.setParams(rank=99) is als
    assert als.getRank() == 99
    assert als.getMaxIter() == OTHER_VALUES["maxIter"]
    part = ALS(rank=10, maxIter=5)
    assert part.isSet("rank")
    assert not part.isSet("alpha")


def test_a_none_is_not_given():
    """seed=None is the default seed."""
    als = ALS(seed=None)
    assert not als.isSet("seed")
    assert als.getSeed() == SEED


def test_set_num_blocks_sets_both():
    """As Spark's does."""
    als = ALS()
    assert als.setNumBlocks(3) is als
    assert (als.getNumUserBlocks(), als.getNumItemBlocks()) == (3, 3)


def test_set_by_parameter_or_by_name():
    """set, isSet, clear, getOrDefault, hasDefault and explainParam take either."""
    als = ALS()
    for key in (als.rank, "rank", ALS.rank):
        assert als.set(key, 4) is als
        assert als.getOrDefault(key) == 4
        assert als.isSet(key)
        als.clear(key)
        assert not als.isSet(key)
        assert als.getOrDefault(key) == 10
        assert als.explainParam(key).startswith("rank: ")


def test_clear_of_what_was_not_set_changes_nothing():
    """And is no error."""
    als = ALS(rank=3)
    als.clear("alpha")
    assert als.getRank() == 3


# ---- stage one: types ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INTS)
@pytest.mark.parametrize("value", [2.5, "3", True, [3], float("nan"), float("inf"), np.bool_(True)], ids=repr)
def test_ints_refuse_other_types_at_once(name, value):
    """TypeError from the setter, naming the parameter; the constructor does the same."""
    with pytest.raises(TypeError, match=rf'param "{name}".*Could not convert .* to int'):
        fresh(name, value)
    with pytest.raises(TypeError, match=name):
        ALS(**{name: value})


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), np.float32(3), np.uint8(3)], ids=repr)
def test_ints_take_whole_numbers_of_any_type(value):
    """They become an int of Python."""
    rank = fresh("rank", value).getRank()
    assert rank == 3
    assert type(rank) is int


def test_a_seed_keeps_all_its_digits():
    """64 bits do not go through a float."""
    for seed in (2**63 - 1, -(2**63), 2**53 + 1):
        assert ALS(seed=seed).getSeed() == seed
        assert ALS(seed=np.int64(seed)).getSeed() == seed


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", ["0.1", True, [0.1], 1j], ids=repr)
def test_floats_refuse_other_types_at_once(name, value):
    """TypeError naming the parameter."""
    with pytest.raises(TypeError, match=rf'param "{name}".*Could not convert .* to float'):
        fresh(name, value)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int8(1)], ids=repr)
def test_floats_take_numbers_of_any_type(value):
    """They become a float of Python."""
    assert type(fresh("regParam", value).getRegParam()) is float


@pytest.mark.parametrize("name", BOOLEANS)
@pytest.mark.parametrize("value", [1, 0, "true", 1.0, "False"], ids=repr)
def test_booleans_refuse_what_looks_like_one(name, value):
    """With Spark's own words."""
    with pytest.raises(TypeError, match=rf'param "{name}".*Boolean Param requires value of type bool'):
        fresh(name, value)


def test_booleans_of_numpy_are_booleans():
    """They become Python's."""
    assert fresh("nonnegative", np.True_).getNonnegative() is True


@pytest.mark.parametrize("name", STRINGS)
@pytest.mark.parametrize("value", [1, True, b"user", ["user"]], ids=repr)
def test_strings_refuse_other_types_at_once(name, value):
    """TypeError naming the parameter."""
    with pytest.raises(TypeError, match=rf'param "{name}".*Could not convert .* to string'):
        fresh(name, value)


def test_nothing_is_set_when_one_of_several_is_of_a_wrong_type():
    """setParams sets all or none."""
    als = ALS(rank=3)
    with pytest.raises(TypeError, match="maxIter"):
        als.setParams(rank=5, maxIter="many")
    assert als.getRank() == 3


def test_types_of_a_parameter_map_are_checked():
    """fit(params=...), copy(extra) and set go the same way."""
    als = ALS()
    with pytest.raises(TypeError, match="rank"):
        als.copy({als.rank: "ten"})
    with pytest.raises(TypeError, match="rank"):
        als.set("rank", 2.5)


# ---- stage two: ranges -----------------------------------------------------------------------------------

OUT_OF_RANGE = [
    ("rank", 0, "an integer >= 1"),
    ("rank", -5, "an integer >= 1"),
    ("maxIter", -1, "an integer >= 0"),
    ("regParam", -0.1, "a finite number >= 0"),
    ("regParam", float("nan"), "a finite number >= 0"),
    ("regParam", float("inf"), "a finite number >= 0"),
    ("numUserBlocks", 0, "an integer >= 1"),
    ("numItemBlocks", 0, "an integer >= 1"),
    ("alpha", -1.0, "a finite number >= 0"),
    ("alpha", float("nan"), "a finite number >= 0"),
    ("checkpointInterval", 0, "-1 (never) or an integer >= 1"),
    ("checkpointInterval", -2, "-1 (never) or an integer >= 1"),
    ("blockSize", 0, "an integer >= 1"),
    *((name, 2**31, "at most 2147483647") for name in INTS if name != "seed"),
    ("seed", 2**63, "64-bit"),
    ("seed", -(2**63) - 1, "64-bit"),
    ("coldStartStrategy", "fill", "'nan', 'drop'"),
    ("intermediateStorageLevel", "foo", "'MEMORY_AND_DISK'"),
    ("intermediateStorageLevel", "NONE", "'MEMORY_AND_DISK'"),
    ("finalStorageLevel", "foo", "'NONE'"),
    ("precision", "half", "'single', 'double'"),
    ("sparkRandom", "4", "'3', '2'"),
    *((name, -0.1, "a finite number >= 0") for name in FLOATS if name != "startScale"),
    *((name, float("inf"), "a finite number >= 0") for name in FLOATS if name != "startScale"),
    *((name, float("nan"), "a finite number >= 0") for name in FLOATS if name != "startScale"),
    *(("startScale", value, "a finite number > 0") for value in (0.0, -1.0, float("inf"), float("nan"))),
    ("regCount", "some", "'observed', 'all'"),
    ("solver", "newton", "'cholesky', 'cg', 'subspace', 'auto'"),
    ("cgSteps", 0, "an integer >= 1"),
    ("subspaceSize", 0, "an integer >= 1"),
    ("patience", -1, "an integer >= 0"),
    ("validationK", 0, "an integer >= 1"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), OUT_OF_RANGE)
def test_values_out_of_range_are_refused_by_fit_and_not_before(ratings, name, value, allowed):
    """ValueError with the parameter, the value, and what is allowed."""
    als = fresh(name, value)
    with pytest.raises(ValueError, match=f"{als.uid}.*\n.*{name}={re.escape(repr(value))}.*{re.escape(allowed)}"):
        als.fit(ratings)


def test_all_offending_parameters_are_named_at_once(ratings):
    """And no other."""
    als = ALS(rank=0, maxIter=-1, regParam=-2, alpha=1.0, numUserBlocks=0, coldStartStrategy="fill")
    with pytest.raises(ValueError, match="invalid") as caught:
        als.fit(ratings)
    assert re.findall(r"(\w+)=", str(caught.value)) == [
        *("coldStartStrategy", "maxIter", "numUserBlocks", "rank", "regParam")
    ]


def test_ranges_are_checked_before_the_data_are_looked_at():
    """The frame may be wrong as well: parameters come first, and nothing is computed."""
    with pytest.raises(ValueError, match="rank=0"):
        ALS(rank=0).fit(None)


def test_every_map_of_a_list_is_checked_before_the_first_fit(ratings):
    """A mistake in the last one costs no fit."""
    als = ALS(maxIter=0)
    with pytest.raises(ValueError, match="rank=-1"):
        als.fit(ratings, [{als.rank: 2}, {als.rank: -1}])


@pytest.mark.parametrize("word", ["nan", "NaN", "Nan", "drop", "DROP", "Drop"])
def test_words_are_taken_in_any_case(ratings, word):
    """ALSSuite "case insensitive cold start param value"."""
    model = ALS(rank=2, maxIter=0, coldStartStrategy=word).fit(ratings)
    test = ratings.drop(columns="rating").assign(item=[0, 1, 2, 0, 1, 99])
    assert len(model.transform(test)) == (5 if word.lower() == "drop" else 6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("maxIter", 0), ("regParam", 0.0), ("alpha", 0.0), ("rank", 1), ("blockSize", 1), ("seed", -(2**63))),
        *(("regExponent", 0.0), ("userRegParam", 0.0), ("itemRegParam", 0.0), ("startScale", 1e-30)),
        *(("userCountExponent", 5.0), ("itemCountExponent", 5.0), ("regExponent", 5.0), ("subspaceSize", 1)),
    ],
)
def test_values_at_the_edge_of_a_range_are_allowed(ratings, name, value):
    """A fit accepts them."""
    ALS(rank=1, maxIter=1).set(name, value).fit(ratings)


# ---- parameters without effect ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("intermediateStorageLevel", "DISK_ONLY"), ("finalStorageLevel", "NONE"), ("finalStorageLevel", "MEMORY_ONLY")],
)
def test_storage_levels_warn_when_set_away_from_their_default(ratings, name, value):
    """None is silently swallowed; the warning points at the caller's line."""
    with pytest.warns(UserWarning, match=f"{name}='{value}'.*no effect") as caught:
        ALS(rank=2, maxIter=0, **{name: value}).fit(ratings)
    assert [each.filename for each in caught] == [__file__]


def test_storage_levels_at_their_default_do_not_warn(ratings):
    """Set or not."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ALS(rank=2, maxIter=0).fit(ratings)
        ALS(rank=2, maxIter=0, intermediateStorageLevel="MEMORY_AND_DISK").fit(ratings)


# ---- Param -----------------------------------------------------------------------------------------------


def test_a_parameter_is_a_key_of_a_dict():
    """Equal if name and owner are; the copy of an estimator has the same owner."""
    als, other = ALS(), ALS()
    assert als.rank == als.getParam("rank") == als.copy().rank
    assert hash(als.rank) == hash(als.copy().rank)
    assert als.rank != other.rank
    assert als.rank != als.maxIter
    assert als.rank != "rank"
    assert {als.rank: 5}[als.getParam("rank")] == 5
    assert (als.rank.name, als.rank.parent) == ("rank", als.uid)
    assert als.rank.doc


def test_a_parameter_s_name_in_print():
    """uid, two underscores, name; the class attribute has no owner yet."""
    als = ALS()
    assert str(als.rank) == f"{als.uid}__rank"
    assert ALS.rank.parent == "undefined"
    assert repr(als.rank) == "ALS.rank"


def test_params_lists_all_sorted_by_name():
    """hasParam and getParam agree with it."""
    als = ALS()
    names = [each.name for each in als.params]
    assert names == sorted(names)
    assert set(names) >= {*SPARK_DEFAULTS, *OURS, "predictionCol"}
    assert all(als.hasParam(name) for name in names)
    assert not als.hasParam("ranks")
    for error in (AttributeError, ValueError):  # of Spark 4 and of Spark 3
        with pytest.raises(error, match=r"'ranks' \(did you mean rank\?\)"):
            als.getParam("ranks")
        with pytest.raises(error, match=r"'colour'; .*maxIter.*rank"):
            als.isSet("colour")
    for method in (als.hasParam, als.getOrDefault, als.isSet, als.explainParam):
        with pytest.raises(TypeError, match="got 3"):
            method(3)


def test_parameters_of_another_estimator_are_refused(ratings):
    """A map for one estimator does not silently do nothing in another."""
    als, other = ALS(), ALS()
    with pytest.raises(ValueError, match="does not belong"):
        als.getOrDefault(other.rank)
    with pytest.raises(ValueError, match="does not belong"):
        als.fit(ratings, {other.rank: 3})


def test_what_is_not_a_parameter_is_refused():
    """As a key."""
    with pytest.raises(TypeError, match="parameter"):
        ALS().getOrDefault(3)


def test_a_value_cannot_be_assigned(ratings):
    """It would replace the parameter, and `fit` would stumble over it; what sets it is named."""
    als = ALS()
    with pytest.raises(AttributeError, match=r"'rank' sets no parameter of ALS: call setRank\(20\)"):
        als.rank = 20
    with pytest.raises(AttributeError, match=r"call setRank\(\.\.\.\)"):
        als.rank = [20]
    with pytest.raises(AttributeError):
        del als.rank
    model = als.fit(ratings, {als.rank: 1, als.maxIter: 0})
    with pytest.raises(AttributeError, match=r"call setBlockSize\(3\)"):
        model.blockSize = 3
    tuned = CrossValidatorModel(model)
    with pytest.raises(AttributeError, match=r"call set\('numFolds', 5\)"):
        tuned.numFolds = 5


@pytest.mark.parametrize(
    ("name", "setter"), [("maxiter", "setMaxIter"), ("max_iter", "setMaxIter"), ("regParm", "setRegParam")]
)
def test_a_misspelt_attribute_is_refused(name, setter):
    """It would be there, and do nothing."""
    als = ALS()
    with pytest.raises(AttributeError, match=rf"'{name}' sets no parameter of ALS: call {setter}\(20\)"):
        setattr(als, name, 20)
    assert not hasattr(als, name)


def test_other_attributes_can_be_assigned():
    """Those of users' subclasses, the uid, and what a class has already."""

    class Mine(ALS):
        ranks = ()

    mine = Mine(rank=3)
    mine._rank, mine.uid, mine.note, mine.ranks, mine.fit = 1, "mine", "of me", [3], len
    assert (mine._rank, mine.uid, mine.note, mine.ranks, mine.rank.parent) == (1, "mine", "of me", [3], "mine")


# ---- maps, copies, explanations --------------------------------------------------------------------------


def test_copy_is_independent_and_keeps_the_uid():
    """Neither changes with the other; extra values are set in the copy alone."""
    als = ALS(rank=3)
    other = als.copy({als.maxIter: 7, "alpha": 4})
    assert other.uid == als.uid
    assert (other.getRank(), other.getMaxIter(), other.getAlpha()) == (3, 7, 4.0)
    assert not als.isSet("maxIter")
    other.setRank(8)
    als.setRegParam(9)
    assert als.getRank() == 3
    assert other.getRegParam() == 0.1


@pytest.mark.parametrize("extra", [[1], "rank", 3, {"rank"}], ids=repr)
@pytest.mark.parametrize("cls", [ALS, RegressionEvaluator, CrossValidator])
def test_a_copy_takes_a_map_only(cls, extra):
    """As in Spark."""
    with pytest.raises(TypeError, match="copy takes a map from parameters to values, got"):
        cls().copy(extra)


def test_a_copy_of_a_validator_takes_names_as_well():
    """They are those of its own parameters."""
    assert CrossValidator(estimator=ALS()).copy({"numFolds": 5}).getNumFolds() == 5


ROUND_TRIPS = {
    "pickle": lambda each: pickle.loads(pickle.dumps(each)),
    "cloudpickle": lambda each: cloudpickle.loads(cloudpickle.dumps(each)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
each_round_trip = pytest.mark.parametrize("round_trip", ROUND_TRIPS.values(), ids=ROUND_TRIPS.keys())


@each_round_trip
def test_estimators_and_evaluators_are_pickled_and_copied(round_trip):
    """All that tuning is made of, with values set and not set; the copy is independent."""
    als = ALS(rank=3, coldStartStrategy="drop")
    grid = [{als.rank: 2}, {als.rank: 4, als.regParam: 0.5}]
    evaluators = [RegressionEvaluator(labelCol="rating"), RankingEvaluator(k=3)]
    validators = [cls(estimator=als, estimatorParamMaps=grid, evaluator=evaluators[0]) for cls in VALIDATORS]
    for original in (als, *evaluators, *validators):
        again = round_trip(original)
        assert type(again) is type(original)
        assert again.uid == original.uid
        assert repr(again) == repr(original)
        values, theirs = again.extractParamMap(), original.extractParamMap()
        assert values.keys() == theirs.keys()
        for param, value in values.items():
            part = param.name in ("estimator", "evaluator")
            assert (value.extractParamMap() if part else value) == (
                theirs[param].extractParamMap() if part else theirs[param]
            )
    again = round_trip(als)
    again.setRank(5).validate()
    assert als.getRank() == 3
    assert round_trip(grid) == grid


@each_round_trip
def test_a_model_on_threads_is_pickled_and_copied(model, ratings, round_trip):
    """It predicts and recommends as before."""
    again = round_trip(model)
    frame = ratings.rename(columns={"user": "who"})
    assert (again.uid, again.getColdStartStrategy()) == (model.uid, "DROP")
    assert_frame_equal(again.history, model.history)
    assert_frame_equal(again.transform(frame), model.transform(frame))
    assert (
        again.recommendForAllUsers(2).recommendations.tolist() == model.recommendForAllUsers(2).recommendations.tolist()
    )
    tuned = CrossValidatorModel(model, [0.5], [[model]], [0.0])
    assert_frame_equal(round_trip(tuned).bestModel.transform(frame), model.transform(frame))


@pytest.mark.slow
def test_a_model_on_a_cluster_is_not_pickled(ratings, cluster):
    """A pickle would hold names of results that another process cannot have; a copy shares the factors."""
    with cluster.as_current():
        model = ALS(rank=2, maxIter=1).fit(ratings)
        for dumps in (pickle.dumps, cloudpickle.dumps):
            with pytest.raises(pickle.PicklingError, match=r"on the workers of a cluster.* model\.save\(path\)"):
                dumps(model)
        for again in (copy.copy(model), copy.deepcopy(model), model.copy()):
            assert_frame_equal(again.transform(ratings), model.transform(ratings))


# ---- what users' own classes call ------------------------------------------------------------------------


def test_defaults_of_an_instance():
    """``_setDefault`` changes those of one instance; getters, explanations, copies and pickles have them."""
    als, other = ALS(), ALS()
    assert als._setDefault(rank=7, regParam=1) is als
    for each in (als, als.copy(), copy.copy(als), pickle.loads(pickle.dumps(als))):
        assert (each.getRank(), each.getRegParam()) == (7, 1.0)
        assert (each.isSet("rank"), each.hasDefault("rank")) == (False, True)
        assert each._defaultParamMap[each.rank] == 7
        assert "(default: 7)" in each.explainParam("rank")
    assert (other.getRank(), ALS.rank.default) == (10, 10)
    als.copy()._setDefault(rank=8)
    assert als.getRank() == 7
    with pytest.raises(TypeError, match="rank"):
        als._setDefault(rank="many")
    with pytest.raises(TypeError, match="assignment"):
        als._defaultParamMap[als.rank] = 3
    assert als.clear("rank") is None
    assert als.getRank() == 7


def test_defaults_of_an_instance_are_saved(tmp_path):
    """As Spark saves them: they are not those of the class that loads them."""
    ALS()._setDefault(rank=7).save(tmp_path / "als")
    loaded = ALS.load(tmp_path / "als")
    assert loaded.getRank() == 7


def test_another_uid_keeps_the_values():
    """And the parameters belong to it."""
    als = ALS(rank=3)
    before = als.rank
    assert als._resetUid("als_of_mine") is als
    assert (als.getRank(), als.rank.parent, als.isSet("rank")) == (3, "als_of_mine", True)
    assert before != als.rank
    with pytest.raises(ValueError, match="does not belong to als_of_mine"):
        als.getOrDefault(before)


def test_values_are_copied_to_those_that_have_the_parameter():
    """Of what was set, and of what is given besides."""
    als, evaluator = ALS(rank=3).setPredictionCol("guess"), RegressionEvaluator()
    assert als._copyValues(evaluator, {als.rank: 5}) is evaluator
    assert (evaluator.getPredictionCol(), evaluator.isSet("labelCol")) == ("guess", False)


def test_defaults_of_an_estimator_s_instance_are_those_of_its_model(ratings):
    """A subclass with ``_setDefault(coldStartStrategy="drop")`` gets models that drop."""
    model = ALS(rank=1, maxIter=0)._setDefault(coldStartStrategy="drop", regParam=0.5).fit(ratings)
    assert (model.getColdStartStrategy(), model.isSet("coldStartStrategy")) == ("drop", False)
    assert len(model.transform(ratings.assign(user=99))) == 0


def test_whose_parameter_it_is():
    """``_resolveParam`` and ``_shouldOwn``."""
    als, other = ALS(), ALS()
    assert als._resolveParam("rank") == als._resolveParam(ALS.rank) == als._resolveParam(als.rank) == als.rank
    als._shouldOwn(als.rank)
    for param in (other.rank, RankingEvaluator().k, RankingEvaluator.k):
        with pytest.raises(ValueError, match="does not belong to"):
            als._shouldOwn(param)


def test_extract_param_map():
    """Defaults, then values set, then extra values."""
    als = ALS(rank=3, maxIter=4)
    found = als.extractParamMap({als.maxIter: 5})
    assert set(found) == set(als.params) - {als.getParam(name) for name in UNDEFINED}
    assert als.userRegParam in als.extractParamMap({als.userRegParam: 0.5})
    assert (found[als.rank], found[als.maxIter], found[als.alpha]) == (3, 5, 1.0)
    assert als.getMaxIter() == 4


def test_explain_params():
    """A line each, sorted; default and current value as Spark writes them."""
    als = ALS(rank=12)
    lines = als.explainParams().splitlines()
    assert len(lines) == len(als.params)
    assert lines == sorted(lines, key=lambda line: line.split(":")[0])
    assert als.explainParam("rank") == f"rank: {als.rank.doc} (default: 10, current: 12)"
    assert als.explainParam("maxIter") == f"maxIter: {als.maxIter.doc} (default: 10)"
    assert als.explainParam("rank") in lines


def test_fit_with_a_map_or_a_list_of_maps(ratings):
    """One model, or as many as there are maps; the estimator stays as it is."""
    als = ALS(rank=2, maxIter=0)
    assert als.fit(ratings).rank == 2
    assert als.fit(ratings, params={als.rank: 3}).rank == 3
    assert als.fit(ratings, {}).rank == 2
    for several in ([{als.rank: 4}, {}, {als.rank: 5}], ({als.rank: 4}, {}, {als.rank: 5})):
        models = als.fit(ratings, several)
        assert isinstance(models, list)
        assert [model.rank for model in models] == [4, 2, 5]
    assert als.fit(ratings, []) == []
    assert als.getRank() == 2


@pytest.mark.parametrize("params", [3, "rank", [3], {"a"}], ids=repr)
def test_fit_refuses_other_params(ratings, params):
    """TypeError that says what it takes."""
    with pytest.raises(TypeError, match="map"):
        ALS().fit(ratings, params)


# ---- the model -------------------------------------------------------------------------------------------


def test_a_model_has_the_uid_and_the_shared_parameters_of_its_estimator(model):
    """Five parameters, with the values of the fit."""
    assert [each.name for each in model.params] == MODEL_PARAMS
    assert re.fullmatch("ALS_[0-9a-f]{12}", model.uid)
    assert (model.getUserCol(), model.getItemCol(), model.getBlockSize()) == ("who", "item", 77)
    assert model.getColdStartStrategy() == "DROP"
    assert model.rank == 2
    assert not model.hasParam("regParam")


def test_the_keys_of_an_estimator_are_keys_of_its_model(ratings, model):
    """They have the same owner: model.transform(df, {als.coldStartStrategy: ...})."""
    als = ALS(rank=2, maxIter=0)
    fitted = als.fit(ratings)
    assert als.userCol == fitted.userCol
    unknown = ratings.assign(user=99)
    assert len(fitted.transform(unknown, {als.coldStartStrategy: "drop"})) == 0
    assert len(fitted.transform(unknown)) == 6


def test_setters_of_a_model(model):
    """Spark's five, each returning the model."""
    setters = {name for name in dir(model) if re.fullmatch("set[A-Z].*", name)}
    assert setters == {f"set{upper(name)}" for name in MODEL_PARAMS}
    assert model.setPredictionCol("score") is model
    assert model.getPredictionCol() == "score"


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.setColdStartStrategy("fill"),
        lambda model: model.set("coldStartStrategy", "fill"),
        lambda model: model.copy({model.coldStartStrategy: "fill"}),
        lambda model: model.transform(None, {model.coldStartStrategy: "fill"}),
    ],
)
def test_a_model_checks_ranges_at_once(model, change):
    """It can be used from now on: unlike an estimator, whose values are checked together by fit."""
    with pytest.raises(ValueError, match="coldStartStrategy='fill' is not allowed: it must be one of 'nan', 'drop'"):
        change(model)
    assert model.getColdStartStrategy() == "DROP"
    with pytest.raises(ValueError, match="blockSize=0 is not allowed: it must be an integer >= 1"):
        model.setBlockSize(0)


def test_a_change_of_the_estimator_after_the_fit_does_not_reach_the_model(ratings):
    """Nor the other way round."""
    als = ALS(rank=2, maxIter=0)
    model = als.fit(ratings)
    als.setUserCol("other")
    model.setItemCol("thing")
    assert model.getUserCol() == "user"
    assert als.getItemCol() == "item"


# ---- the base class --------------------------------------------------------------------------------------


class Thing(Params):
    """A class with parameters of its own."""

    size = Param("size", "how large", to_float, 1.0, at_least(0))
    colour = Param("colour", "of what colour", str, None, one_of("red", "green"))
    count = Param("count", "how many", to_int, 2)

    @keyword_only
    def __init__(self, *, size=1.0, count=2):
        super().__init__()
        self._set(**self._input_kwargs)


class Smaller(Thing):
    """A subclass with another default and only one setter."""

    _setters = ("count",)
    size = Param("size", "how small", to_float, 0.5)


def test_a_class_declares_each_parameter_once():
    """Getters and setters come from the declaration."""
    thing = Thing(size=3)
    assert (thing.getSize(), thing.getCount(), thing.setCount(5).getCount()) == (3.0, 2, 5)
    assert thing.uid.startswith("Thing_")
    assert thing.getCount.__doc__


def test_a_parameter_without_default_is_undefined_until_set():
    """getOrDefault raises; explainParam says so; validate ignores it."""
    thing = Thing()
    assert not thing.isDefined("colour")
    assert not thing.hasDefault("colour")
    assert thing.explainParam("colour") == "colour: of what colour (undefined)"
    with pytest.raises(KeyError, match="colour"):
        thing.getOrDefault("colour")
    assert thing.colour not in thing.extractParamMap()
    thing.validate()
    thing.set("colour", "blue")
    with pytest.raises(ValueError, match=r"colour='blue'.*'red', 'green'"):
        thing.validate()


def test_a_subclass_may_declare_a_parameter_anew():
    """Each class and each instance has its own."""
    assert Smaller().getSize() == 0.5
    assert Thing().getSize() == 1.0
    assert [each.name for each in Smaller().params] == ["colour", "count", "size"]


def test_integers_beyond_the_range_of_floats_are_value_errors():
    with pytest.raises(ValueError, match="beyond the range of floats"):
        ALS(regParam=10**400)
    with pytest.raises(ValueError, match="rank="):
        ALS(rank=10**400).validate()
