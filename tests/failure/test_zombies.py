"""A worker that was stopped past its lease and wakes up: its result is thrown away, and no work is chained twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from factories import dx_file
from nodes import write_settings
from peers import connects, free_port, wait_until
from storm import (
    BACKENDS,
    Backend,
    Consoles,
    Pacs,
    Parts,
    audit,
    backend,
    expire_leases,
    wait_for_all_work,
)

from config.settings import Settings, load
from domain.errors import StorageUnavailable
from ledger import schema
from ledger.store import Ledger
from node.parts import open_ledger

TRIES = 20


@dataclass(kw_only=True)
class Scene:
    folder: Path
    file: Path
    settings: Settings
    pacs: Pacs
    ledger: Ledger
    acknowledged: dict[str, Path]
    images: int = 0

    def send(self, *, study: int = 1) -> None:
        """One more image, taken."""
        self.images += 1
        image = dx_file(self.folder / "in" / f"{self.images}.dcm", study=study, instance=self.images, rows=700, columns=900)
        console = Consoles([image], self.settings.node.port, seed=self.images, count=1)
        console.start()
        wait_until(console.done, seconds=30, what="the image to be taken")
        self.acknowledged |= console.acknowledged

    def running(self, kind: str) -> bool:
        with self.ledger.transaction() as tx:
            of_kind = sa.select(schema.task.c.id).where(schema.task.c.kind == kind, schema.task.c.state == "running")
            return tx.connection.scalar(of_kind) is not None

    def stop_in(self, kind: str, parts: Parts) -> int:
        """Stop the worker in the middle of a task of this kind, without a lock in its hands; its process."""
        for _ in range(TRIES):
            self.send()
            wait_until(lambda: self.running(kind), seconds=30, what=f"a task {kind} to run")
            (pid,) = parts.pids("worker")
            parts.stop(pid)
            try:
                if self.running(kind):
                    expire_leases(self.ledger)
                    return pid
            except StorageUnavailable:  # it holds a lock of the database
                pass
            parts.wake(pid)
        raise AssertionError(f"no task {kind} was caught in the middle")

    def revision(self) -> int:
        with self.ledger.reading() as tx:
            return tx.connection.scalar(sa.select(schema.study.c.revision)) or 0

    def assert_nothing_twice(self) -> None:
        tally = audit(self.settings, [self.pacs], self.acknowledged)
        assert tally.faults == []
        with self.ledger.transaction() as tx:
            chained = sa.select(schema.task.c.key).where(schema.task.c.kind == "verify", schema.task.c.state == "done")
            verified = Counter(tx.connection.scalars(chained))
        assert set(verified.values()) == {1}


@contextmanager
def scene(folder: Path, name: Backend) -> Iterator[Scene]:
    port = free_port()
    with Pacs("pacs") as pacs, backend(name, folder) as node_more:
        destinations = [(pacs.name, pacs.ae_title, pacs.port)]
        file = write_settings(folder, port=port, destinations=destinations, node_more=node_more)
        settings = load(file)
        with Parts(file, ["scp"]):
            wait_until(lambda: connects(port), seconds=30, what="the listener to answer")
            ledger = open_ledger(settings.node)
            try:
                yield Scene(folder=folder, file=file, settings=settings, pacs=pacs, ledger=ledger, acknowledged={})
            finally:
                ledger.close()


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("kind", ["image", "deliver"])
def test_a_worker_stopped_past_its_lease_is_fenced(tmp_path: Path, name: Backend, kind: str) -> None:
    with scene(tmp_path, name) as at, Parts(at.file, ["worker"]) as first:
        if kind == "deliver":
            at.pacs.behave("hangs")
        zombie = at.stop_in(kind, first)
        at.pacs.behave("well")
        with Parts(at.file, ["worker"]):
            wait_for_all_work(at.ledger, seconds=180)
            filed = len(at.pacs.uids())
            first.wake(zombie)
            wait_until(lambda: "lease lost" in first.log(), seconds=30, what="the woken worker to notice")
            wait_for_all_work(at.ledger, seconds=90)
        assert len(at.pacs.uids()) == filed
        at.assert_nothing_twice()


@pytest.mark.parametrize("name", BACKENDS)
def test_an_image_that_comes_while_its_study_is_reported_makes_a_revision(tmp_path: Path, name: Backend) -> None:
    with scene(tmp_path, name) as at, Parts(at.file, ["worker"]) as parts:
        for _ in range(TRIES):
            worker = at.stop_in("study", parts)
            before = at.revision()
            at.send()
            parts.wake(worker)
            wait_for_all_work(at.ledger, seconds=90)
            if at.revision() - before >= 2:  # else it was stopped before it had looked at the study's images
                break
        assert at.revision() - before >= 2
        at.assert_nothing_twice()
