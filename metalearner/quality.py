"""A network's answers to a part of a collection, and one number that says how good they are, for a search to climb."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.boxes import distinct
from inference.tensors import sigmoid
from metalearner.examples import Examples
from metalearner.statistics import auc
from metalearner.tasks import Task

FloatArray = npt.NDArray[np.float32]

MOST_OVERLAP = 0.2  # of two boxes of one class; neighbouring cells of one thing overlap more
_MOST_BOXES = 20
_FAR = 0.1  # of the image's diagonal: a point that is farther off is simply wrong
_HIT = 0.3  # least overlap of a box with the true one
_MASK_SHARE = 0.25  # of findings: whether something is there weighs more than exactly where
_INSIDE = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """To n images, in the order of the examples; what the kind of task has not is empty.

    logits: (n, c), of maps the highest. points: (n, k, 2) and spreads: (n, k), input pixels.
    masks: (n, c, h, w) uint8, 255 for certain. boxes: (n, cells, 4) corners, scores: (n, cells, c) 0..1.
    """

    logits: FloatArray
    points: FloatArray
    spreads: FloatArray
    masks: npt.NDArray[np.uint8]
    boxes: FloatArray
    scores: FloatArray

    @property
    def probabilities(self) -> FloatArray:
        return sigmoid(self.logits.astype(np.float64)).astype(np.float32)


def overall(by_name: dict[str, float]) -> float:
    """The mean of what could be judged; 0 where nothing could."""
    known = [value for value in by_name.values() if np.isfinite(value)]
    return float(np.mean(known)) if known else 0.0


def by_name(task: Task, answers: Answers, examples: Examples) -> dict[str, float]:
    """Of each concept or point, 0 … 1; NaN where the part cannot tell.

    classification: area under the ROC curve. masks: Dice's coefficient over all images. findings: the two, 3 : 1.
    boxes: average precision at an overlap of 0.3. landmarks: 1 less the mean distance in tenths of the diagonal.
    """
    if task.kind == "landmarks":
        return dict(zip(task.points, _closeness(answers.points, examples), strict=True))
    values = []
    for number in range(len(task.values)):
        if task.kind == "boxes":
            values.append(_average_precision(number, answers, examples))
        elif task.kind == "masks":
            values.append(_dice(number, answers, examples))
        else:
            known = np.isfinite(examples.classes[:, number])
            area = auc(answers.logits[known, number].astype(np.float64), examples.classes[known, number] >= 0.5)
            dice = _dice(number, answers, examples) if task.kind == "findings" else float("nan")
            values.append(area if not np.isfinite(dice) else (1 - _MASK_SHARE) * area + _MASK_SHARE * dice)
    return dict(zip(task.values, values, strict=True))


def _closeness(points: FloatArray, examples: Examples) -> list[float]:
    diagonal = float(np.hypot(*examples.planes.shape[1:]))
    distance = np.linalg.norm(points - examples.points, axis=-1)
    share = 1 - np.clip(distance / (_FAR * diagonal), 0, 1)
    return [float(np.nanmean(one)) if np.isfinite(one).any() else float("nan") for one in share.T]


def _dice(number: int, answers: Answers, examples: Examples) -> float:
    known = examples.shown[:, number]
    found, truth = answers.masks[known, number] >= _INSIDE, examples.masks[known, number] >= _INSIDE
    if not truth.any():
        return float("nan")
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def _average_precision(number: int, answers: Answers, examples: Examples) -> float:
    """Area under precision over recall, each box found at most once, the surest first."""
    found: list[tuple[float, bool]] = []
    wanted = 0
    for image in np.flatnonzero(examples.shown[:, number]):
        true = examples.boxes[image][examples.boxes[image][:, 0] == number][:, 1:].astype(np.float64)
        wanted += len(true)
        taken: set[int] = set()
        for score, box in best_boxes(answers.boxes[image], answers.scores[image][:, number]):
            overlaps = [overlap(box, one) for one in true]
            hit = int(np.argmax(overlaps)) if overlaps else -1
            right = hit >= 0 and overlaps[hit] >= _HIT and hit not in taken
            taken |= {hit} if right else set()
            found.append((score, right))
    if not wanted:
        return float("nan")
    right_ones = np.cumsum([right for _, right in sorted(found, key=lambda one: -one[0])])
    precision = right_ones / np.arange(1, len(right_ones) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(best * np.diff(right_ones, prepend=0)) / wanted)


def best_boxes(boxes: FloatArray, scores: FloatArray) -> list[tuple[float, npt.NDArray[np.float64]]]:
    """What the node keeps of an image's boxes of one class, the surest first."""
    surest = [int(i) for i in np.argsort(-scores)[: 10 * _MOST_BOXES]]
    corners = boxes.astype(np.float64)
    kept = distinct(corners, scores.astype(np.float64), surest, most_overlap=MOST_OVERLAP)[:_MOST_BOXES]
    return [(float(scores[i]), corners[i]) for i in kept]


def overlap(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Intersection over union."""
    sides = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None)
    common = float(np.prod(sides))
    union = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - common
    return common / union if union > 0 else 0.0


def save(path: Path, answers: Answers, examples: Examples, task: Task) -> None:
    """images; logits and probabilities (n, c); points (n, k, 2) in source pixels; masks (n, c, h, w), 1 where it was found;
    boxes (n, most, 6): number of the class, score, left, top, right, bottom in source pixels, NaN where there is none.
    """
    kept: dict[str, Any] = {
        "images": np.array(examples.images),
        "logits": answers.logits.astype(np.float32),
        "probabilities": answers.probabilities,
        "points": examples.to_source(answers.points) if task.points else np.zeros((len(examples), 0, 2)),
    }
    if answers.masks.size:
        kept["masks"] = (answers.masks >= _INSIDE).astype(np.uint8)
    if task.kind == "boxes":
        kept["boxes"] = _boxes_in_source(answers, examples, task)
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        np.savez_compressed(file, **kept)
    beside.replace(path)


def _boxes_in_source(answers: Answers, examples: Examples, task: Task) -> FloatArray:
    told = np.full((len(examples), _MOST_BOXES * len(task.values), 6), np.nan)
    for image in range(len(examples)):
        row = 0
        for number in range(len(task.values)):
            for score, box in best_boxes(answers.boxes[image], answers.scores[image][:, number]):
                told[image, row] = (number, score, *box)
                row += 1
    corners = examples.to_source(told[:, :, 2:].reshape(len(examples), -1, 2)).reshape(len(examples), -1, 2, 2)
    told[:, :, 2:4], told[:, :, 4:] = corners.min(axis=2), corners.max(axis=2)
    return told.astype(np.float32)
