"""What evaluators make of one partition.

A partition comes in, a few numbers go out. What is wrong inside a partition (a missing label, say) is counted there
(`Faults`), and raised by the caller with the counts of all partitions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from daskals.evaluation.checks import Faults, raise_faults, require_rows
from daskals.evaluation.ranking import Lists, ranking_scores
from daskals.evaluation.regression import Moments, regression_moments

T = TypeVar("T")


def regression_part(part: pd.DataFrame, columns: Mapping[str, str]) -> tuple[Moments, Faults]:
    """The moments of a partition's rows, and what is wrong with them."""
    values = {r: part[column].to_numpy(dtype="float64", na_value=np.nan) for r, column in columns.items()}
    faults: Faults = Counter()
    for role in columns.keys() - {"predictionCol"}:
        faults[f"missing values in {role} {columns[role]!r}"] = int(np.isnan(values[role]).sum())
    weight = values.get("weightCol")
    if weight is not None:
        faults[f"negative values in weightCol {columns['weightCol']!r}"] = int((weight < 0).sum())
    return regression_moments(values["predictionCol"], values["labelCol"], weight), faults


def ranking_part(part: pd.DataFrame, columns: Mapping[str, str], score: tuple[str, int]) -> tuple[float, int, Faults]:
    """The sum of the scores of a partition's rows, their number, and what is wrong with them."""
    faults: Faults = Counter()
    lists = []
    for role, column in columns.items():
        what = f"{role} {column!r}"
        faults[f"missing lists in {what}"] = int(part[column].isna().sum())
        lists.append(read_column(part[column], what, Lists.from_arrow))
    name, k = score
    return math.fsum(ranking_scores(name, lists[0], lists[1], k)), len(part), faults


def mean_score(parts: list[tuple[float, int, Faults]], name: str) -> float:
    """The mean score over the rows of all parts."""
    raise_faults(faults for _, _, faults in parts)
    rows = sum(count for _, count, _ in parts)
    require_rows(rows, name)
    return math.fsum(total for total, _, _ in parts) / rows


def read_column(column: Any, what: str, convert: Callable[[Any], T]) -> T:
    """A column as one Arrow array, converted; errors say which column it is."""
    try:
        values = column.array if isinstance(column.dtype, pd.ArrowDtype) else column.to_numpy()
        cells = pa.array(values, from_pandas=True)
        return convert(cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells)
    except (TypeError, pa.ArrowInvalid) as error:
        raise TypeError(f"{what} cannot be read: {error}") from None
    except ValueError as error:
        raise ValueError(f"{what} cannot be read: {error}") from None
