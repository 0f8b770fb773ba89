"""What may be forgotten: studies by age and state, and the rows of tasks that are done. Never what is owed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from domain.types import AlarmKind, DeliveryState
from ledger import alarms, status
from ledger.schema import DEAD, DONE, READY, RUNNING, alarm, commitment, delivery, document, image, study, task
from ledger.store import Transaction

DAY_SECONDS = 86_400.0


def deletable(tx: Transaction, days: Mapping[str, float], *, limit: int) -> list[str]:
    """Study Instance UIDs, oldest first, of which nothing is owed or given up and nothing came for so many days.

    days: {state of the study: days}; 0 keeps it for ever.
    """
    found: list[str] = []
    for state, kept_days in days.items():
        if kept_days <= 0:
            continue
        old = tx.connection.scalars(
            sa.select(study.c.study_instance_uid)
            .where(study.c.state == state, study.c.last_received_at < tx.now - kept_days * DAY_SECONDS)
            .order_by(study.c.last_received_at)
        )
        for uid in old:
            if len(found) >= limit:
                return found
            if not is_owed(tx, uid):
                found.append(uid)
    return found


def is_owed(tx: Transaction, study_instance_uid: str) -> bool:
    """Whether any work on the study is waiting, running or dead: what is dead waits for a person to retry or cancel it."""
    pending = sa.select(sa.func.count()).select_from(
        delivery.join(document, document.c.sop_instance_uid == delivery.c.sop_instance_uid)
    )
    mine = document.c.study_instance_uid == study_instance_uid
    if tx.connection.scalar(pending.where(mine, delivery.c.state == DeliveryState.PENDING.value)):
        return True
    keys = [study_instance_uid]
    rows = tx.connection.execute(sa.select(image.c.id).where(image.c.study_instance_uid == study_instance_uid))
    keys += [str(row.id) for row in rows]
    rows = tx.connection.execute(
        sa.select(delivery.c.sop_instance_uid, delivery.c.destination)
        .join(document, document.c.sop_instance_uid == delivery.c.sop_instance_uid)
        .where(mine)
    )
    keys += [f"{row.sop_instance_uid}>{row.destination}" for row in rows]
    owed = sa.select(task.c.id).where(task.c.state.in_((READY, RUNNING, DEAD)), task.c.key.in_(keys)).limit(1)
    return tx.connection.scalar(owed) is not None


def forget_study(tx: Transaction, study_instance_uid: str) -> list[Path]:
    """Forget a study; nothing, and no path, when it is owed after all.

    Delete the files before the transaction ends: while it is open, nobody is told that the same image, sent again, is kept.
    """
    here = study.c.study_instance_uid == study_instance_uid
    locked = tx.connection.execute(sa.select(study).where(here).with_for_update()).first()
    if locked is None or is_owed(tx, study_instance_uid):
        return []
    images = tx.connection.execute(sa.select(image).where(image.c.study_instance_uid == study_instance_uid)).all()
    documents = tx.connection.execute(sa.select(document).where(document.c.study_instance_uid == study_instance_uid)).all()
    made = [row.sop_instance_uid for row in documents]
    for table, column in ((commitment, commitment.c.sop_instance_uid), (delivery, delivery.c.sop_instance_uid)):
        tx.connection.execute(sa.delete(table).where(column.in_(made)))
    tx.connection.execute(sa.delete(document).where(document.c.study_instance_uid == study_instance_uid))
    tx.connection.execute(sa.delete(image).where(image.c.study_instance_uid == study_instance_uid))
    tx.connection.execute(sa.delete(study).where(here))
    for kind in (AlarmKind.CONFLICT, AlarmKind.MISSING_FILE):
        alarms.clear_keys(tx, kind, [key for row in images for key in (row.sop_instance_uid, str(row.id))])
    return sorted({tx.path(row.path) for row in (*images, *documents)})


def prune(tx: Transaction, *, days: float, limit: int) -> int:
    """Forget tasks that were done, and alarms that were mended, so many days ago; at most `limit` of each."""
    status.count_done(tx)
    before = tx.now - days * DAY_SECONDS
    old = sa.select(task.c.id).where(task.c.state == DONE, task.c.done_at < before).limit(limit)
    pruned = tx.connection.execute(sa.delete(task).where(task.c.id.in_(old))).rowcount
    cancelled = sa.select(task.c.id).where(task.c.state == "cancelled", task.c.done_at < before).limit(limit)
    pruned += tx.connection.execute(sa.delete(task).where(task.c.id.in_(cancelled))).rowcount
    mended = sa.select(alarm.c.id).where(alarm.c.cleared_at < before).limit(limit)
    tx.connection.execute(sa.delete(alarm).where(alarm.c.id.in_(mended)))
    return pruned
