"""Delivery over HTTP to a real Orthanc: its own REST interface, and its DICOMweb plug-in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import peers
import pytest
from dicomweb_client import DICOMwebClient
from factories import dx_file
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from config.settings import Destination
from delivery.destination import sender_for
from delivery.result import StoreResult, StoreState
from delivery.sender import Sender
from domain.types import Document, DocumentKind, InstanceRef

PLUGINS = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
KINDS = {"orthanc": 21, "dicomweb": 41}  # the numbers of their studies


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Orthanc]:
    peers.require_tool("Orthanc")
    if not PLUGINS.exists():
        pytest.skip("the DICOMweb plug-in is not installed (Debian package orthanc-dicomweb)")
    with peers.orthanc(tmp_path_factory.mktemp("orthanc") / "server", settings={"Plugins": [str(PLUGINS)]}) as running:
        yield running


def destination(server: peers.Orthanc, kind: str, **more: object) -> Destination:
    url = server.http + ("/dicom-web" if kind == "dicomweb" else "")
    return Destination.model_validate({"name": "clinic", "kind": kind, "url": url, "timeout_seconds": 10, **more})


def document(path: Path) -> Document:
    header = dcmread(path, stop_before_pixels=True)
    return Document(
        kind=DocumentKind.ORIGINAL,
        ref=InstanceRef(sop_class_uid=header.SOPClassUID, sop_instance_uid=header.SOPInstanceUID),
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=header.SeriesInstanceUID,
        path=path,
        sha256="0" * 64,
    )


def send(sender: Sender, *documents: Document) -> list[StoreResult]:
    results: list[StoreResult] = []
    sender.send(documents, wanted=lambda _: True, answered=lambda _, result: results.append(result))
    return results


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_sent_is_there_byte_for_byte_and_is_sent_once(tmp_path: Path, server: peers.Orthanc, kind: str) -> None:
    sender = sender_for(destination(server, kind), calling_ae="NODE")
    native = document(dx_file(tmp_path / "a.dcm", study=KINDS[kind], charset="ISO 2022 IR 149"))
    compressed = document(dx_file(tmp_path / "b.dcm", study=KINDS[kind], instance=2, transfer_syntax=JPEG2000Lossless))
    assert sender.found([native, compressed]) == frozenset()
    assert [(result.state, result.reason) for result in send(sender, native, compressed)] == [(StoreState.STORED, "")] * 2
    assert sender.found([native, compressed]) == {native.ref.sop_instance_uid, compressed.ref.sop_instance_uid}
    for sent in (native, compressed):
        (instance,) = server.find(SOPInstanceUID=sent.ref.sop_instance_uid)
        assert server.file(instance) == sent.path.read_bytes()
    again = send(sender, native, compressed)
    assert [result.state for result in again] == [StoreState.STORED] * 2
    assert all("has it already" in result.reason for result in again)
    assert len(server.find(StudyInstanceUID=native.study_instance_uid)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_another_object_under_the_same_uid_is_left_alone_and_said(tmp_path: Path, server: peers.Orthanc, kind: str) -> None:
    sender = sender_for(destination(server, kind), calling_ae="NODE")
    first = document(dx_file(tmp_path / "a.dcm", study=KINDS[kind] + 1))
    send(sender, first)
    other = document(dx_file(tmp_path / "b.dcm", study=KINDS[kind] + 1, rows=48))
    (result,) = send(sender, other)
    assert result.state is StoreState.REFUSED and "another object" in result.reason
    (instance,) = server.find(SOPInstanceUID=first.ref.sop_instance_uid)
    assert server.file(instance) == first.path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_it_is(server: peers.Orthanc, kind: str) -> None:
    assert sender_for(destination(server, kind), calling_ae="NODE").check().says


def test_dicomweb_client_retrieves_what_stow_stored(tmp_path: Path, server: peers.Orthanc) -> None:
    sent = document(dx_file(tmp_path / "a.dcm", study=61))
    send(sender_for(destination(server, "dicomweb"), calling_ae="NODE"), sent)
    client = DICOMwebClient(server.http + "/dicom-web")
    there = client.retrieve_instance(sent.study_instance_uid, sent.series_instance_uid, sent.ref.sop_instance_uid)
    assert there.PixelData == dcmread(sent.path).PixelData
