"""Consoles that never give up, a PACS that can be away, and the count of what was lost or made twice in between.

with Pacs("pacs") as pacs, backend("postgresql", folder) as node_more: …
consoles = Consoles(files, port, seed=1); consoles.start(); …; consoles.stop()
tally = audit(settings, [pacs], consoles.acknowledged)      → tally.faults is empty, or says what is wrong
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil  # type: ignore[import-untyped]
import sqlalchemy as sa
from brokers import rabbitmq
from factories import dx_file
from nodes import write_settings
from peers import free_port, wait_until
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)
from servers import postgresql

from config.settings import Settings, load
from delivery.store import StoreState, store
from domain.errors import HoundsfieldError, StorageUnavailable
from domain.types import Peer
from ledger import schema
from ledger.store import Ledger
from node.parts import open_ledger

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # refused connections are what a storm is made of

Backend = Literal["sqlite", "postgresql", "celery"]
BACKENDS: tuple[Backend, ...] = ("sqlite", "postgresql", "celery")
IMAGES_PER_SECOND = 2.0
Mode = Literal["well", "busy", "hangs", "cuts"]


@contextmanager
def backend(name: Backend, folder: Path) -> Iterator[str]:
    """The servers that this way of running a node needs; yields the TOML of [node] that names them."""
    with ExitStack() as stack:
        lines = []
        if name != "sqlite":
            lines.append(f'database_url = "{stack.enter_context(postgresql(folder / "postgresql")).url}"')
        if name == "celery":
            lines += ['dispatch = "celery"', f'broker_url = "{stack.enter_context(rabbitmq(folder / "rabbitmq")).url}"']
        yield "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """An object as it arrived: what it is a version of, and the digest of its bytes."""

    sop_instance_uid: str
    place: tuple[str, str]  # Series Instance UID and Instance Number: the revision of a report, the image of an overlay
    digest: str


class Pacs:
    """An archive in this process. `mode` changes how it answers, `away` and `back` whether it does."""

    def __init__(self, name: str) -> None:
        self.name, self.ae_title, self.port = name, name.upper(), free_port()
        self.mode: Mode = "well"
        self.filed: list[Filed] = []
        self.dialled = 0
        self._changed = threading.Condition()
        self._server: Any = None

    def __enter__(self) -> Pacs:
        self.back()
        return self

    def __exit__(self, *_error: object) -> None:
        self.behave("well")
        self.away()

    def back(self) -> None:
        entity = AE(ae_title=self.ae_title)
        entity.maximum_associations = 200  # those that hang stay
        entity.supported_contexts = AllStoragePresentationContexts
        for other in (Verification, StudyRootQueryRetrieveInformationModelFind):
            entity.add_supported_context(other)
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
        ]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def away(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    @property
    def listens(self) -> bool:
        return self._server is not None

    def behave(self, mode: Mode) -> None:
        with self._changed:
            self.mode = mode
            self._changed.notify_all()

    def uids(self) -> set[str]:
        return {item.sop_instance_uid for item in list(self.filed)}

    def _opened(self, _event: Any) -> None:
        self.dialled += 1

    def _store(self, event: Any) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self.mode != "hangs")
        if self.mode == "busy":
            return 0xA700
        data_set: Dataset = event.dataset
        self.filed.append(
            Filed(
                sop_instance_uid=data_set.SOPInstanceUID,
                place=(data_set.SeriesInstanceUID, str(data_set.get("InstanceNumber"))),
                digest=hashlib.sha256(event.request.DataSet.getvalue()).hexdigest(),
            )
        )
        if self.mode == "cuts":
            event.assoc.abort()
        return 0x0000

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        query: Dataset = event.identifier
        if query.SOPInstanceUID in self.uids():
            yield 0xFF00, query
        yield 0x0000, None


class Consoles:
    """Each sends its files one after another, again and again until they are acknowledged."""

    def __init__(self, files: Sequence[Path], port: int, *, seed: int, count: int = 3, pause_seconds: float = 0.0) -> None:
        self.acknowledged: dict[str, Path] = {}
        self.refusals = 0
        self._peer = Peer(ae_title="HOUNDSFIELD", host="127.0.0.1", port=port, calling_ae="DRROOM1")
        self._stop = threading.Event()
        self._random = random.Random(seed)  # noqa: S311  a storm that can be had again
        self._pause_seconds = pause_seconds
        self._threads = [threading.Thread(target=self._run, args=(list(files[n::count]),)) for n in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait_for_another(self, *, seconds: float) -> None:
        """Until one more image is acknowledged, or for so long."""
        end, before = time.monotonic() + seconds, len(self.acknowledged)
        while len(self.acknowledged) == before and time.monotonic() < end:
            time.sleep(0.005)

    def done(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, left: list[Path]) -> None:
        while left and not self._stop.is_set():
            batch = left[: self._random.randint(1, 3)]
            try:
                store(batch, self._peer, timeout_seconds=15.0, stored=lambda path, result: self._heard(left, path, result))
            except HoundsfieldError:
                self._stop.wait(0.3)
            self._stop.wait(self._pause_seconds)

    def _heard(self, left: list[Path], path: Path, result: Any) -> None:
        if result.state is StoreState.STORED:
            self.acknowledged[result.sop_instance_uid] = path
            left.remove(path)
        else:
            self.refusals += 1
            self._stop.wait(0.1)


class Parts:
    """Parts of a node, each started again as soon as it ends: `scp`, `worker`, …, by the commands of their users."""

    def __init__(self, settings: Path, commands: Sequence[str], *, environment: dict[str, str] | None = None) -> None:
        self._settings = settings
        self._environment = os.environ | (environment or {})
        self._commands = list(commands)
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep)
        self._log = (settings.parent / "parts.log").open("ab")

    def __enter__(self) -> Parts:
        self._running = [(command, self._start(command)) for command in self._commands]
        self._keeper.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._keeper.join()
        for _, process in self._running:
            if process.poll() is None:
                self.wake(process.pid)
            process.terminate()
        ended = [process.wait(40) for _, process in self._running]
        self._log.close()
        if error[0] is not None:
            sys.stderr.write(f"--- parts: the end of their log\n{self.log()[-4000:]}\n---\n")
        else:
            assert set(ended) <= {0}, f"parts ended with {ended} after SIGTERM"

    def pids(self, command: str) -> list[int]:
        return [process.pid for each, process in self._running if each == command and process.poll() is None]

    def kill(self, pid: int) -> None:
        """A process of ours, and no other."""
        next(process for _, process in self._running if process.pid == pid).kill()

    def stop(self, pid: int) -> None:
        """Nothing of it runs until `wake`: a machine that sleeps, or swaps."""
        for process in _with_children(pid):
            process.suspend()

    def wake(self, pid: int) -> None:
        for process in reversed(_with_children(pid)):  # a woken parent may end its children
            process.resume()

    def log(self) -> str:
        return (self._settings.parent / "parts.log").read_text(errors="replace")

    def _start(self, command: str) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", "cli", command, "--config", str(self._settings)]
        return subprocess.Popen(line, env=self._environment, stdout=self._log, stderr=self._log)

    def _keep(self) -> None:
        while not self._stop.wait(0.1):
            self._running = [
                (command, process if process.poll() is None else self._start(command)) for command, process in self._running
            ]


def _with_children(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


@dataclass(kw_only=True)
class Tally:
    acknowledged: int
    deaths: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    undelivered: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        return [*self.lost, *self.twice, *self.undelivered, *self.unfinished]


def audit(settings: Settings, archives: Sequence[Pacs], acknowledged: dict[str, Path]) -> Tally:
    """Every promise of the ledger, counted from its rows, the spool's files and what the archives hold."""
    tally = Tally(acknowledged=len(acknowledged))
    ledger = open_ledger(settings.node)
    try:
        with ledger.transaction() as tx:
            images = {row.sop_instance_uid: row for row in tx.connection.execute(sa.select(schema.image))}
            tasks = tx.connection.execute(sa.select(schema.task).where(schema.task.c.state.not_in(("done", "cancelled"))))
            unfinished = [f"{row.state} {row.kind} task {row.id}: {row.error}" for row in tasks if row.kind != "upkeep"]
            owed = tx.connection.execute(sa.select(schema.delivery)).all()
            studies = tx.connection.execute(sa.select(schema.study)).all()
    finally:
        ledger.close()
    tally.unfinished = unfinished
    for uid, path in acknowledged.items():
        row = images.get(uid)
        if row is None:
            tally.lost.append(f"{uid}: acknowledged and not in the ledger")
        elif not _holds(settings.node.data_dir / row.path, path):
            tally.lost.append(f"{uid}: acknowledged, and its file is not what was sent")
        elif row.answer is None:
            tally.lost.append(f"{uid}: acknowledged and never answered")
    for archive in archives:
        tally.twice += _twice(archive)
        here = archive.uids()
        wanted = [row for row in owed if row.destination == archive.name]
        open_ = [row for row in wanted if row.state != "VERIFIED"]
        tally.undelivered += [f"{archive.name}: {row.sop_instance_uid} {row.state}: {row.last_status}" for row in open_]
        tally.undelivered += [
            f"{archive.name}: no {row.sop_instance_uid}" for row in wanted if row.sop_instance_uid not in here
        ]
        strangers = here - {row.sop_instance_uid for row in wanted}
        tally.twice += [f"{archive.name}: {uid} is not in the ledger" for uid in strangers]
    tally.undelivered += [f"study {row.study_instance_uid} has no report" for row in studies if not row.revision]
    return tally


