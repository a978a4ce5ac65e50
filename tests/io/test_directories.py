"""Directories: their layout is that of Spark; a write is whole or absent; damaged metadata are named."""

import itertools
import json
import os
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.models import (
    FOR_SPARK,
    IDS,
    MODEL,
    SIDES,
    UUID,
    assert_is_spark_s,
    assert_same,
    edit_metadata,
    fit,
    pandas,
    ratings_with,
    write_metadata,
    write_spark_model,
)

from daskals import ALS, ALSModel
from daskals.evaluation import RegressionEvaluator
from daskals.io import factor_folders


@pytest.fixture
def model(ratings):
    return fit(ratings)


@pytest.fixture
def spark_model(tmp_path):
    return write_spark_model(tmp_path / "spark")


# ---- the layout is Spark's -------------------------------------------------------------------------------


def test_the_directory_is_that_of_spark(model, tmp_path):
    """Read here with json and pyarrow alone. Two folders are not Spark's, which passes over them."""
    model.save(tmp_path / "model")
    path = tmp_path / "model"
    ours = ["itemCounts", "userCounts"]
    assert sorted(each.name for each in path.iterdir()) == sorted(["itemFactors", "metadata", "userFactors", *ours])
    assert sorted(each.name for each in (path / "metadata").iterdir()) == ["_SUCCESS", "part-00000"]
    text = (path / "metadata/part-00000").read_text()
    assert text.count("\n") == 1
    assert text.endswith("}\n")
    fields = json.loads(text)
    assert (fields["class"], fields["uid"], fields["rank"]) == (MODEL, model.uid, 3)
    assert isinstance(fields["timestamp"], int)
    assert fields["sparkVersion"].split(".")[0].isdigit()
    assert fields["paramMap"] == {"blockSize": 4096}
    assert fields["defaultParamMap"] == {
        **{"blockSize": 4096, "coldStartStrategy": "nan", "itemCol": "item"},
        **{"predictionCol": "prediction", "userCol": "user"},
    }
    for side, column in zip(SIDES, ("userFactors", "itemFactors"), strict=True):
        files = sorted((path / side).iterdir())
        assert files[0].name == "_SUCCESS"
        assert [each.name for each in files[1:]] == [f"part-{n:05d}.snappy.parquet" for n in range(len(files) - 1)]
        table = pa.concat_tables(pq.read_table(each) for each in files[1:])
        shown = pandas(getattr(model, column))
        assert table["id"].to_pylist() == shown["id"].tolist()
        np.testing.assert_array_equal(
            np.stack(table["features"].to_pylist()), np.stack([np.asarray(each) for each in shown["features"]])
        )


def test_the_metadata_of_an_estimator_are_those_of_spark(tmp_path):
    ALS(rank=5, solver="cg").save(tmp_path / "als")
    assert [each.name for each in (tmp_path / "als").iterdir()] == ["metadata"]
    fields = json.loads((tmp_path / "als/metadata/part-00000").read_text())
    assert fields["class"] == "org.apache.spark.ml.recommendation.ALS"
    assert fields["paramMap"] == {"rank": 5}
    assert sorted(fields["defaultParamMap"]) == [
        *("alpha", "blockSize", "checkpointInterval", "coldStartStrategy", "finalStorageLevel", "implicitPrefs"),
        *("intermediateStorageLevel", "itemCol", "maxIter", "nonnegative", "numItemBlocks", "numUserBlocks"),
        *("predictionCol", "rank", "ratingCol", "regParam", "seed", "userCol"),
    ]
    assert "rank" not in fields
    assert fields["daskals"]["paramMap"] == {"solver": "cg"}


@pytest.mark.parametrize("ids", IDS)
def test_ids_that_spark_cannot_load_are_warned_of(ids, tmp_path, recwarn):
    fit(ratings_with(IDS[ids])).save(tmp_path / "model")
    messages = [str(each.message) for each in recwarn if "Spark cannot load" in str(each.message)]
    if ids in FOR_SPARK:
        assert not messages
    else:
        assert len(messages) == 1
        assert "the ids of userFactors are not integers of 32 bits" in messages[0]


