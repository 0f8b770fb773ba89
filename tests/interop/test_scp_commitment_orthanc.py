"""The listener's storage commitment before a real Orthanc, in both roles: it asks after what it sent, and reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from factories import dx_file, uid
from peers import Orthanc, free_port, orthanc, require_tool, wait_until

from config.settings import Destination, Modality, Node
from delivery.commitment import ask_commitment, tell_commitment
from delivery.part10 import identify
from delivery.store import send_document
from domain.types import InstanceRef, Peer, Received
from scp.listener import CommitmentReport, CommitmentRequest, Commitments, Listener

SECONDS = 10.0


class Kept:
    """The node behind the listener."""

    def __init__(self) -> None:
        self.images: set[InstanceRef] = set()
        self.requests: list[CommitmentRequest] = []
        self.reports: list[CommitmentReport] = []

    def receive(self, received: Received) -> None:
        self.images.add(received.ref)

    def holds(self, instances: Sequence[InstanceRef]) -> Mapping[str, int]:
        return {ref.sop_instance_uid: 0x0112 for ref in instances if ref not in self.images}


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def archive(tmp_path: Path, kept: Kept) -> Iterator[Orthanc]:
    require_tool("Orthanc")
    listener = Listener(
        node=Node(host="127.0.0.1"),
        modalities=[Modality(name="orthanc", ae_title="ORTHANC")],
        destinations=[Destination(name="pacs", ae_title="ORTHANC", host="127.0.0.1", verify="commitment")],
        receive=kept.receive,
        refused=lambda caller: pytest.fail(caller.reason),
        commitments=Commitments(
            asked=kept.requests.append, holds=kept.holds, told=lambda _: None, committed=kept.reports.append
        ),
        port=free_port(),
    )
    with (
        listener,
        orthanc(tmp_path / "orthanc", modalities={"node": ("HOUNDSFIELD", "127.0.0.1", listener.port)}) as server,
    ):
        yield server


def peer(archive: Orthanc) -> Peer:
    return Peer(ae_title="ORTHANC", host="127.0.0.1", port=archive.dicom_port)


def test_orthanc_sends_an_image_and_is_told_that_it_is_kept(tmp_path: Path, archive: Orthanc, kept: Kept) -> None:
    send_document(dx_file(tmp_path / "a.dcm", study=81, rows=16, columns=16), peer(archive), timeout_seconds=SECONDS)
    (instance,) = archive.instances()
    archive.post("/modalities/node/store", instance)
    (image,) = kept.images
    lost = InstanceRef(sop_class_uid=image.sop_class_uid, sop_instance_uid=uid("lost"))
    asked = archive.post(
        "/modalities/node/storage-commitment",
        {"DicomInstances": [[ref.sop_class_uid, ref.sop_instance_uid] for ref in (image, lost)]},
    )
    wait_until(lambda: kept.requests, what="the request")
    (request,) = kept.requests
    assert (request.calling_ae, request.instances) == ("ORTHANC", (image, lost))
    tell_commitment(
        request.instances,
        kept.holds(request.instances),
        peer(archive),
        transaction_uid=request.transaction_uid,
        timeout_seconds=SECONDS,
    )
    report = archive.get(f"/storage-commitment/{asked['ID']}")
    assert report["Status"] == "Failure"
    assert [item["SOPInstanceUID"] for item in report["Success"]] == [image.sop_instance_uid]
    assert [item["SOPInstanceUID"] for item in report["Failures"]] == [lost.sop_instance_uid]


def test_orthanc_reports_to_the_listener_what_it_keeps(tmp_path: Path, archive: Orthanc, kept: Kept) -> None:
    path = dx_file(tmp_path / "a.dcm", study=82, rows=16, columns=16)
    send_document(path, peer(archive), timeout_seconds=SECONDS)
    file = identify(path)
    there = InstanceRef(sop_class_uid=file.sop_class_uid, sop_instance_uid=file.sop_instance_uid)
    lost = InstanceRef(sop_class_uid=file.sop_class_uid, sop_instance_uid=uid("lost"))
    ask_commitment(
        [there, lost], peer(archive), transaction_uid=uid("transaction", 82), timeout_seconds=SECONDS, wait_seconds=0.1
    )
    wait_until(lambda: kept.reports, what="the report")
    assert kept.reports == [
        CommitmentReport(
            transaction_uid=uid("transaction", 82),
            destination="pacs",
            committed=frozenset({there.sop_instance_uid}),
            failed={lost.sop_instance_uid: 0x0112},
        )
    ]
