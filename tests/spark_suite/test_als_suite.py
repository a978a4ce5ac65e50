"""ALSSuite, ALSCleanerSuite and ALSStorageSuite of Spark, on their data and within their tolerances.

Tests follow Spark's order. Those of whole fits to low-rank matrices are in ``blocks/test_spark_random.py``.
"""

import decimal
import gc
import importlib
import itertools
import json
import re
import time
import warnings
from collections import Counter

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.java_random import JavaRandom, explicit_data, implicit_data

from daskals import ALS, ALSModel
from daskals.blocks import in_blocks
from daskals.blocks.ids import encode, positions
from daskals.blocks.in_blocks import block_bounds, build, decode, split
from daskals.blocks.ratings import CodedChunk
from daskals.blocks.spark_random import block_start_values, side_seeds, start_values
from daskals.engine import half_step
from daskals.engine.shuffle import shuffle
from daskals.execution.scheduler import current_scheduler
from daskals.io import frames_in
from daskals.io.frames_in import Columns, rating_chunks
from daskals.io.ids import id_type
from daskals.kernels.numpy import equations as numpy_equations
from daskals.kernels.numpy.terms import terms_of
from daskals.kernels.objective import Objective, Solver
from daskals.kernels.types import Rows
from spark_suite.report import absolute, relative, spark_test

INT_MAX, INT_MIN = 2**31 - 1, -(2**31)
COLUMNS = ["user", "item", "rating"]
PATIENCE = 5.0  # seconds until the scheduler must have forgotten


