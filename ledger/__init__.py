"""What is known and owed: images, studies, tasks, documents, deliveries. The only room that speaks SQL.

`Ledger.transaction()` gives a `Transaction`; the modules `images`, `tasks`, `documents`, `peers`,
`feedback` and `status` hold what can be said and asked in one, so that a handler's whole outcome is one commit.
"""
