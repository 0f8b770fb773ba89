"""The large soft shapes, as thickness along the ray: the trunk and the lungs, seen from the side and from below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from phantoms.solids import FloatArray
from phantoms.spine import Spine

Plane = npt.NDArray[np.float32]


def rounded(distance: npt.NDArray[Any], width: float) -> Plane:
    """0 outside (distance < 0), 1 deeper than `width`, with the profile of a circle between."""
    q = 1 - np.clip(distance * np.float32(1 / width), 0, 1)
    return np.asarray(np.sqrt(np.maximum(1 - q * q, 0)), dtype=np.float32)


def faded(distance: npt.NDArray[Any], width: float) -> Plane:
    """0 outside, 1 deeper than `width`, without an edge on either side: where lung thins out between chest walls."""
    q = np.clip(distance * np.float32(1 / width), 0, 1)
    return np.asarray(q * q * (3 - 2 * q), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sternum:
    """A gently bent line: y = spine_y(3.5) + depth + (x - 4.5) tan(slope) - bend (x - 5)²."""

    level: float
    slope: float
    bend: float

    def y(self, x: Plane) -> Plane:
        bowed = np.float32(self.bend) * (x - np.float32(5)) ** 2
        return np.float32(self.level) + (x - np.float32(4.5)) * np.float32(np.tan(self.slope)) - bowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    thickness: float
    back: float  # muscle over the spine
    back_arch: float
    belly: float  # tissue under the sternum
    belly_slope: float
    throat_slope: float
    edge: tuple[float, float]
    taper: float

    def from_side(self, x: Plane, y: Plane, spine_y: Plane, sternum_y: Plane) -> Plane:
        top = spine_y - np.float32(self.back) - np.float32(self.back_arch) * (x - 3) ** 2
        bottom = sternum_y + np.float32(self.belly) + np.float32(self.belly_slope) * np.maximum(x - 7, 0)
        bottom = bottom - np.float32(self.throat_slope) * np.minimum(x, 0)
        depth = np.float32(self.thickness) * rounded(y - top, self.edge[0]) * rounded(bottom - y, self.edge[1])
        return np.asarray(depth * np.clip(1 + np.float32(self.taper) * (x - 3), 0.5, 1.6), dtype=np.float32)

    def from_below(self, z: Plane, x: Plane, chest: FloatArray, depth: float) -> Plane:
        half = np.interp(x, chest[:, 0], chest[:, 1]).astype(np.float32) + np.float32(0.3 + 0.25 * self.belly)
        thickness = np.float32(depth + 0.6 * self.back + self.belly)
        return np.asarray(thickness * rounded(half - np.abs(z), 1.6), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lung:
    """One lung: thickness in full, its cranial end, and its own half of the diaphragm."""

    thickness: float
    cranial: float
    cranial_slope: float
    diaphragm_dorsal: float
    diaphragm_ventral: float
    dome: float
    dome_power: float
    slope_power: float
    narrowing: float  # share of thickness lost towards the thoracic inlet
    sharp_floor: bool  # whether the lung's ventral edge shows
    gutter: float  # how far below the spine's middle it ends
    edges: tuple[float, float, float, float]  # roundings: diaphragm, dorsal, ventral, cranial

    def from_side(self, x: Plane, y: Plane, spine_y: Plane, sternum_y: Plane) -> Plane:
        share = np.clip((y - spine_y) / (sternum_y - spine_y + np.float32(1e-3)), 0, 1)
        reach = np.float32(self.diaphragm_ventral - self.diaphragm_dorsal)
        end = np.float32(self.diaphragm_dorsal) + reach * share ** np.float32(self.slope_power)
        end -= np.float32(self.dome * 0.6) * np.sin(np.float32(np.pi) * share ** np.float32(self.dome_power))
        start = np.float32(self.cranial) + (y - spine_y) * np.float32(self.cranial_slope)
        narrow = np.float32(self.narrowing) * np.clip((np.float32(4) - x) * np.float32(1 / 7), 0, 1)
        thickness = (
            np.float32(self.thickness)
            * (1 - narrow)
            * rounded(end - x, self.edges[0])
            * rounded(y - spine_y - np.float32(self.gutter), self.edges[1])
            * (rounded if self.sharp_floor else faded)(sternum_y - np.float32(0.25) - y, self.edges[2])
            * faded(x - start, self.edges[3])
        )
        return np.asarray(thickness, dtype=np.float32)

    def from_below(self, z: Plane, x: Plane, chest: FloatArray, depth: float) -> Plane:
        half = np.interp(x, chest[:, 0], chest[:, 1]).astype(np.float32) - np.float32(0.25)
        cap = np.clip(np.abs(z) / np.maximum(half, np.float32(0.3)), 0, 1)
        end = np.float32(self.diaphragm_ventral) + cap**2 * np.float32(self.diaphragm_dorsal - self.diaphragm_ventral)
        thickness = (
            np.float32(0.8 * depth)
            * rounded(end - x, 1.2)
            * rounded(half - np.abs(z), 1.0)
            * rounded(x - np.float32(self.cranial), 2.5)
        )
        return np.asarray(thickness, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thorax:
    """chest: (n, 2) half width of the chest over x; depth: from spine to sternum; density: of lung, against muscle."""

    trunk: Trunk
    left_lung: Lung
    right_lung: Lung
    sternum: Sternum
    chest: FloatArray
    depth: float
    density: float


def draw_thorax(rng: np.random.Generator, spine: Spine, *, depth: float, apex: FloatArray) -> Thorax:
    """apex: (2,) of the heart, which the sternum and the diaphragm keep clear of."""
    uniform = rng.uniform
    deep = max(depth, float(apex[1] - spine.y(float(apex[0]))) + uniform(0.05, 0.8))
    sternum = Sternum(
        level=float(spine.y(3.5)) + deep, slope=np.deg2rad(uniform(-9, 9)), bend=uniform(0, 0.03) * (rng.random() < 0.5)
    )
    trunk = Trunk(
        thickness=uniform(4.2, 6.2),
        back=uniform(1.7, 4.2),
        back_arch=0.02 * uniform(-0.6, 0.6),
        belly=uniform(0.4, 1.5),
        belly_slope=uniform(-0.12, 0.12),
        throat_slope=uniform(-0.25, 0.15),
        edge=(uniform(1.5, 3.5), uniform(1.5, 3.5)),
        taper=uniform(-0.03, 0.05),
    )
    dorsal, ventral = uniform(7.6, 10.6), max(uniform(4.6, 7.8), float(apex[0]) + uniform(-0.9, 0.6))
    shared: dict[str, Any] = {
        "thickness": uniform(3.6, 5.2) / 2,
        "cranial": uniform(-3.2, -1.6),
        "cranial_slope": uniform(-0.1, 0.75),
        "dome": uniform(0.5, 2.8),
        "dome_power": uniform(0.7, 1.2),
        "slope_power": uniform(0.8, 1.5),
        "narrowing": uniform(0, 0.75),
        "sharp_floor": rng.random() < 0.5,
        "gutter": uniform(-0.15, 0.45),
    }
    apart = uniform(0, 1.3) * rng.choice([-0.5, 0.5])
    lungs = [
        Lung(
            diaphragm_dorsal=dorsal + side * apart,
            diaphragm_ventral=ventral + side * apart,
            edges=(uniform(0.25, 0.9), uniform(0.5, 1.6), uniform(0.6, 2.4), uniform(1.5, 6.5)),
            **shared,
        )
        for side in (-1, 1)
    ]
    breadth = uniform(0.95, 1.4)
    chest = np.array([[-6, 1.5], [-3, 1.6], [-1, 2.1], [2, 2.7], [6, 3.1], [9, 3.2], [14, 2.9]])
    chest[:, 1] *= breadth
    return Thorax(
        trunk=trunk,
        left_lung=lungs[0],
        right_lung=lungs[1],
        sternum=sternum,
        chest=chest,
        depth=deep,
        density=uniform(0.25, 0.58),
    )
