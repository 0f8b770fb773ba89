"""A database that goes away in mid-work, and threads that wait for its commits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from peers import wait_until
from servers import Server, postgresql
from sqlalchemy.exc import DataError

from domain.errors import StorageUnavailable
from ledger import tasks
from ledger.store import Ledger

Open = Callable[..., Ledger]


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with postgresql(tmp_path_factory.mktemp("server") / "mortal") as server:
        yield server


@pytest.fixture
def remote(mortal: Server, tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    """Opens the test's own ledger on the server that is going to die."""
    url = mortal.database()
    opened: list[Ledger] = []

    def open_() -> Ledger:
        opened.append(Ledger(tmp_path / "data", database_url=url))
        return opened[-1]

    yield open_
    for ledger in opened:
        ledger.close()


def owe(ledger: Ledger, key: str) -> None:
    with ledger.transaction() as tx:
        tasks.owe(tx, "image", key, queue="analysis")


def keys(ledger: Ledger) -> list[str]:
    with ledger.reading() as tx:
        return [row.key for row in tasks.owed(tx)]


def wakes(ledger: Ledger, commit: Callable[[], None]) -> float:
    """Seconds from a commit until a thread that waits for one is awake."""
    changes = ledger.changes()
    changes.wait(1.0, lambda: False)  # what happened before
    woken: list[float] = []
    waiter = threading.Thread(target=lambda: (changes.wait(10.0, lambda: False), woken.append(time.monotonic())))
    waiter.start()
    commit()
    committed = time.monotonic()
    waiter.join()
    return woken[0] - committed


def test_a_commit_of_another_part_wakes_whoever_waits(open_ledger: Open) -> None:
    here, there = open_ledger(), open_ledger()
    assert wakes(here, lambda: owe(there, "1")) < 1.0
    assert wakes(here, lambda: owe(here, "2")) < 1.0


def test_waiting_ends_when_asked_to_stop(open_ledger: Open) -> None:
    changes = open_ledger().changes()
    stop = threading.Event()
    waiter = threading.Thread(target=changes.wait, args=(60.0, stop.is_set))
    waiter.start()
    stop.set()
    waiter.join(5)
    assert not waiter.is_alive()


def test_a_server_that_is_restarted_costs_what_was_not_committed_and_nothing_else(
    mortal: Server, remote: Callable[[], Ledger]
) -> None:
    ledger = remote()
    owe(ledger, "before")
    with pytest.raises(StorageUnavailable), ledger.transaction() as tx:
        tasks.owe(tx, "image", "during", queue="analysis")
        mortal.kill()
    with pytest.raises(StorageUnavailable):
        owe(ledger, "away")
    with pytest.raises(StorageUnavailable, match="ledger: connection"):
        remote()
    mortal.start()
    assert keys(ledger) == ["before"]
    owe(ledger, "after")
    assert keys(ledger) == ["before", "after"]


def test_a_restart_costs_idle_connections_no_error_and_the_watcher_listens_again(
    mortal: Server, remote: Callable[[], Ledger]
) -> None:
    ledger = remote()
    assert wakes(ledger, lambda: owe(ledger, "1")) < 1.0
    mortal.stop()
    mortal.start()
    owe(ledger, "2")  # its pooled connection is dead: nobody notices
    other = remote()
    numbers = iter(range(3, 100))
    wait_until(lambda: wakes(ledger, lambda: owe(other, str(next(numbers)))) < 1.0, seconds=20)


def test_a_task_that_was_held_over_a_restart_still_ends(mortal: Server, remote: Callable[[], Ledger]) -> None:
    ledger = remote()
    owe(ledger, "1")
    with ledger.transaction() as tx:
        held = tasks.claim(tx, "analysis", connections={})
    assert held
    mortal.kill()
    mortal.start()
    with ledger.transaction() as tx:
        tasks.finish(tx, held)
    assert keys(ledger) == []


def test_the_servers_clock_counts_and_not_this_machines(
    mortal: Server, remote: Callable[[], Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = remote()
    really = time.time()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with ledger.transaction() as tx:
        assert abs(tx.now - really) < 60


def test_what_is_committed_is_on_disk_whatever_the_server_is_set_to(mortal: Server, tmp_path: Path) -> None:
    url = mortal.database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off".encode())
    ledger = Ledger(tmp_path, database_url=url)
    with ledger.reading() as tx:
        assert tx.connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    ledger.close()


def test_more_threads_than_connections_each_get_their_turn(remote: Callable[[], Ledger]) -> None:
    ledger = remote()
    threads = [threading.Thread(target=owe, args=(ledger, str(number))) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys(ledger)) == 40


def test_readers_delay_no_writer(open_ledger: Open) -> None:
    ledger, other = open_ledger(), open_ledger()
    owe(ledger, "1")
    with ledger.reading() as view:
        before = [row.key for row in tasks.owed(view)]
        owe(other, "2")
        owe(ledger, "3")
        assert [row.key for row in tasks.owed(view)] == before  # one moment, however long it takes to read
    assert keys(ledger) == ["1", "2", "3"]


def test_reading_writes_nothing(open_ledger: Open) -> None:
    ledger = open_ledger()
    with pytest.raises(StorageUnavailable, match=r"read-?only"), ledger.reading() as tx:
        tasks.owe(tx, "image", "1", queue="analysis")
    assert keys(ledger) == []


def test_what_the_database_can_never_take_is_no_outage(one_database: str, tmp_path: Path) -> None:
    """Whoever tries again for as long as the database is away would do so for ever."""
    ledger = Ledger(tmp_path / "data", database_url=one_database)
    with pytest.raises(DataError), ledger.transaction() as tx:
        tx.connection.execute(sa.text("SELECT 1 / 0"))
    ledger.close()
