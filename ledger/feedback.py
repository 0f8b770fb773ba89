"""What veterinarians answered to findings: kept as it was given, the newest of a reader counts. It names no animal.

Retention forgets studies and keeps this: agreement is counted over years.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from domain.types import FindingOutcome
from ledger.schema import feedback
from ledger.store import Transaction


class Answer(StrEnum):
    AGREE = "agree"
    DISAGREE = "disagree"
    UNCERTAIN = "uncertain"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """One reader's answer to one finding of one model, or to what it did not find.

    finding: its tracking unique identifier, the same in every revision of a report. document: the SOP Instance UID of what
    was read, where it is known. shown: what the model had said. corrected: what the reader says instead, any of
    {"outcome": "PRESENT" | "ABSENT", "value": number, "points": {name: [column, row]},
    "regions": [{"graphic_type", "points"}]}, in source pixels.
    """

    study_instance_uid: str
    sop_instance_uid: str  # of the image
    finding: str
    concept: str  # code value
    shown: FindingOutcome
    answer: Answer
    reader: str  # pseudonym
    model: str = ""
    version: str = ""
    document: str = ""
    probability: float | None = None
    corrected: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRow:
    id: int
    at: float
    feedback: Feedback


def record(tx: Transaction, given: Feedback) -> int:
    """Returns its id. An answer that was given before stays; ValueError for a correction without anything corrected."""
    if given.answer is Answer.CORRECTED and not given.corrected:
        raise ValueError("a correction says what is right instead")
    new = tx.connection.execute(
        tx.insert(feedback)
        .values(
            at=tx.now,
            study_instance_uid=given.study_instance_uid,
            sop_instance_uid=given.sop_instance_uid,
            finding=given.finding,
            concept=given.concept,
            shown=given.shown.value,
            answer=given.answer.value,
            reader=given.reader,
            model=given.model,
            version=given.version,
            document=given.document,
            probability=given.probability,
            corrected=dict(given.corrected) or None,
        )
        .returning(feedback.c.id)
    )
    return int(new.scalar_one())


def of_study(tx: Transaction, study_instance_uid: str) -> list[FeedbackRow]:
    """What counts of a study: of each reader and finding the newest, oldest first."""
    return _newest(tx, feedback.c.study_instance_uid == study_instance_uid)


def since(tx: Transaction, at: float = 0.0) -> list[FeedbackRow]:
    """What counts of all that was given from a time on, oldest first."""
    return _newest(tx, feedback.c.at >= at)


def _newest(tx: Transaction, wanted: sa.ColumnElement[bool]) -> list[FeedbackRow]:
    newest = sa.select(sa.func.max(feedback.c.id)).where(wanted).group_by(feedback.c.finding, feedback.c.reader)
    rows = tx.connection.execute(sa.select(feedback).where(feedback.c.id.in_(newest)).order_by(feedback.c.id))
    return [_row(row) for row in rows]


def _row(row: sa.Row[Any]) -> FeedbackRow:
    given = Feedback(
        study_instance_uid=row.study_instance_uid,
        sop_instance_uid=row.sop_instance_uid,
        finding=row.finding,
        concept=row.concept,
        shown=FindingOutcome(row.shown),
        answer=Answer(row.answer),
        reader=row.reader,
        model=row.model,
        version=row.version,
        document=row.document,
        probability=row.probability,
        corrected=row.corrected or {},
    )
    return FeedbackRow(id=row.id, at=row.at, feedback=given)
