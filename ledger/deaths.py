"""The alarms of work that was given up: one for each task, and one for each reason why a destination takes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from domain.types import AlarmKind
from ledger import alarms
from ledger.schema import DEAD, task
from ledger.store import Transaction

if TYPE_CHECKING:
    from ledger.tasks import Task, TaskRow


def died(tx: Transaction, of: Task, error: str) -> None:
    """It is dead now."""
    alarms.raise_(tx, AlarmKind.DEAD_TASK, _key(of, error), f"task {of.id} ({of.kind}) was given up: {error}")
    if of.destination is not None:
        _count(tx, of, error)


def mended(tx: Transaction, row: TaskRow) -> None:
    """A task that is not dead any more is no alarm; others that died of the same are."""
    error, keys = row.error or "", [f"{row.kind} {row.key}"]  # which older versions raised for each document, too
    if row.destination is not None and _count(tx, row, error) == 0:
        keys.append(_key(row, error))
    alarms.clear_keys(tx, AlarmKind.DEAD_TASK, keys)


def _key(of: Task | TaskRow, error: str) -> str:
    """What a destination does not take for one reason is one alarm, however many documents that are."""
    reason = "".join(filter(str.isprintable, error[:200]))
    return f"{of.kind} {of.key}" if of.destination is None else f"{of.kind} to {of.destination}: {reason}"


def _count(tx: Transaction, of: Task | TaskRow, error: str) -> int:
    """How many a destination did not take for this reason; its alarm says so."""
    alike = (task.c.kind == of.kind, task.c.destination == of.destination, task.c.error == error, task.c.state == DEAD)
    count = tx.connection.scalar(sa.select(sa.func.count()).where(*alike)) or 0
    said = f"work for {of.destination} was given up ({of.kind}, {count}×): {error}"
    alarms.say(tx, AlarmKind.DEAD_TASK, _key(of, error), said)
    return count
