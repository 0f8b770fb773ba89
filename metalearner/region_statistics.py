"""How well regions lie on what was outlined by hand: boxes by their overlap, masks by Dice's coefficient, and how many true
ones are found at so many false alarms an image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from metalearner.labelling import Labels
from metalearner.model_answers import Outlined
from metalearner.quality import overlap
from metalearner.statistics import Resamples, number

FloatArray = npt.NDArray[np.float64]

HIT = 0.3  # intersection over union from which on a box has found a true one
FALSE_ALARMS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)  # an image
_LONGEST_SIDE = 512  # of the raster that masks are compared on


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """Of one image: true regions found (with the probability of what found them) and missed, false alarms by probability."""

    found: tuple[float, ...]
    missed: int
    false: tuple[float, ...]


def region_figures(
    concept: str,
    said: Sequence[Sequence[Outlined]],
    truths: Sequence[Labels],
    sizes: Sequence[tuple[int, int]],
    resamples: Resamples,
    *,
    present_from: float,
) -> dict[str, Any] | None:
    """Over the images where it is known where the concept is, or that it is nowhere; None where nothing was outlined.

    said: of each image. sizes: its rows and columns. Sensitivity and false alarms are of regions that reach `present_from`.
    """
    rings = [true_rings(concept, truth) for truth in truths]
    known = np.array([bool(one) or truth.classes.get(concept) == 0 for one, truth in zip(rings, truths, strict=True)])
    if not any(rings):
        return None
    chosen = [int(i) for i in np.flatnonzero(known)]
    judged = [_judge(said[i], [box_of(np.concatenate(group)) for group in rings[i]]) for i in chosen]
    drawn = resamples.among(known)
    sure = [[p >= present_from for p in one.found] + [False] * one.missed for one in judged]
    of_image = np.repeat(np.arange(len(chosen)), [len(one) for one in sure])
    per_region = drawn.taken(of_image)
    hits = np.array([hit for one in sure for hit in one], dtype=bool)
    alarms = np.array([sum(p >= present_from for p in one.false) for one in judged], dtype=np.float64)
    with_it = np.array([bool(rings[i]) for i in chosen])
    overlaps = [_overlaps(said[i], rings[i], sizes[i]) for i in chosen if rings[i]]
    dice, union = (np.array([one[at] for one in overlaps]) for at in (0, 1))
    return {
        "concept": concept,
        "images": len(chosen),
        "regions": len(hits),
        "dice": drawn.among(with_it).mean(dice).as_json(),
        "overlap": drawn.among(with_it).mean(union).as_json(),
        "sensitivity": per_region.share(np.ones(len(hits), bool), hits).as_json(),
        "false_alarms_per_image": drawn.mean(alarms).as_json(),
        "sensitivity_at": [
            {"false_alarms_per_image": rate, "sensitivity": number(value)}
            for rate, value in zip(FALSE_ALARMS, _free_response(judged), strict=True)
        ],
    }


def true_rings(concept: str, truth: Labels) -> list[list[FloatArray]]:
    """Of each true region its rings."""
    masks = [[np.array(ring) for ring in mask.polygons] for mask in truth.masks if mask.concept == concept]
    if masks:
        return masks
    edges = [(box.left, box.top, box.right, box.bottom) for box in truth.boxes if box.concept == concept]
    return [[np.array([(left, top), (right, top), (right, bottom), (left, bottom)])] for left, top, right, bottom in edges]


def box_of(ring: FloatArray) -> FloatArray:
    """(4,) left, top, right, bottom."""
    return np.concatenate([ring.min(axis=0), ring.max(axis=0)])


def _judge(said: Sequence[Outlined], true: Sequence[FloatArray]) -> _Judged:
    """The surest first, each true region found once at most; finding it again is no false alarm and no second hit."""
    found: dict[int, float] = {}
    false = []
    for one in sorted(said, key=lambda region: -region.probability):
        overlaps = [overlap(box_of(one.ring), box) for box in true]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best < 0 or overlaps[best] < HIT:
            false.append(one.probability)
        else:
            found.setdefault(best, one.probability)
    return _Judged(found=tuple(found.values()), missed=len(true) - len(found), false=tuple(false))


def _free_response(judged: Sequence[_Judged]) -> list[float]:
    """Sensitivity at each of `FALSE_ALARMS`: with the lowest threshold that makes no more of them (Chakraborty 1989)."""
    false = np.sort(np.array([p for one in judged for p in one.false]))[::-1]
    found = np.array([p for one in judged for p in one.found])
    true = len(found) + sum(one.missed for one in judged)
    told = []
    for rate in FALSE_ALARMS:
        most = int(rate * len(judged))
        threshold = -math.inf if len(false) <= most else float(false[most])
        told.append(float((found > threshold).sum() / true) if true else math.nan)
    return told


def _overlaps(said: Sequence[Outlined], true: Sequence[Sequence[FloatArray]], size: tuple[int, int]) -> tuple[float, float]:
    """Dice's coefficient and intersection over union of all that was said and all that is true of an image."""
    scale = min(1.0, _LONGEST_SIDE / max(*size, 1))
    found = _filled([[region.ring] for region in said], size, scale)
    wanted = _filled(true, size, scale)
    common, both = float((found & wanted).sum()), float(found.sum() + wanted.sum())
    return (2 * common / both, common / (both - common)) if both else (0.0, 0.0)


def _filled(regions: Sequence[Sequence[FloatArray]], size: tuple[int, int], scale: float) -> npt.NDArray[np.bool_]:
    """What lies in any of the regions; within one, inside an odd number of its rings."""
    rows, columns = (max(round(side * scale), 1) for side in size)
    held = np.zeros((rows, columns), dtype=bool)
    for rings in regions:
        region = np.zeros_like(held)
        for ring in rings:
            sheet = Image.new("1", (columns, rows))
            # Pillow counts from the middle of the first pixel.
            ImageDraw.Draw(sheet).polygon([(float(x), float(y)) for x, y in ring * scale - 0.5], fill=1)
            region ^= np.asarray(sheet)
        held |= region
    return held
