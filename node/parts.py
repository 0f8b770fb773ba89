"""The parts of a node as processes run them: a listener, and workers. `node.supervisor` keeps several of them alive."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path

import structlog

from config.settings import Node, Settings
from domain.errors import ModelInvalid, SettingsInvalid, StorageUnavailable
from domain.identity import Identity
from inference.engine import Engine
from ledger import peers
from ledger.store import Ledger
from node.commitments import Promises
from node.lines import unserved, unserved_in_words
from node.logs import Outage
from node.models import threads_for_one_run, used_packages
from node.pipeline import Pipeline
from node.sweep import sweep
from node.worker import ANALYSIS, QUEUES, Worker, embedded
from node.writing import Writing
from scp.disk import Watermark
from scp.listener import Listener, RefusedCaller
from spool import Spool

ABANDONED_SECONDS = 3600.0  # no image is under way for so long
LEDGER_RETRY_SECONDS = 2.0
SWEEP_RETRY_SECONDS = 30.0
PORT_WAIT_SECONDS = 3.0  # the parts of a supervisor that was killed are letting go of it
SUPERVISOR = "HOUNDSFIELD_SUPERVISOR"  # in the environment of a supervised part: the supervisor's process number
GIVE_BACK_BYTES = 256 * 1024
_PR_SET_PDEATHSIG = 1
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h

log = structlog.get_logger()


def open_ledger(node: Node) -> Ledger:
    """StorageUnavailable when it cannot be opened."""
    return Ledger(node.data_dir, database_url=node.database_url)


def open_pipeline(settings: Settings) -> Pipeline:
    """Spool, ledger and identity below `data_dir`. StorageUnavailable when they cannot be opened."""
    data_dir = settings.node.data_dir
    ledger = open_ledger(settings.node)
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
    stop = stop_on_signals()
    end_with_supervisor()
    pipeline = _open_patiently(settings, stop)
    if pipeline is None:
        return
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

    listener = Listener(
        node=settings.node,
        modalities=settings.modality,
        receive=pipeline.receive,
        refused=refused,
        destinations=settings.destination,
        commitments=Promises(settings=settings, ledger=pipeline.ledger).service(),
        watermark=Watermark(settings.node.data_dir, refuse_below_megabytes=settings.disk.refuse_below_megabytes),
    )
    require_port(settings.node)
    settle_memory(give_back_bytes=GIVE_BACK_BYTES)
    listener.start()
    # Consoles are not kept waiting for it.
    threading.Thread(target=_swept, args=(pipeline, stop), name="sweep", daemon=True).start()
    stop.wait()
    listener.stop(drain_seconds=settings.node.drain_seconds)
    pipeline.ledger.close()


def _swept(pipeline: Pipeline, stop: threading.Event) -> None:
    """Until it is done once: what nobody compares is not missed either."""
    while not stop.is_set():
        try:
            sweep(pipeline)
            return
        except (StorageUnavailable, OSError) as error:
            log.error("spool and ledger could not be compared yet", error=type(error).__name__)
            stop.wait(SWEEP_RETRY_SECONDS)


def run_worker(settings: Settings, queues: Collection[str] = QUEUES) -> None:
    """Work until SIGTERM or SIGINT; steps that have begun may end within drain_seconds."""
    stop = stop_on_signals()
    end_with_supervisor()
    pipeline = _open_patiently(settings, stop)
    if pipeline is None:
        return
    clear_abandoned(pipeline.writing.results, before=time.time() - ABANDONED_SECONDS)
    engine = _engine(settings) if ANALYSIS in queues else None
    worker = Worker(pipeline, engine, stop, queues=queues)
    settle_memory()
    if settings.node.dispatch == "celery":
        from node.broker import over_celery  # Celery is half a second and 20 MB that other nodes do not need

        worker.run(partial(over_celery, node=settings.node))
    else:
        worker.run(embedded)
    pipeline.ledger.close()


def settle_memory(*, give_back_bytes: int | None = None) -> None:
    """What a part has made so far stays as long as it runs: left out, the search for cycles is quick and comes often.

    pynetdicom's ended associations are cycles; found by the usual count, they took 0.2 MB an image.
    give_back_bytes: blocks of this size go back to the system when they are freed, and leave no holes. An analysis takes
    twice as long then, since each of its arrays is made of new pages.
    """
    gc.freeze()
    gc.collect()  # which also counts anew what there is
    with contextlib.suppress(AttributeError):  # a C library without it
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 2)  # each thread's own holes would add up
        if give_back_bytes is not None:
            mallopt(_M_MMAP_THRESHOLD, give_back_bytes)


def clear_abandoned(results: Path, *, before: float) -> None:
    """Results that a killed worker was writing: files older than `before`, in seconds since 1970."""
    for left in results.glob(".*.part"):
        with contextlib.suppress(OSError):  # another worker clears it too
            if left.stat().st_mtime < before:
                left.unlink()


def _engine(settings: Settings) -> Engine | None:
    try:
        packages = used_packages(settings)
        engine = Engine(packages, threads=threads_for_one_run(settings.node.workers))
    except ModelInvalid as error:
        # Without it a study would be declined as if nobody had meant to read it: images wait until a person has mended this.
        log.error("nothing will be analysed", error=str(error))
        return None
    log.info("working", models=" ".join(f"{package.name} {package.identity.version}" for package in packages))
    return engine


def _open_patiently(settings: Settings, stop: threading.Event) -> Pipeline | None:
    """A database server may start later than this machine, or be away: that is waited for. None when stopped before."""
    outage = Outage("the ledger")
    while not stop.is_set():
        try:
            return open_pipeline(settings)
        except StorageUnavailable as error:
            if not settings.node.database_url:
                raise
            outage.began(error)
            stop.wait(LEDGER_RETRY_SECONDS)
    return None


def require_startable(settings: Settings) -> None:
    """SettingsInvalid or StorageUnavailable when it cannot work as it is set up. A database server may yet come."""
    end = time.monotonic() + PORT_WAIT_SECONDS
    while True:
        try:
            require_port(settings.node)
            break
        except SettingsInvalid:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
    try:
        pipeline = open_pipeline(settings)
    except StorageUnavailable:
        if not settings.node.database_url:
            raise
        return
    with pipeline.ledger.reading() as tx:
        for name, count in unserved(tx, settings).items():
            log.warning(unserved_in_words(name, count))
    pipeline.ledger.close()


def require_port(node: Node) -> None:
    """Another process on the port would make the listener start in vain, again and again. SettingsInvalid says which."""
    try:
        with socket.create_server((node.host, node.port)):
            pass
    except OSError as error:
        hint = "is another houndsfield running?" if error.errno == errno.EADDRINUSE else "is it this machine's address?"
        raise SettingsInvalid(
            [f"node.host, node.port: cannot listen on {node.host}:{node.port} ({error.strerror}); {hint}"]
        ) from error


def end_with_supervisor() -> None:
    """A supervisor that is killed can end nobody: the kernel asks its parts to stop, so that none keeps the port."""
    supervisor = os.environ.pop(SUPERVISOR, None)
    if supervisor is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(supervisor):  # it was over before this was asked for
        os.kill(os.getpid(), signal.SIGTERM)


def stop_on_signals() -> threading.Event:
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
