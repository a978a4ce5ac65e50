"""The public surface of pyspark.ml, read from pyspark itself, against ours: names, keywords, defaults.

Needs pyspark, no Java. What differs must stand in one of the lists below, with the reason; an entry that no longer
differs must go.
"""

import importlib
import inspect
import re
import warnings

import pytest

pytest.importorskip("pyspark", reason="needs pyspark: pip install 'daskals[spark]'")

pytestmark = pytest.mark.spark

#: (module, class), the same on both sides
CLASSES = [
    ("recommendation", "ALS"),
    ("recommendation", "ALSModel"),
    ("evaluation", "RegressionEvaluator"),
    ("evaluation", "RankingEvaluator"),
    ("tuning", "ParamGridBuilder"),
    ("tuning", "CrossValidator"),
    ("tuning", "CrossValidatorModel"),
    ("tuning", "TrainValidationSplit"),
    ("tuning", "TrainValidationSplitModel"),
]
each_class = pytest.mark.parametrize(("module", "name"), CLASSES, ids=[name for _, name in CLASSES])

LEAST_RATING = "the least held-out rating of a relevant item"
BEST_PARAMS = {"bestParams": "the best map by names; Spark's Python has it behind _java_obj"}
OWN_KEYWORDS = {
    "precision": "float32 or float64 equations; Spark has float64 only",
    "sparkRandom": "the start values of Spark 2 or of Spark 3",
    "solver": "conjugate gradients in place of Cholesky",
    "cgSteps": "of solver='cg'",
    "checkpointDir": "of checkpoints, which Spark keeps in the SparkContext's directory",
    "biases": "of users and items, beside a mean",
    "regExponent": "how regularisation grows with the number of ratings",
    "userRegParam": "regParam of users",
    "itemRegParam": "regParam of items",
    "regCount": "what regularisation counts",
    "unobservedWeight": "of the objective of iALS",
    "weightCol": "weights of ratings",
    "userCountExponent": "weights by numbers of ratings",
    "itemCountExponent": "weights by numbers of ratings",
    "startScale": "the length of start rows, which is 1 in Spark",
    "subspaceSize": "of solver='subspace'",
    "tol": "stops when the objective hardly changes",
    "patience": "stops when the validation metric gets no better",
    "validationK": "of NDCG in validation",
}
WARM_START = {"warmStart": "each map's fit starts from the model of the map before"}
MODEL_ALONE = {
    "history": "objective and error after each iteration",
    "bestIteration": "the iteration that validation chose",
    "parent": "the estimator of the fit; Spark's Python has it behind _java_obj",
    "foldInUsers": "new users without a new fit",
    "foldInItems": "new items without a new fit",
    "recommendForRatings": "for people who are not in the model",
    "similarUsers": "neighbours",
    "similarItems": "neighbours",
    "explain": "which ratings carried a score",
    "intercept": "the mean of a fit with biases",
    "userBiases": "of a fit with biases",
    "itemBiases": "of a fit with biases",
    "toLocal": "the model without Dask",
}
VERBOSE = {"verbose": "whether progress is shown"}
WISHES = {
    "exclude": "pairs that are not recommended",
    "candidates": "what alone is recommended",
    "minScore": "the least score",
    "minSupport": "the least number of ratings of what is recommended",
    "flat": "a row for each recommendation",
    **VERBOSE,
}
VALIDATE = {"validate": "checks all ranges at once; in Spark that is in the JVM"}

