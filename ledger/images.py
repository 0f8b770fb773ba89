"""What was received, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.dialects.sqlite import insert

from domain.types import ImageAnswer, Outcome, Received
from ledger.schema import document, image, study
from ledger.store import Transaction

_ANSWER = TypeAdapter(ImageAnswer)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    id: int
    sop_class_uid: str
    sop_instance_uid: str
    sha256: str
    study_instance_uid: str
    path: Path
    modality: str
    number: int  # order of arrival within the study, from 1
    answer: ImageAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    study_instance_uid: str
    state: str
    revision: int
    evidence: str | None


def add(tx: Transaction, received: Received, *, path: Path, sha256: str, size_bytes: int) -> int | None:
    """Write down an image and its study; None when this very content is already known."""
    same = tx.connection.scalar(
        sa.select(image.c.id).where(image.c.sop_instance_uid == received.ref.sop_instance_uid, image.c.sha256 == sha256)
    )
    if same is not None:
        return None
    before = tx.connection.scalar(
        sa.select(sa.func.count()).select_from(image).where(image.c.study_instance_uid == received.study_instance_uid)
    )
    tx.connection.execute(
        insert(study)
        .values(
            study_instance_uid=received.study_instance_uid,
            state="RECEIVING",
            revision=0,
            first_received_at=tx.now,
            last_received_at=tx.now,
        )
        .on_conflict_do_update(index_elements=["study_instance_uid"], set_={"last_received_at": tx.now})
    )
    new: int = tx.connection.execute(
        sa.insert(image)
        .values(
            sop_instance_uid=received.ref.sop_instance_uid,
            sha256=sha256,
            sop_class_uid=received.ref.sop_class_uid,
            study_instance_uid=received.study_instance_uid,
            series_instance_uid=received.series_instance_uid,
            transfer_syntax_uid=received.transfer_syntax_uid,
            path=str(path),
            size_bytes=size_bytes,
            calling_ae=received.calling_ae,
            called_ae=received.called_ae,
            peer_host=received.peer_host,
            modality=received.modality,
            number=(before or 0) + 1,
            received_at=tx.now,
        )
        .returning(image.c.id)
    ).scalar_one()
    return new


def is_own_result(tx: Transaction, sop_instance_uid: str) -> bool:
    """Whether the node made this object itself: a PACS may route it back."""
    made = sa.select(document.c.sop_instance_uid).where(
        document.c.sop_instance_uid == sop_instance_uid, document.c.kind != "original"
    )
    return tx.connection.scalar(made) is not None


def get(tx: Transaction, image_id: int) -> ImageRow:
    return _row(tx.connection.execute(sa.select(image).where(image.c.id == image_id)).one())


def of_study(tx: Transaction, study_instance_uid: str) -> list[ImageRow]:
    """In order of arrival."""
    rows = tx.connection.execute(
        sa.select(image).where(image.c.study_instance_uid == study_instance_uid).order_by(image.c.number)
    )
    return [_row(row) for row in rows]


def answered(tx: Transaction, image_id: int, answer: ImageAnswer) -> None:
    tx.connection.execute(
        sa.update(image).where(image.c.id == image_id).values(answer=_ANSWER.dump_python(answer, mode="json"))
    )


def studies(tx: Transaction) -> list[str]:
    """Study Instance UIDs, oldest first."""
    return list(tx.connection.scalars(sa.select(study.c.study_instance_uid).order_by(study.c.first_received_at)))


def get_study(tx: Transaction, study_instance_uid: str) -> StudyRow:
    row = tx.connection.execute(sa.select(study).where(study.c.study_instance_uid == study_instance_uid)).one()
    return StudyRow(study_instance_uid=row.study_instance_uid, state=row.state, revision=row.revision, evidence=row.evidence)


def failed(tx: Transaction, study_instance_uid: str) -> None:
    """The study's report could not be made at all."""
    tx.connection.execute(
        sa.update(study).where(study.c.study_instance_uid == study_instance_uid).values(state=Outcome.FAILED.value)
    )


def reported(tx: Transaction, study_instance_uid: str, *, outcome: Outcome, revision: int, evidence: str) -> None:
    """A revision of the study's reports was written. `evidence`: digest of what it was made of."""
    tx.connection.execute(
        sa.update(study)
        .where(study.c.study_instance_uid == study_instance_uid)
        .values(state=outcome.value, revision=revision, evidence=evidence)
    )


def _row(row: sa.Row[Any]) -> ImageRow:
    return ImageRow(
        id=row.id,
        sop_class_uid=row.sop_class_uid,
        sop_instance_uid=row.sop_instance_uid,
        sha256=row.sha256,
        study_instance_uid=row.study_instance_uid,
        path=Path(row.path),
        modality=row.modality,
        number=row.number,
        answer=None if row.answer is None else _ANSWER.validate_python(row.answer),
    )
