"""Loading saved models without Dask: the same factors as `ALSModel.load` gives, or the same refusal."""

import json
import logging
import mmap
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.marks import a_few
from support.models import (
    IDS,
    ITEM_ROWS,
    ITEMS,
    USER_ROWS,
    as_earlier_versions_wrote,
    edit_metadata,
    fit,
    ratings_with,
    write_side,
    write_spark_model,
)

from daskals import ALSModel
from daskals.serving import LocalModel

WRITTEN = Path(__file__).parents[1] / "spark_suite" / "written"


def save(path, kind="int16", **more):
    """A model with ids of a kind, saved; it is over what is there."""
    model = fit(ratings_with(IDS[kind]), **more)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Spark cannot load this model")
        model.write().overwrite().save(path)
    return model


def is_mapped(local):
    """Whether factors are a file that is mapped into memory."""
    base = local.itemFactors
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


@pytest.fixture
def saved(tmp_path):
    """(model, its folder): two files of items, three of users."""
    return save(tmp_path / "model"), tmp_path / "model"


def copied(path):
    """The same path, with the copy in NumPy's format beside the model."""
    LocalModel.writeArrays(path)
    return path


def assert_is(local, model):
    """Ids and factors exactly, and the uid."""
    for ids, rows, frame in (
        (local.userIds, local.userFactors, model.userFactors),
        (local.itemIds, local.itemFactors, model.itemFactors),
    ):
        assert list(ids) == [np.datetime64(i) if isinstance(i, pd.Timestamp) else i for i in frame["id"]]
        np.testing.assert_array_equal(rows, np.array(frame["features"].tolist(), np.float32))
    assert (local.uid, local.rank) == (model.uid, model.rank)


# ---- what is loaded --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", a_few(list(IDS), "int64", "uint64", "strings", "dates"))
def test_a_model_comes_back_exactly(kind, tmp_path):
    """From Parquet, from the copy, and from memory."""
    model = save(tmp_path / "model", kind)
    loaded = LocalModel.load(tmp_path / "model")
    mapped = LocalModel.load(str(copied(tmp_path / "model")))
    for local in (loaded, mapped, model.toLocal()):
        assert_is(local, model)
    assert loaded.version == mapped.version != ""
    assert is_mapped(mapped)
    user = model.userFactors["id"].tolist()[3]
    assert mapped.recommend(user, 5) == loaded.recommend(user, 5) == model.toLocal().recommend(user, 5)


def test_a_path_is_a_folder_or_a_url(saved):
    model, path = saved
    assert_is(LocalModel.load(f"file://{path}"), model)
    LocalModel.writeArrays(f"file://{path}")
    assert is_mapped(LocalModel.load(f"file://{path}"))


def test_what_is_on_no_disk_is_read_too(saved):
    """From any file system that fsspec knows; only the copy must lie on one of this machine."""
    import fsspec

    model, path = saved
    fsspec.filesystem("memory").put(str(path), "/served", recursive=True)
    try:
        assert_is(LocalModel.load("memory://served"), model)
        with pytest.raises(ValueError, match="memory://served is not on this machine"):
            LocalModel.writeArrays("memory://served")
    finally:
        fsspec.filesystem("memory").rm("/served", recursive=True)


def test_als_model_does_not_mind_the_copy(saved):
    model, path = saved
    copied(path)
    assert_is(ALSModel.load(path, frames="pandas").toLocal(), model)


def test_earlier_versions_files(saved):
    model, path = saved
    assert_is(LocalModel.load(as_earlier_versions_wrote(path)), model)


@pytest.mark.parametrize("spark", ["spark-3.5.6", "spark-4.3.0"])
@pytest.mark.parametrize("copy", [False, True], ids=["parquet", "copy"])
def test_what_a_real_spark_wrote(spark, copy, tmp_path):
    """Factors exactly, predictions and lists to rounding."""
    path = Path(shutil.copytree(WRITTEN / spark / "model", tmp_path / "model"))
    known = json.loads((WRITTEN / spark / "expected.json").read_text(encoding="utf-8"))
    local = LocalModel.load(copied(path) if copy else path)
    assert local.uid == known["uid"]
    assert local.userIds.tolist() == [id_ for id_, _ in known["users"]]
    np.testing.assert_array_equal(local.itemFactors, np.array([row for _, row in known["items"]], np.float32))
    who, item, expected = zip(*known["predictions"], strict=True)
    scores = local.predict(who, item)
    np.testing.assert_allclose(scores, np.array([np.nan if e is None else e for e in expected], float), rtol=1e-6)
    for user, items in known["recommendations"]:
        found = local.recommend(user, 2)
        assert [each.id for each in found] == [id_ for id_, _ in items]
        np.testing.assert_allclose([each.score for each in found], [score for _, score in items], rtol=1e-6)
    with pytest.raises(ValueError, match="Pass those of the fit: regParam=, implicitPrefs="):
        local.recommendForRatings({item[0]: 1.0}, 1)


