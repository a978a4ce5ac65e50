"""Damage at random: a directory is loaded to the numbers that were written, or refused by an error that names it.

Each seed is one mutation of a saved model or of a checkpoint. Counts: ``pytest -s tests/io/test_mutations.py``.
"""

import json
import shutil
from collections import Counter

import dask
import numpy as np
import pandas as pd
import pytest

from daskals import ALS, ALSModel

pytestmark = pytest.mark.filterwarnings("ignore:Spark cannot load this model")


def model(folder="", **more):
    """Integers as users, strings as items, two files each."""
    rows = [(user, f"item {item}", 1.0 + user % 3 + item) for user in range(9) for item in range(5) if user != item]
    frame = pd.DataFrame(rows, columns=["user", "item", "rating"])
    als = ALS(rank=2, seed=1, numUserBlocks=2, numItemBlocks=2, checkpointDir=folder, maxIter=3)
    return als.setParams(checkpointInterval=2 if folder else 10).fit(frame, **more)


def numbers(loaded):
    """Ids, factors and numbers of ratings of both sides; None for numbers that metadata without them do not tell."""
    sides = dask.compute(loaded.userFactors, loaded.itemFactors)
    columns = [column for side in sides for column in (side["id"].to_numpy(), np.stack(side["features"].to_numpy()))]
    counts = dask.compute(loaded._factors.users.counts, loaded._factors.items.counts)
    return [*columns, *counts]


# ---- mutations: each changes something below a folder, by a random generator -----------------------------


def any_file(rng, path, pattern="**/part-*"):
    files = sorted(path.glob(pattern))
    return files[rng.integers(len(files))]


