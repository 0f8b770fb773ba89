"""What a person asks of the ledger. Only what is not done is counted: counting what is done takes longer every day."""

from __future__ import annotations

import sqlalchemy as sa

from ledger.schema import task
from ledger.store import Transaction
from ledger.tasks import DEAD, READY, RUNNING


def task_counts(tx: Transaction) -> dict[str, dict[str, int]]:
    """{kind: {ready | running | dead: n}}"""
    counts: dict[str, dict[str, int]] = {}
    for row in tx.connection.execute(
        sa.select(task.c.kind, task.c.state, sa.func.count().label("n"))
        .where(task.c.state.in_((READY, RUNNING, DEAD)))
        .group_by(task.c.kind, task.c.state)
    ):
        counts.setdefault(row.kind, {})[row.state] = row.n
    return counts


def studies_in_work(tx: Transaction) -> int:
    """Studies that owe a report."""
    open_studies = sa.select(sa.func.count(task.c.key.distinct())).where(
        task.c.kind == "study", task.c.state.in_((READY, RUNNING))
    )
    return tx.connection.scalar(open_studies) or 0
