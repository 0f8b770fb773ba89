"""C-STORE to peers: what leaves, in which encoding, and what becomes of each file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import dx_file
from odd_peers import DX, LONG_SECONDS, Kept, body, scp
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from pynetdicom import AE, AllStoragePresentationContexts, evt

from delivery.store import StoreState, send_document, store


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless, RLELossless]
)
def test_the_data_set_leaves_untouched_in_its_own_encoding(tmp_path: Path, syntax: UID) -> None:
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=syntax)
    kept = Kept()
    offers = {DX: [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless, RLELossless]}
    with scp((evt.EVT_C_STORE, kept), contexts=offers) as peer:
        result = send_document(path, peer, timeout_seconds=LONG_SECONDS)
    assert result.state is StoreState.STORED and result.status == 0 and not result.converted and result.reason == ""
    assert kept.data_sets == [body(path)]
    assert kept.commands == [(DX, result.sop_instance_uid, syntax)]


def test_a_file_the_parser_finds_odd_still_leaves_untouched(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-1000] + b"\xff\xff")  # pixel data cut short, then a broken element
    kept = Kept()
    with scp((evt.EVT_C_STORE, kept)) as peer:
        assert send_document(path, peer, timeout_seconds=LONG_SECONDS).state is StoreState.STORED
    assert kept.data_sets == [body(path)]


@pytest.mark.parametrize("peers_pdu_bytes", [0, 4096, 4097, 16382])
def test_every_fragment_has_an_even_length(tmp_path: Path, peers_pdu_bytes: int) -> None:
    """PS3.8 annex E; DCMTK aborts at an odd one, be it for the data set's length or for the size of its own PDUs."""
    path = dx_file(tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-1001])
    kept = Kept()
    lengths: list[int] = []

    def measure(event: Any) -> None:
        if type(event.pdu).__name__ == "P_DATA_TF":
            lengths.extend(len(item.presentation_data_value) for item in event.pdu.presentation_data_value_items)

    def prepare(entity: AE) -> None:
        entity.maximum_pdu_size = peers_pdu_bytes

    with scp((evt.EVT_C_STORE, kept), (evt.EVT_PDU_RECV, measure), prepare=prepare) as peer:
        assert send_document(path, peer, timeout_seconds=LONG_SECONDS).state is StoreState.STORED
    assert kept.data_sets == [body(path) + b"\0"]
    assert lengths and not any((length - 1) % 2 for length in lengths)  # each starts with its one-byte control header
    assert peers_pdu_bytes == 0 or max(lengths) + 5 <= peers_pdu_bytes


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless, RLELossless])
def test_a_peer_with_implicit_only_gets_the_same_object_converted(tmp_path: Path, syntax: UID) -> None:
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=syntax)
    received: list[Dataset] = []

    def keep(event: Any) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        received.append(dataset)
        return 0x0000

    with scp((evt.EVT_C_STORE, keep), contexts={DX: [ImplicitVRLittleEndian]}) as peer:
        result = send_document(path, peer, timeout_seconds=LONG_SECONDS)
    original = dcmread(path)
    assert result.state is StoreState.STORED and result.converted and result.sent_as_uid == ImplicitVRLittleEndian
    assert "pixels unchanged" in result.reason and syntax.name in result.reason
    assert received[0].SOPInstanceUID == original.SOPInstanceUID
    assert np.array_equal(received[0].pixel_array, original.pixel_array)


def test_many_files_use_one_association_and_are_heard_of_one_by_one(tmp_path: Path) -> None:
    paths = [dx_file(tmp_path / f"{n}.dcm", instance=n) for n in range(5)]
    kept = Kept()
    heard: list[Path] = []
    with scp((evt.EVT_C_STORE, kept)) as peer:
        results = store(paths, peer, timeout_seconds=LONG_SECONDS, stored=lambda path, _result: heard.append(path))
    assert heard == [result.path for result in results] == paths
    assert kept.data_sets == [body(path) for path in paths]
    assert len(kept.associations) == 1


