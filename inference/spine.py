"""Counting vertebrae along a curve: where the cranial edges lie, from maps of the spine and of the phase along it.

The phase is 2π × vertebra index. Its period along the curve is one vertebra, which holds where single endplates are blurred
or hidden; separate landmarks of endplates would average neighbours and lose the pitch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d, map_coordinates

FloatArray = npt.NDArray[np.float64]
Map = npt.NDArray[np.float32]

CURVE_FLOOR = 0.2  # of the spine map: below this it is background
CURVE_DEGREE = 3
# A vertebra's length over the plane's height. Eight must fit beside a heart, and one must span more than one map pixel.
PITCH_RANGE = (0.03, 0.14)
CHIRPS = np.linspace(-0.3, 0.3, 13)  # relative change of a vertebra's length from one end of the curve to the other
EDGES = 10  # T4 … L1


class NoSpine(ValueError):
    """The maps show no curve that vertebrae could be counted on. The image is not assessable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """edges: (n, 2) cranial edges of T4, T5, …; pitch: pixels a vertebra; coherence: 0..1, how periodic the phase is.

    seen: vertebrae from T4 that the curve covers; the edges beyond are extended.
    """

    edges: FloatArray
    pitch: float
    coherence: float
    seen: float


def count_vertebrae(spine: Map, phase: Map, *, stride: float, t4: FloatArray, caudal: FloatArray, plane_rows: int) -> Column:
    """spine: (h, w) 0..1; phase: (2, h, w); t4: (2,) roughly; caudal: (2,) any vector that points to the tail.

    stride: plane pixels per map pixel. Points are plane pixels from the outer corner. NoSpine when there is no curve.
    """
    along, curve = _curve(spine, stride=stride, caudal=caudal)
    field = phase[0].astype(np.float64) + 1j * phase[1]
    at = (curve[:, ::-1] / stride - 0.5).T
    wave = map_coordinates(field.real, at, order=1, mode="nearest") + 1j * map_coordinates(
        field.imag, at, order=1, mode="nearest"
    )
    wave *= map_coordinates(spine, at, order=1, mode="nearest")
    index, pitch, coherence = _index(along, wave, plane_rows)
    nearest = int(np.argmin(np.linalg.norm(curve - t4, axis=1)))
    first = round(float(index[nearest]))
    wanted = first + np.arange(EDGES)
    step = along[1] - along[0]
    slope = step / pitch
    # Straight on beyond both ends, at the mean pitch.
    reach = int(np.ceil(EDGES * pitch / step))
    before, after = np.arange(-reach, 0), np.arange(1, reach + 1)
    index = np.concatenate([index[0] + before * slope, index, index[-1] + after * slope])
    curve = np.concatenate(
        [
            curve[0] + before[:, None] * _unit(curve[5] - curve[0]) * step,
            curve,
            curve[-1] + after[:, None] * _unit(curve[-1] - curve[-6]) * step,
        ]
    )
    edges = np.stack([np.interp(wanted, index, curve[:, 0]), np.interp(wanted, index, curve[:, 1])], axis=1)
    seen = float(index[len(index) - 1 - reach] - first)
    return Column(edges=edges, pitch=float(pitch), coherence=coherence, seen=seen)


def _curve(spine: Map, *, stride: float, caudal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A cubic through the map's ridge, along its own main direction: arc length (n,) and points (n, 2), evenly spaced."""
    row, column = np.nonzero(spine > CURVE_FLOOR)
    if len(row) < 12:
        raise NoSpine("no spine curve")
    weight = spine[row, column].astype(np.float64) ** 2
    points = np.stack([(column + 0.5) * stride, (row + 0.5) * stride], axis=1)
    middle = np.average(points, axis=0, weights=weight)
    _, axes = np.linalg.eigh(np.cov((points - middle).T, aweights=weight))
    main = axes[:, 1] if axes[:, 1] @ caudal >= 0 else -axes[:, 1]
    side = np.array([-main[1], main[0]])
    s, h = (points - middle) @ main, (points - middle) @ side
    kept = np.ones(len(s), dtype=bool)
    for _ in range(3):
        fit = np.polynomial.Polynomial.fit(s[kept], h[kept], CURVE_DEGREE, w=np.sqrt(weight[kept]))
        off = np.abs(h - fit(s))
        kept = off < max(2.5 * float(np.median(off[kept])), 1.5 * stride)
        if kept.sum() < 12:
            raise NoSpine("scattered spine")
    order = np.argsort(s[kept])
    share = np.cumsum(weight[kept][order]) / weight[kept].sum()
    low, high = np.interp([0.01, 0.99], share, s[kept][order])
    if high - low < 8 * stride:
        raise NoSpine("short spine")
    fine = np.linspace(low, high, 400)
    dense = middle + fine[:, None] * main + fit(fine)[:, None] * side
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))])
    along = np.linspace(0, length[-1], max(int(length[-1]), 16))
    even = np.stack([np.interp(along, length, dense[:, 0]), np.interp(along, length, dense[:, 1])], axis=1)
    return along, even


def _index(along: FloatArray, wave: npt.NDArray[np.complex128], plane_rows: int) -> tuple[FloatArray, float, float]:
    """Vertebra index along the curve up to a whole number, its mean pitch, and the coherence of the fit.

    A periodogram over pitch and chirp finds the mean; what phase is left over, smoothed, follows the single vertebrae.
    """
    total = float(np.abs(wave).sum())
    if total < 1e-6:
        raise NoSpine("no phase")
    span = along[-1]
    low, high = PITCH_RANGE[0] * plane_rows, PITCH_RANGE[1] * plane_rows
    pitches, chirps = np.geomspace(low, high, 140), CHIRPS[::3]
    for _ in range(2):
        best, pitch, chirp = -1.0, 0.0, 0.0
        for one in chirps:
            turns = np.exp(-2j * np.pi * _warped(along, one)[None, :] / pitches[:, None])
            power = np.abs((turns * wave).sum(axis=1))  # as a product of matrices it would wait for BLAS's threads
            top = int(np.argmax(power))
            if power[top] > best:
                best, pitch, chirp = float(power[top]), float(pitches[top]), float(one)
        pitches = pitch * np.linspace(0.96, 1.04, 33)
        chirps = chirp + np.linspace(-0.08, 0.08, 9)
    index = _warped(along, chirp) / pitch
    rest = wave * np.exp(-2j * np.pi * index)
    offset = np.angle(rest.sum())
    rest = rest * np.exp(-1j * offset)
    width = 0.5 * pitch / (along[1] - along[0])
    left_over = np.angle(
        gaussian_filter1d(rest.real, width, mode="nearest") + 1j * gaussian_filter1d(rest.imag, width, mode="nearest")
    )
    index = index + (offset + np.clip(left_over, -1.2, 1.2)) / (2 * np.pi)
    mean_pitch = span / max(float(index[-1] - index[0]), 1e-6)
    return np.maximum.accumulate(index), mean_pitch, best / total


def _warped(along: FloatArray, chirp: float) -> FloatArray:
    """Arc length stretched at one end and shrunk at the other, the same in all."""
    share = along / along[-1]
    return np.asarray(along + chirp * along[-1] / 2 * (share * share - share))


def _unit(vector: FloatArray) -> FloatArray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
