"""Work that is owed: claimed under a lease, ended once, by whoever still holds the lease.

A worker that was paused past its lease finds its token gone; its result is thrown away with the transaction (LeaseLost).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from domain.errors import HoundsfieldError, NotFound
from ledger.deaths import died, mended
from ledger.schema import DEAD, READY, RUNNING, task
from ledger.store import Transaction
from ledger.turns import IN_TURN, first_of_each, goes_to, may_batch, pace, turns, waiting

_READY_ALREADY: dict[str, Any] = {"index_elements": ["kind", "key"], "index_where": sa.text("state = 'ready'")}

LEASE_SECONDS = 30.0
REAP_SECONDS = 5.0  # between heartbeats, each of which also looks for expired leases
# An urgent task stands where one stands that has waited so much longer: it overtakes, and starves nobody.
URGENT_SECONDS = 14_400.0


class LeaseLost(HoundsfieldError):
    """Another worker took the task over; this one's result must not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    id: int
    kind: str
    key: str
    queue: str
    destination: str | None
    priority: int
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
    priority: int
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
    priority: int = 0,
) -> None:
    """Owe a task once: while one of this kind and key is ready, a second only makes it as urgent as itself."""
    values = _new(tx, kind, key, queue, tx.now if run_at is None else run_at, destination, priority)
    tx.connection.execute(tx.made(_owed_once), values)
    tx.wake()


def debounce(
    tx: Transaction,
    kind: str,
    key: str,
    *,
    queue: str,
    quiet_seconds: float,
    max_wait_seconds: float,
    priority: int = 0,
) -> None:
    """Owe a task for when nothing has come for `quiet_seconds`, at most `max_wait_seconds` after it was first owed."""
    values = _new(tx, kind, key, queue, tx.now + quiet_seconds, None, priority)
    tx.connection.execute(tx.made(_debounced), values | {"max_wait_seconds": max_wait_seconds})
    tx.wake()


def hasten(tx: Transaction, kind: str, key: str) -> None:
    """Let a waiting task run now."""
    tx.connection.execute(
        sa.update(task)
        .where(task.c.kind == kind, task.c.key == key, task.c.state == READY, task.c.run_at > tx.now)
        .values(run_at=tx.now, rank_at=tx.now - URGENT_SECONDS * task.c.priority)
    )
    tx.wake()


def hasten_to(tx: Transaction, destination: str) -> int:
    """Let all that waits for a destination run now. Returns how many tasks are ready."""
    here = (task.c.destination == destination, task.c.state == READY)
    now = {"run_at": tx.now, "rank_at": tx.now - URGENT_SECONDS * task.c.priority}
    tx.connection.execute(sa.update(task).where(*here, task.c.run_at > tx.now).values(now))
    tx.wake()
    return tx.connection.scalar(sa.select(sa.func.count()).select_from(task).where(*here)) or 0


def claim(
    tx: Transaction, queue: str, *, connections: Mapping[str, int], rates: Mapping[str, int] | None = None
) -> Task | None:
    """Lease the next task of a queue that may run now, or None.

    connections: to a destination at once; tasks of others are not served. rates: documents per minute, where limited.
    """
    for name in waiting(tx, queue, connections):
        held = _claim_of(tx, queue, name, connections, rates or {})
        if held is not None:
            return held
    return None


def claim_more(tx: Transaction, first: Task, *, limit: int) -> list[Task]:
    """Lease up to `limit` more tasks like `first`, for the same connection to its destination: they count as one.

    None for a destination that did not answer last time. Where there is a rate limit, do not ask.
    """
    if first.destination is None or not may_batch(tx, first.destination):
        return []
    alike = sa.and_(task.c.kind == first.kind, task.c.queue == first.queue)
    return _lease(tx, first.destination, alike, token=first.token, limit=limit)


def next_run_at(
    tx: Transaction,
    queue: str,
    *,
    connections: Mapping[str, int],
    rates: Mapping[str, int] | None = None,
) -> float | None:
    """When the next ready task of the queue is due, and its destination, one of `connections`, may be served.

    None where there is none, or only the end of a running task can make one.
    """
    first = first_of_each(tx, queue, connections, task.c.run_at)
    served = turns(tx, [name for name in first if name is not None], connections, rates or {})
    times = []
    for name, run_at in first.items():
        at = run_at if name is None else served[name].at
        if at is not None:
            times.append(max(at, run_at))
    return min(times, default=None)


def finish(tx: Transaction, held: Task) -> None:
    """End a task in the same transaction as its results."""
    _end(tx, held, state="done", done_at=tx.now, error=None, lease_until=None, token=None)
    given_up = sa.select(task).where(task.c.kind == held.kind, task.c.key == held.key, task.c.state == DEAD)
    for row in tx.connection.execute(given_up).all():  # an earlier one of the same work, which is done after all
        tx.connection.execute(sa.update(task).where(task.c.id == row.id).values(state="done", done_at=tx.now))
        mended(tx, _row(row))


