"""The shapes a phantom is made of.

Body frame: x caudal, y ventral, z to the animal's left; the unit is one mean thoracic vertebra; the origin is the middle of
the cranial edge of T4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Tissue(Enum):
    """What a solid does to the thickness that the rays see."""

    BONE = auto()  # adds bone
    FLESH = auto()  # adds soft tissue; a negative weight is fat
    MEDIASTINUM = auto()  # takes the place of lung; overlapping ones count once
    VESSEL = auto()  # takes the place of lung
    GAS = auto()  # takes soft tissue away


@dataclass(frozen=True, slots=True, kw_only=True)
class Tube:
    """A round tube along a polyline. points: (n, 3); radii: (n,); weight: density relative to its tissue.

    lumen: share of the radius that is hollow; lumen_weight: density of what fills it.
    """

    points: FloatArray
    radii: FloatArray
    tissue: Tissue
    weight: float = 1.0
    lumen: float = 0.0
    lumen_weight: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ellipsoid:
    """axes: (3, 3), one semi-axis a row. softness: exponent of the chord's fall-off, 0.5 for a sharp ellipsoid."""

    centre: FloatArray
    axes: FloatArray
    tissue: Tissue
    weight: float = 1.0
    softness: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class VertebralBody:
    """An elliptic cylinder with a waist, denser endplates and a cortex.

    cranial, caudal: middles of its ends; dorsal: unit vector; height and width: full, dorsoventral and from side to side.
    """

    cranial: FloatArray
    caudal: FloatArray
    dorsal: FloatArray
    height: float
    width: float
    weight: float
    cortex: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The part of a tube on one side of a break. at: (3,) on the break; normal: (3,) unit vector into what is left.

    jag: how far the break's edge zigzags; phases: (3,) of its waves.
    """

    whole: Tube
    at: FloatArray
    normal: FloatArray
    jag: float
    phases: FloatArray

    @property
    def tissue(self) -> Tissue:
        return self.whole.tissue


Solid = Tube | Ellipsoid | VertebralBody | Piece


def points(*rows: tuple[float, float, float] | FloatArray) -> FloatArray:
    return np.asarray(rows, dtype=np.float64)


def beside(at: FloatArray, x: float, y: float, z: float) -> FloatArray:
    """The point that lies so far from another."""
    return np.asarray(at + np.array([x, y, z]), dtype=np.float64)


def tube(
    along: FloatArray,
    radii: float | tuple[float, ...] | FloatArray,
    tissue: Tissue,
    *,
    weight: float = 1.0,
    lumen: float = 0.0,
    lumen_weight: float = 0.0,
) -> Tube:
    """A tube whose radii run linearly between the ones given."""
    wanted = np.atleast_1d(np.asarray(radii, dtype=np.float64))
    spread = np.interp(np.linspace(0, 1, len(along)), np.linspace(0, 1, len(wanted)), wanted)
    return Tube(points=along, radii=spread, tissue=tissue, weight=weight, lumen=lumen, lumen_weight=lumen_weight)


def ellipsoid(
    centre: tuple[float, float, float] | FloatArray,
    semi_axes: tuple[float, float, float],
    tissue: Tissue,
    *,
    turn: float = 0.0,
    weight: float = 1.0,
    softness: float = 0.5,
) -> Ellipsoid:
    """An ellipsoid turned by `turn` radians within the sagittal plane."""
    cos, sin = np.cos(turn), np.sin(turn)
    axes = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]]) * np.asarray(semi_axes)[:, None]
    return Ellipsoid(centre=np.asarray(centre, dtype=np.float64), axes=axes, tissue=tissue, weight=weight, softness=softness)


def moved(solid: Solid, turn: FloatArray, about: FloatArray, shift: FloatArray) -> Solid:
    """The same solid turned by a (3, 3) rotation about a point, then shifted."""

    def to(at: FloatArray) -> FloatArray:
        return np.asarray((at - about) @ turn.T + about + shift)

    if isinstance(solid, Tube):
        return replace(solid, points=to(solid.points))
    if isinstance(solid, Ellipsoid):
        return replace(solid, centre=to(solid.centre), axes=solid.axes @ turn.T)
    if isinstance(solid, VertebralBody):
        return replace(solid, cranial=to(solid.cranial), caudal=to(solid.caudal), dorsal=turn @ solid.dorsal)
    whole = replace(solid.whole, points=to(solid.whole.points))
    return replace(solid, whole=whole, at=to(solid.at), normal=turn @ solid.normal)


def rotation(axis: FloatArray, angle: float) -> FloatArray:
    """(3, 3), about a unit vector by radians: Rodrigues' formula."""
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
