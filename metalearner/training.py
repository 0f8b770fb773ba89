"""One network taught, from a recipe to weights, so that a kill costs a few seconds and the same seed gives the same weights.

Everything random follows from the seed and the step, and the checkpoint holds the rest: a training that was killed and taken
up again ends with the weights that it would have had. The rate falls by a cosine over the steps, or over the seconds where
those run out first; only then do the weights depend on the machine's speed.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metalearner import quality
from metalearner.augmentation import Batch, augment
from metalearner.examples import Examples
from metalearner.networks import Network, cells, in_doubt, soft_argmax
from metalearner.objectives import class_weights, loss_of
from metalearner.quality import Answers
from metalearner.tasks import Recipe, Task, TaskInvalid, load_run

CHECKPOINT, WEIGHTS, LOG = "checkpoint.pt", "weights.pt", "log.jsonl"
EVALUATIONS = 20  # of the average network, over the whole way
PATIENCE = 7  # evaluations without a better one, after which it ends
_WARM_UP_STEPS, _EMA_DECAY, _LARGEST_GRADIENT = 50, 0.99, 5.0
_ANSWER_BATCH = 32
_LEAST_GAIN = 1e-4

PlanesArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where a training ends at the latest."""

    steps: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """How far it has come. done: 0 … 1 of the way; quality: of the best network so far."""

    step: int
    seconds: float
    done: float
    loss: float
    quality: float
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """ended_by: steps | seconds | no improvement | stopped. by_name: quality of each concept or point."""

    quality: float
    by_name: dict[str, float]
    steps: int
    seconds: float
    ended_by: str
    curve: tuple[tuple[float, float], ...]  # done, quality of the network at that time

    def as_json(self) -> dict[str, Any]:
        return {
            "quality": self.quality,
            "by_name": self.by_name,
            "steps": self.steps,
            "seconds": self.seconds,
            "ended_by": self.ended_by,
            "curve": self.curve,
        }


