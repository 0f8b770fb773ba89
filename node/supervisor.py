"""`serve`: the node's parts as processes. One that dies is started again, slower each time, and `status` shows it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import structlog

from config.settings import Settings
from domain.errors import StorageUnavailable
from ledger import peers
from ledger.store import Ledger, Transaction
from node.parts import SUPERVISOR, open_ledger, stop_on_signals
from node.worker import QUEUES

FIRST_RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 60.0
STABLE_SECONDS = 60.0  # a part that lived this long starts again at once
LOOK_SECONDS = 0.2
REPORT_SECONDS = 10.0
DRAIN_MARGIN_SECONDS = 10.0  # beyond drain_seconds: a part ends by itself
_PREFIX = "part@"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """What the ledger knows of a supervised part."""

    name: str  # such as worker-1
    host: str
    runs: bool
    restarts: int  # since `serve` was started
    last_exit: str | None  # such as "status 70" or "killed by SIGKILL"
    last_exit_at: float | None


def supervised(tx: Transaction) -> list[PartRow]:
    """The parts of every `serve` that was heard of lately."""
    found = []
    for key, note in sorted(peers.notes(tx).items()):
        if key.startswith(_PREFIX):
            found.append(PartRow(**json.loads(note)))
    return found


def all_parts(settings: Settings) -> list[tuple[str, ...]]:
    return [("scp",), *worker_parts(settings)]


def worker_parts(settings: Settings) -> list[tuple[str, ...]]:
    """The command lines of the workers. Over Celery a process serves one queue: see `node.broker`."""
    if settings.node.dispatch == "embedded":
        return [("worker",)] * settings.node.workers
    analysis, delivery = (("worker", "--queue", queue) for queue in QUEUES)
    return [*[analysis] * settings.node.workers, delivery]


@dataclass
class _Part:
    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0  # in a row
    start_at: float = 0.0
    restarts: int = 0
    last_exit: str | None = None
    last_exit_at: float | None = None


@dataclass
class Supervisor:
    settings: Settings
    settings_file: Path
    _parts: list[_Part] = field(default_factory=list)
    _reported_at: float = 0.0
    _host: str = field(default_factory=socket.gethostname)

    def run(self, commands: Sequence[Sequence[str]]) -> None:
        """Until SIGTERM or SIGINT; then the parts may end within the settings' drain_seconds."""
        stop = stop_on_signals()
        self._parts = [_Part(name=name, command=command) for name, command in _named(commands)]
        ledger: Ledger | None = None
        while not stop.is_set():
            changed = [part for part in self._parts if self._watch(part)]
            if changed or time.monotonic() - self._reported_at > REPORT_SECONDS:
                ledger = self._report(ledger)
            stop.wait(LOOK_SECONDS)
        self._drain()
        if ledger is not None:
            self._leave(ledger)
        log.info("stopped")

    def _watch(self, part: _Part) -> bool:
        """Whether something happened to it."""
        now = time.monotonic()
        if part.process is None:
            if now < part.start_at:
                return False
            self._start(part, now)
            return True
        status = part.process.poll()
        if status is None:
            return False
        part.process = None
        self._again(part, now, _words(status))
        return True

    def _start(self, part: _Part, now: float) -> None:
        command = [sys.executable, "-m", "cli", *part.command, "--config", str(self.settings_file)]
        try:
            part.process = subprocess.Popen(command, env={**os.environ, SUPERVISOR: str(os.getpid())})
            part.started = now
        except OSError as error:
            self._again(part, now, str(error.strerror))

    def _again(self, part: _Part, now: float, why: str) -> None:
        part.failures = 1 if now - part.started > STABLE_SECONDS else part.failures + 1
        part.restarts += 1
        part.last_exit, part.last_exit_at = why, time.time()
        pause_seconds = min(FIRST_RESTART_SECONDS * 2.0 ** min(part.failures - 1, 16), LONGEST_RESTART_SECONDS)
        log.error("part ended, starting it again", part=part.name, why=why, pause_seconds=pause_seconds)
        part.start_at = now + pause_seconds

    def _drain(self) -> None:
        """All at once: what the listener still takes in is worked on at the next start."""
        running = [(part, part.process) for part in self._parts if part.process is not None]
        for _, process in running:
            process.send_signal(signal.SIGTERM)
        end = time.monotonic() + self.settings.node.drain_seconds + DRAIN_MARGIN_SECONDS
        for part, process in running:
            try:
                process.wait(max(end - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                log.error("part did not end in time; its work goes on at the next start", part=part.name)
                process.kill()
                process.wait()

    def _report(self, ledger: Ledger | None) -> Ledger | None:
        """Into the ledger, for `status`. What runs goes on without one."""
        self._reported_at = time.monotonic()
        try:
            ledger = ledger or open_ledger(self.settings.node)
            with ledger.transaction() as tx:
                for part in self._parts:
                    peers.beat(tx, self._key(part), note=json.dumps(asdict(self._row(part))))
        except StorageUnavailable:
            pass  # the parts themselves say it
        return ledger

    def _leave(self, ledger: Ledger) -> None:
        try:
            with ledger.transaction() as tx:
                for part in self._parts:
                    peers.left(tx, self._key(part))
        except StorageUnavailable as error:
            log.warning("the ledger does not answer", error=str(error))
        ledger.close()

    def _key(self, part: _Part) -> str:
        return f"{_PREFIX}{self._host}:{part.name}"

    def _row(self, part: _Part) -> PartRow:
        return PartRow(
            name=part.name,
            host=self._host,
            runs=part.process is not None,
            restarts=part.restarts,
            last_exit=part.last_exit,
            last_exit_at=part.last_exit_at,
        )


def _named(commands: Sequence[Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    """Each with a name of its own: scp, worker-1, worker-2, worker-delivery-1 …"""
    counts: dict[str, int] = {}
    named = []
    for command in commands:
        kind = "-".join(word for word in command if not word.startswith("-"))
        counts[kind] = counts.get(kind, 0) + 1
        named.append((kind if kind == "scp" else f"{kind}-{counts[kind]}", command))
    return named


def _words(status: int) -> str:
    return f"status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
