"""Which destinations may be served now: not while the breaker is open, the connections are busy, or the pace is used up.

One slow PACS delays no other, since the tasks that wait for it are not looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from ledger.schema import READY, RUNNING, destination, task
from ledger.store import Transaction

MINUTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    free: int  # connections that may be opened now
    at: float | None  # when it may be served; None when a running task must end first


def turns(
    tx: Transaction, names: Collection[str], connections: Mapping[str, int], rates: Mapping[str, int]
) -> dict[str, Turn]:
    """Of these destinations. connections: at once; rates: documents per minute, where there is a limit."""
    if not names:
        return {}
    busy = {
        row.destination: row.n
        for row in tx.connection.execute(
            sa.select(task.c.destination, sa.func.count(task.c.token.distinct()).label("n"))
            .where(task.c.state == RUNNING, task.c.destination.in_(names))
            .group_by(task.c.destination)
        )
    }
    known = {row.name: row for row in tx.connection.execute(sa.select(destination).where(destination.c.name.in_(names)))}
    found = {}
    for name in names:
        row = known.get(name)
        # One that has failed before gets one task at a time until it has answered.
        limit = 1 if row is not None and row.failures > 0 else connections[name]
        free = limit - busy.get(name, 0)
        next_at = 0.0 if row is None else max(row.paused_until, row.next_at if rates.get(name) else 0.0)
        found[name] = Turn(
            free=free if next_at <= tx.now else 0,
            at=None if free <= 0 else max(next_at, tx.now),
        )
    return found


def may_batch(tx: Transaction, name: str) -> bool:
    """Whether the destination has answered last time: only then are several documents trusted to one connection."""
    failures = tx.connection.scalar(sa.select(destination.c.failures).where(destination.c.name == name))
    return not failures


def pace(tx: Transaction, name: str, per_minute: int) -> None:
    """A document goes to the destination: the next may follow when its share of a minute is over."""
    seconds = MINUTE_SECONDS / per_minute
    tx.connection.execute(
        tx.insert(destination)
        .values(name=name, next_at=tx.now + seconds)
        .on_conflict_do_update(
            index_elements=["name"],
            set_={"next_at": tx.greatest(destination.c.next_at, tx.now) + seconds},
        )
    )


# Of one destination's tasks. Named first for PostgreSQL, see `first_of_each`.
IN_TURN = (task.c.destination, task.c.rank_at, task.c.id)


def goes_to(name: str | None) -> sa.ColumnElement[bool]:
    return task.c.destination.is_(None) if name is None else task.c.destination == name


def first_of_each(
    tx: Transaction, queue: str, names: Mapping[str, int], wanted: sa.Column[float], *due: sa.ColumnElement[bool]
) -> dict[str | None, float]:
    """{destination or None: the least `wanted` of its ready tasks}: one look into an index for each, however many wait."""
    looks = []
    for name in (None, *names):
        ready = sa.select(wanted).where(task.c.state == READY, task.c.queue == queue, goes_to(name), *due)
        # By the destination, too: PostgreSQL 15 does not see that "IS NULL" leaves one value, and would sort them all.
        first = ready.order_by(task.c.destination, wanted).limit(1).scalar_subquery()
        looks.append(sa.select(sa.literal(name, sa.String).label("name"), first.label("at")))
    rows = tx.connection.execute(sa.union_all(*looks))
    return {row.name: row.at for row in rows if row.at is not None}


def waiting(tx: Transaction, queue: str, names: Mapping[str, int]) -> list[str | None]:
    """The destinations that have something due, first come first."""
    ranks = first_of_each(tx, queue, names, task.c.rank_at, task.c.rank_at <= tx.now)
    return sorted(ranks, key=lambda name: ranks[name])
