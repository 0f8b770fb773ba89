"""What veterinarians answer to findings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("study_instance_uid", sa.String, nullable=False),
        sa.Column("sop_instance_uid", sa.String, nullable=False),
        sa.Column("finding", sa.String, nullable=False),
        sa.Column("concept", sa.String, nullable=False),
        sa.Column("shown", sa.String, nullable=False),
        sa.Column("answer", sa.String, nullable=False),
        sa.Column("reader", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("document", sa.String, nullable=False),
        sa.Column("probability", sa.Float),
        sa.Column("corrected", sa.JSON),
    )
    op.create_index("ix_feedback_at", "feedback", ["at"])
    op.create_index("ix_feedback_study_instance_uid", "feedback", ["study_instance_uid"])
