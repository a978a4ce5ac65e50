"""Damage at random: a directory is loaded to the numbers that were written, or refused by an error that names it.

Each seed is one mutation of a saved model, of one that a real Spark wrote, of the copy that a `LocalModel` maps into
memory, or of a checkpoint: 300 in the default run, 5,000 in the slow one. Counts: ``pytest -s
tests/io/test_mutations.py``.
"""

import json
import shutil
from collections import Counter
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pytest
from support.marks import a_few

from daskals import ALS, ALSModel
from daskals.serving import LocalModel

WRITTEN = Path(__file__).parents[1] / "spark_suite" / "written"
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


def load(path):
    return numbers(ALSModel.load(path))


def load_locally(path):
    """The same of a `LocalModel`."""
    found = LocalModel.load(path)
    columns = [found.userIds, found.userFactors, found.itemIds, found.itemFactors]
    return [*columns, found.userCounts, found.itemCounts]


def go_on(path):
    return numbers(model(str(path), resume=True))


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


def json_value(rng, path, pattern="**/metadata/part-*"):
    """One value in the metadata, at any depth, becomes another one, or goes."""
    file = any_file(rng, path, pattern)
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


def checksums(rng, path):
    """Of those that Spark leaves beside its files on a disk."""
    file = any_file(rng, path, "*Factors/.part-*.crc")
    content = file.read_bytes()
    kinds = (content[: rng.integers(len(content))], content[:-1] + bytes([content[-1] ^ 1]), content + b"0")
    file.write_bytes(kinds[rng.integers(len(kinds))])


def copy_json(rng, path):
    json_value(rng, path, "**/arrays.json")


def copy_file(rng, path):
    """One file of the copy is cut, is missing, or is another one's: arrays are held to shape and type, not to bytes."""
    file, other = (any_file(rng, path, "arrays/*") for _ in range(2))
    content = file.read_bytes()
    choice = rng.integers(3)
    if choice == 0:
        file.write_bytes(content[: rng.integers(len(content))])
    elif choice == 1 or other.stat().st_size == len(content):
        file.unlink()
    else:
        file.write_bytes(other.read_bytes())


SPARK_MUTATIONS = [*MUTATIONS, checksums]
COPY_MUTATIONS = [copy_json, copy_file, json_value, bits]


# ---- what comes of them ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """By name the folder with a saved model, with such and a copy in NumPy's format, with a checkpoint."""
    folders = {name: tmp_path_factory.mktemp(name) / "it" for name in ("saved", "copied", "checkpointed")}
    found = model()
    for name in ("saved", "copied"):
        found.save(folders[name])
    LocalModel.writeArrays(folders["copied"])
    model(str(folders["checkpointed"]))
    return folders | {name: WRITTEN / name / "model" for name in ("spark-3.5.6", "spark-4.3.0")}


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


def outcomes(seeds, source, tmp_path, use, mutations=MUTATIONS):
    """Mutate a copy for each seed, and use it; count what came of it by kind of mutation."""
    expected, _ = outcome_of(lambda: use(source), "as it was written")
    found = Counter()
    path = tmp_path / "it"
    for seed in seeds:
        rng = np.random.default_rng(seed)
        mutate = mutations[rng.integers(len(mutations))]
        shutil.copytree(source, path)
        mutate(rng, path)
        what = f"seed {seed}, {mutate.__name__}"
        outcome, said = outcome_of(lambda: use(path), what)
        if said is None:
            for mine, its in zip(outcome, expected, strict=True):
                if mine is not None:  # not told is not wrong: minSupport then says that it is not known
                    np.testing.assert_array_equal(mine, its, what)
        else:
            assert str(path) in said, f"{what}: names no file: {said}"
        found[mutate.__name__, "the same" if said is None else "refused"] += 1
        shutil.rmtree(path)
    print(
        f"{found.total()} mutations",
        *(f"{name}: {outcome} {n}" for (name, outcome), n in sorted(found.items())),
        sep="\n",
    )
    return found


def total(found, outcome):
    return sum(n for (_, which), n in found.items() if which == outcome)


def assert_says_something(found, mutations=MUTATIONS):
    """Most mutations do harm and are refused; those of names do none."""
    assert total(found, "refused") > total(found, "the same") > 0
    assert {name for name, _ in found} == {mutate.__name__ for mutate in mutations}


#: What is damaged, how it is used, by which mutations, and how many of them in the default and in the slow run.
MODELS = {
    "saved": (load, MUTATIONS, 80, 1500),
    "saved, local": (load_locally, MUTATIONS, 60, 1000),
    "spark-3.5.6": (load, SPARK_MUTATIONS, 40, 500),
    "spark-4.3.0, local": (load_locally, SPARK_MUTATIONS, 40, 500),
}


def damage_models(what, seeds, originals, tmp_path):
    use, mutations, *_ = MODELS[what]
    return outcomes(seeds, originals[what.partition(",")[0]], tmp_path, use, mutations)


@pytest.mark.parametrize("what", MODELS)
def test_a_model_is_the_same_or_refused(what, originals, tmp_path):
    found = damage_models(what, range(MODELS[what][2]), originals, tmp_path)
    assert total(found, "refused") > total(found, "the same") > 0


@pytest.mark.slow
@pytest.mark.parametrize("what", MODELS)
def test_a_model_is_the_same_or_refused_often(what, originals, tmp_path):
    found = damage_models(what, range(1000, 1000 + MODELS[what][3]), originals, tmp_path)
    assert_says_something(found, MODELS[what][1])


@pytest.mark.parametrize("seeds", a_few([range(30), range(1000, 1500)], range(30)), ids=len)
def test_a_damaged_copy_is_passed_over_and_a_damaged_model_refused(seeds, originals, tmp_path):
    found = outcomes(seeds, originals["copied"], tmp_path, load_locally, COPY_MUTATIONS)
    assert found["copy_json", "the same"]
    assert found["copy_file", "the same"]
    assert not found["copy_file", "refused"]


@pytest.mark.parametrize("seeds", a_few([range(40), range(1000, 2000)], range(40)), ids=len)
def test_a_fit_goes_on_or_begins_again_or_says_why_not(seeds, originals, tmp_path):
    found = outcomes(seeds, originals["checkpointed"], tmp_path, go_on)
    assert total(found, "refused") > total(found, "the same") > 0


def test_a_fit_that_does_not_go_on_does_not_care(originals, tmp_path):
    found = outcomes(range(2000, 2015), originals["checkpointed"], tmp_path, lambda path: numbers(model(str(path))))
    assert not total(found, "refused")


def test_files_of_spark_without_checksums_are_read(originals, tmp_path):
    """As from HDFS, or where only the data were copied."""
    expected = load(originals["spark-4.3.0"])
    path = shutil.copytree(originals["spark-4.3.0"], tmp_path / "it", ignore=shutil.ignore_patterns("*.crc"))
    for mine, its in zip(load(path), expected, strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize("use", [load, load_locally])
def test_a_file_of_spark_that_is_missing_or_another_one_s_is_named(use, originals, tmp_path):
    path = shutil.copytree(originals["spark-4.3.0"], tmp_path / "it")
    users, items = (sorted(path.glob(f"{side}Factors/*.parquet")) for side in ("user", "item"))
    users[1].write_bytes(items[0].read_bytes())
    with pytest.raises(ValueError, match=rf"{users[1].name} is not as it was written.*{users[1].name}\.crc"):
        use(path)
    users[1].unlink()
    with pytest.raises(FileNotFoundError, match=f"{users[1].name} is missing: its checksums are there"):
        use(path)
