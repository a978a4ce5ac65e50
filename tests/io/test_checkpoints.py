"""Checkpoints: written when they are due, whole or absent, and a fit that goes on from one ends where it would have."""

import dataclasses
import errno
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import dask
import dask.dataframe as dd
import fsspec
import numpy as np
import pandas as pd
import pytest
from distributed.comm import CommClosedError

from daskals import ALS, ALSModel
from daskals.datasets import make_ratings
from daskals.io import checkpoints, directories, factor_folders, identity

SHAPE = {"n_users": 60, "n_items": 40, "n_ratings": 900}
KINDS = {
    "explicit": {},
    "implicit": {"implicitPrefs": True, "alpha": 2.0},
    "cg": {"solver": "cg", "cgSteps": 2},
    "implicit cg": {"implicitPrefs": True, "solver": "cg", "cgSteps": 2},
    "nonnegative": {"nonnegative": True},
    "double": {"precision": "double"},
    "biases": {"biases": True, "regExponent": 0.5, "userRegParam": 0.3, "itemRegParam": 0.05},
    "weights": {"weightCol": "weight", "userCountExponent": 0.5, "itemCountExponent": 0.3, "startScale": 0.5},
    "iALS": {"implicitPrefs": True, "unobservedWeight": 0.2, "regCount": "all", "weightCol": "weight"},
    "subspace": {"solver": "subspace", "subspaceSize": 2},
    "iALS, subspace": {"implicitPrefs": True, "unobservedWeight": 0.2, "solver": "subspace", "subspaceSize": 3},
}
#: those that are no corner of the others, and are left to a full run
SLOW = ("implicit", "cg", "nonnegative", "double", "biases", "subspace", "iALS")
LAST = 4


@pytest.fixture(scope="module")
def frame():
    return make_ratings(**SHAPE).assign(weight=lambda frame: np.arange(len(frame)) % 4 / 2)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


def als(folder=None, **more):
    where = {} if folder is None else {"checkpointDir": str(folder), "checkpointInterval": 1}
    return ALS(**{"rank": 4, "seed": 5, "numUserBlocks": 3, "numItemBlocks": 2, **where, **more})


def factors(model):
    """Ids and factors of both sides."""
    found = []
    for side in (model.userFactors, model.itemFactors):
        (side,) = dask.compute(side)
        found += [side["id"].to_numpy(), np.stack(side["features"].to_numpy())]
    return found


def assert_equal(model, expected, atol=1e-6):
    for mine, its in zip(factors(model), factors(expected), strict=True):
        if mine.dtype.kind == "f":
            np.testing.assert_allclose(mine, its, rtol=0, atol=atol)
        else:
            np.testing.assert_array_equal(mine, its)
    done, planned = model.history, expected.history
    assert done["iteration"].tolist() == planned["iteration"].tolist()
    assert done.columns.tolist() == planned.columns.tolist()
    np.testing.assert_allclose(done.iloc[:, 1:3], planned.iloc[:, 1:3], rtol=1e-4)  # the objective and the error


def assert_went_on(model, checkpoint):
    """The seconds of the first iterations are those that the fit before took: they were not done again."""
    before = checkpoint.history
    assert len(before)
    assert model.history["seconds"].tolist()[: len(before)] == before["seconds"].tolist()


def names(folder):
    return sorted(os.listdir(folder)) if folder.exists() else []


def named(*numbers):
    return [f"iteration-{number:06d}" for number in numbers]


def own(folder):
    """The folder of the only fit that has checkpoints in ``folder``; one that is not there if none has."""
    (path,) = list(folder.glob("fit-*")) or [folder / "no fit"]
    return path


# ---- going on --------------------------------------------------------------------------------------------


FAST = [kind for kind in KINDS if kind not in SLOW]


@pytest.mark.parametrize("kind", [*FAST, *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW)])
def test_a_fit_that_goes_on_ends_where_an_undisturbed_one_does(frame, folder, kind):
    more = KINDS[kind]
    expected = als(maxIter=LAST, **more).fit(frame)
    for reached in range(1, LAST + 1):
        place = folder / str(reached)
        als(place, maxIter=reached, **more).fit(frame)
        checkpoint = ALSModel.load(str(own(place) / named(reached)[0]))
        model = als(place, maxIter=LAST, **more).fit(frame, resume=True)
        assert_equal(model, expected)
        assert_went_on(model, checkpoint)


def test_iterations_differ_so_that_equality_says_something(frame):
    """What the tests here compare is not the same anyway: neither after another iteration nor from other rows."""
    expected = als(maxIter=LAST).fit(frame)
    for other in (als(maxIter=LAST - 1), als(maxIter=LAST, seed=6)):
        assert np.abs(factors(other.fit(frame))[1] - factors(expected)[1]).max() > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["explicit", "implicit cg"])
