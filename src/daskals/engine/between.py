"""The panels of a side between two iterations: results of the one before, and what the next one starts from.

Results on a cluster can be lost. Where a plan has a side pinned (`daskals.engine.plan`), this process fetches its
panels after each iteration, and sends them along with the tasks of the next::

    iteration k   solve ... users' panels --fetched--> this process --in the same graph--> iteration k + 1   solve ...

So the scheduler has the values in its tasks while the next iteration runs, and knows nothing of those before: a loss
makes nothing run again that was done before. Nothing is waited for in between.
"""

from __future__ import annotations

from collections.abc import Sequence

from dask.delayed import Delayed
from distributed import futures_of

from daskals.engine.panels import Panel
from daskals.execution.scheduler import Scheduler, carriers
from daskals.execution.tasks import new_token


class HeldPanels:
    """The panels of one side: tasks that are computed, or, of a side that is pinned, the values themselves."""

    def __init__(self, scheduler: Scheduler, tasks: Sequence[Delayed], values: Sequence[Panel] = (), name: str = ""):
        self._scheduler, self._values, self._name = scheduler, values, name
        self._computed = tasks

    @property
    def irreplaceable(self) -> Sequence[Delayed]:
        """The tasks that nothing can be done without: none where the values are here."""
        return () if self._values else self._computed

    def tasks(self, token: str) -> Sequence[Delayed]:
        """Tasks for the panels, to be inputs of one graph; with a token that is new, where the graph is tried again."""
        if not self._values or self._are_there():
            return self._computed
        return carriers(self._values, f"{self._name}-{token}")

    def persisted(self) -> Sequence[Delayed]:
        """Tasks for the panels, computed: for those who read them in several graphs, or later."""
        if self._values and not self._are_there():
            self._computed = self._scheduler.pin(self._values, f"{self._name}-{new_token()}")
        return self._computed

    def _are_there(self) -> bool:
        """Whether the values were sent before, and the cluster has not given them up."""
        futures = futures_of(list(self._computed))
        return bool(futures) and all(future.status not in ("error", "cancelled") for future in futures)
