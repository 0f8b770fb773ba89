"""Which trials make the front, which is picked, which is ended early, and what a search may choose."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch (extra `train`) is not installed")
pytest.importorskip("monai", reason="monai (extra `train`) is not installed")
optuna = pytest.importorskip("optuna", reason="optuna (extra `train`) is not installed")

from blobs import blobs, task_text  # noqa: E402

from metalearner import export, search, training  # noqa: E402
from metalearner.search import Plan, Search  # noqa: E402
from metalearner.tasks import Task, TaskInvalid, load_task  # noqa: E402
from metalearner.training import Limits, Trained  # noqa: E402
from metalearner.trials import at_rung, beats, falls_behind, picked, recipe_of, suggest  # noqa: E402


def trial(number: int, quality: float, latency_ms: float) -> Any:
    frozen = optuna.trial.create_trial(values=[quality, latency_ms])
    frozen.number = number
    return frozen


FRONT = [trial(4, 0.70, 2.0), trial(1, 0.90, 4.0), trial(7, 0.92, 16.0)]


@pytest.mark.parametrize(("pick", "number"), [("fastest", 4), ("best", 7), ("knee", 1), ("7", 7)])
def test_of_the_front_one_is_picked(pick: str, number: int) -> None:
    assert picked(FRONT, pick).number == number


def test_what_is_not_there_cannot_be_picked() -> None:
    with pytest.raises(TaskInvalid, match="a trial of the front: 4, 1, 7; not 2"):
        picked(FRONT, "2")
    with pytest.raises(TaskInvalid, match="no trial has come to an end"):
        picked([], "knee")
    assert picked(FRONT[:1], "knee").number == 4


def test_a_trial_beats_another_in_both_or_as_the_first_of_equals() -> None:
    good, slow, equal = trial(1, 0.9, 4.0), trial(2, 0.9, 5.0), trial(3, 0.9, 4.0)
    assert beats(good, slow) and not beats(slow, good)
    assert beats(good, equal) and not beats(equal, good)
    assert not beats(FRONT[0], FRONT[1]) and not beats(FRONT[1], FRONT[0])


def test_a_trial_ends_early_where_most_were_better_and_one_of_those_was_no_slower() -> None:
    there = [(0.8, 4.0), (0.7, 2.0), (0.6, 9.0), (math.nan, 1.0)]
    assert falls_behind(0.5, 4.0, there)
    assert not falls_behind(0.5, 1.5, there)  # nothing else is so fast
    assert not falls_behind(0.75, 4.0, there)
    assert not falls_behind(0.5, 4.0, there[2:])  # too few have come so far
    curve = [(0.1, 0.3), (0.24, 0.5), (0.5, 0.4), (1.0, 0.9)]
    assert at_rung(curve, 0.25) == 0.5
    assert math.isnan(at_rung(curve[:2], 0.25))


def task(folder: Path) -> Task:
    folder.mkdir(parents=True, exist_ok=True)
    text = task_text("classification").replace('["unet"]', '["densenet", "unet"]').replace("trials = 1", "trials = 6")
    (folder / "task.toml").write_text(text, encoding="utf-8")
    return load_task(folder / "task.toml")


def test_the_same_seed_suggests_the_same_within_what_the_task_allows(tmp_path: Path) -> None:
    wanted = task(tmp_path)
    recipes = []
    for seed in (3, 3, 4):
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.TPESampler(seed=seed))
        asked = study.ask()
        suggest(asked, wanted)
        recipes.append(recipe_of(study.trials[0], wanted))
    assert recipes[0] == recipes[1] != recipes[2]
    assert (recipes[0].rows, recipes[0].columns, recipes[0].batch, recipes[0].width) == (64, 96, 8, "small")


def test_a_search_tries_tells_and_ends_what_falls_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With networks that are not taught: quality and speed follow from the trial's number."""
    reached = [0.6, 0.7, 0.8, 0.5, 0.95, 0.65]
    asked: list[float] = []

    def untaught(_task: Task, recipe: Any, *, watch: Any, folder: Path, limits: Limits, **_: Any) -> Trained:
        number = int(folder.name)
        folder.mkdir(parents=True)
        asked.append(limits.seconds)
        curve = []
        for done in (0.25, 0.5, 1.0):
            moment = training.Moment(step=1, seconds=1.0, done=done, loss=1.0, quality=reached[number] * done, now=0.0)
            curve.append((done, moment.quality))
            if watch(moment):
                break
        ended = "steps" if curve[-1][0] == 1.0 else "stopped"
        return Trained(quality=curve[-1][1], by_name={}, steps=1, seconds=1.0, ended_by=ended, curve=tuple(curve))

    monkeypatch.setattr(search, "train", untaught)
    speeds = {"densenet": 3.0, "unet": 2.0}
    monkeypatch.setattr(export, "latency_of", lambda _task, recipe, **_: speeds[recipe.family])
    plan = Plan(task=task(tmp_path), seed=1, minutes=60, trials=6, threads=1)
    told: list[Any] = []
    one = Search(blobs(tmp_path / "c", 30), plan, name="r", tell=told.append)
    monkeypatch.setattr(Search, "_finish", lambda self, chosen: self.folder / str(chosen.number))
    assert one.run("best").name == "4"
    ended = {line.number: line.stopped for line in told[-1].lines}
    assert set(ended) == set(range(6)) and ended[3] and not ended[4]
    assert {trial.number for trial in one.front()} <= {number for number, stopped in ended.items() if not stopped}
    assert asked == sorted(asked)  # what one trial leaves is for the others
    again = Search(one.collection, replace(plan, minutes=120), name="r")
    assert again.run("4").name == "4" and len(asked) == 6  # nothing is tried again
    with pytest.raises(TaskInvalid, match="was begun with another seed"):
        Search(one.collection, replace(plan, seed=2), name="r")
