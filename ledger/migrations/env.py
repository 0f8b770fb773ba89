"""Run by Alembic, in the transaction that `ledger.migrate` opened: all of it happens, or nothing."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
