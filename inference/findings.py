"""What every head's reader makes: findings in source pixels, and the few rules that all of them keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from domain import codes
from domain.types import Code, Finding, FindingOutcome, Point, Radiograph, Reason, Region, Shape, View
from inference.manifest import Class, OperatingPoints
from inference.tensors import calibrated

FloatArray = npt.NDArray[np.float64]


AROUND = 0.01  # of the image's longer side, in each direction


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadAnswer:
    """view and region: what the pixels show, None where the head cannot tell.

    values: what `expected.json` compares, by name.
    """

    findings: tuple[Finding, ...]
    values: Mapping[str, float] = field(default_factory=dict)
    view: View | None = None
    region: Region | None = None


def judged(probability: float, points: OperatingPoints) -> FindingOutcome:
    """ABSENT below the first operating point, PRESENT from the second on, UNCERTAIN between them."""
    if probability < points.absent_below:
        return FindingOutcome.ABSENT
    return FindingOutcome.PRESENT if probability >= points.present_from else FindingOutcome.UNCERTAIN


def class_finding(
    known: Class,
    probability: float,
    radiograph: Radiograph,
    *,
    regions: tuple[Shape, ...] = (),
    number: int = 1,
    outcome: FindingOutcome | None = None,
) -> Finding:
    """probability: as the model gives it. number: of several of one class in one image. outcome: instead of the points'."""
    assert known.concept is not None and known.operating_points is not None  # noqa: S101  the manifest has checked it
    concept = known.concept.code
    sure = calibrated(probability, known.calibration)
    term = next((term for term in codes.FINDINGS if term.code.value == concept.value), None)
    outcome = outcome or judged(sure, known.operating_points)
    return Finding(
        tracking=concept.value if number == 1 else f"{concept.value} {number}",
        concept=concept,
        outcome=outcome,
        sop_instance_uid=radiograph.ref.sop_instance_uid,
        probability=round(sure, 4),
        site=known.site.code if known.site else term.site if term else None,
        regions=regions,
        urgent=known.urgent and outcome is FindingOutcome.PRESENT,
    )


def not_assessable(reason: Reason, *, concept: Code, radiograph: Radiograph, site: Code | None = None) -> Finding:
    return Finding(
        tracking=concept.value,
        concept=concept,
        outcome=FindingOutcome.NOT_ASSESSABLE,
        sop_instance_uid=radiograph.ref.sop_instance_uid,
        reason=reason,
        site=site,
    )


def point(at: npt.ArrayLike) -> Point:
    """To a hundredth of a pixel: what is drawn and what is written are the same."""
    column, row = np.asarray(at, dtype=np.float64)
    return round(float(column), 2), round(float(row), 2)


def inside(at: Point, radiograph: Radiograph) -> bool:
    return 0 <= at[0] <= radiograph.columns and 0 <= at[1] <= radiograph.rows


def visible(at: Point, radiograph: Radiograph) -> bool:
    """Inside, and something is seen around it: in what was shuttered, burnt out or never sent nobody could check a point."""
    column, row = (int(part) for part in at)
    around = max(2, round(AROUND * max(radiograph.rows, radiograph.columns)))
    rows, columns = (slice(max(middle - around, 0), max(middle + around + 1, 0)) for middle in (row, column))
    return inside(at, radiograph) and bool(np.ptp(radiograph.pixels[rows, columns]) > 0)


def polygon(points: npt.ArrayLike, radiograph: Radiograph) -> Shape | None:
    """A closed outline, kept within the image; None where nothing of it is inside."""
    kept = np.clip(np.asarray(points, dtype=np.float64), 0, (radiograph.columns, radiograph.rows))
    if min(np.ptp(kept, axis=0)) <= 0:
        return None
    corners = tuple(point(at) for at in kept)
    return Shape(graphic_type="POLYLINE", points=(*corners, corners[0]))
