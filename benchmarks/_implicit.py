"""implicit, on the CPU. It has no explicit mode: there its implicit solve runs on the same matrix.

Its input is a CSR matrix of confidences; making that from the frame is timed as a part of the fit and by itself.
Regularisation is the same for every row ("plain" in `_common.objectives`). It cannot score given pairs.
"""

from __future__ import annotations

import numpy as np
from _common import versions
from _worker import Base, Run, read_ratings, small_frame


class Contender(Base):
    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.iteration_seconds = []

    def prepare(self) -> None:
        import implicit.cpu.als
        import scipy.linalg  # noqa: F401

        self.library = implicit.cpu.als.AlternatingLeastSquares
        self.frame = read_ratings(self.job["data"])
        small = self._matrix(small_frame())
        model = self._estimator(2, cg=True)
        model.fit(small, show_progress=False)
        model.recommend(np.arange(small.shape[0]), None, N=10, filter_already_liked_items=False)
        self.run.versions = versions("implicit", "numpy", "scipy")

    def _matrix(self, frame):
        """Confidences 1 + alpha |r|, so that an entry means to implicit what it means to Spark."""
        from scipy import sparse

        user, item = frame["user"].to_numpy(), frame["item"].to_numpy()
        confidence = (1 + self.job["alpha"] * frame["rating"].abs()).to_numpy(np.float32)
        return sparse.csr_matrix((confidence, (user, item)))

    def _estimator(self, iterations: int, *, cg: bool):
        job = self.job
        return self.library(
            factors=job["rank"],
            regularization=job["reg"],
            dtype=np.float32,
            use_cg=cg,
            iterations=iterations,
            num_threads=job["threads"],
            random_state=job["seed"],
        )

    def fit(self, iterations: int, *, cg: bool, name: str) -> None:
        seconds: list[float] = []
        self.model = self._estimator(iterations, cg=cg)
        with self.run.phase(name):
            with self.run.phase(f"conversion-{name}"):
                matrix = self._matrix(self.frame)
            self.model.fit(matrix, show_progress=False, callback=lambda _, elapsed, *__: seconds.append(elapsed))
        self.iteration_seconds = seconds

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        return self.model.user_factors, self.model.item_factors

    def recommend(self) -> None:
        users = np.arange(len(self.model.user_factors))
        with self.run.phase("recommend"):
            self.model.recommend(users, None, N=10, filter_already_liked_items=False)
