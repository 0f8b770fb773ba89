"""Measurements from named points: which landmarks each needs, its lines to check it by, and how sure it is.

Points are (column, row) in pixels that are as high as wide; `back` maps them to source pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from domain import codes
from domain.measures import (
    norberg_angle,
    tracheal_ratio,
    vertebral_heart_score,
    vertebral_left_atrial_size,
)
from domain.references import reference_interval
from domain.types import Code, Measurement, Radiograph
from inference.findings import point
from inference.heart import PITCH, UNCERTAIN, Gates, axes_refusal, perpendicular
from inference.manifest import MeasureName

FloatArray = npt.NDArray[np.float64]
Points = Mapping[str, FloatArray]
Back = Callable[[FloatArray], FloatArray]
_THORACIC, _LUMBAR = 13, 7  # vertebrae of dogs and cats
SPINE = (*(f"T{n}" for n in range(4, _THORACIC + 1)), *(f"L{n}" for n in range(1, _LUMBAR + 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A number that is read off with the measurement, such as one axis of a heart score: a line, and its vertebrae."""

    concept: Code
    name: str
    line: FloatArray
    vertebrae: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """lines: (2, 2) each. guides: (n, 2) points that an overlay draws beside them."""

    value: float
    lines: Mapping[str, FloatArray]
    parts: tuple[Part, ...] = ()
    guides: FloatArray = field(default_factory=lambda: np.empty((0, 2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """needs: landmarks by name; those with a spine need the cranial edges from T4 on besides, at least two.

    refusal: of points that give a number which means nothing, a reason's code. ValueError as of `of`.
    """

    concept: Code
    unit: Code
    needs: tuple[str, ...]
    of: Callable[[Points], Result]
    on_spine: bool = False
    site: Code | None = None
    laterality: Code | None = None
    refusal: Callable[[Points], str | None] = field(default=lambda _points: None)

    @property
    def required(self) -> tuple[str, ...]:
        """Without these there is no number; edges further along the spine only let it be counted further."""
        return (*self.needs, *(SPINE[:2] if self.on_spine else ()))


def heart_result(*, long_axis: FloatArray, short_axis: FloatArray, edges: FloatArray) -> Result:
    """Both axes (2, 2) and the cranial edges (n, 2) from T4 on. ValueError when they make no score."""
    score = vertebral_heart_score(
        long_axis_length=_length(long_axis), short_axis_length=_length(short_axis), vertebral_edges=edges
    )
    return Result(
        value=score.total,
        lines={
            "long_axis_on_spine": np.array([edges[0], score.long_ruler_end]),
            "short_axis_on_spine": np.array([edges[0], score.short_ruler_end]),
        },
        parts=(
            Part(concept=codes.LONG_AXIS, name="long_axis", line=long_axis, vertebrae=score.long_vertebrae),
            Part(concept=codes.SHORT_AXIS, name="short_axis", line=short_axis, vertebrae=score.short_vertebrae),
        ),
        guides=edges[: int(max(score.long_vertebrae, score.short_vertebrae)) + 2],
    )


def measurements_of(
    result: Result, *, concept: Code, unit: Code, back: Back, radiograph: Radiograph, deviation: float | None = None
) -> tuple[Measurement, ...]:
    """The number with its reference interval and lines in source pixels, then its parts."""
    total = Measurement(
        concept=concept,
        value=round(result.value, 1),
        unit=unit,
        lines={name: _line(back(line)) for name, line in result.lines.items()},
        interval=reference_interval(concept, radiograph.patient, radiograph.view),
        deviation=None if deviation is None else round(deviation, 2),
    )
    return (total, *(_part(part, back=back, radiograph=radiograph) for part in result.parts))


def _part(part: Part, *, back: Back, radiograph: Radiograph) -> Measurement:
    """In millimetres where the spacing is known, otherwise in vertebrae, so that its line travels in any case."""
    line = back(part.line)
    lines = {part.name: _line(line)}
    if radiograph.spacing_mm is None:
        return Measurement(concept=part.concept, value=round(part.vertebrae, 1), unit=codes.VERTEBRAE, lines=lines)
    row_mm, column_mm = radiograph.spacing_mm
    return Measurement(
        concept=part.concept,
        value=round(_length(line * np.array([column_mm, row_mm])), 1),
        unit=codes.MILLIMETRE,
        lines=lines,
        spacing_source=radiograph.spacing_source,
    )


def deviation_of(measure: Measure, points: Points, spreads: Mapping[str, FloatArray]) -> float:
    """Standard deviation of the value, to first order: each coordinate moved by its own, the changes added as squares.

    spreads: (2, 2) for each landmark, a row for each direction in which it is uncertain. ValueError as the measure's.
    """
    middle = measure.of(points).value
    squares = 0.0
    for name, directions in spreads.items():
        for step in directions:
            moved = measure.of({**points, name: points[name] + step}).value
            squares += (moved - middle) ** 2
    return float(np.sqrt(squares))


def _heart(points: Points) -> Result:
    long_axis, short_axis, _ = _axes(points)
    return heart_result(long_axis=long_axis, short_axis=short_axis, edges=_spine(points))


def _axes(points: Points) -> tuple[FloatArray, FloatArray, float]:
    """The long axis, the short one perpendicular to it as the score is defined, and how many degrees it was off."""
    long_axis = np.array([points["carina"], points["apex"]])
    short_axis, off = perpendicular(long_axis, np.array([points["heart_cranial"], points["heart_caudal"]]))
    return long_axis, short_axis, off


def _no_heart(points: Points) -> str | None:
    """By the same gates as the heart network's."""
    gates = Gates()
    if _axes(points)[2] > gates.off_perpendicular_degrees:
        return UNCERTAIN
    long_axis, short_axis = _heart(points).parts
    return axes_refusal(
        long_vertebrae=long_axis.vertebrae, short_vertebrae=short_axis.vertebrae, off_degrees=0.0, gates=gates
    ) or _uncounted(max(long_axis.vertebrae, short_axis.vertebrae), points)


def _no_left_atrium(points: Points) -> str | None:
    return _uncounted(_left_atrium(points).value, points)


def _uncounted(vertebrae: float, points: Points) -> str | None:
    """The last vertebra may be extended by one that was not seen; more would be a guess at the spine's course."""
    return PITCH if vertebrae > len(_spine(points)) else None


def _left_atrium(points: Points) -> Result:
    line = np.array([points["carina"], points["left_atrium_caudal"]])
    edges = _spine(points)
    value, end = vertebral_left_atrial_size(length=_length(line), vertebral_edges=edges)
    return Result(
        value=value,
        lines={"left_atrial_size": line, "left_atrial_size_on_spine": np.array([edges[0], end])},
        guides=edges[: int(value) + 2],
    )


def _trachea(points: Points) -> Result:
    trachea = np.array([points["trachea_dorsal"], points["trachea_ventral"]])
    inlet = np.array([points["inlet_dorsal"], points["inlet_ventral"]])
    lines = {"tracheal_diameter": trachea, "thoracic_inlet": inlet}
    return Result(value=tracheal_ratio(trachea=trachea, inlet=inlet), lines=lines)


def _norberg(side: str, other: str) -> Callable[[Points], Result]:
    def angle(points: Points) -> Result:
        centre, across = points[f"{side}_femoral_head"], points[f"{other}_femoral_head"]
        rim = points[f"{side}_acetabular_rim"]
        lines = {"femoral_heads": np.array([centre, across]), "acetabular_rim": np.array([centre, rim])}
        return Result(value=norberg_angle(centre=centre, other_centre=across, rim=rim), lines=lines)

    return angle


def _spine(points: Points) -> FloatArray:
    """The edges from T4 on, without a gap: after one, vertebrae would be counted as fewer than they are."""
    found = []
    for name in SPINE:
        if name not in points:
            break
        found.append(points[name])
    return np.array(found).reshape(-1, 2)


def _length(line: FloatArray) -> float:
    return float(np.linalg.norm(line[1] - line[0]))


def _line(ends: FloatArray) -> tuple[tuple[float, float], tuple[float, float]]:
    return point(ends[0]), point(ends[1])


def _heart_score(concept: Code) -> Measure:
    return Measure(
        concept=concept,
        unit=codes.VERTEBRAE,
        needs=("carina", "apex", "heart_cranial", "heart_caudal"),
        of=_heart,
        on_spine=True,
        site=codes.HEART,
        refusal=_no_heart,
    )


_HIPS = ("left_femoral_head", "right_femoral_head")
MEASURES: Mapping[MeasureName, Measure] = {
    # The variants differ in where the short axis is taken, which the landmarks say, not in how it is counted.
    "vhs": _heart_score(codes.VHS),
    "vhs-epic": _heart_score(codes.VHS_EPIC),
    "vlas": Measure(
        concept=codes.VLAS,
        unit=codes.VERTEBRAE,
        needs=("carina", "left_atrium_caudal"),
        of=_left_atrium,
        on_spine=True,
        site=codes.LEFT_ATRIUM,
        refusal=_no_left_atrium,
    ),
    "tracheal-ratio": Measure(
        concept=codes.TRACHEAL_RATIO,
        unit=codes.PERCENT,
        needs=("trachea_dorsal", "trachea_ventral", "inlet_dorsal", "inlet_ventral"),
        of=_trachea,
        site=codes.TRACHEA,
    ),
    "norberg-left": Measure(
        concept=codes.NORBERG_ANGLE,
        unit=codes.DEGREE,
        needs=(*_HIPS, "left_acetabular_rim"),
        of=_norberg("left", "right"),
        site=codes.HIP,
        laterality=codes.LEFT,
    ),
    "norberg-right": Measure(
        concept=codes.NORBERG_ANGLE,
        unit=codes.DEGREE,
        needs=(*_HIPS, "right_acetabular_rim"),
        of=_norberg("right", "left"),
        site=codes.HIP,
        laterality=codes.RIGHT,
    ),
}


def missing_landmarks(name: MeasureName, names: tuple[str, ...]) -> list[str]:
    """What a measure needs and a head does not give."""
    return [one for one in MEASURES[name].required if one not in names]
