"""kill -9 of the node's own processes: nothing acknowledged is lost, nothing is made twice, and it goes on unaided."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

import psutil
from factories import dx_file
from nodes import RunningNode, node
from peers import qrscp, wait_until
from pydicom import dcmread

from config.settings import load
from delivery.store import StoreState, store
from domain.types import DeliveryState, Peer
from ledger import documents, images
from ledger.store import Ledger


def part(running: RunningNode, command: str) -> psutil.Process:
    """The process of a part: the supervisor's child that was started with this command."""
    children = psutil.Process(running.process.pid).children()
    return next(child for child in children if command in child.cmdline())


def test_killed_listener_and_worker_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    files = [dx_file(tmp_path / "in" / f"{n}.dcm", study=n % 2 + 1, instance=n + 1) for n in range(6)]
    with (
        qrscp(tmp_path / "pacs") as pacs,
        node(tmp_path / "node", destinations=[("pacs", pacs.ae_title, pacs.port)]) as running,
    ):
        peer = Peer(ae_title="HOUNDSFIELD", host="127.0.0.1", port=running.port, calling_ae="DRROOM1")
        assert all(result.state is StoreState.STORED for result in store(files[:4], peer, timeout_seconds=10))
        for command in ("worker", "scp"):
            part(running, command).kill()
        wait_until(lambda: running.command("status").returncode == 0, seconds=60, what="the parts to be started again")
        # A console that got no answer sends again: the last two, and two that were acknowledged already.
        assert all(result.state is StoreState.STORED for result in store(files[2:], peer, timeout_seconds=10))
        # A task that was running waits for its lease.
        wait_until(lambda: running.status()["tasks"] == {}, seconds=90, what="all work to be done")
        assert running.status()["destinations"][0]["waiting"] == 0

    ledger = Ledger(load(running.settings).node.data_dir)
    with ledger.transaction() as tx:
        rows = [row for study in images.studies(tx) for row in images.of_study(tx, study)]
        assert sorted(row.sop_instance_uid for row in rows) == sorted(_uid(path) for path in files)
        assert all(row.answer is not None and row.path.exists() for row in rows)
        for study in images.studies(tx):
            made = documents.of_study(tx, study)
            assert sum(document.kind == "sc" for document in made) == 3
            assert {document.kind.value for document in made} == {"sc", "sr"}
            for document in made:
                delivery = documents.get_delivery(tx, f"{document.ref.sop_instance_uid}>pacs")
                assert delivery.state is DeliveryState.VERIFIED
    ledger.close()


def _uid(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def test_serve_ends_soon_however_often_it_is_told(tmp_path: Path) -> None:
    """`timeout` and systemd signal the whole group, and the supervisor signals its parts again."""
    with node(tmp_path / "node") as running:
        parts = psutil.Process(running.process.pid).children()
        started = time.monotonic()
        for _ in range(20):
            for process in (*parts, running.process):
                with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
        assert time.monotonic() - started < 15
        assert "did not end in time" not in running.log()


def test_a_second_node_on_the_port_says_so_and_ends(tmp_path: Path) -> None:
    with node(tmp_path / "node") as running:
        second = running.command("serve")
    assert second.returncode == 1
    assert "is another houndsfield running?" in second.stderr
    assert second.stderr.count("\n") == 1
