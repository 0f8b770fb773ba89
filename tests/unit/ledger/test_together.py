"""Threads that come at once share a commit; nobody is told of success before it, and each fault is its own."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import cast

import pytest
from peers import wait_until

from domain.errors import StorageUnavailable
from ledger import tasks
from ledger.store import Ledger, Transaction
from ledger.together import Together


class Database:
    """Its commits wait for `gate`, one `release` each, and fail where `fault` says so."""

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.committing = threading.Semaphore(0)  # released by every commit that has begun
        self.open: list[str] = []
        self.committed: list[list[str]] = []
        self.fault: Exception | None = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self.open = []
        yield cast(Transaction, self)
        self.committing.release()
        assert self.gate.acquire(timeout=10)
        if self.fault:
            raise self.fault
        self.committed.append(self.open)

    def work(self, name: str) -> Callable[[Transaction], str]:
        def work(_tx: Transaction) -> str:
            if name.startswith("broken"):
                raise ValueError(name)
            self.open.append(name)
            return name

        return work


class Crowd:
    """One thread commits alone; the others come while it does."""

    def __init__(self, database: Database, together: Together, threads: ThreadPoolExecutor, names: list[str]) -> None:
        self.first = threads.submit(together.do, database.work("first"))
        assert database.committing.acquire(timeout=10)
        self.others: list[Future[str]] = [threads.submit(together.do, database.work(name)) for name in names]
        wait_until(lambda: len(together._waiting) == len(names), what="all to wait")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as pool:
        yield pool


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def together(database: Database) -> Together:
    return Together(database.transaction, wait_seconds=10)


def test_who_comes_while_another_commits_shares_the_next_commit_and_returns_after_it(
    database: Database, together: Together, threads: ThreadPoolExecutor
) -> None:
    crowd = Crowd(database, together, threads, ["a", "b", "c"])
    assert not crowd.first.done()
    database.gate.release()
    assert crowd.first.result(10) == "first"
    assert database.committing.acquire(timeout=10)  # the works of all three are done, their commit is not
    assert sorted(database.open) == ["a", "b", "c"]
    assert not any(one.done() for one in crowd.others)
    database.gate.release()
    assert [one.result(10) for one in crowd.others] == ["a", "b", "c"]
    assert [len(names) for names in database.committed] == [1, 3]


def test_one_that_breaks_takes_no_other_along(database: Database, together: Together, threads: ThreadPoolExecutor) -> None:
    crowd = Crowd(database, together, threads, ["a", "broken", "c"])
    database.gate.release(10)
    assert crowd.others[0].result(10) == "a"
    with pytest.raises(ValueError, match="broken"):
        crowd.others[1].result(10)
    assert crowd.others[2].result(10) == "c"
    assert sorted(chain.from_iterable(database.committed)) == ["a", "c", "first"]


def test_a_commit_that_fails_is_nobodys_success(database: Database, together: Together, threads: ThreadPoolExecutor) -> None:
    crowd = Crowd(database, together, threads, ["a", "b"])
    database.gate.release()
    assert crowd.first.result(10) == "first"
    database.fault = StorageUnavailable("the disk is full")
    database.gate.release()
    for one in crowd.others:
        with pytest.raises(StorageUnavailable, match="disk is full"):
            one.result(10)
    assert database.committed == [["first"]]
    database.fault = None
    database.gate.release()
    assert together.do(database.work("later")) == "later"


def test_a_commit_that_hangs_holds_up_its_own_and_refuses_others(database: Database, threads: ThreadPoolExecutor) -> None:
    together = Together(database.transaction, wait_seconds=0.2)
    first = threads.submit(together.do, database.work("first"))
    assert database.committing.acquire(timeout=10)
    with pytest.raises(StorageUnavailable, match="locked"):
        together.do(database.work("second"))
    database.gate.release(2)
    assert first.result(10) == "first"
    assert together.do(database.work("third")) == "third"
    assert database.committed == [["first"], ["third"]]


def test_on_a_real_ledger_whatever_returned_is_there_for_others_and_what_broke_is_not(
    tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    ledger = Ledger(tmp_path)

    def receive(number: int) -> None:
        def work(tx: Transaction) -> None:
            tasks.owe(tx, "image", str(number), queue="analysis")
            if number % 5 == 0:
                raise StorageUnavailable("its file is gone")

        ledger.together(work)
        with sqlite3.connect(tmp_path / "ledger.sqlite") as other:
            assert other.execute("SELECT count(*) FROM task WHERE key = ?", (str(number),)).fetchone() == (1,)
        other.close()

    received = [threads.submit(receive, number) for number in range(100)]
    broken = {number for number, one in enumerate(received) if isinstance(one.exception(30), StorageUnavailable)}
    assert broken == set(range(0, 100, 5))
    assert all(one.exception() is None for number, one in enumerate(received) if number not in broken)
    with ledger.reading() as tx:
        assert len(tasks.owed(tx)) == 80
    ledger.close()
