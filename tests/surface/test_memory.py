"""Peak memory of whole jobs on threads, each in a process of its own."""

import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

GIGABYTE = 2**30

PRELUDE = '''
from pathlib import Path

import dask
import numpy as np

from daskals import ALS
from daskals.datasets import make_ratings


def peak():
    """Peak resident bytes of this process. (ru_maxrss would begin with those of the process that started it.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


dask.config.set(scheduler="threads", num_workers=4)
'''


def run(tmp_path, code):
    """The numbers that a new process prints that runs ``code``."""
    script = tmp_path / "job.py"
    script.write_text(PRELUDE + code)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


def test_two_million_ratings_are_fitted_within_a_gigabyte(tmp_path):
    before, after, rmse = run(
        tmp_path,
        """
ratings = make_ratings(60_000, 8_000, 2_000_000)
before = peak()
model = ALS(rank=16, maxIter=5).fit(ratings)
print(before, peak(), model.history["rmse"].iloc[-1])
""",
    )
    print(f"peak {after / 2**20:.0f} MB, of which {before / 2**20:.0f} MB before the fit; RMSE {rmse:.3f}")
    assert after < GIGABYTE
    assert rmse < 0.5, "it did fit"


def test_recommending_never_holds_the_whole_score_matrix(tmp_path):
    """The scores of 20,000 users and items are 1.6 GB in float32."""
    before, after, rows = run(
        tmp_path,
        """
ratings = make_ratings(20_000, 20_000, 200_000).drop_duplicates("user")
ratings = ratings.assign(item=np.arange(20_000), rating=ratings["rating"].to_numpy())
model = ALS(rank=8, maxIter=1).fit(ratings)
before = peak()
found = model.recommendForAllUsers(10)
assert found["recommendations"].map(len).eq(10).all()
print(before, peak(), len(found) * len(model.itemFactors))
""",
    )
    print(f"peak {after / 2**20:.0f} MB, of which {before / 2**20:.0f} MB before recommending")
    assert rows == 20_000**2
    assert after < GIGABYTE
    assert after - before < GIGABYTE / 2