def frame_of(rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def features(frame):
    return np.array(frame.features.tolist(), np.float32)


def chunk_of(rows):
    users, items, ratings = zip(*rows, strict=True) if rows else ((), (), ())
    as_ids = (encode(np.array(each, np.int64)) for each in (users, items))
    return CodedChunk(*as_ids, np.array(ratings, np.float32))


# ---- the parts -------------------------------------------------------------------------------------------


@spark_test("ALSSuite", 1, "LocalIndexEncoder", note="positions and bounds of blocks in its place")
@pytest.mark.parametrize("n_blocks", [1, 2, 5, 10, 20, 50, 100])
def test_local_index_encoder(n_blocks):
    """ALSSuite "LocalIndexEncoder": id -> (block, row of the block) -> id, up to the largest ids."""
    random = JavaRandom(n_blocks)
    last = INT_MAX // n_blocks
    ids = {block + n_blocks * (random.next(31) % last) for block in range(n_blocks) for _ in range(5)}
    ids = np.array(sorted(ids | {0, INT_MAX}))
    assert positions(ids, ids).tolist() == list(range(len(ids)))
    bounds = block_bounds(np.ones(len(ids), np.int64), n_blocks)
    chunk = chunk_of([(each, 0, float(number)) for number, each in enumerate(ids)])
    found = {}
    pieces = split([decode(chunk, "users", ids, np.array([0]))], bounds)
    for (start, stop), piece in zip(itertools.pairwise(bounds), pieces, strict=True):
        assert ((start <= piece.rows) & (piece.rows < stop)).all()
        found |= dict(zip(piece.ratings.astype(int).tolist(), ids[piece.rows].tolist(), strict=True))
    assert found == dict(enumerate(ids.tolist()))


@spark_test("ALSSuite", 2, "normal equation construction", relative(1e-8))
@pytest.mark.parametrize("assemble", [numpy_equations.assemble_side_by_side, numpy_equations.assemble_row_by_row])
def test_normal_equation_construction(assemble, tolerance):
    """ALSSuite "normal equation construction": sums of weighted outer products, and sums of those."""
    factors = np.array([[1, 2], [4, 5], [7, 8]], np.float64)
    weights, targets = np.array([1.0, 2.0, 1.0]), np.array([3.0, 12.0, 9.0])
    given = [each.copy() for each in (factors, weights, targets)]
    sources = np.arange(3, dtype=np.int32)

    # the first two ratings and the last one as rows of their own, then all three as one
    (A, A_last), (b, b_last) = assemble(np.array([0, 2, 3]), sources, weights, targets, factors)
    upper = np.triu_indices(2)
    np.testing.assert_allclose(A.T[upper], [33, 42, 54], rtol=tolerance)
    np.testing.assert_allclose(b, [51, 66], rtol=tolerance)
    (whole,), (right,) = assemble(np.array([0, 3]), sources, weights, targets, factors)
    for merged, both in (((A + A_last).T[upper], whole.T[upper]), (b + b_last, right)):
        np.testing.assert_allclose(merged, both, rtol=tolerance)
    np.testing.assert_allclose(whole.T[upper], [82, 98, 118], rtol=tolerance)
    np.testing.assert_allclose(right, [114, 138], rtol=tolerance)

    # no state to reset: what was given is as it was
    for now, before in zip((factors, weights, targets), given, strict=True):
        assert np.array_equal(now, before)


@spark_test("ALSSuite", 2, "normal equation, weights are not negative")
@pytest.mark.parametrize("ratings", [[0.0, -1.0, 3.0, -0.0]])
def test_weights_are_never_negative(ratings):
    """ALSSuite "normal equation construction" refuses them; here a negative rating has a positive weight."""
    rows = Rows(np.array([0, 4]), np.arange(4, dtype=np.int32), np.array(ratings, np.float32))
    terms = terms_of(rows, None, Objective(0.0, implicit=True, alpha=2.0), np.float64)
    assert terms.weights.tolist() == [0, 2, 6, 0]
    assert terms.targets.tolist() == [0, 0, 7, 0]


@spark_test("ALSSuite", 3, "CholeskySolver", relative(1e-6))
@pytest.mark.parametrize("kernels", ["numpy", "numba"])
@pytest.mark.parametrize(("penalty", "expected"), [(0.0, [-8.333333, 6.0]), (1.5, [-0.1155556, 3.28])])
def test_cholesky_solver(kernels, penalty, expected, tolerance):
    """ALSSuite "CholeskySolver": the line through (2, 4), (3, 9), (4, 16), twice with the same answer."""
    if kernels == "numba":
        pytest.importorskip("numba", reason="compiled kernels need numba")
    module = importlib.import_module(f"daskals.kernels.{kernels}")
    factors = np.array([[1, 2], [1, 3], [1, 4]], np.float64)
    indptr, sources = np.array([0, 3, 6]), np.tile(np.arange(3, dtype=np.int32), 2)
    ratings = np.tile(np.array([4, 9, 16], np.float32), 2)
    rows, packed = Rows(indptr, sources, ratings), module.pack_sources([factors], np.float64)
    objective = Objective(penalty / 3)  # it is multiplied by their number
    found = module.solve_rows(rows, packed, None, objective, Solver(double=True))
    assert len(found.failed) == 0
    for row in found.rows:
        np.testing.assert_allclose(row, expected, rtol=tolerance)


@spark_test("ALSSuite", 4, "RatingBlockBuilder")
def test_rating_block_builder():
    """ALSSuite "RatingBlockBuilder": an empty block is one, and chunks that are joined keep all triples."""
    ids = np.arange(9)
    bounds = np.array([0, 9])
    (piece,) = split([decode(chunk_of([]), "users", ids, ids)], bounds)
    empty = build(0, 0, 9, [piece])
    assert [len(each) for each in (empty.source_positions, empty.ratings)] == [0, 0]
    assert empty.indptr.tolist() == [0]

    first, second = [(0, 1, 2.0), (3, 4, 5.0)], [(6, 7, 8.0)]
    (piece,) = split([decode(chunk_of(first), "users", ids, ids)], bounds)
    assert len(piece.ratings) == 2
    pieces = [split([decode(chunk_of(each), "users", ids, ids)], bounds)[0] for each in (second, first)]
    assert triples(build(0, 9, 9, pieces)) == {*first, *second}


def triples(block):
    rows = block.start + np.repeat(np.arange(len(block.indptr) - 1), np.diff(block.indptr))
    return set(zip(rows.tolist(), block.source_positions.tolist(), block.ratings.tolist(), strict=True))


@spark_test("ALSSuite", 5, "UncompressedInBlock")
def test_uncompressed_in_block():
    """ALSSuite "UncompressedInBlock": five triples in two pieces become rows and pointers, and come back."""
    local = 10  # ids of a block: (block, local index) is the source 10 * block + local index
    pieces = [
        [(1, 0, 0, 1.0), (0, 0, 1, 2.0), (2, 0, 4, 3.0)],
        [(3, 1, 2, 4.0), (0, 1, 5, 5.0)],
    ]
    chunks = [chunk_of([(row, local * block + index, r) for row, block, index, r in piece]) for piece in pieces]
    rows, sources = np.arange(4), np.arange(2 * local)
    block = build(
        0, 4, 2 * local, [split([decode(each, "users", rows, sources)], np.array([0, 4]))[0] for each in chunks]
    )
    assert len(block.ratings) == 5
    assert rows[np.diff(block.indptr) > 0].tolist() == [0, 1, 2, 3]
    assert block.indptr.tolist() == [0, 2, 3, 4, 5]
    found = {(row, *divmod(source, local), rating) for row, source, rating in triples(block)}
    assert found == {each for piece in pieces for each in piece}


# ---- what may be an id -----------------------------------------------------------------------------------

DECIMALS = pd.ArrowDtype(pa.decimal128(15, 2))
VALID_IDS = {
    "int": pd.Series([123], dtype="int32"),
    "long": pd.Series([1231], dtype="int64"),
    "decimal": pd.Series([decimal.Decimal("123.00")], dtype=DECIMALS),
    "double": pd.Series([123.0]),
}
INVALID_IDS = {
    "long out of range": pd.Series([2**63], dtype=object),
    "double out of range": pd.Series([1e19]),
    "decimal out of range": pd.Series([decimal.Decimal(10**19)], dtype=pd.ArrowDtype(pa.decimal128(22, 2))),
    "decimal with a fraction": pd.Series([decimal.Decimal("123.10")], dtype=DECIMALS),
    "double with a fraction": pd.Series([123.1]),
}


def with_ids(column, ids):
    frame = pd.DataFrame({"user": [1], "item": [1], "rating": [1.0]})
    frame[column] = ids
    return frame


@spark_test("ALSSuite", 6, "ALS validate input dataset: valid ids")
@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("ids", VALID_IDS.values(), ids=VALID_IDS)
def test_valid_ids(ids, column):
    """ALSSuite "ALS validate input dataset": whole numbers of every type are ids."""
    model = ALS(rank=1, maxIter=1).fit(with_ids(column, ids))
    assert getattr(model, f"{column}Factors").id.tolist() == [int(ids[0])]


@spark_test(
    "ALSSuite", 6, "ALS validate input dataset: invalid ids", note="out of range means 64 bits here, 32 in Spark"
)
@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("ids", INVALID_IDS.values(), ids=INVALID_IDS)
def test_invalid_ids(ids, column):
    """ALSSuite "ALS validate input dataset": numbers out of range and with a fraction are none."""
    with pytest.raises(ValueError, match=rf"Column '{column}' is .* numeric ids must be whole numbers in the range of"):
        ALS(rank=1, maxIter=1).fit(with_ids(column, ids))


@spark_test("ALSSuite", 6, "ALS validate input dataset: invalid type", note="strings are ids here, booleans are not")
@pytest.mark.parametrize("column", ["user", "item"])
def test_invalid_type_of_ids(column):
    """ALSSuite "ALS validate input dataset": a column of another type is refused, by name."""
    with pytest.raises(TypeError, match=f"Column '{column}' is of type bool, which cannot hold ids"):
        ALS(rank=1, maxIter=1).fit(with_ids(column, pd.Series([True])))


# ---- whole fits (7 to 12 in blocks/test_spark_random.py) --------------------------------------------------


def train(training, **params):
    """As trainALS of the suite, which has ten iterations whatever it is told."""
    return ALS(seed=0, numUserBlocks=2, numItemBlocks=3, precision="double").setParams(**params).fit(training)


@spark_test("ALSSuite", 13, "implicit feedback regression (SPARK-20790)")
def test_implicit_feedback_regression():
    """ALSSuite "implicit feedback regression": with 0 in place of a negative rating no row of factors is the same."""
    rows = [(0, 0, 1.0), (1, 1, 1.0)]
    params = {"rank": 1, "regParam": 0.01, "implicitPrefs": True}
    negative, zero = (train(frame_of([*rows, (0, 1, last)]), **params) for last in (-3.0, 0.0))
    for side in ("userFactors", "itemFactors"):
        one, other = getattr(negative, side), getattr(zero, side)
        assert one.id.tolist() == other.id.tolist() == [0, 1]
        assert (features(one) != features(other)).any(axis=1).all()


@spark_test("ALSSuite", 14, "using generic ID types")
def test_generic_id_types():
    """ALSSuite "using generic ID types": Long and String ids keep their type."""
    training, _ = implicit_data(20, 40, rank=2, noise=0.01)
    als = ALS(rank=2, maxIter=4, seed=0)
    for dtype in ("int64", "str"):
        model = als.fit(training.astype({"user": dtype, "item": dtype}))
        for side, column in ((model.userFactors, "user"), (model.itemFactors, "item")):
            expected = training[column].astype(dtype)
            assert side.id.dtype == expected.dtype
            assert set(side.id) == set(expected)


@spark_test("ALSSuite", 15, "nonnegative constraint")
def test_nonnegative_constraint():
    """ALSSuite "nonnegative constraint": all factors are >= 0; here, not all of them are zero either."""
    training, _ = implicit_data(20, 40, rank=2, noise=0.01)
    model = ALS(rank=2, maxIter=4, nonnegative=True, seed=0).fit(training)
    for side in (model.userFactors, model.itemFactors):
        assert (features(side) >= 0).all()
        assert features(side).any()


@spark_test("ALSSuite", 16, "als partitioner is a projection", note="Spark blocks decide the start values only")
@pytest.mark.parametrize("n_blocks", [1, 10, 100, 1000])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_partitioner_is_a_projection(n_blocks, dtype):
    """ALSSuite "als partitioner is a projection": id k < p is in Spark block k of p, and has the values of that."""
    seed, _ = side_seeds(0)
    ids = np.unique(np.linspace(0, n_blocks - 1, 10).astype(dtype))
    rows = start_values(ids, n_blocks, 2, seed)
    alone = [block_start_values(1, 2, int(block), seed, "3")[0] for block in ids]
    assert np.array_equal(rows, alone)
    assert len(np.unique(rows, axis=0)) == len(ids)


@spark_test("ALSSuite", 17, "partitioner in returned factors", note="runs of ids rather than hashes of them")
def test_partitioner_in_returned_factors():
    """ALSSuite "partitioner in returned factors": as many partitions as blocks, each id in the one it belongs to."""
    training, _ = implicit_data(20, 40, rank=2, noise=0.01)
    als = ALS(rank=2, maxIter=4, numUserBlocks=3, numItemBlocks=4, seed=0)
    model = als.fit(dd.from_pandas(training, npartitions=2))
    for factors, n_blocks, column in ((model.userFactors, 3, "user"), (model.itemFactors, 4, "item")):
        parts = [part.id.tolist() for part in dask.compute(*factors.to_delayed())]
        assert len(parts) == n_blocks
        assert all(parts)
        assert list(itertools.chain(*parts)) == sorted(set(training[column]))


@spark_test("ALSSuite", 18, "als with large number of iterations")
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_large_number_of_iterations(implicit):
    """ALSSuite "als with large number of iterations": 50 of them come to an end, with finite numbers."""
    training, _ = explicit_data(4, 4, rank=1)
    als = ALS(rank=1, maxIter=50, numUserBlocks=2, numItemBlocks=2, implicitPrefs=implicit, seed=0)
    model = als.fit(training)
    assert len(model.history) == 50
    assert np.isfinite(features(model.userFactors)).all()
    assert np.isfinite(features(model.itemFactors)).all()


@spark_test("ALSSuite", 0, "checkCopyAndUids (in every test of a fit)")
def test_copies_and_uids():
    """ALSSuite testALS: copies have the uid of the original, a model that of its estimator, and share no values."""
    training, test = explicit_data(4, 4, rank=1)
    als = ALS(rank=1, maxIter=1, seed=0)
    model = als.fit(training)
    assert als.copy().uid == als.uid == model.uid == model.copy().uid
    assert re.fullmatch(r"ALS_[0-9a-f]{12}", als.uid)
    copy = model.copy({model.predictionCol: "other"})
    assert (copy.getPredictionCol(), model.getPredictionCol()) == ("other", "prediction")
    assert copy.transform(test).other.equals(model.transform(test).prediction.rename("other"))
    assert als.copy({als.maxIter: 0}).getMaxIter() == 0
    assert als.getMaxIter() == 1
    assert als.fit(training, {als.rank: 2}).uid == als.uid


# ---- files, types, empty frames --------------------------------------------------------------------------

#: "all params" of the suite, and the values that it gives them
SETTINGS = {
    "predictionCol": "myPredictionCol",
    "maxIter": 1,
    "rank": 1,
    "regParam": 0.01,
    "numUserBlocks": 2,
    "numItemBlocks": 2,
    "implicitPrefs": True,
    "alpha": 0.9,
    "nonnegative": True,
    "checkpointInterval": 20,
    "intermediateStorageLevel": "MEMORY_ONLY",
    "finalStorageLevel": "MEMORY_AND_DISK_SER",
}


@spark_test("ALSSuite", 19, "read/write: estimator")
def test_estimator_read_write(tmp_path):
    """ALSSuite "read/write": parameters that are not the defaults come back, and only those count as set."""
    als = ALS()
    for name, value in SETTINGS.items():
        als.set(als.getParam(name), value)
    als.save(str(tmp_path / "als"))
    loaded = ALS.load(str(tmp_path / "als"))
    assert type(loaded) is ALS
    assert loaded.uid == als.uid
    assert {param.name for param in loaded.params if loaded.isSet(param)} == set(SETTINGS)
    for param in als.params:
        assert loaded.isDefined(param.name) == als.isDefined(param.name), param.name
        if als.isDefined(param.name):
            assert loaded.getOrDefault(param.name) == als.getOrDefault(param.name), param.name
    with pytest.raises(FileExistsError, match=r"write\(\)\.overwrite\(\)"):
        als.save(str(tmp_path / "als"))
    als.write().overwrite().save(str(tmp_path / "als"))


@spark_test("ALSSuite", 19, "read/write: model")
@pytest.mark.filterwarnings("ignore:.*has no effect in daskals")
def test_model_read_write(tmp_path):
    """ALSSuite "read/write": a model's rank, both sides' factors and its parameters come back as they were."""
    training, _ = explicit_data(4, 4, rank=1)
    model = ALS(**{name: value for name, value in SETTINGS.items() if name != "predictionCol"}).fit(training)
    model.setPredictionCol("myPredictionCol")
    model.save(str(tmp_path / "model"))
    loaded = ALSModel.load(str(tmp_path / "model"), frames="pandas")
    assert (loaded.uid, loaded.rank) == (model.uid, model.rank) == (model.uid, 1)
    for side in ("userFactors", "itemFactors"):
        assert rows_of(getattr(loaded, side)) == rows_of(getattr(model, side))
    assert loaded.getPredictionCol() == "myPredictionCol"
    assert loaded.transform(training).equals(model.transform(training))


def rows_of(frame):
    return {(each.id, tuple(each.features)) for each in frame.itertuples()}


NUMERIC = {
    "short": "int16",
    "long": "int64",
    "int": "int32",
    "float": "float32",
    "byte": "int8",
    "double": "float64",
    "decimal(10, 0)": pd.ArrowDtype(pa.decimal128(10, 0)),
}
TYPED = frame_of([(0, 10, 1.0), (1, 20, 2.0), (2, 30, 3.0), (3, 40, 4.0), (4, 50, 5.0)])


@spark_test("ALSSuite", 20, "input type validation: numbers", absolute(1e-6))
@pytest.mark.parametrize("name", NUMERIC)
@pytest.mark.parametrize(("column", "usual"), [("user", "int32"), ("item", "int32"), ("rating", "float32")])
def test_numeric_types(column, usual, name, tolerance):
    """ALSSuite "input type validation": each column in each numeric type gives the same factors and predictions."""
    als = ALS(rank=1, maxIter=1, seed=0)
    expected = als.fit(TYPED.astype({column: usual}))
    typed = TYPED.astype("int64")
    if name.startswith("decimal"):  # Arrow would want 19 digits for any int64
        typed[column] = typed[column].map(decimal.Decimal)
    typed = typed.astype({column: NUMERIC[name]})
    found = als.fit(typed)
    assert np.array_equal(features(found.userFactors), features(expected.userFactors))
    predictions = [model.transform(typed).prediction.to_numpy() for model in (expected, found)]
    np.testing.assert_allclose(*predictions, rtol=0, atol=tolerance)


@spark_test("ALSSuite", 20, "input type validation: strings", note="refused as ratings; strings are ids here")
def test_string_ratings():
    """ALSSuite "input type validation": ratings that are strings are refused, by name and type."""
    with pytest.raises(TypeError, match=r"Column 'rating' is of type (str|string|object).*must be numbers"):
        ALS(rank=1, maxIter=1).fit(TYPED.astype({"rating": "str"}))


@spark_test("ALSSuite", 20, "input type validation: ids out of range", note="which is 64 bits here, 32 in Spark")
@pytest.mark.parametrize("column", ["user", "item"])
def test_ids_out_of_range(column):
    """ALSSuite "input type validation": beyond 32 bits ids are what they are; beyond 64, fit and transform refuse."""
    als = ALS(rank=1, maxIter=1, seed=0)
    rows = frame_of([(0, 1, 3.0), (0, 0, 2.0), (1, 0, 5.0)])
    big, small = (rows.assign(**{column: [0, each, 1]}) for each in (INT_MAX + 1, INT_MIN - 1))
    for frame, wide in ((big, INT_MAX + 1), (small, INT_MIN - 1)):
        assert wide in getattr(als.fit(frame), f"{column}Factors").id.tolist()
    model = als.fit(rows)
    for wide in (1e19, -1e19):
        frame = rows.assign(**{column: [0.0, wide, 1.0]})
        for use in (als.fit, model.transform):
            with pytest.raises(ValueError, match="must be whole numbers in the range of int64"):
                use(frame)
    # what is in range and unknown is a cold start and no error: never the id that its low 32 bits would be
    wrapped = rows.assign(**{column: rows[column].astype("int64") + 2**32})
    assert model.transform(wrapped).prediction.isna().all()


@spark_test("ALSSuite", 21, "SPARK-18268: ALS with empty RDD should fail with better message")
def test_empty_input():
    """ALSSuite "SPARK-18268": no ratings is an error that says so."""
    for empty in (frame_of([]).astype({"user": "int64", "item": "int64", "rating": "float32"}), TYPED.head(0)):
        with pytest.raises(ValueError, match="No ratings"):
            ALS().fit(empty)


# ---- cold start ------------------------------------------------------------------------------------------


@spark_test("ALSSuite", 22, "ALS cold start user/item prediction strategy", relative(1e-14))
def test_cold_start_strategy(tolerance):
    """ALSSuite "ALS cold start": NaN exactly where user or item is unknown; "drop" keeps the rest, unchanged."""
    training, _ = explicit_data(4, 4, rank=1)
    user, item = training.user.max(), training.item.max()
    test = pd.DataFrame(
        [(user + 10, item + 20), (user, item + 20), (user + 10, item), (user, item)], columns=COLUMNS[:2]
    )
    model = ALS(rank=1, maxIter=1, seed=0).fit(training)
    predictions = model.transform(test).prediction
    assert predictions.isna().tolist() == [True, True, True, False]
    kept = model.setColdStartStrategy("drop").transform(test)
    assert kept[COLUMNS[:2]].to_numpy().tolist() == [[user, item]]
    assert kept.prediction.iloc[0] == pytest.approx(predictions.iloc[-1], rel=tolerance, abs=0)


@spark_test("ALSSuite", 23, "case insensitive cold start param value")
@pytest.mark.parametrize("value", ["nan", "NaN", "Nan", "drop", "DROP", "Drop"])
def test_case_of_cold_start_strategy(value):
    """ALSSuite "case insensitive cold start param value"."""
    training, _ = explicit_data(2, 2, rank=1)
    model = ALS(seed=0).fit(training)
    unknown = training.assign(user=training.user + 1)
    found = model.setColdStartStrategy(value).transform(pd.concat([training, unknown]))
    assert len(found) == len(training) * (1 if value.lower() == "drop" else 2)


# ---- recommendations -------------------------------------------------------------------------------------

USERS = {0: [6, 4], 1: [3, 4], 2: [3, 6]}
ITEMS = {3: [5, 6], 4: [6, 2], 5: [3, 6], 6: [4, 1]}
FOR_USERS = {
    0: [(3, 54), (4, 44), (5, 42), (6, 28)],
    1: [(3, 39), (5, 33), (4, 26), (6, 16)],
    2: [(3, 51), (5, 45), (4, 30), (6, 18)],
}
FOR_ITEMS = {
    3: [(0, 54), (2, 51), (1, 39)],
    4: [(0, 44), (2, 30), (1, 26)],
    5: [(2, 45), (0, 42), (1, 33)],
    6: [(0, 28), (2, 18), (1, 16)],
}


def write_model(path, users, items, rank):
    """The least that Spark takes for a saved model, by JSON and Parquet alone."""
    (path / "metadata").mkdir(parents=True)
    fields = {
        "class": "org.apache.spark.ml.recommendation.ALSModel",
        "timestamp": 1,
        "sparkVersion": "3.5.0",
        "uid": "ALS_0123456789ab",
        "paramMap": {"blockSize": 4096},
        "defaultParamMap": {
            "blockSize": 4096,
            "coldStartStrategy": "nan",
            "itemCol": "item",
            "predictionCol": "prediction",
            "userCol": "user",
        },
        "rank": rank,
    }
    (path / "metadata" / "part-00000").write_text(json.dumps(fields) + "\n", encoding="utf-8")
    for name, rows in (("userFactors", users), ("itemFactors", items)):
        (path / name).mkdir()
        columns = {"id": pa.array(rows, pa.int32()), "features": pa.array(list(rows.values()), pa.list_(pa.float32()))}
        pq.write_table(pa.table(columns), path / name / "part-00000.parquet")
    return str(path)


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """getALSModel of the suite: factors whose products can be checked by eye."""
    path = write_model(tmp_path_factory.mktemp("model") / "by-hand", USERS, ITEMS, rank=2)
    return ALSModel.load(path, frames="pandas").setUserCol("user").setItemCol("item")


def check_recommendations(frame, expected, query, candidate, k):
    """One row for each id; the fields of the structs, in order; exact lists."""
    assert list(frame.columns) == [query, "recommendations"]
    assert sorted(frame[query]) == sorted(expected)
    for row in frame.itertuples(index=False):
        found = row.recommendations
        assert all(list(each) == [candidate, "rating"] for each in found)
        assert [(each[candidate], each["rating"]) for each in found] == expected[getattr(row, query)][:k]


@spark_test("ALSSuite", 24, "recommendForAllUsers with k <, = and > num_items")
@pytest.mark.parametrize("k", [2, 4, 6])
def test_recommend_for_all_users(by_hand, k):
    """ALSSuite "recommendForAllUsers with k <, = and > num_items"."""
    check_recommendations(by_hand.recommendForAllUsers(k), FOR_USERS, "user", "item", k)


@spark_test("ALSSuite", 25, "recommendForAllItems with k <, = and > num_users")
@pytest.mark.parametrize("k", [2, 3, 4])
def test_recommend_for_all_items(by_hand, k):
    """ALSSuite "recommendForAllItems with k <, = and > num_users"."""
    check_recommendations(by_hand.recommendForAllItems(k), FOR_ITEMS, "item", "user", k)


@spark_test("ALSSuite", 26, "recommendForUserSubset with k <, = and > num_items")
@pytest.mark.parametrize("k", [2, 4, 6])
def test_recommend_for_user_subset(by_hand, k):
    """ALSSuite "recommendForUserSubset": users 0 and 2."""
    found = by_hand.recommendForUserSubset(pd.DataFrame({"user": [0, 2]}), k)
    check_recommendations(found, {user: FOR_USERS[user] for user in (0, 2)}, "user", "item", k)


@spark_test("ALSSuite", 27, "recommendForItemSubset with k <, = and > num_users")
@pytest.mark.parametrize("k", [2, 3, 4])
def test_recommend_for_item_subset(by_hand, k):
    """ALSSuite "recommendForItemSubset": items 3 and 6."""
    found = by_hand.recommendForItemSubset(pd.DataFrame({"item": [3, 6]}), k)
    check_recommendations(found, {item: FOR_ITEMS[item] for item in (3, 6)}, "item", "user", k)


@spark_test("ALSSuite", 28, "subset recommendations eliminate duplicate ids, returns same results as unique ids")
@pytest.mark.parametrize("k", [2, 3])
def test_subset_with_duplicates(by_hand, k):
    """ALSSuite "subset recommendations eliminate duplicate ids"."""
    twice = by_hand.recommendForUserSubset(pd.DataFrame({"user": [0, 1, 0, 1]}), k)
    assert twice.equals(by_hand.recommendForUserSubset(pd.DataFrame({"user": [0, 1]}), k))
    check_recommendations(twice, {user: FOR_USERS[user] for user in (0, 1)}, "user", "item", k)
    twice = by_hand.recommendForItemSubset(pd.DataFrame({"item": [4, 4, 3]}), k)
    assert twice.equals(by_hand.recommendForItemSubset(pd.DataFrame({"item": [3, 4]}), k))
    check_recommendations(twice, {item: FOR_ITEMS[item] for item in (3, 4)}, "item", "user", k)


@spark_test("ALSSuite", 29, "subset recommendations on full input dataset equivalent to recommendForAll")
@pytest.mark.parametrize("k", [2, 3])
def test_subset_of_all(by_hand, k):
    """ALSSuite "subset recommendations on full input dataset equivalent to recommendForAll"."""
    users, items = (by_hand.userFactors[["id"]], by_hand.itemFactors[["id"]])
    found = by_hand.recommendForUserSubset(users.rename(columns={"id": "user"}), k)
    assert found.equals(by_hand.recommendForAllUsers(k))
    found = by_hand.recommendForItemSubset(items.rename(columns={"id": "item"}), k)
    assert found.equals(by_hand.recommendForAllItems(k))


# ---- shuffles, and what is left of them ------------------------------------------------------------------


class Calls(Counter):
    """Counts the calls of functions, by name."""

    def watch(self, monkeypatch, module, name):
        function = getattr(module, name)

        def counted(*args, **kwargs):
            self[name] += 1
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)