def test_the_metadata_of_an_estimator_of_spark_are_loaded(tmp_path):
    """PySpark has another default seed in each process: the one that was saved is set."""
    defaults = {"alpha": 1.0, "seed": -3274573404530589984, "maxIter": 10, "finalStorageLevel": "MEMORY_AND_DISK"}
    values = {"maxIter": 2, "coldStartStrategy": "drop"}
    name = "org.apache.spark.ml.recommendation.ALS"
    write_metadata(tmp_path, **{"class": name, "paramMap": values, "defaultParamMap": defaults})
    als = ALS.load(tmp_path)
    assert (als.getMaxIter(), als.getColdStartStrategy(), als.getSeed()) == (2, "drop", -3274573404530589984)
    assert not als.isSet("alpha")


def test_metadata_in_several_parts_are_the_first_line(spark_model):
    """A partition without rows is an empty file."""
    (file,) = (spark_model / "metadata").glob("part-*")
    file.rename(file.with_name(f"part-00001-{UUID}.txt"))
    (spark_model / f"metadata/part-00000-{UUID}.txt").touch()
    assert_is_spark_s(ALSModel.load(spark_model))


# ---- damage ----------------------------------------------------------------------------------------------


META = {
    "no JSON": ("{'rank'", "is not JSON"),
    "nothing": ("\n\n", "is not the metadata of a model: it has no class name"),
    "a list": ("[1]", "it has no class name"),
    "no class": ({"class": None}, "(describes a None|no class name)"),
    "no uid": ({"uid": None}, "uid"),
    "no rank": ({"rank": None}, "there is no rank, or a wrong one: None"),
    "rank of text": ({"rank": "ten"}, "there is no rank, or a wrong one: 'ten'"),
    "rank zero": ({"rank": 0}, "there is no rank, or a wrong one: 0"),
    "another rank": ({"rank": 3}, "row 0 has 2 factors, but the model's rank is 3"),
    "an estimator": (
        {"class": "org.apache.spark.ml.recommendation.ALS"},
        f"describes a org.apache.spark.ml.recommendation.ALS, expected class name {MODEL}",
    ),
    "unknown parameter": ({"paramMap": {"foo": 1}}, "unknown parameter: .*'foo'"),
    "unknown default": ({"defaultParamMap": {"foo": 1}}, "unknown parameter: .*'foo'"),
    "value of a wrong type": ({"paramMap": {"userCol": 5}}, "userCol"),
    "parameters no map": ({"paramMap": [1]}, "paramMap"),
    "our notes no map": ({"daskals": {"user": {"form": "int64"}}}, "daskals"),
    "our notes of another form": (
        {"daskals": {"user": {"form": "int5", "shown": "int5", "bounds": None}}},
        "int5",
    ),
    "nested too deep": ('{"class":' + "[" * 100_000, "nested too deep"),
    "no text": ("\0\0\0", "is not JSON"),
    "rank of 64 bits": ({"rank": 2**63}, f"there is no rank, or a wrong one: {2**63}"),
    "absurd rank": ({"rank": 2**31 - 1}, f"row 0 has 2 factors, but the model's rank is {2**31 - 1}"),
    "rank true": ({"rank": True}, "there is no rank, or a wrong one: True"),
    "our parameters no map": ({"daskals": {"paramMap": [1]}}, r"daskals\.paramMap is missing or of a wrong type"),
    "value out of range": ({"paramMap": {"coldStartStrategy": "keep"}}, "coldStartStrategy='keep' is not allowed"),
    "history no map": ({"daskals": {"history": [1]}}, r"damaged in daskals\.history: there are no lists of iteration"),
    "history of words": (
        {"daskals": {"history": {"iteration": ["1"], "objective": [1], "rmse": [1], "seconds": [1]}}},
        "there is '1' in iteration, where a number should be",
    ),
    "history of other iterations": (
        {"daskals": {"history": {"iteration": [7], "objective": [1], "rmse": [1], "seconds": [1]}}},
        r"iterations are not numbered 1, 2, 3 \.\.\.: \[7\]",
    ),
    "ragged history": (
        {"daskals": {"history": {"iteration": [1], "objective": [1, 2], "rmse": [1], "seconds": [1]}}},
        r"lists of different lengths: \[1, 2, 1, 1\]",
    ),
    "history without a column": (
        {"daskals": {"history": {"iteration": [1], "objective": [1], "rmse": [1]}}},
        "there are no lists of iteration, objective, rmse, seconds",
    ),
}


