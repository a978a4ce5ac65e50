"""Loaders against hand-written files in the published layouts; synthetic data against its definition."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import socket
import threading
import tracemalloc
import zipfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskals.datasets import (
    MOVIELENS_NAMES,
    download,
    draws,
    load_movielens,
    load_movielens_titles,
    load_sample,
    make_factors,
    make_ratings,
    synthetic,
)

DTYPES = {"user": "int32", "item": "int32", "rating": "float32", "timestamp": "int64"}
ROWS = [(3, 17, 4.0, 978300760), (3, 2, 1.0, 978300761), (1, 17, 5.0, 978824268)]
EXPECTED = pd.DataFrame(ROWS, columns=list(DTYPES)).astype(DTYPES)

TSV = b"3\t17\t4\t978300760\n3\t2\t1\t978300761\n1\t17\t5\t978824268\n"
COLONS = b"3::17::4::978300760\n3::2::1::978300761\n1::17::5::978824268\n"
CSV = b"userId,movieId,rating,timestamp\n3,17,4.0,978300760\n3,2,1.0,978300761\n1,17,5.0,978824268\n"
MOVIES_CSV = 'movieId,title,genres\n2,"Caf\u00e9, The (1999)",Drama\n17,None,(no genres listed)\n'.encode()
# \x85 is an ellipsis in some movies and a line end to str.splitlines
ITEMS = b"2|Caf\xe9\x85 (1999)|01-Jan-1999||http://x/|0|1\n17|Wars: One (1977)|01-Jan-1977||http://x/|1|0\n"
MOVIES_LATIN = b"2::Caf\xe9 (1999)::Drama\n17::Wars: One (1977)::War|Drama\n"
MOVIES_UTF8 = MOVIES_LATIN.decode("latin-1").encode()

# name: folder inside of the archive, ratings, titles
PUBLISHED = {
    "ml-100k": ("ml-100k", ("u.data", TSV), ("u.item", ITEMS)),
    "ml-1m": ("ml-1m", ("ratings.dat", COLONS), ("movies.dat", MOVIES_LATIN)),
    "ml-latest-small": ("ml-latest-small", ("ratings.csv", CSV), ("movies.csv", MOVIES_CSV)),
    "ml-10m": ("ml-10M100K", ("ratings.dat", COLONS), ("movies.dat", MOVIES_UTF8)),
    "ml-20m": ("ml-20m", ("ratings.csv", CSV), ("movies.csv", MOVIES_CSV)),
    "ml-25m": ("ml-25m", ("ratings.csv", CSV), ("movies.csv", MOVIES_CSV)),
    "ml-32m": ("ml-32m", ("ratings.csv", CSV), ("movies.csv", MOVIES_CSV)),
}


def write_published(parent: Path, name: str) -> Path:
    folder = parent / PUBLISHED[name][0]
    folder.mkdir(parents=True)
    for file, content in PUBLISHED[name][1:]:
        (folder / file).write_bytes(content)
    return folder


def archive(name: str, extra: dict[str, bytes] | None = None) -> bytes:
    folder, *files = PUBLISHED[name]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as out:
        for file, content in files:
            out.writestr(f"{folder}/{file}", content)
        for file, content in (extra or {}).items():
            out.writestr(file, content)
    return buffer.getvalue()


class Site:
    """A web server on the loopback: `files` by path; `requests` made; paths in `cut` end half-way."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.cut: set[str] = set()
        self.status: dict[str, int] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append(self.path)
                body = site.files.get(self.path)
                status = site.status.get(self.path, 404 if body is None else 200)
                body = body or b"no such page"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if self.path in site.cut else body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/data/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def publish(self, name: str, content: bytes | None = None, md5: str | None = None) -> str:
        content = archive(name) if content is None else content
        self.files[f"/data/{name}.zip"] = content
        if md5 is not None:
            self.files[f"/data/{name}.zip.md5"] = md5.encode()
        return hashlib.md5(content).hexdigest()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def site(monkeypatch):
    # a proxy of the environment would not reach the loopback
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()
    yield site
    site.close()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "some" / "cache"


# -- the sample ----------------------------------------------------------------------------------


