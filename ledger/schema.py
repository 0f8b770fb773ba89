"""The tables. Times are seconds since 1970 (UTC); a state is a word, so that a person can read a row."""

from sqlalchemy import (
    JSON,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

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
    Column("path", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("calling_ae", String, nullable=False),
    Column("called_ae", String, nullable=False),
    Column("peer_host", String, nullable=False),
    Column("modality", String, nullable=False),  # name in the settings
    Column("number", Integer, nullable=False),  # order of arrival within the study, from 1
    Column("received_at", Float, nullable=False),
    Column("answer", JSON),  # domain.types.ImageAnswer
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
)

# A task's outcome and its end are one transaction; a token that is no longer the row's belongs to a lost lease.
task = Table(
    "task",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),  # image | study | deliver | verify
    Column("key", String, nullable=False),
    Column("queue", String, nullable=False),  # analysis | delivery
    Column("destination", String),
    Column("priority", Integer, nullable=False, default=0),
    Column("state", String, nullable=False),  # ready | running | done | dead
    Column("run_at", Float, nullable=False),
    Column("first_at", Float, nullable=False),  # when it was first owed
    Column("started_at", Float),  # when it was first claimed: the analysis time, the same in every retry
    Column("attempts", Integer, nullable=False, default=0),
    Column("lease_until", Float),
    Column("token", String),
    Column("error", Text),
)
Index("task_owed_once", task.c.kind, task.c.key, unique=True, sqlite_where=text("state = 'ready'"))
Index("task_claim", task.c.queue, task.c.run_at, sqlite_where=text("state = 'ready'"))
Index("task_lease", task.c.lease_until, sqlite_where=text("state = 'running'"))
Index("task_dead", task.c.id, sqlite_where=text("state = 'dead'"))
Index("task_key", task.c.kind, task.c.key)

document = Table(
    "document",
    metadata,
    Column("sop_instance_uid", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("sop_class_uid", String, nullable=False),
    Column("study_instance_uid", String, nullable=False, index=True),
    Column("series_instance_uid", String, nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", String, nullable=False),
    Column("made_at", Float, nullable=False),
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
    Column("last_status", String),
)
Index("delivery_backlog", delivery.c.destination, delivery.c.state)

# The breaker of a destination: one slow PACS delays no other.
destination = Table(
    "destination",
    metadata,
    Column("name", String, primary_key=True),
    Column("failures", Integer, nullable=False, default=0),  # in a row
    Column("paused_until", Float, nullable=False, default=0.0),
    Column("down_since", Float),
    Column("last_error", Text),
    Column("last_ok_at", Float),
)

refused_caller = Table(
    "refused_caller",
    metadata,
    Column("calling_ae", String, primary_key=True),
    Column("called_ae", String, primary_key=True),
    Column("peer_host", String, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("last_at", Float, nullable=False),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("part", String, primary_key=True),  # worker@host:pid
    Column("at", Float, nullable=False),
)
