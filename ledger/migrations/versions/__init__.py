"""In order; `ledger.migrate.NEWEST` is the last. One that was released is never changed."""
