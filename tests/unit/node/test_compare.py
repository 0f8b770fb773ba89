"""Two models on the same images: what they agree on, and how far their numbers lie apart."""

from __future__ import annotations

import pytest

from domain import codes
from domain.types import (
    Finding,
    FindingOutcome,
    ImageAnswer,
    InstanceRef,
    Measurement,
    ModelAnswer,
    ModelIdentity,
    Outcome,
)
from node.compare import Comparison, ModelName, compare

EFFUSION = codes.FINDINGS[11].code
OLD, NEW = ModelName.parse("heart@1.0.0"), ModelName.parse("heart@2.0.0")


def said(version: str, vhs: float | None, effusion: FindingOutcome = FindingOutcome.ABSENT) -> ModelAnswer:
    model = ModelIdentity(
        name="heart", version=version, manufacturer="", device_uid=version, onnx_sha256="", clinical_status="demonstration"
    )
    if vhs is None:
        return ModelAnswer(model=model, outcome=Outcome.DECLINED)
    number = Measurement(concept=codes.VHS, value=vhs, unit=codes.VERTEBRAE, lines={})

    def finding(concept: codes.Code, outcome: FindingOutcome, **more: object) -> Finding:
        return Finding(tracking=concept.value, concept=concept, outcome=outcome, sop_instance_uid="1", **more)  # type: ignore[arg-type]

    absent = finding(EFFUSION, FindingOutcome.ABSENT, probability=0.1)
    return ModelAnswer(
        model=model,
        outcome=Outcome.ANALYSED,
        findings=(
            finding(codes.VHS, FindingOutcome.PRESENT, measurements=(number,)),
            absent,
            finding(EFFUSION, effusion, probability=0.3),
        ),
    )


def image(filed: ModelAnswer, *shadow: ModelAnswer) -> ImageAnswer:
    ref = InstanceRef(sop_class_uid="1", sop_instance_uid="1")
    return ImageAnswer(ref=ref, outcome=filed.outcome, models=(filed,), shadow=shadow)


def compared() -> Comparison:
    return compare(
        [
            image(said("1.0.0", 10.0), said("2.0.0", 10.5)),
            image(said("1.0.0", 9.0), said("2.0.0", 8.7, FindingOutcome.PRESENT)),
            image(said("1.0.0", None), said("2.0.0", 10.0)),
            image(said("1.0.0", 9.9), said("2.0.0", None)),
            image(said("1.0.0", 9.9)),  # the shadow did not run yet
        ],
        OLD,
        NEW,
    )


def test_images_are_counted_by_who_analysed_them() -> None:
    found = compared()
    assert (found.both, found.only_first, found.only_second) == (2, 1, 1)


def test_numbers_are_compared_and_outcomes_counted() -> None:
    effusion, vhs = sorted(compared().concepts, key=lambda one: one.concept.value)
    assert (vhs.concept, vhs.images, vhs.agreement) == (codes.VHS, 2, 1.0)
    (difference,) = vhs.measurements.values()
    assert (difference.pairs, difference.mean, difference.largest) == (2, pytest.approx(0.1), pytest.approx(0.5))
    assert difference.deviation == pytest.approx(0.566, abs=1e-3)
    assert effusion.agreement == 0.5
    assert effusion.outcomes[FindingOutcome.ABSENT, FindingOutcome.PRESENT] == 1  # the gravest of several


def test_the_same_model_has_no_differences_and_another_none_in_common() -> None:
    answers = [image(said("1.0.0", 10.0))]
    assert compare(answers, OLD, OLD).concepts[0].agreement == 1
    assert compare(answers, OLD, ModelName.parse("other")).both == 0
    assert ModelName.parse("heart").means(answers[0].models[0].model)