@spark_test("ALSSuite", 30, "ALS should not introduce unnecessary shuffle")
def test_no_unnecessary_shuffle(monkeypatch):
    """ALSSuite "ALS should not introduce unnecessary shuffle": ratings are cut and sent once for any iterations."""
    training, _ = implicit_data(20, 40, rank=2, noise=0.01)
    als = ALS(rank=2, implicitPrefs=True, numUserBlocks=2, numItemBlocks=2, seed=0)
    calls = Calls()
    for module, name in ((frames_in, "read_ratings"), (in_blocks, "split"), (in_blocks, "build")):
        calls.watch(monkeypatch, module, name)
    calls.watch(monkeypatch, half_step, "solve_block")
    counts = []
    for iterations in (1, 6):
        calls.clear()
        with dask.config.set(scheduler="synchronous"):
            als.fit(dd.from_pandas(training, npartitions=3), {als.maxIter: iterations})
        counts.append(dict(calls))
    # the ratings of users are cut from three partitions in two groups, those of items from the two blocks of users
    shuffle = {"read_ratings": 3, "split": 2 + 2, "build": 2 + 2}
    assert counts == [shuffle | {"solve_block": 4}, shuffle | {"solve_block": 6 * 4}]


def in_memory(client):
    """Keys of the tasks whose results the workers hold."""
    return set(
        client.run_on_scheduler(
            lambda dask_scheduler: [str(key) for key, task in dask_scheduler.tasks.items() if task.state == "memory"]
        )
    )


