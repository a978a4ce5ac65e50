"""daskals: on Dask's threads or on a cluster of processes here, from a pandas frame or from Parquet."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
from _common import versions
from _worker import Base, Run, by_id, read_ratings, small_frame
from distributed import Client, LocalCluster

from daskals import ALS, kernels

#: Row groups of Parquet in a partition; `_common.ratings_file` makes groups of a quarter of a million.
ROW_GROUPS = 2


class Contender(Base):
    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.iteration_seconds = []
        self.client: Client | None = None

    def prepare(self) -> None:
        if self.job.get("cluster"):
            with self.run.phase("cluster"):
                self.client = Client(LocalCluster(n_workers=self.job["threads"], threads_per_worker=1))
        else:
            dask.config.set(scheduler="threads", num_workers=self.job["threads"])
        if self.job.get("from_parquet"):
            self.frame = dd.read_parquet(self.job["data"], split_row_groups=ROW_GROUPS)
        else:
            self.frame = read_ratings(self.job["data"])
        # loads the compiled kernels, or compiles them where that was never done
        small = small_frame()
        for cg in (False, True):
            model = self.estimator(2, cg=cg).fit(dd.from_pandas(small, npartitions=8) if self.client else small)
        model.transform(small)
        model.recommendForAllUsers(10)
        # an older checkout that is compared has another name for it
        backend = getattr(kernels, "backend", None) or kernels.name
        self.run.versions = versions("numpy", "numba", "dask") | {"kernels": backend}

    def estimator(self, iterations: int, *, cg: bool) -> ALS:
        job = self.job
        return ALS(
            rank=job["rank"],
            maxIter=iterations,
            regParam=job["reg"],
            alpha=job["alpha"],
            implicitPrefs=job["implicit"],
            seed=job["seed"],
            solver="cg" if cg else "cholesky",
        )

    def fit(self, iterations: int, *, cg: bool, name: str) -> None:
        self.model = None
        with self.run.phase(name):
            self.model = self.estimator(iterations, cg=cg).fit(self.frame)
        self.iteration_seconds = self.model.history["seconds"].tolist()
        self.run.histories[name] = self.model.history["objective"].tolist()

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        return _rows(self.model.userFactors), _rows(self.model.itemFactors)

    def transform(self) -> None:
        with self.run.phase("transform"):
            scored = self.model.transform(self.frame)
        assert len(scored) == len(self.frame)

    def recommend(self) -> None:
        with self.run.phase("recommend"):
            best = self.model.recommendForAllUsers(10)
        assert best["user"].is_unique

    def close(self) -> None:
        if self.client is not None:
            self.client.close()
            self.client.cluster.close()


def _rows(frame: pd.DataFrame) -> np.ndarray:
    ids = frame["id"].to_numpy()
    features = pa.chunked_array(pa.array(frame["features"])).combine_chunks().flatten()
    return by_id(ids, features.to_numpy().reshape(len(ids), -1))
