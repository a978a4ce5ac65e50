"""Files are there whole or not at all."""

import os

import click
import dask.dataframe as dd
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from daskals.cli import writing
from daskals.cli.writing import aligned, check_target, write_table

TABLE = pd.DataFrame({"user": [1, 2, 3], "title": ["Dune, part two", 'He said "no"', ""], "score": [4.5, 3.25, 1.0]})


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.tsv.gz"])
def test_parts_of_a_dask_frame_become_one_file(here, name):
    whole = dd.from_pandas(TABLE, npartitions=2)
    assert write_table(whole, name) == 3
    if name.endswith(".parquet"):
        found = pd.read_parquet(name)
    elif name.endswith(".jsonl"):
        found = pd.read_json(name, lines=True)
    else:
        found = pd.read_csv(name, sep="\t" if "tsv" in name else ",", keep_default_na=False)
    assert_frame_equal(found, TABLE, check_dtype=False)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, SystemExit])
def test_what_was_there_stays_when_writing_ends_early(here, monkeypatch, error):
    """The first part is written, and then comes Ctrl-C, a full disk, or SIGTERM."""
    (here / "a.csv").write_text("as it was\n")

    def parts(_):
        yield TABLE
        raise error

    monkeypatch.setattr(writing, "_parts", parts)
    with pytest.raises(error):
        write_table(TABLE, "a.csv")
    assert (here / "a.csv").read_text() == "as it was\n"
    assert os.listdir(here) == ["a.csv"]


def test_targets(here):
    check_target(None)
    check_target("a.csv.gz")
    for name in ("a.xlsx", "a", "a.parquet.gz"):
        with pytest.raises(click.BadParameter, match=r"must end in \.csv, \.tsv"):
            check_target(name)
    with pytest.raises(FileNotFoundError, match="there is no folder nix"):
        check_target("nix/a.csv")


def test_a_table_in_columns():
    table = pd.DataFrame({"user": [1, 20], "title": ["Dune", "x" * 60], "score": [4.5, float("nan")]})
    assert aligned(table).splitlines() == [
        "user  title                                                score",
        "   1  Dune                                                4.5000",
        f"  20  {'x' * 47}...       -",
    ]
