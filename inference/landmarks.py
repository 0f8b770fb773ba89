"""Named points with their uncertainty, and what is measured from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
import numpy.typing as npt

from domain.types import Code, Finding, FindingOutcome, Point, Radiograph, Reason, Shape
from inference.findings import HeadAnswer, inside, not_assessable, point, visible
from inference.manifest import LandmarksHead, MeasureRequest
from inference.measuring import MEASURES, deviation_of, measurements_of
from inference.plane import Plane
from inference.tensors import Tensor, probabilities

FloatArray = npt.NDArray[np.float64]


def read_landmarks(
    head: LandmarksHead, outputs: Mapping[str, Tensor], *, plane: Plane, radiograph: Radiograph
) -> HeadAnswer:
    """A finding per measurement, or one of the bare points. ValueError where the points make no geometry."""
    points, spreads = _places(head, outputs, plane)
    values = {
        f"{name}.{axis}": float(at)
        for name, where in zip(head.names, points, strict=True)
        for axis, at in zip(("column", "row"), where, strict=True)
    }
    source = [point(at) for at in plane.to_source(points)]
    unsure = {name for name, spread in zip(head.names, spreads, strict=True) if spread > head.most_spread}
    outside = {name for name, at in zip(head.names, source, strict=True) if not visible(at, radiograph)}
    findings = [
        _measured(head, request, points, spreads, unsure=unsure, outside=outside, plane=plane, radiograph=radiograph)
        for request in head.measurement
    ]
    if head.concept is not None:
        findings.append(_bare(head.concept.code, source, _unfit(head.names, unsure, outside), radiograph))
    return HeadAnswer(findings=tuple(findings), values=values)


def _unfit(needed: Sequence[str], unsure: AbstractSet[str], outside: AbstractSet[str]) -> Reason | None:
    doubtful = [name for name in needed if name in unsure]
    if doubtful:
        return Reason(code="points_uncertain", details={"names": ", ".join(doubtful)})
    return None if outside.isdisjoint(needed) else Reason(code="outside_image")


def _bare(concept: Code, source: Sequence[Point], reason: Reason | None, radiograph: Radiograph) -> Finding:
    if reason is not None:
        return not_assessable(reason, concept=concept, radiograph=radiograph)
    return Finding(
        tracking=concept.value,
        concept=concept,
        outcome=FindingOutcome.PRESENT,
        sop_instance_uid=radiograph.ref.sop_instance_uid,
        regions=(Shape(graphic_type="MULTIPOINT", points=tuple(source)),),
    )


def _places(head: LandmarksHead, outputs: Mapping[str, Tensor], plane: Plane) -> tuple[FloatArray, FloatArray]:
    """(n, 2) places in plane pixels and (n,) standard deviations, the same in both directions."""
    found = outputs[head.output].astype(np.float64)
    if head.form == "points":
        assert head.spread is not None  # noqa: S101  the manifest has checked it
        spreads = outputs[head.spread].astype(np.float64)
        if (spreads < 0).any():
            raise ValueError("a standard deviation is not negative")
        return found, spreads
    count, rows, columns = found.shape
    share = probabilities(outputs[head.output].reshape(count, -1), "softmax").reshape(found.shape)
    stride = np.array([plane.values.shape[1] / columns, plane.values.shape[0] / rows])
    column, row = (np.arange(columns) + 0.5) * stride[0], (np.arange(rows) + 0.5) * stride[1]
    across, down = share.sum(axis=1), share.sum(axis=2)
    places = np.stack([across @ column, down @ row], axis=1)
    variances = np.stack([across @ column**2, down @ row**2], axis=1) - places**2
    return places, np.sqrt(np.clip(variances, 0, None).mean(axis=1))


def _measured(
    head: LandmarksHead,
    request: MeasureRequest,
    points: FloatArray,
    spreads: FloatArray,
    *,
    unsure: AbstractSet[str],
    outside: AbstractSet[str],
    plane: Plane,
    radiograph: Radiograph,
) -> Finding:
    """From the landmarks that are fit for it: an uncertain one voids only the measures that need it."""
    measure = MEASURES[request.measure]
    aspect = radiograph.pixel_aspect

    def refused(reason: Reason) -> Finding:
        return not_assessable(reason, concept=measure.concept, radiograph=radiograph, site=measure.site)

    unfit = _unfit(measure.required, unsure, outside)
    if unfit is not None:
        return refused(unfit)

    def square(at: FloatArray) -> FloatArray:
        return plane.in_pixels_of_one_shape(at, pixel_aspect=aspect)

    origin = square(np.zeros(2))
    fit = [name not in unsure and name not in outside for name in head.names]
    names = [name for name, use in zip(head.names, fit, strict=True) if use]
    named = dict(zip(names, square(points[fit]), strict=True))
    steps = {
        name: np.array([square(spread * direction) - origin for direction in np.eye(2)])
        for name, spread in zip(names, spreads[fit], strict=True)
    }
    code = measure.refusal(named)
    if code is not None:
        return refused(Reason(code=code))
    result = measure.of(named)
    deviation = deviation_of(measure, named, steps)
    if request.most_deviation is not None and deviation > request.most_deviation:
        details = {"measure": measure.concept.meaning, "deviation": f"{deviation:.1f}"}
        return refused(Reason(code="measurement_uncertain", details=details))

    def back(at: FloatArray) -> FloatArray:
        return np.asarray(at / (1.0, aspect))

    measurements = measurements_of(
        result, concept=measure.concept, unit=measure.unit, back=back, radiograph=radiograph, deviation=deviation
    )
    ends = [end for measurement in measurements for line in measurement.lines.values() for end in line]
    if not all(visible(end, radiograph) for end in ends):  # nobody could check such a line
        return refused(Reason(code="outside_image"))
    guides = tuple(at for at in map(point, back(result.guides)) if inside(at, radiograph))
    return Finding(
        tracking=request.measure,
        concept=measure.concept,
        outcome=FindingOutcome.PRESENT,
        sop_instance_uid=radiograph.ref.sop_instance_uid,
        site=measure.site,
        laterality=measure.laterality,
        measurements=measurements,
        guides=(Shape(graphic_type="MULTIPOINT", points=guides),) if guides else (),
    )