def comes_to_hold(client, before, n):
    """Whether the workers come to hold n results besides those before: released futures are told with a delay."""
    deadline = time.monotonic() + PATIENCE
    while len(found := in_memory(client) - before) != n and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    return sorted(found) if len(found) != n else True


@spark_test("ALSCleanerSuite", 0, "ALS shuffle cleanup standalone", note="tasks on the scheduler in place of files")
def test_shuffle_cleanup_standalone(cluster):
    """ALSCleanerSuite "ALS shuffle cleanup standalone": of a shuffle only what it made stays, and can be used again."""
    training, _ = implicit_data(20, 5, rank=1, noise=0.2, seed=0)
    columns = Columns(*COLUMNS)
    with cluster.as_current():
        before = in_memory(cluster)
        types = [id_type(training, name) for name in COLUMNS[:2]]
        scheduler = current_scheduler()
        chunks = rating_chunks(scheduler, dd.from_pandas(training, npartitions=3), columns, *types, "suite")
        ratings = shuffle(scheduler, chunks, (2, 2), "suite")
        del chunks
        # two blocks, the ids and their counts, of each side
        assert comes_to_hold(cluster, before, 2 * (2 + 2)) is True
        for _ in range(2):
            blocks = dask.compute(*ratings.users.in_blocks)
            assert sum(len(block.ratings) for block in blocks) == len(training)
        del ratings
        assert comes_to_hold(cluster, before, 0) is True


