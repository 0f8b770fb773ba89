"""Storage commitment with a real Orthanc, which is a provider and a user of it, and answers on associations of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import peers
import pytest
from factories import dx_file, uid
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]

from delivery.commitment import Commitment, ask_commitment, read_report, tell_commitment
from delivery.part10 import identify
from delivery.store import send_document
from domain.types import InstanceRef, Peer

TIMEOUT_SECONDS = 10.0


class Node:
    """What our listener would hear: the reports of commitments, and the requests for some."""

    def __init__(self) -> None:
        self.port = peers.free_port()
        self.reports: list[Commitment] = []
        self.requests: list[Dataset] = []

    def on_report(self, event: evt.Event) -> tuple[int, None]:
        self.reports.append(read_report(event.event_information))
        return 0x0000, None

    def on_request(self, event: evt.Event) -> tuple[int, None]:
        self.requests.append(event.action_information)
        return 0x0000, None


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    heard = Node()
    entity = AE(ae_title="NODE")
    # Both roles: a provider that opens an association proposes itself as SCP.
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_N_EVENT_REPORT, heard.on_report), (evt.EVT_N_ACTION, heard.on_request)]
    server = entity.start_server(("127.0.0.1", heard.port), block=False, evt_handlers=handlers)
    yield heard
    assert server is not None
    server.shutdown()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, node: Node) -> Iterator[peers.Orthanc]:
    peers.require_tool("Orthanc")
    folder = tmp_path_factory.mktemp("orthanc") / "server"
    with peers.orthanc(folder, modalities={"node": ("NODE", "127.0.0.1", node.port)}) as server:
        yield server


@pytest.fixture
def pacs(archive: peers.Orthanc) -> Peer:
    return Peer(ae_title="ORTHANC", host="127.0.0.1", port=archive.dicom_port, calling_ae="NODE")


def refs(folder: Path, count: int) -> list[tuple[Path, InstanceRef]]:
    paths = [dx_file(folder / f"{number}.dcm", study=71, instance=number, rows=16, columns=16) for number in range(count)]
    files = [identify(path) for path in paths]
    return [
        (file.path, InstanceRef(sop_class_uid=file.sop_class_uid, sop_instance_uid=file.sop_instance_uid)) for file in files
    ]


def test_orthanc_commits_to_what_it_has_and_to_nothing_else(tmp_path: Path, node: Node, pacs: Peer) -> None:
    (stored, first), (_, absent) = refs(tmp_path, 2)
    send_document(stored, pacs, timeout_seconds=TIMEOUT_SECONDS)
    transaction = uid("transaction", 1)
    at_once = ask_commitment(
        [first, absent], pacs, transaction_uid=transaction, timeout_seconds=TIMEOUT_SECONDS, wait_seconds=0.2
    )
    assert at_once is None  # it calls back
    peers.wait_until(lambda: node.reports, what="the report")
    assert node.reports == [
        Commitment(
            transaction_uid=transaction,
            committed=frozenset({first.sop_instance_uid}),
            failed={absent.sop_instance_uid: 0x0112},
        )
    ]


def test_orthanc_understands_what_the_node_answers_for(
    tmp_path: Path, node: Node, archive: peers.Orthanc, pacs: Peer
) -> None:
    kept, lost = (ref for _, ref in refs(tmp_path, 2))
    asked = archive.post(
        "/modalities/node/storage-commitment",
        {"DicomInstances": [[ref.sop_class_uid, ref.sop_instance_uid] for ref in (kept, lost)]},
    )
    peers.wait_until(lambda: node.requests, what="the request")
    transaction = node.requests[0].TransactionUID
    tell_commitment(
        [kept, lost],
        {lost.sop_instance_uid: 0x0112},
        pacs,
        transaction_uid=transaction,
        timeout_seconds=TIMEOUT_SECONDS,
    )
    report = archive.get(f"/storage-commitment/{asked['ID']}")
    assert report["Status"] == "Failure"
    assert [item["SOPInstanceUID"] for item in report["Success"]] == [kept.sop_instance_uid]
    assert [item["SOPInstanceUID"] for item in report["Failures"]] == [lost.sop_instance_uid]
