"""Fixtures that several test files share: data, and the schedulers that everything has to run on."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import dask
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from hypothesis import HealthCheck, settings

# a busy machine is no failure
_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", _patient, max_examples=25)
settings.register_profile("thorough", _patient, max_examples=200)  # pytest --hypothesis-profile=thorough
settings.load_profile("quick")

# tests have few ratings, for which one block would do: then nothing would ever go from one block to another
dask.config.set({"daskals.block-ratings": 0})

#: Of a test with more cases than these (sets of parameters) the default run takes so many, spread over all of them.
CASES = 2
PROJECT = Path(__file__).parent / "project"
#: The examples of these docstrings draw.
PLOTS = Path(find_spec("daskals").origin).parent / "plots"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as slow what the default run can do without: of a test with many cases all but `CASES`.

    Not those of the project itself, which look at every file and take no time. Skips examples of pictures where
    there is no matplotlib.
    """
    of_test = defaultdict(list)
    for item in items:
        if PLOTS in item.path.parents and find_spec("matplotlib") is None:
            item.add_marker(pytest.mark.skip("needs matplotlib: pip install 'daskals[viz]'"))
        if PROJECT in item.path.parents:
            continue
        of_test[item.nodeid.partition("[")[0]].append(item)
    for cases in of_test.values():
        chosen = {round(n * (len(cases) - 1) / (CASES - 1)) for n in range(CASES)}
        for number, item in enumerate(cases):
            if len(cases) > CASES and number not in chosen:
                item.add_marker("slow")


COLUMNS = ["user", "item", "rating"]


class MovieLens(NamedTuple):
    """A training and a test frame."""

    base: pd.DataFrame
    test: pd.DataFrame


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of data sets that cannot be shipped for their licences."""
    folder = os.environ.get("DASKALS_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs a folder of data sets: set the environment variable DASKALS_DATA to it")
    return Path(folder)


@pytest.fixture(scope="session")
def ml100k(data: Path) -> MovieLens:
    """MovieLens 100K, split ua: columns user, item and rating, integers."""
    folder = data / "ml-100k"
    if not folder.is_dir():
        pytest.skip("DASKALS_DATA has no folder ml-100k")
    return MovieLens(
        *(
            pd.read_csv(folder / name, sep="\t", names=[*COLUMNS, "timestamp"], usecols=COLUMNS)
            for name in ("ua.base", "ua.test")
        )
    )


@pytest.fixture
def ratings() -> pd.DataFrame:
    """Six ratings, those of Spark's documentation: what any fit makes of them is known."""
    rows = [(0, 0, 4.0), (0, 1, 2.0), (1, 1, 3.0), (1, 2, 4.0), (2, 1, 1.0), (2, 2, 5.0)]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of two worker processes; not current unless a test makes it so."""
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            local_directory=str(tmp_path_factory.mktemp("workers")),
        ) as workers,
        Client(workers, set_as_default=False) as client,
    ):
        yield client


# one thread is the same code as several, and less of it
@pytest.fixture(params=[pytest.param("synchronous", marks=pytest.mark.slow), "threads", "distributed"])
def scheduler(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test under each scheduler in turn; its value is the name of the one in force."""
    if request.param == "distributed":
        with request.getfixturevalue("cluster").as_current():
            yield request.param
    else:
        with dask.config.set(scheduler=request.param):
            yield request.param
