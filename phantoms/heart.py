"""The heart's silhouette from the side, and the exact vertebral heart score it has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.measures import vertebral_heart_score
from phantoms.solids import FloatArray

SCORE_RANGE = (7.5, 13.0)
STEPS = 241


@dataclass(frozen=True, slots=True, kw_only=True)
class Heart:
    """A silhouette in the sagittal plane, along an axis from the carina towards the apex.

    carina: (2,) ventral border of the left main bronchus; direction: (2,) unit vector; normal: (2,) to the caudal side.
    shares: (n,) position along the axis, 0..1; cranial, caudal: (n,) half widths on either side; thickness: at the middle.
    long_axis, short_axis: (2, 2) as a reader would draw them; cranial end first in short_axis.
    """

    carina: FloatArray
    direction: FloatArray
    normal: FloatArray
    length: float
    shares: FloatArray
    cranial: FloatArray
    caudal: FloatArray
    thickness: float
    long_axis: FloatArray
    short_axis: FloatArray
    score: float

    @property
    def outline(self) -> FloatArray:
        """(2n, 2) closed contour."""
        return _outline(self.carina, self.direction, self.normal, self.length, self.shares, self.cranial, self.caudal)


def draw_heart(rng: np.random.Generator, *, edges: FloatArray, depth: float, spine_y: float, x: float) -> Heart:
    """A heart whose score is uniform in SCORE_RANGE: a drawn shape, scaled until Buchanan's rule gives the drawn score.

    edges: (n, 2) cranial edges of T4, …; depth: of the chest; spine_y: height of the spine above the carina at x.
    """
    wanted = rng.uniform(*SCORE_RANGE)
    ratio = rng.uniform(1.02, 1.38)
    angle = np.deg2rad(rng.uniform(38, 86))
    direction = np.array([np.cos(angle), np.sin(angle)])
    normal = np.array([direction[1], -direction[0]])
    carina = np.array([x, spine_y + max(rng.uniform(0.27, 0.42) * depth, 1.6)])
    shares, cranial, caudal = _shape(rng)
    width = (cranial + caudal).max() * ratio
    cranial, caudal = cranial / width, caudal / width  # as shares of the length
    low, high = 2.0, 12.0
    for _ in range(30):
        length = (low + high) / 2
        long_axis, short_axis = _axes(carina, direction, normal, length, shares, cranial * length, caudal * length)
        score = vertebral_heart_score(
            long_axis_length=float(np.linalg.norm(np.diff(long_axis, axis=0))),
            short_axis_length=float(np.linalg.norm(np.diff(short_axis, axis=0))),
            vertebral_edges=edges,
        ).total
        low, high = (length, high) if score < wanted else (low, length)
    return Heart(
        carina=carina,
        direction=direction,
        normal=normal,
        length=length,
        shares=shares,
        cranial=cranial * length,
        caudal=caudal * length,
        thickness=float(np.linalg.norm(np.diff(short_axis, axis=0))) * rng.uniform(0.72, 1.0),
        long_axis=long_axis,
        short_axis=short_axis,
        score=float(score),
    )


def _shape(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Half widths of a rounded cone: blunt at the base, bulged by atria, rounded at the apex. Widest is about 1."""
    u = np.linspace(0, 1, STEPS)
    widest = rng.uniform(0.36, 0.58)
    share = rng.uniform(0.42, 0.58)
    cranial = share * _profile(u, widest, rng.uniform(1.7, 2.8), rng.uniform(0.5, 0.85))
    second = float(np.clip(widest + rng.normal(0, 0.06), 0.3, 0.62))
    caudal = (1 - share) * _profile(u, second, rng.uniform(1.4, 2.6), rng.uniform(0.5, 0.92))
    if rng.random() < 0.5:  # left atrium, on the caudodorsal border
        caudal = caudal + rng.uniform(0.0, 0.09) * np.exp(-(((u - rng.uniform(0.1, 0.3)) / 0.13) ** 2))
    if rng.random() < 0.5:  # right auricle and main pulmonary artery, on the craniodorsal border
        cranial = cranial + rng.uniform(0.0, 0.08) * np.exp(-(((u - rng.uniform(0.05, 0.3)) / 0.15) ** 2))
    if rng.random() < 0.5:  # a flatter or hollower caudal waist
        caudal = caudal - rng.uniform(0.0, 0.04) * np.exp(-(((u - rng.uniform(0.35, 0.6)) / 0.12) ** 2))
    lean = rng.normal(0, 0.03) * np.sin(np.pi * u)  # bends the axis a little
    return u, np.maximum(cranial + lean, 0), np.maximum(caudal - lean, 0)


def _profile(u: FloatArray, widest: float, power: float, base: float) -> FloatArray:
    towards_base = 1 - (1 - base) * np.clip((widest - u) / widest, 0, 1) ** power
    towards_apex = (1 - np.clip((u - widest) / (1 - widest), 0, 1) ** power) ** 0.55
    return np.where(u < widest, towards_base, towards_apex)


def _outline(
    carina: FloatArray,
    direction: FloatArray,
    normal: FloatArray,
    length: float,
    shares: FloatArray,
    cranial: FloatArray,
    caudal: FloatArray,
) -> FloatArray:
    spine = carina + (shares * length)[:, None] * direction
    return np.concatenate([spine - cranial[:, None] * normal, (spine + caudal[:, None] * normal)[::-1]])


def _axes(
    carina: FloatArray,
    direction: FloatArray,
    normal: FloatArray,
    length: float,
    shares: FloatArray,
    cranial: FloatArray,
    caudal: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Long axis to the farthest point of the contour, and the widest chord perpendicular to it."""
    contour = _outline(carina, direction, normal, length, shares, cranial, caudal)
    apex = contour[np.argmax(np.linalg.norm(contour - carina, axis=1))]
    along = (apex - carina) / np.linalg.norm(apex - carina)
    across = np.array([along[1], -along[0]])
    t, w = (contour - carina) @ along, (contour - carina) @ across
    n = len(shares)
    levels = np.linspace(0.15, 0.85, 141) * np.linalg.norm(apex - carina)
    cranial_side = np.interp(levels, t[:n], w[:n])
    order = np.argsort(t[n:])
    caudal_side = np.interp(levels, t[n:][order], w[n:][order])
    best = int(np.argmax(caudal_side - cranial_side))
    foot = carina + levels[best] * along
    short = np.stack([foot + cranial_side[best] * across, foot + caudal_side[best] * across])
    return np.stack([carina, apex]), short
