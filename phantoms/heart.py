"""The heart's silhouette from the side, and the exact vertebral heart score it has."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from domain.measures import vertebral_heart_score
from phantoms.solids import FloatArray

SCORE_RANGE = (7.5, 13.0)
STEPS = 241


@dataclass(frozen=True, slots=True, kw_only=True)
class Silhouette:
    """A contour in the sagittal plane, along a line from the carina towards the apex.

    carina: (2,) ventral border of the left main bronchus; direction: (2,) unit vector; shares: (n,) position along it, 0..1;
    cranial, caudal: (n,) distance of either border, as shares of the length.
    """

    carina: FloatArray
    direction: FloatArray
    length: float
    shares: FloatArray
    cranial: FloatArray
    caudal: FloatArray

    @property
    def normal(self) -> FloatArray:
        """(2,) unit vector to the caudal side."""
        return np.array([self.direction[1], -self.direction[0]])

    @property
    def width(self) -> float:
        return float((self.cranial + self.caudal).max()) * self.length

    @property
    def outline(self) -> FloatArray:
        """(2n, 2): down the cranial border, up the caudal one."""
        middle = self.carina + (self.shares * self.length)[:, None] * self.direction
        cranial = middle - (self.cranial * self.length)[:, None] * self.normal
        caudal = middle + (self.caudal * self.length)[:, None] * self.normal
        return np.concatenate([cranial, caudal[::-1]])

    def axes(self) -> tuple[FloatArray, FloatArray]:
        """(2, 2) each: to the farthest point of the outline; the widest chord perpendicular to that, cranial end first."""
        outline = self.outline
        apex = outline[np.argmax(np.linalg.norm(outline - self.carina, axis=1))]
        length = np.linalg.norm(apex - self.carina)
        along = (apex - self.carina) / length
        across = np.array([along[1], -along[0]])
        level, offset = (outline - self.carina) @ along, (outline - self.carina) @ across
        n = len(self.shares)
        levels = np.linspace(0.15, 0.85, 141) * length
        cranial = np.interp(levels, level[:n], offset[:n])
        order = np.argsort(level[n:])
        caudal = np.interp(levels, level[n:][order], offset[n:][order])
        widest = int(np.argmax(caudal - cranial))
        foot = self.carina + levels[widest] * along
        short_axis = np.stack([foot + cranial[widest] * across, foot + caudal[widest] * across])
        return np.stack([self.carina, apex]), short_axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Heart:
    """thickness: from side to side at the widest level; long_axis, short_axis: (2, 2) as a reader would draw them."""

    silhouette: Silhouette
    thickness: float
    long_axis: FloatArray
    short_axis: FloatArray
    score: float


def draw_heart(rng: np.random.Generator, *, edges: FloatArray, depth: float, spine_y: float, x: float) -> Heart:
    """A heart whose score is uniform in SCORE_RANGE: a drawn shape, scaled until Buchanan's rule gives the drawn score.

    edges: (n, 2) cranial edges of T4, …; depth: of the chest; spine_y: height of the spine above the carina at x.
    """
    wanted = rng.uniform(*SCORE_RANGE)
    ratio = rng.uniform(1.02, 1.38)
    angle = np.deg2rad(rng.uniform(38, 86))
    carina = np.array([x, spine_y + max(rng.uniform(0.27, 0.42) * depth, 1.6)])
    shares, cranial, caudal = _borders(rng)
    width = float((cranial + caudal).max()) * ratio
    shape = Silhouette(
        carina=carina,
        direction=np.array([np.cos(angle), np.sin(angle)]),
        length=1.0,
        shares=shares,
        cranial=cranial / width,
        caudal=caudal / width,
    )
    low, high = 2.0, 12.0
    for _ in range(30):
        silhouette = replace(shape, length=(low + high) / 2)
        long_axis, short_axis = silhouette.axes()
        score = _score(long_axis, short_axis, edges)
        low, high = (silhouette.length, high) if score < wanted else (low, silhouette.length)
    return Heart(
        silhouette=silhouette,
        thickness=float(np.linalg.norm(np.diff(short_axis, axis=0))) * rng.uniform(0.72, 1.0),
        long_axis=long_axis,
        short_axis=short_axis,
        score=score,
    )


def _score(long_axis: FloatArray, short_axis: FloatArray, edges: FloatArray) -> float:
    return vertebral_heart_score(
        long_axis_length=float(np.linalg.norm(long_axis[1] - long_axis[0])),
        short_axis_length=float(np.linalg.norm(short_axis[1] - short_axis[0])),
        vertebral_edges=edges,
    ).total


def _borders(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A rounded cone: blunt at the base, bulged by atria, rounded at the apex. Shares, cranial and caudal distances; the
    widest level is about 1 wide."""
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