def _twice(archive: Pacs) -> list[str]:
    """Sent again is filed once (the same bytes under the same UID); made again is not."""
    objects, contents = defaultdict(set), defaultdict(set)
    for item in archive.filed:
        objects[item.place].add(item.sop_instance_uid)
        contents[item.sop_instance_uid].add(item.digest)
    return [
        f"{archive.name}: series and number {place}: {len(uids)} objects" for place, uids in objects.items() if len(uids) > 1
    ] + [f"{archive.name}: {uid} came with {len(digests)} contents" for uid, digests in contents.items() if len(digests) > 1]


def _holds(spooled: Path, sent: Path) -> bool:
    """Whether the spooled file is there and has the data set that was sent."""
    if not spooled.is_file():
        return False
    return bool(dcmread(spooled).PixelData == dcmread(sent).PixelData)


def age(ledger: Ledger, seconds: float) -> None:
    """Time passes: everything that the ledger knows is so much longer ago, except that what runs is still alive."""
    for table in (schema.task, schema.delivery, schema.destination, schema.study, schema.image):
        times = [column for column in table.c if isinstance(column.type, sa.Float) and column.name != "lease_until"]
        while True:
            try:
                with ledger.transaction() as tx:
                    tx.connection.execute(sa.update(table).values({column: column - seconds for column in times}))
                break
            except StorageUnavailable:  # PostgreSQL ends one of two that wait for each other: no worker locks all rows
                time.sleep(0.1)


