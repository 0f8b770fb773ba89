"""Delivery to real archives: Orthanc, DCMTK's storescp and pynetdicom's qrscp."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import peers
import pytest
from factories import dx_file, uid
from pydicom import dcmread
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from pynetdicom import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from delivery.association import AssociationLost, associate
from delivery.echo import capabilities, echo
from delivery.find import Whereabouts, find_filed
from delivery.part10 import identify
from delivery.store import StoreState, send_document, store
from domain.errors import DataSetUnusable, PeerRefused, PeerUnavailable
from domain.types import Peer

TIMEOUT_SECONDS = 10.0
SHARED_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless, RLELossless]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Orthanc]:
    peers.require_tool("Orthanc")
    with peers.orthanc(tmp_path_factory.mktemp("orthanc") / "server") as server:
        yield server


@pytest.fixture
def pacs(archive: peers.Orthanc) -> Peer:
    return Peer(ae_title="ORTHANC", host="127.0.0.1", port=archive.dicom_port)


def receiver(server: peers.Receiver) -> Peer:
    return Peer(ae_title="STORESCP", host="127.0.0.1", port=server.port)


def where(path: Path) -> Whereabouts:
    header = dcmread(path, stop_before_pixels=True)
    return Whereabouts(
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=header.SeriesInstanceUID,
        sop_instance_uid=header.SOPInstanceUID,
    )


def body(path: Path) -> bytes:
    return path.read_bytes()[identify(path).offset :]


# Orthanc


def test_orthanc_answers_an_echo_and_takes_what_the_node_sends(pacs: Peer) -> None:
    echo(pacs, timeout_seconds=TIMEOUT_SECONDS)
    found = {item.name: item for item in capabilities(pacs, timeout_seconds=TIMEOUT_SECONDS)}
    for name in ("Comprehensive SR Storage", "Secondary Capture Image Storage"):
        assert ExplicitVRLittleEndian in {syntax.uid for syntax in found[name].transfer_syntaxes}
    assert all(item.accepted for item in found.values())


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_orthanc_holds_the_bytes_that_were_sent(tmp_path: Path, archive: peers.Orthanc, pacs: Peer, syntax: UID) -> None:
    path = dx_file(
        tmp_path / "a.dcm", study=10, instance=SYNTAXES.index(syntax), transfer_syntax=syntax, charset="ISO 2022 IR 149"
    )
    item = where(path)
    assert find_filed([item], pacs, timeout_seconds=TIMEOUT_SECONDS) == frozenset()
    result = send_document(path, pacs, timeout_seconds=TIMEOUT_SECONDS)
    assert result.state is StoreState.STORED and not result.converted
    assert find_filed([item], pacs, timeout_seconds=TIMEOUT_SECONDS) == {item.sop_instance_uid}
    (instance,) = archive.find(SOPInstanceUID=item.sop_instance_uid)
    kept = tmp_path / "kept.dcm"
    kept.write_bytes(archive.file(instance))
    assert identify(kept).transfer_syntax_uid == syntax
    assert body(kept) == body(path)


def test_orthanc_holds_an_object_once_however_often_it_is_sent(tmp_path: Path, archive: peers.Orthanc, pacs: Peer) -> None:
    path = dx_file(tmp_path / "a.dcm", study=11)
    results = store([path, path], pacs, timeout_seconds=TIMEOUT_SECONDS)
    assert [result.state for result in results] == [StoreState.STORED] * 2
    assert len(archive.find(StudyInstanceUID=uid("study", 11))) == 1


def test_an_object_is_not_filed_under_another_series(tmp_path: Path, pacs: Peer) -> None:
    path = dx_file(tmp_path / "a.dcm", study=12)
    send_document(path, pacs, timeout_seconds=TIMEOUT_SECONDS)
    item = where(path)
    elsewhere = dataclasses.replace(item, series_instance_uid=uid("series", "other"))
    assert find_filed([item], pacs, timeout_seconds=TIMEOUT_SECONDS) == {item.sop_instance_uid}
    assert find_filed([elsewhere], pacs, timeout_seconds=TIMEOUT_SECONDS) == frozenset()


def test_orthanc_refuses_a_class_that_it_does_not_know(tmp_path: Path, pacs: Peer) -> None:
    path = dx_file(tmp_path / "a.dcm", study=13, SOPClassUID=uid("a private class"))
    result = send_document(path, pacs, timeout_seconds=TIMEOUT_SECONDS)
    assert result.state is StoreState.REFUSED and "enable it there" in result.reason


def test_a_request_does_not_wait_for_a_delayed_acknowledgement(pacs: Peer) -> None:
    """40 ms each, unless the response's first piece is acknowledged at once."""
    seconds: list[float] = []
    with associate(pacs, [build_context(Verification)], timeout_seconds=TIMEOUT_SECONDS) as link:
        for _ in range(15):
            started = time.monotonic()
            link.association.send_c_echo()
            seconds.append(time.monotonic() - started)
    assert statistics.median(seconds) < 0.03


