"""The tables of the versions that wrote no number: nothing to do, they are there."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Such a database is given this number before anything else."""
