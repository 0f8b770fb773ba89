"""Answers as the models give them, about files that `factories` made: measured, not assessable, declined, failed.

evidence(path, "measured")              an image and what became of it
report([evidence(...), ...])            what the node concludes of them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pydicom import dcmread

from domain import codes
from domain.types import (
    Evidence,
    Finding,
    FindingOutcome,
    ImageAnswer,
    InstanceRef,
    Measurement,
    ModelAnswer,
    ModelIdentity,
    Outcome,
    Reason,
    ReferenceInterval,
    Region,
    Report,
    Shape,
    Source,
    SpacingSource,
    Species,
    View,
)

ANALYSED_AT = datetime(2025, 11, 20, 10, 15, 30)
OUTCOMES = ("measured", "not assessable", "declined", "failed")
STUDY_UID = "2.25.77"

MODEL = ModelIdentity(
    name="canine-thorax-vhs",
    version="0.1.0",
    manufacturer="Houndsfield",
    device_uid="2.25.101",
    onnx_sha256="ab" * 32,
    clinical_status="demonstration",
    performance="200 unseen phantoms: mean absolute error 0.30 vertebra; not validated on animals.",
)
INTERVAL = ReferenceInterval(low=8.5, high=10.5, population="dog, all breeds", source="Buchanan 2000, PMID 10768239")


def vhs(sop_instance_uid: str, *, columns: int = 150, rows: int = 120, score: float = 10.83) -> Finding:
    """A measured heart: points in source pixels, the ruler along the upper third."""

    def at(x: float, y: float) -> tuple[float, float]:
        return round(columns * x, 2), round(rows * y, 2)

    edges = tuple(at(0.30 + 0.055 * n, 0.26 - 0.0016 * (n - 5) ** 2) for n in range(9))
    return Finding(
        tracking="VHS",
        concept=codes.VHS,
        outcome=FindingOutcome.PRESENT,
        sop_instance_uid=sop_instance_uid,
        site=codes.HEART,
        measurements=(
            Measurement(
                concept=codes.VHS,
                value=score,
                unit=codes.VERTEBRAE,
                lines={"long_axis_on_spine": (edges[0], edges[6]), "short_axis_on_spine": (edges[0], edges[5])},
                interval=INTERVAL,
            ),
            Measurement(
                concept=codes.LONG_AXIS,
                value=87.31,
                unit=codes.MILLIMETRE,
                lines={"long_axis": (at(0.45, 0.42), at(0.58, 0.80))},
                spacing_source=SpacingSource.DETECTOR,
            ),
            Measurement(
                concept=codes.SHORT_AXIS,
                value=70.08,
                unit=codes.MILLIMETRE,
                lines={"short_axis": (at(0.42, 0.68), at(0.64, 0.58))},
                spacing_source=SpacingSource.DETECTOR,
            ),
        ),
        guides=(Shape(graphic_type="MULTIPOINT", points=edges),),
    )


def not_assessable(sop_instance_uid: str) -> Finding:
    return Finding(
        tracking="VHS",
        concept=codes.VHS,
        outcome=FindingOutcome.NOT_ASSESSABLE,
        sop_instance_uid=sop_instance_uid,
        reason=Reason(code="landmarks_uncertain"),
        site=codes.HEART,
    )


def evidence(path: Path, outcome: str, *, model: ModelIdentity = MODEL, sha256: str = "12" * 32) -> Evidence:
    """outcome: one of OUTCOMES."""
    meta = dcmread(path, stop_before_pixels=True, force=True)
    ref = InstanceRef(
        sop_class_uid=str(meta.file_meta.MediaStorageSOPClassUID),
        sop_instance_uid=str(meta.file_meta.MediaStorageSOPInstanceUID),
    )
    rows, columns = int(meta.get("Rows", 120)), int(meta.get("Columns", 150))
    answer = ImageAnswer(
        ref=ref,
        outcome=Outcome.ANALYSED,
        rows=rows,
        columns=columns,
        view=View.LATERAL,
        view_source=Source.PIXELS,
        region=Region.THORAX,
        region_source=Source.HEADER,
        species=Species.DOG,
        species_source=Source.ASSUMED,
    )
    if outcome == "declined":
        reason = Reason(code="no_model_for_region", details={"region": "limb"})
        answer = replace(answer, outcome=Outcome.DECLINED, reason=reason, region=Region.LIMB)
    elif outcome == "failed":
        reason = Reason(code="unreadable", details={"error": "the pixel data are too short"})
        answer = replace(answer, outcome=Outcome.FAILED, reason=reason, rows=0, columns=0, view=None, region=None)
    else:
        uid = ref.sop_instance_uid
        finding = vhs(uid, columns=columns, rows=rows) if outcome == "measured" else not_assessable(uid)
        spoken = ModelAnswer(model=model, outcome=Outcome.ANALYSED, findings=(finding,))
        answer = replace(answer, models=(spoken,))
    return Evidence(answer=answer, sha256=sha256, path=path)


def report(items: Sequence[Evidence], *, revision: int = 1, study_instance_uid: str = STUDY_UID) -> Report:
    """One model's report of the images, or why there is none: FAILED before DECLINED."""
    spoken = [answer for item in items for answer in item.answer.models]
    outcomes = {item.answer.outcome for item in items}
    unanswered = Outcome.FAILED if Outcome.FAILED in outcomes else Outcome.DECLINED
    return Report(
        study_instance_uid=study_instance_uid,
        model=spoken[0].model if spoken else None,
        outcome=Outcome.ANALYSED if spoken else unanswered,
        reason=None if spoken else items[0].answer.reason,
        evidence=tuple(items),
        findings=tuple(finding for answer in spoken for finding in answer.findings),
        revision=revision,
        analysed_at=ANALYSED_AT,
    )
