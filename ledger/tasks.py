"""Work that is owed: claimed under a lease, ended once, by whoever still holds the lease.

A worker that was paused past its lease finds its token gone; its result is thrown away with the transaction (LeaseLost).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from domain.errors import HoundsfieldError, NotFound
from ledger.schema import destination, task
from ledger.store import Transaction

# As literals: SQLite uses a partial index only where the statement itself says the state.
READY: sa.ColumnElement[str] = sa.literal_column("'ready'")
RUNNING: sa.ColumnElement[str] = sa.literal_column("'running'")
DEAD: sa.ColumnElement[str] = sa.literal_column("'dead'")

LEASE_SECONDS = 30.0
REAP_SECONDS = 5.0  # between heartbeats, each of which also looks for expired leases


class LeaseLost(HoundsfieldError):
    """Another worker took the task over; this one's result must not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    id: int
    kind: str
    key: str
    queue: str
    destination: str | None
    attempts: int  # spent before this one
    first_at: float
    started_at: float
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """A task as a person sees it."""

    id: int
    kind: str
    key: str
    state: str
    destination: str | None
    attempts: int
    first_at: float
    run_at: float
    error: str | None


def owe(
    tx: Transaction,
    kind: str,
    key: str,
    *,
    queue: str,
    run_at: float | None = None,
    destination: str | None = None,
) -> None:
    """Owe a task once: while one of this kind and key is ready, a second is none."""
    when = tx.now if run_at is None else run_at
    tx.connection.execute(
        insert(task)
        .values(
            kind=kind,
            key=key,
            queue=queue,
            destination=destination,
            state="ready",
            run_at=when,
            first_at=tx.now,
            attempts=0,
            priority=0,
        )
        .on_conflict_do_nothing(index_elements=["kind", "key"], index_where=sa.text("state = 'ready'"))
    )


def debounce(tx: Transaction, kind: str, key: str, *, queue: str, quiet_seconds: float, max_wait_seconds: float) -> None:
    """Owe a task for when nothing has come for `quiet_seconds`, at most `max_wait_seconds` after it was first owed."""
    statement = insert(task).values(
        kind=kind,
        key=key,
        queue=queue,
        state="ready",
        run_at=tx.now + quiet_seconds,
        first_at=tx.now,
        attempts=0,
        priority=0,
    )
    tx.connection.execute(
        statement.on_conflict_do_update(
            index_elements=["kind", "key"],
            index_where=sa.text("state = 'ready'"),
            set_={"run_at": sa.func.min(tx.now + quiet_seconds, task.c.first_at + max_wait_seconds)},
        )
    )


def hasten(tx: Transaction, kind: str, key: str) -> None:
    """Let a waiting task run now."""
    tx.connection.execute(
        sa.update(task)
        .where(task.c.kind == kind, task.c.key == key, task.c.state == READY, task.c.run_at > tx.now)
        .values(run_at=tx.now)
    )


def claim(tx: Transaction, queue: str, *, connections: dict[str, int]) -> Task | None:
    """Lease the next task of a queue that may run now, or None.

    connections: how many tasks of a destination may run at once. A destination whose breaker is open gets none; one that has
    failed before gets one at a time until it has answered.
    """
    busy = (
        sa.select(task.c.destination, sa.func.count().label("running"))
        .where(task.c.state == RUNNING, task.c.destination.is_not(None))
        .group_by(task.c.destination)
        .subquery()
    )
    free = [
        sa.and_(
            task.c.destination == name,
            sa.func.coalesce(destination.c.paused_until, 0.0) <= tx.now,
            sa.func.coalesce(busy.c.running, 0) < sa.case((sa.func.coalesce(destination.c.failures, 0) > 0, 1), else_=limit),
        )
        for name, limit in connections.items()
    ]
    twin = task.alias()
    runs_already = sa.exists().where(twin.c.kind == task.c.kind, twin.c.key == task.c.key, twin.c.state == RUNNING)
    row = tx.connection.execute(
        sa.select(task)
        .outerjoin(destination, destination.c.name == task.c.destination)
        .outerjoin(busy, busy.c.destination == task.c.destination)
        .where(
            task.c.state == READY,
            task.c.queue == queue,
            task.c.run_at <= tx.now,
            sa.or_(task.c.destination.is_(None), *free),
            ~runs_already,  # a study's next revision waits for the one that is being written
        )
        .order_by(task.c.priority.desc(), task.c.run_at, task.c.id)
        .limit(1)
    ).first()
    if row is None:
        return None
    token = uuid.uuid4().hex
    started_at = tx.now if row.started_at is None else row.started_at
    tx.connection.execute(
        sa.update(task)
        .where(task.c.id == row.id)
        .values(state="running", token=token, lease_until=tx.now + LEASE_SECONDS, started_at=started_at)
    )
    return Task(
        id=row.id,
        kind=row.kind,
        key=row.key,
        queue=row.queue,
        destination=row.destination,
        attempts=row.attempts,
        first_at=row.first_at,
        started_at=started_at,
        token=token,
    )


