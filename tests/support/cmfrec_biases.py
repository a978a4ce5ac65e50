"""What cmfrec makes of a small table of ratings, with biases: settings at which it minimises what `daskals.ALS` does.

cmfrec 3.5.1 does not import beside NumPy 2.4, so its numbers stand in ``cmfrec_biases.json``, which this file writes.
It needs nothing of daskals::

    python3 -m venv /tmp/cmfvenv
    /tmp/cmfvenv/bin/pip install 'numpy<2' pandas scipy threadpoolctl cmfrec==3.5.1
    /tmp/cmfvenv/bin/python tests/support/cmfrec_biases.py

Built for NumPy 2.2 (``pip install --no-build-isolation --no-binary cmfrec``) it can be beside daskals as well.

cmfrec's ``lambda_`` is our regParam: neither is halved, or divided by the number of ratings. ``scale_lam=True`` is
regExponent 1, False is 0; ``scale_bias_const=False`` scales the penalty of a bias as that of the other factors.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

RECORDED = Path(__file__).with_suffix(".json")
#: name: (number of factors, lambda_, scale_lam)
CASES = {
    "k=1, scaled": (1, 0.1, True),
    "k=2, scaled": (2, 0.3, True),
    "k=1, not scaled": (1, 2.0, False),
    "k=2, not scaled": (2, 0.5, False),
}


def ratings():
    """73 ratings of 12 users and 9 items, each of which has several."""
    rng = np.random.default_rng(20)
    users, items = np.nonzero(rng.random((12, 9)) < 0.6)
    left, right = rng.normal(size=(12, 2)), rng.normal(size=(9, 2))
    values = 3 + rng.normal(size=12)[users] * 0.7 + rng.normal(size=9)[items] * 0.7 + (left @ right.T)[users, items]
    return pd.DataFrame({"user": users, "item": items, "rating": np.round(np.clip(values, 0, 6), 1)})


def fitted(name):
    """(mean, rows of users, rows of items), ids ascending; the last entry of a row is its bias."""
    from cmfrec import CMF

    k, reg, scaled = CASES[name]
    model = CMF(
        **{"k": k, "lambda_": reg, "scale_lam": scaled, "scale_bias_const": False, "center": True},
        **{"user_bias": True, "item_bias": True, "method": "als", "use_cg": False, "finalize_chol": False},
        **{"niter": 1000, "use_float": False, "nthreads": 1, "random_state": 1, "verbose": False},
    ).fit(ratings().set_axis(["UserId", "ItemId", "Rating"], axis=1))
    sides = []
    for ids, rows, biases in (
        (model.user_mapping_, model.A_, model.user_bias_),
        (model.item_mapping_, model.B_, model.item_bias_),
    ):
        order = np.argsort(np.asarray(ids).astype(np.int64))
        sides.append(np.column_stack([rows, biases])[order])
    return float(model.glob_mean_), *sides


def recorded(name):
    """The same from the file."""
    mean, *sides = json.loads(RECORDED.read_text(encoding="utf-8"))[name]
    return mean, *map(np.array, sides)


def _written(values):
    mean, *sides = values
    return [mean, *(np.round(side, 12).tolist() for side in sides)]


if __name__ == "__main__":
    cases = {name: _written(fitted(name)) for name in CASES}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(values)}" for name, values in cases.items())
    RECORDED.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
