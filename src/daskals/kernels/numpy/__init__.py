"""The kernels in plain NumPy and SciPy."""

from daskals.kernels.numpy.grouping import counting_sort
from daskals.kernels.numpy.random import gaussians
from daskals.kernels.numpy.scores import predict_pairs, top_k
from daskals.kernels.numpy.solving import add_equations, no_equations, solve_rows, whole_equations

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
