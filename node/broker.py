"""How lanes on many machines learn of work: Celery on RabbitMQ.

    ledger ─due, without a message▶ pump ─"there is work in this queue"▶ RabbitMQ ─one at a time▶ lane ─claim, do▶ ledger

A message names nothing: a lane that gets one claims what is most urgent then, so that priority, breakers and leases are the
ledger's alone. A lost message is sent again, and one too many finds nothing to claim; so messages need no disk, and a broker
that comes back empty costs nothing but the time.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import Any

from celery import Celery
from celery.worker import state
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import OperationalError

from config.settings import Node
from domain.errors import StorageUnavailable
from domain.types import AlarmKind
from ledger import alarms, messages
from node.logs import Outage
from node.worker import QUEUES, Worker

TASK = "houndsfield.work"
# So many messages of a queue wait at the broker at most: enough for any number of lanes, and for a scaler to see a backlog.
MOST_WAITING = 500
LOOK_SECONDS = 1.0
RECONNECT_SECONDS = 2.0
# The broker holds no message, and yet work was announced so long ago and not begun: the messages are lost.
LOST_SECONDS = 5.0
# A broker's machine that is gone is noticed after so long, whether a message or an answer is waited for.
GONE_SECONDS = 15
_SOCKET = {
    socket.TCP_USER_TIMEOUT: GONE_SECONDS * 1000,
    socket.TCP_KEEPIDLE: GONE_SECONDS // 3,
    socket.TCP_KEEPINTVL: GONE_SECONDS // 3,
    socket.TCP_KEEPCNT: 2,
}


def queue_name(queue: str) -> str:
    """What RabbitMQ and a scaler call it."""
    return f"houndsfield.{queue}"


def application(node: Node) -> Celery:
    app = Celery("houndsfield", set_as_current=False, fixups=())
    app.conf.update(
        broker_url=node.broker_url,
        # kombu 5.7 checks the certificate of amqps:// but not its name, unless asked to with None.
        broker_use_ssl={"server_hostname": None} if node.broker_url.startswith("amqps://") else False,
        broker_heartbeat=GONE_SECONDS,
        broker_transport_options={"socket_settings": _SOCKET},
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_queues=[_queue(queue) for queue in QUEUES],
        task_default_queue=queue_name(QUEUES[0]),
        task_default_delivery_mode="transient",
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_enable_prefetch_count_reduction=False,  # a lane that works on while the broker is away would not come back
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
    )
    return app


def _queue(queue: str) -> Queue:
    return Queue(queue_name(queue), routing_key=queue_name(queue))  # type: ignore[no-untyped-call]  # kombu 5.7


def over_celery(worker: Worker, *, node: Node) -> None:
    """The lanes of one queue as a Celery worker's threads, until the worker is told to stop.

    One queue to a process, since Celery's event loop is one to a process, and an analysis must not hold a delivery's lane.
    """
    app = application(node)

    @app.task(name=TASK)  # type: ignore[untyped-decorator]  # Celery 5.7 has no types
    def work(queue: str) -> None:
        worker.guarded(_work, worker, queue)

    pump = threading.Thread(target=worker.guarded, args=(_pump, worker, app), name="pump")
    pump.start()
    for queue, lanes in worker.lanes.items():
        _consume(worker, app, queue, lanes)
    worker.stop.wait()
    pump.join()


def _consume(worker: Worker, app: Celery, queue: str, lanes: int) -> None:
    threading.Thread(target=_end, args=(worker.stop,), name="celery-end", daemon=True).start()
    celery = app.WorkController(
        pool="threads",
        concurrency=lanes,
        queues=[queue_name(queue)],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,  # of Celery's own events; the broker's connection has one, and the ledger another
    )
    celery.start()
    worker.stop.set()
    if celery.exitcode:
        raise RuntimeError(f"Celery ended with status {celery.exitcode}")


def _work(worker: Worker, queue: str) -> None:
    task, _idle_seconds = worker.claim(queue)
    if task is not None:
        worker.do(task)


def _end(stop: threading.Event) -> None:
    """Celery looks at this about once a second, and then waits for its running lanes."""
    stop.wait()
    state.should_stop = os.EX_OK


def _pump(worker: Worker, app: Celery) -> None:
    """Send messages for what is due. Each worker pumps for all queues: whichever lives, the work is announced."""
    outage = Outage("the broker")
    changes = worker.ledger.changes()
    lost: tuple[type[Exception], ...] = (OperationalError, *_connection_errors(app))
    while not worker.stop.is_set():
        try:
            with app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=RECONNECT_SECONDS)
                outage.ended()
                _tell(worker, away=False)  # also where another worker said that it was away
                while not worker.stop.is_set():
                    _announce(worker, app, connection)
                    changes.wait(LOOK_SECONDS, worker.stop.is_set)
        except lost as error:
            if outage.began(error):
                _tell(worker, away=True)
            worker.stop.wait(RECONNECT_SECONDS)
        except StorageUnavailable:  # the heartbeat says it
            worker.stop.wait(RECONNECT_SECONDS)


def _tell(worker: Worker, *, away: bool) -> None:
    """In `status`: nothing else of a node without its broker looks unwell."""
    with suppress(StorageUnavailable), worker.ledger.transaction() as tx:
        if away:
            said = "RabbitMQ (broker_url) does not answer: nothing is analysed or delivered until it does"
            alarms.raise_(tx, AlarmKind.BROKER_DOWN, "broker", said)
        else:
            alarms.clear(tx, AlarmKind.BROKER_DOWN, "broker")


def _connection_errors(app: Celery) -> tuple[type[Exception], ...]:
    connection: Any = app.connection_for_write()
    return (*connection.connection_errors, *connection.channel_errors)


def _announce(worker: Worker, app: Celery, connection: Connection) -> None:
    for queue in QUEUES:
        waiting = _waiting(app, connection, queue)
        if waiting >= MOST_WAITING:
            continue
        with worker.ledger.transaction() as tx:
            tx.lock(f"messages {queue}")  # several pumps are woken by the same commit
            due = messages.due_unsent(
                tx,
                queue,
                connections=worker.connections,
                rates=worker.rates,
                limit=MOST_WAITING,
                lost_seconds=messages.RESEND_SECONDS if waiting else LOST_SECONDS,
            )
            messages.sent(tx, due)
        producer = app.amqp.Producer(connection, auto_declare=False)
        for _ in due:
            app.tasks[TASK].apply_async((queue,), queue=queue_name(queue), producer=producer, retry=False)


def _waiting(app: Celery, connection: Connection, queue: str) -> int:
    """How many messages wait at the broker. Declares the queue: a broker that was wiped knows none."""
    declared = app.amqp.queues[queue_name(queue)](connection.default_channel)
    declared.declare()
    return int(declared.queue_declare(passive=True).message_count)