def bits(rng, path):
    file = any_file(rng, path)
    content = bytearray(file.read_bytes())
    for place in rng.integers(len(content) * 8, size=rng.integers(1, 5)):
        content[place // 8] ^= 1 << (place % 8)
    file.write_bytes(bytes(content))


def run_of_bytes(rng, path):
    """Zeros, noise, or bytes of another file, as where a disk has lost a sector."""
    file, other = any_file(rng, path), any_file(rng, path)
    content, length = bytearray(file.read_bytes()), int(rng.integers(1, 65))
    start = int(rng.integers(len(content)))
    patch = (bytes(length), rng.bytes(length), other.read_bytes()[start : start + length])[rng.integers(3)]
    content[start : start + len(patch)] = patch
    file.write_bytes(bytes(content))


def cut(rng, path):
    file = any_file(rng, path)
    content = file.read_bytes()
    file.write_bytes(content[: rng.integers(len(content))])


def grown(rng, path):
    file = any_file(rng, path)
    file.write_bytes(file.read_bytes() + rng.bytes(int(rng.integers(1, 100))))


def missing(rng, path):
    any_file(rng, path).unlink()


def missing_folder(rng, path):
    shutil.rmtree(any_file(rng, path).parent)


def twice(rng, path):
    file = any_file(rng, path, "**/*.parquet")
    file.with_name(f"part-{rng.integers(10):05d}.snappy.parquet").write_bytes(file.read_bytes())


def swapped(rng, path):
    """Two files have each other's place, of the same side or of the other one."""
    one, other = (any_file(rng, path, "**/*.parquet") for _ in range(2))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def renamed(rng, path):
    file = any_file(rng, path)
    name = ("part-00009.snappy.parquet", "part-00000-x", "_hidden.parquet", "part-00001", "x.parquet")[rng.integers(5)]
    file.rename(file.with_name(name))


VALUES = (
    None,
    True,
    -1,
    0,
    3,
    2**31,
    2**63,
    10**400,
    1.5,
    float("nan"),
    "",
    "x",
    "int32",
    [],
    [1],
    ["x"],
    {},
    {"x": 1},
)


def json_value(rng, path):
    """One value in the metadata, at any depth, becomes another one, or goes."""
    file = any_file(rng, path, "**/metadata/part-*")
    fields = json.loads(file.read_text())
    places = [(fields, key) for key in fields]
    for inner, key in places:  # grows as it is gone through
        value = inner[key]
        keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        places += [(value, each) for each in keys]
    inner, key = places[rng.integers(len(places))]
    choice = rng.integers(len(VALUES) + 1)
    if choice == len(VALUES):
        del inner[key]
    else:
        inner[key] = VALUES[choice]
    file.write_text(json.dumps(fields))


MUTATIONS = [
    bits,
    bits,
    run_of_bytes,
    cut,
    grown,
    missing,
    missing_folder,
    twice,
    swapped,
    renamed,
    json_value,
    json_value,
]


# ---- what comes of them ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(numbers of a model, its directory)."""
    path = tmp_path_factory.mktemp("saved") / "model"
    found = model()
    found.save(path)
    return numbers(found), path


@pytest.fixture(scope="module")
def checkpointed(tmp_path_factory):
    """(numbers of a fit, the folder of its only checkpoint)."""
    path = tmp_path_factory.mktemp("checkpointed") / "folder"
    return numbers(model(str(path))), path


def outcome_of(function, what):
    """(result, None), or (None, what the error says); errors of other kinds are none that we mean to raise."""
    try:
        with dask.config.set(scheduler="synchronous"):
            return function(), None
    except (ValueError, FileNotFoundError) as error:
        return None, str(error)
    except BaseException as error:
        error.add_note(what)
        raise


def outcomes(seeds, original, tmp_path, use):
    """Mutate a copy for each seed, and use it; count what came of it by kind of mutation."""
    expected, source = original
    found = Counter()
    path = tmp_path / "it"
    for seed in seeds:
        rng = np.random.default_rng(seed)
        mutate = MUTATIONS[rng.integers(len(MUTATIONS))]
        shutil.copytree(source, path)
        mutate(rng, path)
        what = f"seed {seed}, {mutate.__name__}"
        outcome, said = outcome_of(lambda: numbers(use(path)), what)
        if said is None:
            for mine, its in zip(outcome, expected, strict=True):
                if mine is not None:  # not told is not wrong: minSupport then says that it is not known
                    np.testing.assert_array_equal(mine, its, what)
        else:
            assert str(path) in said, f"{what}: names no file: {said}"
        found[mutate.__name__, "the same" if said is None else "refused"] += 1
        shutil.rmtree(path)
    print(*(f"{name}: {outcome} {n}" for (name, outcome), n in sorted(found.items())), sep="\n")
    return found


def total(found, outcome):
    return sum(n for (_, which), n in found.items() if which == outcome)


def assert_says_something(found):
    """Most mutations do harm and are refused; those of names do none."""
    assert total(found, "refused") > total(found, "the same") > 0
    assert {name for name, _ in found} == {mutate.__name__ for mutate in MUTATIONS}


def test_a_model_is_the_same_or_refused(saved, tmp_path):
    assert_says_something(outcomes(range(200), saved, tmp_path, ALSModel.load))


@pytest.mark.slow
def test_a_model_is_the_same_or_refused_often(saved, tmp_path):
    assert_says_something(outcomes(range(1000, 6000), saved, tmp_path, ALSModel.load))


def test_a_fit_goes_on_or_begins_again_or_says_why_not(checkpointed, tmp_path):
    outcomes(range(40), checkpointed, tmp_path, lambda path: model(str(path), resume=True))


@pytest.mark.slow
def test_a_fit_goes_on_or_begins_again_or_says_why_not_often(checkpointed, tmp_path):
    found = outcomes(range(1000, 3000), checkpointed, tmp_path, lambda path: model(str(path), resume=True))
    assert_says_something(found)


def test_a_fit_that_does_not_go_on_does_not_care(checkpointed, tmp_path):
    found = outcomes(range(2000, 2015), checkpointed, tmp_path, lambda path: model(str(path)))
    assert not total(found, "refused")
