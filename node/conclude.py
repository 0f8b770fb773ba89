"""From the images' answers to the study's reports: one per model that spoke, or one that says why none did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from domain.types import Evidence, FindingOutcome, ImageAnswer, ModelIdentity, Outcome, Reason, Report
from ledger.images import ImageRow
from node.aggregate import Seen, study_findings

NOT_AN_IMAGE = "not_an_image"
WITHDRAWN = "withdrawn"


def local_time(seconds: float) -> datetime:
    """Wall clock where the node stands: what a viewer shows as the time of the analysis."""
    return datetime.fromtimestamp(seconds, tz=UTC).astimezone()


def evidence_of(row: ImageRow) -> Evidence:
    """An answered image as evidence."""
    if row.answer is None:
        raise ValueError(f"image {row.id} has no answer yet")
    return Evidence(answer=without_shadows(row.answer), sha256=row.sha256, path=row.path)


def without_shadows(answer: ImageAnswer) -> ImageAnswer:
    """What may be filed: answers that are kept for comparison alone must not decide a document, nor its UID."""
    return replace(answer, shadow=())


def is_image(evidence: Evidence) -> bool:
    """Objects without pixels, such as an SR from the console, are kept and forwarded but owe no answer; nor does a content
    whose patient was wrong.
    """
    reason = evidence.answer.reason
    return reason is None or reason.code not in (NOT_AN_IMAGE, WITHDRAWN)


def conclude(study_instance_uid: str, evidence: Sequence[Evidence], *, revision: int, analysed_at: datetime) -> list[Report]:
    """One report per model that analysed an image or broke on all; with none, one FAILED or DECLINED report: no silence."""
    spoken: dict[str, ModelIdentity] = {}
    seen: dict[str, list[Seen]] = {}
    for item in evidence:
        for answer in item.answer.models:
            if answer.outcome is Outcome.ANALYSED:
                spoken[answer.model.device_uid] = answer.model
                found = [Seen(finding=finding, view_rank=answer.view_rank) for finding in answer.findings]
                seen.setdefault(answer.model.device_uid, []).extend(found)
    broken = {
        answer.model.device_uid: answer.model
        for item in evidence
        for answer in item.answer.models
        if answer.outcome is Outcome.FAILED and answer.model.device_uid not in spoken
    }
    if not spoken:
        return [_unanswered(study_instance_uid, evidence, revision=revision, analysed_at=analysed_at)]

    def report(model: ModelIdentity, outcome: Outcome, reason: Reason | None) -> Report:
        return Report(
            study_instance_uid=study_instance_uid,
            model=model,
            outcome=outcome,
            reason=reason,
            evidence=tuple(evidence),
            findings=tuple(one.finding for one in seen.get(model.device_uid, ())),
            revision=revision,
            analysed_at=analysed_at,
            conclusions=study_findings(seen.get(model.device_uid, ())),
        )

    return [
        *(report(model, Outcome.ANALYSED, None) for model in spoken.values()),
        *(report(model, Outcome.FAILED, Reason(code="model_failed")) for model in broken.values()),
    ]


def given_up(study_instance_uid: str, evidence: Sequence[Evidence], *, revision: int, analysed_at: datetime) -> Report:
    """Of a study whose reports could not be written: FAILED, with nothing of the answers that may have broken them."""
    reason = Reason(code="report_failed")
    return Report(
        study_instance_uid=study_instance_uid,
        model=None,
        outcome=Outcome.FAILED,
        reason=reason,
        evidence=tuple(
            replace(item, answer=replace(item.answer, outcome=Outcome.FAILED, reason=reason, models=())) for item in evidence
        ),
        findings=(),
        revision=revision,
        analysed_at=analysed_at,
    )


def study_outcome(reports: Sequence[Report]) -> Outcome:
    return reports[0].outcome  # a model that analysed comes first


def said_of(reports: Sequence[Report]) -> str:
    """For the log: "ANALYSED" only where something was assessed."""
    outcome = study_outcome(reports)
    assessed = any(f.outcome is not FindingOutcome.NOT_ASSESSABLE for report in reports for f in report.findings)
    return outcome.value if assessed or outcome is not Outcome.ANALYSED else f"{outcome.value}, nothing assessable"


def _unanswered(study_instance_uid: str, evidence: Sequence[Evidence], *, revision: int, analysed_at: datetime) -> Report:
    outcomes = {item.answer.outcome for item in evidence}
    same = all(item.answer.reason == evidence[0].answer.reason for item in evidence)
    return Report(
        study_instance_uid=study_instance_uid,
        model=None,
        outcome=Outcome.FAILED if Outcome.FAILED in outcomes else Outcome.DECLINED,
        reason=evidence[0].answer.reason if same else Reason(code="no_image_analysed"),
        evidence=tuple(evidence),
        findings=(),
        revision=revision,
        analysed_at=analysed_at,
    )


def urgent_sentences(image: int, answer: ImageAnswer) -> dict[str, str]:
    """What a person must be told at once, by the number of the image in the ledger: no name leaves the node by it.

    By the alarm's key, which begins with that number: one alarm for each concept and model.
    """
    return {
        f"{image} {finding.concept.scheme} {finding.concept.value} {model.name} {model.version}": (
            f"{finding.concept.meaning} in image {image}, by {model.name} {model.version} ({model.clinical_status})"
        )
        for model, findings in ((each.model, each.findings) for each in answer.models)
        for finding in findings
        if finding.urgent
    }
