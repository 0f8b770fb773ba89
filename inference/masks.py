"""Segmentations: outlines of what was seen, and the ratio of two areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from domain import codes
from domain.measures import cardiothoracic_ratio
from domain.references import reference_interval
from domain.types import Finding, FindingOutcome, Measurement, Radiograph, Reason, Shape
from inference.findings import HeadAnswer, class_finding, not_assessable, polygon
from inference.manifest import Class, MasksHead
from inference.outline import Mask, outline, parts
from inference.plane import Plane
from inference.tensors import Tensor, calibrated, probabilities

FloatArray = npt.NDArray[np.float64]

MOST_PARTS = 5  # of one class in one image; more outlines than that show nothing
TOLERANCE = 1.0  # mask pixels


def read_masks(head: MasksHead, outputs: Mapping[str, Tensor], *, plane: Plane, radiograph: Radiograph) -> HeadAnswer:
    """A finding per class with its outlines, and the head's ratio. ValueError: no probabilities."""
    maps = probabilities(outputs[head.output], head.activation, axis=0)
    findings: list[Finding] = []
    values: dict[str, float] = {}
    for number, known in enumerate(head.classes):
        if known.concept is not None:
            findings.append(_of_class(head, known, maps[number], plane=plane, radiograph=radiograph))
            values[f"{known.concept.value}.area"] = float((maps[number] >= head.threshold).mean())
            values[f"{known.concept.value}.probability"] = calibrated(float(maps[number].max()), known.calibration)
    if head.ratio is not None:
        ratio = _ratio(head, maps, plane=plane, radiograph=radiograph)
        findings.append(ratio)
        if ratio.measurements:
            values[head.ratio.measure] = ratio.measurements[0].value / 100
    return HeadAnswer(findings=tuple(findings), values=values)


def _of_class(head: MasksHead, known: Class, chances: FloatArray, *, plane: Plane, radiograph: Radiograph) -> Finding:
    seen = parts(chances >= head.threshold, least_pixels=head.least_area * chances.size, most=MOST_PARTS)
    if seen:
        regions = shapes_of(seen, plane=plane, radiograph=radiograph)
        return class_finding(known, float(max(chances[part].max() for part in seen)), radiograph, regions=regions)
    found = class_finding(known, float(chances.max()), radiograph)
    if found.outcome is FindingOutcome.PRESENT:  # bright, but smaller than what counts: neither there nor not
        return class_finding(known, float(chances.max()), radiograph, outcome=FindingOutcome.UNCERTAIN)
    return found


def shapes_of(seen: Sequence[Mask], *, plane: Plane, radiograph: Radiograph) -> tuple[Shape, ...]:
    """The outlines of parts of a mask, without those that lie beside the image."""
    shapes = [_shape(part, plane=plane, radiograph=radiograph) for part in seen]
    return tuple(shape for shape in shapes if shape is not None)


def _ratio(head: MasksHead, maps: FloatArray, *, plane: Plane, radiograph: Radiograph) -> Finding:
    """Area of the part over area of the whole, both of their largest connected parts; the part belongs to the whole, which
    classes that exclude each other leave it out of. No ratio of a whole that the image, or what the model saw of it, cuts.
    """
    assert head.ratio is not None  # noqa: S101  the caller has looked
    concept, site = codes.CARDIOTHORACIC_RATIO, codes.HEART
    inner = maps[head.ratio.part - 1] >= head.threshold
    outer = maps[head.ratio.whole - 1] >= head.threshold
    least = head.least_area * inner.size
    if parts(outer, least_pixels=least, most=1):  # a part alone is no whole
        outer |= inner
    largest = [parts(mask, least_pixels=least, most=1) for mask in (inner, outer)]
    shapes = [_shape(found[0], plane=plane, radiograph=radiograph) if found else None for found in largest]
    regions = tuple(shape for shape in shapes if shape is not None)
    if len(regions) < 2:
        reason = Reason(code="points_uncertain", details={"names": "heart, thorax"})
        return not_assessable(reason, concept=concept, radiograph=radiograph, site=site)
    if _is_cut(largest[1][0], plane=plane, radiograph=radiograph):
        return not_assessable(Reason(code="outside_image"), concept=concept, radiograph=radiograph, site=site)
    part, whole = (float(found[0].sum()) for found in largest)
    measurement = Measurement(
        concept=concept,
        value=round(cardiothoracic_ratio(heart_area=part, thorax_area=whole), 1),
        unit=codes.PERCENT,
        lines={},
        interval=reference_interval(concept, radiograph.patient, radiograph.view),
    )
    return Finding(
        tracking=concept.value,
        concept=concept,
        outcome=FindingOutcome.PRESENT,
        sop_instance_uid=radiograph.ref.sop_instance_uid,
        site=site,
        regions=regions,
        measurements=(measurement,),
    )


def _is_cut(part: npt.NDArray[np.bool_], *, plane: Plane, radiograph: Radiograph) -> bool:
    """Whether it reaches the border of the plane, or of the image within it."""
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    first, last = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]]) + 1
    size = np.array(part.shape[::-1])
    if (first <= 0).any() or (last >= size).any():
        return True
    stride = np.array(plane.values.shape[::-1]) / size
    corners = plane.to_source(np.stack([first, last]) * stride)
    return bool((corners <= 0).any() or (corners >= (radiograph.columns, radiograph.rows)).any())


def _shape(part: npt.NDArray[np.bool_], *, plane: Plane, radiograph: Radiograph) -> Shape | None:
    """The part's outline in source pixels; masks lie over the whole plane, whatever their own size is."""
    rows, columns = plane.values.shape
    stride = np.array([columns / part.shape[1], rows / part.shape[0]])
    return polygon(plane.to_source(outline(part, tolerance=TOLERANCE) * stride), radiograph)
