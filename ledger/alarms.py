"""What a person must know of without having asked, once for each thing, until it is mended or acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from domain.types import AlarmKind
from ledger.schema import DEAD, READY, RUNNING, alarm, alarm_sent, task
from ledger.store import Transaction

# Nothing mends these: they end when a person has seen them.
ENDED_BY_SEEING = (AlarmKind.CONFLICT, AlarmKind.URGENT_FINDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRow:
    id: int
    kind: AlarmKind
    key: str
    text: str  # one sentence without any animal's or owner's identity
    since: float  # when what it tells of began
    raised_at: float
    acknowledged_at: float | None
    cleared_at: float | None


def raise_(tx: Transaction, kind: AlarmKind, key: str, text: str, *, since: float | None = None) -> None:
    """Once: while one of this kind and key is open, a second is none."""
    tx.connection.execute(
        tx.insert(alarm)
        .values(kind=kind.value, key=key, text=text, since=tx.now if since is None else since, raised_at=tx.now)
        .on_conflict_do_nothing(index_elements=["kind", "key"], index_where=sa.text("cleared_at IS NULL"))
    )
    tx.wake()


def say(tx: Transaction, kind: AlarmKind, key: str, text: str) -> None:
    """Other words for an open alarm, such as a higher number; nobody is told again."""
    here = (alarm.c.kind == kind.value, alarm.c.key == key, alarm.c.cleared_at.is_(None))
    tx.connection.execute(sa.update(alarm).where(*here).values(text=text))


def clear(tx: Transaction, kind: AlarmKind, key: str) -> None:
    """What it told of is mended."""
    tx.connection.execute(
        sa.update(alarm)
        .where(alarm.c.kind == kind.value, alarm.c.key == key, alarm.c.cleared_at.is_(None))
        .values(cleared_at=tx.now)
    )


def open_alarms(tx: Transaction) -> list[AlarmRow]:
    """Oldest first; those that were acknowledged but are not mended yet among them."""
    rows = tx.connection.execute(sa.select(alarm).where(alarm.c.cleared_at.is_(None)).order_by(alarm.c.id))
    return [_row(row) for row in rows]


def acknowledge(tx: Transaction, alarm_id: int) -> bool:
    """A person has seen it: nobody is told again. False when no such alarm is open."""
    seen = tx.connection.execute(
        sa.update(alarm)
        .where(alarm.c.id == alarm_id, alarm.c.cleared_at.is_(None))
        .values(
            acknowledged_at=tx.now,
            cleared_at=sa.case((alarm.c.kind.in_([kind.value for kind in ENDED_BY_SEEING]), tx.now), else_=None),
        )
    )
    return seen.rowcount > 0


def unsent(tx: Transaction, notifier: str) -> list[AlarmRow]:
    """Open alarms that nobody has acknowledged and this notifier has not been given yet, oldest first."""
    told = sa.exists().where(alarm_sent.c.alarm_id == alarm.c.id, alarm_sent.c.notifier == notifier)
    rows = tx.connection.execute(
        sa.select(alarm).where(alarm.c.cleared_at.is_(None), alarm.c.acknowledged_at.is_(None), ~told).order_by(alarm.c.id)
    )
    return [_row(row) for row in rows]


def sent(tx: Transaction, alarm_id: int, notifier: str) -> None:
    """The notifier has taken it."""
    tx.connection.execute(
        tx.insert(alarm_sent).values(alarm_id=alarm_id, notifier=notifier, at=tx.now).on_conflict_do_nothing()
    )


def not_sent(tx: Transaction, alarm_id: int, notifier: str) -> None:
    """The notifier knows nothing of it: it was mended before it was told, or its end is told too."""
    tx.connection.execute(sa.delete(alarm_sent).where(alarm_sent.c.alarm_id == alarm_id, alarm_sent.c.notifier == notifier))


def mended(tx: Transaction, notifier: str) -> list[AlarmRow]:
    """Those that this notifier has told of, by the end of the task that did, and that are over; oldest first."""
    rows = tx.connection.execute(
        sa.select(alarm)
        .join(alarm_sent, alarm_sent.c.alarm_id == alarm.c.id)
        .where(
            alarm_sent.c.notifier == notifier,
            alarm.c.cleared_at.is_not(None),
            ~sa.exists().where(
                task.c.kind == "notify",
                task.c.key == sa.cast(alarm.c.id, sa.String) + sa.literal(f">{notifier}", sa.String),
                task.c.state.in_((READY, RUNNING, DEAD)),
            ),
        )
        .order_by(alarm.c.id)
    )
    return [_row(row) for row in rows]


def get(tx: Transaction, alarm_id: int) -> AlarmRow | None:
    """None where it was forgotten."""
    row = tx.connection.execute(sa.select(alarm).where(alarm.c.id == alarm_id)).first()
    return None if row is None else _row(row)


def clear_keys(tx: Transaction, kind: AlarmKind, keys: Sequence[str]) -> None:
    tx.connection.execute(
        sa.update(alarm)
        .where(alarm.c.kind == kind.value, alarm.c.key.in_(keys), alarm.c.cleared_at.is_(None))
        .values(cleared_at=tx.now)
    )


def clear_of(tx: Transaction, kind: AlarmKind, image_id: int) -> None:
    """Those whose key begins with the image's number."""
    tx.connection.execute(
        sa.update(alarm)
        .where(alarm.c.kind == kind.value, alarm.c.key.like(f"{image_id} %"), alarm.c.cleared_at.is_(None))
        .values(cleared_at=tx.now)
    )


def _row(row: sa.Row[Any]) -> AlarmRow:
    return AlarmRow(
        id=row.id,
        kind=AlarmKind(row.kind),
        key=row.key,
        text=row.text,
        since=row.since,
        raised_at=row.raised_at,
        acknowledged_at=row.acknowledged_at,
        cleared_at=row.cleared_at,
    )
