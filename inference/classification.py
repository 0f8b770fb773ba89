"""Several findings at once, or one of several classes: probabilities, calibrated, against two operating points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from domain.types import Finding, FindingOutcome, Radiograph
from inference.findings import HeadAnswer, class_finding
from inference.manifest import ClassificationHead
from inference.masks import MOST_PARTS, shapes_of
from inference.outline import parts
from inference.plane import Plane
from inference.tensors import FloatArray, Tensor, calibrated, probabilities


def read_classes(
    head: ClassificationHead, outputs: Mapping[str, Tensor], *, plane: Plane, radiograph: Radiograph
) -> HeadAnswer:
    """Every class with a concept gives a finding, ABSENT ones too: what was looked for is said.

    ValueError where the output should hold probabilities and does not.
    """
    found = probabilities(outputs[head.output], head.activation)
    maps = probabilities(outputs[head.regions], head.activation, axis=0) if head.regions else None
    findings: list[Finding] = []
    values: dict[str, float] = {}
    for number, known in enumerate(head.classes):
        if known.concept is None:
            continue
        finding = class_finding(known, float(found[number]), radiograph)
        if maps is not None and finding.outcome is not FindingOutcome.ABSENT:
            finding = _shown(finding, head, maps[number], plane=plane, radiograph=radiograph)
        findings.append(finding)
        values[known.concept.value] = calibrated(float(found[number]), known.calibration)
    return HeadAnswer(findings=tuple(findings), values=values)


def _shown(
    finding: Finding, head: ClassificationHead, chances: FloatArray, *, plane: Plane, radiograph: Radiograph
) -> Finding:
    seen = parts(chances >= head.threshold, least_pixels=head.least_area * chances.size, most=MOST_PARTS)
    return replace(finding, regions=shapes_of(seen, plane=plane, radiograph=radiograph))
