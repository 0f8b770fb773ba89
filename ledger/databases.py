"""What differs between SQLite and PostgreSQL, and nothing else of the room knows.

SQLite: WAL mode with full synchronisation; every writing transaction is IMMEDIATE. One that reads and then writes in
deferred mode fails at once with "database is locked" when another process wrote in between, whatever the time-out says.

PostgreSQL: READ COMMITTED; what SQLite's one writer gives for nothing is locked by name (`lock`) or by row.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError

from domain.errors import StorageUnavailable

LOCK_WAIT_SECONDS = 5.0
LOOK_MILLISECONDS = 1
COURTESY_SECONDS = 0.25
POLL_SECONDS = 0.02  # about 1 % of a core
RECONNECT_SECONDS = 1.0
CHANNEL = "houndsfield"
# A process that is stopped in mid-transaction must not hold its locks for ever.
IDLE_IN_TRANSACTION_SECONDS = 60
POOL_SIZE = 8

Insert = sqlite.Insert | postgresql.Insert


class Database(Protocol):
    reading: ClassVar[dict[str, Any]]  # execution options of a transaction that only reads
    one_writer: ClassVar[bool]

    def is_there(self) -> bool: ...
    def engine(self) -> sa.Engine: ...
    def turn(self) -> AbstractContextManager[None]: ...
    def now(self, connection: sa.Connection) -> float: ...
    def insert(self, table: sa.Table) -> Insert: ...
    def least(self, one: Any, other: Any) -> sa.ColumnElement[float]: ...
    def greatest(self, one: Any, other: Any) -> sa.ColumnElement[int]: ...
    def lock(self, connection: sa.Connection, names: Sequence[str]) -> None: ...
    def announce(self, connection: sa.Connection) -> None: ...
    def watch(self, changed: Callable[[], None], stopped: Callable[[], bool]) -> None: ...
    def copy(self, folder: Path) -> None: ...


class Sqlite:
    reading: ClassVar[dict[str, Any]] = {"reading": True}
    one_writer: ClassVar[bool] = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._line = path.with_suffix(".line")
        self._turn = threading.Lock()

    def is_there(self) -> bool:
        """Connecting would make it."""
        return self._path.is_file()

    def engine(self) -> sa.Engine:
        engine = sa.create_engine(
            f"sqlite:///{self._path}",
            connect_args={"timeout": LOCK_WAIT_SECONDS, "check_same_thread": False},
            pool_timeout=LOCK_WAIT_SECONDS,
            hide_parameters=True,  # they hold headers' values, and exceptions are printed
        )
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", self._begin)
        return engine

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One thread of this process at a time; `_begin` lets the processes take turns."""
        if not self._turn.acquire(timeout=LOCK_WAIT_SECONDS):
            raise StorageUnavailable("ledger: database is locked by another thread")
        try:
            yield
        finally:
            self._turn.release()

    def _begin(self, connection: sa.Connection) -> None:
        """A reader's view, or the write lock.

        SQLite's own waiting sleeps ever longer, so that a writer who never pauses starves all others for minutes. Here
        whoever waits looks every millisecond, and holds a file lock that the next one must have first: nobody overtakes.
        """
        reading = connection.get_execution_options().get("reading", False)
        # Past SQLAlchemy, which takes 20 times as long for them: these pragmas touch no file, and cannot fail.
        bare = cast(sqlite3.Connection, connection.connection.driver_connection)
        bare.execute(f"PRAGMA query_only = {reading:d}")
        if reading:
            connection.exec_driver_sql("BEGIN")
            return
        bare.execute(f"PRAGMA busy_timeout = {LOOK_MILLISECONDS}")
        end = time.monotonic() + LOCK_WAIT_SECONDS
        with self._next_in_line():
            while True:
                try:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                    break
                except OperationalError:
                    if time.monotonic() > end:
                        raise
        bare.execute(f"PRAGMA busy_timeout = {LOCK_WAIT_SECONDS * 1000:.0f}")

    @contextmanager
    def _next_in_line(self) -> Iterator[None]:
        """A courtesy: past its limit one goes on without it, since whoever holds it may have been stopped."""
        end = time.monotonic() + COURTESY_SECONDS
        with self._line.open("ab") as file:
            while time.monotonic() < end:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(LOOK_MILLISECONDS / 1000)
            yield

    def now(self, _connection: sa.Connection) -> float:
        return time.time()

    def insert(self, table: sa.Table) -> Insert:
        return sqlite.insert(table)

    def least(self, one: Any, other: Any) -> sa.ColumnElement[float]:
        return sa.func.min(one, other)

    def greatest(self, one: Any, other: Any) -> sa.ColumnElement[int]:
        return sa.func.max(one, other)

    def lock(self, connection: sa.Connection, names: Sequence[str]) -> None:
        """There is one writer: it holds every lock."""

    def announce(self, connection: sa.Connection) -> None:
        """A commit shows in `PRAGMA data_version`."""

    def watch(self, changed: Callable[[], None], stopped: Callable[[], bool]) -> None:
        """Call `changed` after commits of any connection in any process."""
        while not stopped():
            try:
                with closing(sqlite3.connect(self._path, timeout=LOCK_WAIT_SECONDS)) as connection:
                    seen = None
                    while not stopped():
                        (version,) = connection.execute("PRAGMA data_version").fetchone()
                        if version != seen:
                            seen = version
                            changed()
                        time.sleep(POLL_SECONDS)
            except sqlite3.Error:  # out of disk or descriptors: whoever waits still looks by itself every second
                time.sleep(RECONNECT_SECONDS)

    def copy(self, folder: Path) -> None:
        """SQLite's online backup: writers go on meanwhile."""
        with (
            closing(sqlite3.connect(self._path, timeout=LOCK_WAIT_SECONDS)) as source,
            closing(sqlite3.connect(folder / self._path.name)) as target,
        ):
            source.backup(target)


