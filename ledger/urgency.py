"""A study that becomes urgent: what waits of it overtakes too, or its first images would stand behind the whole backlog."""

from __future__ import annotations

import sqlalchemy as sa

from ledger.schema import READY, delivery, document, image, task
from ledger.store import Transaction
from ledger.tasks import URGENT_SECONDS


def hurry(tx: Transaction, study_instance_uid: str) -> None:
    """Its images, its report and its deliveries that are ready or wait for their time."""
    images = sa.select(sa.cast(image.c.id, sa.String)).where(image.c.study_instance_uid == study_instance_uid)
    deliveries = (
        sa.select(delivery.c.sop_instance_uid + ">" + delivery.c.destination)
        .join(document, document.c.sop_instance_uid == delivery.c.sop_instance_uid)
        .where(document.c.study_instance_uid == study_instance_uid)
    )
    for mine in (
        sa.and_(task.c.kind == "image", task.c.key.in_(images)),
        sa.and_(task.c.kind == "study", task.c.key == study_instance_uid),
        sa.and_(task.c.kind.in_(("deliver", "verify")), task.c.key.in_(deliveries)),
    ):
        tx.connection.execute(
            sa.update(task)
            .where(task.c.state == READY, task.c.priority < 1, mine)
            .values(priority=1, rank_at=task.c.run_at - URGENT_SECONDS)
        )
    tx.wake()