def test_sample_is_what_its_file_says():
    file = resources.files("daskals.datasets") / "spark_sample" / "sample_movielens_ratings.txt"
    rows = [tuple(int(field) for field in line.split("::")) for line in file.read_text().splitlines()]
    assert len(rows) == 1501
    pd.testing.assert_frame_equal(load_sample(), pd.DataFrame(rows, columns=list(DTYPES)).astype(DTYPES))


def test_sample_says_where_it_comes_from():
    notice = (resources.files("daskals.datasets") / "spark_sample" / "NOTICE").read_text()
    for words in ("Apache Spark", "data/mllib/als/sample_movielens_ratings.txt", "Version 2.0", "unmodified"):
        assert words in notice


# -- published layouts ---------------------------------------------------------------------------


def test_every_name_is_tested():
    assert set(MOVIELENS_NAMES) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("given_parent", [False, True], ids=["folder", "parent"])
def test_ratings_of_each_layout(tmp_path, name, given_parent):
    folder = write_published(tmp_path / "here", name)
    pd.testing.assert_frame_equal(load_movielens(name, folder.parent if given_parent else str(folder)), EXPECTED)


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("ml-100k", ["Caf\u00e9\x85 (1999)", "Wars: One (1977)"]),
        ("ml-1m", ["Caf\u00e9 (1999)", "Wars: One (1977)"]),
        ("ml-10m", ["Caf\u00e9 (1999)", "Wars: One (1977)"]),
        ("ml-25m", ["Caf\u00e9, The (1999)", "None"]),
    ],
)
def test_titles_of_each_layout(tmp_path, name, titles):
    result = load_movielens_titles(name, write_published(tmp_path, name))
    assert result.tolist() == titles
    assert result.index.tolist() == [2, 17]
    assert (result.index.dtype, result.index.name, result.name) == (np.dtype("int32"), "item", "title")


def test_windows_line_ends(tmp_path):
    folder = write_published(tmp_path, "ml-1m")
    (folder / "ratings.dat").write_bytes(COLONS.replace(b"\n", b"\r\n"))
    (folder / "movies.dat").write_bytes(MOVIES_LATIN.replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(load_movielens("ml-1m", folder), EXPECTED)
    assert load_movielens_titles("ml-1m", folder)[17] == "Wars: One (1977)"


def test_half_stars_and_column_order_of_csv(tmp_path):
    (tmp_path / "ratings.csv").write_text("timestamp,rating,movieId,userId\n9999999999,0.5,7,8\n")
    row = load_movielens("ml-20m", tmp_path).iloc[0]
    assert row.tolist() == [8, 7, 0.5, 9999999999]


def test_splits_of_ml_100k(tmp_path):
    folder = write_published(tmp_path, "ml-100k")
    (folder / "u3.base").write_bytes(TSV)
    (folder / "u3.test").write_bytes(b"9\t8\t2\t7\n")
    train, test = load_movielens("ml-100k", folder, split="u3")
    pd.testing.assert_frame_equal(train, EXPECTED)
    pd.testing.assert_frame_equal(test, pd.DataFrame([(9, 8, 2, 7)], columns=list(DTYPES)).astype(DTYPES))
    with pytest.raises(FileNotFoundError, match=r"ua\.base is missing"):
        load_movielens("ml-100k", folder, split="ua")


@pytest.mark.parametrize(
    ("name", "split", "error", "words"),
    [
        ("ml-100k", "u6", ValueError, ["'u6'", "ua, ub, u1, u2, u3, u4, u5"]),
        ("ml-1m", "ua", ValueError, ["ml-1m", "without splits", "ua, ub, u1"]),
        ("ml-100k", 1, TypeError, ["split", "int"]),
        ("ml-2m", None, ValueError, ["'ml-2m'", ", ".join(PUBLISHED)]),
        (b"ml-1m", None, TypeError, ["name", "bytes"]),
    ],
)
def test_bad_name_or_split(tmp_path, name, split, error, words):
    with pytest.raises(error) as caught:
        load_movielens(name, tmp_path, split=split)
    assert all(word in str(caught.value) for word in words)


def test_path_without_the_data(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_movielens("ml-10m", tmp_path / "absent")
    assert str(Path("absent", "ml-10M100K", "ratings.dat")) in str(caught.value)
    (tmp_path / "ml-1m.zip").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="unpack"):
        load_movielens("ml-1m", tmp_path / "ml-1m.zip")


def test_folder_of_another_data_set_is_refused(tmp_path):
    with pytest.raises(ValueError, match="folder of ml-25m, but name='ml-20m'"):
        load_movielens("ml-20m", write_published(tmp_path, "ml-25m"))


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("ml-1m", "ratings.dat", b"1,2,3,4\n"),
        ("ml-1m", "ratings.dat", b"1::2::three::4\n"),
        ("ml-1m", "ratings.dat", b"1::2::3\n"),
        ("ml-1m", "ratings.dat", b""),
        ("ml-100k", "u.data", b"1::2::3::4\n"),
        ("ml-20m", "ratings.csv", CSV.splitlines()[0]),
        ("ml-20m", "ratings.csv", b"user,item,rating,timestamp\n1,2,3,4\n"),
    ],
)
def test_another_layout_is_named_as_such(tmp_path, name, file, content):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match="not in the layout that GroupLens publishes") as caught:
        load_movielens(name, tmp_path)
    assert str(tmp_path / file) in str(caught.value)


