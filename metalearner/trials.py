"""Trials of a search: what may be chosen for one, which no other beats, and which of those is picked."""

from __future__ import annotations

import math
from typing import Any

from optuna.trial import FrozenTrial, Trial

from metalearner.tasks import Recipe, Task, TaskInvalid

PICKS = ("knee", "best", "fastest")
_LEAST_AT_RUNG = 3  # trials that have come so far, before one is compared with them


def suggest(trial: Trial, task: Task) -> None:
    wanted = task.search
    trial.suggest_categorical("family", wanted.families)
    trial.suggest_categorical("width", wanted.widths)
    trial.suggest_categorical("input", [f"{rows}x{columns}" for rows, columns in task.input.sizes])
    trial.suggest_categorical("loss", wanted.losses)
    trial.suggest_float("rate", 3e-4, 6e-3, log=True)
    trial.suggest_float("weight_decay", 1e-4, 5e-2, log=True)
    trial.suggest_float("dropout", 0.0, 0.5)
    trial.suggest_float("geometry", 0.0, 1.0)
    trial.suggest_float("grays", 0.0, 1.0)


def as_suggested(recipe: Recipe) -> dict[str, Any]:
    names = ("family", "width", "loss", "rate", "weight_decay", "dropout", "geometry", "grays")
    return {"input": f"{recipe.rows}x{recipe.columns}", **{name: getattr(recipe, name) for name in names}}


def recipe_of(trial: FrozenTrial, task: Task) -> Recipe:
    """KeyError where not all of it has been chosen."""
    chosen = dict(trial.params)
    rows, columns = (int(side) for side in chosen.pop("input").split("x"))
    said = {"rows": rows, "columns": columns, "batch": task.search.batch, **chosen}
    return Recipe.from_json(said)


def picked(front: list[FrozenTrial], pick: str) -> FrozenTrial:
    """knee: the farthest from the line between the fastest and the best. A number is a trial's. TaskInvalid for others."""
    if not front:
        raise TaskInvalid("no trial has come to an end: give it more minutes, or the task a longer most_latency_ms")
    if pick == "fastest":
        return front[0]
    if pick == "best":
        return max(front, key=lambda one: (one.values[0], -one.values[1]))
    if pick == "knee":
        return _knee(front)
    found = next((one for one in front if str(one.number) == pick), None)
    if found is None:
        there = ", ".join(str(one.number) for one in front)
        raise TaskInvalid(f"--pick takes {', '.join(PICKS)} or a trial of the front: {there}; not {pick}")
    return found


def _knee(front: list[FrozenTrial]) -> FrozenTrial:
    """Both aims as shares of their ranges, latency by its logarithm: twice as long is twice as long."""
    qualities, costs = [one.values[0] for one in front], [math.log(one.values[1]) for one in front]

    def share(value: float, among: list[float]) -> float:
        return (value - min(among)) / (max(among) - min(among)) if max(among) > min(among) else 0.0

    return max(
        front, key=lambda one: (share(one.values[0], qualities) - share(math.log(one.values[1]), costs), one.values[0])
    )


def beats(one: FrozenTrial, other: FrozenTrial) -> bool:
    as_good = one.values[0] >= other.values[0] and one.values[1] <= other.values[1]
    return as_good and (tuple(one.values) != tuple(other.values) or one.number < other.number)


def at_rung(curve: list[tuple[float, float]], rung: float) -> float:
    """The best quality by the time that a trial had come so far, NaN where it never did."""
    return max((value for at, value in curve if at <= rung + 0.05), default=math.nan) if curve[-1][0] >= rung else math.nan


def falls_behind(reached: float, latency: float, others: list[tuple[float, float]]) -> bool:
    """Successive halving for two aims: worse than most were at this rung, and than one that is no slower.

    others: quality at the rung, NaN where it never came so far, and latency.
    """
    there = [(value, ms) for value, ms in others if math.isfinite(value)]
    if len(there) < _LEAST_AT_RUNG:
        return False
    median = sorted(value for value, _ in there)[len(there) // 2]
    return reached < median and any(value > reached and ms <= latency for value, ms in there)
