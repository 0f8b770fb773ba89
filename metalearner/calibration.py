"""Probabilities that mean what they say: how far they are off, and what puts them right. On data that nobody trained on.

An unknown truth is negative, and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar

FloatArray = npt.NDArray[np.float64]
Truth = npt.NDArray[np.integer]

BINS = 15
MISSED, FALSE_ALARMS = 0.05, 0.02  # shares that operating points allow
LEAST_POINT, MOST_POINT = 0.02, 0.98  # with a gap: beyond them a few more cases would move them
LEAST = 1e-7  # of a probability, so that a logit is finite: as in `inference.tensors`


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Of each bin of probability that holds a case: mean probability, the share that came true, how many."""

    said: FloatArray
    came_true: FloatArray
    cases: npt.NDArray[np.int64]


def calibration_error(said: FloatArray, came_true: npt.ArrayLike, *, bins: int = BINS) -> float:
    """Expected calibration error: mean distance between what was said and what came true, over equally wide bins of
    probability (Guo et al. 2017, arXiv 1706.04599). said: (n,) probabilities; came_true: (n,) 0 or 1.
    """
    found = reliability(said, came_true, bins=bins)
    return float((np.abs(found.said - found.came_true) * found.cases).sum() / max(found.cases.sum(), 1))


def reliability(said: FloatArray, came_true: npt.ArrayLike, *, bins: int = BINS) -> Reliability:
    place = bin_of(said, bins)
    cases = np.bincount(place, minlength=bins)
    held = cases > 0
    sums = [np.bincount(place, weights=np.asarray(values, dtype=float), minlength=bins) for values in (said, came_true)]
    means = [total[held] / cases[held] for total in sums]
    return Reliability(said=means[0], came_true=means[1], cases=cases[held])


def bin_of(said: FloatArray, bins: int = BINS) -> npt.NDArray[np.int64]:
    return np.minimum((np.asarray(said) * bins).astype(np.int64), bins - 1)


def temperature(logits: FloatArray, truth: Truth) -> float:
    """What the logits are divided by so that the truth is most probable (Guo et al. 2017).

    (n, classes): of a softmax, truth the index of the class. (n,): of a sigmoid, truth 0 or 1.
    """
    known = truth >= 0
    labels = truth[known]
    chosen = np.stack([np.zeros(len(labels)), logits[known]], axis=1) if logits.ndim == 1 else logits[known]

    def surprise(log_temperature: float) -> float:
        scaled = chosen / np.exp(log_temperature)
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-3, 3), method="bounded").x))


def platt(logits: FloatArray, truth: Truth) -> tuple[float, float]:
    """Slope and intercept of the logit, (n,); the identity where only one answer occurs.

    With Platt's targets (1999: (n₊ + 1) / (n₊ + 2) and 1 / (n₋ + 2) instead of 1 and 0), since a slope that fits cases which
    are told apart without a fault has no end.
    """
    known = truth >= 0
    x, yes = logits[known], truth[known] > 0
    if not 0 < yes.mean() < 1:
        return 1.0, 0.0
    y = np.where(yes, (yes.sum() + 1) / (yes.sum() + 2), 1 / ((~yes).sum() + 2))

    def surprise(line: FloatArray) -> float:
        z = line[0] * x + line[1]
        return float((np.logaddexp(0, z) - y * z).mean())

    slope, intercept = minimize(surprise, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(slope), float(intercept)


def operating_points(
    p: FloatArray, truth: Truth, *, missed: float = MISSED, false_alarms: float = FALSE_ALARMS, gap: bool = False
) -> tuple[float, float]:
    """Below the first a finding is ABSENT, from the second on PRESENT: few with it lie below, few without it above.

    gap: where all are told apart, what lies between the two kinds, where there was nobody, is UNCERTAIN instead of PRESENT.
    """
    present_from = float(np.quantile(p[truth == 0], 1 - false_alarms)) if (truth == 0).any() else 1.0
    absent_below = float(np.quantile(p[truth == 1], missed)) if (truth == 1).any() else 0.0
    low, high = min(absent_below, present_from), present_from
    if gap:
        high = max(absent_below, present_from)
        low, high = (min(max(at, LEAST_POINT), MOST_POINT) for at in (low, high))
    return round(low, 4), round(high, 4)


def logit(p: FloatArray) -> FloatArray:
    within = np.clip(p, LEAST, 1 - LEAST)
    return np.asarray(np.log(within / (1 - within)))
