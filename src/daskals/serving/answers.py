"""What a `daskals.serving.LocalModel` answers with."""

from __future__ import annotations

from typing import Any, NamedTuple


class Scored(NamedTuple):
    """An id (of an item, or of a user) and its score."""

    id: Any
    score: float


class Explanation(NamedTuple):
    """What a user's ratings add to the score of an item (`daskals.serving.LocalModel.explain`)."""

    #: the score by the ratings that were given; the shares of all of them add up to it
    score: float
    #: the score of the user's row in the model; NaN where the user or the item is not in it
    predicted: float
    #: rated items and their shares of ``score``, the largest first, of equal ones the smaller id
    shares: list[Scored]


class UnknownIdError(KeyError):
    """An id that is not in the model. It is a ``KeyError`` whose text is a sentence."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""
