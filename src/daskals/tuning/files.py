"""Parts of a saved tuning model: its sub-models in their folders, and its metrics as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from daskals.io.directories import join
from daskals.io.frames import FrameKind
from daskals.recommendation.model import ALSModel

Metrics = Sequence[float]


def load_models(path: str, folder: str, n: int, kind: FrameKind) -> list[ALSModel]:
    """The models 0 to ``n`` - 1 of a folder."""
    return [ALSModel._load(join(path, folder, str(number)), kind) for number in range(n)]


def by_folder(folder: str, models: list[Any]) -> dict[str, Any]:
    """Models in lists, each with its folder as Spark names it."""
    found: dict[str, Any] = {}
    for number, each in enumerate(models):
        if isinstance(each, list):
            found |= by_folder(f"{folder}/fold{number}", each)
        else:
            found[f"{folder}/{number}"] = each
    return found


def encode_metrics(metrics: Metrics) -> list[float | str]:
    """Metrics for JSON, which has no NaN and no infinity: Spark writes them as strings."""
    return [float(each) if np.isfinite(each) else json.dumps(float(each)) for each in metrics]


def decode_metrics(path: str, fields: dict[str, Any], name: str) -> list[float]:
    """Metrics from metadata; ``ValueError`` that names the path if they are no numbers."""
    try:
        return [float(each) for each in fields.get(name, [])]
    except (TypeError, ValueError) as error:
        raise ValueError(f"The metadata of {path} hold no numbers in {name}: {error}") from None
