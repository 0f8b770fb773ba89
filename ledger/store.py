"""Opening the ledger and its transactions. SQLite in WAL mode with full synchronisation; every transaction is IMMEDIATE.

Why IMMEDIATE: a transaction that reads and then writes in deferred mode fails at once with "database is locked" when another
process wrote in between, whatever the busy time-out says.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError

from domain.errors import StorageUnavailable
from ledger import schema

Clock = Callable[[], float]

LOCK_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """An open transaction and the one time at which all of it happens."""

    connection: sa.Connection
    now: float


class Ledger:
    """The node's memory. StorageUnavailable when the database cannot be opened, locked or written."""

    def __init__(self, folder: Path, *, clock: Clock = time.time) -> None:
        self.clock = clock
        self._path = folder / "ledger.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageUnavailable(f"data folder {folder}: {error.strerror}") from error
        self._engine = sa.create_engine(
            f"sqlite:///{self._path}",
            connect_args={"timeout": LOCK_WAIT_SECONDS, "check_same_thread": False},
            hide_parameters=True,  # they hold headers' values, and exceptions are printed
        )
        sa.event.listen(self._engine, "connect", _configure)
        sa.event.listen(self._engine, "begin", _begin_immediate)
        with self.transaction() as tx:
            schema.metadata.create_all(tx.connection)
            tx.connection.execute(
                sa.insert(schema.node).prefix_with("OR IGNORE").values(name="namespace", value=str(uuid.uuid4()))
            )

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All or nothing: commits when the block ends, rolls back when it raises."""
        try:
            with self._engine.begin() as connection:
                yield Transaction(connection=connection, now=self.clock())
        except DatabaseError as error:
            raise StorageUnavailable(f"ledger: {error.orig}") from error

    @property
    def namespace(self) -> uuid.UUID:
        """Random, made once: what the UIDs of this node's documents are derived from."""
        with self.transaction() as tx:
            value = tx.connection.scalar(sa.select(schema.node.c.value).where(schema.node.c.name == "namespace"))
        return uuid.UUID(value)

    def changes(self) -> Changes:
        return Changes(self._path)

    def close(self) -> None:
        self._engine.dispose()


class Changes:
    """Notices commits of other connections, in any process, for about 1 % of a core. Belongs to one thread."""

    POLL_SECONDS = 0.02

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=LOCK_WAIT_SECONDS)
        self._seen = self._version()

    def wait(self, seconds: float, stopped: Callable[[], bool]) -> None:
        """Return when something was committed since the last call, after `seconds`, or when stopped."""
        end = time.monotonic() + seconds
        while not stopped():
            version = self._version()
            if version != self._seen:
                self._seen = version
                return
            if time.monotonic() >= end:
                return
            time.sleep(self.POLL_SECONDS)

    def close(self) -> None:
        self._connection.close()

    def _version(self) -> int:
        row = self._connection.execute("PRAGMA data_version").fetchone()
        return int(row[0])


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event says BEGIN IMMEDIATE itself
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