@spark_test("ALSCleanerSuite", 0, "ALS shuffle cleanup in algorithm", note="tasks on the scheduler in place of files")
def test_shuffle_cleanup_in_algorithm(cluster):
    """ALSCleanerSuite "ALS shuffle cleanup in algorithm": after seven iterations there are factors, ids, counts."""
    training, _ = implicit_data(20, 5, rank=1, noise=0.2, seed=0)
    als = ALS(rank=1, regParam=1e-5, seed=0, numUserBlocks=2, numItemBlocks=2)
    with cluster.as_current():
        before = in_memory(cluster)
        model = als.fit(training, {als.maxIter: 7})
        assert comes_to_hold(cluster, before, 2 * (2 + 2)) is True
        assert len(model.history) == 7
        del model
        assert comes_to_hold(cluster, before, 0) is True


# ---- storage ---------------------------------------------------------------------------------------------


@spark_test("ALSStorageSuite", 0, "invalid storage params", note="at fit, as in PySpark")
@pytest.mark.parametrize(
    ("name", "value"),
    [("intermediateStorageLevel", "foo"), ("intermediateStorageLevel", "NONE"), ("finalStorageLevel", "foo")],
)
def test_invalid_storage_params(name, value):
    """ALSStorageSuite "invalid storage params"."""
    with pytest.raises(ValueError, match=f"{name}='{value}' is not allowed"):
        ALS(**{name: value}).fit(TYPED)