def test_title_file_of_another_layout(tmp_path):
    folder = write_published(tmp_path, "ml-1m")
    (folder / "movies.dat").write_bytes(MOVIES_LATIN + b"18,Other\n")
    with pytest.raises(ValueError, match="line 3 has 1 field"):
        load_movielens_titles("ml-1m", folder)


def real_ml_100k() -> Path:
    folder = Path(os.environ.get("DASKALS_DATA", "")) / "ml-100k"
    if "DASKALS_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("set DASKALS_DATA to the folder that holds the unpacked ml-100k")
    return folder


def test_real_ml_100k():
    ratings = load_movielens("ml-100k", real_ml_100k())
    # from the README of the archive: 100,000 ratings (1-5) by 943 users on 1,682 movies
    assert (len(ratings), ratings["user"].nunique(), ratings["item"].nunique()) == (100_000, 943, 1682)
    assert sorted(ratings["rating"].unique()) == [1, 2, 3, 4, 5]
    assert load_movielens_titles("ml-100k", real_ml_100k().parent)[1] == "Toy Story (1995)"


@pytest.mark.parametrize(("split", "n_test"), [("ua", 9430), ("ub", 9430), ("u1", 20_000)])
def test_real_ml_100k_splits(split, n_test):
    train, test = load_movielens("ml-100k", real_ml_100k(), split=split)
    assert (len(train), len(test)) == (100_000 - n_test, n_test)
    pairs = pd.concat([train, test])[["user", "item"]]
    assert not pairs.duplicated().any()
    if split != "u1":
        assert set(test["user"].value_counts()) == {10}


# -- the cache and the download ------------------------------------------------------------------


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("style", ["MD5 ({0}.zip) = {1}\n", "{1}  {0}.zip\n", "{1}", None])
def test_download_once(site, cache, capsys, name, style):
    digest = site.publish(name)
    if style is not None:
        site.publish(name, md5=style.format(name, digest))
    result = load_movielens(name, cache_dir=cache, base_url=site.url)
    pd.testing.assert_frame_equal(result, EXPECTED)
    assert f"{name}.zip" in capsys.readouterr().err
    assert site.requests == [f"/data/{name}.zip.md5", f"/data/{name}.zip"]
    # the second call, and the titles, make no request
    pd.testing.assert_frame_equal(load_movielens(name, cache_dir=cache, base_url=site.url), EXPECTED)
    assert len(load_movielens_titles(name, cache_dir=cache, base_url=site.url)) == 2
    assert len(site.requests) == 2
    assert [entry.name for entry in cache.iterdir()] == [PUBLISHED[name][0]]
    assert capsys.readouterr().err == ""


