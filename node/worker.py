"""A worker process: lanes that claim tasks, a heartbeat that keeps their leases, and the rules for what breaks.

One lane analyses, since ONNX Runtime already uses every core; as many deliver as the destinations' connections allow, since
they mostly wait for a peer.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

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
STORAGE_RETRY_SECONDS = 10.0  # this machine is out of disk, descriptors or its ledger: wait, it is nobody's fault
IDLE_SECONDS = 1.0
STEP_SECONDS = 600.0  # no step takes this long; one that does hangs, and only the end of its process frees the lane
ANALYSIS_LANES = 1
MOST_DELIVERY_LANES = 32
EXIT_HUNG = 70

log = structlog.get_logger()


class Worker:
    """Runs until `stop` is set; a step that has begun is finished first.

    engine: None when the models cannot be loaded: then images wait, and what is written already is still delivered.
    """

    def __init__(self, pipeline: Pipeline, engine: Engine | None, stop: threading.Event) -> None:
        self._ledger: Ledger = pipeline.ledger
        self._pipeline = pipeline
        self._connections = {to.name: to.connections for to in pipeline.settings.destination}
        filing = Filing(settings=pipeline.settings, ledger=pipeline.ledger)
        self._handlers: dict[str, Callable[[Task], str]] = {
            "study": pipeline.report_study,
            "deliver": filing.deliver,
            "verify": filing.verify,
        }
        # Enough lanes for every destination to be as slow as it may, and none to wait for another.
        self._lanes = {"delivery": min(sum(self._connections.values()), MOST_DELIVERY_LANES)}
        if engine is not None:
            self._handlers["image"] = lambda task: pipeline.answer_image(task, engine)
            self._lanes["analysis"] = ANALYSIS_LANES
        self._part = f"worker@{socket.gethostname()}:{os.getpid()}"
        self._stop = stop
        self._broken: BaseException | None = None
        self._held: dict[int, tuple[Task, float]] = {}
        self._lock = threading.Lock()

    def run(self) -> None:
        """Raises what broke a lane: a worker that lost one must not look alive; its supervisor starts another."""
        lanes = [
            threading.Thread(target=self._guarded, args=(self._lane, queue), name=f"{queue}-{number}")
            for queue, count in self._lanes.items()
            for number in range(count)
        ]
        heart = threading.Thread(target=self._guarded, args=(self._heartbeat,), name="heartbeat")
        for thread in (heart, *lanes):
            thread.start()
        for thread in (*lanes, heart):
            thread.join()
        if self._broken is not None:
            raise self._broken
        with self._ledger.transaction() as tx:
            peers.left(tx, self._part)

    def _guarded(self, body: Callable[..., None], *arguments: str) -> None:
        try:
            body(*arguments)
        except BaseException as error:  # noqa: BLE001  raised again by `run`
            self._broken = error
            self._stop.set()

    def _lane(self, queue: str) -> None:
        changes = self._ledger.changes()
        try:
            while not self._stop.is_set():
                try:
                    task, idle_seconds = self._claim(queue)
                except StorageUnavailable as error:
                    log.warning("ledger unavailable", error=str(error))
                    self._stop.wait(IDLE_SECONDS)
                    continue
                if task is None:
                    changes.wait(idle_seconds, self._stop.is_set)
                else:
                    self._run(task)
        finally:
            changes.close()

    def _claim(self, queue: str) -> tuple[Task | None, float]:
        """A task, or how long there may be none: until the next is due, or until a commit when what is due may not run."""
        with self._ledger.transaction() as tx:
            task = tasks.claim(tx, queue, connections=self._connections)
            due = None if task else tasks.next_run_at(tx, queue)
            wait_seconds = IDLE_SECONDS if due is None or due <= tx.now else min(due - tx.now, IDLE_SECONDS)
        return task, wait_seconds

    def _run(self, task: Task) -> None:
        started = time.monotonic()
        with self._lock:
            self._held[task.id] = (task, started)
        try:
            if task.attempts >= ATTEMPTS:  # it ended its worker each time
                self._pipeline.give_up(task, "the worker ended in the middle of it, again and again")
                return
            outcome = self._handlers[task.kind](task)
            seconds = round(time.monotonic() - started, 3)
            log.info("task ended", kind=task.kind, key=task.key, outcome=outcome, seconds=seconds)
        except LeaseLost as error:
            log.warning("lease lost", task=task.id, error=str(error))
        except (OSError, StorageUnavailable) as error:
            self._again(task, f"{type(error).__name__} at {_place(error)}", STORAGE_RETRY_SECONDS, spent=False)
        except Exception as error:  # noqa: BLE001  the one place where a handler's fault becomes a retry
            # Foreign exceptions may quote a header: the log and the ledger get their type and place.
            self._again(
                task, f"{type(error).__name__} at {_place(error)}", FIRST_RETRY_SECONDS * 2.0**task.attempts, spent=True
            )
        finally:
            with self._lock:
                del self._held[task.id]

    def _again(self, task: Task, error: str, seconds: float, *, spent: bool) -> None:
        log.error("task broke", kind=task.kind, key=task.key, attempt=task.attempts + 1, error=error)
        try:
            if spent and task.attempts + 1 >= ATTEMPTS:
                self._pipeline.give_up(task, error)
                return
            with self._ledger.transaction() as tx:
                tasks.postpone(tx, task, seconds=seconds, error=error, spent=spent)
        except (StorageUnavailable, LeaseLost) as again:
            log.warning("left to its lease", task=task.id, error=str(again))

    def _heartbeat(self) -> None:
        """Renew the leases of what runs here, and make the tasks of dead workers ready again."""
        while True:
            with self._lock:
                held = list(self._held.values())
            if self._stop.is_set() and not held:
                return
            self._end_if_hung(held)
            try:
                with self._ledger.transaction() as tx:
                    peers.beat(tx, self._part)
                    tasks.renew(tx, [task for task, _ in held])
                    reaped = tasks.reap(tx)
                if reaped:
                    log.warning("took over the tasks of a dead worker", tasks=reaped)
            except StorageUnavailable as error:
                log.warning("ledger unavailable", error=str(error))
            self._rest(REAP_SECONDS)

    def _end_if_hung(self, held: list[tuple[Task, float]]) -> None:
        """A thread cannot be ended; the process can. The task's attempt counts when its lease is reaped."""
        for task, started in held:
            if time.monotonic() - started > STEP_SECONDS:
                log.error("a step hangs, the worker ends itself", kind=task.kind, key=task.key)
                os._exit(EXIT_HUNG)

    def _rest(self, seconds: float) -> None:
        """Sleep, but end soon after the last step once asked to stop."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (self._stop.is_set() and not self._held):
            time.sleep(0.1)


def _place(error: BaseException) -> str:
    """File and line where it broke, without the values."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
