"""The arithmetic, behind one set of names; arrays and numbers only, nothing of Dask.

There are two sets of kernels with the same functions in files of the same names: `daskals.kernels.numpy`, correct
everywhere and the oracle in tests, and `daskals.kernels.numba`, compiled. `daskals.kernels.backend` tells which is in
use: "numba" where Numba can be imported, "numpy" otherwise. The environment variable ``DASKALS_KERNELS`` chooses one
by that name.
"""

import importlib
import logging
import os
from types import ModuleType

_logger = logging.getLogger("daskals")


def _choose(wanted: str) -> tuple[str, ModuleType]:
    """The name and the module of a set of kernels: the one that is wanted, "numba" or "numpy", or else the faster.

    Raises ValueError if ``wanted`` is another word, and ImportError if it is "numba" and Numba cannot be imported.
    """
    if wanted not in ("", "numba", "numpy"):
        raise ValueError(f"DASKALS_KERNELS={wanted!r} is not allowed: it must be 'numba' or 'numpy'")
    if wanted != "numpy":
        try:
            return "numba", importlib.import_module("daskals.kernels.numba")
        except Exception as error:  # a damaged installation of Numba raises anything
            why = f"{type(error).__name__}: {error}"
            if wanted == "numba":
                raise ImportError(
                    f"DASKALS_KERNELS=numba asks for compiled kernels, but Numba cannot be imported ({why}). Install "
                    "it (pip install 'daskals[fast]'), or unset DASKALS_KERNELS."
                ) from error
            if isinstance(error, ModuleNotFoundError) and error.name == "numba":
                _logger.info(
                    "daskals runs on plain NumPy; with Numba (pip install 'daskals[fast]') fits take a fraction of "
                    "the time"
                )
            else:
                _logger.warning(
                    "daskals runs on plain NumPy, which takes several times as long, since Numba cannot be imported "
                    "(%s). Install it again, or set DASKALS_KERNELS=numpy to run without it and without this warning.",
                    why,
                )
    return "numpy", importlib.import_module("daskals.kernels.numpy")


backend, _kernels = _choose(os.environ.get("DASKALS_KERNELS", "").lower())
add_equations = _kernels.add_equations
counting_sort = _kernels.counting_sort
gaussians = _kernels.gaussians
no_equations = _kernels.no_equations
pack_candidates = _kernels.pack_candidates
pack_sources = _kernels.pack_sources
predict_pairs = _kernels.predict_pairs
solve_equations = _kernels.solve_equations
solve_rows = _kernels.solve_rows
top_k = _kernels.top_k

__all__ = [
    "add_equations",
    "backend",
    "counting_sort",
    "gaussians",
    "no_equations",
    "pack_candidates",
    "pack_sources",
    "predict_pairs",
    "solve_equations",
    "solve_rows",
    "top_k",
]
