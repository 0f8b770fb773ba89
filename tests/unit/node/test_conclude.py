"""From images' answers to reports: never silence, never a mixture of models."""

from datetime import UTC, datetime
from pathlib import Path

from domain import codes
from domain.types import (
    Evidence,
    Finding,
    FindingOutcome,
    ImageAnswer,
    InstanceRef,
    ModelAnswer,
    ModelIdentity,
    Outcome,
    Reason,
)
from node.conclude import conclude, is_image, said_of, study_outcome

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def model(name: str) -> ModelIdentity:
    return ModelIdentity(
        name=name,
        version="1",
        manufacturer="Houndsfield",
        device_uid=f"2.25.{len(name)}",
        onnx_sha256="0" * 64,
        clinical_status="demonstration",
    )


def image(number: int, outcome: Outcome, *models: ModelAnswer, reason: Reason | None = None) -> Evidence:
    ref = InstanceRef(sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1", sop_instance_uid=f"2.25.{number}")
    answer = ImageAnswer(ref=ref, outcome=outcome, reason=reason, models=models)
    return Evidence(answer=answer, sha256=str(number) * 64, path=Path(f"{number}.dcm"))


NO_MODEL = Reason(code="no_model_for_region", details={"region": "limb"})
BROKEN = Reason(code="unreadable", details={"error": "it is cut short"})


def test_one_report_per_model_that_spoke_with_all_images_as_evidence() -> None:
    vhs = ModelAnswer(model=model("vhs"), outcome=Outcome.ANALYSED)
    lungs = ModelAnswer(model=model("lungs"), outcome=Outcome.ANALYSED)
    silent = ModelAnswer(model=model("hips-"), outcome=Outcome.DECLINED, reason=NO_MODEL)
    evidence = [
        image(1, Outcome.ANALYSED, vhs, silent),
        image(2, Outcome.ANALYSED, vhs, lungs),
        image(3, Outcome.FAILED, reason=BROKEN),
    ]
    reports = conclude("2.25.9", evidence, revision=2, analysed_at=NOW)
    assert [report.model.name for report in reports if report.model] == ["vhs", "lungs"]
    assert all(report.outcome is Outcome.ANALYSED and report.revision == 2 for report in reports)
    assert all(len(report.evidence) == 3 for report in reports)
    assert study_outcome(reports) is Outcome.ANALYSED


def test_a_study_nobody_can_read_gets_one_report_that_says_so() -> None:
    (declined,) = conclude(
        "2.25.9", [image(n, Outcome.DECLINED, reason=NO_MODEL) for n in (1, 2)], revision=1, analysed_at=NOW
    )
    assert (declined.model, declined.outcome, declined.reason) == (None, Outcome.DECLINED, NO_MODEL)


def test_a_failure_outweighs_a_decline_and_different_reasons_are_not_merged() -> None:
    (failed,) = conclude(
        "2.25.9",
        [image(1, Outcome.DECLINED, reason=NO_MODEL), image(2, Outcome.FAILED, reason=BROKEN)],
        revision=1,
        analysed_at=NOW,
    )
    assert failed.outcome is Outcome.FAILED
    assert failed.reason == Reason(code="no_image_analysed")


def test_objects_without_pixels_are_no_images() -> None:
    assert is_image(image(1, Outcome.FAILED, reason=BROKEN))
    assert not is_image(image(1, Outcome.DECLINED, reason=Reason(code="not_an_image")))


def test_the_log_calls_a_study_analysed_only_where_something_was_assessed() -> None:
    def said(*outcomes: FindingOutcome) -> str:
        findings = tuple(
            Finding(tracking=f"{n}", concept=codes.VHS, outcome=outcome, sop_instance_uid="2.25.1")
            for n, outcome in enumerate(outcomes)
        )
        spoken = ModelAnswer(model=model("vhs"), outcome=Outcome.ANALYSED, findings=findings)
        return said_of(conclude("2.25.9", [image(1, Outcome.ANALYSED, spoken)], revision=1, analysed_at=NOW))

    assert said(FindingOutcome.NOT_ASSESSABLE) == said() == "ANALYSED, nothing assessable"
    assert said(FindingOutcome.NOT_ASSESSABLE, FindingOutcome.ABSENT) == "ANALYSED"
