"""A cluster for each file whose workers a test may kill."""

import gc

import pytest
from support.killable_cluster import killable_cluster


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The cluster, in whatever state the last test left it."""
    with killable_cluster(tmp_path_factory.mktemp("workers")) as killable:
        yield killable


@pytest.fixture
def killable(shared):
    """The cluster, whole, without what earlier tests left in cycles, as an exception and its traceback are."""
    gc.collect()
    shared.heal()
    return shared
