"""What a person asks of the ledger. Only what is not done is counted: counting what is done takes longer every day."""

from __future__ import annotations

import time

import sqlalchemy as sa

from ledger.schema import DEAD, DONE, READY, RUNNING, daily, node, task
from ledger.store import Transaction

DAY_SECONDS = 86_400.0
# A transaction is dated when it begins: what ended so short a while ago may not be there yet.
SETTLED_SECONDS = 600.0
COUNTED_UNTIL = "counted_until"


def task_counts(tx: Transaction) -> dict[str, dict[str, int]]:
    """{kind: {ready | running | dead: n}}"""
    counts: dict[str, dict[str, int]] = {}
    # Each state by itself: its partial index holds what is counted, and nothing else.
    looks = [
        sa.select(task.c.kind, sa.literal(name).label("state"), sa.func.count().label("n"))
        .where(task.c.state == state)
        .group_by(task.c.kind)
        for name, state in (("ready", READY), ("running", RUNNING), ("dead", DEAD))
    ]
    for row in tx.connection.execute(sa.union_all(*looks)):
        counts.setdefault(row.kind, {})[row.state] = row.n
    return counts


def owed_to(tx: Transaction) -> dict[str, int]:
    """{destination: tasks for it that are ready, running or dead}"""
    counts: dict[str, int] = {}
    for state in (READY, RUNNING, DEAD):
        here = sa.select(task.c.destination, sa.func.count().label("n")).where(task.c.state == state)
        for row in tx.connection.execute(here.where(task.c.destination.is_not(None)).group_by(task.c.destination)):
            counts[row.destination] = counts.get(row.destination, 0) + row.n
    return counts


def studies_in_work(tx: Transaction) -> int:
    """Studies that owe a report."""
    looks = [sa.select(task.c.key).where(task.c.kind == "study", task.c.state == state) for state in (READY, RUNNING)]
    return tx.connection.scalar(sa.select(sa.func.count()).select_from(sa.union(*looks).subquery())) or 0


def done_by_day(tx: Transaction, *, days: int) -> dict[str, dict[str, int]]:
    """{day (UTC): {kind of task: how many were done}} of the last days, today among them."""
    first = _day(tx.now - (days - 1) * DAY_SECONDS)
    counts: dict[str, dict[str, int]] = {}
    for row in tx.connection.execute(sa.select(daily).where(daily.c.day >= first)):
        counts.setdefault(row.day, {})[row.kind] = row.done
    for day, kinds in _since(tx, _counted_until(tx), tx.now).items():
        for kind, done in kinds.items():
            before = counts.setdefault(day, {})
            before[kind] = before.get(kind, 0) + done
    return {day: counts[day] for day in sorted(counts) if day >= first}


def count_done(tx: Transaction) -> None:
    """Add what was done since the last time to the days' counters."""
    tx.lock("count")
    until = tx.now - SETTLED_SECONDS
    for day, kinds in _since(tx, _counted_until(tx), until).items():
        for kind, done in kinds.items():
            tx.connection.execute(
                tx.insert(daily)
                .values(day=day, kind=kind, done=done)
                .on_conflict_do_update(index_elements=["day", "kind"], set_={"done": daily.c.done + done})
            )
    values = {"value": repr(until)}
    tx.connection.execute(
        tx.insert(node).values(name=COUNTED_UNTIL, **values).on_conflict_do_update(index_elements=["name"], set_=values)
    )


def _counted_until(tx: Transaction) -> float:
    value = tx.connection.scalar(sa.select(node.c.value).where(node.c.name == COUNTED_UNTIL))
    if value is not None:
        return float(value)
    first: float | None = tx.connection.scalar(sa.select(sa.func.min(task.c.done_at)).where(task.c.state == DONE))
    return tx.now if first is None else first


def _since(tx: Transaction, start: float, end: float) -> dict[str, dict[str, int]]:
    """From `start` to before `end`, a day (UTC) at a time."""
    counts: dict[str, dict[str, int]] = {}
    while start < end:
        midnight = (start // DAY_SECONDS + 1) * DAY_SECONDS
        rows = tx.connection.execute(
            sa.select(task.c.kind, sa.func.count().label("n"))
            .where(task.c.state == DONE, task.c.done_at >= start, task.c.done_at < min(midnight, end))
            .group_by(task.c.kind)
        )
        found = {row.kind: row.n for row in rows}
        if found:
            counts[_day(start)] = found
        start = midnight
    return counts


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