def test_a_fit_goes_on_under_another_scheduler(frame, folder, cluster, kind):
    more = KINDS[kind]
    expected = als(maxIter=LAST, **more).fit(frame)
    for first in (False, True):
        place = folder / str(first)
        with cluster.as_current() if first else dask.config.set(scheduler="threads"):
            als(place, maxIter=2, **more).fit(frame)
        checkpoint = ALSModel.load(str(own(place) / named(2)[0]))
        with dask.config.set(scheduler="threads") if first else cluster.as_current():
            model = als(place, maxIter=LAST, **more).fit(frame, resume=True)
            assert_equal(model, expected, atol=1e-4)
            assert_went_on(model, checkpoint)


@pytest.mark.parametrize("kind", ["explicit", "cg"])
@pytest.mark.parametrize("blocks", [(1, 1), (2, 5), pytest.param((60, 40), marks=pytest.mark.slow)])
def test_a_fit_goes_on_with_other_blocks_and_rows_in_another_order(frame, folder, kind, blocks):
    more = KINDS[kind]
    expected = als(maxIter=LAST, **more).fit(frame)
    als(folder, maxIter=2, **more).fit(frame)
    checkpoint = ALSModel.load(str(own(folder) / named(2)[0]))
    shuffled = dd.from_pandas(frame.sample(frac=1.0, random_state=1).reset_index(drop=True), npartitions=7)
    with dask.config.set({"daskals.user-blocks": blocks[0], "daskals.item-blocks": blocks[1], "daskals.panels": 2}):
        model = als(folder, maxIter=LAST, **more).fit(shuffled, resume=True)
    assert len(model._factors.users.blocks) == blocks[0]
    assert_equal(model, expected, atol=1e-4)
    assert_went_on(model, checkpoint)


def test_a_fit_may_go_on_several_times(frame, folder):
    for last in range(1, LAST + 1):
        model = als(folder, maxIter=last).fit(frame, resume=True)
    assert_equal(model, als(maxIter=LAST).fit(frame))
    assert names(own(folder)) == named(LAST - 1, LAST)


def test_a_fit_that_has_reached_its_end_makes_no_iteration(frame, folder, monkeypatch):
    done = als(folder, maxIter=2).fit(frame)
    monkeypatch.setattr("daskals.engine.half_step._solve", None)  # nothing can be solved from now on
    model = als(folder, maxIter=2).fit(frame, resume=True)
    assert_equal(model, done)
    assert_went_on(model, done)
    with pytest.raises(TypeError):
        als(folder, maxIter=3).fit(frame, resume=True)


def test_no_checkpoint_yet_is_a_fit_from_the_beginning(frame, folder, caplog):
    expected = als(maxIter=2).fit(frame)
    (folder / "an empty one").mkdir(parents=True)
    for place in (folder / "not there", folder / "an empty one"):
        caplog.clear()
        with caplog.at_level(logging.INFO, "daskals"):
            assert_equal(als(place, maxIter=2).fit(frame, resume=True), expected)
        assert f"no checkpoint in {place}" in caplog.text
        assert names(own(place)) == named(1, 2)


def test_a_fit_that_is_not_told_to_go_on_begins_again(frame, folder):
    als(folder, maxIter=2).fit(frame)
    old = ALSModel.load(str(own(folder) / named(2)[0]))
    model = als(folder, maxIter=2).fit(frame)
    assert_equal(model, old)
    assert model.history["seconds"].tolist() != old.history["seconds"].tolist()
    assert (
        ALSModel.load(str(own(folder) / named(2)[0])).history["seconds"].tolist() == model.history["seconds"].tolist()
    )


def test_string_ids_go_on(frame, folder):
    texts = frame.assign(user="u" + frame["user"].astype(str), item="i" + frame["item"].astype(str))
    als(folder, maxIter=2).fit(texts)  # without a warning: checkpoints are for daskals
    checkpoint = ALSModel.load(str(own(folder) / named(2)[0]))
    model = als(folder, maxIter=LAST).fit(texts, resume=True)
    assert_equal(model, als(maxIter=LAST).fit(texts))
    assert_went_on(model, checkpoint)
    assert factors(model)[0][0] == "u0"


def test_a_folder_in_memory(frame):
    url = f"memory://checkpoints-{uuid.uuid4().hex}"
    fs, place = fsspec.url_to_fs(url)
    try:
        als(url, maxIter=3).fit(frame)
        (own_folder,) = fs.ls(place, detail=False)
        checkpoint = ALSModel.load(f"memory://{own_folder}/{named(3)[0]}")
        model = als(url, maxIter=LAST).fit(frame, resume=True)
        assert_equal(model, als(maxIter=LAST).fit(frame))
        assert_went_on(model, checkpoint)
        assert sorted(path.rsplit("/", 1)[-1] for path in fs.ls(own_folder, detail=False)) == named(LAST - 1, LAST)
    finally:
        fs.rm(place, recursive=True)