def test_more_contexts_than_an_association_holds_are_spread_over_several(tmp_path: Path) -> None:
    classes = [context.abstract_syntax for context in AllStoragePresentationContexts[:70]]
    paths = [
        dx_file(tmp_path / f"{n}.dcm", instance=n, rows=8, columns=8, SOPClassUID=sop_class)
        for n, sop_class in enumerate(classes)
    ]
    kept = Kept()
    offers = {UID(str(sop_class)): [ExplicitVRLittleEndian] for sop_class in classes}
    with scp((evt.EVT_C_STORE, kept), contexts=offers) as peer:
        results = store(paths, peer, timeout_seconds=LONG_SECONDS)
    assert {result.state for result in results} == {StoreState.STORED}
    assert [result.path for result in results] == paths
    assert len(kept.associations) == 2


# What the peer does not take


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0xB000, StoreState.STORED),
        (0x0111, StoreState.STORED),
        (0xA700, StoreState.POSTPONED),
        (0x0110, StoreState.POSTPONED),
        (0xC000, StoreState.REFUSED),
        (0xA900, StoreState.REFUSED),
    ],
)
def test_a_status_becomes_the_files_result_and_the_others_go_on(tmp_path: Path, status: int, state: StoreState) -> None:
    paths = [dx_file(tmp_path / f"{n}.dcm", instance=n) for n in range(2)]
    kept = Kept(status, comment="about Rex")
    with scp((evt.EVT_C_STORE, kept)) as peer:
        results = store(paths, peer, timeout_seconds=LONG_SECONDS)
    assert [(result.state, result.status) for result in results] == [(state, status)] * 2
    assert f"0x{status:04X}" in results[0].reason and "PACS at 127.0.0.1:" in results[0].reason
    assert results[0].comment == "about Rex"
    assert "Rex" not in repr(results) + results[0].reason


def test_a_sop_class_the_peer_does_not_take_is_that_files_result_only(tmp_path: Path) -> None:
    taken = dx_file(tmp_path / "dx.dcm")
    other = dx_file(tmp_path / "other.dcm", instance=2, SOPClassUID=UID("1.2.840.10008.5.1.4.1.1.1"))
    with scp((evt.EVT_C_STORE, Kept())) as peer:
        results = store([other, taken], peer, timeout_seconds=LONG_SECONDS)
        alone = store([other], peer, timeout_seconds=LONG_SECONDS)  # the peer accepts no context at all
    assert [result.state for result in results] == [StoreState.REFUSED, StoreState.STORED]
    assert [result.state for result in alone] == [StoreState.REFUSED]
    for reason in (results[0].reason, alone[0].reason):
        assert "does not take Computed Radiography Image Storage; enable it there" in reason


def test_a_known_class_without_a_common_encoding_says_that_instead(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=RLELossless)
    with scp((evt.EVT_C_STORE, Kept()), contexts={DX: [JPEG2000Lossless]}) as peer:
        result = send_document(path, peer, timeout_seconds=LONG_SECONDS)
    assert result.state is StoreState.REFUSED
    assert "neither as RLE Lossless nor uncompressed" in result.reason


def test_a_file_that_is_no_object_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("not an image")
    path = dx_file(tmp_path / "b.dcm")
    with scp((evt.EVT_C_STORE, Kept())) as peer:
        results = store([text, tmp_path / "absent", path], peer, timeout_seconds=LONG_SECONDS)
    assert [result.state for result in results] == [StoreState.REFUSED, StoreState.REFUSED, StoreState.STORED]
    assert "not a DICOM file" in results[0].reason and "No such file" in results[1].reason


def test_an_undecodable_object_for_a_peer_without_its_encoding_is_refused(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=JPEG2000Lossless)
    path.write_bytes(path.read_bytes().replace(b"\xff\x4f\xff\x51", bytes(4)))
    with scp((evt.EVT_C_STORE, Kept())) as peer:
        result = send_document(path, peer, timeout_seconds=LONG_SECONDS)
    assert result.state is StoreState.REFUSED and "cannot be converted" in result.reason
