"""Who takes part in `compare.py`: names, packages, modules, what each one minimises and what its process needs."""

from __future__ import annotations

import argparse
from pathlib import Path

US = "daskals"
PEERS = ("spark", "implicit", "cmfrec", "daskals-numpy")
#: The package to look for, for each peer that is one.
PACKAGES = {"spark": "pyspark", "implicit": "implicit", "cmfrec": "cmfrec"}
#: BLAS threads of its own would fight with those of implicit, which asks for this; cmfrec calls BLAS likewise.
ENVIRONMENTS = {
    "implicit": {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    "cmfrec": {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    "daskals-numpy": {"DASKALS_KERNELS": "numpy"},
}
#: Which objective of `_common.objectives` a contender minimises, in explicit and in implicit mode.
MINIMISES = {
    "daskals": ("weighted", "weighted"),
    "daskals-numpy": ("weighted", "weighted"),
    "spark": ("weighted", "weighted"),
    "implicit": (None, "plain"),
    "cmfrec": ("weighted", "plain"),
}
#: What precedes the folder of another version.
VERSION = f"{US}@"
#: The module here that has the `Contender`.
MODULES = {
    "daskals": "_ours",
    "daskals-numpy": "_ours",
    "spark": "_spark",
    "implicit": "_implicit",
    "cmfrec": "_cmfrec",
}


def peer(name: str) -> str:
    """The name of a peer as it was given, if there is such a peer."""
    if name in PEERS or (name.startswith(VERSION) and Path(name.removeprefix(VERSION), "daskals").is_dir()):
        return name
    known = ", ".join(PEERS)
    raise argparse.ArgumentTypeError(f"{name!r} is none of {known}, {VERSION}FOLDER (with a folder daskals in it)")


def kind_of(contender: str) -> str:
    """The contender itself, without the folder that a version comes from."""
    return contender.partition("@")[0]


def environment_of(contender: str) -> dict[str, str]:
    """The variables that its process needs."""
    if contender.startswith(VERSION):
        return {"PYTHONPATH": str(Path(contender.removeprefix(VERSION)).resolve())}
    return ENVIRONMENTS.get(contender, {})