# ---- the driver dies -------------------------------------------------------------------------------------

DRIVER = """
import sys

import dask

from daskals import ALS
from daskals.datasets import make_ratings

n_users, n_items, n_ratings, folder = sys.argv[1:]
dask.config.set(scheduler="threads")
als = ALS(rank=4, seed=5, numUserBlocks=3, numItemBlocks=2, maxIter=100_000, checkpointDir=folder, checkpointInterval=1)
als.fit(make_ratings(int(n_users), int(n_items), int(n_ratings)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_fit_goes_on_after_the_death_of_its_driver(frame, folder, tmp_path, seed):
    """It is killed at any moment: in a half-step, while a checkpoint is written, or an old one removed."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    arguments = [sys.executable, str(script), *map(str, SHAPE.values()), str(folder)]
    driver = subprocess.Popen(arguments, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not (own(folder) / named(3)[0]).exists():
            assert driver.poll() is None, driver.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(np.random.default_rng(seed).uniform(0, 0.3))
        assert driver.poll() is None, "it was still fitting"
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        driver.stderr.close()
    whole = [name for name in names(own(folder)) if re.fullmatch(r"iteration-\d{6}", name)]
    reached = int(whole[-1][-6:])
    assert reached >= 3
    checkpoint = ALSModel.load(str(own(folder) / whole[-1]))
    model = als(folder, maxIter=reached + 2).fit(frame, resume=True)
    assert_equal(model, als(maxIter=reached + 2).fit(frame))
    assert_went_on(model, checkpoint)
    assert [name for name in names(own(folder)) if "draft" not in name] == named(reached + 1, reached + 2)


# ---- which are written and kept --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "last", "kept"),
    [(1, 1, [1]), (1, 5, [4, 5]), (2, 7, [4, 6]), (3, 9, [6, 9]), (4, 7, [4]), (8, 7, []), (-1, 4, []), (1, 0, [])],
)
def test_the_newest_two_are_kept(frame, folder, interval, last, kept):
    als(folder, checkpointInterval=interval, maxIter=last, rank=2).fit(frame)
    assert names(own(folder)) == named(*kept)


def test_at_no_time_is_there_none(frame, folder, monkeypatch):
    """Older ones go only when the next is complete."""
    seen = []
    inner = factor_folders.write_block

    def noting(file, *rows):
        if "part-00000" in file:
            seen.append([name for name in names(own(folder)) if "draft" not in name])
        return inner(file, *rows)

    monkeypatch.setattr(factor_folders, "write_block", noting)
    als(folder, maxIter=4).fit(frame)
    assert seen[::2] == [[], named(1), named(1, 2), named(2, 3)]
    assert seen[1::2] == seen[::2]


def test_other_files_stay(frame, folder):
    """In the folder of all fits, and in the fit's own: plain files, and directories that are no checkpoints of it."""
    als(folder, maxIter=2).fit(frame)
    kept = ["notes.txt", "iteration-12.txt", "iteration-", "iteration-000001", "iteration-000090"]
    for place in (folder, own(folder)):
        shutil.rmtree(place / "iteration-000001", ignore_errors=True)
        for name in kept:
            (place / name).write_text("mine")
        (place / "iteration-000091/data").mkdir(parents=True)
        (place / "iteration-000000/data").mkdir(parents=True)
    als(folder, maxIter=4).fit(frame)
    als(folder, maxIter=5).fit(frame, resume=True)
    kept += ["iteration-000000", "iteration-000091"]
    assert names(folder) == sorted([own(folder).name, *kept])
    # (that of iteration 1 was in the way of ours)
    assert names(own(folder)) == sorted({*named(4, 5), *kept} - set(named(1)))


def test_checkpoints_in_an_old_folder_are_kept_as_well(frame, folder):
    """A fit of fewer iterations than were made there once still keeps its own newest two."""
    als(folder, maxIter=6).fit(frame)
    model = als(folder, maxIter=3).fit(frame, resume=True)
    assert_equal(model, als(maxIter=3).fit(frame))
    assert set(named(2, 3)) <= set(names(own(folder)))


def test_two_fits_have_a_folder_each(frame, folder):
    """Neither removes, replaces or takes the other one's checkpoints, and both can go on."""
    als(folder, maxIter=6, rank=2).fit(frame)
    its = own(folder)
    als(folder, maxIter=3).fit(frame)
    (mine,) = set(folder.glob("fit-*")) - {its}
    assert (names(its), names(mine)) == (named(5, 6), named(2, 3))
    for place, more, reached in ((mine, {}, 3), (its, {"rank": 2}, 6)):
        checkpoint = ALSModel.load(str(place / named(reached)[0]))
        model = als(folder, maxIter=7, **more).fit(frame, resume=True)
        assert_equal(model, als(maxIter=7, **more).fit(frame))
        assert_went_on(model, checkpoint)
    assert (names(its), names(mine)) == (named(6, 7), named(6, 7))


