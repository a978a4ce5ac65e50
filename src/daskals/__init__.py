"""daskals: alternating least squares on Dask, with the surface and the numbers of Spark's ALS."""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskals.recommendation import ALS, ALSModel

__all__ = ["ALS", "ALSModel"]
__version__ = "0.1.0"

logging.getLogger("daskals").addHandler(logging.NullHandler())


if not TYPE_CHECKING:  # where types are checked, a misspelt name is an error

    def __getattr__(name: str) -> Any:
        """Import `ALS` and `ALSModel` when they are asked for (PEP 562).

        So ``import daskals.datasets`` brings no kernels, and a package that needs no Dask can live below this one.
        """
        if name in __all__:
            import daskals.recommendation

            return getattr(daskals.recommendation, name)
        raise AttributeError(f"module 'daskals' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
