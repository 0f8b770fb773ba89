"""The parts of a node as processes run them: a listener, a worker, and the supervisor that keeps both alive."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from config.settings import Settings
from domain.errors import ModelInvalid, SettingsInvalid
from domain.identity import Identity
from inference.engine import Engine
from inference.package import find_packages
from ledger import peers
from ledger.store import Ledger
from node.pipeline import Pipeline
from node.worker import Worker
from node.writing import Writing
from scp.listener import Listener, RefusedCaller
from spool import Spool

FIRST_RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 60.0
STABLE_SECONDS = 60.0  # a part that lived this long starts again at once
DRAIN_SECONDS = 30.0
ABANDONED_SECONDS = 3600.0  # no image is under way for so long

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
        writing=Writing(settings=settings, identity=Identity(namespace=ledger.namespace), results=results),
    )


def run_listener(settings: Settings) -> None:
    """Listen until SIGTERM or SIGINT; then refuse new associations and let the running ones end."""
    stop = _stop_on_signals()
    pipeline = open_pipeline(settings)
    pipeline.spool.clear_incoming(before=time.time() - ABANDONED_SECONDS)

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
    _require_port(settings)
    listener.start()
    stop.wait()
    listener.stop()
    pipeline.ledger.close()


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; steps that have begun are finished."""
    stop = _stop_on_signals()
    pipeline = open_pipeline(settings)
    engine = None
    try:
        packages = find_packages(settings.models.dir)
        engine = Engine(packages, threads=max(1, (os.cpu_count() or 1) // settings.node.workers))
        log.info("working", models=" ".join(f"{package.name} {package.identity.version}" for package in packages))
    except ModelInvalid as error:
        # Without it a study would be declined as if nobody had meant to read it: images wait until a person has mended this.
        log.error("nothing will be analysed", error=str(error))
    Worker(pipeline, engine, stop).run()
    pipeline.ledger.close()


def _require_port(settings: Settings) -> None:
    """Another process on the port would make the listener start in vain, again and again."""
    host, port = settings.node.host, settings.node.port
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        hint = "is another houndsfield running?" if error.errno == errno.EADDRINUSE else "is it this machine's address?"
        raise SettingsInvalid(
            [f"node.host, node.port: cannot listen on {host}:{port} ({error.strerror}); {hint}"]
        ) from error


@dataclass
class _Part:
    command: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0


@dataclass
class Supervisor:
    """`serve`: the listener and the workers as processes; one that dies is started again, slower each time."""

    settings: Settings
    settings_file: Path
    _parts: list[_Part] = field(default_factory=list)

    def run(self) -> None:
        """SettingsInvalid or StorageUnavailable when it cannot work as it is set up: then nothing is started."""
        _require_port(self.settings)
        open_pipeline(self.settings).ledger.close()
        stop = _stop_on_signals()
        self._parts = [_Part(command=command) for command in ("scp", *["worker"] * self.settings.node.workers)]
        while not stop.is_set():
            for part in self._parts:
                self._watch(part)
            stop.wait(0.2)
        self._drain()
        log.info("stopped")

    def _watch(self, part: _Part) -> None:
        now = time.monotonic()
        if part.process is None:
            if now >= part.start_at:
                self._start(part, now)
            return
        status = part.process.poll()
        if status is not None:
            part.process = None
            self._again(part, now, f"status {status}")

    def _start(self, part: _Part, now: float) -> None:
        command = [sys.executable, "-m", "cli", part.command, "--config", str(self.settings_file)]
        try:
            part.process, part.started = subprocess.Popen(command), now
        except OSError as error:
            self._again(part, now, str(error.strerror))

    def _again(self, part: _Part, now: float, why: str) -> None:
        part.failures = 1 if now - part.started > STABLE_SECONDS else part.failures + 1
        pause_seconds = min(FIRST_RESTART_SECONDS * 2.0 ** min(part.failures - 1, 16), LONGEST_RESTART_SECONDS)
        log.error("part ended, starting it again", part=part.command, why=why, pause_seconds=pause_seconds)
        part.start_at = now + pause_seconds

    def _drain(self) -> None:
        """The listener first, so that nothing new comes in while the workers finish their steps."""
        end = time.monotonic() + DRAIN_SECONDS
        for command in ("scp", "worker"):
            ending = [part.process for part in self._parts if part.command == command and part.process]
            for process in ending:
                process.send_signal(signal.SIGTERM)
            for process in ending:
                try:
                    process.wait(max(end - time.monotonic(), 0.1))
                except subprocess.TimeoutExpired:
                    log.error("part did not end in time; its work goes on at the next start", part=command)
                    process.kill()
                    process.wait()


def _stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set. Call from the main thread.

    A handler may interrupt the very call that holds the event's lock, and so may the next signal (`timeout` and systemd send
    several): it only writes into a pipe, and a thread sets the event.
    """
    stop = threading.Event()
    heard, told = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: os.write(told, b"\0"))

    def listen() -> None:
        os.read(heard, 1)
        log.info("stopping")
        stop.set()

    threading.Thread(target=listen, name="signals", daemon=True).start()
    return stop