@pytest.mark.parametrize("ranks", [(2, 3, 4), (2, 2, 2)])
def test_fits_at_the_same_time_do_not_disturb_each_other(frame, folder, ranks):
    """Other ones, and the same one several times, which writes and removes the same checkpoints."""
    with ThreadPoolExecutor(len(ranks)) as pool:
        models = list(pool.map(lambda rank: als(folder, maxIter=6, rank=rank).fit(frame), ranks))
    for model, rank in zip(models, ranks, strict=True):
        assert_equal(model, als(maxIter=6, rank=rank).fit(frame))
    assert len(names(folder)) == len(set(ranks))
    for place in folder.iterdir():
        assert names(place)[-1:] == named(6)
        assert not [name for name in names(place) if "draft" in name]
        ALSModel.load(str(place / named(6)[0]))


def test_a_checkpoint_is_a_model(frame, folder):
    als(folder, maxIter=3).setPredictionCol("score").fit(frame)
    loaded = ALSModel.load(str(own(folder) / named(2)[0]), frames="pandas")
    expected = als(maxIter=2).setPredictionCol("score").fit(frame)
    assert_equal(loaded, expected)
    assert loaded.rank == 4
    np.testing.assert_allclose(loaded.transform(frame)["score"], expected.transform(frame)["score"], atol=1e-5)
    assert loaded.recommendForAllUsers(2)["user"].tolist() == expected.recommendForAllUsers(2)["user"].tolist()


# ---- where -----------------------------------------------------------------------------------------------


def test_the_folder_of_the_configuration(frame, folder):
    plain = als(maxIter=2, checkpointInterval=1)
    with dask.config.set({"daskals.checkpoint-dir": str(folder)}):
        plain.fit(frame)
        assert names(own(folder)) == named(1, 2)
        checkpoint = ALSModel.load(str(own(folder) / named(2)[0]))
        assert_went_on(plain.setMaxIter(3).fit(frame, resume=True), checkpoint)


def test_the_parameter_goes_before_the_configuration(frame, folder, tmp_path):
    with dask.config.set({"daskals.checkpoint-dir": str(tmp_path / "other")}):
        als(folder, maxIter=1).fit(frame)
    assert names(own(folder)) == named(1)
    assert not (tmp_path / "other").exists()


def test_without_a_folder_there_is_nothing_to_go_on_from(frame):
    with pytest.raises(ValueError, match=r"resume=True\) needs checkpointDir"):
        als(maxIter=1).fit(frame, resume=True)


def test_several_fits_do_not_share_a_folder(frame, folder):
    several = als(folder, maxIter=1)
    with pytest.raises(ValueError, match="share one checkpointDir"):
        several.fit(frame, [{several.rank: 2}, {several.rank: 3}])
    assert names(folder) == []


# ---- whose -----------------------------------------------------------------------------------------------

OTHER_PARAMETERS = {
    "rank": 5,
    "regParam": 0.2,
    "implicitPrefs": True,
    "alpha": 3.0,
    "nonnegative": True,
    "seed": 6,
    "numUserBlocks": 4,
    "numItemBlocks": 4,
    "precision": "double",
    "sparkRandom": "2",
    "solver": "cg",
    "cgSteps": 4,
    "biases": True,
    "regExponent": 0.5,
    "userRegParam": 0.2,
    "itemRegParam": 0.2,
    "regCount": "all",
    "unobservedWeight": 0.5,
    "userCountExponent": 0.5,
    "itemCountExponent": 0.5,
    "startScale": 0.5,
    "subspaceSize": 3,
}
#: beside which these have an effect
SAME_PARAMETERS = {
    **{"cgSteps": {"solver": "cg"}, "subspaceSize": {"solver": "auto"}},
    **{name: {"implicitPrefs": True} for name in ("alpha", "regCount", "unobservedWeight")},
}


@pytest.mark.parametrize("name", OTHER_PARAMETERS)
def test_a_checkpoint_of_other_parameters_is_refused(frame, folder, name):
    value, both = OTHER_PARAMETERS[name], SAME_PARAMETERS.get(name, {})
    als(folder, maxIter=1, **both).fit(frame)
    with pytest.raises(ValueError, match="another fit") as error:
        als(folder, maxIter=2, **both, **{name: value}).fit(frame, resume=True)
    text = str(error.value)
    assert str(own(folder) / named(1)[0]) in text
    before = als().getOrDefault(name) if als().isDefined(name) else None
    assert f"{name}: {before!r} in the checkpoint, {value!r} now" in text
    assert len(text.splitlines()) == 3, "and nothing else differs"
    assert names(own(folder)) == named(1)


