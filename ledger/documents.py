"""What was written, where it is owed, and what became of each delivery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from domain.types import DeliveryState, Document, DocumentKind, InstanceRef
from ledger import tasks
from ledger.schema import delivery, document, image
from ledger.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    document: Document
    destination: str
    state: DeliveryState
    owed_at: float
    stored_at: float | None
    attempts: int
    late_looks: int = 0
    withdrawn: bool = False  # the document is: it does not count any more, or never did
    taken_back: bool = False  # by a withdrawal: it is not sent again


def owe(tx: Transaction, written: Document, destinations: Sequence[str], *, priority: int = 0) -> None:
    """Write down a document and one delivery task per destination; owing it twice is owing it once.

    A received image whose content changed under its UID is owed anew: what this node made itself never changes.
    """
    _replace_if_changed(tx, written, priority)
    tx.connection.execute(
        tx.insert(document)
        .values(
            sop_instance_uid=written.ref.sop_instance_uid,
            kind=written.kind.value,
            sop_class_uid=written.ref.sop_class_uid,
            study_instance_uid=written.study_instance_uid,
            series_instance_uid=written.series_instance_uid,
            path=tx.placed(written.path),
            sha256=written.sha256,
            made_at=tx.now,
        )
        .on_conflict_do_nothing()
    )
    for name in destinations:
        uid = written.ref.sop_instance_uid
        new = tx.connection.execute(
            tx.insert(delivery)
            .values(sop_instance_uid=uid, destination=name, state=DeliveryState.PENDING.value, owed_at=tx.now, attempts=0)
            .on_conflict_do_nothing()
        )
        if new.rowcount:
            _owe_delivery(tx, uid, name, priority)


def _replace_if_changed(tx: Transaction, written: Document, priority: int) -> None:
    uid = written.ref.sop_instance_uid
    changed = tx.connection.execute(
        sa.update(document)
        .where(document.c.sop_instance_uid == uid, document.c.sha256 != written.sha256)
        .values(
            study_instance_uid=written.study_instance_uid,  # the wrong study may be what was corrected
            series_instance_uid=written.series_instance_uid,
            path=tx.placed(written.path),
            sha256=written.sha256,
        )
    )
    if changed.rowcount == 0:
        return
    again = tx.connection.execute(
        sa.update(delivery)
        .where(delivery.c.sop_instance_uid == uid)
        .values(state=DeliveryState.PENDING.value, owed_at=tx.now)
        .returning(delivery.c.destination)
    )
    for row in again.all():
        _owe_delivery(tx, uid, row.destination, priority)


def _owe_delivery(tx: Transaction, uid: str, name: str, priority: int) -> None:
    tasks.owe(tx, "deliver", f"{uid}>{name}", queue="delivery", destination=name, priority=priority)


def get_delivery(tx: Transaction, key: str) -> DeliveryRow:
    """By a deliver task's key: `SOP Instance UID>destination`."""
    uid, _, name = key.partition(">")
    row = tx.connection.execute(
        sa.select(delivery, document)
        .join(document, document.c.sop_instance_uid == delivery.c.sop_instance_uid)
        .where(delivery.c.sop_instance_uid == uid, delivery.c.destination == name)
    ).one()
    return _delivery(tx, row)


def deliveries(tx: Transaction, study_instance_uid: str) -> list[DeliveryRow]:
    """Of everything that was written of a study, oldest first: where it is owed, and what became of it."""
    rows = tx.connection.execute(
        sa.select(delivery, document)
        .join(document, document.c.sop_instance_uid == delivery.c.sop_instance_uid)
        .where(document.c.study_instance_uid == study_instance_uid)
        .order_by(document.c.made_at, document.c.sop_instance_uid, delivery.c.destination)
    )
    return [_delivery(tx, row) for row in rows]


def withdrawn(tx: Transaction, study_instance_uid: str) -> list[DeliveryRow]:
    """The study's results do not count any more: none is the predecessor of a later one, and what waits is not sent.

    Returns what was filed, or may have been, for the destinations to be told.
    """
    rows = deliveries(tx, study_instance_uid)
    mine = [row for row in rows if row.document.kind is not DocumentKind.ORIGINAL and not row.withdrawn]
    for row in mine:
        if row.state in (DeliveryState.PENDING, DeliveryState.REFUSED, DeliveryState.DEAD):
            for kind in ("deliver", "verify"):  # and no alarm of it stays: nothing that counts is missing there
                tasks.drop(tx, kind, f"{row.document.ref.sop_instance_uid}>{row.destination}")
            delivered(tx, row, DeliveryState.CANCELLED, status="withdrawn before it was sent")
    tx.connection.execute(
        sa.update(document)
        .where(
            document.c.study_instance_uid == study_instance_uid,
            document.c.kind != DocumentKind.ORIGINAL.value,
            document.c.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=tx.now)
    )
    return [row for row in mine if row.stored_at is not None or row.attempts]