def test_spark_s_rows_are_in_no_order(tmp_path):
    local = LocalModel.load(write_spark_model(tmp_path / "model"))
    assert local.itemIds.tolist() == sorted(ITEMS)
    np.testing.assert_array_equal(local.itemFactors, ITEM_ROWS[np.argsort(ITEMS)])
    np.testing.assert_array_equal(local.userFactors, USER_ROWS)


def test_the_parameters_of_the_fit_are_read(saved):
    """What the metadata tell of the parent; what is not set has the default of `ALS`."""
    model, path = saved
    parent = {"uid": "ALS_1", "paramMap": {"implicitPrefs": True, "alpha": 2.0, "rank": 3, "userCol": "user"}}
    edit_metadata(path, lambda fields: fields["daskals"].update(parent=parent))
    rated = {int(model.itemFactors["id"][0]): 2.0}
    for local in (LocalModel.load(path), LocalModel.load(copied(path))):
        expected = local.recommendForRatings(rated, 3, regParam=0.1, implicitPrefs=True, alpha=2.0, nonnegative=False)
        assert local.recommendForRatings(rated, 3) == expected
        assert local.recommendForRatings(rated, 3, alpha=9.0) != expected


# ---- what is refused -------------------------------------------------------------------------------------


def a_file(path, side="itemFactors"):
    return sorted((path / side).glob("*.parquet"))[0]


def cut(path):
    a_file(path).write_bytes(a_file(path).read_bytes()[:-20])


def another_number(path):
    table = pq.read_table(a_file(path))
    rows = [[*row[:-1], row[-1] + 1] for row in table["features"].to_pylist()]
    pq.write_table(table.set_column(1, "features", pa.array(rows, table["features"].type)), a_file(path))


def another_models_file(path):
    save(path.parent / "other")
    shutil.copy(a_file(path.parent / "other"), a_file(path))


