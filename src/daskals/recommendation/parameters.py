"""The parameters of `ALS` and `ALSModel`, each declared once with its text, its type and its range."""

from __future__ import annotations

from daskals.params.converters import (
    LARGEST_INT,
    LONGS,
    Check,
    above,
    at_least,
    one_of,
    to_boolean,
    to_float,
    to_int,
    to_string,
    whole_from,
)
from daskals.params.declared import Params
from daskals.params.param import Param
from daskals.recommendation.accessors import ALSParamsAccessors, ModelParamsAccessors

#: Spark's default seed in Scala: the hash code of "org.apache.spark.ml.recommendation.ALS". (PySpark's is the
#: hash of a string, another one in every process.)
DEFAULT_SEED = 1994790107
STORAGE_LEVELS = (
    *("NONE", "DISK_ONLY", "DISK_ONLY_2", "DISK_ONLY_3", "MEMORY_ONLY", "MEMORY_ONLY_2", "MEMORY_ONLY_SER"),
    *("MEMORY_ONLY_SER_2", "MEMORY_AND_DISK", "MEMORY_AND_DISK_2", "MEMORY_AND_DISK_SER", "MEMORY_AND_DISK_SER_2"),
    "OFF_HEAP",
)
STORAGE_DOC = "Spark's storage level; no effect on Dask, where the workers' memory limits decide"


#: Values of Spark's parameters that Spark does not have.
OWN_VALUES = {"coldStartStrategy": ("bias",)}


def _is_interval(value: int) -> bool:
    return value == -1 or 1 <= value <= LARGEST_INT


CHECKPOINTS = Check(_is_interval, f"-1 (never) or an integer >= 1, and at most {LARGEST_INT}")


class ModelParams(Params, ModelParamsAccessors):
    """The parameters that an estimator and its model have in common."""

    userCol = Param("userCol", "name of the column of user ids", to_string, "user")
    itemCol = Param("itemCol", "name of the column of item ids", to_string, "item")
    predictionCol = Param("predictionCol", "name of the column of predictions to add", to_string, "prediction")
    coldStartStrategy = Param(
        "coldStartStrategy",
        "what transform does with rows of a user or item that was not in the training data: 'nan' predicts NaN, "
        "'drop' leaves the row out, 'bias' predicts the mean and what is known of the two biases",
        to_string,
        "nan",
        one_of("nan", "drop", "bias"),
    )
    blockSize = Param(
        "blockSize",
        "rows of factors that are scored against each other at a time when recommending, on plain NumPy; the compiled "
        "kernels never hold a block of scores",
        to_int,
        4096,
        whole_from(1),
    )


class ALSParams(ModelParams, ALSParamsAccessors):
    """The parameters of the estimator."""

    rank = Param("rank", "number of factors", to_int, 10, whole_from(1))
    maxIter = Param("maxIter", "number of iterations, each one items then users", to_int, 10, whole_from(0))
    regParam = Param(
        "regParam", "regularisation; multiplied by the number of ratings of a row (ALS-WR)", to_float, 0.1, at_least(0)
    )
    numUserBlocks = Param("numUserBlocks", "number of user blocks; decides the start values", to_int, 10, whole_from(1))
    numItemBlocks = Param("numItemBlocks", "number of item blocks; decides the start values", to_int, 10, whole_from(1))
    implicitPrefs = Param("implicitPrefs", "whether ratings are counts of implicit feedback", to_boolean, False)
    alpha = Param("alpha", "confidence 1 + alpha |rating| of implicit feedback", to_float, 1.0, at_least(0))
    ratingCol = Param("ratingCol", "name of the column of ratings", to_string, "rating")
    nonnegative = Param("nonnegative", "whether factors must not be negative", to_boolean, False)
    checkpointInterval = Param("checkpointInterval", "iterations between checkpoints", to_int, 10, CHECKPOINTS)
    seed = Param("seed", "seed of the start values", to_int, DEFAULT_SEED, LONGS)
    intermediateStorageLevel = Param(
        "intermediateStorageLevel", STORAGE_DOC, to_string, "MEMORY_AND_DISK", one_of(*STORAGE_LEVELS[1:])
    )
    finalStorageLevel = Param(
        "finalStorageLevel", STORAGE_DOC, to_string, "MEMORY_AND_DISK", one_of(*STORAGE_LEVELS)
    )  # fmt: skip
    precision = Param(
        "precision",
        "'single' or 'double': type of the normal equations",
        to_string,
        "single",
        one_of("single", "double"),
    )
    checkpointDir = Param(
        "checkpointDir", "folder, or URL, that workers reach, for checkpoints; empty for none", to_string, ""
    )
    sparkRandom = Param("sparkRandom", "'3' or '2': whose start values", to_string, "3", one_of("3", "2"))
    solver = Param(
        "solver",
        "'cholesky' (exact), 'cg' (conjugate gradients), 'subspace' (some columns at a time) or 'auto' (by the rank)",
        to_string,
        "cholesky",
        one_of("cholesky", "cg", "subspace", "auto"),
    )
    cgSteps = Param("cgSteps", "steps of solver='cg' for each row in each half-step", to_int, 3, whole_from(1))
    subspaceSize = Param("subspaceSize", "columns that solver='subspace' solves at a time", to_int, 64, whole_from(1))
    biases = Param("biases", "whether users and items have biases, beside a mean", to_boolean, False)
    regExponent = Param(
        "regExponent",
        "power of a row's number of ratings by which its regularisation is multiplied: 1 as Spark, 0 alike for all",
        to_float,
        1.0,
        at_least(0),
    )
    userRegParam = Param("userRegParam", "regularisation of users; regParam if not set", to_float, None, at_least(0))
    itemRegParam = Param("itemRegParam", "regularisation of items; regParam if not set", to_float, None, at_least(0))
    regCount = Param(
        "regCount",
        "what regularisation counts: 'observed' ratings, or 'all' pairs, those without a rating by unobservedWeight",
        to_string,
        "observed",
        one_of("observed", "all"),
    )
    unobservedWeight = Param(
        "unobservedWeight",
        "weight of every pair in the implicit objective of iALS; Spark's implicit objective if not set",
        to_float,
        None,
        at_least(0),
    )
    weightCol = Param("weightCol", "name of the column of weights of ratings; empty for none", to_string, "")
    userCountExponent = Param(
        "userCountExponent",
        "ratings weigh their user's number of ratings to minus this power",
        to_float,
        0.0,
        at_least(0),
    )
    itemCountExponent = Param(
        "itemCountExponent",
        "ratings weigh their item's number of ratings to minus this power",
        to_float,
        0.0,
        at_least(0),
    )
    startScale = Param("startScale", "length of the start rows; Spark's is 1", to_float, 1.0, above(0))
    tol = Param(
        "tol",
        "stop when an iteration changes the objective by no more than this share of it; 0: only after maxIter",
        to_float,
        0.0,
        at_least(0),
    )
    patience = Param(
        "patience",
        "stop when so many iterations have brought no better validation metric; 0: only after maxIter",
        to_int,
        0,
        whole_from(0),
    )
    validationK = Param(
        "validationK", "number of items of a user that NDCG looks at in validation", to_int, 10, whole_from(1)
    )
