"""No space, a held lock, a database or broker that forgets: never Success without a commit; all work resumes unaided."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from brokers import rabbitmq
from factories import dx_file
from nodes import write_settings
from peers import connects, free_port, wait_until
from servers import postgresql
from storm import Consoles, Pacs, Parts, audit, wait_for_all_work

from config.settings import Settings, load
from domain.types import AlarmKind
from ledger import alarms
from ledger.store import Ledger
from node.parts import open_ledger

IMAGE_SIDE = 400  # 320 kB


def console(folder: Path, number: int, port: int) -> Consoles:
    image = dx_file(folder / "in" / f"{number}.dcm", study=number, instance=number, rows=IMAGE_SIDE, columns=IMAGE_SIDE)
    sender = Consoles([image], port, seed=number, count=1)
    sender.start()
    return sender


def taken_after(sender: Consoles, what: str) -> dict[str, Path]:
    wait_until(sender.done, seconds=60, what=f"the image to be taken after {what}")
    return sender.acknowledged


def open_kinds(ledger: Ledger) -> set[AlarmKind]:
    with ledger.reading() as tx:
        return {alarm.kind for alarm in alarms.open_alarms(tx)}


@contextmanager
def full_disk(pid: int, limit_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond the limit: its writes fail as on a full disk."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def held_lock(settings: Settings) -> Iterator[None]:
    """Somebody else writes, and does not end."""
    if settings.node.database_url:
        with psycopg.connect(settings.node.database_url) as connection:
            connection.execute("LOCK TABLE image, study, task IN ACCESS EXCLUSIVE MODE")
            yield
    else:
        with closing(sqlite3.connect(settings.node.data_dir / "ledger.sqlite", isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_without_space_or_lock_nothing_is_acknowledged(tmp_path: Path, name: str) -> None:
    port = free_port()
    with ExitStack() as stack:
        pacs = stack.enter_context(Pacs("pacs"))
        database = stack.enter_context(postgresql(tmp_path / "postgresql")) if name == "postgresql" else None
        node_more = f'database_url = "{database.url}"' if database else ""
        file = write_settings(tmp_path, port=port, destinations=[(pacs.name, pacs.ae_title, pacs.port)], node_more=node_more)
        settings, acknowledged = load(file), {}
        parts = stack.enter_context(Parts(file, ["scp", "worker"]))
        wait_until(lambda: connects(port), seconds=30, what="the listener to answer")
        (listener,) = parts.pids("scp")
        with full_disk(listener, 100_000):
            sender = console(tmp_path, 1, port)
            wait_until(lambda: sender.refusals >= 2, seconds=30, what="refusals for want of space")
            assert not sender.acknowledged
        acknowledged |= taken_after(sender, "the disk had space again")
        with held_lock(settings):
            sender = console(tmp_path, 2, port)
            wait_until(lambda: sender.refusals >= 1, seconds=30, what="a refusal for want of the lock")
            assert not sender.acknowledged
        acknowledged |= taken_after(sender, "the lock was free again")
        if database:
            database.stop()
            sender = console(tmp_path, 3, port)
            wait_until(lambda: sender.refusals >= 1, seconds=60, what="a refusal without the database")
            assert not sender.acknowledged
            database.start()
            acknowledged |= taken_after(sender, "PostgreSQL was back")
        ledger = open_ledger(settings.node)
        wait_for_all_work(ledger, seconds=90)
        ledger.close()
        assert parts.pids("scp") == [listener], "the listener was not to die of it"
        tally = audit(settings, [pacs], acknowledged)
    assert tally.faults == []


def test_a_broker_that_forgets_everything_or_is_away_costs_only_time(tmp_path: Path) -> None:
    port = free_port()
    with (
        Pacs("pacs") as pacs,
        postgresql(tmp_path / "postgresql") as database,
        rabbitmq(tmp_path / "rabbitmq") as broker,
    ):
        node_more = f'database_url = "{database.url}"\ndispatch = "celery"\nbroker_url = "{broker.url}"'
        file = write_settings(tmp_path, port=port, destinations=[(pacs.name, pacs.ae_title, pacs.port)], node_more=node_more)
        settings, acknowledged = load(file), {}
        with Parts(file, ["scp", "worker"]):
            wait_until(lambda: connects(port), seconds=30, what="the listener to answer")
            acknowledged |= taken_after(console(tmp_path, 1, port), "the start")
            broker.wipe()
            acknowledged |= taken_after(console(tmp_path, 2, port), "the broker's queues were wiped")
            broker.stop()
            acknowledged |= taken_after(console(tmp_path, 3, port), "the broker went away")
            ledger = open_ledger(settings.node)
            wait_until(lambda: open_kinds(ledger) == {AlarmKind.BROKER_DOWN}, seconds=60, what="an alarm without a broker")
            broker.start()
            wait_until(lambda: open_kinds(ledger) == set(), seconds=60, what="the alarm's end")
            wait_for_all_work(ledger, seconds=120)
            ledger.close()
        tally = audit(settings, [pacs], acknowledged)
    assert tally.faults == []