def next_run_at(tx: Transaction, queue: str) -> float | None:
    """When the next ready task of the queue is due."""
    due: float | None = tx.connection.scalar(
        sa.select(sa.func.min(task.c.run_at)).where(task.c.state == READY, task.c.queue == queue)
    )
    return due


def finish(tx: Transaction, held: Task) -> None:
    """End a task in the same transaction as its results."""
    _end(tx, held, state="done", error=None, lease_until=None, token=None)


def postpone(tx: Transaction, held: Task, *, seconds: float, error: str | None = None, spent: bool = False) -> None:
    """Give the task back for later. `spent`: this attempt counts.

    While it ran, the same work may have been owed anew: then that one stands for both.
    """
    newer = tx.connection.scalar(
        sa.select(task.c.id).where(task.c.kind == held.kind, task.c.key == held.key, task.c.state == READY)
    )
    if newer is not None:
        finish(tx, held)
        return
    _end(
        tx,
        held,
        state="ready",
        run_at=tx.now + seconds,
        attempts=held.attempts + int(spent),
        error=error,
        lease_until=None,
        token=None,
    )


def bury(tx: Transaction, held: Task, *, error: str) -> None:
    """Give up on a task; it stays visible with its error until somebody retries it."""
    _end(tx, held, state="dead", error=error, attempts=held.attempts + 1, lease_until=None, token=None)


def renew(tx: Transaction, held: Sequence[Task]) -> None:
    """The heartbeat: these leases hold for another while. A lost lease stays lost."""
    for one in held:
        tx.connection.execute(
            sa.update(task).where(task.c.id == one.id, task.c.token == one.token).values(lease_until=tx.now + LEASE_SECONDS)
        )


def reap(tx: Transaction) -> int:
    """Make the tasks of dead workers ready again. The attempt counts: a task that kills its worker must die at last."""
    expired = tx.connection.execute(
        sa.select(task.c.id, task.c.kind, task.c.key, task.c.attempts).where(
            task.c.state == RUNNING, task.c.lease_until < tx.now
        )
    ).all()
    for row in expired:
        twin = tx.connection.scalar(
            sa.select(task.c.id).where(task.c.kind == row.kind, task.c.key == row.key, task.c.state == READY)
        )
        values: dict[str, Any] = {"state": "ready" if twin is None else "done", "token": None, "lease_until": None}
        tx.connection.execute(
            sa.update(task).where(task.c.id == row.id).values(run_at=tx.now, attempts=row.attempts + 1, **values)
        )
    return len(expired)


def retry(tx: Transaction, task_id: int) -> TaskRow:
    """Run a dead task again, from its first attempt. NotFound when no dead task has this number."""
    row = tx.connection.execute(sa.select(task).where(task.c.id == task_id)).first()
    if row is None:
        raise NotFound(f"there is no task {task_id}")
    if row.state != "dead":
        raise NotFound(f"task {task_id} is {row.state}; only a dead task can be run again")
    twin = tx.connection.scalar(
        sa.select(task.c.id).where(task.c.kind == row.kind, task.c.key == row.key, task.c.state == READY)
    )
    values: dict[str, Any] = {
        "state": "ready" if twin is None else "done",
        "run_at": tx.now,
        "first_at": tx.now,
        "attempts": 0,
    }
    tx.connection.execute(sa.update(task).where(task.c.id == task_id).values(**values))
    return _row(row)


def owed(tx: Transaction) -> list[TaskRow]:
    """Every task that is not done, oldest first."""
    rows = tx.connection.execute(sa.select(task).where(task.c.state.in_((READY, RUNNING, DEAD))).order_by(task.c.id))
    return [_row(row) for row in rows]


def _row(row: sa.Row[Any]) -> TaskRow:
    return TaskRow(
        id=row.id,
        kind=row.kind,
        key=row.key,
        state=row.state,
        destination=row.destination,
        attempts=row.attempts,
        first_at=row.first_at,
        run_at=row.run_at,
        error=row.error,
    )


def _end(tx: Transaction, held: Task, **values: Any) -> None:
    result = tx.connection.execute(
        sa.update(task).where(task.c.id == held.id, task.c.token == held.token, task.c.state == RUNNING).values(**values)
    )
    if result.rowcount == 0:
        raise LeaseLost(f"task {held.id} ({held.kind}) was taken over by another worker")
