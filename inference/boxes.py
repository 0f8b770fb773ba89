"""Detections: boxes and scores, the same thing found twice counted once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from domain.types import Finding, FindingOutcome, Radiograph, Reason
from inference.findings import HeadAnswer, class_finding, judged, not_assessable, polygon
from inference.manifest import BoxesHead, Class
from inference.plane import Plane
from inference.tensors import Tensor, calibrated, probabilities

FloatArray = npt.NDArray[np.float64]


def read_boxes(head: BoxesHead, outputs: Mapping[str, Tensor], *, plane: Plane, radiograph: Radiograph) -> HeadAnswer:
    """A finding for each box that is not ABSENT; for a class without one, ABSENT. ValueError: no probabilities."""
    boxes = outputs[head.boxes].astype(np.float64)
    scores = probabilities(outputs[head.scores], head.activation)
    if len(boxes) != len(scores):
        raise ValueError("there are not as many boxes as scores")
    if head.form == "centre":
        half = boxes[:, 2:] / 2
        boxes = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    findings: list[Finding] = []
    values: dict[str, float] = {}
    for number, known in enumerate(head.classes):
        if known.concept is None:
            continue
        found = _of_class(head, known, boxes, scores[:, number], plane=plane, radiograph=radiograph)
        findings += found
        highest = calibrated(float(scores[:, number].max(initial=0.0)), known.calibration)
        values[f"{known.concept.value}.count"] = sum(one.outcome is FindingOutcome.PRESENT for one in found)
        values[f"{known.concept.value}.probability"] = highest
    return HeadAnswer(findings=tuple(findings), values=values)


def _of_class(
    head: BoxesHead, known: Class, boxes: FloatArray, scores: FloatArray, *, plane: Plane, radiograph: Radiograph
) -> list[Finding]:
    assert known.concept is not None and known.operating_points is not None  # noqa: S101  the manifest has checked it
    certain = np.array([calibrated(float(score), known.calibration) for score in scores])
    seen = [i for i, p in enumerate(certain) if judged(p, known.operating_points) is not FindingOutcome.ABSENT]
    kept = distinct(boxes, scores, seen, most_overlap=head.most_overlap)[: head.most_boxes]
    if not kept:
        return [class_finding(known, float(scores.max(initial=0.0)), radiograph, outcome=FindingOutcome.ABSENT)]
    found: list[Finding] = []
    for i in kept:
        left, top, right, bottom = boxes[i]
        corners = plane.to_source([(left, top), (right, top), (right, bottom), (left, bottom)])
        outline = polygon(corners, radiograph)
        if outline is not None:
            number = len(found) + 1
            found.append(class_finding(known, float(scores[i]), radiograph, regions=(outline,), number=number))
    if found:
        return found
    # All lie on the border beside the image: something was seen, and nobody could say where.
    return [not_assessable(Reason(code="outside_image"), concept=known.concept.code, radiograph=radiograph)]


def distinct(boxes: FloatArray, scores: FloatArray, among: list[int], *, most_overlap: float) -> list[int]:
    """Greedy non-maximum suppression: the best first, each that overlaps a better one too much left out."""
    kept: list[int] = []
    for i in sorted(among, key=lambda i: -scores[i]):
        if all(_overlap(boxes[i], boxes[j]) <= most_overlap for j in kept):
            kept.append(i)
    return kept


def _overlap(one: FloatArray, other: FloatArray) -> float:
    """Intersection over union."""
    common = np.prod(np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None))
    union = np.prod(np.clip(one[2:] - one[:2], 0, None)) + np.prod(np.clip(other[2:] - other[:2], 0, None)) - common
    return float(common / union) if union > 0 else 0.0