@pytest.mark.parametrize("name", META)
def test_damaged_metadata_are_named(spark_model, name):
    """ValueError, with the path."""
    change, words = META[name]
    (file,) = (spark_model / "metadata").glob("part-*")
    if isinstance(change, str):
        file.write_text(change)
    else:
        fields = {**json.loads(file.read_text()), **change}
        file.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))
    with pytest.raises(ValueError, match=words) as caught:
        ALSModel.load(spark_model)
    assert str(spark_model) in str(caught.value)


BOUNDS = "its bounds are"
NOTES = {
    "bounds of words": ({"bounds": ["0", "3"]}, BOUNDS),
    "bounds no list": ({"bounds": {"0": 3}}, BOUNDS),
    "bounds fractional": ({"bounds": [0, 1.5]}, BOUNDS),
    "bounds that descend": ({"bounds": [0, 3, 2]}, BOUNDS),
    "bounds of nothing": ({"bounds": []}, BOUNDS),
    "neither bounds nor files": ({}, BOUNDS),
    "bounds of too many rows": ({"bounds": [0, 4]}, "its files have 3 rows, of 4 that were written"),
    "a form of no kind": ({"bounds": [0, 3], "form": "int32"}, "its form is 'int32', none of int64, uint64"),
    "a form that is a list": ({"bounds": [0, 3], "form": []}, r"its form is \[\]"),
    "shown in no type": ({"bounds": [0, 3], "shown": "int5"}, "shown as 'int5', which is no type of such"),
    "shown in no text": ({"bounds": [0, 3], "shown": None}, "shown as None"),
    "shown as dates": ({"bounds": [0, 3], "shown": "datetime64[ns]"}, "shown as 'datetime64"),
    "shown as categories": ({"bounds": [0, 3], "shown": "category"}, "shown as 'category'"),
    "shown in a zone that is none": ({"bounds": [0, 3], "shown": "datetime64[ns, Mars/Olympus]"}, "Mars"),
    "ids of another kind": (
        {"bounds": [0, 3], "form": "str", "shown": "object"},
        "has ids of type int32, expected str",
    ),
    "files no map": ({"files": [1]}, "its files have no lists of rows, first, last, checksum"),
    "files without a column": ({"files": {"rows": [3], "first": [0], "last": [2]}}, "its files have no lists of"),
    "files ragged": ({"files": {"rows": [3], "first": [], "last": [2], "checksum": [1]}}, "of different lengths"),
    "files of words": (
        {"files": {"rows": ["3"], "first": [0], "last": [2], "checksum": [1]}},
        "what it says of file 0",
    ),
    "ids of words": ({"files": {"rows": [3], "first": ["a"], "last": [2], "checksum": [1]}}, "what it says of file 0"),
    "other rows": ({"files": {"rows": [2], "first": [0], "last": [2], "checksum": [1]}}, "is not as it was written"),
}


@pytest.mark.parametrize("name", NOTES)
def test_damaged_notes_of_a_side_are_named(model, tmp_path, name):
    change, words = NOTES[name]
    model.save(tmp_path / "model")

    def damage(fields):
        fields["daskals"]["user"] = {"form": "int64", "shown": "int64", **change}

    edit_metadata(tmp_path / "model", damage)
    with pytest.raises(ValueError, match=words) as caught:
        ALSModel.load(tmp_path / "model")
    assert str(tmp_path / "model") in str(caught.value)


@pytest.mark.parametrize("missing", ["all", "metadata", "part"])
def test_what_is_not_there_is_named(spark_model, missing):
    if missing == "part":
        for file in (spark_model / "metadata").glob("part-*"):
            file.unlink()
    else:
        shutil.rmtree(spark_model if missing == "all" else spark_model / "metadata")
    for cls in (ALSModel, ALS, RegressionEvaluator):
        with pytest.raises(FileNotFoundError, match="holds no model: there is no file metadata/part-") as caught:
            cls.load(spark_model)
        assert str(spark_model) in str(caught.value)