@spark_test(
    "ALSStorageSuite", 0, "default and non-default storage params", note="a level has no effect; a warning says so"
)
def test_storage_params():
    """ALSStorageSuite: the default levels, and others, which are taken and warned about one by one."""
    als = ALS(rank=1, maxIter=1, seed=0)
    levels = als.getIntermediateStorageLevel(), als.getFinalStorageLevel()
    assert levels == ("MEMORY_AND_DISK", "MEMORY_AND_DISK")
    data = frame_of([(0, 0, 1.0), (0, 1, 2.0), (1, 2, 3.0), (1, 0, 2.0)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = als.fit(data)
    als.setFinalStorageLevel("MEMORY_ONLY").setIntermediateStorageLevel("DISK_ONLY")
    with pytest.warns(UserWarning, match="has no effect") as caught:
        found = als.fit(data)
    said = sorted(str(each.message).split(" ")[0] for each in caught)
    assert said == ["finalStorageLevel='MEMORY_ONLY'", "intermediateStorageLevel='DISK_ONLY'"]
    assert np.array_equal(features(found.userFactors), features(expected.userFactors))
    with pytest.warns(UserWarning, match="finalStorageLevel='NONE' has no effect"):
        ALS(rank=1, maxIter=1, finalStorageLevel="NONE").fit(data)
