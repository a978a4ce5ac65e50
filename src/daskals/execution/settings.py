"""Reading the keys of daskals in Dask's configuration. ``daskals.yaml`` has their defaults, and says what they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any, Literal

import dask
import yaml
from dask.utils import parse_bytes, parse_timedelta

dask.config.update_defaults(yaml.safe_load(files("daskals").joinpath("daskals.yaml").read_text()))


@dataclass(frozen=True)
class Settings:
    """The values of all keys at one moment. The key ``daskals.block-bytes`` is the field ``block_bytes``, and so on."""

    user_blocks: int | None
    item_blocks: int | None
    blocks_per_thread: int
    block_ratings: int
    block_bytes: int
    max_blocks: int
    panels: int
    #: a share of a worker's memory: 0.25 is a quarter
    factor_share: float
    #: whether source rows travel in half-steps, or sums for the rows that are solved (`daskals.engine.forms`)
    half_step: Literal["auto", "gather", "reduce"]
    retries: int
    durable_bytes: int
    #: seconds; None: wait for ever
    no_worker_timeout: float | None
    #: the same
    paused_timeout: float | None
    #: seconds; None: leave it to Dask
    hung_worker_timeout: float | None
    checkpoint_dir: str | None
    #: whether progress is shown; "auto" where somebody is likely to look
    progress: Literal["auto"] | bool


def read_settings() -> Settings:
    """The configuration as it is now; ``ValueError`` that names the key and what is allowed if a value is not."""
    return Settings(**{field.name: read_setting(field.name) for field in fields(Settings)})


def read_setting(field: str) -> Any:
    """One of them alone."""
    key = f"daskals.{field.replace('_', '-')}"
    value = dask.config.get(key)
    convert, allowed = _CONVERSIONS[field]
    try:
        return convert(value)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):  # Dask's parsers raise all of these
        raise ValueError(f"{key} is {value!r} in Dask's configuration, and must be {allowed}") from None


def _number(least: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if int(value) < least or int(value) != float(value):
            raise ValueError(value)
        return int(value)

    return convert


def _optional(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _size(least: int) -> Callable[[Any], int]:
    return lambda value: _number(least)(parse_bytes(value))


def _not_negative(convert: Callable[[Any], Any]) -> Callable[[Any], float]:
    def converted(value: Any) -> float:
        number = float(convert(value))
        if not number >= 0:  # NaN too
            raise ValueError(value)
        return number

    return converted


def _switch(value: Any) -> Literal["auto"] | bool:
    words: dict[str, Literal["auto"] | bool] = {"auto": "auto", "true": True, "false": False}
    return words[str(value).lower()]


def _one_of(*words: str) -> Callable[[Any], str]:
    return lambda value: {word: word for word in words}[str(value).lower()]


#: For each field, the function that reads a value of the configuration, and words for what it allows.
_CONVERSIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "user_blocks": (_optional(_number(1)), "null or a whole number >= 1"),
    "item_blocks": (_optional(_number(1)), "null or a whole number >= 1"),
    "blocks_per_thread": (_number(1), "a whole number >= 1"),
    "block_ratings": (_number(0), "a whole number >= 0"),
    "block_bytes": (_size(1), 'a size above 0, such as "128MiB"'),
    "max_blocks": (_number(1), "a whole number >= 1"),
    "panels": (_number(1), "a whole number >= 1"),
    "factor_share": (_not_negative(float), "a number >= 0"),
    "half_step": (_one_of("auto", "gather", "reduce"), "auto, gather or reduce"),
    "retries": (_number(0), "a whole number >= 0"),
    "durable_bytes": (_size(0), 'a size, such as "256MiB"'),
    "no_worker_timeout": (_optional(_not_negative(parse_timedelta)), 'null or a time, such as "10 minutes"'),
    "paused_timeout": (_optional(_not_negative(parse_timedelta)), 'null or a time, such as "10 minutes"'),
    "hung_worker_timeout": (_optional(_not_negative(parse_timedelta)), 'null or a time, such as "10 minutes"'),
    "checkpoint_dir": (_optional(str), "null, or a folder or URL"),
    "progress": (_switch, "auto, true or false"),
}
