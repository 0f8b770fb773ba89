"""The tables. Times are seconds since 1970 (UTC); a state is a word, so that a person can read a row.

What a table of an older version lacks is added by `ledger.migrations`; a test holds the two together.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
    text,
)


class Words(TypeDecorator[str]):
    """Text that came from elsewhere. PostgreSQL refuses NUL and half surrogates, and an image must not be lost for them."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        return None if value is None else value.replace("\0", "").encode("utf-8", "replace").decode()


Bytes = BigInteger().with_variant(Integer, "sqlite")  # objects of 2 GiB exist

metadata = MetaData()

node = Table("node", metadata, Column("name", String, primary_key=True), Column("value", Text, nullable=False))

# One row per content of a SOP Instance: another content under the same UID is kept beside the first.
image = Table(
    "image",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sop_instance_uid", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("sop_class_uid", String, nullable=False),
    Column("study_instance_uid", String, nullable=False, index=True),
    Column("series_instance_uid", String, nullable=False),
    Column("transfer_syntax_uid", String, nullable=False),
    Column("path", Text, nullable=False),  # relative to the data folder
    Column("size_bytes", Bytes, nullable=False),
    Column("calling_ae", Words, nullable=False),
    Column("called_ae", Words, nullable=False),
    Column("peer_host", String, nullable=False),
    Column("modality", String, nullable=False),  # name in the settings
    Column("number", Integer, nullable=False),  # order of arrival within the study, from 1
    Column("received_at", Float, nullable=False),
    Column("answer", JSON(none_as_null=True)),  # domain.types.ImageAnswer
    UniqueConstraint("sop_instance_uid", "sha256"),
)

study = Table(
    "study",
    metadata,
    Column("study_instance_uid", String, primary_key=True),
    Column("state", String, nullable=False),  # RECEIVING | ANALYSED | DECLINED | FAILED
    Column("revision", Integer, nullable=False, default=0),
    Column("evidence", String),  # digest of what the newest revision was made of
    Column("first_received_at", Float, nullable=False),
    Column("last_received_at", Float, nullable=False),
    Column("urgent", Integer, nullable=False, server_default="0"),  # 0 or 1: the priority of its tasks
    Column("species", String),  # said by a person, against what the header or the settings say
    Column("withdrawn_at", Float),  # the patient was wrong: its results do not count
)
Index("study_age", study.c.state, study.c.last_received_at)

# A task's outcome and its end are one transaction; a token that is no longer the row's belongs to a lost lease.
task = Table(
    "task",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),  # image | study | deliver | verify | …
    Column("key", String, nullable=False),
    Column("queue", String, nullable=False),  # analysis | delivery
    Column("destination", String),
    Column("priority", Integer, nullable=False, default=0),
    Column("state", String, nullable=False),  # ready | running | done | dead | cancelled
    Column("run_at", Float, nullable=False),
    Column("rank_at", Float, nullable=False, server_default="0"),  # its place in the queue: run_at, earlier where urgent
    Column("first_at", Float, nullable=False),  # when it was first owed
    Column("started_at", Float),  # when it was first claimed: the analysis time, the same in every retry
    Column("done_at", Float),
    Column("sent_at", Float),  # when a message for it was given to the broker
    Column("attempts", Integer, nullable=False, default=0),
    Column("lease_until", Float),
    Column("token", String),  # of the claim; tasks that share one are served over one connection
    Column("error", Words),
    # Every claim leaves dead rows at the head of the partial indexes: they must go long before a fifth of the table is dead.
    postgresql_with={"autovacuum_vacuum_scale_factor": 0.01, "autovacuum_analyze_scale_factor": 0.02},
)


def _partial(name: str, state: str, *columns: Column[object], unique: bool = False) -> None:
    condition = text(f"state = '{state}'")
    Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


# As literals: a partial index is used only where the statement itself says the state.
READY: ColumnElement[str] = literal_column("'ready'")
RUNNING: ColumnElement[str] = literal_column("'running'")
DEAD: ColumnElement[str] = literal_column("'dead'")
DONE: ColumnElement[str] = literal_column("'done'")

_partial("task_owed_once", "ready", task.c.kind, task.c.key, unique=True)
_partial("task_runs_once", "running", task.c.kind, task.c.key, unique=True)  # never two revisions of a study at a time
_partial("task_claim", "ready", task.c.queue, task.c.destination, task.c.rank_at, task.c.id)
_partial("task_due", "ready", task.c.queue, task.c.destination, task.c.run_at)
_partial("task_lease", "running", task.c.lease_until)
_partial("task_dead", "dead", task.c.id)
_partial("task_done", "done", task.c.done_at)
Index("task_key", task.c.kind, task.c.key)

