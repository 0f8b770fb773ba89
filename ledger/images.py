"""What was received, and what became of it."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from domain.errors import NotFound, StorageUnavailable
from domain.types import AlarmKind, ImageAnswer, Outcome, Received, Species
from ledger import alarms
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
    received_at: float
    answer: ImageAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    study_instance_uid: str
    state: str
    revision: int
    evidence: str | None
    urgent: bool
    species: Species | None  # said by a person
    withdrawn_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImage:
    id: int
    urgent: bool  # its study is


def add(
    tx: Transaction, received: Received, *, path: Path, sha256: str, size_bytes: int, urgent: bool = False
) -> NewImage | None:
    """Write down an image and its study; None when this very content is already known.

    Another content under a known SOP Instance UID is kept beside the first, and is an alarm. StorageUnavailable when the
    file is gone: retention has just deleted the same content.
    """
    uid = received.ref.sop_instance_uid
    tx.lock(f"image {uid}")
    study_is_urgent = _touch_study(tx, received.study_instance_uid, urgent=urgent)
    if not path.is_file():
        raise StorageUnavailable("the image's file was deleted while it was written down")
    new = tx.connection.execute(
        tx.made(_new_image),
        {
            "sop_instance_uid": uid,
            "sha256": sha256,
            "sop_class_uid": received.ref.sop_class_uid,
            "study_instance_uid": received.study_instance_uid,
            "series_instance_uid": received.series_instance_uid,
            "transfer_syntax_uid": received.transfer_syntax_uid,
            "path": tx.placed(path),
            "size_bytes": size_bytes,
            "calling_ae": received.calling_ae,
            "called_ae": received.called_ae,
            "peer_host": received.peer_host,
            "modality": received.modality,
            "received_at": tx.now,
            "this_study": received.study_instance_uid,
            "this_instance": uid,
        },
    ).first()
    if new is None:
        _has_its_file(tx, uid, sha256)
        return None
    if new.first not in (None, new.id):
        said = (
            f"image {new.id} from {received.modality or received.calling_ae} came with another content under the SOP "
            f"Instance UID of image {new.first}: both are kept, in study {received.study_instance_uid}"
        )
        alarms.raise_(tx, AlarmKind.CONFLICT, uid, said)
    return NewImage(id=new.id, urgent=study_is_urgent)


def _has_its_file(tx: Transaction, sop_instance_uid: str, sha256: str) -> None:
    """It was sent again, perhaps because its file was gone."""
    known = sa.select(image.c.id).where(image.c.sop_instance_uid == sop_instance_uid, image.c.sha256 == sha256)
    alarms.clear(tx, AlarmKind.MISSING_FILE, str(tx.connection.scalar(known)))


def _new_image(tx: Transaction) -> sa.Executable:
    """No row for a content that is known. `first`: id of the instance's first image; of a new instance its own or NULL,
    since databases differ in what RETURNING sees.
    """
    known, twin = image.alias(), image.alias()
    count = sa.select(sa.func.count()).select_from(known).where(known.c.study_instance_uid == sa.bindparam("this_study"))
    first = sa.select(sa.func.min(twin.c.id)).where(twin.c.sop_instance_uid == sa.bindparam("this_instance"))
    return (
        tx.insert(image)
        .values(number=count.scalar_subquery() + 1)
        .on_conflict_do_nothing(index_elements=["sop_instance_uid", "sha256"])
        .returning(image.c.id, first.scalar_subquery().label("first"))
    )


def _touch_study(tx: Transaction, study_instance_uid: str, *, urgent: bool) -> bool:
    """Also locks the study's row: its images are numbered one after another, and it is not deleted meanwhile.

    Returns whether the study is urgent.
    """
    seen = {"study_instance_uid": study_instance_uid, "first_received_at": tx.now, "last_received_at": tx.now}
    return bool(tx.connection.scalar(tx.made(_seen_study), seen | {"urgent": int(urgent)}))


def _seen_study(tx: Transaction) -> sa.Executable:
    new = tx.insert(study).values(state="RECEIVING", revision=0)
    seen = {
        "last_received_at": new.excluded.last_received_at,
        "urgent": tx.greatest(study.c.urgent, new.excluded.urgent),
    }
    return new.on_conflict_do_update(index_elements=["study_instance_uid"], set_=seen).returning(study.c.urgent)


def held(tx: Transaction, sop_instance_uids: Sequence[str]) -> dict[str, str]:
    """{SOP Instance UID: SOP Class UID} of those among them of which every content that was acknowledged lies here."""
    rows = tx.connection.execute(
        sa.select(image.c.sop_instance_uid, image.c.sop_class_uid, image.c.path).where(
            image.c.sop_instance_uid.in_(sop_instance_uids)
        )
    ).all()
    gone = {row.sop_instance_uid for row in rows if not os.path.isfile(tx.path(row.path))}  # noqa: PTH113  False on any fault
    return {row.sop_instance_uid: row.sop_class_uid for row in rows if row.sop_instance_uid not in gone}


def files(tx: Transaction) -> dict[Path, int]:
    """{file: image id} of everything that was acknowledged."""
    return {tx.path(row.path): row.id for row in tx.connection.execute(sa.select(image.c.path, image.c.id))}


def is_own_result(tx: Transaction, sop_instance_uid: str) -> bool:
    """Whether the node made this object itself: a PACS may route it back."""
    return tx.connection.scalar(_OWN_RESULT, {"uid": sop_instance_uid}) is not None


_OWN_RESULT = sa.select(document.c.sop_instance_uid).where(
    document.c.sop_instance_uid == sa.bindparam("uid"), document.c.kind != "original"
)


def get(tx: Transaction, image_id: int) -> ImageRow:
    return _row(tx, tx.connection.execute(sa.select(image).where(image.c.id == image_id)).one())


def find(tx: Transaction, image_id: int) -> ImageRow | None:
    """None where it was forgotten."""
    row = tx.connection.execute(sa.select(image).where(image.c.id == image_id)).first()
    return None if row is None else _row(tx, row)


def of_study(tx: Transaction, study_instance_uid: str) -> list[ImageRow]:
    """In order of arrival."""
    rows = tx.connection.execute(
        sa.select(image).where(image.c.study_instance_uid == study_instance_uid).order_by(image.c.number)
    )
    return [_row(tx, row) for row in rows]


def answered(tx: Transaction, image_id: int, answer: ImageAnswer) -> None:
    tx.connection.execute(
        sa.update(image).where(image.c.id == image_id).values(answer=_ANSWER.dump_python(answer, mode="json"))
    )


def studies(tx: Transaction) -> list[str]:
    """Study Instance UIDs, oldest first."""
    return list(tx.connection.scalars(sa.select(study.c.study_instance_uid).order_by(study.c.first_received_at)))


def get_study(tx: Transaction, study_instance_uid: str, *, lock: bool = False) -> StudyRow:
    """NotFound when no image of it was ever received. `lock`: nobody reports, withdraws or deletes it meanwhile."""
    chosen = sa.select(study).where(study.c.study_instance_uid == study_instance_uid)
    row = tx.connection.execute(chosen.with_for_update() if lock else chosen).first()
    if row is None:
        raise NotFound("there is no such study")
    return StudyRow(
        study_instance_uid=row.study_instance_uid,
        state=row.state,
        revision=row.revision,
        evidence=row.evidence,
        urgent=bool(row.urgent),
        species=None if row.species is None else Species(row.species),
        withdrawn_at=row.withdrawn_at,
    )


def corrected(tx: Transaction, study_instance_uid: str, species: Species) -> None:
    """A person said of what species the animal is."""
    _update(tx, study_instance_uid, species=species.value)


def again(tx: Transaction, study_instance_uid: str, *, but: Collection[int] = ()) -> list[int]:
    """Forget the images' answers, `but` those of these, and what the newest revision was made of.

    Returns the images to answer anew.
    """
    _update(tx, study_instance_uid, evidence=None)
    mine = sa.and_(image.c.study_instance_uid == study_instance_uid, image.c.id.not_in(but))
    tx.connection.execute(sa.update(image).where(mine).values(answer=None))
    return list(tx.connection.scalars(sa.select(image.c.id).where(mine).order_by(image.c.number)))


def withdrawn(tx: Transaction, study_instance_uid: str) -> None:
    """The patient was wrong."""
    _update(tx, study_instance_uid, withdrawn_at=tx.now)


def reported(tx: Transaction, study_instance_uid: str, *, outcome: Outcome, revision: int, evidence: str) -> None:
    """A revision of the study's reports was written. `evidence`: digest of what it was made of."""
    _update(tx, study_instance_uid, state=outcome.value, revision=revision, evidence=evidence)


def _update(tx: Transaction, study_instance_uid: str, **values: Any) -> None:
    tx.connection.execute(sa.update(study).where(study.c.study_instance_uid == study_instance_uid).values(**values))


def _row(tx: Transaction, row: sa.Row[Any]) -> ImageRow:
    return ImageRow(
        id=row.id,
        sop_class_uid=row.sop_class_uid,
        sop_instance_uid=row.sop_instance_uid,
        sha256=row.sha256,
        study_instance_uid=row.study_instance_uid,
        path=tx.path(row.path),
        modality=row.modality,
        number=row.number,
        received_at=row.received_at,
        answer=None if row.answer is None else _ANSWER.validate_python(row.answer),
    )
