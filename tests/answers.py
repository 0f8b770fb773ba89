"""Answers as the models give them, about files that `factories` made: measured, not assessable, declined, failed; and every
kind of finding at once.

evidence(path, "measured")              an image and what became of it
report([evidence(...), ...])            what the node concludes of them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom import dcmread

from domain import codes
from domain.types import (
    Code,
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
EVERY = (*OUTCOMES, "findings", "nothing seen")
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
VALIDATED = replace(MODEL, clinical_status="validated")
INTERVAL = ReferenceInterval(low=8.5, high=10.5, population="dog, all breeds", source="Buchanan 2000, PMID 10768239")


def vhs(sop_instance_uid: str, *, columns: int = 150, rows: int = 120, score: float = 10.83) -> Finding:
    """A measured heart: points in source pixels, the ruler along the upper third."""

    def at(x: float, y: float) -> tuple[float, float]:
        return round(columns * x, 2), round(rows * y, 2)

    def along(count: float) -> tuple[float, float]:
        before, share = int(count), count % 1
        (x0, y0), (x1, y1) = edges[before], edges[before + 1]
        return round(x0 + share * (x1 - x0), 2), round(y0 + share * (y1 - y0), 2)

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
                lines={"long_axis_on_spine": (edges[0], along(5.93)), "short_axis_on_spine": (edges[0], along(4.90))},
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


def _code(english: str) -> Code:
    return next(known.code for known in codes.FINDINGS if known.english == english)


def findings(sop_instance_uid: str, *, columns: int = 150, rows: int = 120) -> tuple[Finding, ...]:
    """Each kind of answer once: outlines, a circle, points; one and several; seen, doubtful, not seen, not assessable."""

    def at(*points: tuple[float, float]) -> tuple[tuple[float, float], ...]:
        return tuple((round(columns * x, 2), round(rows * y, 2)) for x, y in points)

    def found(english: str, outcome: FindingOutcome, **arguments: Any) -> Finding:
        return Finding(
            tracking=english, concept=_code(english), outcome=outcome, sop_instance_uid=sop_instance_uid, **arguments
        )

    heart = at((0.4, 0.4), (0.6, 0.4), (0.65, 0.6), (0.6, 0.8), (0.45, 0.8), (0.38, 0.6), (0.4, 0.4))
    box = at((0.1, 0.6), (0.3, 0.6), (0.3, 0.8), (0.1, 0.8), (0.1, 0.6))
    triangle = at((0.7, 0.2), (0.8, 0.2), (0.75, 0.3))  # left open
    outlines = tuple(Shape(graphic_type="POLYLINE", points=points) for points in (box, triangle))
    circle = Shape(graphic_type="CIRCLE", points=at((0.7, 0.5), (0.75, 0.5)))
    ellipse = Shape(graphic_type="ELLIPSE", points=at((0.2, 0.3), (0.4, 0.3), (0.3, 0.25), (0.3, 0.35)))
    return (
        found("Pneumothorax", FindingOutcome.ABSENT, probability=0.04, site=codes.PLEURA),
        found(
            "Cardiomegaly",
            FindingOutcome.PRESENT,
            probability=0.934,
            site=codes.HEART,
            severity=codes.MODERATE,
            regions=(Shape(graphic_type="POLYLINE", points=heart),),
        ),
        found("Alveolar pattern", FindingOutcome.PRESENT, probability=0.712, site=codes.LUNG, regions=outlines),
        found("Pulmonary nodule", FindingOutcome.PRESENT, probability=0.88, site=codes.LUNG, regions=(circle,)),
        found("Pleural effusion", FindingOutcome.UNCERTAIN, probability=0.48, site=codes.PLEURA, regions=(ellipse,)),
        found(
            "Patellar luxation",
            FindingOutcome.PRESENT,
            probability=0.66,
            site=codes.PATELLA,
            laterality=codes.LEFT,
            regions=(Shape(graphic_type="POINT", points=at((0.9, 0.9))),),
        ),
        found("Pulmonary oedema", FindingOutcome.UNCERTAIN, probability=0.51, site=codes.LUNG),
        found("Bronchial pattern", FindingOutcome.PRESENT, site=codes.LUNG, regions=(outlines[0],)),
        found(
            "Tracheal collapse",
            FindingOutcome.NOT_ASSESSABLE,
            reason=Reason(code="out_of_frame"),
            site=codes.TRACHEA,
            regions=(outlines[0],),
        ),
    )


def nothing_seen(sop_instance_uid: str) -> tuple[Finding, ...]:
    """Looked for, assessed, and not seen."""
    kinds = [_code(english) for english in ("Pneumothorax", "Pleural effusion", "Pulmonary oedema")]
    return tuple(
        Finding(
            tracking=code.meaning,
            concept=code,
            outcome=FindingOutcome.ABSENT,
            sop_instance_uid=sop_instance_uid,
            probability=0.03,
        )
        for code in kinds
    )


def evidence(path: Path, outcome: str, *, model: ModelIdentity = MODEL, sha256: str = "12" * 32) -> Evidence:
    """outcome: one of EVERY."""
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
        answers = {
            "measured": (vhs(uid, columns=columns, rows=rows),),
            "not assessable": (not_assessable(uid),),
            "findings": (vhs(uid, columns=columns, rows=rows), *findings(uid, columns=columns, rows=rows)),
            "nothing seen": nothing_seen(uid),
        }
        spoken = ModelAnswer(model=model, outcome=Outcome.ANALYSED, findings=answers[outcome])
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
