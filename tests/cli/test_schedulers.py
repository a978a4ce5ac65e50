"""Where the work is done: the same answers on threads, on processes and on a cluster."""

import json
from pathlib import Path

import dask
import pandas as pd
import pytest
from support.small_ratings import SMALL

from daskals import ALSModel
from daskals.cli.scheduler import on_scheduler


@pytest.mark.slow
def test_a_cluster_by_its_address(invoke, ratings_csv, cluster):
    address = cluster.scheduler.address
    said = invoke("recommend", ratings_csv, *SMALL, "--out", "recs.csv", "--scheduler", address)
    assert said.code == 0, said.err
    assert f"Working on {address}, 2 worker processes" in said.err
    assert sorted(pd.read_csv("recs.csv")["movieId"]) == [4, 5]


@pytest.mark.slow
def test_a_cluster_by_its_file_and_a_model_on_it(invoke, ratings_csv, cluster):
    # what a scheduler writes has more in it; by the address alone it is found
    Path("scheduler.json").write_text(json.dumps({"address": cluster.scheduler.address}))
    said = invoke("fit", ratings_csv, *SMALL, "--scheduler", "scheduler.json", "--workers", 2, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["workers"] == {"start": 2, "lost": 0, "came": 0}
    said = invoke("recommend", "ratings.model", "--scheduler", "scheduler.json", "--out", "recs.parquet")
    assert said.code == 0, said.err
    assert sorted(pd.read_parquet("recs.parquet")["movieId"]) == [4, 5]


@pytest.mark.slow
def test_processes_that_are_started_for_it(process, ratings_csv):
    said = process("fit", ratings_csv, *SMALL, "--scheduler", "processes:2", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["workers"]["start"] == 2
    assert len(ALSModel.load("ratings.model", frames="pandas").userFactors) == 7


def test_the_wish_for_progress_is_in_the_configuration():
    for wanted in (True, False):
        with on_scheduler(None, wanted):
            assert dask.config.get("daskals.progress") is wanted


def test_threads(invoke, ratings_csv):
    assert invoke("fit", ratings_csv, *SMALL, "--scheduler", "threads:1").code == 0


def test_what_is_no_scheduler(invoke, ratings_csv, monkeypatch):
    for wanted in ("nix", "threads:none", "processes:0"):
        said = invoke("fit", ratings_csv, "--scheduler", wanted)
        assert said.code == 2, wanted
        assert "expected an address such as tcp://host:8786" in said.err


def test_a_kind_of_scheduler_that_is_misspelt_is_not_waited_for(invoke, ratings_csv, monkeypatch):
    monkeypatch.setattr("daskals.cli.scheduler._connected", lambda *_, **__: pytest.fail("somebody was waited for"))
    for wanted, meant in (("process:2", "processes:2"), ("thread:4", "threads:4"), ("local:3", "processes:3")):
        said = invoke("fit", ratings_csv, "--scheduler", wanted)
        assert said.code == 2, wanted
        assert f"{wanted!r}: did you mean {meant}?" in said.err


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer(process, ratings_csv):
    fast = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    said = process("fit", ratings_csv, "--scheduler", "tcp://127.0.0.1:9", **fast)
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("daskals: No scheduler answers at tcp://127.0.0.1:9")
