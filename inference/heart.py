"""From the heart network's maps to axes, counted vertebrae and a score, or to the reason why there is none.

The network sees the film twice, once mirrored. What the two readings make of the same dog is the best sign of trust that a
phantom-trained network gives: the spread of a heatmap says nothing about its error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from domain.measures import VertebralHeartScore, vertebral_heart_score
from inference.spine import NoSpine, count_vertebrae

FloatArray = npt.NDArray[np.float64]
Predict = Callable[[npt.NDArray[np.float32]], Mapping[str, npt.NDArray[np.float32]]]

COMPLETE, INCOMPLETE = 0, 1  # of the view head
STRIDE = 4  # plane pixels per map pixel

NOT_A_LATERAL = "not_a_lateral_thorax"
OUT_OF_FRAME = "out_of_frame"
UNCERTAIN = "landmarks_uncertain"
MIRROR = "mirror_disagreement"
PITCH = "pitch_implausible"
REASONS = (NOT_A_LATERAL, OUT_OF_FRAME, UNCERTAIN, MIRROR, PITCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What a reading must satisfy to be given as a number."""

    lateral_probability: float = 0.5  # the view head's, mean of both passes
    mirror_landmark_vertebrae: float = 1.25  # farthest that a landmark moves between the passes
    mirror_score_vertebrae: float = 0.5  # score of one pass against the other's
    off_perpendicular_degrees: float = 15.0  # of the axes as predicted, before the short one is projected
    coherence: float = 0.7  # of the phase along the spine
    vertebrae_seen: float = 6.0  # from T4 on; the rest is extended
    long_axis_vertebrae: tuple[float, float] = (3.2, 9.0)  # no dog's heart is outside
    axis_ratio: tuple[float, float] = (0.8, 1.8)  # long over short
    t4_off_spine_vertebrae: float = 1.0  # the T4 landmark against the curve
    clearance_pixels: float = 1.0  # of landmarks, from the plane's border


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartReading:
    """Points are (column, row) in pixels of the plane from the outer corner of its first pixel.

    long_axis: (2, 2) carina, apex; short_axis: (2, 2) cranial, caudal, perpendicular to the long one;
    vertebral_edges: (n, 2) cranial edges of T4, T5, …; refusal: one of REASONS, None when the score stands.
    The other figures are what the gates looked at; NaN where a reading did not come that far.
    """

    lateral_probability: float
    long_axis: FloatArray
    short_axis: FloatArray
    vertebral_edges: FloatArray
    long_vertebrae: float
    short_vertebrae: float
    vhs: float
    pitch_pixels: float
    coherence: float
    vertebrae_seen: float
    mirror_landmark_vertebrae: float
    mirror_score_vertebrae: float
    off_perpendicular_degrees: float
    refusal: str | None


def read_heart(plane: npt.NDArray[np.float32], predict: Predict, gates: Gates | None = None) -> HeartReading:
    """plane: (rows, columns) 0..1, isotropic, letterboxed. predict: (n, 1, rows, columns) to the network's outputs."""
    gates = gates or Gates()
    rows, columns = plane.shape
    both = np.stack([plane, plane[:, ::-1]])[:, None]
    maps = predict(np.ascontiguousarray(both, dtype=np.float32))
    points = np.asarray(maps["points"], dtype=np.float64).copy()
    points[1, :, 0] = columns - points[1, :, 0]
    view = np.asarray(maps["views"], dtype=np.float64).mean(axis=0)
    landmarks = points.mean(axis=0)
    long_axis = landmarks[:2]
    short_axis, off_degrees = perpendicular(long_axis, landmarks[2:4])
    try:
        column = count_vertebrae(
            _mirrored_mean(maps["spine"])[0],
            _mirrored_mean(maps["phase"]),
            stride=STRIDE,
            t4=landmarks[4],
            caudal=landmarks[3] - landmarks[2],
            plane_rows=rows,
        )
    except NoSpine:
        return _without_spine(view, long_axis, short_axis, off_degrees, gates)
    edges = column.edges
    score = _score(long_axis, short_axis, edges)
    singles = [_score(one[:2], perpendicular(one[:2], one[2:4])[0], edges).total for one in points]
    reading = HeartReading(
        lateral_probability=float(view[COMPLETE]),
        long_axis=long_axis,
        short_axis=short_axis,
        vertebral_edges=edges,
        long_vertebrae=score.long_vertebrae,
        short_vertebrae=score.short_vertebrae,
        vhs=score.total,
        pitch_pixels=column.pitch,
        coherence=column.coherence,
        vertebrae_seen=column.seen,
        mirror_landmark_vertebrae=float(np.linalg.norm(points[0, :4] - points[1, :4], axis=1).max() / column.pitch),
        mirror_score_vertebrae=abs(singles[0] - singles[1]),
        off_perpendicular_degrees=off_degrees,
        refusal=None,
    )
    t4_off = float(np.linalg.norm(landmarks[4] - edges[0])) / column.pitch
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    clearance = float(min(low.min(), columns - high[0], rows - high[1]))
    refusal = _refusal(reading, view, gates, t4_off_vertebrae=t4_off, clearance_pixels=clearance)
    return replace(reading, refusal=refusal)


