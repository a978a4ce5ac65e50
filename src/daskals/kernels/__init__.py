"""The arithmetic, behind one set of names; arrays and numbers only, nothing of Dask.

There are two sets of kernels with the same functions in files of the same names: `daskals.kernels.numpy`, correct
everywhere and the oracle in tests, and `daskals.kernels.numba`, compiled. `daskals.kernels.backend` tells which is in
use: "numba" where Numba can be imported, "numpy" otherwise. The environment variable ``DASKALS_KERNELS`` chooses one
by that name.

The choice is made when one of these names is first read, not when this package is imported: `daskals.serving` takes
from it the types of arrays and the plain kernels, and must not bring Numba.
"""

import importlib
import logging
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

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


backend: str
add_equations: Callable[..., Any]
add_products: Callable[..., Any]
counting_sort: Callable[..., Any]
gaussians: Callable[..., Any]
no_equations: Callable[..., Any]
pack_candidates: Callable[..., Any]
pack_sources: Callable[..., Any]
predict_pairs: Callable[..., Any]
products_of: Callable[..., Any]
solve_equations: Callable[..., Any]
solve_rows: Callable[..., Any]
top_k: Callable[..., Any]

__all__ = [
    "add_equations",
    "add_products",
    "backend",
    "counting_sort",
    "gaussians",
    "no_equations",
    "pack_candidates",
    "pack_sources",
    "predict_pairs",
    "products_of",
    "solve_equations",
    "solve_rows",
    "top_k",
]


def __getattr__(name: str) -> Any:
    """Choose a set of kernels, and put all its names here: from then on they are found without this function."""
    if name not in __all__:
        raise AttributeError(f"module 'daskals.kernels' has no attribute {name!r}")
    chosen, functions = _choose(os.environ.get("DASKALS_KERNELS", "").lower())
    names = {each: getattr(functions, each) for each in __all__ if each != "backend"}
    # two threads may come here at once: both put the same there, and what a caller has replaced since is kept
    for each, value in {"backend": chosen, **names}.items():
        globals().setdefault(each, value)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
