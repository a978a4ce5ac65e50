"""cmfrec: `CMF` with row-scaled regularisation in explicit mode (the objective of Spark), `CMF_implicit` in implicit.

Without biases and centring, in float32. Time of an iteration: difference of fits. Its ranking is for one user a
call, and is left out. In implicit mode its regularisation is the same for every row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _common import versions
from _worker import Base, by_id, read_ratings, small_frame


class Contender(Base):
    def prepare(self) -> None:
        import cmfrec

        self.library = cmfrec
        names = {"user": "UserId", "item": "ItemId", "rating": "Rating"}
        self.frame = read_ratings(self.job["data"]).rename(columns=names)
        for cg in (False, True):
            self._estimator(2, cg=cg).fit(small_frame().rename(columns=names))
        self.run.versions = versions("cmfrec", "numpy", "scipy")

    def _estimator(self, iterations: int, *, cg: bool) -> Any:
        job = self.job
        common = {
            "k": job["rank"],
            "lambda_": job["reg"],
            "use_cg": cg,
            "finalize_chol": False,
            "niter": iterations,
            "use_float": True,
            "nthreads": job["threads"],
            "random_state": job["seed"],
            "verbose": False,
            "precompute_for_predictions": False,
        }
        if job["implicit"]:
            return self.library.CMF_implicit(alpha=job["alpha"], **common)
        return self.library.CMF(method="als", scale_lam=True, user_bias=False, item_bias=False, center=False, **common)

    def fit(self, iterations: int, *, cg: bool, name: str) -> None:
        self.model = None
        with self.run.phase(name):
            self.model = self._estimator(iterations, cg=cg).fit(self.frame)

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        model = self.model
        return (
            by_id(np.asarray(model.user_mapping_, np.int64), model.A_),
            by_id(np.asarray(model.item_mapping_, np.int64), model.B_),
        )

    def transform(self) -> None:
        with self.run.phase("transform"):
            scores = self.model.predict(self.frame["UserId"], self.frame["ItemId"])
        assert len(scores) == len(self.frame)