# DCMTK


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_dcmtk_with_implicit_only_gets_the_same_pixels(tmp_path: Path, syntax: UID) -> None:
    peers.require_tool("storescp")
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=syntax)
    with peers.storescp(tmp_path / "scp", "+xi") as server:
        result = send_document(path, receiver(server), timeout_seconds=TIMEOUT_SECONDS)
        (kept,) = server.files()
    assert result.state is StoreState.STORED
    assert result.converted is (syntax != ImplicitVRLittleEndian)
    original, arrived = dcmread(path), dcmread(kept)
    assert arrived.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert arrived.SOPInstanceUID == original.SOPInstanceUID
    assert np.array_equal(arrived.pixel_array, original.pixel_array)


def test_dcmtk_gets_every_file_of_the_shared_data_as_it_is(tmp_path: Path) -> None:
    """Broken, odd and private files too: what cannot be sent at all is no object."""
    peers.require_tool("storescp")
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared test data is absent")
    paths = sorted(path for path in SHARED_DATA.iterdir() if path.suffix == ".dcm")
    sent = 0
    with peers.storescp(tmp_path / "scp", "+xa", "+B", "-pm") as server:
        for path in paths:
            try:
                own = identify(path).transfer_syntax_uid
            except DataSetUnusable:
                continue
            result = send_document(path, receiver(server), timeout_seconds=TIMEOUT_SECONDS)
            kept = server.files()
            if result.sent_as_uid == own:
                assert result.state is StoreState.STORED, path.name
                assert [body(file) for file in kept] == [body(path) + b"\0" * (len(body(path)) % 2)], path.name
                sent += 1
            for file in kept:
                file.unlink()
    assert sent > len(paths) / 2


@pytest.mark.parametrize("flags", [("--abort-after",), ("--abort-during",)])
def test_dcmtk_aborting_leaves_the_fate_open(tmp_path: Path, flags: tuple[str, ...]) -> None:
    peers.require_tool("storescp")
    path = dx_file(tmp_path / "a.dcm")
    with peers.storescp(tmp_path / "scp", *flags) as server, pytest.raises(AssociationLost):
        send_document(path, receiver(server), timeout_seconds=TIMEOUT_SECONDS)


def test_dcmtk_sleeping_in_the_middle_costs_no_more_than_the_time_out(tmp_path: Path) -> None:
    peers.require_tool("storescp")
    path = dx_file(tmp_path / "a.dcm")
    with peers.storescp(tmp_path / "scp", "--sleep-during", "5") as server:
        started = time.monotonic()
        with pytest.raises(AssociationLost):
            send_document(path, receiver(server), timeout_seconds=0.5)
        assert time.monotonic() - started < 2.5


def test_dcmtk_not_answering_the_release_changes_no_result(tmp_path: Path) -> None:
    peers.require_tool("storescp")
    path = dx_file(tmp_path / "a.dcm")
    with peers.storescp(tmp_path / "scp", "--sleep-after", "5") as server:
        started = time.monotonic()
        assert send_document(path, receiver(server), timeout_seconds=0.5).state is StoreState.STORED
        assert time.monotonic() - started < 2.5


def test_dcmtk_refusing_is_refused(tmp_path: Path) -> None:
    peers.require_tool("storescp")
    path = dx_file(tmp_path / "a.dcm")
    with peers.storescp(tmp_path / "scp", "--refuse") as server:

        def refused() -> bool:
            try:
                send_document(path, receiver(server), timeout_seconds=TIMEOUT_SECONDS)
            except PeerUnavailable:  # storescp 3.6.7 sometimes closes before its rejection has left
                return False
            except PeerRefused as error:
                return "refused the association" in str(error)
            return False

        peers.wait_until(refused, what="the rejection")


# qrscp


def test_qrscp_finds_an_image_by_itself_and_its_parents(tmp_path: Path) -> None:
    """It answers 0xA900 to an IMAGE query without Study and Series Instance UID."""
    paths = [dx_file(tmp_path / f"{n}.dcm", instance=n, rows=16, columns=16) for n in range(3)]
    with peers.qrscp(tmp_path / "qrscp") as server:
        peer = Peer(ae_title=server.ae_title, host="127.0.0.1", port=server.port)
        results = store(paths[:2], peer, timeout_seconds=TIMEOUT_SECONDS)
        found = find_filed(map(where, paths), peer, timeout_seconds=TIMEOUT_SECONDS)
        kept = {path.name for path in server.instances.iterdir()}
    assert [result.state for result in results] == [StoreState.STORED] * 2
    assert found == kept == {result.sop_instance_uid for result in results}