def postpone(tx: Transaction, held: Task, *, seconds: float, error: str | None = None, spent: bool = False) -> None:
    """Give the task back for later. `spent`: this attempt counts.

    While it ran, the same work may have been owed anew: then that one stands for both.
    """
    run_at = tx.now + seconds
    if not _ready_again(
        tx,
        _held_by(held),
        run_at=run_at,
        rank_at=run_at - URGENT_SECONDS * held.priority,
        attempts=held.attempts + int(spent),
        error=error,
    ):
        _end(tx, held, state="done", done_at=tx.now, error=None, lease_until=None, token=None)


def bury(tx: Transaction, held: Task, *, error: str) -> bool:
    """Give up on a task; it stays visible with its error, and is an alarm, until somebody retries or cancels it.

    False where the same work was owed anew while it ran: then that one stands for both, and nothing is lost yet.
    """
    anew = sa.select(task.c.id).where(task.c.kind == held.kind, task.c.key == held.key, task.c.state == READY)
    if tx.connection.scalar(anew) is not None:
        _end(tx, held, state="done", done_at=tx.now, error=error, lease_until=None, token=None)
        return False
    _end(tx, held, state="dead", error=error, attempts=held.attempts + 1, lease_until=None, token=None)
    died(tx, held, error)
    return True


def renew(tx: Transaction, held: Sequence[Task]) -> None:
    """The heartbeat: these leases hold for another while. A lost lease stays lost."""
    for one in sorted(held, key=lambda task: task.id):
        tx.connection.execute(
            sa.update(task).where(task.c.id == one.id, task.c.token == one.token).values(lease_until=tx.now + LEASE_SECONDS)
        )


def reap(tx: Transaction) -> int:
    """Make the tasks of dead workers ready again. The attempt counts: a task that kills its worker must die at last."""
    expired = tx.connection.execute(
        sa.select(task.c.id, task.c.priority, task.c.attempts)
        .where(task.c.state == RUNNING, task.c.lease_until < tx.now)
        .with_for_update(skip_locked=True)
    ).all()
    for row in expired:
        here = task.c.id == row.id
        values = {"attempts": row.attempts + 1, "run_at": tx.now, "rank_at": tx.now - URGENT_SECONDS * row.priority}
        if not _ready_again(tx, here, **values):
            done = sa.update(task).where(here).values(state="done", done_at=tx.now, token=None, lease_until=None)
            tx.connection.execute(done)
    return len(expired)


def retry(tx: Transaction, task_id: int) -> TaskRow:
    """Run a dead task again, from its first attempt. NotFound when no dead task has this number."""
    row = _named(tx, task_id)
    if row.state != "dead":
        raise NotFound(f"task {task_id} is {row.state}; only a dead task can be run again")
    values = {"attempts": 0, "run_at": tx.now, "first_at": tx.now, "rank_at": tx.now - URGENT_SECONDS * row.priority}
    if not _ready_again(tx, sa.and_(task.c.id == task_id, task.c.state == DEAD), **values):
        tx.connection.execute(sa.update(task).where(task.c.id == task_id).values(state="done", done_at=tx.now))
    mended(tx, row)
    return row


def cancel(tx: Transaction, task_id: int) -> TaskRow:
    """Owe a task no longer. One that runs loses its lease, and its result is thrown away. NotFound when it is over.

    What waits for its result (an image's study, a document's delivery) is the caller's to answer in the same transaction.
    """
    row = _named(tx, task_id)
    ended = tx.connection.execute(
        sa.update(task)
        .where(task.c.id == task_id, task.c.state.in_((READY, RUNNING, DEAD)))
        .values(state="cancelled", done_at=tx.now, token=None, lease_until=None)
    )
    if ended.rowcount == 0:
        raise NotFound(f"task {task_id} is {row.state}; only what is still owed can be cancelled")
    if row.state == "dead":
        mended(tx, row)
    tx.wake()
    return row


def drop(tx: Transaction, kind: str, key: str) -> None:
    """Cancel by kind and key what is owed of it, if anything is."""
    rows = tx.connection.scalars(
        sa.select(task.c.id).where(task.c.kind == kind, task.c.key == key, task.c.state.in_((READY, RUNNING, DEAD)))
    )
    for task_id in rows.all():
        cancel(tx, task_id)


def owed(tx: Transaction) -> list[TaskRow]:
    """Every task that is not done, oldest first."""
    looks = [sa.select(task).where(task.c.state == state) for state in (READY, RUNNING, DEAD)]
    rows = tx.connection.execute(sa.union_all(*looks)).all()
    return [_row(row) for row in sorted(rows, key=lambda row: row.id)]


def owed_to(tx: Transaction, destination: str) -> list[int]:
    """The tasks for a destination that are not done."""
    looks = [sa.select(task.c.id).where(task.c.state == state, goes_to(destination)) for state in (READY, RUNNING, DEAD)]
    return sorted(tx.connection.scalars(sa.union_all(*looks)))


def _owed_once(tx: Transaction) -> sa.Executable:
    new = tx.insert(task)
    priority = new.excluded.priority
    values = {"priority": priority, "rank_at": task.c.run_at - URGENT_SECONDS * priority}
    return new.on_conflict_do_update(**_READY_ALREADY, set_=values, where=task.c.priority < priority)