@pytest.mark.parametrize("name", OTHER_PARAMETERS)
def test_a_checkpoint_of_other_parameters_is_refused_where_they_are_the_defaults_now(frame, folder, name):
    value, both = OTHER_PARAMETERS[name], SAME_PARAMETERS.get(name, {})
    als(folder, maxIter=1, **both, **{name: value}).fit(frame)
    with pytest.raises(ValueError, match=rf"  {name}: {value!r} in the checkpoint, .* now"):
        als(folder, maxIter=2, **both).fit(frame, resume=True)


@pytest.mark.parametrize(("before", "now"), [("subspace", "cg"), ("cg", "subspace"), ("auto", "cholesky")])
def test_of_other_solvers_the_settings_of_one_alone_are_not_told(frame, folder, before, now):
    own_settings = {"cgSteps": 5, "subspaceSize": 3}
    als(folder, maxIter=1, solver=before, **own_settings).fit(frame)
    with pytest.raises(ValueError, match="another fit") as error:
        als(folder, maxIter=2, solver=now, cgSteps=6, subspaceSize=2).fit(frame, resume=True)
    assert f"solver: {before!r} in the checkpoint, {now!r} now" in str(error.value)
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize("first", [{}, {"weightCol": "weight"}], ids=str)
def test_a_checkpoint_of_other_weights_is_refused(frame, folder, first):
    """Of none as well, and of another column: a weight is data."""
    als(folder, maxIter=1, **first).fit(frame)
    changed = frame.assign(weight=frame["weight"].where(frame.index != 7, 9.0), other=frame["weight"] + 1)
    for weight in ({"weightCol": "weight"}, {"weightCol": "other"}):
        with pytest.raises(ValueError, match=r"fingerprint of the data: .* in the checkpoint"):
            als(folder, maxIter=2, **weight).fit(changed, resume=True)


def test_a_column_of_weights_may_have_another_name(frame, folder):
    """As the other columns may: what is in it decides, and that is in the fingerprint."""
    als(folder, maxIter=2, weightCol="weight").fit(frame)
    checkpoint = ALSModel.load(str(own(folder) / named(2)[0]))
    renamed = frame.rename(columns={"weight": "Weight 2"})
    assert_went_on(als(folder, maxIter=3, weightCol="Weight 2").fit(renamed, resume=True), checkpoint)


def test_the_case_of_a_word_is_not_another_value(frame, folder):
    both = {"implicitPrefs": True, "solver": "cholesky", "regCount": "all"}
    als(folder, maxIter=2, **both).fit(frame)
    checkpoint = ALSModel.load(str(own(folder) / named(2)[0]))
    words = {name: value.upper() for name, value in both.items() if isinstance(value, str)}
    assert_went_on(als(folder, maxIter=3, **{**both, **words}).fit(frame, resume=True), checkpoint)


def one_rating_changed(frame):
    return frame.assign(rating=frame["rating"].where(frame.index != 7, frame["rating"] + np.float32(1e-5)))


def two_ratings_exchanged(frame):
    ratings = frame["rating"].to_numpy().copy()
    ratings[[3, 400]] = ratings[[400, 3]]
    return frame.assign(rating=ratings)


OTHER_DATA = {
    "one rating changed": (one_rating_changed, ["fingerprint"]),
    "two ratings exchanged": (two_ratings_exchanged, ["fingerprint"]),
    "one row less": (lambda frame: frame.iloc[1:], ["ratings", "fingerprint"]),
    "one row twice": (lambda frame: frame.iloc[[0, *range(len(frame))]], ["ratings", "fingerprint"]),
    "other users": (lambda frame: frame.assign(user=frame["user"] + 1), ["fingerprint"]),
    "other items": (lambda frame: frame.assign(item=frame["item"] * 2), ["fingerprint"]),
    "one user less": (lambda frame: frame[frame["user"] != 3], ["ratings", "users", "fingerprint"]),
    "sides exchanged": (lambda frame: frame.rename(columns={"user": "item", "item": "user"}), ["users", "items"]),
}


@pytest.mark.parametrize("change", OTHER_DATA)
def test_a_checkpoint_of_other_data_is_refused(frame, folder, change):
    changed, differing = OTHER_DATA[change]
    als(folder, maxIter=1).fit(frame)
    with pytest.raises(ValueError, match="another fit") as error:
        als(folder, maxIter=2).fit(changed(frame), resume=True)
    found = re.findall(r"^  (\w+).* in the checkpoint, .* now$", str(error.value), re.MULTILINE)
    assert set(differing) <= set(found)
    assert set(found) <= {"ratings", "users", "items", "fingerprint"}


