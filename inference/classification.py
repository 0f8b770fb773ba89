"""Several findings at once, or one of several classes: probabilities, calibrated, against two operating points."""

from __future__ import annotations

from collections.abc import Mapping

from domain.types import Radiograph
from inference.findings import HeadAnswer, class_finding
from inference.manifest import ClassificationHead
from inference.tensors import Tensor, calibrated, probabilities


def read_classes(head: ClassificationHead, outputs: Mapping[str, Tensor], radiograph: Radiograph) -> HeadAnswer:
    """Every class with a concept gives a finding, ABSENT ones too: what was looked for is said.

    ValueError where the output should hold probabilities and does not.
    """
    found = probabilities(outputs[head.output], head.activation)
    filed = [(known, float(p)) for known, p in zip(head.classes, found, strict=True) if known.concept]
    return HeadAnswer(
        findings=tuple(class_finding(known, p, radiograph) for known, p in filed),
        values={known.concept.value: calibrated(p, known.calibration) for known, p in filed if known.concept},
    )
