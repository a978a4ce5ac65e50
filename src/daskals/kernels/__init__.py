"""The arithmetic, behind one set of names; arrays and numbers only, nothing of Dask.

There are two sets of kernels with the same functions in files of the same names: `daskals.kernels.numpy`, correct
everywhere and the oracle in tests, and `daskals.kernels.numba`, compiled. `daskals.kernels.backend` tells which is in
use: "numba" where Numba is installed, "numpy" otherwise. The environment variable ``DASKALS_KERNELS`` chooses one by
that name.
"""

import importlib
import logging
import os
from importlib.util import find_spec

_logger = logging.getLogger("daskals")

_chosen = os.environ.get("DASKALS_KERNELS", "").lower() or ("numba" if find_spec("numba") else "numpy")
if _chosen not in ("numba", "numpy"):
    raise ValueError(f"DASKALS_KERNELS={_chosen!r} is not allowed: it must be 'numba' or 'numpy'")
if _chosen == "numpy" and not find_spec("numba"):
    _logger.info(
        "daskals runs on plain NumPy; with Numba (pip install 'daskals[fast]') fits take a fraction of the time"
    )

_kernels = importlib.import_module(f"daskals.kernels.{_chosen}")

backend: str = _chosen
solve_rows = _kernels.solve_rows
no_equations = _kernels.no_equations
add_equations = _kernels.add_equations
whole_equations = _kernels.whole_equations
gaussians = _kernels.gaussians
counting_sort = _kernels.counting_sort
predict_pairs = _kernels.predict_pairs
top_k = _kernels.top_k

__all__ = [
    "add_equations",
    "backend",
    "counting_sort",
    "gaussians",
    "no_equations",
    "predict_pairs",
    "solve_rows",
    "top_k",
    "whole_equations",
]
