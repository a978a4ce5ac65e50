"""The arithmetic, behind one set of names; arrays and numbers only, nothing of Dask.

`daskals.kernels.name` tells which set is in use: "numba" where Numba is installed, "numpy" otherwise. The
environment variable ``DASKALS_KERNELS`` chooses one by that name.
"""

import importlib
import logging
import os
from importlib.util import find_spec

from daskals.kernels._numpy_equations import are_too_few, conjugate_gradients, row_sums, solve_equations

_logger = logging.getLogger("daskals")

_chosen = os.environ.get("DASKALS_KERNELS", "").lower() or ("numba" if find_spec("numba") else "numpy")
if _chosen not in ("numba", "numpy"):
    raise ValueError(f"DASKALS_KERNELS={_chosen!r} is not allowed: it must be 'numba' or 'numpy'")
if _chosen == "numpy" and not find_spec("numba"):
    _logger.info(
        "daskals runs on plain NumPy; with Numba (pip install 'daskals[fast]') fits take a fraction of the time"
    )

_module = importlib.import_module(f"daskals.kernels._{_chosen}")

name: str = _module.name
solve_rows = _module.solve_rows
no_equations = _module.no_equations
add_equations = _module.add_equations
whole_equations = _module.whole_equations
gaussians = _module.gaussians
regroup = _module.regroup
predict_pairs = _module.predict_pairs
top_k = _module.top_k

__all__ = [
    "add_equations",
    "are_too_few",
    "conjugate_gradients",
    "gaussians",
    "name",
    "no_equations",
    "predict_pairs",
    "regroup",
    "row_sums",
    "solve_equations",
    "solve_rows",
    "top_k",
    "whole_equations",
]
