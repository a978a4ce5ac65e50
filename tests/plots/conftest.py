"""Figures are drawn without windows, and none is left open."""

import pytest


@pytest.fixture(autouse=True)
def _no_windows():
    matplotlib = pytest.importorskip("matplotlib")
    plt = pytest.importorskip("matplotlib.pyplot")
    matplotlib.use("Agg")
    with matplotlib.rc_context():
        yield
    plt.close("all")
