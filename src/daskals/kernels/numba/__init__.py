"""The kernels compiled by Numba."""

from daskals.kernels.numba.grouping import counting_sort
from daskals.kernels.numba.products import add_products, products_of
from daskals.kernels.numba.random import gaussians
from daskals.kernels.numba.scores import pack_candidates, predict_pairs, top_k
from daskals.kernels.numba.solving import add_equations, no_equations, pack_sources, solve_equations, solve_rows

__all__ = [
    "add_equations",
    "add_products",
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
