"""`serve` and its parts as processes: what dies comes back and is said, what hangs is ended, nothing outlives its owner."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from factories import dx_file
from nodes import RunningNode, node, write_settings
from peers import connects, free_port, wait_until

from config.settings import load
from delivery.store import StoreState, store
from domain.types import Peer
from ledger import peers, tasks
from ledger.store import Ledger
from node.parts import open_ledger
from node.supervisor import PartRow, supervised


@contextmanager
def ledger_of(settings: Path) -> Iterator[Ledger]:
    ledger = open_ledger(load(settings).node)
    yield ledger
    ledger.close()


@contextmanager
def silent_peer() -> Iterator[int]:
    """Takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield listener.getsockname()[1]


def send(running: RunningNode, file: Path) -> None:
    peer = Peer(ae_title="HOUNDSFIELD", host="127.0.0.1", port=running.port, calling_ae="DRROOM1")
    assert [result.state for result in store([file], peer, timeout_seconds=10)] == [StoreState.STORED]


def rows(ledger: Ledger) -> dict[str, PartRow]:
    with ledger.reading() as tx:
        return {row.name: row for row in supervised(tx)}


def the(running: RunningNode, command: str) -> psutil.Process:
    return next(child for child in psutil.Process(running.process.pid).children() if command in child.cmdline())


def deliveries(ledger: Ledger) -> list[tasks.TaskRow]:
    with ledger.reading() as tx:
        return [row for row in tasks.owed(tx) if row.kind == "deliver"]


def states(ledger: Ledger) -> list[str]:
    return sorted(row.state for row in deliveries(ledger))


def test_what_dies_and_what_hangs_comes_back_and_a_clean_stop_gives_steps_back(tmp_path: Path) -> None:
    with (
        silent_peer() as peer,
        node(
            tmp_path / "node",
            destinations=[("silent", "SILENT", peer)],
            destination_more="timeout_seconds = 300.0",
            node_more="step_seconds = 6.0\ndrain_seconds = 1.0",
        ) as running,
        ledger_of(running.settings) as ledger,
    ):
        assert {name: row.restarts for name, row in rows(ledger).items()} == {"scp": 0, "worker-1": 0}
        worker = the(running, "worker")
        below = worker.children(recursive=True)
        assert below, "the decoder's process"
        worker.kill()
        wait_until(lambda: rows(ledger)["worker-1"].restarts == 1 and rows(ledger)["worker-1"].runs, seconds=60)
        assert rows(ledger)["worker-1"].last_exit == "killed by SIGKILL"
        assert psutil.wait_procs(below, timeout=20)[1] == []

        wait_until(lambda: the(running, "worker").children(), seconds=60, what="the next decoder")
        (decoder,) = the(running, "worker").children()
        decoder.suspend()
        send(running, dx_file(tmp_path / "1.dcm", study=1))
        wait_until(lambda: rows(ledger)["worker-1"].last_exit == "status 70", seconds=60, what="the hung worker to end")
        wait_until(lambda: rows(ledger)["worker-1"].runs, seconds=60, what="the next one")
        assert rows(ledger)["worker-1"].restarts == 2
        assert rows(ledger)["scp"].restarts == 0
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert all(child.status() != psutil.STATUS_ZOMBIE for child in children)

        # A delivery has limits of its own: these two would wait for five minutes.
        wait_until(lambda: states(ledger) == ["running", "running"], seconds=60, what="the deliveries to begin")
    # `node` has stopped it, and seen status 0.
    assert "given back" in running.log()
    assert "did not end in time; its work" not in running.log()
    with ledger_of(running.settings) as ledger:
        assert any(row.state == "ready" and row.attempts == 0 for row in deliveries(ledger))


def test_parts_end_with_a_killed_supervisor_and_the_next_one_starts_at_once(tmp_path: Path) -> None:
    port = free_port()
    settings = write_settings(tmp_path, port=port)
    command = [sys.executable, "-m", "cli", "serve", "--config", str(settings)]
    started: list[subprocess.Popen[bytes]] = []
    with (tmp_path / "log.txt").open("ab") as log:

        def serve() -> list[psutil.Process]:
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
            wait_until(lambda: connects(port), seconds=60, what="the listener")
            me = psutil.Process(started[-1].pid)
            wait_until(lambda: len(me.children(recursive=True)) >= 3, seconds=60, what="listener, worker and decoder")
            return me.children(recursive=True)

        first = serve()
        started[0].kill()
        second = serve()  # while the first one's parts are still letting go
        assert psutil.wait_procs(first, timeout=30)[1] == []
        started[1].terminate()
        assert started[1].wait(30) == 0
        assert psutil.wait_procs(second, timeout=20)[1] == []
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


def test_a_worker_alone_ends_cleanly(tmp_path: Path) -> None:
    settings = write_settings(tmp_path, port=free_port())
    process = subprocess.Popen([sys.executable, "-m", "cli", "worker", "--queue", "delivery", "--config", str(settings)])
    with ledger_of(settings) as ledger:

        def alive() -> bool:
            with ledger.reading() as tx:
                return any(part.startswith("worker@") for part in peers.heartbeats(tx))

        wait_until(alive, seconds=60, what="the worker's heartbeat")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert not alive()