document = Table(
    "document",
    metadata,
    Column("sop_instance_uid", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("sop_class_uid", String, nullable=False),
    Column("study_instance_uid", String, nullable=False, index=True),
    Column("series_instance_uid", String, nullable=False, index=True),
    Column("path", Text, nullable=False),  # relative to the data folder
    Column("sha256", String, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("withdrawn_at", Float),  # 0 for a rejection note, which is no result and stays owed
)

delivery = Table(
    "delivery",
    metadata,
    Column("sop_instance_uid", String, ForeignKey("document.sop_instance_uid"), primary_key=True),
    Column("destination", String, primary_key=True),
    Column("state", String, nullable=False),  # domain.types.DeliveryState
    Column("owed_at", Float, nullable=False),
    Column("stored_at", Float),
    Column("verified_at", Float),
    Column("attempts", Integer, nullable=False, default=0),
    Column(
        "late_looks", Integer, nullable=False, default=0, server_default="0"
    ),  # answered, past the settings' verify_seconds
    Column("last_status", Words),
)
Index("delivery_backlog", delivery.c.destination, delivery.c.state)

# The breaker and the pace of a destination: one slow PACS delays no other.
destination = Table(
    "destination",
    metadata,
    Column("name", String, primary_key=True),
    Column("failures", Integer, nullable=False, default=0, server_default="0"),  # in a row
    Column("paused_until", Float, nullable=False, default=0.0, server_default="0"),
    Column("down_since", Float),
    Column("last_error", Words),
    Column("last_ok_at", Float),
    Column("next_at", Float, nullable=False, default=0.0, server_default="0"),  # no document before this, by its rate limit
)

# What a destination was asked to commit to (PS3.4 annex J), a row per object.
commitment = Table(
    "commitment",
    metadata,
    Column("transaction_uid", String, primary_key=True),
    Column("sop_instance_uid", String, primary_key=True),
    Column("destination", String, nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("accepted_at", Float),  # when the destination took the request
    Column("answered_at", Float),
    Column("failure", Words),  # the destination's reason; NULL where it committed
)
Index("commitment_object", commitment.c.sop_instance_uid, commitment.c.destination)

# What a console asked this node to commit to, until it has had its answer.
commitment_request = Table(
    "commitment_request",
    metadata,
    Column("transaction_uid", String, primary_key=True),
    Column("modality", String, nullable=False),  # name in the settings
    Column("calling_ae", Words, nullable=False),
    Column("called_ae", Words, nullable=False),
    Column("peer_host", String, nullable=False),
    Column("requested", JSON, nullable=False),  # [[SOP Class UID, SOP Instance UID], …]
    Column("asked_at", Float, nullable=False),
)

refused_caller = Table(
    "refused_caller",
    metadata,
    Column("calling_ae", Words, primary_key=True),
    Column("called_ae", Words, primary_key=True),
    Column("peer_host", String, primary_key=True),
    Column("reason", Words, nullable=False),
    Column("count", Integer, nullable=False),
    Column("last_at", Float, nullable=False),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("part", String, primary_key=True),  # worker@host:pid
    Column("at", Float, nullable=False),
    Column("note", Words),
)

alarm = Table(
    "alarm",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),  # domain.types.AlarmKind
    Column("key", String, nullable=False),
    Column("text", Words, nullable=False),
    Column("since", Float, nullable=False),
    Column("raised_at", Float, nullable=False),
    Column("acknowledged_at", Float),
    Column("cleared_at", Float),
)
_open = text("cleared_at IS NULL")
Index("alarm_open", alarm.c.kind, alarm.c.key, unique=True, sqlite_where=_open, postgresql_where=_open)

alarm_sent = Table(
    "alarm_sent",
    metadata,
    Column("alarm_id", Integer, ForeignKey("alarm.id", ondelete="CASCADE"), primary_key=True),
    Column("notifier", String, primary_key=True),  # name in the settings
    Column("at", Float, nullable=False),
)

# What is done, by day (UTC): counting it anew takes longer every day, and done tasks are pruned.
daily = Table(
    "daily",
    metadata,
    Column("day", String, primary_key=True),  # 2026-01-31
    Column("kind", String, primary_key=True),  # of task
    Column("done", Integer, nullable=False),
)

# What veterinarians answered to findings; rows are only added. No foreign keys: it outlives the study.
feedback = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False, index=True),
    Column("study_instance_uid", String, nullable=False, index=True),
    Column("sop_instance_uid", String, nullable=False),  # of the image
    Column("finding", String, nullable=False),  # tracking unique identifier
    Column("concept", String, nullable=False),  # code value
    Column("shown", String, nullable=False),  # domain.types.FindingOutcome, as the model said it
    Column("answer", String, nullable=False),  # agree | disagree | uncertain | corrected
    Column("reader", String, nullable=False),  # pseudonym
    Column("model", String, nullable=False),
    Column("version", String, nullable=False),
    Column("document", String, nullable=False),
    Column("probability", Float),
    Column("corrected", JSON(none_as_null=True)),
)