Watch = Callable[[Moment], bool]  # told after each evaluation; True stops the training


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    task: Task,
    recipe: Recipe,
    *,
    learn: Examples,
    judge: Examples,
    folder: Path,
    limits: Limits,
    seed: int,
    watch: Watch = lambda _: False,
    begin: Path | None = None,
) -> Trained:
    """Leaves weights.pt in the folder, of the moving average when it was best at `judge`. begin: weights to go on from."""
    folder.mkdir(parents=True, exist_ok=True)
    state = _State.begun(task, recipe, folder, seed=seed, begin=begin)
    if state.ended_by:
        return state.result()
    where = device()
    weights = class_weights(torch.from_numpy(learn.classes)).to(where)
    every = max(limits.steps // EVALUATIONS, 1)
    clock = time.monotonic() - state.seconds
    judged_at = state.seconds
    for batch in _batches(task, recipe, learn, seed=seed, start=state.step):
        state.seconds = time.monotonic() - clock
        done = max(state.step / limits.steps, state.seconds / limits.seconds)
        by_time = state.seconds / limits.seconds > state.step / limits.steps  # else the clock would choose the weights
        due = state.step % every == 0 or (by_time and state.seconds - judged_at > limits.seconds / EVALUATIONS)
        if done >= 1 or (due and state.step > state.judged_step):
            state.judge(judge, done)
            judged_at = state.seconds
            stop = watch(state.moment(done))
            state.ended_by = _end(state, limits, done, stop=stop)
            state.save(folder)
            if state.ended_by:
                break
        _step(state, batch.to(where), recipe, weights, done, seed=seed)
    return state.result()


class _State:
    """All that a training needs to go on."""

    def __init__(self, task: Task, recipe: Recipe, folder: Path) -> None:
        self.task, self.folder = task, folder
        self.network = Network(task, recipe).to(device(), memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
        self.step, self.judged_step, self.seconds, self.loss = 0, 0, 0.0, math.nan
        self.best, self.best_at, self.by_name = -1.0, 0, dict[str, float]()
        self.now, self.judged, self.ended_by = 0.0, 0, ""
        self.curve: list[tuple[float, float]] = []

    _NUMBERS = ("step", "judged_step", "seconds", "loss", "best", "best_at", "by_name", "now", "judged", "ended_by", "curve")
    _TENSORS = ("network", "average", "optimiser")

    @classmethod
    def begun(cls, task: Task, recipe: Recipe, folder: Path, *, seed: int, begin: Path | None) -> _State:
        torch.manual_seed(seed)
        state = cls(task, recipe, folder)
        path = folder / CHECKPOINT
        if path.is_file():
            kept = torch.load(path, map_location=device(), weights_only=True)
            for name in cls._NUMBERS:
                setattr(state, name, kept[name])
            for name in cls._TENSORS:
                getattr(state, name).load_state_dict(kept[name])
        elif begin is not None:
            for net in (state.network, state.average):
                net.load_state_dict(torch.load(begin, map_location=device(), weights_only=True))
        return state

    def save(self, folder: Path) -> None:
        """The checkpoint, and then a line of the log: what the log says has happened can be taken up."""
        kept: dict[str, Any] = {name: getattr(self, name) for name in self._NUMBERS}
        kept |= {name: getattr(self, name).state_dict() for name in self._TENSORS}
        _replace(folder / CHECKPOINT, kept)
        line: dict[str, Any] = {"step": self.step, "seconds": round(self.seconds, 1), "loss": self.loss, "quality": self.now}
        line |= {"best": self.best, "ended_by": self.ended_by, "by_name": self.by_name}
        with (folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def judge(self, examples: Examples, done: float) -> None:
        names = quality.by_name(self.task, answers(self.average, self.task, examples.planes), examples)
        self.now, self.judged_step = quality.overall(names), self.step
        self.judged += 1
        self.curve.append((done, self.now))
        if self.now > self.best + _LEAST_GAIN:
            self.best, self.best_at, self.by_name = self.now, self.judged, names
            _replace(self.folder / WEIGHTS, self.average.state_dict())

    def moment(self, done: float) -> Moment:
        return Moment(
            step=self.step, seconds=self.seconds, done=min(done, 1.0), loss=self.loss, quality=self.best, now=self.now
        )

    def result(self) -> Trained:
        return Trained(
            quality=self.best,
            by_name=self.by_name,
            steps=self.step,
            seconds=self.seconds,
            ended_by=self.ended_by,
            curve=tuple((float(at), float(value)) for at, value in self.curve),
        )


def _end(state: _State, limits: Limits, done: float, *, stop: bool) -> str:
    if done >= 1:
        return "steps" if state.step >= limits.steps else "seconds"
    if stop:
        return "stopped"
    return "no improvement" if state.judged - state.best_at >= PATIENCE and done > 0.5 else ""


def _batches(task: Task, recipe: Recipe, learn: Examples, *, seed: int, start: int) -> Iterator[Batch]:
    """From a step on, for ever; every image once before any comes again."""
    count, step = len(learn), start
    while True:
        wanted = np.arange(step * recipe.batch, (step + 1) * recipe.batch)
        rounds = {int(one): np.random.default_rng([seed, int(one)]).permutation(count) for one in np.unique(wanted // count)}
        chosen = np.array([rounds[int(at // count)][at % count] for at in wanted])
        generator = torch.Generator().manual_seed((seed << 32) + step)
        yield augment(batch_of(learn, chosen), task.augmentation, recipe, generator)
        step += 1


def batch_of(examples: Examples, chosen: npt.NDArray[np.int64]) -> Batch:
    return Batch(
        images=torch.from_numpy(examples.planes[chosen]).float()[:, None] / 255,
        classes=torch.from_numpy(examples.classes[chosen]),
        points=torch.from_numpy(examples.points[chosen]),
        masks=torch.from_numpy(examples.masks[chosen]).float() / 255,
        shown=torch.from_numpy(examples.shown[chosen]),
        boxes=torch.from_numpy(examples.boxes[chosen]),
    )


def _step(state: _State, batch: Batch, recipe: Recipe, weights: Tensor, done: float, *, seed: int) -> None:
    rate = recipe.rate * min(1.0, (state.step + 1) / _WARM_UP_STEPS) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-6
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    torch.manual_seed((seed << 32) + state.step)  # of the dropout
    state.network.train()
    found = state.network(batch.images.contiguous(memory_format=torch.channels_last))
    loss = loss_of(found, batch, recipe, weights)
    state.optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), _LARGEST_GRADIENT)
    state.optimiser.step()
    state.step += 1
    state.loss = float(loss.detach())
    _follow(state.average, state.network, state.step)


def _follow(average: Network, network: Network, step: int) -> None:
    """The exponential moving average that is judged and kept; quicker at first."""
    decay = min(_EMA_DECAY, step / (step + 10))
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def _replace(path: Path, content: Any) -> None:
    """Whole or as it was, whenever the power goes."""
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def answers(network: Network, task: Task, planes: PlanesArray) -> Answers:
    """planes: uint8 (n, rows, columns). The network is asked as it is: in doubt where dropout is on."""
    parts = [_answers(network, task, planes[at : at + _ANSWER_BATCH]) for at in range(0, len(planes), _ANSWER_BATCH)]
    names = tuple(Answers.__dataclass_fields__)
    return Answers(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _answers(network: Network, task: Task, planes: PlanesArray) -> Answers:
    images = torch.from_numpy(planes).to(next(network.parameters()).device).float()[:, None] / 255
    with torch.no_grad():
        return as_answers(network(images.contiguous(memory_format=torch.channels_last)), task)


def as_answers(found: dict[str, Tensor], task: Task) -> Answers:
    count, concepts = len(next(iter(found.values()))), len(task.values)
    none = torch.zeros(count, 0)
    logits, points, spreads = none, torch.zeros(count, 0, 2), none
    masks, boxes, scores = torch.zeros(count, 0, 0, 0), torch.zeros(count, 0, 4), torch.zeros(count, 0, concepts)
    if "masks" in found:
        masks, logits = found["masks"].sigmoid() * 255, found["masks"].amax(dim=(2, 3))
    if "centres" in found:
        found = dict(zip(("boxes", "scores"), cells(found), strict=True))
    if "boxes" in found:
        where, each = found["boxes"], found["scores"]
        half = where[..., 2:] / 2
        boxes, scores = torch.cat([where[..., :2] - half, where[..., :2] + half], dim=-1), each.sigmoid()
        logits = each.amax(1)
    if "heatmaps" in found:
        points, spreads = soft_argmax(found["heatmaps"])
    if "classes" in found:
        logits = found["classes"]

    def array(one: Tensor) -> npt.NDArray[np.float32]:
        return one.float().cpu().numpy()

    return Answers(
        logits=array(logits),
        points=array(points),
        spreads=array(spreads),
        masks=np.round(array(masks)).astype(np.uint8),
        boxes=array(boxes),
        scores=array(scores),
    )


def load_network(task: Task, recipe: Recipe, weights: Path) -> Network:
    network = Network(task, recipe)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()


def monte_carlo(run: Path, planes: PlanesArray, passes: int, *, seed: int = 0) -> npt.NDArray[np.float32]:
    """(passes, n, concepts) probabilities of a run's network with its dropout on, which differ where it is in doubt.

    planes: uint8 (n, rows, columns), laid as `run.json` says. TaskInvalid for landmarks, which have no probabilities.
    """
    task, recipe, weights = load_run(run)
    if task.kind == "landmarks":
        raise TaskInvalid(f"the run {run.name} finds landmarks, and says of no image how probable anything is")
    network = load_network(task, recipe, weights).to(device(), memory_format=torch.channels_last)
    in_doubt(network)
    torch.manual_seed(seed)
    return np.stack([answers(network, task, planes).probabilities for _ in range(passes)])