def test_what_decides_nothing_may_change(frame, folder):
    als(folder, maxIter=2).fit(frame)
    checkpoint = ALSModel.load(str(own(folder) / named(2)[0]))
    other = frame.rename(columns={"user": "u", "item": "i", "rating": "r"})[["r", "i", "u"]].astype({"u": "int64"})
    model = (
        als(
            *(folder,),
            **{"userCol": "u", "itemCol": "i", "ratingCol": "r", "coldStartStrategy": "drop"},
            **{"maxIter": LAST, "checkpointInterval": 2, "blockSize": 16},
        )
        .setPredictionCol("p")
        .fit(other, resume=True)
    )
    assert_went_on(model, checkpoint)
    assert_equal(model, als(maxIter=LAST).fit(frame))
    assert (model.getUserCol(), model.getPredictionCol()) == ("u", "p")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"cgSteps": 2}, {"cgSteps": 5}),
        ({"alpha": 2.0}, {"alpha": 3.0}),
        ({"solver": "cg"}, {"solver": "CG"}),
        ({"precision": "double"}, {"precision": "Double"}),
        ({"nonnegative": True}, {"nonnegative": True, "precision": "double"}),
        ({"regParam": 1}, {"regParam": 1.0}),
    ],
)
def test_what_has_no_effect_may_change(frame, folder, one, other):
    als(folder, maxIter=2, **one).fit(frame)
    checkpoint = ALSModel.load(str(own(folder) / named(2)[0]))
    model = als(folder, maxIter=3, **other).fit(frame, resume=True)
    assert_went_on(model, checkpoint)
    assert_equal(model, als(maxIter=3, **one).fit(frame))


def test_dates_and_the_integers_that_count_them_are_other_data(frame, folder):
    """Spark's start values follow from integer ids themselves, and from the order of other ids."""
    als(folder, maxIter=1).fit(frame.assign(user=frame["user"].astype("int64")))
    with pytest.raises(ValueError, match="fingerprint of the data"):
        als(folder, maxIter=2).fit(frame.assign(user=frame["user"].astype("datetime64[ns]")), resume=True)


def test_ids_that_change_sides_are_other_data(folder):
    """The same positions and ratings: users 0, 1, 2 and items 7, 8, 9, and the other way round."""
    frame = pd.DataFrame([(i, j, i + 3.0 * j) for i in range(3) for j in range(3)], columns=["user", "item", "rating"])
    als(folder, maxIter=1).fit(frame.assign(item=frame["item"] + 7))
    with pytest.raises(ValueError, match="fingerprint of the data"):
        als(folder, maxIter=2).fit(frame.assign(user=frame["user"] + 7), resume=True)


def test_strings_are_not_joined(folder):
    """ "a" and "b|c" are not "a|b" and "c", whatever the sign between them."""
    frame = pd.DataFrame({"user": ["a", "b\0c"], "item": [0, 1], "rating": [1.0, 2.0]})
    als(folder, maxIter=1).fit(frame)
    with pytest.raises(ValueError, match="fingerprint of the data"):
        als(folder, maxIter=2).fit(frame.assign(user=["a\0b", "c"]), resume=True)


def test_the_differences_are_those_to_the_newest_fit(frame, folder):
    for rank in (2, 3):
        als(folder, maxIter=2, rank=rank).fit(frame)
        time.sleep(0.01)  # what is newer is told by milliseconds
    with pytest.raises(ValueError, match="rank: 3 in the checkpoint, 4 now"):
        als(folder, maxIter=3, rank=4).fit(frame, resume=True)


def test_a_model_that_is_no_checkpoint_is_refused(frame, folder):
    als(maxIter=1).fit(frame).save(str(folder / named(1)[0]))
    with pytest.raises(ValueError, match="another fit"):
        als(folder, maxIter=2).fit(frame, resume=True)


# ---- what others have left -------------------------------------------------------------------------------


def foreign(path, what):
    """A directory with the name of a checkpoint that is none of ours."""
    (path / "metadata").mkdir(parents=True)
    fields = {"class": ALSModel._java_class, "uid": "x", "rank": 4, "paramMap": {}}
    text = {
        "no JSON": "{",
        "another class": json.dumps({**fields, "class": "org.apache.spark.ml.recommendation.ALS"}),
        "a list of checkpoints": json.dumps({**fields, "daskals": {"checkpoint": [1]}}),
        "no identity": json.dumps({**fields, "daskals": {"checkpoint": {"identity": "mine"}}}),
        "a time of text": json.dumps({**fields, "timestamp": "now"}),
    }[what]
    (path / "metadata/part-00000").write_text(text)


FOREIGN = ["no JSON", "another class", "a list of checkpoints", "no identity", "a time of text"]


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("resume", [False, True])
def test_what_others_have_left_neither_ends_a_fit_nor_is_removed(frame, folder, what, resume):
    als(folder, maxIter=1).fit(frame)
    places = [place / name for place in (folder, own(folder)) for name in ("iteration-000000", "iteration-000099")]
    for place in places:
        foreign(place, what)
    model = als(folder, maxIter=LAST).fit(frame, resume=resume)
    assert_equal(model, als(maxIter=LAST).fit(frame))
    assert all((place / "metadata/part-00000").exists() for place in places)
    assert names(own(folder)) == ["iteration-000000", *named(LAST - 1, LAST), "iteration-000099"]