def expire_leases(ledger: Ledger) -> None:
    """As after half a minute without a heartbeat."""
    with ledger.transaction() as tx:
        tx.connection.execute(sa.update(schema.task).where(schema.task.c.state == "running").values(lease_until=0.0))


def wait_for_all_work(ledger: Ledger, *, seconds: float, hurry: bool = False) -> None:
    """AssertionError with what is left when it is not all done in time. hurry: pauses between attempts are cut short."""
    end = time.monotonic() + seconds
    while left := _left(ledger):
        assert time.monotonic() < end, f"not done within {seconds:g} s: {left[:5]}"
        time.sleep(0.5)
        if hurry:
            with suppress(StorageUnavailable):
                _end_pauses(ledger)


def _end_pauses(ledger: Ledger) -> None:
    """Of breakers, and of documents that wait for another attempt."""
    with ledger.transaction() as tx:
        tx.connection.execute(sa.update(schema.destination).values(paused_until=0.0))
        waiting = (schema.task.c.state == "ready", schema.task.c.kind == "deliver")
        tx.connection.execute(sa.update(schema.task).where(*waiting).values(run_at=tx.now, rank_at=tx.now))


def _left(ledger: Ledger) -> list[str]:
    with ledger.transaction() as tx:
        rows = tx.connection.execute(
            sa.select(schema.task).where(schema.task.c.state.in_(("ready", "running")), schema.task.c.kind != "upkeep")
        )
        return [f"{row.state} {row.kind} after {row.attempts} attempts: {row.error}" for row in rows]


def chaos(folder: Path, name: Backend, *, seed: int, seconds: float, kill_every_seconds: float) -> Tally:
    """Consoles send for so long, two archives come and go, and a part dies every so often; then everything is counted."""
    dice = random.Random(seed)  # noqa: S311  a storm that can be had again
    port = free_port()
    with Pacs("pacs") as pacs, Pacs("other") as other, backend(name, folder) as node_more:
        archives = (pacs, other)
        destinations = [(each.name, each.ae_title, each.port) for each in archives]
        file = write_settings(
            folder, port=port, destinations=destinations, node_more=node_more, destination_more="timeout_seconds = 3.0"
        )
        settings = load(file)
        images = int(seconds * IMAGES_PER_SECOND)
        files = [dx_file(folder / "in" / f"{n}.dcm", study=n // 3 + 1, instance=n + 1) for n in range(images)]
        consoles = Consoles(files, port, seed=seed, pause_seconds=1.5)
        deaths = 0
        with Parts(file, ["scp", "worker", "worker", "worker"]) as parts:
            consoles.start()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(kill_every_seconds)
                command = ("scp", "worker")[deaths % 2]
                if command == "scp":  # at the worst moment: an image has just been acknowledged
                    consoles.wait_for_another(seconds=kill_every_seconds)
                victims = parts.pids(command)
                if victims:
                    parts.kill(dice.choice(victims))
                    deaths += 1
                dice.choice(archives).behave(dice.choice(("well", "well", "busy", "cuts")))
            for archive in archives:
                archive.behave("well")
            wait_until(consoles.done, seconds=120, what="every image to be taken")
            ledger = open_ledger(settings.node)
            expire_leases(ledger)
            wait_for_all_work(ledger, seconds=180, hurry=True)
            ledger.close()
        tally = audit(settings, archives, consoles.acknowledged)
    tally.deaths = deaths
    return tally
