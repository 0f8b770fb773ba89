"""From what a head's reader saw in the plane to findings in source pixels and millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domain.codes import HEART, LONG_AXIS, MILLIMETRE, SHORT_AXIS, VERTEBRAE
from domain.errors import ModelFailed
from domain.measures import VertebralHeartScore, vertebral_heart_score
from domain.types import (
    Code,
    Finding,
    FindingOutcome,
    Measurement,
    Point,
    Radiograph,
    Reason,
    ReferenceInterval,
    Region,
    Shape,
    Source,
    Species,
    View,
)
from inference.heart import OUT_OF_FRAME, HeartReading, Predict, read_heart
from inference.manifest import HeartHead
from inference.plane import Plane

FloatArray = npt.NDArray[np.float64]

VHS_TRACKING = "VHS"

# Dogs of all breeds together; single breeds lie above or below.
DOG_VHS_LOW, DOG_VHS_HIGH = 8.5, 10.5
DOG_VHS_SOURCE = "Buchanan 2000, PMID 10768239"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadAnswer:
    """view and region: what the pixels show, None where the head cannot tell."""

    finding: Finding
    view: View | None
    region: Region | None


def read_head(head: HeartHead, *, plane: Plane, predict: Predict, radiograph: Radiograph) -> HeadAnswer:
    """Ask the model and say its answer about this image. ModelFailed when it breaks, or answers what cannot be read."""
    gates = head.operating_points
    try:
        reading = read_heart(plane.values, predict, gates)
        finding = vhs_finding(reading, concept=head.concept.code, plane=plane, radiograph=radiograph)
    except (ValueError, ArithmeticError, LookupError) as error:
        raise ModelFailed("the model's answer makes no geometry") from error
    lateral = reading.lateral_probability >= gates.lateral_probability
    return HeadAnswer(
        finding=finding,
        view=View.LATERAL if lateral else None,
        region=Region.THORAX if lateral else None,
    )


def vhs_finding(reading: HeartReading, *, concept: Code, plane: Plane, radiograph: Radiograph) -> Finding:
    """Measured (PRESENT: the score exists; whether the heart is large is not this finding's claim) or NOT_ASSESSABLE."""
    if reading.refusal is not None:
        return _not_assessable(reading.refusal, concept=concept, radiograph=radiograph)
    score = vertebral_heart_score(
        long_axis_length=_length(reading.long_axis),
        short_axis_length=_length(reading.short_axis),
        vertebral_edges=reading.vertebral_edges,
    )
    counted = reading.vertebral_edges[: int(max(score.long_vertebrae, score.short_vertebrae)) + 2]
    edges = [_point(edge) for edge in plane.to_source(counted)]
    rulers = {
        "long_axis_on_spine": (edges[0], _point(plane.to_source(score.long_ruler_end))),
        "short_axis_on_spine": (edges[0], _point(plane.to_source(score.short_ruler_end))),
    }
    total = Measurement(
        concept=concept,
        value=round(score.total, 1),  # as Buchanan counts
        unit=VERTEBRAE,
        lines=rulers,
        interval=vhs_interval(radiograph),
    )
    measurements = (total, *_axes(reading, score, plane=plane, radiograph=radiograph))
    ends = [end for measurement in measurements for line in measurement.lines.values() for end in line]
    if not all(_inside(end, radiograph) for end in ends):
        return _not_assessable(OUT_OF_FRAME, concept=concept, radiograph=radiograph)  # nobody could check such a line
    return Finding(
        tracking=VHS_TRACKING,
        concept=concept,
        outcome=FindingOutcome.PRESENT,
        sop_instance_uid=radiograph.ref.sop_instance_uid,
        site=HEART,
        measurements=measurements,
        guides=(Shape(graphic_type="MULTIPOINT", points=tuple(edge for edge in edges if _inside(edge, radiograph))),),
    )


def _not_assessable(reason: str, *, concept: Code, radiograph: Radiograph) -> Finding:
    return Finding(
        tracking=VHS_TRACKING,
        concept=concept,
        outcome=FindingOutcome.NOT_ASSESSABLE,
        sop_instance_uid=radiograph.ref.sop_instance_uid,
        reason=Reason(code=reason),
        site=HEART,
    )


def vhs_interval(radiograph: Radiograph) -> ReferenceInterval | None:
    """Dogs of all breeds together; None for other species: a dog's interval says nothing of a cat's heart."""
    if radiograph.patient.species is not Species.DOG:
        return None
    assumed = radiograph.patient.species_source is Source.ASSUMED
    return ReferenceInterval(
        low=DOG_VHS_LOW,
        high=DOG_VHS_HIGH,
        population="dog (species assumed), all breeds" if assumed else "dog, all breeds",
        source=DOG_VHS_SOURCE,
    )


def _axes(
    reading: HeartReading, score: VertebralHeartScore, *, plane: Plane, radiograph: Radiograph
) -> tuple[Measurement, Measurement]:
    """In millimetres where the spacing is known, otherwise in vertebrae, so that their lines travel in any case."""

    def axis(concept: Code, name: str, ends: FloatArray, vertebrae: float) -> Measurement:
        line = plane.to_source(ends)
        lines = {name: (_point(line[0]), _point(line[1]))}
        if radiograph.spacing_mm is None:
            return Measurement(concept=concept, value=round(vertebrae, 1), unit=VERTEBRAE, lines=lines)
        row_mm, column_mm = radiograph.spacing_mm
        length_mm = _length(line * np.array([column_mm, row_mm]))
        return Measurement(
            concept=concept,
            value=round(length_mm, 1),
            unit=MILLIMETRE,
            lines=lines,
            spacing_source=radiograph.spacing_source,
        )

    return (
        axis(LONG_AXIS, "long_axis", reading.long_axis, score.long_vertebrae),
        axis(SHORT_AXIS, "short_axis", reading.short_axis, score.short_vertebrae),
    )


def _length(line: FloatArray) -> float:
    return float(np.linalg.norm(line[1] - line[0]))


def _point(at: FloatArray) -> Point:
    """To a hundredth of a pixel: what is drawn and what is written are the same."""
    return round(float(at[0]), 2), round(float(at[1]), 2)


def _inside(point: Point, radiograph: Radiograph) -> bool:
    return 0 <= point[0] <= radiograph.columns and 0 <= point[1] <= radiograph.rows
