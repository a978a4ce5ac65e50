"""Parts of a saved tuning model: its sub-models in their folders, and its metrics as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


def decode_metrics(path: str, fields: dict[str, Any], name: str) -> list[float]:
    """Metrics from metadata; ``ValueError`` that names the path if they are no numbers."""
    try:
        return [float(each) for each in fields.get(name, [])]
    except (TypeError, ValueError) as error:
        raise ValueError(f"The metadata of {path} hold no numbers in {name}: {error}") from None
