"""The arithmetic, behind one set of names; arrays and numbers only, nothing of Dask."""

from daskals.kernels._numpy import name, predict_pairs, solve_rows, stable_order, top_k

__all__ = ["name", "predict_pairs", "solve_rows", "stable_order", "top_k"]