DAMAGES = {
    "nothing there": (shutil.rmtree, FileNotFoundError, "holds no model"),
    "no metadata": (lambda p: shutil.rmtree(p / "metadata"), FileNotFoundError, "holds no model"),
    "a side is missing": (lambda p: shutil.rmtree(p / "itemFactors"), FileNotFoundError, "itemFactors holds no Parq"),
    "a file is missing": (lambda p: a_file(p, "userFactors").unlink(), FileNotFoundError, r"userFactors/part-\d+"),
    "a file is cut": (cut, ValueError, "itemFactors/part-00000.*cannot be read"),
    "a number is another": (another_number, ValueError, "itemFactors/part-00000.* is not as it was written"),
    "a file of another": (another_models_file, ValueError, "itemFactors/part-00000.* is not as it was written"),
    "a file twice": (lambda p: shutil.copy(a_file(p), p / "itemFactors" / "part-9.parquet"), ValueError, "part-9"),
    "not JSON": (lambda p: (p / "metadata" / "part-00000").write_text("{"), ValueError, "part-00000 is not JSON"),
    "another class": (lambda p: edit_metadata(p, lambda f: f.update({"class": "x.Y"})), ValueError, "describes a x.Y"),
    "another rank": (lambda p: edit_metadata(p, lambda f: f.update(rank=4)), ValueError, "the model's rank is 4"),
    "a wrong parent": (
        lambda p: edit_metadata(p, lambda f: f["daskals"].update(parent={"paramMap": {"alpha": "x"}})),
        ValueError,
        "damaged in daskals.parent: alpha='x'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_refused_with_the_name_of_the_file(damage, saved):
    """And with the copy beside it, where only metadata are looked at, there is no other model."""
    _, path = saved
    change, error, message = DAMAGES[damage]
    change(path)
    with pytest.raises(error, match=message):
        LocalModel.load(path)
    with pytest.raises(error, match=message) if path.exists() else pytest.raises(FileNotFoundError):
        LocalModel.writeArrays(path)
    assert not (path / "arrays").exists()
    assert not list(path.parent.glob("**/*draft*"))


def test_an_id_in_two_of_spark_s_files(tmp_path):
    path = write_spark_model(tmp_path / "model")
    write_side(tmp_path / "more", [3, 50], ITEM_ROWS[:2])
    shutil.copy(a_file(tmp_path, "more"), path / "itemFactors" / "part-7.parquet")
    with pytest.raises(ValueError, match=r"part-0000\d-.* and .*part-7.parquet are damaged.*id that is there twice, 3"):
        LocalModel.load(path)


# ---- the copy --------------------------------------------------------------------------------------------


def test_the_copy_of_a_model_that_was_replaced_is_gone(saved):
    _, path = saved
    version = LocalModel.load(copied(path)).version
    other = save(path)
    assert not (path / "arrays").exists()
    assert_is(LocalModel.load(path), other)
    assert LocalModel.load(path).version != version


def another_one(path):
    """Another model's files over these, as by rsync; the copy stays."""
    save(path.parent / "other")
    shutil.copytree(path.parent / "other", path, dirs_exist_ok=True)


def shorter(path):
    file = path / "arrays" / "item-rows.npy"
    file.write_bytes(file.read_bytes()[:-4])


STALE = {
    "another model": (another_one, "it is that of another model"),
    "a shorter file": (shorter, "item-rows|mmap"),
    "no file": (lambda path: (path / "arrays" / "user-ids.npy").unlink(), "user-ids.npy"),
    "another file": (
        lambda path: shutil.copy(path / "arrays" / "item-rows.npy", path / "arrays" / "user-rows.npy"), "user-rows.npy"
    ),
    "a pickle": (
        lambda path: np.save(path / "arrays" / "item-ids.npy", np.array([{}], object), allow_pickle=True), "pickle|obj"
    ),
    "another format": (
        lambda path: (path / "arrays" / "arrays.json").write_text('{"format": 1}'), "its format is 1, and 2 is read"
    ),
    "no JSON": (lambda path: (path / "arrays" / "arrays.json").write_text("{"), "Expecting"),
}  # fmt: skip


@pytest.mark.parametrize("damage", STALE)
def test_a_copy_that_is_not_the_models_is_passed_over_and_logged(damage, saved, caplog):
    """The files of the model are read in its place."""
    _, path = saved
    change, message = STALE[damage]
    change(copied(path))
    with caplog.at_level(logging.WARNING, "daskals"):
        local = LocalModel.load(path)
    (line,) = [record.getMessage() for record in caplog.records]
    assert pd.Series([line]).str.contains(message).all(), line
    assert "Write it again" in line
    assert_is(local, ALSModel.load(path, frames="pandas"))
    LocalModel.writeArrays(path)
    assert is_mapped(LocalModel.load(path))


def test_a_model_is_read_whole_while_others_are_saved_there(tmp_path):
    """Its factors are those of the version that it tells, or there was none at that moment."""
    models = [fit(ratings_with(IDS["int16"])) for _ in range(2)]
    path, stop, faults = tmp_path / "model", threading.Event(), []
    models[0].save(path)
    known = {tuple(each.toLocal().itemFactors[0].tolist()): each.toLocal().userFactors for each in models}

    def replace():
        number = 0
        while not stop.is_set():
            number += 1
            models[number % 2].write().overwrite().save(path)
            if number % 3 == 0:
                LocalModel.writeArrays(path)

    thread = threading.Thread(target=replace)
    thread.start()
    versions = set()
    try:
        for _ in range(25):
            try:
                local = LocalModel.load(path)
            except FileNotFoundError as error:  # between the two renames of a save
                faults.append(error)
                continue
            versions.add(local.version)
            np.testing.assert_array_equal(local.userFactors, known[tuple(local.itemFactors[0].tolist())])
    finally:
        stop.set()
        thread.join()
    assert len(versions) > 1
    assert len(faults) < 20


# ---- what it brings --------------------------------------------------------------------------------------

EVERYTHING = """
import sys

def heavy():
    known = {"dask", "distributed", "numba", "llvmlite", *MORE}
    return sorted({name.partition(".")[0] for name in sys.modules} & known)

MORE = {"pandas", "pyarrow", "scipy", "fsspec"}
from daskals.serving import LocalModel
print("import", heavy())
model = LocalModel.load(sys.argv[1])
user, item = model.userIds.tolist()[0], model.itemIds.tolist()[0]
model.recommend(user, 3, exclude=[item]), model.recommend([user], 3, candidates=[item]), user in model
model.similarItems(item, 3), model.similarUsers(user, 3, "dot"), model.predict(user, item), model.hasItem(item)
model.popular(3, exclude=[item]), model.recommend(user, 3, minSupport=2), model.userCounts
print("load", heavy())
MORE = set()
given = dict(regParam=0.1, implicitPrefs=True, alpha=1.0)
model.predict([user], [item]), model.recommendForRatings({item: 1.0}, 2, **given, nonnegative=True)
model.explain(user, item, 1, {item: 1.0}, **given)
LocalModel.writeArrays(sys.argv[1])
LocalModel.load(sys.argv[1])
print("all", heavy())
"""


@pytest.mark.parametrize("kind", a_few(["int16", "strings"], "strings"))
def test_neither_dask_nor_numba_is_imported(kind, tmp_path):
    """By no method; and where there is a copy, nor pandas, SciPy and PyArrow before they are needed."""
    save(tmp_path / "model", kind)

    def modules():
        done = subprocess.run(
            [sys.executable, "-c", EVERYTHING, tmp_path / "model"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert modules() == ["import []", "load ['fsspec', 'pandas', 'pyarrow']", "all []"]
    assert modules() == ["import []", "load []", "all []"]
