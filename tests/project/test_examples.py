"""The examples and the deployment script, run as a user runs them: each in a process of its own."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from daskals.datasets import load_sample

ROOT = Path(__file__).parents[2]
SCRIPTS = ("examples/movielens.py", "examples/own_ratings.py", "examples/lastfm.py", "deploy/local.py")


def run(*command: str | Path, status: int = 0) -> str:
    """Run Python with ``command`` from the root of the project; what it wrote to stdout, or stderr if it failed."""
    environment = {name: value for name, value in os.environ.items() if name != "DASK_SCHEDULER_ADDRESS"}
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "Warning:" not in done.stderr, done.stderr
    return done.stderr if status else done.stdout


@pytest.fixture
def run_here(monkeypatch, capsys):
    """As `run`, in this process: one of Python's own takes seconds to import all that there is."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the script would set it, for all tests to come
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    monkeypatch.chdir(ROOT)

    def run_here(script: str, *arguments: str | Path, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        try:
            runpy.run_path(script, run_name="__main__")
            code = 0
        except SystemExit as end:  # a text is for stderr, and makes Python's status 1
            code = end.code or 0
        written = capsys.readouterr()
        assert (1 if isinstance(code, str) else code) == status
        return code if isinstance(code, str) else written.err if status else written.out

    return run_here


@pytest.fixture(scope="module")
def story_on_sample() -> str:
    return run("examples/movielens.py")


@pytest.fixture
def named_ratings(tmp_path: Path) -> Path:
    """The sample as a CSV file with string ids under other column names."""
    sample = load_sample()
    frame = pd.DataFrame(
        {
            "customer": sample["user"].map("c{:02d}".format),
            "product": sample["item"].map("p-{}".format),
            "stars": sample["rating"].astype(int),
        }
    )
    frame.to_csv(tmp_path / "ratings.csv", index=False)
    return tmp_path / "ratings.csv"


def assert_alike(one: str, other: str) -> None:
    """The same text but for times and places, and the same numbers as far as the order of sums allows."""
    number = re.compile(r"-?\d+\.\d+|nan")
    one, other = (re.sub(r"^Dask: .*|\d+(\.\d)? s\b", "", text, flags=re.MULTILINE) for text in (one, other))
    assert number.sub("#", one).split() == number.sub("#", other).split()
    for mine, its in zip(number.findall(one), number.findall(other), strict=True):
        last_digit = 10.0 ** -len(mine.partition(".")[2])
        assert float(mine) == pytest.approx(float(its), abs=max(1e-4, 1.01 * last_digit), nan_ok=True)


ROWS = ("model", "most popular", "random")
OWN_COLUMNS = ("--user", "customer", "--item", "product", "--rating", "stars")


# ---- movielens.py ----------------------------------------------------------------------------------------


def test_movielens_tells_the_story_on_the_sample(story_on_sample):
    assert "sample" in story_on_sample.splitlines()[0]
    assert re.findall(r"^(\d+)\. ", story_on_sample, re.MULTILINE) == [str(number) for number in range(1, 14)]
    errors = re.findall(r"^   RMSE(?:, maxIter 20)?(?:, rank 100)?\s+(\S+)$", story_on_sample, re.MULTILINE)
    assert errors[0] == "nan"
    assert errors[1] == errors[2]  # dropping by hand and by the model is the same
    assert all(0.8 < float(error) < 1.1 for error in errors[1:])
    assert "notebook " not in story_on_sample  # its figures are of other data
    assert re.search(r"User 0 liked    item \d+.*\n      and may like  item \d+ \(\d\.\d\)", story_on_sample)
    assert re.search(r"RMSE of this model on the test set: 0\.\d{4}\n", story_on_sample)


@pytest.mark.slow
def test_movielens_on_a_cluster_says_the_same(story_on_sample):
    on_cluster = run("examples/movielens.py", "--cluster")
    assert "Dask: a cluster of 2 worker processes" in on_cluster
    assert_alike(on_cluster, story_on_sample)


@pytest.mark.slow
def test_movielens_figures_are_the_notebooks():
    folder = Path(os.environ.get("DASKALS_DATA", ""), "ml-100k")
    if not os.environ.get("DASKALS_DATA") or not folder.is_dir():
        pytest.skip("set DASKALS_DATA to a folder that holds ml-100k, which may not be distributed with daskals")
    output = run("examples/movielens.py", "--data", folder.resolve())

    def figures(name: str) -> list[tuple[float, float]]:
        found = re.findall(rf"^   {name}\s+(\S+)\s+notebook (\S+)\s+difference", output, re.MULTILINE)
        return [(float(ours), float(notebook)) for ours, notebook in found]

    predictions = figures(r"user \d+, item 148")
    assert [notebook for _, notebook in predictions[:3]] == [3.03812408447, 3.03179121017, 3.50226473808]
    assert all(ours == pytest.approx(notebook, abs=1e-6) for ours, notebook in predictions)

    errors = figures(r"RMSE(?:, maxIter 20)?(?:, rank 100)?")
    expected = ["nan", "0.9590533628", "0.9590533628", "0.9558872243", "0.9475039685"]
    assert [f"{notebook:.10f}" for _, notebook in errors] == expected
    assert all(ours == pytest.approx(notebook, abs=1e-7, nan_ok=True) for ours, notebook in errors)

    exact = figures(
        r"(?:rating \d|partitions|model\.rank|predictions that are NaN|training ratings.*|\.\.\. of user.*)"
    )
    assert len(exact) == 11
    assert all(ours == notebook for ours, notebook in exact)

    factors = re.findall(r"notebook: largest difference (\S+)", output)
    assert len(factors) == 5
    assert all(float(difference) < 1e-6 for difference in factors)
    recommended = re.findall(r"notebook: ids and order alike, largest difference (\S+)", output)
    assert len(recommended) == 4
    assert all(float(difference) < 1e-5 for difference in recommended)
    assert "1,680 items have factors" in output
    assert "943 users have factors" in output
    assert "Toy Story (1995)" in output


def test_movielens_says_what_is_wrong_with_a_folder(run_here, tmp_path):
    message = run_here("examples/movielens.py", "--data", tmp_path, status=1)
    assert str(tmp_path) in message
    assert "ml-100k" in message


# ---- own_ratings.py --------------------------------------------------------------------------------------


def test_own_ratings_on_the_sample(tmp_path):
    output = run("examples/own_ratings.py", "--out", tmp_path / "recommended.parquet")
    assert re.search(r"^RMSE of 1\d\d held-out ratings: 0\.\d{4}$", output, re.MULTILINE)
    table = pd.read_parquet(tmp_path / "recommended.parquet")
    assert list(table.columns) == ["user", "rank", "item", "score"]
    assert (table.groupby("user")["rank"].agg(list).map(list) == pd.Series([list(range(1, 11))] * 30)).all()
    rated = set(load_sample()[["user", "item"]].itertuples(index=False, name=None))
    assert not rated & set(table[["user", "item"]].itertuples(index=False, name=None))
    assert (table.groupby("user")["score"].diff().dropna() <= 0).all()


def test_own_ratings_with_string_ids(run_here, named_ratings, tmp_path):
    out = tmp_path / "out.csv"
    output = run_here("examples/own_ratings.py", named_ratings, *OWN_COLUMNS, "--top", "3", "--out", out)
    assert re.search(r"RMSE of 1\d\d held-out ratings: 0\.9\d{3}", output)
    table = pd.read_csv(out)
    assert list(table.columns) == ["customer", "rank", "product", "score"]
    assert len(table) == 30 * 3
    rated = pd.read_csv(named_ratings)
    assert table.merge(rated, on=["customer", "product"]).empty


def test_own_ratings_holds_out_the_same_pairs_wherever_they_stand(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the script would set it, for all tests to come
    held_out = runpy.run_path(str(ROOT / "examples/own_ratings.py"))["held_out"]
    sample = load_sample()
    mask = held_out(sample, ["user", "item"])
    assert 0.08 < mask.mean() < 0.12
    some = sample.sample(frac=0.3, random_state=0)
    assert held_out(some, ["user", "item"]).equals(mask[some.index])


def test_own_ratings_implicit(run_here, named_ratings):
    output = run_here("examples/own_ratings.py", named_ratings, *OWN_COLUMNS[:4], "--implicit")
    table = {
        row: [float(each) for each in re.search(rf"^{row}\s+(.+)$", output, re.MULTILINE)[1].split()] for row in ROWS
    }
    assert re.search(r"recallAtK\s+precisionAtK\s+ndcgAtK", output)
    assert all(0 < each < 0.5 for values in table.values() for each in values)
    assert table["model"][0] > 0.1
    assert ("no better than the most popular" in output) == (table["model"][2] <= table["most popular"][2])


def test_own_ratings_says_when_the_mean_is_better(run_here, tmp_path):
    """Ratings that follow nothing: a model learns accidents, and with what it is told to try it learns less of them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": rng.integers(0, 60, 900), "item": rng.integers(0, 90, 900)}).drop_duplicates()
    frame.assign(rating=rng.integers(1, 11, len(frame))).to_csv(tmp_path / "noise.csv", index=False)

    def errors(*options):
        output = run_here("examples/own_ratings.py", tmp_path / "noise.csv", *options)
        found = re.search(r"ratings: (\S+)\n.*guessing the mean, 5\.\d\d, each time: (\S+)\)", output)
        return float(found[1]), float(found[2]), "What to try" in output

    error, guess, advised = errors()
    assert error > guess
    assert advised
    better, guess, advised = errors("--center", "--reg", "3")
    assert better < error
    assert better <= guess + 0.01


def test_own_ratings_centred_recommends_on_the_scale_of_ratings(run_here, named_ratings, tmp_path):
    run_here("examples/own_ratings.py", named_ratings, *OWN_COLUMNS, "--center", "--out", tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv")["score"].between(0.5, 6).mean() > 0.9


@pytest.fixture
def read_here(monkeypatch):
    """What own_ratings.py reads with these arguments, in this process and without a model."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    script = runpy.run_path(str(ROOT / "examples/own_ratings.py"))

    def read_here(*arguments: str | Path) -> pd.DataFrame:
        monkeypatch.setattr(sys, "argv", ["own_ratings.py", *map(str, arguments)])
        return script["read_ratings"](script["read_arguments"]()).compute().reset_index(drop=True)

    return read_here


def test_own_ratings_reads_parquet_files_and_folders_of_them(read_here, tmp_path):
    sample = load_sample()
    expected = sample[["user", "item", "rating"]]
    sample.to_parquet(tmp_path / "ratings.parquet")
    (tmp_path / "parts").mkdir()
    sample[:700].to_parquet(tmp_path / "parts" / "0.parquet")
    sample[700:].to_parquet(tmp_path / "parts" / "1.parquet")
    for file in ("ratings.parquet", "parts", "parts/*.parquet"):
        pd.testing.assert_frame_equal(read_here(tmp_path / file), expected)
    strings = read_here(tmp_path / "parts", "--string-ids")
    assert strings["user"].tolist() == sample["user"].astype(str).tolist()


def test_own_ratings_recommends_from_parquet(run_here, named_ratings, tmp_path):
    pd.read_csv(named_ratings).to_parquet(tmp_path / "ratings.parquet")
    tables = []
    for file in (named_ratings, tmp_path / "ratings.parquet"):
        run_here("examples/own_ratings.py", file, *OWN_COLUMNS, "--top", "3", "--out", tmp_path / "out.csv")
        tables.append((tmp_path / "out.csv").read_text())
    assert tables[0] == tables[1]


@pytest.mark.parametrize(("separator", "option"), [("\t", "tab"), ("::", "::"), (",", ",")])
@pytest.mark.parametrize("names", ["user,item,rating", "user,item,rating,timestamp"])
def test_own_ratings_reads_files_without_a_line_of_names(read_here, tmp_path, separator, option, names):
    """The first line is a rating; columns at the end need no name."""
    sample = load_sample()
    rows = [separator.join(map(str, row)) for row in sample.itertuples(index=False, name=None)]
    (tmp_path / "bare.txt").write_text("\n".join(rows) + "\n")
    ratings = read_here(tmp_path / "bare.txt", "--sep", option, "--columns", names)
    pd.testing.assert_frame_equal(ratings, sample[["user", "item", "rating"]], check_dtype=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bare.csv"], "if the first line of the file is a rating already, name its columns with --columns"),
        (["bare.csv", "--columns", "user,item"], "no column 'rating'; the columns are 'user', 'item'"),
        (["bare.csv", "--columns", "user,item,rating,when"], "expected 4 and found 3"),
        (["ratings.parquet", "--user", "reader"], "no column 'reader'; the columns are 'user', 'item', 'rating'"),
    ],
)
def test_own_ratings_says_what_is_wrong_with_names(run_here, tmp_path, arguments, message):
    (tmp_path / "bare.csv").write_text("1,2,3\n2,2,4\n")
    load_sample().to_parquet(tmp_path / "ratings.parquet")
    text = run_here("examples/own_ratings.py", tmp_path / arguments[0], *arguments[1:], status=1)
    assert message in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.parquet", "--columns", "user,item,rating"], "Parquet files have names"),
        (["x.csv", "--columns", "user,user"], "each name must be there once"),
    ],
)
def test_own_ratings_refuses_names_that_say_nothing(run_here, arguments, message):
    assert message in run_here("examples/own_ratings.py", *arguments, status=2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("user,item,stars\n1,2,3\n", "no column 'rating'; the columns are 'user', 'item', 'stars'"),
        ("user,item,rating\n1,2,3\n2,2,\n", "'rating' is null"),
        ("user,item,rating\n", "no rows"),
    ],
)
def test_own_ratings_says_what_is_wrong(run_here, tmp_path, rows, message):
    (tmp_path / "bad.csv").write_text(rows)
    assert message in run_here("examples/own_ratings.py", tmp_path / "bad.csv", status=1)


