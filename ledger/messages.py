"""Tasks for which a broker's message is due. The ledger says what is owed; a message only says that something of a queue is,
and names no task: whoever takes it claims what is first by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from ledger.schema import READY, task
from ledger.store import Transaction
from ledger.turns import IN_TURN, goes_to, turns, waiting

RESEND_SECONDS = 60.0  # a message that nobody acted on for so long is taken for lost


def due_unsent(
    tx: Transaction,
    queue: str,
    *,
    connections: Mapping[str, int],
    rates: Mapping[str, int] | None = None,
    limit: int,
    lost_seconds: float = RESEND_SECONDS,
) -> list[int]:
    """Ids of tasks for which a broker should be given a message now: no more than can run, `limit` without destination.

    Messages that were given and not acted on count as under way until they are taken for lost.
    """
    lost = tx.now - lost_seconds
    due = [name for name in waiting(tx, queue, connections) if name is not None]
    room: dict[str | None, int] = {None: limit}
    room |= {name: turn.free for name, turn in turns(tx, due, connections, rates or {}).items()}
    found: list[int] = []
    for name, free in room.items():
        place = (task.c.state == READY, task.c.queue == queue, goes_to(name))
        under_way = tx.connection.scalar(sa.select(sa.func.count()).select_from(task).where(*place, task.c.sent_at >= lost))
        left = free - (under_way or 0)
        if left > 0:
            found += tx.connection.scalars(
                sa.select(task.c.id)
                .where(
                    *place,
                    task.c.rank_at <= tx.now,
                    task.c.run_at <= tx.now,
                    sa.or_(task.c.sent_at.is_(None), task.c.sent_at < lost),
                )
                .order_by(*IN_TURN)
                .limit(left)
            )
    return found


def sent(tx: Transaction, task_ids: Sequence[int]) -> None:
    """The broker has taken messages for these tasks."""
    tx.connection.execute(sa.update(task).where(task.c.id.in_(task_ids)).values(sent_at=tx.now))