def is_no_result(tx: Transaction, written: Document) -> None:
    """It says something of results, as a rejection note does: no later withdrawal may take it back."""
    tx.connection.execute(
        sa.update(document).where(document.c.sop_instance_uid == written.ref.sop_instance_uid).values(withdrawn_at=0.0)
    )


def delivered(tx: Transaction, row: DeliveryRow, state: DeliveryState, *, status: str) -> None:
    """Write down what the destination answered."""
    values: dict[str, Any] = {"state": state.value, "last_status": status}
    if state is DeliveryState.STORED:
        values |= {"stored_at": tx.now, "late_looks": 0}
    if state is DeliveryState.VERIFIED:
        values |= {"verified_at": tx.now}
    _update(tx, row, values)


def is_current(tx: Transaction, row: DeliveryRow) -> bool:
    """Whether this content is what is owed still. Until the transaction ends, no other content comes in its place."""
    here = document.c.sop_instance_uid == row.document.ref.sop_instance_uid
    return tx.connection.scalar(sa.select(document.c.sha256).where(here).with_for_update()) == row.document.sha256


def replaces_another(tx: Transaction, row: DeliveryRow) -> bool:
    """Whether another content came under this SOP Instance UID, too: a destination may hold that one."""
    uid, sha256 = row.document.ref.sop_instance_uid, row.document.sha256
    other = sa.select(image.c.id).where(image.c.sop_instance_uid == uid, image.c.sha256 != sha256)
    return tx.connection.scalar(other.limit(1)) is not None


def noted(tx: Transaction, row: DeliveryRow, *, status: str) -> None:
    """Write down what was heard without changing the state."""
    _update(tx, row, {"last_status": status})


def looked_late(tx: Transaction, row: DeliveryRow) -> None:
    """The destination answered a look for it that came after `verify_seconds`, and did not have it."""
    _update(tx, row, {"late_looks": row.late_looks + 1})


def attempted(tx: Transaction, row: DeliveryRow) -> None:
    """The destination was sent the object, or as much of it as it took."""
    _update(tx, row, {"attempts": row.attempts + 1})


def reopened(tx: Transaction, key: str) -> None:
    """A refused or dead delivery is owed again."""
    uid, _, name = key.partition(">")
    tx.connection.execute(
        sa.update(delivery)
        .where(delivery.c.sop_instance_uid == uid, delivery.c.destination == name)
        .values(state=DeliveryState.PENDING.value, owed_at=tx.now)
    )


def newest(tx: Transaction, series_instance_uid: str) -> Document | None:
    """The last document of a series: the predecessor of the next revision."""
    row = tx.connection.execute(
        sa.select(document)
        .where(document.c.series_instance_uid == series_instance_uid, document.c.withdrawn_at.is_(None))
        .order_by(document.c.made_at.desc())
        .limit(1)
    ).first()
    return None if row is None else _document(tx, row)


def of_images(tx: Transaction, study_instance_uid: str, destinations: Sequence[str]) -> list[Document]:
    """A study's overlays and presentation states that these destinations were owed."""
    rows = tx.connection.execute(
        sa.select(document)
        .join(delivery, delivery.c.sop_instance_uid == document.c.sop_instance_uid)
        .where(
            document.c.study_instance_uid == study_instance_uid,
            document.c.withdrawn_at.is_(None),
            document.c.kind.in_((DocumentKind.SC.value, DocumentKind.GSPS.value)),
            delivery.c.destination.in_(destinations),
        )
        .distinct()
    )
    return [_document(tx, row) for row in rows]


def of_study(tx: Transaction, study_instance_uid: str) -> list[Document]:
    rows = tx.connection.execute(
        sa.select(document)
        .where(document.c.study_instance_uid == study_instance_uid, document.c.kind != "original")
        .order_by(document.c.made_at)
    )
    return [_document(tx, row) for row in rows]


def _update(tx: Transaction, row: DeliveryRow, values: dict[str, Any]) -> None:
    tx.connection.execute(
        sa.update(delivery)
        .where(delivery.c.sop_instance_uid == row.document.ref.sop_instance_uid, delivery.c.destination == row.destination)
        .values(**values)
    )


def _document(tx: Transaction, row: sa.Row[Any]) -> Document:
    return Document(
        kind=DocumentKind(row.kind),
        ref=InstanceRef(sop_class_uid=row.sop_class_uid, sop_instance_uid=row.sop_instance_uid),
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        path=tx.path(row.path),
        sha256=row.sha256,
    )


def _delivery(tx: Transaction, row: sa.Row[Any]) -> DeliveryRow:
    return DeliveryRow(
        document=_document(tx, row),
        destination=row.destination,
        state=DeliveryState(row.state),
        owed_at=row.owed_at,
        stored_at=row.stored_at,
        attempts=row.attempts,
        late_looks=row.late_looks,
        withdrawn=row.withdrawn_at is not None,
        taken_back=bool(row.withdrawn_at),
    )
