"""Parameters behave as Spark's: types are checked when a value is set, ranges when it is used."""

import inspect
import re
import warnings

import numpy as np
import pytest

from daskals import ALS
from daskals.params.converters import at_least, one_of, to_float, to_int
from daskals.params.declared import Params
from daskals.params.keywords import keyword_only
from daskals.params.param import Param

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
OURS = {"precision": "single", "sparkRandom": "3"}
SEED = 1994790107
MODEL_PARAMS = ["blockSize", "coldStartStrategy", "itemCol", "predictionCol", "userCol"]
INTS = ["rank", "maxIter", "numUserBlocks", "numItemBlocks", "checkpointInterval", "blockSize", "seed"]
FLOATS = ["regParam", "alpha"]
BOOLEANS = ["implicitPrefs", "nonnegative"]
STRINGS = ["userCol", "itemCol", "ratingCol", "predictionCol", "coldStartStrategy", "finalStorageLevel", "precision"]


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
    assert all(shown[name].default == als.getOrDefault(name) for name in set(shown) - {"seed"})


def test_defaults_of_a_new_estimator():
    """Getters return them; nothing counts as set; the seed is a fixed number."""
    als = ALS()
    for name, default in {**SPARK_DEFAULTS, **OURS, "seed": SEED, "predictionCol": "prediction"}.items():
        assert get(als, name) == als.getOrDefault(name) == default
        assert type(get(als, name)) is type(default)
        assert not als.isSet(name)
        assert als.hasDefault(name)
        assert als.isDefined(name)


@pytest.mark.parametrize("call", [lambda: ALS(10), lambda: ALS(10, 5), lambda: ALS(10, maxIter=5)])
def test_positional_arguments_are_refused(call):
    """With Spark's own words."""
    with pytest.raises(TypeError, match=r"Method __init__ forces keyword arguments\."):
        call()


def test_positional_arguments_of_set_params_are_refused():
    """The message names that method."""
    with pytest.raises(TypeError, match=r"Method setParams forces keyword arguments\."):
        ALS().setParams(10)


@pytest.mark.parametrize("call", [ALS, ALS().setParams], ids=["__init__", "setParams"])
def test_unknown_keywords_are_refused_with_a_list_of_the_known_ones(call):
    """All unknown ones are named, and every keyword that there is."""
    with pytest.raises(TypeError) as caught:
        call(ranks=10, maxIter=3, lambda_=1)
    message = str(caught.value)
    for name in ("ranks", "lambda_"):
        assert repr(name) in message
    for name in (*SPARK_DEFAULTS, *OURS):
        assert re.search(rf"\b{name}\b", message)


def test_prediction_col_is_a_parameter_but_no_keyword():
    """As in Spark: only setPredictionCol."""
    with pytest.raises(TypeError, match="predictionCol"):
        ALS(predictionCol="p")
    assert ALS().setPredictionCol("p").getPredictionCol() == "p"


def test_uid_and_repr():
    """ALS_ and twelve hexadecimal digits, different each time."""
    one, other = ALS(), ALS()
    assert re.fullmatch("ALS_[0-9a-f]{12}", one.uid)
    assert one.uid != other.uid
    assert repr(one) == one.uid


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
    ("rank", 0, "a finite number >= 1"),
    ("rank", -5, "a finite number >= 1"),
    ("maxIter", -1, "a finite number >= 0"),
    ("regParam", -0.1, "a finite number >= 0"),
    ("regParam", float("nan"), "a finite number >= 0"),
    ("regParam", float("inf"), "a finite number >= 0"),
    ("numUserBlocks", 0, "a finite number >= 1"),
    ("numItemBlocks", 0, "a finite number >= 1"),
    ("alpha", -1.0, "a finite number >= 0"),
    ("alpha", float("nan"), "a finite number >= 0"),
    ("checkpointInterval", 0, "-1 (never) or a number >= 1"),
    ("checkpointInterval", -2, "-1 (never) or a number >= 1"),
    ("blockSize", 0, "a finite number >= 1"),
    ("seed", 2**63, "64-bit"),
    ("seed", -(2**63) - 1, "64-bit"),
    ("coldStartStrategy", "fill", "'nan', 'drop'"),
    ("intermediateStorageLevel", "foo", "'MEMORY_AND_DISK'"),
    ("intermediateStorageLevel", "NONE", "'MEMORY_AND_DISK'"),
    ("finalStorageLevel", "foo", "'NONE'"),
    ("precision", "half", "'single', 'double'"),
    ("sparkRandom", "4", "'3', '2'"),
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
    [("maxIter", 0), ("regParam", 0.0), ("alpha", 0.0), ("rank", 1), ("blockSize", 1), ("seed", -(2**63))],
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
    assert "rank" in repr(als.rank)


def test_params_lists_all_sorted_by_name():
    """hasParam and getParam agree with it."""
    als = ALS()
    names = [each.name for each in als.params]
    assert names == sorted(names)
    assert set(names) >= {*SPARK_DEFAULTS, *OURS, "predictionCol"}
    assert all(als.hasParam(name) for name in names)
    assert not als.hasParam("ranks")
    with pytest.raises(ValueError, match=r"'ranks'.*maxIter.*rank"):
        als.getParam("ranks")


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


def test_extract_param_map():
    """Defaults, then values set, then extra values."""
    als = ALS(rank=3, maxIter=4)
    found = als.extractParamMap({als.maxIter: 5})
    assert set(found) == set(als.params)
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
    assert repr(model) == f"ALSModel: uid={model.uid}, rank=2"
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


def test_a_model_checks_ranges_when_it_works(ratings, model):
    """setColdStartStrategy takes any word; transform does not."""
    with pytest.raises(ValueError, match="coldStartStrategy='fill'"):
        model.setColdStartStrategy("fill").transform(ratings.rename(columns={"user": "who"}))


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
