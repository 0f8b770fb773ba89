"""What a file is before it is sent, and its data set re-encoded for a peer that does not take it as it is."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from factories import dx_dataset, dx_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MediaStorageDirectoryStorage,
    RLELossless,
)
from pynetdicom.dsutils import decode

from delivery.part10 import encodings, identify, reencode
from domain.errors import DataSetUnusable

OUTGOING = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=JPEG2000Lossless)
    expected = dcmread(path)
    found = identify(path)
    assert found.sop_class_uid == expected.SOPClassUID
    assert found.sop_instance_uid == expected.SOPInstanceUID
    assert found.transfer_syntax_uid == JPEG2000Lossless
    assert found.size_bytes == path.stat().st_size - found.offset
    assert path.read_bytes()[found.offset : found.offset + 2] == b"\x08\x00"
    assert encodings(found) == (JPEG2000Lossless, *OUTGOING)


def test_a_wrong_group_length_does_not_move_the_data_set(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm")
    before = identify(path)
    content = bytearray(path.read_bytes())
    content[140:144] = (7).to_bytes(4, "little")  # the value of (0002,0000)
    path.write_bytes(content)
    assert identify(path) == before


def test_identity_comes_from_the_data_set_where_the_file_meta_information_is_silent(tmp_path: Path) -> None:
    dataset = dx_dataset()
    del dataset.file_meta.MediaStorageSOPClassUID
    del dataset.file_meta.MediaStorageSOPInstanceUID
    path = tmp_path / "a.dcm"
    dataset.save_as(path, enforce_file_format=False)
    assert identify(path).sop_instance_uid == dataset.SOPInstanceUID
    assert identify(path).sop_class_uid == dataset.SOPClassUID


@pytest.mark.parametrize("encoding", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_bare_data_set_is_sent_in_the_encoding_it_shows(tmp_path: Path, encoding: UID) -> None:
    dataset = dx_dataset(transfer_syntax=encoding)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = encoding.is_implicit_VR, encoding.is_little_endian
    write_dataset(buffer, dataset)
    path = tmp_path / "bare"
    path.write_bytes(buffer.getvalue())
    found = identify(path)
    assert (found.offset, found.transfer_syntax_uid) == (0, encoding)
    assert found.sop_instance_uid == dataset.SOPInstanceUID


def test_files_that_are_no_objects_say_why(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("nothing to see here, and long enough to hold a preamble" * 10)
    directory = dx_dataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.SOPClassUID = MediaStorageDirectoryStorage
    directory.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    nameless = dx_dataset(SOPInstanceUID=None)
    del nameless.file_meta.MediaStorageSOPInstanceUID
    nameless.save_as(tmp_path / "nameless.dcm", enforce_file_format=False)
    path = dx_file(tmp_path / "cut.dcm")
    path.write_bytes(path.read_bytes()[: identify(path).offset])
    for name, reason in {
        "notes.txt": "not a DICOM file",
        "DICOMDIR": "DICOMDIR",
        "nameless.dcm": "no SOP Instance UID",
        "cut.dcm": "empty",
    }.items():
        with pytest.raises(DataSetUnusable, match=reason):
            identify(tmp_path / name)


def test_a_uid_too_long_to_negotiate_is_found_before_the_peer_finds_it(tmp_path: Path) -> None:
    dataset = dx_dataset()
    path = tmp_path / "a.dcm"
    dataset.save_as(path, enforce_file_format=True)
    own = str(dataset.SOPInstanceUID).encode()
    padded = own + b"\0" * (len(own) % 2)
    longer = b"1." + b"9" * 68
    content = path.read_bytes()
    at = content.index(padded)
    # (0002,0003) UI: its two-byte length stands right before the value
    path.write_bytes(content[: at - 2] + len(longer).to_bytes(2, "little") + longer + content[at + len(padded) :])
    with pytest.raises(DataSetUnusable, match="longer than 64"):
        identify(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400), prefix=st.booleans())
def test_whatever_the_bytes_only_one_error_comes(tmp_path: Path, content: bytes, prefix: bool) -> None:
    path = tmp_path / "any"
    path.write_bytes((bytes(128) + b"DICM" if prefix else b"") + content)
    try:
        found = identify(path)
    except DataSetUnusable:
        return
    assert found.sop_class_uid and found.sop_instance_uid and found.transfer_syntax_uid and found.size_bytes > 0


@pytest.mark.parametrize("target", OUTGOING)
@pytest.mark.parametrize(
    "source",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        JPEG2000Lossless,
        RLELossless,
    ],
)
def test_reencoding_keeps_pixels_and_identity(tmp_path: Path, source: UID, target: UID) -> None:
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=source, charset="ISO 2022 IR 149")
    original = dcmread(path)
    result = _decode(reencode(identify(path), target), target)
    assert np.array_equal(result.pixel_array, original.pixel_array)
    assert result.SOPInstanceUID == original.SOPInstanceUID
    assert result.PatientName == original.PatientName
    assert result.ViewCodeSequence == original.ViewCodeSequence
    assert set(result.keys()) == set(original.keys())


def test_a_big_endian_lookup_table_is_swapped_in_its_sequence_too(tmp_path: Path) -> None:
    dataset = dx_dataset(transfer_syntax=ExplicitVRBigEndian)
    table = np.arange(256, dtype=np.uint16)
    item = dx_dataset()[:0x00020000]
    item.LUTDescriptor = [256, 0, 16]
    item.add_new("LUTData", "OW", table.astype(">u2").tobytes())
    dataset.VOILUTSequence = [item]
    path = tmp_path / "a.dcm"
    dataset.save_as(path, enforce_file_format=True)
    result = _decode(reencode(identify(path), ExplicitVRLittleEndian), ExplicitVRLittleEndian)
    assert np.array_equal(np.frombuffer(result.VOILUTSequence[0]["LUTData"].value, "<u2"), table)
    assert list(result.VOILUTSequence[0].LUTDescriptor) == [256, 0, 16]


def test_what_cannot_be_decoded_says_so(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=JPEG2000Lossless)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\xff\x4f\xff\x51", b"\x00\x00\x00\x00"))  # no codestream begins any more
    with pytest.raises(DataSetUnusable, match="cannot be converted from JPEG 2000"):
        reencode(identify(path), ExplicitVRLittleEndian)


def _decode(encoded: bytes, transfer_syntax: UID) -> Dataset:
    dataset = decode(BytesIO(encoded), transfer_syntax.is_implicit_VR, transfer_syntax.is_little_endian)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    return dataset