# ---- what people bring from elsewhere --------------------------------------------------------------------


def test_sparks_documented_example(run_here):
    output = run_here("examples/spark_als_example.py")
    assert 1.0 < float(re.search(r"Root-mean-square error = (\S+)", output)[1]) < 2.5  # Spark's prints about 1.7
    assert output.count("recommendations") == 4
    unseen = re.findall(r"^\d +(\d+) +(\d+) +\S+ +(\d)$", output, re.MULTILINE)
    assert [rank for *_, rank in unseen] == ["1", "2", "3"]
    rated = set(load_sample()[["user", "item"]].itertuples(index=False, name=None))
    assert not rated & {(int(user), int(item)) for user, item, _ in unseen}


def assert_tuned(output: str) -> None:
    """The map with the best metric is the best, and the model beats the most popular artists on test rows."""
    tried = {params: float(ndcg) for params, ndcg in re.findall(r"^(\{.*\}): NDCG@10 (\S+) on", output, re.MULTILINE)}
    assert len(tried) == 4
    assert re.search(r"^Best: (.*)$", output, re.MULTILINE)[1] == max(tried, key=tried.get)
    ndcg = {row: float(re.search(rf"^{row} +(\S+)", output, re.MULTILINE)[1]) for row in ROWS}
    assert ndcg["model"] > ndcg["most popular"] > ndcg["random"]


def test_lastfm_on_made_plays(run_here):
    output = run_here("examples/lastfm.py")
    assert_tuned(output)
    assert "listener 0" in output


@pytest.mark.slow
def test_lastfm(run_here, data):
    output = run_here("examples/lastfm.py", data / "lastfm-2k")
    assert_tuned(output)
    ndcg = {row: float(re.search(rf"^{row} +(\S+)", output, re.MULTILINE)[1]) for row in ROWS}
    assert ndcg["model"] > 2 * ndcg["most popular"]


def test_a_new_user_gets_unseen_films_with_titles(run_here, data):
    output = run_here("examples/new_user.py", data / "ml-100k")
    script = (ROOT / "examples/new_user.py").read_text()
    assert len([line for line in script.splitlines() if line]) <= 25
    titles = re.findall(r"^ *\d +(.*\(\d{4}\)) +\S+$", output, re.MULTILINE)
    assert len(titles) == 5
    assert not set(titles) & {"Star Wars (1977)", "Empire Strikes Back, The (1980)", "Return of the Jedi (1983)"}
    served = re.search(r"^Served: (.*)$", output, re.MULTILINE)[1]
    assert served.count("(19") == 5


# ---- deploy/local.py -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_local_runs_a_script_on_its_cluster(tmp_path):
    script = tmp_path / "fit.py"
    script.write_text(
        "import sys\n"
        "from distributed import Client\n"
        "from daskals import ALS\n"
        "from daskals.datasets import load_sample\n"
        "client = Client()\n"
        "model = ALS(maxIter=2).fit(load_sample())\n"
        "print(f'{sys.argv[1]} rank {model.rank} at {client.scheduler.address} of {len(client.nthreads())}')\n"
    )
    output = run("deploy/local.py", "--workers", "2", "--threads", "1", "--", script, "--its-option")
    address = re.search(r"^Scheduler: (tcp://\S+), worker processes: 2, threads: 2$", output, re.MULTILINE)[1]
    assert output.endswith(f"\n--its-option rank 10 at {address} of 2\n")


@pytest.mark.slow
def test_local_passes_the_exit_status_on():
    run("deploy/local.py", "--workers", "1", "--", "-c", "raise SystemExit(3)", status=3)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help(run_here, script):
    assert run_here(script, "--help").startswith("usage: ")
