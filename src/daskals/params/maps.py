"""Maps of parameters as arguments: one, or a list of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from daskals.params.param import ParamMap


def require_map(extra: ParamMap | None) -> dict[Any, Any]:
    """The ``extra`` argument of ``copy`` as a dict, empty for None; ``TypeError`` if it is no map."""
    if extra is not None and not isinstance(extra, Mapping):
        raise TypeError(f"copy takes a map from parameters to values, got {extra!r}")
    return dict(extra or {})


def read_param_maps(params: ParamMap | Iterable[ParamMap] | None) -> tuple[list[ParamMap], bool]:
    """The ``params`` argument of ``fit`` as a list of maps, and whether the caller gave a list.

    Raises ``TypeError`` for anything that is neither a map nor a list or tuple of maps.
    """
    if params is None:
        return [{}], False
    if isinstance(params, Mapping):
        return [params], False
    if isinstance(params, list | tuple) and all(isinstance(each, Mapping) for each in params):
        return list(params), True
    raise TypeError(
        f"params must be a map from parameters to values, or a list of such maps, got {type(params).__name__}"
    )
