"""How often a destination was asked late, which requests it took, and which documents are rejection notes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("delivery", sa.Column("late_looks", sa.Integer, nullable=False, server_default="0"))
    op.add_column("commitment", sa.Column("accepted_at", sa.Float))
    op.execute("UPDATE document SET withdrawn_at = 0 WHERE kind = 'kos' AND withdrawn_at = made_at")
