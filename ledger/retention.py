"""What may be forgotten: studies by age and state, and the rows of tasks that are done. Never what is owed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa

from domain.types import AlarmKind, DeliveryState, Outcome
from ledger import alarms, status
from ledger.schema import (
    DEAD,
    DONE,
    READY,
    RUNNING,
    alarm,
    commitment,
    commitment_request,
    delivery,
    document,
    image,
    study,
    task,
)
from ledger.store import Transaction

DAY_SECONDS = 86_400.0


def deletable(tx: Transaction, days: Mapping[str, float], *, limit: int) -> list[str]:
    """Study Instance UIDs, oldest first, of which nothing is owed or given up and nothing came for so many days.

    days: {state of the study: days}; 0 keeps it for ever. A study in which everything was answered and nothing reported,
    since no object of it was an image, is kept for as long as what was declined.
    """
    unanswered = sa.exists().where(image.c.study_instance_uid == study.c.study_instance_uid, image.c.answer.is_(sa.null()))
    nothing_to_report = sa.and_(study.c.state == "RECEIVING", ~unanswered)
    aged = [(study.c.state == state, kept) for state, kept in days.items()]
    aged.append((nothing_to_report, days.get(Outcome.DECLINED.value, 0.0)))
    old = [sa.and_(state, study.c.last_received_at < tx.now - kept * DAY_SECONDS) for state, kept in aged if kept > 0]
    if not old:
        return []
    found = (
        sa.select(study.c.study_instance_uid).where(sa.or_(*old), ~_owed()).order_by(study.c.last_received_at).limit(limit)
    )
    return list(tx.connection.scalars(found))


def is_owed(tx: Transaction, study_instance_uid: str) -> bool:
    """Whether any work on the study is waiting, running or dead: what is dead waits for a person to retry or cancel it."""
    mine = study.c.study_instance_uid == study_instance_uid
    return tx.connection.scalar(sa.select(study.c.study_instance_uid).where(mine, _owed())) is not None


def _owed() -> sa.ColumnElement[bool]:
    """Of the study that the statement around it looks at. By the keys of tasks, which an index finds: studies that wait for
    a PACS that is away are many, and looked at in every round."""
    uid = study.c.study_instance_uid
    open_task = task.c.state.in_((READY, RUNNING, DEAD))
    made = sa.select(delivery).join(document, document.c.sop_instance_uid == delivery.c.sop_instance_uid)
    made = made.where(document.c.study_instance_uid == uid)
    sending = sa.and_(
        task.c.kind.in_(("deliver", "verify")),
        task.c.key == delivery.c.sop_instance_uid + ">" + delivery.c.destination,
    )
    return sa.or_(
        made.where(delivery.c.state == DeliveryState.PENDING.value).exists(),
        made.join(task, sending).where(open_task).exists(),
        sa.exists().where(task.c.kind == "study", task.c.key == uid, open_task),
        sa.select(image.c.id)
        .join(task, sa.and_(task.c.kind == "image", task.c.key == sa.cast(image.c.id, sa.String)))
        .where(image.c.study_instance_uid == uid, open_task)
        .exists(),
    )


def forget_study(tx: Transaction, study_instance_uid: str) -> list[Path]:
    """Forget a study; nothing, and no path, when it is owed after all.

    Delete the files before the transaction ends: while it is open, nobody is told that the same image, sent again, is kept.
    """
    here = study.c.study_instance_uid == study_instance_uid
    locked = tx.connection.execute(sa.select(study).where(here).with_for_update()).first()
    if locked is None or is_owed(tx, study_instance_uid):
        return []
    images = tx.connection.execute(sa.select(image).where(image.c.study_instance_uid == study_instance_uid)).all()
    # Locked: another content of an image, under another study, may be taking its document over.
    documents = tx.connection.execute(
        sa.select(document).where(document.c.study_instance_uid == study_instance_uid).with_for_update()
    ).all()
    made = [row.sop_instance_uid for row in documents]
    for table, column in ((commitment, commitment.c.sop_instance_uid), (delivery, delivery.c.sop_instance_uid)):
        tx.connection.execute(sa.delete(table).where(column.in_(made)))
    tx.connection.execute(sa.delete(document).where(document.c.study_instance_uid == study_instance_uid))
    tx.connection.execute(sa.delete(image).where(image.c.study_instance_uid == study_instance_uid))
    tx.connection.execute(sa.delete(study).where(here))
    for kind in (AlarmKind.CONFLICT, AlarmKind.MISSING_FILE):
        alarms.clear_keys(tx, kind, [key for row in images for key in (row.sop_instance_uid, str(row.id))])
    for row in images:
        alarms.clear_of(tx, AlarmKind.URGENT_FINDING, row.id)
    forgotten = (*images, *documents)
    named = _named(tx, [row.sop_instance_uid for row in forgotten])
    return sorted({tx.path(row.path) for row in forgotten if row.path not in named})


def _named(tx: Transaction, sop_instance_uids: Sequence[str]) -> set[str]:
    """The files of what is still known of these objects."""
    looks = [sa.select(table.c.path).where(table.c.sop_instance_uid.in_(sop_instance_uids)) for table in (image, document)]
    return set(tx.connection.scalars(sa.union(*looks)))


def prune(tx: Transaction, *, days: float, limit: int) -> int:
    """Forget tasks that were done, and alarms that were mended, so many days ago; at most `limit` of each."""
    status.count_done(tx)
    before = tx.now - days * DAY_SECONDS
    old = sa.select(task.c.id).where(task.c.state == DONE, task.c.done_at < before).limit(limit)
    pruned = tx.connection.execute(sa.delete(task).where(task.c.id.in_(old))).rowcount
    cancelled = sa.select(task.c.id).where(task.c.state == "cancelled", task.c.done_at < before).limit(limit)
    pruned += tx.connection.execute(sa.delete(task).where(task.c.id.in_(cancelled))).rowcount
    _forget_requests(tx)
    mended = sa.select(alarm.c.id).where(alarm.c.cleared_at < before).limit(limit)
    tx.connection.execute(sa.delete(alarm).where(alarm.c.id.in_(mended)))
    return pruned


def _forget_requests(tx: Transaction) -> None:
    """Of consoles that cannot be called back, and did not wait for their answer."""
    owed = sa.exists().where(
        task.c.kind == "report",
        task.c.key == commitment_request.c.transaction_uid,
        task.c.state.in_((READY, RUNNING, DEAD)),
    )
    old = commitment_request.c.asked_at < tx.now - DAY_SECONDS
    tx.connection.execute(sa.delete(commitment_request).where(old, ~owed))