#: Public names that we have and Spark has not.
OURS_ALONE = {
    "ALS": VALIDATE
    | OWN_KEYWORDS
    | {f"{verb}{name[0].upper()}{name[1:]}": why for name, why in OWN_KEYWORDS.items() for verb in ("get", "set")},
    "ALSModel": VALIDATE | MODEL_ALONE,
    "RegressionEvaluator": VALIDATE,
    "RankingEvaluator": VALIDATE | dict.fromkeys(("relevantFrom", "getRelevantFrom", "setRelevantFrom"), LEAST_RATING),
    "CrossValidator": VALIDATE | dict.fromkeys(("warmStart", "getWarmStart", "setWarmStart"), *WARM_START.values()),
    "CrossValidatorModel": VALIDATE | BEST_PARAMS,
    "TrainValidationSplit": VALIDATE
    | dict.fromkeys(("warmStart", "getWarmStart", "setWarmStart"), *WARM_START.values()),
    "TrainValidationSplitModel": VALIDATE | BEST_PARAMS,
}

#: Public names that Spark has and we have not.
SPARK_ALONE: dict[str, dict[str, str]] = {}

INIT = ("__init__", "setParams")
FRAMES = {"frames": "pandas or dask: which frames the model returns"}

#: Keywords that we have beyond Spark's, all with a default.
MORE_KEYWORDS = {
    "ALS.__init__": OWN_KEYWORDS,
    "ALS.setParams": OWN_KEYWORDS,
    "ALS.fit": {
        "resume": "goes on from the newest checkpoint",
        "validation": "held-out ratings that choose the best iteration",
        "callbacks": "are told of each iteration",
        "initialModel": "whose factors the fit starts from",
        **VERBOSE,
    },
    **{f"{name}.save": VERBOSE for _, name in CLASSES if name != "ParamGridBuilder"},
    **{f"{each}.fit": VERBOSE for each in ("CrossValidator", "TrainValidationSplit")},
    "ALSModel.load": FRAMES,
    **{f"ALSModel.recommendFor{each}": WISHES for each in ("AllUsers", "AllItems", "UserSubset", "ItemSubset")},
    "CrossValidatorModel.load": FRAMES,
    **{f"{each}.{name}": WARM_START for each in ("CrossValidator", "TrainValidationSplit") for name in INIT},
    "TrainValidationSplitModel.load": FRAMES,
    "RankingEvaluator.__init__": {"relevantFrom": LEAST_RATING},
    "RankingEvaluator.setParams": {"relevantFrom": LEAST_RATING},
    "RankingEvaluator.evaluate": {
        "heldOut": "ratings to evaluate recommendations with, without reshaping them",
        "exclude": "training pairs, which are neither recommended nor relevant",
        "userCol": "of all frames",
        "itemCol": "of all frames",
        "ratingCol": "of heldOut, for relevantFrom",
    },
}

#: Defaults of keywords that differ.
OTHER_DEFAULTS: dict[str, dict[str, str]] = {}

#: Classes of the same modules that are not ours to have.
OTHER_CLASSES = {
    "recommendation": set(),
    "evaluation": {
        "BinaryClassificationEvaluator",
        "MulticlassClassificationEvaluator",
        "MultilabelClassificationEvaluator",
        "ClusteringEvaluator",
    },
    "tuning": set(),
}

#: What ``write()`` and ``read()`` give has these in Spark and lacks them here.
INTERNAL = {
    "sparkSession": "is a SparkSession",
    "sc": "is a SparkContext",
    "saveImpl": "is overridden by Spark's own writers",
}
WRITERS = {"JavaMLWriter": "MLWriter", "JavaMLReader": "MLReader"}


