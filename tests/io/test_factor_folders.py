"""Folders of factors: whatever happens to their files, the factors are those that were written, or there are none."""

import os
import shutil
import threading

import numpy as np
import pandas as pd
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from support.models import IDS, as_earlier_versions_wrote, assert_same, edit_metadata, fit, pandas, ratings_with

from daskals import ALS, ALSModel
from daskals.io.folder_checks import file_name_of


def four_users(**more):
    """Predictions of item 0 are about 1, 2, 3, 4 by user, whose factors are in two files, two users each."""
    frame = pd.DataFrame([(u, i, u + 1.0) for u in range(4) for i in range(2)], columns=["user", "item", "rating"])
    return ALS(rank=2, maxIter=3, numUserBlocks=2, numItemBlocks=1, **more).fit(frame)


@pytest.fixture(params=["today", "earlier"])
def saved(request, tmp_path):
    """(model, its directory): as we write it, and as earlier versions did."""
    model = four_users()
    model.save(tmp_path / "model")
    if request.param == "earlier":
        as_earlier_versions_wrote(tmp_path / "model")
    return model, tmp_path / "model"


@pytest.fixture
def model_and_path(tmp_path):
    model = four_users()
    model.save(tmp_path / "model")
    return model, tmp_path / "model"


def files(path, side="userFactors"):
    return sorted((path / side).glob("*.parquet"))


def assert_predicts_the_same(loaded, model):
    frame = pd.DataFrame({"user": range(4), "item": 0})
    np.testing.assert_array_equal(loaded.transform(frame)["prediction"], model.transform(frame)["prediction"])
    assert_same(loaded, model)


# ---- files with other names, more or fewer of them -------------------------------------------------------


def test_the_names_of_files_say_nothing(saved):
    model, path = saved
    assert len(files(path)) == 2
    first = files(path)[0]
    first.rename(first.with_name("part-00009.snappy.parquet"))
    assert_predicts_the_same(ALSModel.load(path), model)