def test_progress_can_be_silenced(site, cache, capsys):
    site.publish("ml-1m")
    load_movielens("ml-1m", cache_dir=cache, base_url=site.url.rstrip("/"), progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("variable", ["DASKALS_CACHE", "XDG_CACHE_HOME", "HOME"])
def test_which_cache_folder(tmp_path, monkeypatch, variable):
    for name in ("DASKALS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    inside = {"DASKALS_CACHE": "", "XDG_CACHE_HOME": "daskals", "HOME": ".cache/daskals"}[variable]
    monkeypatch.setenv(variable, str(tmp_path))
    write_published(tmp_path / inside, "ml-10m")
    # nothing listens at port 9 of the loopback, so a miss would show
    pd.testing.assert_frame_equal(load_movielens("ml-10m", base_url="http://127.0.0.1:9/"), EXPECTED)


def left_behind(cache: Path) -> list[str]:
    return [str(entry.relative_to(cache)) for entry in cache.rglob("*")]


def test_wrong_checksum(site, cache):
    wrong = "0123456789abcdef" * 2
    digest = site.publish("ml-1m", md5=f"MD5 (ml-1m.zip) = {wrong}")
    with pytest.raises(ValueError, match=f"{digest}, expected {wrong}") as caught:
        load_movielens("ml-1m", cache_dir=cache, base_url=site.url)
    assert "md5=" in str(caught.value)
    assert left_behind(cache) == []
    # the remedy of the message; a given sum makes the published one irrelevant
    load_movielens("ml-1m", cache_dir=cache, base_url=site.url, md5=digest.upper())
    assert site.requests[-2:] == ["/data/ml-1m.zip", "/data/ml-1m.zip"]


def test_known_checksum_of_grouplens(site, cache, monkeypatch):
    site.publish("ml-100k", md5=site.publish("ml-100k"))
    monkeypatch.setattr(download, "GROUPLENS_URL", site.url)
    with pytest.raises(ValueError, match="expected 0e33842e24a9c977be4e0107933c0723"):
        load_movielens("ml-100k", cache_dir=cache)
    assert site.requests == ["/data/ml-100k.zip"]


@pytest.mark.parametrize(("md5", "error"), [("abc", ValueError), ("g" * 32, ValueError), (5, TypeError)])
def test_md5_argument(cache, md5, error):
    with pytest.raises(error, match="32 hex digits"):
        load_movielens("ml-1m", cache_dir=cache, md5=md5)


def test_unreadable_md5_file(site, cache):
    site.publish("ml-1m", md5="<html>Sorry</html>")
    with pytest.raises(ValueError, match=r"ml-1m\.zip\.md5 holds no MD5 sum but '<html>Sorry"):
        load_movielens("ml-1m", cache_dir=cache, base_url=site.url)


def test_missing_archive(site, cache):
    with pytest.raises(ConnectionError) as caught:
        load_movielens("ml-1m", cache_dir=cache, base_url=site.url)
    for words in (f"{site.url}ml-1m.zip", "404", "download", "unpack", "path="):
        assert words in str(caught.value)
    assert left_behind(cache) == []


def test_server_trouble_with_md5_is_not_taken_for_absence(site, cache):
    site.publish("ml-1m")
    site.status["/data/ml-1m.zip.md5"] = 503
    with pytest.raises(ConnectionError, match="503"):
        load_movielens("ml-1m", cache_dir=cache, base_url=site.url)


@pytest.mark.parametrize("md5", [None, "0" * 32], ids=["sum first", "archive first"])
def test_connection_refused(cache, monkeypatch, md5):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(ConnectionError, match=r"ml-25m\.zip.*path=") as caught:
            load_movielens("ml-25m", cache_dir=cache, base_url=url, md5=md5)
    assert url in str(caught.value)
    assert left_behind(cache) == []


@pytest.mark.parametrize("with_md5", [False, True])
def test_truncated_body(site, cache, with_md5):
    digest = site.publish("ml-20m")
    site.cut.add("/data/ml-20m.zip")
    size = len(site.files["/data/ml-20m.zip"])
    with pytest.raises(ConnectionError, match=f"ended after {size // 2:,} of {size:,} bytes"):
        load_movielens("ml-20m", cache_dir=cache, base_url=site.url, md5=digest if with_md5 else None)
    assert left_behind(cache) == []
    site.cut.clear()
    pd.testing.assert_frame_equal(load_movielens("ml-20m", cache_dir=cache, base_url=site.url), EXPECTED)


def test_damage_shows_without_a_published_sum(site, cache):
    content = archive("ml-latest-small")
    assert content.count(b"978824268") == 1
    site.publish("ml-latest-small", content.replace(b"978824268", b"978824269"))
    with pytest.raises(ValueError, match=r"not a sound zip archive .*CRC"):
        load_movielens("ml-latest-small", cache_dir=cache, base_url=site.url)
    site.publish("ml-latest-small", b"<html>a portal page</html>")
    with pytest.raises(ValueError, match="not a sound zip archive"):
        load_movielens("ml-latest-small", cache_dir=cache, base_url=site.url)
    assert left_behind(cache) == []


@pytest.mark.parametrize("member", ["../evil", "ml-1m/../../evil", "/evil", "..\\evil", "C:/evil"])
def test_members_that_would_escape(site, cache, member):
    site.publish("ml-1m", archive("ml-1m", {member: b"x"}))
    with pytest.raises(ValueError, match="outside of the folder"):
        load_movielens("ml-1m", cache_dir=cache, base_url=site.url)
    assert left_behind(cache) == []
    assert not list(cache.parent.parent.rglob("*evil*"))


def test_archive_of_something_else(site, cache):
    site.publish("ml-20m", archive("ml-25m"))
    with pytest.raises(ValueError, match=r"holds no ml-20m/ratings\.csv"):
        load_movielens("ml-20m", cache_dir=cache, base_url=site.url)
    assert left_behind(cache) == []


def test_incomplete_folder_in_the_cache(site, cache):
    (cache / "ml-1m").mkdir(parents=True)
    (cache / "ml-1m" / "README").write_text("half unpacked by hand")
    site.publish("ml-1m")
    with pytest.raises(FileExistsError, match="delete it"):
        load_movielens("ml-1m", cache_dir=cache, base_url=site.url)
    assert sorted(left_behind(cache)) == ["ml-1m", str(Path("ml-1m", "README"))]


def test_two_at_a_time(site, cache):
    site.publish("ml-1m")
    results: list[pd.DataFrame] = []
    threads = [
        threading.Thread(target=lambda: results.append(load_movielens("ml-1m", cache_dir=cache, base_url=site.url)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert [entry.name for entry in cache.iterdir()] == ["ml-1m"]


def test_other_schemes(cache):
    with pytest.raises(ValueError, match="http:// or https://"):
        load_movielens("ml-1m", cache_dir=cache, base_url="file:///srv/")
    assert not cache.exists()


# -- synthetic ratings ---------------------------------------------------------------------------

shapes = st.tuples(st.integers(1, 300), st.integers(1, 60), st.floats(0, 1))


@given(shapes, st.integers(0, 5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_rows_pairs_and_ids(shape, seed, implicit):
    n_users, n_items, fullness = shape
    n_ratings = n_users + int(fullness * n_users * (n_items - 1))
    frame = make_ratings(n_users, n_items, n_ratings, rank=2, seed=seed, implicit=implicit)
    assert frame.dtypes.to_dict() == {"user": "int32", "item": "int32", "rating": "float32"}
    assert len(frame) == n_ratings
    keys = frame["user"].to_numpy().astype(np.int64) * n_items + frame["item"]
    assert (np.diff(keys) > 0).all()  # sorted and distinct
    assert set(frame["user"]) == set(range(n_users))
    assert frame["item"].between(0, n_items - 1).all()
    assert np.isfinite(frame["rating"]).all()


@given(st.data(), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_apportion(data, n):
    lists = st.lists
    weights = np.array(data.draw(lists(st.floats(1e-3, 1e3), min_size=n, max_size=n)))
    lower = np.array(data.draw(lists(st.integers(0, 5), min_size=n, max_size=n)))
    upper = lower + np.array(data.draw(lists(st.integers(0, 50), min_size=n, max_size=n)))
    total = data.draw(st.integers(int(lower.sum()), int(upper.sum())))
    counts = draws.apportion(total, weights, lower, upper)
    assert counts.sum() == total
    assert ((lower <= counts) & (counts <= upper)).all()
    # among those not at their upper bound, what comes on top of the lower one goes by weight
    free = counts < upper - 1
    for i, j in itertools.pairwise(np.flatnonzero(free)):
        low, high = (counts - lower - 1) / weights, (counts - lower + 1) / weights
        assert low[i] <= high[j] + 1e-9
        assert low[j] <= high[i] + 1e-9


@pytest.mark.parametrize("rank", [1, 2, 7])
def test_without_noise_the_factors_are_the_ratings(rank):
    n_users, n_items = 150, 40
    frame = make_ratings(n_users, n_items, n_users * n_items, rank=rank, noise=0, seed=3)
    users, items = make_factors(n_users, n_items, rank=rank, seed=3)
    assert (users.shape, items.shape) == ((n_users, rank), (n_items, rank))
    assert users.dtype == items.dtype == np.float32
    matrix = frame["rating"].to_numpy().reshape(n_users, n_items)
    np.testing.assert_allclose(matrix, users.astype(float) @ items.T.astype(float), rtol=0, atol=1e-5)
    singular = np.linalg.svd(matrix.astype(float), compute_uv=False)
    assert singular[rank - 1] > 1.0
    assert singular[rank] < 1e-4
    assert abs(matrix.mean() - 3.5) < 0.3


def test_ratings_look_like_stars():
    # thousands of items: among few, the most popular ones alone would settle the mean
    rating = make_ratings(3000, 5000, 60_000)["rating"]
    assert abs(rating.mean() - 3.5) < 0.15
    assert 0.7 < rating.std() < 0.9
    assert rating.between(1, 5).mean() > 0.94


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_noise_is_a_standard_deviation(noise):
    noisy = make_ratings(500, 200, 40_000, noise=noise)
    clean = make_ratings(500, 200, 40_000, noise=0)
    pd.testing.assert_frame_equal(noisy[["user", "item"]], clean[["user", "item"]])
    residual = noisy["rating"] - clean["rating"]
    assert abs(residual.std() / noise - 1) < 0.02  # four standard errors are 1.4 %
    assert abs(residual.mean()) < 4 * noise / 200


def test_implicit_counts_grow_with_the_preference():
    frame = make_ratings(800, 300, 50_000, noise=0, implicit=True, seed=1)
    count = frame["rating"].to_numpy().astype(float)
    assert (count >= 1).all()
    assert (count == np.round(count)).all()
    users, items = make_factors(800, 300, seed=1)
    beyond = np.exp((users[frame["user"]] * items[frame["item"]]).sum(axis=1).astype(float) - 3.5)
    order = np.argsort(beyond)
    for fifth in np.array_split(order, 5):
        deviation = (count[fifth] - 1 - beyond[fifth]).sum() / np.sqrt(beyond[fifth].sum())
        assert abs(deviation) < 4.5
    assert count[order[-1000:]].mean() > 3 * count[order[:1000]].mean()


def test_activity_of_users_is_log_normal():
    per_user = make_ratings(4000, 20_000, 400_000)["user"].value_counts()
    assert per_user.min() >= 1
    assert 1.0 < np.log(per_user - 0.5).std() < 1.2
    assert 1.6 < per_user.mean() / per_user.median() < 2.1


def zipf_mandelbrot(n_items: int) -> np.ndarray:
    """Probability of each item, most popular first, by adding up the documented density."""
    fine = 4000
    density = 1 / ((np.arange(n_items * fine) + 0.5) / (n_items * fine) + 0.015) ** 2
    share = density.reshape(n_items, fine).sum(axis=1)
    return share / share.sum()


@pytest.mark.parametrize("n_items", [5, 40], ids=["sorting", "rounds"])
def test_popularity_of_items_is_the_documented_law(n_items):
    n = 40_000  # one rating each: nobody's second choice blurs the law
    seen = make_ratings(n, n_items, n, rank=1)["item"].value_counts().reindex(range(n_items), fill_value=0)
    expected = n * zipf_mandelbrot(n_items)
    chi_square = ((np.sort(seen)[::-1] - expected) ** 2 / expected).sum()
    assert chi_square < n_items + 5 * np.sqrt(2 * n_items)


def test_popular_items_are_scattered_over_the_ids():
    seen = make_ratings(3000, 1000, 60_000)["item"].value_counts()
    assert seen.head(100).sum() / 60_000 > 0.7
    halves = Counter(item < 500 for item in seen.head(100).index)
    assert 30 < halves[True] < 70


def test_both_ways_to_draw_have_one_distribution():
    n, n_items, take = 20_000, 9, 4
    counts = np.full(n, take)
    rng = np.random.default_rng(8)
    by_rounds = draws._draw_sparse(rng, counts, n_items, (1, 0))
    by_sorting = draws._draw_dense(rng, np.arange(n), counts, n_items, (1, 0))
    seen = []
    for keys in (by_rounds, by_sorting):
        assert len(np.unique(keys)) == n * take
        assert (np.bincount(keys // n_items) == take).all()
        seen.append(np.bincount(keys % n_items, minlength=n_items) / n)
    # the standard error of the difference of two such shares is at most 0.005
    np.testing.assert_allclose(seen[0], seen[1], rtol=0, atol=0.022)
    assert seen[0][0] > 0.99 > 0.5 > seen[0][-1]


@pytest.mark.parametrize("npartitions", [1, 3, 128])
@pytest.mark.parametrize("implicit", [False, True])
def test_dask_has_the_rows_of_pandas(npartitions, implicit):
    arguments = {"rank": 3, "seed": 5, "implicit": implicit}
    lazy = make_ratings(700, 90, 5000, npartitions=npartitions, **arguments)
    assert lazy.npartitions == npartitions
    parts = [lazy.partitions[i].compute(scheduler="sync") for i in range(npartitions)]
    pd.testing.assert_frame_equal(pd.concat(parts), make_ratings(700, 90, 5000, **arguments), check_index_type=False)
    assert [part.index[0] for part in parts] == list(lazy.divisions[:-1])
    assert lazy.divisions[-1] == 4999
    for left, right in itertools.pairwise(parts):
        assert left["user"].max() < right["user"].min()
    for part in parts:
        assert part.dtypes.to_dict() == lazy.dtypes.to_dict()


def test_seed():
    one, same, other = (make_ratings(50, 30, 400, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not one["item"].equals(other["item"])
    assert not np.isclose(one["rating"], other["rating"]).any()


def test_factors_do_not_depend_on_the_number_of_ratings():
    users, items = make_factors(60, 30, rank=4)
    for n_ratings in (60, 900):
        frame = make_ratings(60, 30, n_ratings, rank=4, noise=0)
        truth = (users[frame["user"]] * items[frame["item"]]).sum(axis=1)
        np.testing.assert_allclose(frame["rating"], truth, atol=1e-5)


def test_two_hundred_million_ratings_one_partition_at_a_time(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "draw_pairs", lambda *args: pytest.fail("made on the driver"))
        lazy = make_ratings(1_400_000, 60_000, 200_000_000, npartitions=400)
    tracemalloc.start()
    part = lazy.partitions[7].compute(scheduler="sync")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(part) == lazy.divisions[8] - lazy.divisions[7]
    assert abs(len(part) - 500_000) < 150_000
    assert peak < 64e6
    assert not part.duplicated(["user", "item"]).any()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"n_users": 0}, ValueError, "n_users=0 must be from 1"),
        ({"n_items": 2**31 + 1}, ValueError, "n_items"),
        ({"n_users": 2.0}, TypeError, "n_users must be an integer"),
        ({"n_users": True}, TypeError, "n_users must be an integer"),
        ({"n_ratings": 9}, ValueError, "n_ratings=9 must be from n_users=10"),
        ({"n_ratings": 201}, ValueError, "n_users \\* n_items = 200"),
        ({"rank": 0}, ValueError, "rank=0 must be at least 1"),
        ({"seed": -1}, ValueError, "seed=-1"),
        ({"seed": None}, TypeError, "seed"),
        ({"noise": -0.1}, ValueError, "noise=-0.1"),
        ({"noise": float("nan")}, ValueError, "noise=nan"),
        ({"noise": "0.1"}, TypeError, "noise"),
        ({"noise": None}, TypeError, "noise"),
        ({"implicit": 1}, TypeError, "implicit"),
        ({"npartitions": 0}, ValueError, "npartitions=0"),
        ({"npartitions": 11}, ValueError, "npartitions=11 must be at most 10"),
    ],
)
def test_bad_arguments(change, error, words):
    with pytest.raises(error, match=words):
        make_ratings(**{"n_users": 10, "n_items": 20, "n_ratings": 100, **change})


def test_numpy_integers_are_integers():
    frame = make_ratings(np.int64(10), np.int32(20), np.uint16(100), seed=np.int8(0))
    pd.testing.assert_frame_equal(frame, make_ratings(10, 20, 100))