# ---- a write is whole or absent --------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["file", "memory"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_write_that_fails_half_way_leaves_nothing(ratings, tmp_path, monkeypatch, place, overwrite):
    folder = f"{tmp_path}" if place == "file" else f"memory://{tmp_path.name}"
    model, old = fit(ratings), fit(ratings.assign(rating=1.0))
    if overwrite:
        old.save(f"{folder}/model")
    write_block = factor_folders.write_block

    def fail(file, *rows):
        if file.endswith("itemFactors/part-00001.snappy.parquet"):
            raise OSError("disk full")
        return write_block(file, *rows)

    with monkeypatch.context() as patched:
        patched.setattr(factor_folders, "write_block", fail)
        with pytest.raises(OSError, match="disk full"):
            (model.write().overwrite() if overwrite else model.write()).save(f"{folder}/model")
    fs, plain = fsspec.url_to_fs(folder)
    left = [Path(each).name for each in fs.ls(plain, detail=False)] if fs.exists(plain) else []
    assert left == (["model"] if overwrite else [])
    if overwrite:
        assert_same(ALSModel.load(f"{folder}/model"), old)
    else:
        with pytest.raises(FileNotFoundError):
            ALSModel.load(f"{folder}/model")
    (model.write().overwrite() if overwrite else model.write()).save(f"{folder}/model")
    assert_same(ALSModel.load(f"{folder}/model"), model)


@pytest.mark.parametrize("stage", range(6))
def test_a_move_that_is_cut_short_is_never_taken_for_a_model(ratings, tmp_path, monkeypatch, stage):
    """Where a directory is not renamed at once, metadata go first and come last; the new one is elsewhere till then."""
    path = f"memory://{tmp_path.name}/model"
    old, new = fit(ratings), fit(ratings.assign(rating=1.0))
    old.save(path)
    fs = fsspec.filesystem("memory")
    copies, copy = itertools.count(), fs.copy

    def cut(*args, **kwargs):
        if next(copies) == stage:
            raise OSError("connection lost")
        return copy(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(fs, "copy", cut)
        with pytest.raises(OSError, match="connection lost") as caught:
            new.write().overwrite().save(path)
    with pytest.raises((FileNotFoundError, ValueError)):
        ALSModel.load(path)
    (note,) = caught.value.__notes__
    assert note.startswith(f"{path} cannot be loaded now")
    assert_same(ALSModel.load(f"memory://{note.split()[-1]}"), new)
    new.write().overwrite().save(path)
    assert_same(ALSModel.load(path), new)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_rename_that_fails_leaves_the_old_one(ratings, tmp_path, monkeypatch, overwrite):
    old, new = fit(ratings), fit(ratings.assign(rating=1.0))
    if overwrite:
        old.save(tmp_path / "model")
    rename = os.rename

    def fail(source, target):
        if source.rpartition(".")[2].startswith("draft-") and not source.endswith("-old"):
            raise OSError("no permission")
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", fail)
        with pytest.raises(OSError, match="no permission"):
            new.write().overwrite().save(tmp_path / "model")
    assert [each.name for each in tmp_path.iterdir()] == ["model"] * overwrite
    if overwrite:
        assert_same(ALSModel.load(tmp_path / "model"), old)


def test_a_folder_that_cannot_be_written_is_an_error(model, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        model.save(tmp_path / "file/model")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("place", ["file", "memory"])
@pytest.mark.parametrize("what", ["model", "estimator"])
def test_what_exists_is_replaced_only_when_told_so(model, tmp_path, place, what):
    thing = model if what == "model" else ALS(rank=4)
    path = f"{tmp_path}/it" if place == "file" else f"memory://{tmp_path.name}/it"
    thing.save(path)
    with pytest.raises(
        FileExistsError, match=r"already exists. To replace it use write\(\)\.overwrite\(\)\.save\(path\)"
    ):
        thing.save(path)
    thing.write().overwrite().save(path)
    other = ALS(rank=9)
    other.write().overwrite().save(path)
    assert ALS.load(path).getRank() == 9
    fs, plain = fsspec.url_to_fs(path)
    assert [Path(each).name for each in fs.ls(plain, detail=False)] == ["metadata"]


def test_a_file_is_not_replaced_either(model, tmp_path):
    (tmp_path / "model").write_text("mine")
    with pytest.raises(FileExistsError):
        model.save(tmp_path / "model")
    assert (tmp_path / "model").read_text() == "mine"


def test_overwriting_what_is_not_there_writes(model, tmp_path):
    model.write().overwrite().save(tmp_path / "model")
    assert_same(ALSModel.load(tmp_path / "model"), model)
