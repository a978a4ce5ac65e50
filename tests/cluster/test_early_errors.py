"""An error in one of many partitions comes soon: a cluster does not read the others first."""

import time

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from daskals import ALS

pytestmark = pytest.mark.slow  # the cluster

N_PARTITIONS, BAD = 200, 2
RATINGS = pd.DataFrame({"user": [1, 1, 2], "item": [1, 2, 1], "rating": [4.0, 2.0, 3.0]})


def test_a_bad_row_in_partition_2_of_200_is_told_before_the_others_are_read(cluster, tmp_path):
    """Once the bad partition was read, the others take 0.2 s each; the error is looked for every 0.5 s.

    Each partition that is read leaves a file. (In which order they are read is Dask's choice.)
    """
    bad, later = tmp_path / "bad", tmp_path / "later"
    later.mkdir()

    def read(number):
        if bad.exists():
            (later / str(number)).touch()
            time.sleep(0.2)
        if number == BAD:
            bad.touch()
        return RATINGS.assign(rating=np.nan) if number == BAD else RATINGS

    frame = dd.from_map(read, range(N_PARTITIONS), meta=RATINGS.iloc[:0])
    with cluster.as_current(), pytest.raises(ValueError, match="'rating' is null or NaN in row 0"):
        ALS(rank=1).fit(frame)
    assert bad.exists()
    assert len(list(later.iterdir())) <= 30
