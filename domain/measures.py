"""Measurements that are code with a source, not part of a model; reference intervals are in `domain.references`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domain.types import Point

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class VertebralHeartScore:
    """The score and the points on the spine where the transposed axes end."""

    long_vertebrae: float
    short_vertebrae: float
    long_ruler_end: Point
    short_ruler_end: Point

    @property
    def total(self) -> float:
        return self.long_vertebrae + self.short_vertebrae


def vertebral_heart_score(
    *, long_axis_length: float, short_axis_length: float, vertebral_edges: npt.ArrayLike
) -> VertebralHeartScore:
    """Transpose both axes to the spine and count vertebrae (Buchanan and Bücheler 1995, PMID 10768239).

    Each length is laid like a pair of callipers, as a straight chord from the cranial edge of T4 to the first point of the
    spine at that distance; the vertebrae in between are counted, parts by linear interpolation.

    vertebral_edges: (n, 2) cranial edges of T4, T5, … along the spine, n ≥ 2, in the same square pixels as the lengths;
    the last segment is extended for axes that reach beyond it. ValueError when a length is not positive and finite.
    """
    edges = _edges(vertebral_edges)
    long_count, long_end = _lay(long_axis_length, edges)
    short_count, short_end = _lay(short_axis_length, edges)
    return VertebralHeartScore(
        long_vertebrae=long_count, short_vertebrae=short_count, long_ruler_end=long_end, short_ruler_end=short_end
    )


def vertebral_left_atrial_size(*, length: float, vertebral_edges: npt.ArrayLike) -> tuple[float, Point]:
    """From the ventral border of the carina to the caudal border of the left atrium at the dorsal border of the caudal vena
    cava, laid from the cranial edge of T4 (Malcolm et al. 2018). Returns vertebrae, and where the length ends on the spine.

    vertebral_edges and errors as for the heart score.
    """
    return _lay(length, _edges(vertebral_edges))


def _edges(given: npt.ArrayLike) -> FloatArray:
    edges = np.asarray(given, dtype=np.float64)
    if edges.ndim != 2 or edges.shape[1] != 2 or len(edges) < 2 or not np.isfinite(edges).all():
        raise ValueError("vertebral_edges must be (n, 2) finite points, n ≥ 2")
    return edges


def tracheal_ratio(*, trachea: npt.ArrayLike, inlet: npt.ArrayLike) -> float:
    """Percent: inner diameter of the trachea at the thoracic inlet over the inlet's height, from the ventral border of T1 to
    the dorsal border of the manubrium (Harvey and Fink 1982). Each line is (2, 2). ValueError without an inlet."""
    return 100 * _length(trachea) / _some_length(inlet, "the thoracic inlet")


def norberg_angle(*, centre: npt.ArrayLike, other_centre: npt.ArrayLike, rim: npt.ArrayLike) -> float:
    """Degrees at a femoral head's centre, between the line to the other head's centre and the line to the craniolateral rim
    of its own acetabulum (Olsson 1961). ValueError where two of the points are one."""
    across = np.subtract(other_centre, centre)
    up = np.subtract(rim, centre)
    lengths = float(np.linalg.norm(across) * np.linalg.norm(up))
    if not (np.isfinite(lengths) and lengths > 0):
        raise ValueError("the femoral heads' centres and the rim must be three points")
    return float(np.degrees(np.arccos(np.clip(float(across @ up) / lengths, -1, 1))))


def cardiothoracic_ratio(*, heart_area: float, thorax_area: float) -> float:
    """Percent: area of the cardiac silhouette over area of the thoracic cavity, both in the same pixels.

    ValueError without a thorax.
    """
    if not (np.isfinite(heart_area) and np.isfinite(thorax_area) and thorax_area > 0 and heart_area >= 0):
        raise ValueError("the thorax has no area")
    return 100 * heart_area / thorax_area


def _length(line: npt.ArrayLike) -> float:
    points = np.asarray(line, dtype=np.float64)
    return float(np.linalg.norm(points[1] - points[0]))


def _some_length(line: npt.ArrayLike, what: str) -> float:
    found = _length(line)
    if not (np.isfinite(found) and found > 0):
        raise ValueError(f"{what} has no length")
    return found


def _lay(length: float, edges: FloatArray) -> tuple[float, Point]:
    """Vertebrae between the first edge and the first point of the spine at this distance, and that point."""
    if not (np.isfinite(length) and length > 0):
        raise ValueError(f"an axis must have a positive length, not {length}")
    distance = np.linalg.norm(edges - edges[0], axis=1)
    beyond = np.flatnonzero(distance >= length)
    last = int(beyond[0]) if len(beyond) else len(edges) - 1  # the segment that ends at edges[last], extended if need be
    start = edges[last - 1] - edges[0]
    step = edges[last] - edges[last - 1]
    # |start + t·step| = length, the larger root
    a, b, c = step @ step, start @ step, start @ start - length * length
    t = float((-b + np.sqrt(max(b * b - a * c, 0.0))) / a)
    end = edges[last - 1] + t * step
    return last - 1 + t, (float(end[0]), float(end[1]))
