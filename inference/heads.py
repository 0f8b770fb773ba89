"""A head asked: the network's answer to one image, said as findings. Each kind of head has a reader of its own."""

from __future__ import annotations

from dataclasses import replace

from domain.codes import HEART, VERTEBRAE
from domain.errors import ModelFailed
from domain.types import Finding, FindingOutcome, Radiograph, Reason, Region, Shape, View
from inference.boxes import read_boxes
from inference.classification import read_classes
from inference.findings import HeadAnswer, inside, not_assessable, point, visible
from inference.heart import OUT_OF_FRAME, HeartReading, Predict, read_heart
from inference.landmarks import read_landmarks
from inference.manifest import BoxesHead, ClassificationHead, Head, HeartHead, LandmarksHead, MasksHead
from inference.masks import read_masks
from inference.measuring import heart_result, measurements_of
from inference.plane import Plane
from inference.triage import read_triage


def read_head(head: Head, *, plane: Plane, predict: Predict, radiograph: Radiograph) -> HeadAnswer:
    """Ask the model and say its answer about this image. ModelFailed when it breaks, or answers what cannot be read."""
    try:
        if isinstance(head, HeartHead):
            return _heart(head, plane=plane, predict=predict, radiograph=radiograph)
        outputs = {name: tensor[0] for name, tensor in predict(plane.values[None, None]).items()}
        if isinstance(head, ClassificationHead):
            return read_classes(head, outputs, plane=plane, radiograph=radiograph)
        if isinstance(head, LandmarksHead):
            return read_landmarks(head, outputs, plane=plane, radiograph=radiograph)
        if isinstance(head, BoxesHead):
            return read_boxes(head, outputs, plane=plane, radiograph=radiograph)
        if isinstance(head, MasksHead):
            return read_masks(head, outputs, plane=plane, radiograph=radiograph)
        return HeadAnswer(findings=(), values=read_triage(head, outputs, radiograph).values)
    except (ValueError, ArithmeticError, LookupError) as error:
        raise ModelFailed(f"the model's answer cannot be read: {error}") from error


def _heart(head: HeartHead, *, plane: Plane, predict: Predict, radiograph: Radiograph) -> HeadAnswer:
    gates = head.operating_points
    reading = read_heart(plane.values, predict, gates)
    lateral = reading.lateral_probability >= gates.lateral_probability
    return HeadAnswer(
        findings=(_heart_finding(head, reading, plane=plane, radiograph=radiograph),),
        values={} if reading.refusal else {"vhs": reading.vhs},
        view=View.LATERAL if lateral else None,
        region=Region.THORAX if lateral else None,
    )


def _heart_finding(head: HeartHead, reading: HeartReading, *, plane: Plane, radiograph: Radiograph) -> Finding:
    """Measured (PRESENT: the score exists; whether the heart is large is not this finding's claim) or NOT_ASSESSABLE."""
    concept = head.concept.code
    if reading.refusal is not None:
        return not_assessable(Reason(code=reading.refusal), concept=concept, radiograph=radiograph, site=HEART)
    result = heart_result(long_axis=reading.long_axis, short_axis=reading.short_axis, edges=reading.vertebral_edges)
    lateral = replace(radiograph, view=radiograph.view or View.LATERAL)  # the header is silent, the network has seen it
    measurements = measurements_of(result, concept=concept, unit=VERTEBRAE, back=plane.to_source, radiograph=lateral)
    ends = [end for measurement in measurements for line in measurement.lines.values() for end in line]
    if not all(visible(end, radiograph) for end in ends):  # nobody could check such a line
        return not_assessable(Reason(code=OUT_OF_FRAME), concept=concept, radiograph=radiograph, site=HEART)
    edges = [point(edge) for edge in plane.to_source(result.guides)]
    return Finding(
        tracking=concept.value,
        concept=concept,
        outcome=FindingOutcome.PRESENT,
        sop_instance_uid=radiograph.ref.sop_instance_uid,
        site=HEART,
        measurements=measurements,
        guides=(Shape(graphic_type="MULTIPOINT", points=tuple(edge for edge in edges if inside(edge, radiograph))),),
    )
