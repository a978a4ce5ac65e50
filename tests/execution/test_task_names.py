"""Names of tasks: what people read on Dask's dashboard, which groups tasks by the words at the beginning of a name."""

import re
from collections import defaultdict

import dask
import dask.dataframe as dd
import pytest
from dask.callbacks import Callback
from dask.utils import key_split

from daskals import ALS, ALSModel
from daskals.datasets import make_ratings

#: The panel "Progress" cuts longer names after 12 letters, and then nobody sees which side they are of.
LONGEST = 15


@pytest.fixture(scope="module")
def some():
    return make_ratings(n_users=60, n_items=40, n_ratings=1200, seed=1)


@pytest.fixture
def groups():
    """The groups of the tasks that run in a test; of each, the names of all of its tasks."""
    found = defaultdict(set)
    # one that runs here can be watched: the names are those of all schedulers
    with (
        dask.config.set(scheduler="synchronous"),
        Callback(pretask=lambda key, *_: found[key_split(key)].add(str(key))),
    ):
        yield found


def check(groups):
    ours = {group for group in groups if any(key.startswith("als-") for key in groups[group])}
    assert ours
    assert not [group for group in ours if len(group) > LONGEST]
    assert not [group for group in ours if not re.fullmatch(r"als(-[a-z]+)+", group)], "not in words"
    return ours


HALF_STEPS = {"als-solve-users", "als-solve-items", "als-panel-users", "als-loss-users", "als-loss-items"}
SHUFFLE = {"als-read", "als-index-ids", "als-split-users", "als-build-users", "als-split-items", "als-build-items"}


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"implicitPrefs": True, "solver": "cg"},
        {"biases": True, "userCountExponent": 0.5},
        {"nonnegative": True, "maxIter": 0},
    ],
    ids=str,
)
def test_a_fit(some, groups, params):
    ALS(**{"rank": 2, "maxIter": 2, **params}).fit(dd.from_pandas(some[100:], npartitions=2), validation=some[:100])
    ours = check(groups)
    assert ours >= SHUFFLE | {"als-model-users", "als-model-items", "als-held"}
    assert params.get("maxIter") == 0 or ours >= HALF_STEPS


def test_a_streamed_fit_with_checkpoints(some, groups, tmp_path):
    with dask.config.set({"daskals.factor-share": 0}):
        first = ALS(rank=2, maxIter=2, checkpointDir=str(tmp_path), checkpointInterval=1).fit(some)
        ALS(rank=2, maxIter=3, checkpointDir=str(tmp_path), checkpointInterval=1).fit(some, resume=True)
        ALS(rank=2, maxIter=1).fit(some, initialModel=first)
    assert check(groups) >= {"als-add-users", "als-write-rows", "als-fingerprint"}


def test_what_a_model_does_in_portions(some, groups):
    model = ALS(rank=2, maxIter=1).fit(some)
    with dask.config.set({"daskals.factor-share": 0}):
        model.transform(some)
        model.recommendForAllItems(3, exclude=some)
    assert check(groups) >= {"als-score-pairs", "als-best"}


def test_what_a_model_does(some, groups, tmp_path):
    model = ALS(rank=2, maxIter=2).fit(some)
    lazy = dd.from_pandas(some, npartitions=2)
    model.transform(lazy).compute()
    assert check(groups) >= {"als-predict", "als-transform"}
    model.recommendForAllUsers(3, exclude=some, candidates=some[["item"]])
    model.recommendForUserSubset(lazy, 3, candidates=some[["user", "item"]]).compute()
    assert check(groups) >= {"als-recommend", "als-to-frame"}
    model.save(str(tmp_path / "model"))
    assert check(groups) >= {"als-write-rows"}
    ALSModel.load(str(tmp_path / "model")).userFactors.compute()
    model.similarItems(None, 2)
    model.foldInUsers(some)
    check(groups)