def imported(package, module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyspark's, about versions of other packages
        return importlib.import_module(f"{package}.{module}")


def pair(module, name):
    """(Spark's class, ours)."""
    return getattr(imported("pyspark.ml", module), name), getattr(imported("daskals", module), name)


def public(cls):
    return {name for name in dir(cls) if not name.startswith("_")}


def unlisted(found, listed):
    """What was found and not listed, and what is listed and was not found: both must be nothing."""
    return {"not in the list": sorted(found - listed.keys()), "in the list in vain": sorted(listed.keys() - found)}


NOTHING = {"not in the list": [], "in the list in vain": []}


def methods(spark_class, our_class):
    """Names of what can be called on both, with the constructor of what users construct."""
    names = public(spark_class) & public(our_class)
    found = {name for name in names if callable(getattr(spark_class, name)) and not is_param(spark_class, name)}
    return sorted(found | ({"__init__"} if "setParams" in found or not hasattr(spark_class, "params") else set()))


def is_param(cls, name):
    return type(getattr(cls, name)).__name__ == "Param"


def keywords(function):
    """{name: (kind, default)}, without self."""
    parameters = inspect.signature(function).parameters
    return {name: (each.kind, each.default) for name, each in parameters.items() if name != "self"}


@each_class
def test_every_public_name_of_spark_is_here(module, name):
    spark_class, our_class = pair(module, name)
    missing = public(spark_class) - public(our_class)
    assert unlisted(missing, SPARK_ALONE.get(name, {})) == NOTHING


@each_class
def test_every_public_name_of_ours_is_in_spark(module, name):
    spark_class, our_class = pair(module, name)
    assert unlisted(public(our_class) - public(spark_class), OURS_ALONE.get(name, {})) == NOTHING


@each_class
def test_names_are_of_the_same_kind(module, name):
    """Parameters are parameters, properties properties, methods methods."""
    spark_class, our_class = pair(module, name)

    def kind(cls, attribute):
        static = inspect.getattr_static(cls, attribute)
        if is_param(cls, attribute):
            return "parameter"
        if isinstance(static, property):
            return "property"
        return "class method" if isinstance(static, classmethod) else "method" if callable(static) else type(static)

    both = sorted(public(spark_class) & public(our_class))
    assert {each: kind(our_class, each) for each in both} == {each: kind(spark_class, each) for each in both}


@each_class
def test_keywords_and_defaults_are_spark_s(module, name):
    """Of the constructor and of every public method: names, order, whether by keyword only, defaults."""
    spark_class, our_class = pair(module, name)
    faults = {}
    for method in methods(spark_class, our_class):
        place = f"{name}.{method}"
        more, other = MORE_KEYWORDS.get(place, {}), OTHER_DEFAULTS.get(place, {})
        theirs, ours = keywords(getattr(spark_class, method)), keywords(getattr(our_class, method))
        assert all(ours[each][1] is not inspect.Parameter.empty for each in more), place
        shared = {each: value for each, value in ours.items() if each not in more}
        wanted = {
            each: (kind, shared.get(each, (0, 0))[1] if each in other else d) for each, (kind, d) in theirs.items()
        }
        if list(shared.items()) != list(wanted.items()):
            faults[place] = f"{inspect.signature(getattr(our_class, method))}, in Spark {list(theirs)}"
    assert not faults


@pytest.mark.parametrize("module", OTHER_CLASSES)
def test_classes_of_the_modules(module):
    """What ``from pyspark.ml.evaluation import *`` would give is here, but for what is of no use to a recommender."""
    theirs = set(imported("pyspark.ml", module).__all__)
    ours = imported("daskals", module)
    assert theirs - {each for each in theirs if hasattr(ours, each)} == OTHER_CLASSES[module]


@pytest.mark.parametrize("theirs", ["JavaMLWriter", "JavaMLReader"])
def test_writers_and_readers(theirs):
    """What ``write()`` and ``read()`` return: the same methods, with the same keywords and defaults."""
    spark_class = getattr(imported("pyspark.ml", "util"), theirs)
    our_class = getattr(imported("daskals", "io.readwrite"), WRITERS[theirs])
    assert public(our_class) <= public(spark_class)
    assert public(spark_class) - public(our_class) <= INTERNAL.keys()
    for method in public(our_class):
        assert keywords(getattr(our_class, method)) == keywords(getattr(spark_class, method)), method


def test_every_internal_name_is_one_of_spark_s():
    util = imported("pyspark.ml", "util")
    assert INTERNAL.keys() <= set().union(*(public(getattr(util, each)) for each in ("JavaMLWriter", "MLWriter")))


@pytest.mark.parametrize(("module", "name"), [each for each in CLASSES if each[1] != "ParamGridBuilder"])
def test_what_read_returns(module, name):
    """The reader that was compared above, for every class that can be saved."""
    _, our_class = pair(module, name)
    assert type(our_class.read()) is imported("daskals", "io.readwrite").MLReader


def test_what_write_returns():
    """The writer that was compared, with no other public method in the one of tuned models."""
    readwrite, models = imported("daskals", "io.readwrite"), imported("daskals", "tuning.models")
    als = imported("daskals", "recommendation").ALS()
    assert type(als.write()) is readwrite.MLWriter
    writer = type(models.CrossValidatorModel(als).write())
    assert issubclass(writer, readwrite.MLWriter)
    assert {name: keywords(getattr(writer, name)) for name in public(writer)} == {
        name: keywords(getattr(readwrite.MLWriter, name)) for name in public(readwrite.MLWriter)
    }


#: Attributes of a parameter that Spark's has not.
PARAM_ALONE = {"default": "Spark keeps defaults in the owner", "check": "ranges are checked in the JVM"}
#: Methods of all objects with parameters that Spark has and ours lack.
PARAMS_ALONE: dict[str, str] = {}


def test_params():
    """``Params`` itself: what users' own estimators and evaluators are made of."""
    theirs, ours = imported("pyspark.ml", "param").Params, imported("daskals", "params").Params
    assert unlisted(public(theirs) - public(ours), PARAMS_ALONE) == NOTHING
    assert unlisted(public(ours) - public(theirs), VALIDATE) == NOTHING
    for method in methods(theirs, ours):
        if method != "__init__" and method not in VALIDATE:
            assert keywords(getattr(ours, method)) == keywords(getattr(theirs, method)), method


#: Names that Spark's ``Params`` has for its subclasses and ours lacks.
SUBCLASSES_ALONE = {
    "_dummy": "a parent for parameters of classes; here they are declared without one",
    "_randomUID": "a uid is made in the constructor",
    "_testOwnParam": "of Spark Connect",
}


def test_what_subclasses_call():
    """Of the names with one underscore, those that users' own subclasses of ``Params`` call."""
    theirs, ours = imported("pyspark.ml", "param").Params, imported("daskals", "params").Params
    names = {name for name in dir(theirs) if re.fullmatch("_[a-z][a-zA-Z]+", name)}
    assert unlisted(names - set(dir(ours)), SUBCLASSES_ALONE) == NOTHING
    for name in names - SUBCLASSES_ALONE.keys():
        assert keywords(getattr(ours, name)).keys() == keywords(getattr(theirs, name)).keys(), name


def test_a_parameter_is_what_it_is_in_spark():
    """Its attributes, on the class and on an instance, and that its print and its hash are of parent and name."""
    theirs, ours = (imported(package, "recommendation").ALS for package in ("pyspark.ml", "daskals"))
    attributes = {name for name in vars(theirs.rank) if not name.startswith("_")}
    assert attributes == {"parent", "name", "doc", "typeConverter"}
    assert unlisted(public(ours.rank) - attributes, PARAM_ALONE) == NOTHING
    assert (ours.rank.name, ours.rank.parent) == (theirs.rank.name, theirs.rank.parent)
    assert str(ours.rank) == str(theirs.rank)
    als = ours()
    assert str(als.rank) == f"{als.uid}__rank"
    assert {als.rank: 1}[als.getParam("rank")] == 1


def test_all_lists_name_classes_that_are_compared():
    """A misspelt entry would excuse nothing."""
    names = {name for _, name in CLASSES}
    assert OURS_ALONE.keys() | SPARK_ALONE.keys() <= names
    places = MORE_KEYWORDS.keys() | OTHER_DEFAULTS.keys()
    assert {place.partition(".")[0] for place in places} <= names