def _debounced(tx: Transaction) -> sa.Executable:
    new = tx.insert(task)
    run_at = tx.least(new.excluded.run_at, task.c.first_at + sa.bindparam("max_wait_seconds", type_=sa.Float))
    most = tx.greatest(task.c.priority, new.excluded.priority)
    values = {"run_at": run_at, "priority": most, "rank_at": run_at - URGENT_SECONDS * most}
    return new.on_conflict_do_update(**_READY_ALREADY, set_=values)


def _new(
    tx: Transaction, kind: str, key: str, queue: str, run_at: float, destination: str | None, priority: int
) -> dict[str, Any]:
    rank_at = run_at - URGENT_SECONDS * priority
    task_ = {"kind": kind, "key": key, "queue": queue, "destination": destination, "priority": priority}
    return task_ | {"state": "ready", "run_at": run_at, "rank_at": rank_at, "first_at": tx.now, "attempts": 0}


def _claim_of(
    tx: Transaction, queue: str, name: str | None, connections: Mapping[str, int], rates: Mapping[str, int]
) -> Task | None:
    which = task.c.queue == queue
    if name is None:
        return next(iter(_lease(tx, None, which)), None)
    if turns(tx, [name], connections, rates)[name].free <= 0:
        return None
    with tx.connection.begin_nested() as attempt:
        # Whoever else claims for this destination now is counted before, or waits: its connections are never exceeded.
        tx.lock(f"destination {name}")
        held: list[Task] = []
        if turns(tx, [name], connections, rates)[name].free > 0:
            held = _lease(tx, name, which)
        if not held:
            attempt.rollback()  # and let go of the lock: holding two could deadlock
            return None
        if held[0].kind == "deliver" and rates.get(name):
            pace(tx, name, rates[name])
    return held[0]


def _lease(
    tx: Transaction, name: str | None, which: sa.ColumnElement[bool], *, token: str | None = None, limit: int = 1
) -> list[Task]:
    twin = task.alias()
    runs_already = sa.exists().where(twin.c.kind == task.c.kind, twin.c.key == task.c.key, twin.c.state == RUNNING)
    chosen = (
        sa.select(task.c.id)
        .where(
            task.c.state == READY,
            which,
            goes_to(name),
            task.c.rank_at <= tx.now,
            task.c.run_at <= tx.now,
            ~runs_already,  # a study's next revision waits for the one that is being written
        )
        .order_by(*IN_TURN)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("chosen")  # evaluated once: PostgreSQL may run a subquery again for each row, past its limit
    )
    rows = tx.connection.execute(
        sa.update(task)
        .where(task.c.id.in_(sa.select(chosen.c.id)))
        .values(
            state="running",
            token=token or uuid.uuid4().hex,
            lease_until=tx.now + LEASE_SECONDS,
            started_at=sa.func.coalesce(task.c.started_at, tx.now),
        )
        .returning(task)
    ).all()
    return [_task(row) for row in sorted(rows, key=lambda row: (row.rank_at, row.id))]


def _ready_again(tx: Transaction, which: sa.ColumnElement[bool], **values: Any) -> bool:
    """False where newer work of the same kind and key is ready, and stands for it. LeaseLost where it is gone."""
    again = sa.update(task).where(which).values(state="ready", lease_until=None, token=None, sent_at=None, **values)
    try:
        with tx.connection.begin_nested():
            changed = tx.connection.execute(again)
    except IntegrityError:
        return False
    if changed.rowcount == 0:
        raise LeaseLost("the task was taken over by another worker")
    tx.wake()
    return True


def _held_by(held: Task) -> sa.ColumnElement[bool]:
    return sa.and_(task.c.id == held.id, task.c.token == held.token, task.c.state == RUNNING)


def _end(tx: Transaction, held: Task, **values: Any) -> None:
    ended = tx.connection.execute(sa.update(task).where(_held_by(held)).values(**values))
    if ended.rowcount == 0:
        raise LeaseLost(f"task {held.id} ({held.kind}) was taken over by another worker")
    tx.wake()


def _named(tx: Transaction, task_id: int) -> TaskRow:
    row = tx.connection.execute(sa.select(task).where(task.c.id == task_id).with_for_update()).first()
    if row is None:
        raise NotFound(f"there is no task {task_id}")
    return _row(row)


def _task(row: sa.Row[Any]) -> Task:
    return Task(
        id=row.id,
        kind=row.kind,
        key=row.key,
        queue=row.queue,
        destination=row.destination,
        priority=row.priority,
        attempts=row.attempts,
        first_at=row.first_at,
        started_at=row.started_at,
        token=row.token,
    )


def _row(row: sa.Row[Any]) -> TaskRow:
    return TaskRow(
        id=row.id,
        kind=row.kind,
        key=row.key,
        state=row.state,
        destination=row.destination,
        priority=row.priority,
        attempts=row.attempts,
        first_at=row.first_at,
        run_at=row.run_at,
        error=row.error,
    )
