"""What Spark's ALS writes for its shuffles, by Spark's own event log; a program for the Python that has pyspark.

Its one argument is a job as JSON. It prints, as JSON, for each number of iterations the bytes that the tasks of that
fit wrote ("Shuffle Bytes Written"), and the seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any


def shuffled(log: Path) -> dict[str, int]:
    """The shuffle bytes that tasks wrote, by the group of jobs that they belong to."""
    group_of: dict[int, str] = {}
    written: Counter[str] = Counter()
    with log.open() as lines:
        for event in map(json.loads, lines):
            if event["Event"] == "SparkListenerStageSubmitted":
                group_of[event["Stage Info"]["Stage ID"]] = event["Properties"].get("spark.jobGroup.id", "")
            elif event["Event"] == "SparkListenerTaskEnd" and event.get("Task Metrics"):
                metrics = event["Task Metrics"]["Shuffle Write Metrics"]
                written[group_of[event["Stage ID"]]] += metrics["Shuffle Bytes Written"]
    return dict(written)


def session(job: dict[str, Any], logs: Path) -> Any:
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    return (
        SparkSession.builder.master(f"local[{job['threads']}]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", job["memory"])
        .config("spark.local.dir", job["folder"])
        .config("spark.sql.warehouse.dir", str(Path(job["folder"]) / "warehouse"))
        .config("spark.eventLog.enabled", "true")
        .config("spark.eventLog.dir", logs.as_uri())
        .config("spark.eventLog.compress", "false")
        .config("spark.eventLog.rolling.enabled", "false")
        .getOrCreate()
    )


def main() -> None:
    job = json.loads(sys.argv[1])
    logs = Path(job["folder"]) / "events"
    logs.mkdir()
    spark = session(job, logs)
    spark.sparkContext.setLogLevel("ERROR")
    from pyspark.ml.recommendation import ALS

    frame = spark.read.parquet(job["data"]).cache()
    frame.count()
    seconds = {}
    for iterations in job["iterations"]:
        spark.sparkContext.setJobGroup(str(iterations), "a fit")
        start = time.perf_counter()
        model = ALS(
            rank=job["rank"],
            maxIter=iterations,
            regParam=0.05,
            seed=1,
            numUserBlocks=job["blocks"],
            numItemBlocks=job["blocks"],
            implicitPrefs=job["implicit"],
        ).fit(frame)
        model.userFactors.count()
        model.itemFactors.count()
        seconds[iterations] = time.perf_counter() - start
    spark.stop()
    (log,) = logs.iterdir()
    written = shuffled(log)
    print(json.dumps({str(n): {"written": written[str(n)], "seconds": s} for n, s in seconds.items()}), flush=True)


if __name__ == "__main__":
    main()
