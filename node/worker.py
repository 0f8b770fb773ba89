"""A worker process: lanes that claim tasks, a heartbeat that keeps their leases, and the rules for what breaks.

One lane analyses, since ONNX Runtime already uses every core; a few deliver, since they mostly wait for a peer.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

import structlog

from domain.errors import StorageUnavailable
from inference.engine import Engine
from ledger import peers, tasks
from ledger.store import Ledger
from ledger.tasks import REAP_SECONDS, LeaseLost, Task
from node.filing import Filing
from node.pipeline import Pipeline

ATTEMPTS = 5
FIRST_RETRY_SECONDS = 1.0
IDLE_SECONDS = 1.0
STORAGE_PAUSE_SECONDS = 1.0
LANES = {"analysis": 1, "delivery": 4}

log = structlog.get_logger()


class Worker:
    """Runs until `stop` is set; a step that has begun is finished first."""

    def __init__(self, pipeline: Pipeline, engine: Engine, stop: threading.Event) -> None:
        self._ledger: Ledger = pipeline.ledger
        self._pipeline = pipeline
        self._connections = {to.name: to.connections for to in pipeline.settings.destination}
        filing = Filing(settings=pipeline.settings, ledger=pipeline.ledger)
        self._handlers: dict[str, Callable[[Task], None]] = {
            "image": lambda task: pipeline.answer_image(task, engine),
            "study": pipeline.report_study,
            "deliver": filing.deliver,
            "verify": filing.verify,
        }
        self._part = f"worker@{socket.gethostname()}:{os.getpid()}"
        self._stop = stop
        self._held: dict[int, Task] = {}
        self._lock = threading.Lock()

    def run(self) -> None:
        threads = [
            threading.Thread(target=self._lane, args=(queue,), name=f"{queue}-{number}")
            for queue, count in LANES.items()
            for number in range(count)
        ]
        heart = threading.Thread(target=self._heartbeat, name="heartbeat")
        for thread in (heart, *threads):
            thread.start()
        for thread in (*threads, heart):
            thread.join()
        with self._ledger.transaction() as tx:
            peers.left(tx, self._part)

    def _lane(self, queue: str) -> None:
        changes = self._ledger.changes()
        while not self._stop.is_set():
            try:
                with self._ledger.transaction() as tx:
                    task = tasks.claim(tx, queue, connections=self._connections)
                    due = None if task else tasks.next_run_at(tx, queue)
                    idle_seconds = IDLE_SECONDS if due is None else min(max(due - tx.now, 0.02), IDLE_SECONDS)
            except StorageUnavailable as error:
                log.warning("ledger unavailable", error=str(error))
                self._stop.wait(STORAGE_PAUSE_SECONDS)
                continue
            if task is None:
                changes.wait(idle_seconds, self._stop.is_set)
            else:
                self._run(task)
        changes.close()

    def _run(self, task: Task) -> None:
        with self._lock:
            self._held[task.id] = task
        started = time.monotonic()
        try:
            self._handlers[task.kind](task)
            log.info("task ended", kind=task.kind, key=task.key, seconds=round(time.monotonic() - started, 3))
        except LeaseLost as error:
            log.warning("lease lost", task=task.id, error=str(error))
        except Exception as error:  # noqa: BLE001  the one place where a handler's fault becomes a retry
            # Foreign exceptions may quote a header: the log and the ledger get the type, and words only of our own errors.
            self._broken(task, f"{type(error).__name__} in {_place(error)}")
        finally:
            with self._lock:
                del self._held[task.id]

    def _broken(self, task: Task, error: str) -> None:
        log.error("task broke", kind=task.kind, key=task.key, attempt=task.attempts + 1, error=error)
        try:
            if task.attempts + 1 >= ATTEMPTS:
                self._pipeline.give_up(task, error)
                return
            with self._ledger.transaction() as tx:
                tasks.postpone(tx, task, seconds=FIRST_RETRY_SECONDS * 2.0**task.attempts, error=error, spent=True)
        except (StorageUnavailable, LeaseLost) as again:
            log.warning("left to its lease", task=task.id, error=str(again))

    def _heartbeat(self) -> None:
        """Renew the leases of what runs here, and make the tasks of dead workers ready again."""
        while True:
            with self._lock:
                held = list(self._held.values())
            if self._stop.is_set() and not held:
                return
            try:
                with self._ledger.transaction() as tx:
                    peers.beat(tx, self._part)
                    tasks.renew(tx, held)
                    reaped = tasks.reap(tx)
                if reaped:
                    log.warning("took over the tasks of a dead worker", tasks=reaped)
            except StorageUnavailable as error:
                log.warning("ledger unavailable", error=str(error))
            self._rest(REAP_SECONDS)

    def _rest(self, seconds: float) -> None:
        """Sleep, but end soon after the last step once asked to stop."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (self._stop.is_set() and not self._held):
            time.sleep(0.1)


def _place(error: BaseException) -> str:
    """File and line where it broke, without the values."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    return f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"  # noqa: PTH119
