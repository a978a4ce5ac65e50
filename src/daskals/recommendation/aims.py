"""What a fit aims at: its goal, which may need to know something of the ratings, and the ratings with its weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from daskals.blocks.goal import CountWeights, Goal, Learned
from daskals.engine.sides import Ratings
from daskals.engine.weighing import mean_rating, scaled, weighed
from daskals.execution.scheduler import Scheduler
from daskals.recommendation.meanings import goal_of
from daskals.recommendation.parameters import ALSParams


@dataclass(frozen=True)
class Aim:
    """The goal of a fit, what it has learned of the ratings for that, and the ratings with all their weights."""

    goal: Goal
    learned: Learned
    ratings: Ratings


def aim_of(scheduler: Scheduler, ratings: Ratings, params: ALSParams) -> Aim:
    """The aim of a fit to these ratings. Without biases and count exponents that takes no look at the data."""
    learned, goal = Learned(), goal_of(params, Learned())
    if goal.weights is not None:
        learned = Learned(count_scale=scaled(scheduler, ratings, goal.weights).scale)
        goal = goal_of(params, learned)
        ratings = _weighed(scheduler, ratings, goal.weights)
    if params.getBiases():
        learned = learned._replace(mean=mean_rating(scheduler, ratings.held))
        goal = goal_of(params, learned)
    return Aim(goal, learned, ratings)


def _weighed(scheduler: Scheduler, ratings: Ratings, weights: CountWeights | None) -> Ratings:
    if weights is None:
        return ratings
    users, items = ratings.users, ratings.items
    return replace(
        ratings, users=weighed(scheduler, users, items, weights), items=weighed(scheduler, items, users, weights)
    )
