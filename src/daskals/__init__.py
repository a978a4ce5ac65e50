"""daskals: alternating least squares on Dask, with the surface and the numbers of Spark's ALS."""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskals.recommendation import ALS, ALSModel, Hosts, plan

__all__ = ["ALS", "ALSModel", "Hosts", "plan"]
__version__: str
_UNKNOWN_VERSION = "0.0+unknown"

logging.getLogger("daskals").addHandler(logging.NullHandler())


if not TYPE_CHECKING:  # where types are checked, a misspelt name is an error

    def __getattr__(name: str) -> Any:
        """Import the public names when they are asked for (PEP 562).

        So ``import daskals.datasets`` brings no kernels, and a package that needs no Dask can live below this one.
        """
        if name in __all__:
            import daskals.recommendation

            return getattr(daskals.recommendation, name)
        if name == "__version__":
            return _version()
        raise AttributeError(f"module 'daskals' has no attribute {name!r}")


def _version() -> str:
    """The version that was installed with this file, read only when it is asked for.

    Of a source tree that is not installed none is known, even where another daskals is installed.
    """
    from importlib.metadata import PackageNotFoundError, distribution
    from pathlib import Path

    here = Path(__file__).resolve().parent
    try:
        installed = distribution("daskals")
    except PackageNotFoundError:
        return _UNKNOWN_VERSION
    copied = Path(str(installed.locate_file("daskals"))).resolve() == here
    # of an editable installation the metadata name the project's folder
    editable = f'"{here.parents[1].as_uri()}"' in (installed.read_text("direct_url.json") or "")
    return installed.version if copied or editable else _UNKNOWN_VERSION


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
