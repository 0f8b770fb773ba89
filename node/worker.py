"""A worker process: the steps it can do, the heartbeat that keeps their leases, and the rules for what breaks.

Its lanes look into the ledger by themselves (`embedded`) or are told by a broker (`node.broker`); what they do is the same.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import structlog

from domain.errors import PeerUnavailable, StorageUnavailable
from inference.engine import Engine
from ledger import peers, tasks
from ledger.store import Ledger
from ledger.tasks import REAP_SECONDS, LeaseLost, Task
from node.commitments import Promises
from node.filing import Filing
from node.leases import Leases
from node.lines import consoles, destinations, lines, notifiers
from node.logs import Outage
from node.notices import QUEUE as UPKEEP
from node.notices import Notices
from node.pipeline import Pipeline
from node.upkeep import Upkeep, owe_upkeep

ANALYSIS, DELIVERY = QUEUES = ("analysis", "delivery")

ATTEMPTS = 5
FIRST_RETRY_SECONDS = 1.0
STORAGE_RETRY_SECONDS = 10.0  # this machine is out of disk, descriptors or its ledger: wait, it is nobody's fault
IDLE_SECONDS = 1.0
ANALYSIS_LANES = 1  # ONNX Runtime already uses every core
MOST_DELIVERY_LANES = 32
LOOK_SECONDS = 0.1
EXIT_HUNG = 70
# A fault of this machine that lasts for the same task this long is not waited out for ever: it dies visibly at last. A full
# disk is: it has an alarm of its own.
LASTING_SECONDS = 3600.0
LASTING_RETRY_SECONDS = 600.0
_FULL = (errno.ENOSPC, errno.EDQUOT)
# Sending has limits of its own, by the size of the object: over a slow link it may take hours.
SENDING_SECONDS = 86_400.0

log = structlog.get_logger()


def embedded(worker: Worker) -> None:
    """Lanes that look into the ledger themselves, woken by every commit; `node.broker` is the other way."""
    for lane in _started(worker, worker.lanes):
        lane.join()


def _started(worker: Worker, lanes: Mapping[str, int]) -> list[threading.Thread]:
    threads = [
        threading.Thread(target=worker.guarded, args=(_lane, worker, queue), name=f"{queue}-{number}")
        for queue, count in lanes.items()
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    return threads


def _lane(worker: Worker, queue: str) -> None:
    changes = worker.ledger.changes()
    while not worker.stop.is_set():
        task, idle_seconds = worker.claim(queue)
        if task is None:
            changes.wait(idle_seconds, worker.stop.is_set)
        else:
            worker.do(task)


class Worker:
    """Runs until `stop` is set; steps that have begun may end within the settings' drain_seconds.

    engine: None when the models cannot be loaded: then images wait, and what is written already is still delivered.
    queues: those that this process serves.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        engine: Engine | None,
        stop: threading.Event,
        *,
        queues: Collection[str] = QUEUES,
    ) -> None:
        self.stop = stop
        self.ledger: Ledger = pipeline.ledger
        settings = pipeline.settings
        self.connections = lines(settings)
        self.rates = {to.name: to.per_minute for to in settings.destination if to.per_minute}
        # Enough lanes for every destination, console and notifier to be as slow as it may, and none to wait for another.
        sending = min(sum(destinations(settings).values()), MOST_DELIVERY_LANES) + len(consoles(settings))
        lanes = {DELIVERY: max(sending, 1)}
        self._upkeep_lanes = {UPKEEP: len(notifiers(settings)) + 1}
        self._handlers: dict[str, Callable[[Task], str]] = {"study": pipeline.report_study}
        if engine is not None:
            self._handlers["image"] = lambda task: pipeline.answer_image(task, engine)
            lanes[ANALYSIS] = ANALYSIS_LANES
        self._leases = Leases()
        filing = Filing(settings=pipeline.settings, ledger=pipeline.ledger, leases=self._leases)
        upkeep = Upkeep(settings=pipeline.settings, ledger=pipeline.ledger)
        notices = Notices(settings=pipeline.settings, ledger=pipeline.ledger)
        promises = Promises(settings=pipeline.settings, ledger=pipeline.ledger)
        self._handlers |= {
            "deliver": filing.deliver,
            "verify": filing.verify,
            "report": promises.tell,
            "upkeep": upkeep.run,
            "notify": notices.tell,
            "notify end": notices.tell_end,
        }
        self.lanes = {queue: lanes[queue] for queue in queues if queue in lanes}
        self._pipeline = pipeline
        self._node = pipeline.settings.node
        # New at each start: a process number comes again, in a container always.
        self._part = f"worker@{socket.gethostname()}:{os.getpid()}-{secrets.token_hex(2)}"
        self._outage = Outage("the ledger")
        self._unsaid: list[Task] = []  # broke while the ledger was away: given back when it answers
        self._ended = threading.Event()
        self._broken: BaseException | None = None

    def run(self, dispatch: Callable[[Worker], None] = embedded) -> None:
        """`dispatch` calls `claim` and `do` in as many threads as `lanes` says, and returns when the last has ended.

        Raises what broke a lane: a worker that lost one must not look alive; its supervisor starts another.
        """
        with self.ledger.transaction() as tx:
            owe_upkeep(tx)
        heart = threading.Thread(target=self.guarded, args=(self._heartbeat,), name="heartbeat")
        heart.start()
        # Whatever dispatches the rest: that a broker is away must be told without it.
        upkeep = _started(self, self._upkeep_lanes) if DELIVERY in self.lanes else []
        self.guarded(dispatch, self)
        for lane in upkeep:
            lane.join()
        self._ended.set()
        heart.join()
        if self._broken is not None:
            raise self._broken
        self._leave()

    def guarded(self, body: Callable[..., None], *arguments: object) -> None:
        """The body of every thread: what breaks one ends the worker."""
        try:
            body(*arguments)
        except BaseException as error:  # noqa: BLE001  raised again by `run`
            self._broken = error
            self.stop.set()

    def claim(self, queue: str) -> tuple[Task | None, float]:
        """A task, or how long there may be none: until the next is due, or until a commit when what is due may not run."""
        try:
            with self.ledger.transaction() as tx:
                task = tasks.claim(tx, queue, connections=self.connections, rates=self.rates)
                due = None
                if task is None:
                    due = tasks.next_run_at(tx, queue, connections=self.connections, rates=self.rates)
                idle_seconds = IDLE_SECONDS if due is None or due <= tx.now else min(due - tx.now, IDLE_SECONDS)
        except StorageUnavailable as error:
            self._outage.began(error)
            self.stop.wait(IDLE_SECONDS)
            return None, 0.0
        self._outage.ended()
        return task, idle_seconds

    def do(self, task: Task) -> None:
        """Run a claimed task to its end, whatever that is."""
        started = time.monotonic()
        with self._leases.holding(task):
            try:
                if task.attempts >= ATTEMPTS:  # it ended its worker each time
                    self._give_up(task, "the worker ended in the middle of it, again and again")
                    return
                outcome = self._handlers[task.kind](task)
                seconds = round(time.monotonic() - started, 3)
                log.info("task ended", kind=task.kind, key=task.key, outcome=outcome, seconds=seconds)
            except LeaseLost as error:
                log.warning("lease lost", task=task.id, error=str(error))
            except (OSError, StorageUnavailable, PeerUnavailable) as error:  # of the last: an inference server that is away
                lasting = isinstance(error, OSError) and error.errno not in _FULL and _is_old(task)
                pause_seconds = LASTING_RETRY_SECONDS if lasting else STORAGE_RETRY_SECONDS
                self._again(task, f"{type(error).__name__} at {_place(error)}", pause_seconds, spent=lasting)
            except Exception as error:  # noqa: BLE001  the one place where a handler's fault becomes a retry
                # Foreign exceptions may quote a header: the log and the ledger get their type and place.
                self._again(
                    task, f"{type(error).__name__} at {_place(error)}", FIRST_RETRY_SECONDS * 2.0**task.attempts, spent=True
                )

    def _again(self, task: Task, error: str, seconds: float, *, spent: bool) -> None:
        log.error("task broke", kind=task.kind, key=task.key, attempt=task.attempts + 1, error=error)
        try:
            if spent and task.attempts + 1 >= ATTEMPTS:
                self._give_up(task, error)
                return
            with self.ledger.transaction() as tx:
                tasks.postpone(tx, task, seconds=seconds, error=error, spent=spent)
        except LeaseLost as lost:
            log.warning("lease lost", task=task.id, error=str(lost))
        except (StorageUnavailable, OSError) as outage:
            self._outage.began(outage)
            self._unsaid.append(task)

    def _give_up(self, task: Task, error: str) -> None:
        try:
            self._pipeline.give_up(task, error)
        except (LeaseLost, StorageUnavailable, OSError):
            raise
        except Exception as again:  # noqa: BLE001  raised, it would end the worker, and each that takes the task over
            log.error("a task could not be given up as it should", kind=task.kind, key=task.key, error=type(again).__name__)
            self._pipeline.bury(task, error)

    def _heartbeat(self) -> None:
        """Renew the leases of what runs here, and make the tasks of dead workers ready again."""
        next_beat, stopping_at = 0.0, None
        while not self._ended.wait(LOOK_SECONDS):
            now = time.monotonic()
            if self.stop.is_set() and stopping_at is None:
                stopping_at = now
            self._end_if_overdue(now, stopping_at)
            if now >= next_beat:
                self._beat()
                next_beat = now + REAP_SECONDS

    def _beat(self) -> None:
        try:
            with self.ledger.transaction() as tx:
                peers.beat(tx, self._part, note=" ".join(sorted(self.lanes)))  # which queues are served: see `status`
                tasks.renew(tx, [held.task for held in self._leases.all()])
                reaped = tasks.reap(tx)
            if reaped:
                log.warning("took over the tasks of a dead worker", tasks=reaped)
            self._outage.ended()
        except StorageUnavailable as error:
            self._outage.began(error)
            return
        unsaid, self._unsaid = self._unsaid, []
        self._give_back(unsaid)

    def _end_if_overdue(self, now: float, stopping_at: float | None) -> None:
        """A thread cannot be ended; the process can. Its other tasks come back at once, the hung one costs an attempt."""
        hung = [held for held in self._leases.all() if now - held.since > self._most_seconds(held.task)]
        if hung:
            for held in hung:
                log.error("a step hangs, the worker ends itself", kind=held.task.kind, key=held.task.key)
            self._give_back([held.task for held in self._leases.all() if held not in hung])
            os._exit(EXIT_HUNG)
        if stopping_at is not None and now - stopping_at > self._node.drain_seconds:
            left = [held.task for held in self._leases.all()]
            log.warning("steps did not end in time and are given back", tasks=len(left))
            self._give_back(left)
            self._leave()
            os._exit(1 if self._broken else 0)

    def _most_seconds(self, task: Task) -> float:
        return SENDING_SECONDS if task.kind == "deliver" else self._node.step_seconds

    def _give_back(self, left: Sequence[Task]) -> None:
        """Ready again at once, without an attempt spent: none of it was their fault."""
        if not left:
            return
        try:
            with self.ledger.transaction() as tx:
                for task in left:
                    with contextlib.suppress(LeaseLost):
                        tasks.postpone(tx, task, seconds=0.0)
        except StorageUnavailable as error:
            log.warning("left to their leases", tasks=len(left), error=str(error))

    def _leave(self) -> None:
        try:
            with self.ledger.transaction() as tx:
                peers.left(tx, self._part)
        except StorageUnavailable as error:
            self._outage.began(error)


def _is_old(task: Task) -> bool:
    """By this machine's clock; the ledger's may be another's, which matters little to hours."""
    return time.time() - task.started_at > LASTING_SECONDS


def _place(error: BaseException) -> str:
    """File and line where it broke, without the values."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
