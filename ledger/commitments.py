"""Storage commitment (PS3.4 annex J), both ways: what destinations were asked to keep, and what consoles ask this node."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from domain.types import DeliveryState
from ledger import documents, tasks
from ledger.schema import commitment, commitment_request
from ledger.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    asked_at: float
    accepted_at: float | None  # None where the destination did not take the request, or fell silent
    answered_at: float | None
    failure: str | None  # in the destination's words; None where it committed, or has not answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A console's N-ACTION that was accepted: it is owed an N-EVENT-REPORT."""

    transaction_uid: str
    modality: str
    calling_ae: str
    called_ae: str
    peer_host: str
    requested: tuple[tuple[str, str], ...]  # (SOP Class UID, SOP Instance UID)
    asked_at: float


def ask(tx: Transaction, transaction_uid: str, destination: str, uids: Sequence[str]) -> None:
    """Write down, before it is asked, what the destination is asked to commit to: its answer may come at once."""
    for uid in uids:
        tx.connection.execute(
            tx.insert(commitment)
            .values(transaction_uid=transaction_uid, sop_instance_uid=uid, destination=destination, asked_at=tx.now)
            .on_conflict_do_nothing()
        )


def accepted(tx: Transaction, transaction_uid: str) -> None:
    """The destination took the request, and owes an answer."""
    tx.connection.execute(
        sa.update(commitment).where(commitment.c.transaction_uid == transaction_uid).values(accepted_at=tx.now)
    )


def answered(
    tx: Transaction, transaction_uid: str, destination: str, *, committed: Collection[str], failed: Mapping[str, str]
) -> int:
    """The destination's N-EVENT-REPORT: what it keeps is VERIFIED. Returns how many of the objects it was asked for.

    failed: {SOP Instance UID: its reason in words}. The verify tasks of these objects look at once.
    """
    known = 0
    asked = sa.select(commitment).where(
        commitment.c.transaction_uid == transaction_uid,
        commitment.c.destination == destination,
        commitment.c.answered_at.is_(None),
    )
    for row in tx.connection.execute(asked).all():
        uid = row.sop_instance_uid
        if uid not in committed and uid not in failed:
            continue
        known += 1
        tx.connection.execute(
            sa.update(commitment)
            .where(commitment.c.transaction_uid == transaction_uid, commitment.c.sop_instance_uid == uid)
            .values(answered_at=tx.now, failure=failed.get(uid))
        )
        key = f"{uid}>{row.destination}"
        filed = documents.get_delivery(tx, key)
        # Otherwise another content came meanwhile, which it was not asked for.
        if uid not in failed and filed.state is DeliveryState.STORED and row.asked_at >= (filed.stored_at or 0.0):
            documents.delivered(tx, filed, DeliveryState.VERIFIED, status="committed to by the destination")
        tasks.hasten(tx, "verify", key)
    return known


def newest(tx: Transaction, sop_instance_uid: str, destination: str) -> Answer | None:
    """What the destination was last asked of this object; None where it was not."""
    row = tx.connection.execute(
        sa.select(commitment)
        .where(commitment.c.sop_instance_uid == sop_instance_uid, commitment.c.destination == destination)
        .order_by(commitment.c.asked_at.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    return Answer(asked_at=row.asked_at, accepted_at=row.accepted_at, answered_at=row.answered_at, failure=row.failure)


def requested(tx: Transaction, request: Request) -> None:
    """Write down a console's request; the caller owes the task that answers it.

    Consoles exist that use a Transaction UID again: then the last request counts, and is answered.
    """
    values = {
        "modality": request.modality,
        "calling_ae": request.calling_ae,
        "called_ae": request.called_ae,
        "peer_host": request.peer_host,
        "requested": [list(pair) for pair in request.requested],
        "asked_at": tx.now,
    }
    tx.connection.execute(
        tx.insert(commitment_request)
        .values(transaction_uid=request.transaction_uid, **values)
        .on_conflict_do_update(index_elements=["transaction_uid"], set_=values)
    )


def get_request(tx: Transaction, transaction_uid: str) -> Request | None:
    """None where it was answered already."""
    row = tx.connection.execute(
        sa.select(commitment_request).where(commitment_request.c.transaction_uid == transaction_uid)
    ).first()
    if row is None:
        return None
    pairs = tuple((sop_class, sop_instance) for sop_class, sop_instance in row.requested)
    return Request(**{**row._mapping, "requested": pairs})


def reported(tx: Transaction, transaction_uid: str) -> None:
    """The console has had its answer."""
    tx.connection.execute(sa.delete(commitment_request).where(commitment_request.c.transaction_uid == transaction_uid))
