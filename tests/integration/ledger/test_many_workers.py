"""Parts of a node on one database at the same time: what SQLite's one writer gives for nothing, PostgreSQL must lock."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.types import AlarmKind, InstanceRef, Received
from ledger import alarms, images, peers, schema, tasks
from ledger.store import Ledger

Open = Callable[..., Ledger]

WORKERS = 6


def together(body: Callable[[int], None], count: int = WORKERS) -> None:
    """Raises what broke in any of them."""
    ready = threading.Barrier(count)

    def run(number: int) -> None:
        ready.wait(10)
        body(number)

    with ThreadPoolExecutor(count) as pool:
        for each in [pool.submit(run, number) for number in range(count)]:
            each.result(60)


def received(uid: str, study: str = "2.25.1") -> Received:
    return Received(
        ref=InstanceRef(sop_class_uid="1.2", sop_instance_uid=uid),
        study_instance_uid=study,
        series_instance_uid="2.25.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="ROOM\0",
        called_ae="HOUNDSFIELD",
        peer_host="127.0.0.1",
        modality="room-1",
        part10_header=b"",
        data_set=b"",
    )


def test_no_destination_gets_more_connections_than_it_takes_and_no_task_runs_twice(open_ledger: Open) -> None:
    ledgers = [open_ledger(), open_ledger()]  # as two processes have them
    limits = {"narrow": 1, "wide": 3}
    with ledgers[0].transaction() as tx:
        for number in range(60):
            tasks.owe(tx, "deliver", str(number), queue="delivery", destination=("narrow", "wide")[number % 2])
    running, most, done = Counter[str](), Counter[str](), Counter[str]()
    guard = threading.Lock()

    def work(number: int) -> None:
        ledger = ledgers[number % 2]
        while sum(done.values()) < 60:
            with ledger.transaction() as tx:
                held = tasks.claim(tx, "delivery", connections=limits)
            if held is None or held.destination is None:
                time.sleep(0.002)
                continue
            with guard:
                running[held.destination] += 1
                most[held.destination] = max(most[held.destination], running[held.destination])
            time.sleep(0.01)
            with guard:
                running[held.destination] -= 1
                done[held.key] += 1
            with ledger.transaction() as tx:
                tasks.finish(tx, held)

    together(work)
    assert most["narrow"] == 1
    assert 1 < most["wide"] <= 3
    assert set(done.values()) == {1}


def test_a_studys_revisions_are_written_one_after_another(open_ledger: Open) -> None:
    """While images keep coming, and workers give their tasks back, die, and are reaped."""
    ledgers = [open_ledger(), open_ledger()]
    inside, most, written = Counter[str](), Counter[str](), Counter[str]()
    guard = threading.Lock()
    over = time.monotonic() + 2.0

    def listen(ledger: Ledger) -> None:
        with ledger.transaction() as tx:
            tasks.debounce(tx, "study", "s", queue="analysis", quiet_seconds=0.0, max_wait_seconds=0.0)

    def work(number: int) -> None:
        ledger = ledgers[number % 2]
        while time.monotonic() < over:
            if number < 2:
                listen(ledger)
                continue
            with ledger.transaction() as tx:
                held = tasks.claim(tx, "analysis", connections={})
            if held is None:
                time.sleep(0.001)
                continue
            with guard:
                inside[held.key] += 1
                most[held.key] = max(most[held.key], inside[held.key])
            time.sleep(0.001)
            with guard:
                inside[held.key] -= 1
                written[held.key] += 1
            with ledger.transaction() as tx:
                if written[held.key] % 3:
                    tasks.finish(tx, held)
                else:
                    tasks.postpone(tx, held, seconds=0.0)

    together(work)
    assert most == {"s": 1}
    assert written["s"] > 20


def test_a_studys_images_are_numbered_one_after_another(open_ledger: Open, tmp_path: Path) -> None:
    ledgers = [open_ledger(), open_ledger()]
    file = tmp_path / "image.dcm"
    file.touch()

    def receive(number: int) -> None:
        for count in range(10):
            with ledgers[number % 2].transaction() as tx:
                # Half of them come twice, over two associations at the same moment.
                uid = f"2.25.{count}" if number < 2 else f"2.25.{number}{count}"
                images.add(tx, received(uid), path=file, sha256=uid, size_bytes=3_000_000_000)

    together(receive)
    with ledgers[0].reading() as tx:
        numbers = [row.number for row in images.of_study(tx, "2.25.1")]
    assert numbers == list(range(1, 10 * (WORKERS - 1) + 1))


def test_two_contents_of_one_instance_are_noticed_though_they_come_at_once(open_ledger: Open, tmp_path: Path) -> None:
    ledger = open_ledger()
    file = tmp_path / "image.dcm"
    file.touch()

    ready = threading.Barrier(2)

    def receive(number: int) -> None:
        for count in range(20):
            ready.wait(10)
            one = received(f"2.25.7{count}", f"2.25.1{number}")
            with ledger.transaction() as tx:
                images.add(tx, one, path=file, sha256=str(number), size_bytes=1)

    together(receive, 2)
    with ledger.reading() as tx:
        assert [row.kind for row in alarms.open_alarms(tx)] == [AlarmKind.CONFLICT] * 20


def test_a_breaker_counts_every_failure(open_ledger: Open) -> None:
    ledger = open_ledger()
    pauses = []

    def fail(_number: int) -> None:
        with ledger.transaction() as tx:
            pauses.append(peers.unavailable(tx, "pacs", error="no answer"))

    together(fail)
    assert sorted(pauses) == [5, 10, 20, 40, 80, 160]


OPENING = """
import sys
from pathlib import Path

from ledger.store import Ledger
print("ready", flush=True)
sys.stdin.readline()
print(Ledger(Path(sys.argv[1]), database_url=sys.argv[2]).namespace)
"""


AS_0002 = (
    "ALTER TABLE delivery DROP COLUMN late_looks",
    "ALTER TABLE commitment DROP COLUMN accepted_at",
    "DROP TABLE feedback",
    "UPDATE alembic_version SET version_num = '0002'",
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_parts_that_start_at_once_make_the_database_once(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("server").database() if kind == "postgresql" else ""
    opened_at_once(tmp_path / "data", url)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_parts_that_start_at_once_after_an_upgrade_migrate_once(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("server").database() if kind == "postgresql" else ""
    older = Ledger(tmp_path / "data", database_url=url)
    with older.transaction() as tx:
        for change in AS_0002:
            tx.connection.exec_driver_sql(change)
    older.close()
    opened_at_once(tmp_path / "data", url)
    ledger = Ledger(tmp_path / "data", database_url=url)
    with ledger.reading() as tx:
        found = sa.inspect(tx.connection)
        columns = {name: {str(column["name"]) for column in found.get_columns(name)} for name in found.get_table_names()}
    ledger.close()
    assert columns.pop("alembic_version") == {"version_num"}
    assert columns == {table.name: {column.name for column in table.c} for table in schema.metadata.sorted_tables}


def opened_at_once(data: Path, url: str) -> None:
    """By four processes, each of which gets the same ledger."""
    parts = [
        subprocess.Popen(
            [sys.executable, "-c", OPENING, str(data), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for part in parts:
        assert part.stdout
        part.stdout.readline()
    for part in parts:
        assert part.stdin
        part.stdin.write("\n")
        part.stdin.flush()
    said = [part.communicate(timeout=30) for part in parts]
    assert len({out for out, _ in said}) == 1, said
    assert all(out for out, _ in said), said
