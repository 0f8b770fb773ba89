"""What SQLite needs to serve several processes: no hang at a held lock, and indexes that make finished work cost nothing."""

from __future__ import annotations

import fcntl
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.errors import StorageUnavailable
from ledger import messages, status, tasks
from ledger.store import Ledger, Transaction


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def test_a_held_write_lock_is_an_error_and_not_a_hang(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ledger.databases.LOCK_WAIT_SECONDS", 0.05)
    second = Ledger(tmp_path)
    with ledger.transaction():
        for other in (second, ledger):  # another process, and another thread of this one
            with pytest.raises(StorageUnavailable, match="locked"), other.transaction():
                pass
    second.close()


def test_the_log_of_the_database_is_synchronised(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert tx.connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert tx.connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match="data folder"):
        Ledger(tmp_path / "file" / "data")


def test_what_is_no_database_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"this was never a database" * 100)
    with pytest.raises(StorageUnavailable, match="not a database"):
        Ledger(tmp_path)


def plans(ledger: Ledger) -> dict[str, list[str]]:
    """{statement: its query plan} of everything that is asked again and again."""
    seen: list[tuple[str, object]] = []
    sa.event.listen(ledger._engine, "before_cursor_execute", lambda *call: seen.append((call[2], call[3])))

    def ask(tx: Transaction) -> None:
        tasks.owe(tx, "deliver", "1", queue="delivery", destination="pacs")
        tasks.next_run_at(tx, "delivery", connections={"pacs": 1})
        messages.due_unsent(tx, "delivery", connections={"pacs": 1}, limit=1)
        held = tasks.claim(tx, "delivery", connections={"pacs": 1})
        assert held
        tasks.reap(tx)
        tasks.finish(tx, held)
        tasks.owed(tx)
        status.task_counts(tx)
        status.studies_in_work(tx)

    with ledger.transaction() as tx:
        ask(tx)
    asked = [(statement, values) for statement, values in seen if statement.startswith(("SELECT", "UPDATE", "WITH"))]
    with ledger.transaction() as tx:
        return {
            statement: [row[3] for row in tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]  # type: ignore[arg-type]
            for statement, values in asked
        }


def test_finished_tasks_cost_the_next_one_nothing(ledger: Ledger) -> None:
    """No question of a worker, nor of `status`, reads the table: there may be 300,000 of them."""
    found = plans(ledger)
    assert len(found) > 5
    for statement, plan in found.items():
        for step in plan:
            assert not (step.startswith("SCAN") and "task" in step and "INDEX task_" not in step), (statement, plan)


WRITING = """
import sys, time
from pathlib import Path
from ledger import tasks
from ledger.store import Ledger
ledger = Ledger(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
over, committed = time.monotonic() + 2.0, 0
while time.monotonic() < over:
    with ledger.transaction() as tx:
        tasks.owe(tx, "image", f"{sys.argv[2]} {committed}", queue="analysis")
    committed += 1
print(committed)
"""


def test_processes_that_never_pause_take_turns(ledger: Ledger, tmp_path: Path) -> None:
    """Left to SQLite's own waiting, one of three commits thousands of times and another hardly once."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITING, str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for writer in writers:
        assert writer.stdout
        writer.stdout.readline()
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("\n")
        writer.stdin.flush()
    committed = [int(writer.communicate(timeout=30)[0]) for writer in writers]
    assert min(committed) > max(committed) / 4, committed


def test_a_stopped_process_in_the_line_holds_nobody_up_for_long(ledger: Ledger, tmp_path: Path) -> None:
    with (tmp_path / "ledger.line").open("ab") as line:
        fcntl.flock(line, fcntl.LOCK_EX)
        started = time.monotonic()
        with ledger.transaction() as tx:
            tasks.owe(tx, "image", "1", queue="analysis")
        assert time.monotonic() - started < 2.0


def test_threads_of_one_process_take_turns(ledger: Ledger) -> None:
    """Writers that never pause; the listener among them is served with them, not after them."""
    over = time.monotonic() + 1.0
    committed = [0, 0, 0, 0]

    def write(number: int) -> None:
        while time.monotonic() < over:
            with ledger.transaction() as tx:
                tasks.owe(tx, "image", f"{number} {committed[number]}", queue="analysis")
            committed[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(committed) > max(committed) / 4, committed


def test_a_watcher_that_loses_the_database_finds_it_again(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of descriptors for a moment: nobody would be woken any more."""
    monkeypatch.setattr("ledger.databases.RECONNECT_SECONDS", 0.05)
    connect, refusals = sqlite3.connect, iter(range(3))

    def refuse_at_first(*arguments: object, **more: object) -> sqlite3.Connection:
        if threading.current_thread().name == "ledger-watch" and next(refusals, None) is not None:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(*arguments, **more)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", refuse_at_first)
    changes = ledger.changes()
    woken = threading.Event()
    waiter = threading.Thread(target=lambda: (changes.wait(30.0, lambda: False), woken.set()))
    waiter.start()
    assert woken.wait(10)
    waiter.join()
    ledger.close()