class Postgresql:
    reading: ClassVar[dict[str, Any]] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    one_writer: ClassVar[bool] = False

    def __init__(self, url: str) -> None:
        self._url = url

    def is_there(self) -> bool:
        return True

    def engine(self) -> sa.Engine:
        engine = sa.create_engine(
            self._url.replace("postgresql://", "postgresql+psycopg://", 1),
            connect_args=_KEEPALIVE,
            pool_size=POOL_SIZE,
            max_overflow=POOL_SIZE,
            pool_timeout=LOCK_WAIT_SECONDS,
            pool_pre_ping=True,  # a server that was restarted costs no task its attempt
            hide_parameters=True,
        )
        sa.event.listen(engine, "connect", _configure_postgresql)
        return engine

    def turn(self) -> AbstractContextManager[None]:
        return nullcontext()

    def now(self, connection: sa.Connection) -> float:
        """The server's clock: the machines' own differ."""
        return float(connection.scalar(sa.text("SELECT extract(epoch FROM now())")) or 0.0)

    def insert(self, table: sa.Table) -> Insert:
        return postgresql.insert(table)

    def least(self, one: Any, other: Any) -> sa.ColumnElement[float]:
        return sa.func.least(one, other)

    def greatest(self, one: Any, other: Any) -> sa.ColumnElement[int]:
        return sa.func.greatest(one, other)

    def lock(self, connection: sa.Connection, names: Sequence[str]) -> None:
        for name in sorted(names):
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCKS, zlib.crc32(name.encode()) - 2**31)))

    def announce(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")

    def watch(self, changed: Callable[[], None], stopped: Callable[[], bool]) -> None:
        """Call `changed` after commits that announced themselves, and after every gap in listening."""
        while not stopped():
            try:
                with psycopg.connect(self._url, autocommit=True, **_KEEPALIVE) as connection:
                    connection.execute(f"LISTEN {CHANNEL}".encode())
                    changed()
                    while not stopped():
                        if list(connection.notifies(timeout=0.2, stop_after=1)):
                            changed()
            except psycopg.Error:  # restarted or out of reach: whoever waits still looks by itself every second
                time.sleep(RECONNECT_SECONDS)

    def copy(self, folder: Path) -> None:
        """By the server's own pg_dump, for pg_restore. StorageUnavailable where it is not installed, or refuses."""
        url = sa.make_url(self._url)
        # A password on the command line would be everybody's to read.
        environment = os.environ | ({"PGPASSWORD": str(url.password)} if url.password else {})
        shown = url.set(password=None).render_as_string()
        command = ("pg_dump", "--format=custom", f"--file={folder / 'ledger.dump'}", f"--dbname={shown}")
        try:
            subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        except FileNotFoundError:
            raise StorageUnavailable(
                "the ledger is in PostgreSQL, and pg_dump is not installed here: install the package postgresql-client, "
                "or back up on the machine that has it"
            ) from None
        except subprocess.CalledProcessError as error:
            said = error.stderr.strip().splitlines()
            raise StorageUnavailable(f"pg_dump: {said[0] if said else error.returncode}") from None


_LOCKS = 0x484F  # apart from other programs' advisory locks
_KEEPALIVE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event says BEGIN itself
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _configure_postgresql(connection: psycopg.Connection[Any], _record: object) -> None:
    # An acknowledged image must survive the server's end, whatever the server's own settings say.
    connection.execute(
        "SET synchronous_commit = on;"
        f"SET lock_timeout = '{LOCK_WAIT_SECONDS:.0f}s';"
        f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_SECONDS}s'".encode()
    )
    connection.commit()


def first_line(error: DBAPIError) -> str:
    """What the database said, without the details in which PostgreSQL quotes values."""
    if isinstance(error.orig, psycopg.Error) and error.orig.diag.message_primary:
        return error.orig.diag.message_primary
    return str(error.orig).partition("\n")[0]
