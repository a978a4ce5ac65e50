"""What every part of a model needs: its factors, the names of its columns, and whether its factors can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dask.delayed import Delayed

from daskals.engine.factors import FactorMatrix
from daskals.execution.scheduler import check_holders
from daskals.io.frames import FrameKind
from daskals.io.id_types import IdType
from daskals.io.model_files import Factors
from daskals.params.param import Param
from daskals.recommendation.parameters import ModelParams


class Side(NamedTuple):
    """One side of a model: its factors, the name of its column, and how its ids are shown."""

    matrix: FactorMatrix
    column: str
    ids: IdType


class HoldsFactors(ModelParams):
    """The factors of a model and its parameters. What is done with them is in classes that inherit from this one."""

    _setters = ("userCol", "itemCol", "predictionCol", "coldStartStrategy", "blockSize")

    def __init__(self, factors: Factors, frame_kind: FrameKind) -> None:
        super().__init__()
        self._factors = factors
        self._frame_kind = frame_kind

    def _convert(self, values: Mapping[str, Any]) -> dict[Param, Any]:
        """Check the range as well: unlike an estimator, a model can be used at once."""
        converted = super()._convert(values)
        self._require_range(converted)
        return converted

    @property
    def rank(self) -> int:
        """The number of factors."""
        return self._factors.users.rank

    def _sides(self, users_first: bool) -> tuple[Side, Side]:
        users = Side(self._factors.users, self.getUserCol(), self._factors.user_ids)
        items = Side(self._factors.items, self.getItemCol(), self._factors.item_ids)
        return (users, items) if users_first else (items, users)

    def _check_alive(self) -> None:
        """``RuntimeError`` if the factors were on a cluster whose client is closed."""
        check_holders(self._factor_tasks())

    def _factor_tasks(self) -> list[Delayed]:
        """Tasks that hold the factors, the ids and the counts of both sides."""
        sides = self._factors.users, self._factors.items
        tasks = [task for side in sides for task in (side.ids, side.counts, *side.blocks)]
        return [task for task in tasks if task is not None]
