"""Opening the ledger, and its transactions: on SQLite in the data folder, or on a PostgreSQL server."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from domain.errors import StorageUnavailable
from ledger import schema
from ledger.databases import LOCK_WAIT_SECONDS, Database, Insert, Postgresql, Sqlite, first_line
from ledger.migrate import is_newest, migrate
from ledger.together import Together
from ledger.wake import Changes, Wake

Clock = Callable[[], float]
T = TypeVar("T")
Statement = TypeVar("Statement", bound=sa.Executable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """An open transaction and the one time at which all of it happens."""

    connection: sa.Connection
    now: float
    root: Path  # the data folder; paths are stored relative to it
    _database: Database
    _statements: dict[Callable[..., sa.Executable], sa.Executable]
    _woken: list[bool] = field(default_factory=list)

    def made(self, make: Callable[[Transaction], Statement]) -> Statement:
        """A statement that depends on the database alone, made when it is first wanted: making takes longer than running."""
        if make not in self._statements:
            self._statements[make] = make(self)
        return cast(Statement, self._statements[make])

    def insert(self, table: sa.Table) -> Insert:
        """An INSERT that can say `on_conflict_do_…`."""
        return self._database.insert(table)

    def least(self, one: Any, other: Any) -> sa.ColumnElement[float]:
        return self._database.least(one, other)

    def greatest(self, one: Any, other: Any) -> sa.ColumnElement[int]:
        return self._database.greatest(one, other)

    def lock(self, *names: str) -> None:
        """Until the transaction (or its savepoint) ends, nobody else holds a lock of these names."""
        self._database.lock(self.connection, names)

    def wake(self) -> None:
        """When this commits, whoever waits for work looks again."""
        self._woken[:] = [True]

    def placed(self, path: Path) -> str:
        """A path as it is stored: the data folder may be moved or restored elsewhere."""
        absolute = path.absolute()
        return str(absolute.relative_to(self.root) if absolute.is_relative_to(self.root) else absolute)

    def path(self, stored: str) -> Path:
        return self.root / stored


class Ledger:
    """The node's memory. StorageUnavailable when the database cannot be opened, locked or written.

    clock: seconds since 1970; without one, this machine's on SQLite and the server's on PostgreSQL, since the clocks of many
    machines differ and a lease must mean the same to all.
    """

    def __init__(self, data_dir: Path, *, database_url: str = "", clock: Clock | None = None) -> None:
        self._root = data_dir.absolute()
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageUnavailable(f"data folder {data_dir}: {error.strerror}") from error
        self._clock = clock
        self._database = _database(self._root, database_url)
        self._engine = self._database.engine()
        self._statements: dict[Callable[..., sa.Executable], sa.Executable] = {}
        self._together = Together(self.transaction, wait_seconds=LOCK_WAIT_SECONDS) if self._database.one_writer else None
        self._wake = Wake(self._database.watch)
        with _mapped():
            migrate(self._engine, self._database, self._root)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All or nothing: commits when the block ends, rolls back when it raises."""
        with _mapped(), self._database.turn(), self._engine.begin() as connection:
            tx = self._opened(connection)
            yield tx
            if tx._woken:
                self._database.announce(connection)

    def together(self, work: Callable[[Transaction], T]) -> T:
        """Like a transaction of its own, durable on return, but threads that come at once share one commit.

        Its own fault is its own: then each is done alone, `work` for the second time. On PostgreSQL every thread has its
        transaction: the server itself makes one write of commits that come at once.
        """
        if self._together is None:
            with self.transaction() as tx:
                return work(tx)
        return self._together.do(work)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """One consistent view without a lock: reading delays nobody who writes. Writing in it is an error."""
        with _mapped(), self._engine.execution_options(**self._database.reading).begin() as connection:
            yield self._opened(connection)

    def _opened(self, connection: sa.Connection) -> Transaction:
        now = self._database.now(connection) if self._clock is None else self._clock()
        return Transaction(
            connection=connection, now=now, root=self._root, _database=self._database, _statements=self._statements
        )

    @property
    def namespace(self) -> uuid.UUID:
        """Random, made once: what the UIDs of this node's documents are derived from."""
        with self.reading() as tx:
            value = tx.connection.scalar(sa.select(schema.node.c.value).where(schema.node.c.name == "namespace"))
        return uuid.UUID(value)

    def changes(self) -> Changes:
        """Tells one thread of commits in any process. All of them share one watcher."""
        return self._wake.changes()

    def copy_database(self, folder: Path) -> None:
        """A consistent copy of the database alone, while others write; `ledger.backup` copies the files too."""
        with _mapped():
            self._database.copy(folder)

    def close(self) -> None:
        self._wake.close()
        self._engine.dispose()


def existing(data_dir: Path, *, database_url: str = "") -> Ledger | None:
    """The ledger, to be looked into; None where none was written yet, or another version's. It is neither made nor migrated.

    StorageUnavailable when the database does not answer.
    """
    database = _database(data_dir.absolute(), database_url)
    if not database.is_there():
        return None
    engine = database.engine()
    try:
        with _mapped():
            newest = is_newest(engine, database)
    finally:
        engine.dispose()
    return Ledger(data_dir, database_url=database_url) if newest else None


def _database(root: Path, database_url: str) -> Database:
    return Postgresql(database_url) if database_url else Sqlite(root / "ledger.sqlite")


@contextmanager
def _mapped() -> Iterator[None]:
    """The database's faults as what the caller can do about them. A fault of this program's own stays what it is."""
    try:
        yield
    except (IntegrityError, ProgrammingError, DataError):  # trying again cannot help
        raise
    except DBAPIError as error:
        raise StorageUnavailable(f"ledger: {first_line(error)}") from error
    except PoolTimeout as error:
        raise StorageUnavailable("ledger: every connection to the database is in use") from error