def test_a_checkpoint_that_cannot_be_read_is_passed_over(frame, folder, caplog):
    als(folder, maxIter=2).fit(frame)
    first, second = (own(folder) / name for name in named(1, 2))
    checkpoint = ALSModel.load(str(first))
    (second / "metadata/part-00000").write_text("{")
    with caplog.at_level(logging.WARNING, "daskals"):
        model = als(folder, maxIter=LAST).fit(frame, resume=True)
    assert f"{second}/metadata/part-00000 is not JSON" in caplog.text
    assert_went_on(model, checkpoint)
    assert_equal(model, als(maxIter=LAST).fit(frame))


def test_if_none_can_be_read_that_is_said(frame, folder):
    als(folder, maxIter=1).fit(frame)
    file = own(folder) / named(1)[0] / "metadata/part-00000"
    file.write_text("{")
    with pytest.raises(ValueError, match="is not JSON") as error:
        als(folder, maxIter=2).fit(frame, resume=True)
    assert str(file) in str(error.value)


def test_a_checkpoint_under_the_name_of_another_iteration_is_none(frame, folder):
    als(folder, maxIter=2).fit(frame)
    (own(folder) / named(2)[0]).rename(own(folder) / named(3)[0])
    checkpoint = ALSModel.load(str(own(folder) / named(1)[0]))
    model = als(folder, maxIter=LAST, checkpointInterval=2).fit(frame, resume=True)
    assert_went_on(model, checkpoint)
    assert_equal(model, als(maxIter=LAST).fit(frame))
    assert names(own(folder)) == named(2, 3, LAST), "it is not removed either"


@pytest.mark.parametrize("history", [[1], {"iteration": [1]}, "ragged", "words"])
def test_a_damaged_history_is_named(frame, folder, history):
    als(folder, maxIter=1).fit(frame)
    path = own(folder) / named(1)[0]
    fields = json.loads((path / "metadata/part-00000").read_text())
    if history == "ragged":
        history = {**fields["daskals"]["history"], "seconds": []}
    if history == "words":
        history = {**fields["daskals"]["history"], "rmse": ["low"]}
    fields["daskals"]["history"] = history
    (path / "metadata/part-00000").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=r"damaged in daskals\.history") as error:
        als(folder, maxIter=2).fit(frame, resume=True)
    assert str(path) in str(error.value)


# ---- what is half there ----------------------------------------------------------------------------------


