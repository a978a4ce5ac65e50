"""Metrics of predicted numbers, as functions of arrays.

A part of the data is summed up in ten numbers (`Moments`), parts are merged, and a metric is read off the merged
numbers. So each row is looked at once, and what travels is tiny. Scatter (the sum of squares about the mean) is kept
instead of plain sums of squares: with labels near 1e8 the difference of two plain sums of squares has no correct digit
left.

Counterpart in Spark: ``mllib.evaluation.RegressionMetrics``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from daskals.evaluation.ranking import Float64

#: Names of the metrics; the first one is Spark's default.
REGRESSION_METRICS = ("rmse", "mse", "r2", "mae", "var")


class Moments(NamedTuple):
    """What is kept of rows (prediction p, label y, weight w). Means and sums are weighted; the error is y - p."""

    rows: int  #: number of rows, those of weight 0 included
    weight: float = 0.0  #: sum of w
    weight_squares: float = 0.0  #: sum of w^2
    label_mean: float = 0.0
    label_scatter: float = 0.0  #: sum of w (y - mean y)^2
    prediction_mean: float = 0.0
    prediction_scatter: float = 0.0  #: sum of w (p - mean p)^2
    error_sum: float = 0.0  #: sum of w (y - p)
    error_squares: float = 0.0  #: sum of w (y - p)^2
    error_abs: float = 0.0  #: sum of w |y - p|


def regression_moments(prediction: Float64, label: Float64, weight: Float64 | None = None) -> Moments:
    """Sum up rows, given as arrays of one length; ``weight`` None means 1 for each.

    Rows of weight 0 have no influence, not even if they hold a NaN (as in Spark's summarizer).

    >>> float(regression_moments(np.array([1.5, 1.0, 3.0]), np.array([1.0, 2.0, 4.0])).error_squares)
    2.25
    """
    rows = len(label)
    w = np.ones(rows) if weight is None else weight
    used = w != 0
    y, p, w = label[used], prediction[used], w[used]
    if not len(w):
        return Moments(rows)
    with np.errstate(all="ignore"):  # NaN and infinity are for the caller to see, in the metric
        e = y - p
        scatters = *_mean_and_scatter(w, y), *_mean_and_scatter(w, p)
        return Moments(rows, w.sum(), w @ w, *scatters, w @ e, w @ e**2, w @ np.abs(e))


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """The moments of the rows of all parts, after Chan, Golub and LeVeque (1979), for any number of parts.

    Scatter about the common mean is the parts' own scatter plus the scatter of their means; nothing large is
    subtracted from anything large.
    """
    rows = sum(part.rows for part in parts)
    parts = [part for part in parts if part.weight != 0]
    if not parts:
        return Moments(rows)
    m: Any = Moments(*np.array(parts, dtype=np.float64).T)  # an array per field, an element per part
    with np.errstate(all="ignore"):
        label = _mean_and_scatter(m.weight, m.label_mean, m.label_scatter)
        prediction = _mean_and_scatter(m.weight, m.prediction_mean, m.prediction_scatter)
        errors = m.error_sum.sum(), m.error_squares.sum(), m.error_abs.sum()
        return Moments(rows, m.weight.sum(), m.weight_squares.sum(), *label, *prediction, *errors)


def _mean_and_scatter(weight: Float64, value: Float64, inner: Any = 0.0) -> tuple[float, float]:
    """Of rows, or of parts with a mean and an ``inner`` scatter each."""
    offset = value - value[0]  # small numbers to add up, where the values themselves may be near 1e8
    shift = weight @ offset / weight.sum()
    return value[0] + shift, np.sum(inner) + weight @ (offset - shift) ** 2


def regression_metric(name: str, moments: Moments, through_origin: bool = False) -> float:
    """One of rmse, mse, mae, r2, var; the sum of weights must be positive.

    ============  ===========================================================================
    mse, rmse     sum w (y - p)^2 / W, where W = sum w, and its square root
    mae           sum w abs(y - p) / W
    var           sum w (p - mean y)^2 / W
    r2            1 - sum w (y - p)^2 / SStot
    SStot         sum w (y - mean y)^2 (W - 1) / (W - sum w^2 / W): Spark multiplies the
                  unbiased variance by W - 1. Where all weights are 1 the two factors cancel
    SStot         sum w y^2 for a regression through the origin
    ============  ===========================================================================

    Raises ``ValueError`` for r2 with weights that do not add up to more than 1: SStot would not be positive, and
    r2 would be above 1 for predictions that are wrong.
    """
    m, total = moments, np.float64(moments.weight)
    with np.errstate(all="ignore"):  # r2 of constant labels is -inf or NaN, as in Spark
        if name == "mse":
            return float(m.error_squares / total)
        if name == "rmse":
            return float(np.sqrt(m.error_squares / total))
        if name == "mae":
            return float(m.error_abs / total)
        if name == "var":
            return float(m.prediction_scatter / total + (m.error_sum / total) ** 2)
        if name == "r2":
            return float(1 - m.error_squares / _total_squares(moments, through_origin))
    raise ValueError(f"There is no metric {name!r}; the metrics are {', '.join(REGRESSION_METRICS)}")


def _total_squares(moments: Moments, through_origin: bool) -> np.float64:
    total = moments.weight
    if through_origin:
        return np.float64(moments.label_scatter + total * moments.label_mean**2)
    unbiased = total - moments.weight_squares / total
    if unbiased <= 0:  # a single row: no variance to speak of
        return np.float64(0)
    if total <= 1:
        raise ValueError(
            "r2 as Spark defines it has (sum of weights - 1) in a denominator, so the weights must add up to more "
            f"than 1; they add up to {total:g}. Multiply them by a constant: no other metric minds"
        )
    return np.float64(moments.label_scatter * ((total - 1) / unbiased))
