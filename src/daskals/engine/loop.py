"""The iterations of a fit. Each one solves items from users, and then users from these items."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from dask.delayed import Delayed

from daskals.blocks.least_squares import SingularRowError
from daskals.engine.between import HeldPanels
from daskals.engine.factors import FactorMatrix
from daskals.engine.half_step import half_step, run_half_steps, with_id
from daskals.engine.panels import panel_tasks, rows_of_panels
from daskals.engine.plan import Plan
from daskals.engine.sides import Ratings, Side
from daskals.engine.start_values import StartValues, start_rows
from daskals.execution.tasks import new_token
from daskals.kernels.types import Losses

#: With more blocks than this the two half-steps of an iteration are sent to a cluster one after the other.
BLOCKS_IN_ONE = 128


@dataclass(frozen=True)
class Iteration:
    """What is known of one iteration when it is done."""

    #: the first one is 1
    number: int
    #: value of the objective (`daskals.kernels.objective.Objective`) after the iteration
    objective: float
    #: square root of the mean weighted squared residual: over the training ratings (explicit), or over all pairs of a
    #: user and an item (implicit)
    rmse: float
    #: how long it took, by the clock on the wall
    seconds: float


@dataclass(frozen=True)
class ResumePoint:
    """Where a fit goes on.

    ``number`` is that of the last iteration that the factors have behind them. ``users`` and ``items`` are tasks for
    their blocks, in the blocks of the fit's ratings, each of which gives a `daskals.blocks.least_squares.SolvedBlock`.
    """

    number: int
    users: Sequence[Delayed]
    items: Sequence[Delayed]


@dataclass(frozen=True)
class Snapshot:
    """The factors after some iteration: panels of both sides, as tasks. It holds them while the loop goes on."""

    users: Sequence[Delayed]
    items: Sequence[Delayed]


@dataclass(frozen=True)
class _State:
    """What an iteration starts from and ends with: panels of both sides, and the losses of their rows."""

    users: HeldPanels
    items: HeldPanels
    user_losses: Losses
    item_losses: Losses


class Iterations:
    """An endless iterator over the iterations of one fit. The caller decides when to stop, and what to do in between::


        loop = Iterations(ratings, start, plan)
        for iteration in itertools.islice(loop, 10):
            print(iteration.number, iteration.objective)
        users, items = loop.factors()

    An iteration that fails because workers were lost is done again, from the factors of the iteration before. These are
    safe in the scheduler where the plan pins them (`daskals.engine.plan`). Where they are too large for that, a loss
    makes all iterations run again; `restart_from` gives them a later point to begin at.

    A step raises ``ValueError`` that names the id of a row whose equations have no unique solution, or the exception of
    the last try when losses of workers were more than the configuration allows.
    """

    def __init__(self, ratings: Ratings, start: StartValues, plan: Plan, point: ResumePoint | None = None) -> None:
        self._ratings = ratings.at_home(plan.scheduler.client)
        self._start, self._plan = start, plan
        #: how many iterations the factors have behind them
        self.number = point.number if point else 0
        begin = functools.partial(self._begin, point)
        self._state = plan.scheduler.retry(begin, "Making start values", ratings.tasks)

    def __iter__(self) -> Iterations:
        return self

    def __next__(self) -> Iteration:
        clock = time.perf_counter()
        if self._plan.solver.is_exact:
            # an exact solve does not read the items of the iteration before; a cluster that loses them while we hold
            # them would make them again for nothing
            self._state = replace(self._state, items=HeldPanels(self._plan.scheduler, ()))
        if self._ratings.has_lost_homes(self._plan.scheduler.client):
            self._ratings = self._ratings.at_home(self._plan.scheduler.client)
        state = self._state
        iterate = functools.partial(self._iterate, state)
        inputs = [*self._ratings.tasks, *state.users.irreplaceable, *state.items.irreplaceable]
        self._state = self._plan.scheduler.retry(iterate, f"Iteration {self.number + 1}", inputs)
        self.number += 1
        users, items = self._state.user_losses, self._state.item_losses
        return Iteration(
            self.number,
            users.squared_error + users.penalty + items.penalty,
            self._rmse(users),
            time.perf_counter() - clock,
        )

    def restart_from(self, point: ResumePoint) -> None:
        """Make the next iteration start from these factors, such as those of a checkpoint that was just written.

        The iterations before are then never run again, whichever workers are lost.
        """
        begin = functools.partial(self._begin, point)
        self._state, self.number = self._plan.scheduler.retry(begin, "Reading factors"), point.number

    def snapshot(self, point: ResumePoint | None = None) -> Snapshot:
        """The factors as they are now, or those of a point; to be read after iterations to come.

        They survive the loss of workers as those of the newest iteration do.
        """
        if point is None:
            held, retry = self._state, self._plan.scheduler.retry
            return retry(lambda: Snapshot(held.users.persisted(), held.items.persisted()), "Keeping the factors")
        token, plan = new_token(), self._plan
        names = f"als-panel-users-{token}", f"als-panel-items-{token}"
        return Snapshot(
            panel_tasks(point.users, plan.users.panel_edges, with_gram=False, name=names[0]),
            panel_tasks(point.items, plan.items.panel_edges, with_gram=False, name=names[1]),
        )

    def factors(self, snapshot: Snapshot | None = None) -> tuple[FactorMatrix, FactorMatrix]:
        """The factors of users and of items as they are now, or as they were in a snapshot."""
        held = snapshot or self.snapshot()
        return self._matrix(self._ratings.users, held.users), self._matrix(self._ratings.items, held.items)

    def _matrix(self, side: Side, panels: Sequence[Delayed]) -> FactorMatrix:
        token = f"{side.name}-{new_token()}"
        rows = rows_of_panels(panels, self._plan.of(side.name).panel_edges, f"als-model-{token}")
        return FactorMatrix(side.ids, side.bounds, rows, self._plan.rank, token, side.counts)

    def _begin(self, point: ResumePoint | None) -> _State:
        token, plan, ratings = new_token(), self._plan, self._ratings
        users = point.users if point else self._start_rows(ratings.users, token)
        items = point.items if point else self._start_rows(ratings.items, token)
        panels = panel_tasks(
            users, plan.users.panel_edges, with_gram=plan.goal.objective.implicit, name=f"als-panel-users-{token}-0"
        )
        ((user_panels, _),) = run_half_steps([(ratings.users, panels)], plan, f"{token}-0")
        # the first half-step replaces these items; they are read by conjugate gradients, and where maxIter is 0
        item_panels = panel_tasks(items, plan.items.panel_edges, with_gram=False, name=f"als-panel-items-{token}-0")
        nothing = Losses(np.nan, np.nan, np.nan)
        return _State(user_panels, HeldPanels(plan.scheduler, item_panels), nothing, nothing)

    def _start_rows(self, side: Side, token: str) -> Sequence[Delayed]:
        plan = self._plan.of(side.name)
        return start_rows(side, self._plan.rank, self._start, token, plan.biases, cut=plan.streamed)

    def _iterate(self, state: _State) -> _State:
        """One iteration. The caller must hold ``state`` meanwhile: a cluster forgets results that nobody holds."""
        plan, users, items = self._plan, self._ratings.users, self._ratings.items
        token = f"{new_token()}-{self.number + 1}"
        # tasks that hold values would be sent again with each round of a streamed half-step
        are_many = max(users.n_blocks, items.n_blocks) > BLOCKS_IN_ONE
        in_rounds = plan.users.streamed or plan.items.streamed or are_many
        before_users, before_items = (
            side.persisted() if in_rounds else side.tasks(token) for side in (state.users, state.items)
        )
        try:
            new_items = half_step(items, users, before_users, before_items, plan, token)
            if plan.items.streamed:
                # users are solved in several rounds, a panel in each; without this every round would make items anew
                (new_items,) = plan.scheduler.persist(new_items)
            elif are_many:
                new_items = plan.scheduler.begin(new_items)
            new_users = half_step(users, items, new_items, before_users, plan, token)
            done_users, done_items = run_half_steps([(users, new_users), (items, new_items)], plan, token)
        except SingularRowError as error:
            raise with_id(error, self._ratings.of(error.side), plan.scheduler) from error
        return _State(done_users[0], done_items[0], user_losses=done_users[1], item_losses=done_items[1])

    def _rmse(self, losses: Losses) -> float:
        ratings = self._ratings
        weight = losses.weight + self._plan.goal.objective.gram_weight * ratings.users.n_rows * ratings.items.n_rows
        return float(np.sqrt(max(losses.squared_error, 0.0) / weight)) if weight > 0 else 0.0
