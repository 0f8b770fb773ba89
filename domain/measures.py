"""Measurements that are code with a source, not part of a model."""

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
    edges = np.asarray(vertebral_edges, dtype=np.float64)
    if edges.ndim != 2 or edges.shape[1] != 2 or len(edges) < 2 or not np.isfinite(edges).all():
        raise ValueError("vertebral_edges must be (n, 2) finite points, n ≥ 2")
    long_count, long_end = _lay(long_axis_length, edges)
    short_count, short_end = _lay(short_axis_length, edges)
    return VertebralHeartScore(
        long_vertebrae=long_count, short_vertebrae=short_count, long_ruler_end=long_end, short_ruler_end=short_end
    )


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
