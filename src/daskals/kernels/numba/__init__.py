"""The kernels compiled by Numba."""

from daskals.kernels.numba.grouping import counting_sort
from daskals.kernels.numba.random import gaussians
from daskals.kernels.numba.scores import predict_pairs, top_k
from daskals.kernels.numba.solving import add_equations, no_equations, solve_rows, whole_equations

__all__ = [
    "add_equations",
    "counting_sort",
    "gaussians",
    "no_equations",
    "predict_pairs",
    "solve_rows",
    "top_k",
    "whole_equations",
]
