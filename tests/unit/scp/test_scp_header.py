"""Four UIDs out of any data set, as pydicom would read them, and nothing but a refusal out of anything else."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from struct import pack

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from domain.errors import DataSetUnusable
from scp.header import Identifiers, part10_header, read_identifiers

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
]
DATA = Path(__file__).parents[4] / "shared" / "data"
IDENTIFIERS = Identifiers(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
    sop_instance_uid="2.25.18",
    study_instance_uid="2.25.20",
    series_instance_uid="2.25.14",
)


def encode(data_set: Dataset, transfer_syntax: str) -> bytes:
    target = DicomBytesIO()
    target.is_implicit_VR = transfer_syntax == ImplicitVRLittleEndian
    target.is_little_endian = transfer_syntax != ExplicitVRBigEndian
    write_dataset(target, data_set)
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return deflater.compress(target.getvalue()) + deflater.flush()
    return target.getvalue()


def image() -> Dataset:
    data_set = Dataset()
    data_set.SOPClassUID = IDENTIFIERS.sop_class_uid
    data_set.SOPInstanceUID = IDENTIFIERS.sop_instance_uid
    data_set.StudyInstanceUID = IDENTIFIERS.study_instance_uid
    data_set.SeriesInstanceUID = IDENTIFIERS.series_instance_uid
    data_set.add_new(0x00280010, "US", 1)
    return data_set


def nested(depth: int, *, undefined: bool, private: bool) -> Sequence:
    item = Dataset()
    item.StudyInstanceUID = "2.25.666"  # not the one that counts
    item.SOPInstanceUID = "2.25.667"
    item.is_undefined_length_sequence_item = undefined
    if depth:
        tag = 0x00081140 if not private else 0x00091010
        item.add_new(tag, "SQ", nested(depth - 1, undefined=undefined, private=private))
        item[tag].is_undefined_length = undefined
    return Sequence([item])


def shape() -> st.SearchStrategy[tuple[int, bool, bool]]:
    return st.tuples(st.integers(0, 6), st.booleans(), st.booleans())


@given(st.sampled_from(SYNTAXES), st.none() | shape(), st.binary(max_size=300), st.text("ABC ^=", max_size=40))
def test_uids_are_what_pydicom_reads(
    transfer_syntax: str, sequence: tuple[int, bool, bool] | None, blob: bytes, name: str
) -> None:
    sent = image()
    sent.add_new(0x00080060, "CS", "DX")
    sent.add_new(0x00080104, "LO", name)
    sent.add_new(0x00091001, "OB", blob + b"\0" * (len(blob) % 2))
    sent.add_new(0x00191010, "UN", blob + b"\0" * (len(blob) % 2))
    if sequence is not None:
        depth, undefined, private = sequence
        sent.add_new(0x00081140, "SQ", nested(depth, undefined=undefined, private=private))
        sent[0x00081140].is_undefined_length = undefined
    encoded = encode(sent, transfer_syntax)

    header = part10_header(
        sop_class_uid="1.2", sop_instance_uid="1.3", transfer_syntax_uid=transfer_syntax, source_ae="DRROOM1"
    )
    theirs = pydicom.dcmread(BytesIO(header + encoded))
    ours = read_identifiers(memoryview(encoded), transfer_syntax)
    assert ours == Identifiers(
        sop_class_uid=theirs.SOPClassUID,
        sop_instance_uid=theirs.SOPInstanceUID,
        study_instance_uid=theirs.StudyInstanceUID,
        series_instance_uid=theirs.SeriesInstanceUID,
    )
    assert ours == IDENTIFIERS


@pytest.mark.parametrize("transfer_syntax", SYNTAXES)
@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", [None, "", "1.2.3\\1.2.4", "../../etc/passwd", "1" * 65])
def test_a_missing_or_impossible_uid_is_named(transfer_syntax: str, keyword: str, value: str | None) -> None:
    data_set = image()
    if value is None:
        del data_set[keyword]
    else:
        data_set[keyword]._value = value  # past pydicom's own checks
    name = {"SOPClassUID": "SOP Class UID", "SOPInstanceUID": "SOP Instance UID"}.get(keyword) or (
        keyword.replace("InstanceUID", " Instance UID")
    )
    expected = f"no {name}" if not value else f"The {name} is not a UID"
    with pytest.raises(DataSetUnusable, match=expected):
        read_identifiers(encode(data_set, transfer_syntax), transfer_syntax)


def test_padding_is_no_part_of_a_uid() -> None:
    data_set = image()
    data_set["StudyInstanceUID"]._value = "2.25.20 \0"
    assert read_identifiers(encode(data_set, ExplicitVRLittleEndian), ExplicitVRLittleEndian) == IDENTIFIERS


@pytest.mark.parametrize("transfer_syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_sequences_may_be_nested_to_any_depth(transfer_syntax: str) -> None:
    order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
    begin = pack(f"{order}HH", 0x0008, 0x1140)
    begin += pack(f"{order}I", 0xFFFFFFFF) if transfer_syntax == ImplicitVRLittleEndian else b"SQ\0\0\xff\xff\xff\xff"
    begin += pack(f"{order}HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = pack(f"{order}HHI", 0xFFFE, 0xE00D, 0) + pack(f"{order}HHI", 0xFFFE, 0xE0DD, 0)
    before, after = image(), image()
    del before[0x00200000:], after[:0x00200000]
    encoded = encode(before, transfer_syntax) + begin * 20_000 + end * 20_000 + encode(after, transfer_syntax)
    assert read_identifiers(encoded, transfer_syntax) == IDENTIFIERS


def test_a_sequence_of_unknown_vr_is_implicit_inside() -> None:
    item = Dataset()
    item.add_new(0x00091010, "OB", bytes(0x4142))  # its length reads "BA", like a VR
    before, after = image(), image()
    del before[0x00200000:], after[:0x00200000]
    sequence = pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF) + pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    sequence += encode(item, ImplicitVRLittleEndian) + pack("<HHI", 0xFFFE, 0xE00D, 0) + pack("<HHI", 0xFFFE, 0xE0DD, 0)
    encoded = encode(before, ExplicitVRLittleEndian) + sequence + encode(after, ExplicitVRLittleEndian)
    assert read_identifiers(encoded, ExplicitVRLittleEndian) == IDENTIFIERS


def test_explicit_where_implicit_was_agreed_is_read() -> None:
    assert read_identifiers(encode(image(), ExplicitVRLittleEndian), ImplicitVRLittleEndian) == IDENTIFIERS


def test_implicit_where_explicit_was_agreed_is_read() -> None:
    assert read_identifiers(encode(image(), ImplicitVRLittleEndian), ExplicitVRLittleEndian) == IDENTIFIERS


def test_an_absurd_length_is_refused() -> None:
    lying = pack("<HH2sHI", 0x0008, 0x0005, b"UT", 0, 0xFFFFFFF0) + encode(image(), ExplicitVRLittleEndian)
    with pytest.raises(DataSetUnusable, match="ends within its header"):
        read_identifiers(lying, ExplicitVRLittleEndian)


def test_a_deflated_bomb_is_refused() -> None:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(pack("<HH2sHI", 0x0008, 0x0005, b"UT", 0, 1 << 29))
    bomb += b"".join(deflater.compress(b"\0" * (1 << 20)) for _ in range(80)) + deflater.flush()
    with pytest.raises(DataSetUnusable, match="deflated"):
        read_identifiers(bomb, DeflatedExplicitVRLittleEndian)


def test_a_long_deflated_header_is_read() -> None:
    data_set = image()
    data_set.add_new(0x00091001, "OB", b"\1\2\3\4" * 100_000)
    assert read_identifiers(encode(data_set, DeflatedExplicitVRLittleEndian), DeflatedExplicitVRLittleEndian) == IDENTIFIERS


@given(st.binary(max_size=400), st.sampled_from(SYNTAXES))
def test_any_bytes_are_refused(data_set: bytes, transfer_syntax: str) -> None:
    with pytest.raises(DataSetUnusable):
        read_identifiers(data_set, transfer_syntax)


@given(st.data(), st.sampled_from([ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]))
def test_a_damaged_data_set_is_read_or_refused(data: st.DataObject, transfer_syntax: str) -> None:
    sent = image()
    sent.add_new(0x00081140, "SQ", nested(3, undefined=True, private=True))
    sent[0x00081140].is_undefined_length = True
    encoded = bytearray(encode(sent, transfer_syntax))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_identifiers(encoded, transfer_syntax)
    except DataSetUnusable:
        return


@given(
    st.from_regex(r"[1-9][0-9.]{0,62}[0-9]", fullmatch=True),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\"), max_size=16),
)
def test_file_meta_information_is_what_pydicom_reads(uid: str, title: str) -> None:
    header = part10_header(
        sop_class_uid=uid, sop_instance_uid=uid, transfer_syntax_uid=ExplicitVRLittleEndian, source_ae=title
    )
    meta = pydicom.dcmread(BytesIO(header + encode(image(), ExplicitVRLittleEndian))).file_meta
    assert meta.MediaStorageSOPClassUID == meta.MediaStorageSOPInstanceUID == uid
    assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert meta.get("SourceApplicationEntityTitle", "") == title
    assert meta.FileMetaInformationGroupLength == len(header) - 132 - 12


def test_real_files_have_their_uids_read() -> None:
    if not DATA.is_dir():
        pytest.skip(f"needs the shared test data beside the repository ({DATA.name})")
    read = 0
    for path in sorted(DATA.glob("[rd][ae][dr]*.dcm")):
        raw = path.read_bytes()
        if raw[128:132] != b"DICM" or "A09" in path.name or "A10" in path.name:
            continue
        meta = pydicom.filereader.read_file_meta_info(path)
        data_set = raw[144 + meta.FileMetaInformationGroupLength :]
        found = read_identifiers(data_set, meta.TransferSyntaxUID)
        try:
            expected = pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID
        except RecursionError:  # a sequence 400 deep, where pydicom 3.0.2 gives up
            expected = meta.MediaStorageSOPInstanceUID
        assert found.sop_instance_uid == expected, path.name
        read += 1
    assert read >= 20


def test_real_file_without_uids_is_refused() -> None:
    path = DATA / "der_A09_vet_dx_missing_all_uids.dcm"
    if not path.is_file():
        pytest.skip(f"needs the shared test data beside the repository ({path.name})")
    meta = pydicom.filereader.read_file_meta_info(path)
    data_set = path.read_bytes()[144 + meta.FileMetaInformationGroupLength :]
    with pytest.raises(DataSetUnusable, match="no SOP Class UID"):
        read_identifiers(data_set, meta.TransferSyntaxUID)


@given(
    st.sampled_from(SYNTAXES),
    st.sampled_from(["STAT", "HIGH", "ROUTINE", "MEDIUM", "LOW", "", None]),
    st.sampled_from(["top", "request", "elsewhere"]),
    st.booleans(),
    st.booleans(),
)
def test_urgency_is_the_priority_of_the_request(
    transfer_syntax: str, priority: str | None, place: str, undefined_sequence: bool, undefined_item: bool
) -> None:
    sent = image()
    sent.add_new(0x00081140, "SQ", nested(2, undefined=undefined_item, private=False))
    sent.add_new(0x7FE00010, "OW", b"\x40\x00\x03\x10" * 50)  # what looks like the tag
    item = Dataset()
    item.add_new(0x00400007, "LO", "Thorax")
    item.is_undefined_length_sequence_item = undefined_item
    if priority is not None:
        (sent if place == "top" else item).add_new(0x00401003, "CS", priority)
    tag = 0x00400275 if place == "request" else 0x00400008
    sent.add_new(tag, "SQ", [item, Dataset()])
    sent[tag].is_undefined_length = undefined_sequence
    read = read_identifiers(encode(sent, transfer_syntax), transfer_syntax)
    assert read.urgent is (priority in ("STAT", "HIGH") and place != "elsewhere")
    assert read.sop_instance_uid == IDENTIFIERS.sop_instance_uid


@pytest.mark.parametrize("cut", range(1, 30))
def test_damage_behind_the_uids_costs_the_urgency_and_not_the_image(cut: int) -> None:
    sent = image()
    sent.add_new(0x00401003, "CS", "STAT")
    encoded = encode(sent, ImplicitVRLittleEndian)
    assert read_identifiers(encoded, ImplicitVRLittleEndian).urgent
    damaged = encoded[: len(encoded) - cut] if cut < 20 else encoded[:-12] + bytes([cut]) * 12
    read = read_identifiers(damaged, ImplicitVRLittleEndian)
    assert (read.urgent, read.study_instance_uid) == (False, IDENTIFIERS.study_instance_uid)