def cut_short(folder, number, keep):
    """What is left of a checkpoint, of which only the files that ``keep`` accepts were written or not yet removed."""
    (whole,) = named(number)
    whole = own(folder) / whole
    for path in whole.rglob("*"):
        if path.is_file() and not keep(path.relative_to(whole).as_posix()):
            path.unlink()
    for path in sorted(whole.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def test_drafts_are_ignored(frame, folder):
    als(folder, maxIter=2).fit(frame)
    checkpoint = ALSModel.load(str(own(folder) / named(2)[0]))
    for name in ("iteration-000003.draft-0123456789ab", "iteration-000002.draft-0123456789ab-old"):
        shutil.copytree(own(folder) / named(1)[0], own(folder) / name)
    model = als(folder, maxIter=LAST).fit(frame, resume=True)
    assert_equal(model, als(maxIter=LAST).fit(frame))
    assert_went_on(model, checkpoint)


def test_a_checkpoint_without_metadata_is_none(frame, folder):
    """What a move that was cut short leaves in an object store: the one before is used."""
    als(folder, maxIter=3).fit(frame)
    checkpoint = ALSModel.load(str(own(folder) / named(2)[0]))
    cut_short(folder, 3, lambda file: file.startswith("userFactors"))
    model = als(folder, maxIter=LAST).fit(frame, resume=True)
    assert_equal(model, als(maxIter=LAST).fit(frame))
    assert_went_on(model, checkpoint)


def test_a_removal_that_was_cut_short_is_finished(frame, folder):
    """Its metadata go first; what is left of it is in nobody's way."""
    als(folder, maxIter=2).fit(frame)
    cut_short(folder, 1, lambda file: not file.startswith("metadata"))
    model = als(folder, maxIter=LAST).fit(frame, resume=True)
    assert_equal(model, als(maxIter=LAST).fit(frame))
    assert names(own(folder)) == named(LAST - 1, LAST)


# ---- what cannot be written ------------------------------------------------------------------------------


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(params=["first block", "last block", "metadata", "move"])
def disk_that_fills(request, monkeypatch, folder):
    """A function: from then on, when the third checkpoint is written, the disk is full at one place or another."""
    inner = {
        name: getattr(module, name) for module, name in ((checkpoints, "write_metadata"), (directories, "_replace"))
    }
    write_block = factor_folders.write_block

    def third(path):
        return named(3)[0] in str(path)

    def block(file, *rows):
        is_last = "itemFactors/part-00001" in file
        if third(file) and (is_last or (request.param == "first block" and "part-00000" in file)):
            full_disk()
        return write_block(file, *rows)

    def metadata(where, fields):
        if third(where):
            full_disk()
        inner["write_metadata"](where, fields)

    def move(fs, draft, place):
        if third(place):
            full_disk()
        inner["_replace"](fs, draft, place)

    def fill():
        if "block" in request.param:
            monkeypatch.setattr(factor_folders, "write_block", block)
        elif request.param == "metadata":
            monkeypatch.setattr(checkpoints, "write_metadata", metadata)
        else:
            monkeypatch.setattr(directories, "_replace", move)

    return fill


def test_a_full_disk_is_an_error_that_leaves_the_checkpoints_before(frame, folder, disk_that_fills, monkeypatch):
    disk_that_fills()
    with pytest.raises(OSError, match="No space left") as error:
        als(folder, maxIter=LAST).fit(frame)
    assert str(own(folder) / named(3)[0]) in str(error.value)
    assert "resume=True" in str(error.value)
    assert names(own(folder)) == named(1, 2), "no draft"
    checkpoint = ALSModel.load(str(own(folder) / named(2)[0]))
    assert_equal(checkpoint, als(maxIter=2).fit(frame))
    monkeypatch.undo()  # somebody makes room
    model = als(folder, maxIter=LAST).fit(frame, resume=True)
    assert_equal(model, als(maxIter=LAST).fit(frame))
    assert_went_on(model, checkpoint)


def test_a_full_disk_leaves_the_checkpoint_that_was_to_be_replaced(frame, folder, disk_that_fills):
    """The same iterations again, from the beginning: the third is there already."""
    als(folder, maxIter=3).fit(frame)
    old = ALSModel.load(str(own(folder) / named(3)[0]))
    disk_that_fills()
    with pytest.raises(OSError, match="No space left"):
        als(folder, maxIter=LAST).fit(frame)
    assert_equal(ALSModel.load(str(own(folder) / named(3)[0])), old)
    assert not [name for name in names(own(folder)) if "draft" in name]


@pytest.mark.parametrize("error", [CommClosedError("in <TCP>: Stream is closed"), OSError("Timed out")])
def test_a_scheduler_that_is_lost_is_no_full_disk(frame, folder, monkeypatch, error):
    """distributed's error of a lost connection is an OSError."""

    class Gone:
        status = "closed"

    written = checkpoints.Checkpoints.write

    def lost(*_):
        raise error

    def write(self, *args):
        monkeypatch.setattr(checkpoints, "write_sides", lost)
        self._scheduler = dataclasses.replace(self._scheduler, client=Gone())
        written(self, *args)

    monkeypatch.setattr(checkpoints.Checkpoints, "write", write)
    with dask.config.set({"daskals.retries": 0}), pytest.raises(type(error)) as caught:
        als(folder, maxIter=2).fit(frame)
    assert "make room" not in str(caught.value)


def test_a_folder_that_cannot_be_is_an_error(frame, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="could not be written") as error:
        als(tmp_path / "file" / "checkpoints", maxIter=2).fit(frame)
    assert "iteration-000001" in str(error.value)
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_an_error(frame, folder):
    als(folder, maxIter=2).fit(frame)
    folder.chmod(0o500)
    try:
        with pytest.raises(OSError, match="could not be written"):
            als(folder, maxIter=3).fit(frame, resume=True)
    finally:
        folder.chmod(0o700)
    assert names(own(folder)) == named(1, 2)
    assert ALSModel.load(str(own(folder) / named(2)[0])).rank == 4


def test_of_every_parameter_it_is_known_whether_it_decides_the_factors():
    """A new one that is in neither list would let a fit go on from factors of another fit, in silence."""
    others = {"userCol", "itemCol", "ratingCol", "weightCol", "predictionCol", "coldStartStrategy", "blockSize"}
    others |= {"checkpointDir", "checkpointInterval", "intermediateStorageLevel", "finalStorageLevel"}
    # which say how many iterations there are, and which one is kept
    others |= {"maxIter", "tol", "patience", "validationK"}
    assert {param.name for param in ALS().params} == others | {*identity.IDENTITY_PARAMS, *identity.LATER_PARAMS}
    defaults = {param.name: param.default for param in ALS().params}
    assert {name: defaults[name] for name in identity.LATER_PARAMS} == identity.LATER_PARAMS
    assert OTHER_PARAMETERS.keys() == {*identity.IDENTITY_PARAMS, *identity.LATER_PARAMS}
