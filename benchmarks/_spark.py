"""Apache Spark's ALS, in local mode. It tells nothing of its iterations: their time is a difference of fits.

The frame is read, cached and counted before the clock starts. A fit ends when both factor frames were counted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from _common import versions
from _worker import Base, Missing, by_id

MEMORY = "8g"
#: Share of the ratings that Spark warms up on.
WARM_UP = 0.05


class Contender(Base):
    def prepare(self) -> None:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ["PYSPARK_PYTHON"] = sys.executable
        from pyspark.sql import SparkSession

        self.spark = (
            SparkSession.builder.master(f"local[{self.job['threads']}]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.memory", MEMORY)
            .config("spark.local.dir", self.job["folder"])
            .config("spark.sql.warehouse.dir", str(Path(self.job["folder"]) / "warehouse"))
            .getOrCreate()
        )
        self.spark.sparkContext.setLogLevel("ERROR")
        self._warm_up()
        self.frame = self.spark.read.parquet(self.job["data"]).cache()
        self.frame.count()
        java = self.spark.sparkContext._jvm.System.getProperty("java.version")
        self.run.versions = versions("pyspark", "numpy") | {"java": java, "driver memory": MEMORY}

    def _warm_up(self) -> None:
        """A twentieth of the ratings, so that the JVM has compiled what a fit needs before one is timed."""
        some = self.spark.read.parquet(self.job["data"]).sample(WARM_UP, seed=1)
        model = self._estimator(3).fit(some)
        model.transform(some.limit(1000)).selectExpr("sum(prediction)").first()

    def _estimator(self, iterations: int):
        from pyspark.ml.recommendation import ALS

        job = self.job
        return ALS(
            rank=job["rank"],
            maxIter=iterations,
            regParam=job["reg"],
            alpha=job["alpha"],
            implicitPrefs=job["implicit"],
            seed=job["seed"],
        )

    def fit(self, iterations: int, *, cg: bool, name: str) -> None:
        if cg:
            raise Missing
        with self.run.phase(name):
            self.model = self._estimator(iterations).fit(self.frame)
            self.model.userFactors.count()
            self.model.itemFactors.count()

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        return self._rows("userFactors"), self._rows("itemFactors")

    def _rows(self, side: str) -> np.ndarray:
        path = str(Path(self.job["folder"]) / side)
        getattr(self.model, side).write.mode("overwrite").parquet(path)
        frame = pd.read_parquet(path)
        return by_id(frame["id"].to_numpy(), np.stack(frame["features"].to_numpy()))

    def transform(self) -> None:
        with self.run.phase("transform"):
            scored = self.model.transform(self.frame)
            count, _ = scored.selectExpr("count(*)", "sum(prediction)").first()
        assert count == self.frame.count()

    def recommend(self) -> None:
        with self.run.phase("recommend"):
            self.model.recommendForAllUsers(10).write.format("noop").mode("overwrite").save()

    def close(self) -> None:
        self.spark.stop()
