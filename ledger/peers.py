"""What is known of the others: breakers of destinations, callers that were refused, parts of this node that live."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from domain.types import AlarmKind
from ledger import alarms, tasks
from ledger.schema import READY, delivery, destination, heartbeat, refused_caller, task
from ledger.store import Transaction

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
HEARTBEAT_KEPT_SECONDS = 3600.0
CALLERS_KEPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRow:
    name: str
    down_since: float | None
    paused_until: float
    next_try_at: float | None  # of one that is down; None where nothing waits for it
    last_error: str | None
    last_ok_at: float | None
    states: dict[str, int]  # deliveries by state; VERIFIED and CANCELLED are left out
    last_refusal: str | None  # why the last document was refused or given up


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRow:
    calling_ae: str
    called_ae: str
    peer_host: str
    reason: str
    count: int
    last_at: float


def answered(tx: Transaction, name: str) -> None:
    """The destination answered: its breaker closes."""
    values = {"failures": 0, "paused_until": 0.0, "down_since": None, "last_error": None, "last_ok_at": tx.now}
    tx.connection.execute(
        tx.insert(destination).values(name=name, **values).on_conflict_do_update(index_elements=["name"], set_=values)
    )
    alarms.clear(tx, AlarmKind.DESTINATION_DOWN, name)
    tx.wake()


def unavailable(tx: Transaction, name: str, *, error: str, quietly: bool = False) -> float:
    """The destination did not answer: nobody dials it for a while, twice as long each time. Returns the pause in seconds.

    quietly: that is no alarm, as of a console, which may be switched off at night.
    """
    tx.lock(f"destination {name}")
    row = tx.connection.execute(sa.select(destination).where(destination.c.name == name)).first()
    failures = 1 if row is None else row.failures + 1
    down_since = tx.now if row is None or row.down_since is None else row.down_since
    pause_seconds = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE_SECONDS)
    values = {
        "failures": failures,
        "paused_until": tx.now + pause_seconds,
        "down_since": down_since,
        "last_error": error,
    }
    tx.connection.execute(
        tx.insert(destination).values(name=name, **values).on_conflict_do_update(index_elements=["name"], set_=values)
    )
    if not quietly:
        alarms.raise_(tx, AlarmKind.DESTINATION_DOWN, name, f"{name} does not answer: {error}", since=down_since)
    return pause_seconds


def probe(tx: Transaction, name: str) -> int:
    """Dial a destination that was to be left alone for a while now. Returns how many tasks wait for it."""
    tx.connection.execute(sa.update(destination).where(destination.c.name == name).values(paused_until=0.0))
    return tasks.hasten_to(tx, name)


def forget(tx: Transaction, name: str) -> None:
    """It left the settings."""
    tx.connection.execute(sa.delete(destination).where(destination.c.name == name))
    alarms.clear(tx, AlarmKind.DESTINATION_DOWN, name)


def destinations(tx: Transaction, names: list[str]) -> list[DestinationRow]:
    """The configured destinations and those that still have a backlog."""
    known = {row.name: row for row in tx.connection.execute(sa.select(destination))}
    backlog: dict[str, dict[str, int]] = {}
    for count in tx.connection.execute(
        sa.select(delivery.c.destination, delivery.c.state, sa.func.count().label("n"))
        .where(delivery.c.state.not_in(("VERIFIED", "CANCELLED")))
        .group_by(delivery.c.destination, delivery.c.state)
    ):
        backlog.setdefault(count.destination, {})[count.state] = count.n
    due = {
        row.destination: row.at
        for row in tx.connection.execute(
            sa.select(task.c.destination, sa.func.min(task.c.run_at).label("at"))
            .where(task.c.state == READY, task.c.destination.is_not(None))
            .group_by(task.c.destination)
        )
    }
    found = []
    for name in sorted({*names, *backlog}):
        row = known.get(name)
        found.append(
            DestinationRow(
                name=name,
                down_since=row.down_since if row else None,
                paused_until=row.paused_until if row else 0.0,
                next_try_at=max(row.paused_until, due[name]) if row and row.down_since and name in due else None,
                last_error=row.last_error if row else None,
                last_ok_at=row.last_ok_at if row else None,
                states=backlog.get(name, {}),
                last_refusal=_last_refusal(tx, name),
            )
        )
    return found


def _last_refusal(tx: Transaction, name: str) -> str | None:
    said: str | None = tx.connection.scalar(
        sa.select(delivery.c.last_status)
        .where(delivery.c.destination == name, delivery.c.state.in_(("REFUSED", "DEAD")))
        .order_by(delivery.c.owed_at.desc())
        .limit(1)
    )
    return said


def refused(tx: Transaction, *, calling_ae: str, called_ae: str, peer_host: str, reason: str) -> None:
    """An unknown sender called; IT staff sees it in `status`."""
    tx.connection.execute(
        tx.insert(refused_caller)
        .values(calling_ae=calling_ae, called_ae=called_ae, peer_host=peer_host, reason=reason, count=1, last_at=tx.now)
        .on_conflict_do_update(
            index_elements=["calling_ae", "called_ae", "peer_host"],
            set_={"reason": reason, "count": refused_caller.c.count + 1, "last_at": tx.now},
        )
    )
    _forget_old_callers(tx)


def _forget_old_callers(tx: Transaction) -> None:
    """A scan with random AE titles must not fill the ledger."""
    newest = sa.select(refused_caller.c.last_at).order_by(refused_caller.c.last_at.desc()).offset(CALLERS_KEPT).limit(1)
    oldest_kept = tx.connection.scalar(newest)
    if oldest_kept is not None:
        tx.connection.execute(sa.delete(refused_caller).where(refused_caller.c.last_at <= oldest_kept))


def refused_callers(tx: Transaction) -> list[RefusedRow]:
    rows = tx.connection.execute(sa.select(refused_caller).order_by(refused_caller.c.last_at.desc()).limit(50))
    return [RefusedRow(**row._mapping) for row in rows]


def beat(tx: Transaction, part: str, *, note: str | None = None) -> None:
    """A part of the node says that it lives. `note`: what a person should know of it."""
    values = {"at": tx.now, "note": note}
    tx.connection.execute(
        tx.insert(heartbeat).values(part=part, **values).on_conflict_do_update(index_elements=["part"], set_=values)
    )
    tx.connection.execute(sa.delete(heartbeat).where(heartbeat.c.at < tx.now - HEARTBEAT_KEPT_SECONDS))


def left(tx: Transaction, part: str) -> None:
    """A part of the node ended as it was asked to."""
    tx.connection.execute(sa.delete(heartbeat).where(heartbeat.c.part == part))


def heartbeats(tx: Transaction) -> dict[str, float]:
    """Seconds since each part was last heard of."""
    return {row.part: tx.now - row.at for row in tx.connection.execute(sa.select(heartbeat))}


def notes(tx: Transaction) -> dict[str, str]:
    """What the parts said of themselves."""
    rows = tx.connection.execute(sa.select(heartbeat.c.part, heartbeat.c.note).where(heartbeat.c.note.is_not(None)))
    return {row.part: row.note for row in rows}
