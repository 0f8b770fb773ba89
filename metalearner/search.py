"""Networks tried until the minutes are over: better, faster, or both, and one of them picked and finished.

Optuna's TPE chooses what to try next, for quality on the validation part and latency on this machine at once. Its pruners
do not work for two aims (`Trial.report` and `should_prune` refuse it, Optuna 5.0), so bad trials are ended by successive
halving of our own: at a quarter and at a half of its way, a trial that is worse than most were there, and than one that was
faster, stops. What it has reached is told to Optuna like any other's.

runs/NAME/
    plan.json         task, seed, minutes, trials
    study.sqlite3     Optuna's: trials survive a kill, and the one that was running goes on from its checkpoint
    trials/N/         checkpoint.pt, weights.pt, log.jsonl, trial.json
    final-N/          the picked one, taught longer
    live.html, log.txt
    run.json, weights.pt, answers-PART.npz
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from metalearner import export, live, quality
from metalearner.collection import RUNS, Collection, Part
from metalearner.examples import Examples, gather
from metalearner.live import Line, Told
from metalearner.splits import refuse_leaks
from metalearner.tasks import RUN, Recipe, Task, TaskInvalid, first_recipe, write_json
from metalearner.training import WEIGHTS, Limits, Moment, Trained, answers, load_network, train
from metalearner.trials import as_suggested, at_rung, beats, falls_behind, picked, recipe_of, suggest

STUDY, PLAN, LATENCY = "study.sqlite3", "plan.json", "latency.json"
RUNGS = (0.25, 0.5)
_RANDOM_TRIALS = 6  # before TPE has enough to go by
_FINAL_RATE = 0.5  # of the trial's: it goes on from its weights
_LEAST_FINAL_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    task: Task
    seed: int
    minutes: float
    trials: int
    threads: int  # of the node's runs, for the latency

    @property
    def search_seconds(self) -> float:
        return self.minutes * 60 * (1 - self.final_share)

    @property
    def final_share(self) -> float:
        return self.task.search.final_share if self.trials > 1 else 0.0


class Search:
    """One run. Opened again after a kill, it goes on where it was."""

    def __init__(
        self, collection: Collection, plan: Plan, *, name: str, tell: Callable[[Told], None] = lambda _: None
    ) -> None:
        refuse_leaks(collection)
        self.collection, self.plan, self.task = collection, plan, plan.task
        self.folder = collection.root / RUNS / name
        self._tell = tell
        self._examples: dict[tuple[int, int, Part], Examples] = {}
        self._records: dict[int, dict[str, Any]] = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        self._cores = _keep_plan(self.folder / PLAN, plan)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(
            study_name=name,
            storage=f"sqlite:///{(self.folder / STUDY).resolve()}",
            directions=[StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE],
            load_if_exists=True,
        )
        if not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(as_suggested(first_recipe(self.task)))

    def run(self, pick: str) -> Path:
        """Search what is left of the plan, pick, finish. TaskInvalid where nothing can be learnt or picked."""
        with self._alone():
            torch.set_num_threads(self._cores)
            self._tell_all("search")
            for frozen in self._running():
                self._try(frozen)
            while len(self._ended()) < self.plan.trials and (self._spent() < self.plan.search_seconds or not self.front()):
                self._try(self._ask())
            return self._finish(picked(self.front(), pick))

    def front(self) -> list[FrozenTrial]:
        """The trials that no other beats in both, the fastest first; those that were ended early left out."""
        whole = [one for one in self._told() if self._record(one.number)["ended_by"] != "stopped"] or self._told()
        return sorted((one for one in whole if not any(beats(other, one) for other in whole)), key=lambda one: one.values[1])

    def examples(self, recipe: Recipe, part: Part) -> Examples:
        key = (recipe.rows, recipe.columns, part)
        if key not in self._examples:
            self._examples[key] = gather(self.collection, self.task, recipe, part)
        return self._examples[key]

    def _ask(self) -> FrozenTrial:
        """Sampled from the seed and the trial's number alone, so that a kill changes nothing."""
        number = len(self.study.get_trials(deepcopy=False))
        self.study.sampler = optuna.samplers.TPESampler(
            seed=self.plan.seed * 10007 + number, n_startup_trials=_RANDOM_TRIALS
        )
        trial = self.study.ask()
        suggest(trial, self.task)
        return self._frozen(trial.number)

    def _try(self, frozen: FrozenTrial) -> None:
        folder, number = self.folder / "trials" / str(frozen.number), frozen.number
        try:
            recipe = recipe_of(frozen, self.task)
        except KeyError:  # killed before all of it was chosen
            self.study.tell(number, state=TrialState.FAIL)
            return
        latency = self._latency(recipe)
        most = self.task.search.most_latency_ms
        if most is not None and latency > most:
            self.study.tell(number, state=TrialState.FAIL)
            live.note(self.folder, f"trial {number}: {latency:.0f} ms is slower than the {most:g} ms that the task allows")
            return
        left = max(self.plan.search_seconds - self._spent(), 0)
        limits = Limits(
            steps=self.task.search.steps,
            seconds=max(left / max(self.plan.trials - len(self._ended()), 1), _LEAST_FINAL_SECONDS),
        )
        rungs = list(RUNGS)

        def watch(moment: Moment) -> bool:
            self._tell_all("search", number=number, moment=moment, latency=latency)
            reached = [rung for rung in rungs if moment.done >= rung]
            for rung in reached:
                rungs.remove(rung)
            return any(self._falls_behind(rung, moment.quality, latency) for rung in reached)

        trained = self._taught(recipe, folder, limits, watch=watch, seed=self._seed_of(number))
        write_json(folder / "trial.json", {"latency_ms": latency, **trained.as_json()})
        self.study.tell(number, [trained.quality, latency])
        network = f"{recipe.family} {recipe.width}, {recipe.rows} × {recipe.columns}, {latency:.1f} ms"
        way = f"{trained.steps} steps in {trained.seconds:.0f} s, ended by {trained.ended_by}"
        live.note(self.folder, f"trial {number}: quality {trained.quality:.3f}; {network}; {way}")
        self._tell_all("search")

    def _taught(
        self,
        recipe: Recipe,
        folder: Path,
        limits: Limits,
        *,
        watch: Callable[[Moment], bool],
        seed: int,
        begin: Path | None = None,
    ) -> Trained:
        learn, judge = self.examples(recipe, Part.TRAIN), self.examples(recipe, Part.VALIDATION)
        return train(
            self.task,
            recipe,
            learn=learn,
            judge=judge,
            folder=folder,
            limits=limits,
            seed=seed,
            watch=watch,
            begin=begin,
        )

    def _falls_behind(self, rung: float, reached: float, latency: float) -> bool:
        others = [(at_rung(self._record(one.number)["curve"], rung), one.values[1]) for one in self._told()]
        return falls_behind(reached, latency, others)

    def _record(self, number: int) -> dict[str, Any]:
        """What a trial that has ended left."""
        if number not in self._records:
            path = self.folder / "trials" / str(number) / "trial.json"
            self._records[number] = json.loads(path.read_text(encoding="utf-8"))
        return self._records[number]

    def _finish(self, chosen: FrozenTrial) -> Path:
        """The picked one taught longer, its answers kept, run.json written last: a run that has it is whole."""
        recipe, number = recipe_of(chosen, self.task), chosen.number
        quality_reached, latency = chosen.values
        folder, told = self.folder / "trials" / str(number), dict(self._record(number))
        seconds = self.plan.minutes * 60 - self._spent()
        if self.plan.final_share > 0 and seconds >= _LEAST_FINAL_SECONDS:

            def watch(moment: Moment) -> bool:
                self._tell_all("final", number=number, moment=moment, latency=latency)
                return False

            longer = self.folder / f"final-{number}"
            trained = self._taught(
                replace(recipe, rate=recipe.rate * _FINAL_RATE),
                longer,
                Limits(steps=2 * self.task.search.steps, seconds=seconds),
                watch=watch,
                seed=self._seed_of(number) + 1,
                begin=folder / WEIGHTS,
            )
            told["seconds"] += trained.seconds
            if trained.quality > quality_reached:
                told |= {**trained.as_json(), "seconds": told["seconds"]}
                folder, quality_reached = longer, trained.quality
        shutil.copyfile(folder / WEIGHTS, self.folder / "weights.new")
        (self.folder / "weights.new").replace(self.folder / WEIGHTS)
        self._write_run(recipe, number, told, quality_reached, latency)
        live.note(self.folder, f"finished: trial {number}, quality {quality_reached:.3f}, {latency:.1f} ms")
        self._tell_all("finished")
        return self.folder

    def _write_run(self, recipe: Recipe, number: int, told: dict[str, Any], reached: float, latency: float) -> None:
        network = load_network(self.task, recipe, self.folder / WEIGHTS)
        kept = {}
        for part in (Part.VALIDATION, Part.TEST):
            try:
                examples = self.examples(recipe, part)
            except TaskInvalid:
                continue  # a collection may have no test part
            path = self.folder / f"answers-{part.value}.npz"
            quality.save(path, answers(network, self.task, examples.planes), examples, self.task)
            kept[part.value] = path.name
        said = {
            "format": 1,
            "name": self.folder.name,
            "collection": self.collection.name,
            "task": self.task.model_dump(mode="json"),
            "concepts": list(self.task.values),
            "points": list(self.task.points),
            "recipe": recipe.as_json(),
            "input": self.task.input_of(recipe.rows, recipe.columns).model_dump(mode="json"),
            "trial": number,
            "seed": self.plan.seed,
            "quality": reached,
            "quality_by_name": {name: value if math.isfinite(value) else None for name, value in told["by_name"].items()},
            "seconds": told["seconds"],
            "ended_by": told["ended_by"],
            "latency_ms": latency,
            "latency_threads": self.plan.threads,
            "cores": self._cores,
            "weights": WEIGHTS,
            "answers": kept,
            "front": [self._line(one).as_json() for one in self.front()],
        }
        write_json(self.folder / RUN, said)

    def _latency(self, recipe: Recipe) -> float:
        """Measured once for every architecture and size."""
        known = self._latencies()
        key = f"{recipe.family} {recipe.width} {recipe.rows} {recipe.columns} {self.plan.threads}"
        if key not in known:
            begun = time.monotonic()
            taken = round(export.latency_of(self.task, recipe, threads=self.plan.threads), 2)
            known[key] = {"ms": taken, "seconds": time.monotonic() - begun}
            write_json(self.folder / LATENCY, known)
        return known[key]["ms"]

    def _latencies(self) -> dict[str, dict[str, float]]:
        path = self.folder / LATENCY
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

    def _line(self, trial: FrozenTrial) -> Line:
        record = self._record(trial.number)
        return Line(
            number=trial.number,
            recipe=recipe_of(trial, self.task),
            quality=trial.values[0],
            latency_ms=trial.values[1],
            seconds=record["seconds"],
            stopped=record["ended_by"] == "stopped",
            curve=tuple((at, value) for at, value in record["curve"]),
        )

    def _seed_of(self, number: int) -> int:
        return self.plan.seed * 1000 + number * 2

    def _frozen(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def _running(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=True, states=[TrialState.RUNNING])

    def _told(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])

    def _ended(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.FAIL])

    def _spent(self) -> float:
        """Seconds, of trials that have ended and of measuring."""
        measuring = sum(one["seconds"] for one in self._latencies().values())
        return float(measuring + sum(self._record(one.number)["seconds"] for one in self._told()))

    def _tell_all(
        self, stage: str, *, number: int | None = None, moment: Moment | None = None, latency: float = 0.0
    ) -> None:
        told = Told(
            stage=stage,
            name=self.folder.name,
            task=self.task.name,
            trial=number,
            trials=self.plan.trials,
            ended=len(self._ended()),
            done=moment.done if moment else 0.0,
            step=moment.step if moment else 0,
            loss=moment.loss if moment else math.nan,
            quality=moment.quality if moment else math.nan,
            latency_ms=latency,
            spent_seconds=self._spent() + (moment.seconds if moment else 0.0),
            budget_seconds=self.plan.minutes * 60,
            lines=tuple(self._line(one) for one in self._told()),
            front=tuple(one.number for one in self.front()),
        )
        live.write(self.folder, told)
        self._tell(told)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two processes on one run would undo each other's work; the lock ends with its process, however it dies."""
        with (self.folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TaskInvalid(f"the run {self.folder.name} is being trained by another process") from error
            yield


def _keep_plan(path: Path, plan: Plan) -> int:
    """A run goes on with what it began with, its cores included; only its minutes and trials may change. Returns the cores.

    TaskInvalid for another task or seed.
    """
    said = {"task": plan.task.model_dump(mode="json"), "seed": plan.seed, "minutes": plan.minutes, "trials": plan.trials}
    cores = free_cores()
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        for key in ("task", "seed"):
            if before[key] != said[key]:
                raise TaskInvalid(
                    f"the run {path.parent.name} was begun with another {key}: give this one another --run name"
                )
        cores = int(before["cores"])
    write_json(path, {**said, "cores": cores})
    return cores


def free_cores() -> int:
    """That nobody else uses now: threads that share one wait for each other, and four are slower than one."""
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return max(1, round(len(os.sched_getaffinity(0)) - os.getloadavg()[0]))
