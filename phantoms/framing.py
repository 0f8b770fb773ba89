"""Which part of a body a film holds, and how it lies there: scale, turn, place, and which landmark it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from phantoms.anatomy import Body
from phantoms.film import Border
from phantoms.projection import Frame, make_frame
from phantoms.solids import FloatArray

CropName = Literal["apex", "t4", "abdomen"]

# Pixels that a landmark of a complete film keeps from the border, and how far outside a missing one lies, in vertebrae.
CLEARANCE_PIXELS, MISSING_VERTEBRAE = 5.0, 0.4
DETECTOR_MM = 430.0  # the largest plates are 43 cm
ATTEMPTS, ATTEMPTS_AT_SIZE = 400, 200  # after the latter a complete film zooms out, step by step


class Unframeable(ValueError):
    """No film of this body lacks just what was asked for. Takes another seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A film to be framed. Orientation, where it is returned, is what lies to the right and below: PS3.3 C.7.6.1.1.1."""

    rows: int
    columns: int
    border: Border
    crop: CropName | None = None

    def clearance(self, at: FloatArray, *, matrix: FloatArray, offset: FloatArray) -> float:
        """Pixels between the outermost of these plane points and the nearest border, negative outside."""
        low, high = self.border.inside(self.rows, self.columns)
        pixels = np.atleast_2d(at) @ matrix.T + offset
        return float(np.minimum(pixels - low, high - pixels).min())


def frame_lateral(body: Body, wanted: Wanted, rng: np.random.Generator, *, mirrored: bool) -> tuple[Frame, tuple[str, str]]:
    """A film that holds every landmark clear of its border or, cropped, lacks the one that is named.

    mirrored: left instead of right recumbency, so that the other side of the chest lies nearer to the film.
    """
    rows, columns, crop = wanted.rows, wanted.columns, wanted.crop
    scale = min(rows / 256, columns / 320)
    uniform = rng.uniform
    head_left = bool(rng.random() < 0.8)
    roll, yaw = uniform(-0.12, 0.12), uniform(-0.08, 0.08)
    side = -1.0 if mirrored else 1.0
    view = np.array([[1.0, 0.0, side * yaw], [0.0, 1.0, side * roll]])
    spine = body.spine
    centre = np.array([3.6, float(spine.y(3.6)) + 0.45 * body.thorax.depth])
    for attempt in range(ATTEMPTS):
        per_unit = max(uniform(12.0, 24.0), body.unit_mm * 256 / DETECTOR_MM) * scale
        per_unit *= (1.0 if crop is None else uniform(1.0, 1.6)) * 0.99 ** max(0, attempt - ATTEMPTS_AT_SIZE)
        matrix = per_unit * _turn(np.deg2rad(uniform(-15, 15)))
        if not head_left:
            matrix = np.diag([-1.0, 1.0]) @ matrix
        wander = (0.16, 0.13) if crop is None else (0.5, 0.5)
        at = np.array([columns * (0.5 + uniform(-1, 1) * wander[0]), rows * (0.5 + uniform(-1, 1) * wander[1])])
        if crop == "abdomen":
            centre = np.array([uniform(10.0, 14.0), float(spine.y(10)) + 3.0])
        offset = at - matrix @ centre
        if _fits(body, wanted, matrix=matrix, offset=offset, per_unit=per_unit, scale=scale):
            return make_frame(rows, columns, view, matrix, offset), ("CD" if head_left else "CR", "V")
    raise Unframeable(f"seed {body.seed}: no film with crop={crop}")


def _fits(body: Body, wanted: Wanted, *, matrix: FloatArray, offset: FloatArray, per_unit: float, scale: float) -> bool:
    heart, counted = body.heart, body.spine.counted
    middle = wanted.clearance(np.mean(heart.short_axis, axis=0), matrix=matrix, offset=offset)
    if wanted.crop is None:
        needed = np.concatenate([heart.long_axis, heart.short_axis, counted])
        return wanted.clearance(needed, matrix=matrix, offset=offset) > CLEARANCE_PIXELS * scale
    if wanted.crop == "abdomen":
        return middle < 0
    missing = heart.long_axis[1] if wanted.crop == "apex" else counted[0]
    return wanted.clearance(missing, matrix=matrix, offset=offset) < -MISSING_VERTEBRAE * per_unit and middle > 0


def frame_ventrodorsal(wanted: Wanted, rng: np.random.Generator, *, lying_share: float) -> tuple[Frame, tuple[str, str]]:
    """Head up; a share of them lying on the side, as some consoles send it."""
    rows, columns = wanted.rows, wanted.columns
    per_unit = min(rows, columns) / 256 * rng.uniform(12, 24)
    matrix = per_unit * _turn(np.deg2rad(rng.uniform(-10, 10)))
    orientation = ("LE", "CD")
    if rng.random() < lying_share:
        matrix = np.array([[0.0, 1.0], [-1.0, 0.0]]) @ matrix
        orientation = ("CD", "RT")
    roll = rng.uniform(-0.1, 0.1)
    view = np.array([[0.0, roll, 1.0], [1.0, 0.0, 0.0]])
    centre = np.array([roll * 3, rng.uniform(2.5, 5)])
    at = np.array([columns * rng.uniform(0.42, 0.58), rows * rng.uniform(0.42, 0.58)])
    return make_frame(rows, columns, view, matrix, at - matrix @ centre), orientation


def _turn(angle: float) -> FloatArray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