def test_names_are_in_the_order_of_blocks_however_many_there_are():
    for n in (1, 100_000, 100_001, 12_345_678):
        numbers = sorted({0, 1, n // 2, min(n - 1, 99_999), n - 1})
        names = [file_name_of(number, n) for number in numbers]
        assert names == sorted(names)
    assert file_name_of(3, 100_000) == "part-00003.snappy.parquet"


def test_a_missing_file_is_named(saved):
    _, path = saved
    files(path)[1].unlink()
    with pytest.raises(
        (FileNotFoundError, ValueError), match=r"is missing, which has 2 rows|have 2 rows, of 4"
    ) as error:
        ALSModel.load(path)
    assert str(path / "userFactors") in str(error.value)


def test_the_error_of_a_missing_file_says_which(model_and_path):
    _, path = model_and_path
    gone = files(path)[1]
    gone.unlink()
    with pytest.raises(FileNotFoundError, match="is missing, which has 2 rows, ids 2 to 3") as error:
        ALSModel.load(path)
    assert str(gone) in str(error.value)


def test_a_file_that_has_lost_its_rows_is_named(saved):
    _, path = saved
    lost = files(path)[0]
    pq.write_table(pq.read_table(lost).slice(0, 0), lost)
    with pytest.raises(ValueError, match=r"it has no rows; expected 2 rows, ids 0 to 1|have 2 rows, of 4") as error:
        ALSModel.load(path)
    assert str(path / "userFactors") in str(error.value)


def test_a_file_that_is_there_twice_is_named(saved):
    _, path = saved
    one, copy = files(path)[0], path / "userFactors/part-00007.snappy.parquet"
    shutil.copy(one, copy)
    with pytest.raises(ValueError, match=r"is there twice|have 6 rows, of 4") as error:
        ALSModel.load(path)
    assert str(path / "userFactors") in str(error.value)


def test_the_same_ids_of_the_other_side_are_no_factors_of_this_one(tmp_path):
    """Users 0 .. 3 and items 0 .. 3, in a file each: it tells only by its numbers whose it is."""
    square = pd.DataFrame([(u, i, u + 2.0 * i) for u in range(4) for i in range(4)], columns=["user", "item", "rating"])
    ALS(rank=2, maxIter=2, numUserBlocks=1, numItemBlocks=1).fit(square).save(tmp_path / "model")
    (users,), (items,) = files(tmp_path / "model"), files(tmp_path / "model", "itemFactors")
    users.rename(tmp_path / "x")
    items.rename(users)
    (tmp_path / "x").rename(items)
    with pytest.raises(ValueError, match="is not as it was written") as error:
        ALSModel.load(tmp_path / "model")
    assert str(users) in str(error.value)


def test_a_file_of_another_model_of_the_same_ids_is_named(model_and_path, tmp_path):
    _, path = model_and_path
    four_users(regParam=1.0).save(tmp_path / "other")
    shutil.copy(files(tmp_path / "other")[1], files(path)[1])
    with pytest.raises(ValueError, match="is not as it was written: it has 2 rows, ids 2 to 3") as error:
        ALSModel.load(path)
    assert str(files(path)[1]) in str(error.value)


def test_one_more_file_without_rows_does_no_harm(saved):
    model, path = saved
    pq.write_table(pq.read_table(files(path)[0]).slice(0, 0), path / "userFactors/part-00005.snappy.parquet")
    assert_predicts_the_same(ALSModel.load(path), model)


def merge_files(path):
    tables = [pq.read_table(file) for file in reversed(files(path))]
    for file in files(path):
        file.unlink()
    pq.write_table(pyarrow.concat_tables(tables), path / "userFactors/all.parquet")


def test_files_that_were_merged_are_loaded_where_nothing_is_known_of_them(tmp_path):
    model = four_users()
    model.save(tmp_path / "model")
    merge_files(as_earlier_versions_wrote(tmp_path / "model"))
    assert_predicts_the_same(ALSModel.load(tmp_path / "model"), model)


def test_files_that_were_merged_are_not_those_that_were_written(model_and_path):
    _, path = model_and_path
    merge_files(path)
    with pytest.raises(ValueError, match=r"all.parquet is not as it was written: it has 4 rows, ids 0 to 3"):
        ALSModel.load(path)


def test_a_file_that_changes_after_loading_is_named(model_and_path, tmp_path):
    """Rows are read again when they are needed."""
    _, path = model_and_path
    loaded = ALSModel.load(path)
    four_users(regParam=1.0).write().overwrite().save(path)
    with pytest.raises(ValueError, match="has been changed since the model was loaded") as error:
        pandas(loaded.userFactors)
    assert str(path / "userFactors") in str(error.value)


def test_a_link_to_a_file_is_a_file(model_and_path, tmp_path):
    model, path = model_and_path
    one = files(path)[0]
    one.rename(tmp_path / "elsewhere")
    one.symlink_to(tmp_path / "elsewhere")
    assert_predicts_the_same(ALSModel.load(path), model)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("place", ["userFactors/part-00000.snappy.parquet", "metadata/part-00000"])
def test_a_pipe_is_named_and_not_waited_for(model_and_path, place):
    _, path = model_and_path
    (path / place).unlink()
    os.mkfifo(path / place)
    errors = []

    def load():
        try:
            ALSModel.load(path)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(20)
    if thread.is_alive():
        os.close(os.open(path / place, os.O_WRONLY | os.O_NONBLOCK))  # lets the reader go
    (error,) = errors
    assert isinstance(error, ValueError)
    assert f"{path / place} is no file that can be read" in str(error)


# ---- ids -------------------------------------------------------------------------------------------------


@pytest.fixture
def one_large_id(tmp_path):
    """The folder of a side whose ids are small but for the last, which is in a file of its own."""
    ids = np.array([1, 2, 3, 4, 5, 2**31])
    frame = ratings_with(ids)
    frame = pd.concat([frame, pd.DataFrame({"user": ids, "item": 0, "rating": np.float32(1)})])
    with pytest.warns(UserWarning, match="the ids of userFactors are not integers of 32 bits"):
        fit(frame).save(tmp_path / "model")
    folder = tmp_path / "model/userFactors"
    assert len(list(folder.glob("*.parquet"))) == 3
    return folder, ids.tolist()


def test_all_files_of_a_side_have_ids_of_one_type(one_large_id):
    folder, ids = one_large_id
    assert {str(pq.read_schema(file).field("id").type) for file in folder.glob("*.parquet")} == {"int64"}
    assert pyarrow.dataset.dataset(folder).to_table()["id"].to_pylist() == ids
    assert pd.read_parquet(folder)["id"].tolist() == ids
    assert pandas(ALSModel.load(folder.parent).userFactors)["id"].tolist() == ids


def test_polars_reads_a_side(one_large_id):
    polars = pytest.importorskip("polars")
    folder, ids = one_large_id
    found = polars.read_parquet(folder / "*.parquet")
    assert found["id"].to_list() == ids
    assert found["features"].list.len().unique().to_list() == [3]


@pytest.mark.filterwarnings("ignore:Spark cannot load this model")
def test_ids_that_the_type_of_ids_cannot_hold_are_refused(tmp_path):
    """Unsigned integers of 64 bits would become negative ones."""
    fit(ratings_with(IDS["uint64"])).save(tmp_path / "model")

    def change(fields):
        fields["daskals"]["user"] = {"form": "int64", "shown": "int64", "bounds": [0, 20]}

    edit_metadata(tmp_path / "model", change)
    with pytest.raises(ValueError, match="does not fit into int64") as error:
        ALSModel.load(tmp_path / "model")
    assert any(str(each) in str(error.value) for each in files(tmp_path / "model"))


@pytest.mark.filterwarnings("ignore:Spark cannot load this model")
def test_ids_that_could_not_be_shown_are_refused(tmp_path):
    """Spark's ids are shown as integers of 32 bits, in which a larger one would be another one."""
    fit(ratings_with(IDS["int64"])).save(tmp_path / "model")
    edit_metadata(tmp_path / "model", lambda fields: fields.pop("daskals"))
    with pytest.raises(
        ValueError, match=f"has the id ({-(2**63)}|{2**63 - 1}), which does not fit into int32"
    ) as error:
        ALSModel.load(tmp_path / "model")
    assert any(str(each) in str(error.value) for each in files(tmp_path / "model"))


# ---- checksums -------------------------------------------------------------------------------------------


def test_pages_carry_checksums(model_and_path):
    """One bit of a factor is found by any reader that looks."""
    _, path = model_and_path
    file = files(path)[0]
    chunk = pq.read_metadata(file).row_group(0).column(1)
    content = bytearray(file.read_bytes())
    content[chunk.data_page_offset + chunk.total_compressed_size - 1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(OSError, match="CRC"):
        pq.ParquetFile(file, page_checksum_verification=True).read()
    with pytest.raises(ValueError, match="cannot be read as the factors of a model") as error:
        ALSModel.load(path)
    assert str(file) in str(error.value)
