"""The node on several machines: PostgreSQL keeps, RabbitMQ tells, and neither one's outage costs more than time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from brokers import Broker, rabbitmq
from factories import dx_file
from nodes import RunningNode, node
from peers import qrscp, wait_until
from servers import postgresql

from config.settings import load
from delivery.store import StoreState, store
from domain.errors import StorageUnavailable
from domain.types import DeliveryState, Peer
from ledger import documents, images, peers
from ledger import status as ledger_status
from ledger.store import Ledger
from node.parts import open_ledger


def send(running: RunningNode, folder: Path, numbers: range) -> None:
    files = [dx_file(folder / f"{n}.dcm", study=n % 3 + 1, instance=n + 1) for n in numbers]
    peer = Peer(ae_title="HOUNDSFIELD", host="127.0.0.1", port=running.port, calling_ae="DRROOM1")
    assert all(result.state is StoreState.STORED for result in store(files, peer, timeout_seconds=20))


def wait_for_all(ledger: Ledger) -> None:
    left: dict[str, dict[str, int]] = {}

    def all_done() -> bool:
        nonlocal left
        time.sleep(0.2)  # a question that should not slow the answer
        try:
            with ledger.reading() as tx:
                left = ledger_status.task_counts(tx)
        except StorageUnavailable:
            return False
        return left.keys() <= {"upkeep"}  # which is always owed

    try:
        wait_until(all_done, seconds=90, what="all work to be done")
    except AssertionError:
        raise AssertionError(f"this was not done: {left}") from None


def messages(broker: Broker) -> list[str]:
    return broker.control("-q", "list_queues", "name", "messages", "consumers", "--no-table-headers").splitlines()


def test_two_machines_share_the_work_and_outages_cost_only_time(tmp_path: Path) -> None:
    with (
        postgresql(tmp_path / "postgresql") as database,
        rabbitmq(tmp_path / "rabbitmq") as broker,
        qrscp(tmp_path / "pacs") as pacs,
        node(
            tmp_path / "node",
            destinations=[("pacs", pacs.ae_title, pacs.port)],
            node_more=f'database_url = "{database.url}"\ndispatch = "celery"\nbroker_url = "{broker.url}"',
        ) as running,
    ):
        ledger = open_ledger(load(running.settings).node)
        command = [sys.executable, "-m", "cli", "worker", "--queue", "analysis", "--config", str(running.settings)]
        with (tmp_path / "second.log").open("wb") as log:
            second = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until(lambda: _workers(ledger) == 3, seconds=60, what="the second machine's worker")
            send(running, tmp_path / "in", range(6))
            wait_for_all(ledger)

            send(running, tmp_path / "in", range(6, 9))
            broker.wipe()
            wait_for_all(ledger)
            wait_until(
                lambda: sorted(messages(broker)) == ["houndsfield.analysis\t0\t2", "houndsfield.delivery\t0\t1"],
                seconds=60,
                what="every worker to be back at the broker",
            )

            send(running, tmp_path / "in", range(9, 12))
            database.stop()
            database.start()
            wait_for_all(ledger)
            send(running, tmp_path / "in", range(12, 14))
            wait_for_all(ledger)
        finally:
            second.terminate()
            assert second.wait(30) == 0
        for said in (running.log(), (tmp_path / "second.log").read_text()):
            assert "kind=image" in said
            assert "Traceback" not in said
            # Of each outage a sentence when it begins and one when it ends, however long it lasts.
            assert said.count("the broker does not answer") <= 2 * 3
            assert said.count("the ledger does not answer") <= 2 * 3

        with ledger.reading() as tx:
            known = [image for study in images.studies(tx) for image in images.of_study(tx, study)]
            assert len(known) == 14
            made = [document for study in images.studies(tx) for document in documents.of_study(tx, study)]
            for document in made:
                delivery = documents.get_delivery(tx, f"{document.ref.sop_instance_uid}>pacs")
                assert delivery.state is DeliveryState.VERIFIED
        assert len([path for path in pacs.instances.rglob("*") if path.is_file()]) == len(made)
        ledger.close()


def _workers(ledger: Ledger) -> int:
    with ledger.reading() as tx:
        return sum(part.startswith("worker@") for part in peers.heartbeats(tx))
