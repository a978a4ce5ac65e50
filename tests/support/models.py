"""Models for the tests of files: ours with ids of every kind, and directories as Spark writes them."""

import json
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.testing import assert_frame_equal

from daskals import ALS

RNG = np.random.default_rng(3)
UUID = "2cfd81df-f164-4b66-981c-33184d1ee16e-c000"
MODEL = "org.apache.spark.ml.recommendation.ALSModel"
SIDES = ("userFactors", "itemFactors")

IDS = {
    "int8": np.arange(-5, 15).astype(np.int8),
    "int16": np.arange(0, 2000, 100).astype(np.int16),
    "int32": np.array([-(2**31), 2**31 - 1, *range(18)], np.int32),
    "uint32": np.arange(2**32 - 20, 2**32).astype(np.uint32),
    "int64": np.array([-(2**63), 2**63 - 1, *range(18)]),
    "uint64": np.arange(2**64 - 20, 2**64, dtype=np.uint64),
    "Int32": pd.array(range(20), "Int32"),
    "float": np.arange(20.0),
    "strings": np.array([f"ü-{i}" for i in range(20)], object),
    "categories": pd.Categorical([f"c{i}" for i in range(20)]),
    "dates": pd.date_range("1960-01-01 12:34:56.789", periods=20, freq="37h"),
}
#: those that fit into Spark's integers; the others are warned of
FOR_SPARK = ("int8", "int16", "int32", "Int32", "float")


def ratings_with(users, items=None):
    """60 ratings of the first 20 of these ids."""
    users, items = pd.Series(users), pd.Series(items if items is not None else range(12))
    rows, columns = RNG.integers(0, len(users), 60), RNG.integers(0, len(items), 60)
    frame = {"user": users[rows], "item": items[columns]}
    return pd.DataFrame({name: each.reset_index(drop=True) for name, each in frame.items()}).assign(
        rating=RNG.uniform(1, 5, 60).astype(np.float32)
    )


def pandas(frame):
    return frame if isinstance(frame, pd.DataFrame) else frame.compute().reset_index(drop=True)


def fit(frame, **more):
    return ALS(rank=3, maxIter=2, seed=1, numUserBlocks=3, numItemBlocks=2, **more).fit(frame)


def assert_same(loaded, model):
    """Factors exactly, with the dtypes of ids, and what is shown of them."""
    for name in SIDES:
        found, expected = getattr(loaded, name), getattr(model, name)
        if isinstance(found, dd.DataFrame) and expected["id"].dtype == object:
            # strings of pandas 2, which frames of Dask hold as Arrow's
            expected = expected.assign(id=expected["id"].astype("string[pyarrow]"))
        assert_frame_equal(pandas(found), pandas(expected))
    assert_frame_equal(loaded.history, model.history)
    # all that is shown, but for where the factors are
    assert (loaded.uid, repr(loaded).split(", factors=")[0]) == (model.uid, repr(model).split(", factors=")[0])
    assert loaded.extractParamMap() == model.extractParamMap()


def write_metadata(path, version="4", **more):
    """A metadata folder as Spark 2 and 3, or Spark 4, write it, with Hadoop's checksum files."""
    fields = {
        "class": MODEL,
        "timestamp": 1795492482309,
        "sparkVersion": {"2": "2.3.0", "3": "3.5.1", "4": "4.3.0"}[version],
        "uid": "ALS_ffc299289dd5",
        "paramMap": {"coldStartStrategy": "drop", "blockSize": 4096} if version != "2" else {"userCol": "u"},
        "defaultParamMap": {"blockSize": 4096, "coldStartStrategy": "nan", "itemCol": "item", "userCol": "user"},
        "rank": 2,
        **more,
    }
    if version == "2":
        fields.pop("defaultParamMap")  # there was none before 2.4
    folder = Path(path, "metadata")
    folder.mkdir(parents=True, exist_ok=True)
    name = f"part-00000-{UUID}.txt" if version == "4" else "part-00000"
    (folder / name).write_text(json.dumps(fields) + "\n")
    (folder / f".{name}.crc").write_bytes(b"crc\0\0\0")
    (folder / "_SUCCESS").touch()
    (folder / "._SUCCESS.crc").write_bytes(b"crc\0")


def write_side(path, ids, rows, parts=1, compression="snappy"):
    """A side as Spark's partitions have it: id mod parts says in which file a row is, in no order."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    ending = {"snappy": ".snappy.parquet", "gzip": ".gz.parquet", "none": ".parquet"}[compression]
    order = np.random.default_rng(0).permutation(len(ids))
    for part in range(parts):
        mine = [row for row in order if ids[row] % parts == part]
        table = table_of(np.array(ids, np.int32)[mine], [rows[row] for row in mine])
        name = f"part-{part:05d}-{UUID}{ending}"
        pq.write_table(table, folder / name, compression=compression)
        (folder / f".{name}.crc").write_bytes(b"crc\0\0\0")
    (folder / "_SUCCESS").touch()


def table_of(ids, rows, kind=None):
    features = pa.array([None if row is None else list(row) for row in rows], kind or pa.list_(pa.float32()))
    return pa.table({"id": ids, "features": features})


USERS = list(range(11))
ITEMS = [-7, 3, 2**31 - 1, 40, 12]
USER_ROWS = np.random.default_rng(1).normal(size=(11, 2)).astype(np.float32)
ITEM_ROWS = np.random.default_rng(2).normal(size=(5, 2)).astype(np.float32)


def write_spark_model(path):
    """A model of Spark 4: 11 users and 5 items, rank 2."""
    write_metadata(path)
    write_side(path / "userFactors", USERS, USER_ROWS, parts=3)
    write_side(path / "itemFactors", ITEMS, ITEM_ROWS, parts=2)
    return path


def assert_is_spark_s(model):
    users, items = pandas(model.userFactors), pandas(model.itemFactors)
    assert users["id"].tolist() == USERS
    assert users["id"].dtype == np.int32
    np.testing.assert_array_equal(np.stack([np.asarray(each) for each in users["features"]]), USER_ROWS)
    order = np.argsort(ITEMS)
    assert items["id"].tolist() == sorted(ITEMS)
    np.testing.assert_array_equal(np.stack([np.asarray(each) for each in items["features"]]), ITEM_ROWS[order])
    pairs = pd.DataFrame([(u, i) for u in USERS for i in ITEMS], columns=[model.getUserCol(), "item"])
    scores = model.transform(pairs)["prediction"].to_numpy().reshape(11, 5)
    np.testing.assert_allclose(scores, USER_ROWS @ ITEM_ROWS.T, rtol=1e-5)


def edit_metadata(path, change):
    """Change the fields of saved metadata in place: ``change`` is given the dict."""
    (file,) = Path(path, "metadata").glob("part-*")
    fields = json.loads(file.read_text())
    change(fields)
    file.write_text(json.dumps(fields) + "\n")


def as_earlier_versions_wrote(path):
    """A model that we have saved, with what the metadata said before they told what each file holds: bounds."""

    def change(fields):
        for side in ("user", "item"):
            rows = fields["daskals"][side].pop("files")["rows"]
            fields["daskals"][side]["bounds"] = np.cumsum([0, *rows]).tolist()

    edit_metadata(path, change)
    return path