def perpendicular(long_axis: FloatArray, short_axis: FloatArray) -> tuple[FloatArray, float]:
    """The short axis projected on the perpendicular of the long one where they cross, and how many degrees it was off."""
    along = long_axis[1] - long_axis[0]
    along = along / max(float(np.linalg.norm(along)), 1e-9)
    across = short_axis[1] - short_axis[0]
    length = max(float(np.linalg.norm(across)), 1e-9)
    off = float(np.degrees(np.arcsin(min(1.0, abs(float(across @ along)) / length))))
    foot = long_axis[0] + ((short_axis.mean(axis=0) - long_axis[0]) @ along) * along
    normal = np.array([-along[1], along[0]])
    return foot + ((short_axis - foot) @ normal)[:, None] * normal, off


def axes_refusal(*, long_vertebrae: float, short_vertebrae: float, off_degrees: float, gates: Gates) -> str | None:
    """Why these are no heart's axes, whichever model found them. off_degrees: of `perpendicular`."""
    if not gates.long_axis_vertebrae[0] <= long_vertebrae <= gates.long_axis_vertebrae[1]:
        return PITCH
    ratio = long_vertebrae / max(short_vertebrae, 1e-6)
    if not gates.axis_ratio[0] <= ratio <= gates.axis_ratio[1]:
        return UNCERTAIN
    return UNCERTAIN if off_degrees > gates.off_perpendicular_degrees else None


def _mirrored_mean(maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(2, k, h, w), the second of the mirrored film, to (k, h, w)."""
    return np.asarray((maps[0] + maps[1][:, :, ::-1]) / 2, dtype=np.float32)


def _score(long_axis: FloatArray, short_axis: FloatArray, edges: FloatArray) -> VertebralHeartScore:
    return vertebral_heart_score(
        long_axis_length=max(float(np.linalg.norm(long_axis[1] - long_axis[0])), 1e-6),
        short_axis_length=max(float(np.linalg.norm(short_axis[1] - short_axis[0])), 1e-6),
        vertebral_edges=edges,
    )


def _without_spine(
    view: FloatArray, long_axis: FloatArray, short_axis: FloatArray, off_degrees: float, gates: Gates
) -> HeartReading:
    if view[COMPLETE] >= gates.lateral_probability:
        refusal = PITCH
    else:
        refusal = OUT_OF_FRAME if int(np.argmax(view)) == INCOMPLETE else NOT_A_LATERAL
    nan = float("nan")
    return HeartReading(
        lateral_probability=float(view[COMPLETE]),
        long_axis=long_axis,
        short_axis=short_axis,
        vertebral_edges=np.empty((0, 2)),
        long_vertebrae=nan,
        short_vertebrae=nan,
        vhs=nan,
        pitch_pixels=nan,
        coherence=0.0,
        vertebrae_seen=0.0,
        mirror_landmark_vertebrae=nan,
        mirror_score_vertebrae=nan,
        off_perpendicular_degrees=off_degrees,
        refusal=refusal,
    )


def _refusal(
    reading: HeartReading, view: FloatArray, gates: Gates, *, t4_off_vertebrae: float, clearance_pixels: float
) -> str | None:
    """The first gate that the reading does not pass, the most telling reason first."""
    if reading.lateral_probability < gates.lateral_probability:
        return OUT_OF_FRAME if int(np.argmax(view)) == INCOMPLETE else NOT_A_LATERAL
    if clearance_pixels < gates.clearance_pixels:
        return OUT_OF_FRAME
    axes = axes_refusal(
        long_vertebrae=reading.long_vertebrae,
        short_vertebrae=reading.short_vertebrae,
        off_degrees=reading.off_perpendicular_degrees,
        gates=gates,
    )
    if axes == PITCH:
        return PITCH
    if reading.coherence < gates.coherence or reading.vertebrae_seen < gates.vertebrae_seen:
        return PITCH
    if reading.mirror_landmark_vertebrae > gates.mirror_landmark_vertebrae:
        return MIRROR
    if reading.mirror_score_vertebrae > gates.mirror_score_vertebrae:
        return MIRROR
    if axes is not None:
        return axes
    return UNCERTAIN if t4_off_vertebrae > gates.t4_off_spine_vertebrae else None
