"""The keys in Dask's configuration: what they may be, and errors that name them."""

from dataclasses import fields
from importlib.resources import files

import dask
import pandas as pd
import pytest
import yaml

from daskals import ALS
from daskals.execution.settings import Settings, read_settings


def test_every_key_of_the_file_is_a_field_and_has_a_usable_default():
    listed = yaml.safe_load(files("daskals").joinpath("daskals.yaml").read_text())["daskals"]
    assert {name.replace("-", "_") for name in listed} == {field.name for field in fields(Settings)}
    with dask.config.set({f"daskals.{name}": value for name, value in listed.items()}):
        assert read_settings().durable_bytes == 256 * 2**20


USELESS = [
    ("user-blocks", 0, "null or a whole number >= 1"),
    ("item-blocks", "many", "null or a whole number >= 1"),
    ("blocks-per-thread", 1.5, "a whole number >= 1"),
    ("block-ratings", -1, "a whole number >= 0"),
    ("block-bytes", "128 parsecs", 'a size above 0, such as "128MiB"'),
    ("block-bytes", 0, 'a size above 0, such as "128MiB"'),
    ("max-blocks", None, "a whole number >= 1"),
    ("panels", -8, "a whole number >= 1"),
    ("panels", [8], "a whole number >= 1"),
    ("panels", float("inf"), "a whole number >= 1"),
    ("factor-share", -0.1, "a number >= 0"),
    ("factor-share", float("nan"), "a number >= 0"),
    ("factor-share", "a quarter", "a number >= 0"),
    ("retries", -1, "a whole number >= 0"),
    ("durable-bytes", {"MiB": 256}, 'a size, such as "256MiB"'),
    ("durable-bytes", "-1 MiB", 'a size, such as "256MiB"'),
    ("no-worker-timeout", "-1 s", 'null or a time, such as "10 minutes"'),
    ("no-worker-timeout", [10], 'null or a time, such as "10 minutes"'),
    ("no-worker-timeout", "soon", 'null or a time, such as "10 minutes"'),
    ("paused-timeout", "-1 s", 'null or a time, such as "10 minutes"'),
    ("hung-worker-timeout", "soon", 'null or a time, such as "10 minutes"'),
    ("progress", "perhaps", "auto, true or false"),
    ("progress", None, "auto, true or false"),
]


@pytest.mark.parametrize(("key", "value", "allowed"), USELESS)
def test_a_useless_value_is_an_error_that_names_the_key(key, value, allowed):
    with dask.config.set({f"daskals.{key}": value}), pytest.raises(ValueError, match=f"daskals.{key} is ") as error:
        read_settings()
    assert repr(value) in str(error.value)
    assert str(error.value).endswith(f"in Dask's configuration, and must be {allowed}")


USEFUL = [
    ("user-blocks", "7", 7),
    ("block-bytes", 1000, 1000),
    ("block-bytes", "1kiB", 1024),
    ("panels", 8.0, 8),
    ("factor-share", 0, 0.0),
    ("no-worker-timeout", "2 minutes", 120.0),
    ("no-worker-timeout", None, None),
    ("paused-timeout", "5 minutes", 300.0),
    ("hung-worker-timeout", None, None),
    ("checkpoint-dir", None, None),
    ("progress", "auto", "auto"),
    ("progress", "False", False),
    ("progress", True, True),
]


@pytest.mark.parametrize(("key", "value", "read"), USEFUL)
def test_values_are_read_as_people_and_shells_write_them(key, value, read):
    with dask.config.set({f"daskals.{key}": value}):
        assert getattr(read_settings(), key.replace("-", "_")) == read


def test_a_fit_says_so_before_it_reads_anything():
    with dask.config.set({"daskals.panels": 0}), pytest.raises(ValueError, match=r"daskals\.panels is 0"):
        ALS().fit(pd.DataFrame({"nothing": ["of", "use"]}))
