"""How far landmarks and the measures made of them lie from the truth: in millimetres, pixels and vertebrae."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from inference.measuring import SPINE
from metalearner.collection import Case
from metalearner.model_answers import aspect_of
from metalearner.statistics import LEVEL, Estimate, Resamples, interval, number

FloatArray = npt.NDArray[np.float64]
LIMIT = 1.96  # standard deviations to either limit of agreement
_MOST_PAIRS = 1000  # in a plot and in the JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class BlandAltman:
    """Of n differences, said less true: their mean, and the limits between which 95 % of them are expected."""

    n: int
    bias: Estimate
    low: Estimate
    high: Estimate
    deviation: float
    mean_absolute: Estimate
    p95: float  # 95 % of the absolute differences are at most that

    def as_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "bias": self.bias.as_json(),
            "limit_low": self.low.as_json(),
            "limit_high": self.high.as_json(),
            "standard_deviation": number(self.deviation),
            "mean_absolute": self.mean_absolute.as_json(),
            "p95_absolute": number(self.p95),
        }


def bland_altman(said: FloatArray, true: FloatArray, resamples: Resamples) -> BlandAltman:
    """Pairs of which either is unknown do not count. Intervals as Bland and Altman 1999 (PMID 10501650): of the bias t·s/√n,
    of a limit t·s·√(1/n + 1.96²/(2(n - 1))); where a patient has several images, from resamples of patients instead.
    """
    known = np.isfinite(said) & np.isfinite(true)
    differences, drawn = (said - true)[known], resamples.among(known)
    n = len(differences)
    if n < 2:
        nothing = Estimate(value=float(differences[0]) if n else math.nan)
        absolute = Estimate(value=abs(nothing.value))
        limit = Estimate(value=math.nan)
        return BlandAltman(
            n=n, bias=nothing, low=limit, high=limit, deviation=math.nan, mean_absolute=absolute, p95=absolute.value
        )
    bias, deviation = float(differences.mean()), float(differences.std(ddof=1))
    if drawn.patients() == n:
        many = float(t.ppf((1 + LEVEL) / 2, n - 1)) * deviation
        of_bias = _around(bias, many / math.sqrt(n))
        half = many * math.sqrt(1 / n + LIMIT**2 / (2 * (n - 1)))
        low, high = _around(bias - LIMIT * deviation, half), _around(bias + LIMIT * deviation, half)
    else:
        of_bias = drawn.mean(differences)
        cases, sums, squares = drawn.sums(np.ones(n), differences, differences**2)
        means = sums / cases
        spread = LIMIT * np.sqrt(np.clip((squares / cases - means**2) * cases / (cases - 1), 0, None))
        low, high = (interval(bias + sign * LIMIT * deviation, means + sign * spread) for sign in (-1, 1))
    return BlandAltman(
        n=n,
        bias=of_bias,
        low=low,
        high=high,
        deviation=deviation,
        mean_absolute=drawn.mean(np.abs(differences)),
        p95=float(np.percentile(np.abs(differences), 95)),
    )


def _around(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def measure_figures(said: FloatArray, true: FloatArray, resamples: Resamples) -> dict[str, Any]:
    """pairs: [true, said] for the plot. given: how often the model gave the measure where the truth has it."""
    wanted, both = np.isfinite(true), np.isfinite(true) & np.isfinite(said)
    pairs = np.stack([true[both], said[both]], axis=1)[:_MOST_PAIRS]
    slope = np.polyfit(true[both], said[both], 1)[0] if both.sum() > 2 and np.ptp(true[both]) > 0 else math.nan
    return {
        "images": int(wanted.sum()),
        "given": resamples.among(wanted).share(np.ones(wanted.sum(), bool), both[wanted]).as_json(),
        "slope": number(slope),
        "agreement": bland_altman(said, true, resamples).as_json(),
        "pairs": [[round(float(one), 3) for one in pair] for pair in pairs],
    }


UNITS = {"mm": "mm", "pixels": "px", "vertebrae": "v"}


def point_figures(
    said: Mapping[str, FloatArray], true: Mapping[str, FloatArray], cases: Sequence[Case], resamples: Resamples
) -> list[dict[str, Any]]:
    """Of each landmark that both have and, first, of all together. (n, 2) each, source pixels."""
    names = [name for name in said if name in true and np.isfinite(true[name]).any()]
    if not names:
        return []
    scales = _scales(true, cases)
    changes = {name: said[name] - true[name] for name in names}
    told = [{"point": name, **_errors([changes[name]], scales, cases, resamples)} for name in names]
    return [{"point": "", **_errors(list(changes.values()), scales, cases, resamples)}, *told]


def image_distances(
    said: Mapping[str, FloatArray], true: Mapping[str, FloatArray], cases: Sequence[Case]
) -> tuple[str, FloatArray]:
    """(n,) each image's mean distance over the landmarks that are known of it, and the unit: mm where all have a scale."""
    names = [name for name in said if name in true]
    scale = np.array([case.spacing_column_mm or math.nan for case in cases])
    unit = "mm" if np.isfinite(scale).all() else "pixels"
    square = np.array([[1.0, aspect_of(case)] for case in cases]).reshape(-1, 2)
    each = np.array([np.linalg.norm((said[name] - true[name]) * square, axis=1) for name in names]).reshape(-1, len(cases))
    known = np.isfinite(each)
    mean = np.where(known, each, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    return unit, mean * (scale if unit == "mm" else 1.0)


def _errors(
    changes: Sequence[FloatArray], scales: Mapping[str, FloatArray], cases: Sequence[Case], resamples: Resamples
) -> dict[str, Any]:
    """changes: (n, 2) of one or several landmarks."""
    every = np.concatenate(changes)
    groups = resamples.taken(np.tile(np.arange(len(cases)), len(changes)))
    square = np.array([[1.0, aspect_of(case)] for case in cases])
    told: dict[str, Any] = {"n": int(np.isfinite(every).all(axis=1).sum())}
    for unit, scale in scales.items():
        stretch = square if unit != "pixels" else np.ones_like(square)
        distance = np.linalg.norm(every * np.tile(stretch, (len(changes), 1)), axis=1) * np.tile(scale, len(changes))
        known = np.isfinite(distance)
        if not known.any():
            continue
        found = distance[known]
        told[unit] = {
            "n": len(found),
            "mean": groups.among(known).mean(found).as_json(),
            "median": number(float(np.median(found))),
            "p95": number(float(np.percentile(found, 95))),
        }
    zero = np.zeros(len(every))
    for axis, at in (("column", 0), ("row", 1)):
        told[f"{axis}_pixels"] = bland_altman(every[:, at], zero, groups).as_json()
    return told


def _scales(true: Mapping[str, FloatArray], cases: Sequence[Case]) -> dict[str, FloatArray]:
    """What a distance whose unit is the width of a source pixel is multiplied by: (n,), NaN where that is not known."""
    widths = np.array([case.spacing_column_mm or math.nan for case in cases])
    return {"mm": widths, "pixels": np.ones(len(cases)), "vertebrae": 1 / vertebra_pixels(true, cases)}


def vertebra_pixels(true: Mapping[str, FloatArray], cases: Sequence[Case]) -> FloatArray:
    """(n,) mean distance of the true cranial edges from T4 on, in widths of a pixel; NaN for fewer than two."""
    found = np.full(len(cases), math.nan)
    for number_, case in enumerate(cases):
        edges = []
        for name in SPINE:
            if name not in true or not np.isfinite(true[name][number_]).all():
                break
            edges.append(true[name][number_] * (1.0, aspect_of(case)))
        if len(edges) > 1:
            found[number_] = float(np.linalg.norm(np.diff(np.array(edges), axis=0), axis=1).mean())
    return found
