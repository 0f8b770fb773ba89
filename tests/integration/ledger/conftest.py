"""The same ledger on SQLite and on a real PostgreSQL; the tests do not know which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from servers import Server, postgresql

from ledger import schema
from ledger.store import Clock, Ledger

Open = Callable[..., Ledger]


class StoppedClock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with postgresql(tmp_path_factory.mktemp("server") / "postgresql", "fsync=off") as running:
        yield running


@pytest.fixture(scope="session")
def one_database(server: Server) -> str:
    return server.database()


@pytest.fixture(params=["sqlite", "postgresql"])
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the test's own ledger, empty at first; as often as the test has parts of a node."""
    url = request.getfixturevalue("one_database") if request.param == "postgresql" else ""
    opened: list[Ledger] = []

    def open_(clock: Clock | None = None) -> Ledger:
        opened.append(Ledger(tmp_path / "data", database_url=url, clock=clock))
        return opened[-1]

    yield open_
    if url:
        _empty(opened[0])
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: Open, clock: StoppedClock) -> Ledger:
    return open_ledger(clock)


def _empty(ledger: Ledger) -> None:
    """A new database for every test would take longer than the test."""
    names = ", ".join(table.name for table in schema.metadata.sorted_tables if table.name != "node")
    with ledger.transaction() as tx:
        tx.connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY"))
        tx.connection.execute(sa.text("DELETE FROM node WHERE name <> 'namespace'"))
