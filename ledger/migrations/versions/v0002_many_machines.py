"""Many machines, alarms, commitments, priorities, counters; paths relative to the data folder."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"

PARTIAL = {
    "task_owed_once": ("ready", ["kind", "key"]),
    "task_runs_once": ("running", ["kind", "key"]),
    "task_claim": ("ready", ["queue", "destination", "rank_at", "id"]),
    "task_due": ("ready", ["queue", "destination", "run_at"]),
    "task_lease": ("running", ["lease_until"]),
    "task_dead": ("dead", ["id"]),
    "task_done": ("done", ["done_at"]),
}
OLD_PARTIAL = ("task_owed_once", "task_claim", "task_lease", "task_dead")


def upgrade() -> None:
    _columns()
    _tasks()
    _tables()
    _alarms()
    root: Path = context.config.attributes["root"]
    for table in ("image", "document"):
        _relative_paths(table, f"{root}/")


def _columns() -> None:
    op.add_column("study", sa.Column("urgent", sa.Integer, nullable=False, server_default="0"))
    op.add_column("study", sa.Column("species", sa.String))
    op.add_column("study", sa.Column("withdrawn_at", sa.Float))
    op.create_index("study_age", "study", ["state", "last_received_at"])
    op.add_column("document", sa.Column("withdrawn_at", sa.Float))
    op.create_index("ix_document_series_instance_uid", "document", ["series_instance_uid"])
    op.add_column("destination", sa.Column("next_at", sa.Float, nullable=False, server_default="0"))
    op.add_column("heartbeat", sa.Column("note", sa.Text))


def _tasks() -> None:
    op.add_column("task", sa.Column("rank_at", sa.Float, nullable=False, server_default="0"))
    op.add_column("task", sa.Column("done_at", sa.Float))
    op.add_column("task", sa.Column("sent_at", sa.Float))
    op.execute("UPDATE task SET rank_at = run_at")
    op.execute("UPDATE task SET done_at = run_at WHERE state = 'done'")
    # A worker that was killed may have left a study's task running while its next one was claimed by mistake.
    op.execute(
        "UPDATE task SET state = 'done', done_at = run_at WHERE state = 'running' AND id NOT IN "
        "(SELECT max(id) FROM task WHERE state = 'running' GROUP BY kind, key)"
    )
    for name in OLD_PARTIAL:
        op.drop_index(name, "task")
    for name, (state, columns) in PARTIAL.items():
        condition = sa.text(f"state = '{state}'")
        unique = name.endswith("_once")
        op.create_index(name, "task", columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _tables() -> None:
    op.create_table(
        "commitment",
        sa.Column("transaction_uid", sa.String, primary_key=True),
        sa.Column("sop_instance_uid", sa.String, primary_key=True),
        sa.Column("destination", sa.String, nullable=False),
        sa.Column("asked_at", sa.Float, nullable=False),
        sa.Column("answered_at", sa.Float),
        sa.Column("failure", sa.Text),
    )
    op.create_index("commitment_object", "commitment", ["sop_instance_uid", "destination"])
    op.create_table(
        "commitment_request",
        sa.Column("transaction_uid", sa.String, primary_key=True),
        sa.Column("modality", sa.String, nullable=False),
        sa.Column("calling_ae", sa.Text, nullable=False),
        sa.Column("called_ae", sa.Text, nullable=False),
        sa.Column("peer_host", sa.String, nullable=False),
        sa.Column("requested", sa.JSON, nullable=False),
        sa.Column("asked_at", sa.Float, nullable=False),
    )
    op.create_table(
        "alarm",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("raised_at", sa.Float, nullable=False),
        sa.Column("acknowledged_at", sa.Float),
        sa.Column("cleared_at", sa.Float),
    )
    still_open = sa.text("cleared_at IS NULL")
    op.create_index(
        "alarm_open", "alarm", ["kind", "key"], unique=True, sqlite_where=still_open, postgresql_where=still_open
    )
    op.create_table(
        "alarm_sent",
        sa.Column("alarm_id", sa.Integer, sa.ForeignKey("alarm.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("notifier", sa.String, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "daily",
        sa.Column("day", sa.String, primary_key=True),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("done", sa.Integer, nullable=False),
    )


def _alarms() -> None:
    """Of what a person already has to know."""
    op.execute(
        "INSERT INTO alarm (kind, key, text, since, raised_at) SELECT 'dead_task', kind || ' ' || key, "
        "'task ' || max(id) || ' (' || kind || ') was given up: ' || coalesce(max(error), ''), max(run_at), max(run_at) "
        "FROM task WHERE state = 'dead' GROUP BY kind, key"
    )
    op.execute(
        "INSERT INTO alarm (kind, key, text, since, raised_at) SELECT 'destination_down', name, "
        "name || ' does not answer: ' || coalesce(last_error, ''), down_since, down_since "
        "FROM destination WHERE down_since IS NOT NULL"
    )


def _relative_paths(table: str, prefix: str) -> None:
    here = sa.table(table, sa.column("path", sa.Text))
    op.execute(
        sa.update(here)
        .where(sa.func.substr(here.c.path, 1, len(prefix)) == prefix)
        .values(path=sa.func.substr(here.c.path, len(prefix) + 1))
    )
