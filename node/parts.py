"""The parts of a node as processes run them: a listener, a worker, and the supervisor that keeps both alive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from config.settings import Settings
from domain.identity import Identity
from inference.engine import Engine
from inference.package import find_packages
from ledger import peers
from ledger.store import Ledger
from node.pipeline import Pipeline
from node.worker import Worker
from scp.listener import Listener, RefusedCaller
from spool import Spool

FIRST_RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 60.0
STABLE_SECONDS = 60.0  # a part that lived this long starts again at once
DRAIN_SECONDS = 30.0

log = structlog.get_logger()


def open_pipeline(settings: Settings) -> Pipeline:
    """Spool, ledger and identity below `data_dir`. StorageUnavailable when they cannot be opened."""
    data_dir = settings.node.data_dir
    ledger = Ledger(data_dir)
    results = data_dir / "results"
    results.mkdir(exist_ok=True)
    return Pipeline(
        settings=settings,
        ledger=ledger,
        spool=Spool(data_dir / "spool"),
        identity=Identity(namespace=ledger.namespace),
        results=results,
    )


def run_listener(settings: Settings) -> None:
    """Listen until SIGTERM or SIGINT; then refuse new associations and let the running ones end."""
    stop = _stop_on_signals()
    pipeline = open_pipeline(settings)
    pipeline.spool.clear_incoming()

    def refused(caller: RefusedCaller) -> None:
        if not caller.unknown:  # a known sender at the association limit: the listener has logged it
            return
        with pipeline.ledger.transaction() as tx:
            peers.refused(
                tx,
                calling_ae=caller.calling_ae,
                called_ae=caller.called_ae,
                peer_host=caller.peer_host,
                reason=caller.reason,
            )

    listener = Listener(node=settings.node, modalities=settings.modality, receive=pipeline.receive, refused=refused)
    listener.start()
    stop.wait()
    listener.stop()
    pipeline.ledger.close()


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; steps that have begun are finished."""
    stop = _stop_on_signals()
    pipeline = open_pipeline(settings)
    packages = find_packages(settings.models.dir)
    engine = Engine(packages, threads=max(1, (os.cpu_count() or 1) // settings.node.workers))
    log.info("working", models=" ".join(f"{package.name} {package.identity.version}" for package in packages))
    Worker(pipeline, engine, stop).run()
    pipeline.ledger.close()


@dataclass
class _Part:
    command: str
    process: subprocess.Popen[bytes]
    started: float
    failures: int = 0
    restart_at: float | None = None


@dataclass
class Supervisor:
    """`serve`: the listener and the workers as processes; one that dies is started again, slower each time."""

    settings_file: Path
    workers: int
    _parts: list[_Part] = field(default_factory=list)

    def run(self) -> None:
        stop = _stop_on_signals()
        for command in ("scp", *["worker"] * self.workers):
            self._parts.append(_Part(command=command, process=self._start(command), started=time.monotonic()))
        while not stop.wait(0.2):
            for part in self._parts:
                self._watch(part)
        self._drain()

    def _start(self, command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "cli", command, "--config", str(self.settings_file)])

    def _watch(self, part: _Part) -> None:
        now = time.monotonic()
        if part.restart_at is not None:
            if now >= part.restart_at:
                part.process, part.started, part.restart_at = self._start(part.command), now, None
            return
        status = part.process.poll()
        if status is None:
            return
        part.failures = 1 if now - part.started > STABLE_SECONDS else part.failures + 1
        pause_seconds = min(FIRST_RESTART_SECONDS * 2.0 ** min(part.failures - 1, 16), LONGEST_RESTART_SECONDS)
        log.error("part ended, starting it again", part=part.command, status=status, pause_seconds=pause_seconds)
        part.restart_at = now + pause_seconds

    def _drain(self) -> None:
        """The listener first, so that nothing new comes in while the workers finish their steps."""
        for part in sorted(self._parts, key=lambda each: each.command):
            if part.process.poll() is None:
                part.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + DRAIN_SECONDS
        for part in self._parts:
            try:
                part.process.wait(max(end - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                log.error("part did not end in time; its work goes on at the next start", part=part.command)
                part.process.kill()
                part.process.wait()


def _stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set. Call from the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop
