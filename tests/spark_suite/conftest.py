"""A Spark beside daskals, where there is one, and the tolerance that a test has declared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

JAVA = 17
collect_ignore = ["written/write.py"]  # a script that starts a Spark, and no module with examples


@pytest.fixture
def tolerance(request: pytest.FixtureRequest) -> float:
    """What the test has declared with `spark_suite.report.spark_test`."""
    return request.function.tolerance


def java_version() -> int | None:
    """The major version of the Java that pyspark will start: that of JAVA_HOME, else the one on the path."""
    home = os.environ.get("JAVA_HOME")
    if not (java := shutil.which("java", path=f"{home}/bin" if home else None)):
        return None
    shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', shown)
    return int(found[1]) if found else None


def why_no_spark() -> str | None:
    """The reason why no Spark can be started, None if it can."""
    if find_spec("pyspark") is None:
        return "needs pyspark: pip install 'daskals[spark]'"
    version = java_version()
    if version is None:
        return f"needs Java {JAVA} or later: there is none in JAVA_HOME or on the path"
    return f"needs Java {JAVA} or later: this one is {version}" if version < JAVA else None


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A SparkSession on two threads."""
    if reason := why_no_spark():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("spark")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        # a session of a minute: compile quickly rather than well, and no threads for garbage
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "OFF",
        "spark.pyspark.python": sys.executable,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[2]").appName("daskals")
        for key, value in settings.items():
            builder = builder.config(key, value)
        session = builder.getOrCreate()
    yield session
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session.stop()
