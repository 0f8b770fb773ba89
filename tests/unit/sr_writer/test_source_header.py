"""Whatever a console writes, reading its header succeeds and every value kept is valid."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from factories import dx_dataset, dx_file
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pydicom.valuerep import validate_value

from sr_writer.header import KEYWORDS, read_header


def with_bytes(path: Path, keyword: str, value: bytes) -> Path:
    """A file whose element holds these very bytes, whatever its value representation allows."""
    absent: dict[str, Any] = {keyword: None}
    ds = dx_dataset(**absent)
    tag = Tag(tag_for_keyword(keyword) or 0)
    value += b" " * (len(value) % 2)
    ds[tag] = RawDataElement(tag, dictionary_VR(keyword), len(value), value, 0, False, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are meant to be invalid
        ds.save_as(path, enforce_file_format=True)
    assert value.rstrip(b" ") in path.read_bytes()
    return path


def test_what_is_repeated_is_read(tmp_path: Path) -> None:
    header = read_header(dx_file(tmp_path / "a.dcm"))
    assert header.text("PatientID") == "TEST-0001"
    assert header.text("PatientSpeciesDescription") == "Canine"
    assert header.attributes.PatientSpeciesCodeSequence[0].CodeValue == "448771007"
    assert header.text("ResponsiblePersonRole") == "OWNER"
    assert "PixelData" not in header.attributes


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_encoding_is_read(tmp_path: Path, syntax: str) -> None:
    header = read_header(dx_file(tmp_path / "a.dcm", transfer_syntax=syntax, charset="ISO 2022 IR 149"))
    assert header.text("PatientBreedDescription") == "말티즈"
    assert header.attributes.Rows == 120


@pytest.mark.parametrize("charset", ["ISO 2022 IR 149", "ISO_IR 192"])
def test_korean_names_keep_their_three_groups(tmp_path: Path, charset: str) -> None:
    header = read_header(dx_file(tmp_path / "a.dcm", charset=charset))
    assert header.text("PatientName") == "Hong^Choco=洪^초코=홍^초코"
    assert header.text("ResponsiblePerson") == "Hong^Gildong=洪^吉洞=홍^길동"


@pytest.mark.parametrize("encoding", ["euc_kr", "utf-8"])
def test_korean_bytes_without_a_declared_set_are_recognised(tmp_path: Path, encoding: str) -> None:
    path = with_bytes(tmp_path / "a.dcm", "PatientName", "홍^초코".encode(encoding))
    assert read_header(path).text("PatientName") == "홍^초코"


def test_bytes_of_no_known_set_become_question_marks(tmp_path: Path) -> None:
    path = with_bytes(tmp_path / "a.dcm", "PatientBreedDescription", b"Laika \xff\xfe")
    assert read_header(path).text("PatientBreedDescription") == "Laika ??"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyDate", b"2025.11.20"),
        ("StudyDate", b"20251340"),
        ("StudyTime", b"25:99:00"),
        ("PatientBirthDate", b"unknown"),
        ("PatientAge", b"8 years"),
        ("PatientWeight", b"8,2"),
        ("PatientWeight", b"about 8"),
        ("PatientSexNeutered", b"YES"),
        ("AnatomicalOrientationType", b"DOG"),
        ("SeriesInstanceUID", b"1.2.abc.3"),
        ("SeriesInstanceUID", b"1.2.3" + b".4" * 30),
        ("InstanceNumber", b"1a"),
        ("ImagerPixelSpacing", b"0,15\\0,15"),
        ("ImagerPixelSpacing", b"0.15"),
        ("PatientOrientation", b"CD"),
        ("AccessionNumber", b"20251120-CLINIC-0001"),
        ("PatientID", b"9" * 70),
    ],
)
def test_invalid_values_are_left_out(tmp_path: Path, keyword: str, value: bytes) -> None:
    assert keyword not in read_header(with_bytes(tmp_path / "a.dcm", keyword, value)).attributes


def test_long_text_is_cut_and_control_characters_dropped(tmp_path: Path) -> None:
    path = with_bytes(tmp_path / "a.dcm", "StudyDescription", b"Thorax\r\n" + b"x" * 80)
    assert read_header(path).text("StudyDescription") == "Thorax" + "x" * 58


def test_a_veterinary_sex_is_kept(tmp_path: Path) -> None:
    assert read_header(dx_file(tmp_path / "a.dcm", PatientSex="FS")).text("PatientSex") == "FS"


def test_a_role_without_a_person_is_left_out(tmp_path: Path) -> None:
    header = read_header(dx_file(tmp_path / "a.dcm", ResponsiblePerson=None))
    assert "ResponsiblePersonRole" not in header.attributes


def test_an_incomplete_code_is_left_out(tmp_path: Path) -> None:
    item = Dataset()
    item.CodeValue = "448771007"
    header = read_header(dx_file(tmp_path / "a.dcm", PatientSpeciesCodeSequence=[item]))
    assert "PatientSpeciesCodeSequence" not in header.attributes


@pytest.mark.parametrize(
    ("elements", "aspect"),
    [
        ({}, 1.0),
        ({"ImagerPixelSpacing": ["0.1", "0.2"]}, 0.5),
        ({"PixelSpacing": ["0.3", "0.2"]}, 1.5),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": ["2", "1"]}, 2.0),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": ["0", "1"]}, 1.0),
    ],
)
def test_pixel_aspect(tmp_path: Path, elements: dict[str, Any], aspect: float) -> None:
    assert read_header(dx_file(tmp_path / "a.dcm", **elements)).pixel_aspect == pytest.approx(aspect)


@pytest.mark.parametrize("absurd", ["0", "-0.15", "1E-30", "0.00001", "100", "1E300", "1E400"])
def test_a_spacing_that_no_detector_has_is_none(tmp_path: Path, absurd: str) -> None:
    path = dx_file(tmp_path / "a.dcm", ImagerPixelSpacing=None, PixelSpacing=None)
    both = with_bytes(path, "ImagerPixelSpacing", f"0.15\\{absurd}".encode())
    assert read_header(both).spacing_mm is None


def test_a_sound_spacing_is_taken_beside_an_absurd_one(tmp_path: Path) -> None:
    header = read_header(dx_file(tmp_path / "a.dcm", PixelSpacing=["1E9", "1E9"], ImagerPixelSpacing=["0.2", "0.1"]))
    assert header.spacing_mm == (0.2, 0.1)


def test_what_the_source_says_of_its_losses_is_read(tmp_path: Path) -> None:
    lost = {"LossyImageCompression": "01", "LossyImageCompressionRatio": ["8.1", "2"]}
    path = dx_file(tmp_path / "a.dcm", **lost, LossyImageCompressionMethod=["ISO_10918_1", "ISO_15444_1"])
    kept = read_header(path).attributes
    assert list(kept.LossyImageCompressionRatio) == [8.1, 2]
    assert list(kept.LossyImageCompressionMethod) == ["ISO_10918_1", "ISO_15444_1"]


def test_a_header_hides_whom_it_is_about(tmp_path: Path) -> None:
    header = read_header(dx_file(tmp_path / "a.dcm"))
    assert "Rex" not in repr(header)
    assert "TEST-0001" not in repr(header)


def test_what_stands_before_a_fault_is_kept(tmp_path: Path) -> None:
    """Sequences nested until Python's recursion ends, after the patient's attributes."""
    path = dx_file(tmp_path / "a.dcm")
    content = path.read_bytes()
    nested = b"\x18\x00\x10\x90SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 3000
    behind_patient = content.index(b"\x18\x00", content.index(b"TEST-0001"))
    path.write_bytes(content[:behind_patient] + nested)
    assert read_header(path).text("PatientID") == "TEST-0001"


def test_a_file_that_cannot_be_opened_is_no_empty_header(tmp_path: Path) -> None:
    """Its results would be filed for nobody, for good, where descriptors had run out for a moment."""
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "absent.dcm")


def test_an_error_of_the_disk_is_no_empty_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dx_file(tmp_path / "a.dcm")

    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("sr_writer.header.dcmread", broken)
    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(OSError, match="Input/output error"):
        read_header(path)


@pytest.mark.parametrize("keyword", ["PatientID", "AccessionNumber", "StudyID"])
@pytest.mark.parametrize("value", [b"12\\34", b"12\n34", b"12\x7f34"])
def test_an_identifier_is_never_changed_into_another(tmp_path: Path, keyword: str, value: bytes) -> None:
    assert keyword not in read_header(with_bytes(tmp_path / "a.dcm", keyword, value)).attributes


def test_padding_belongs_to_no_identifier(tmp_path: Path) -> None:
    assert read_header(with_bytes(tmp_path / "a.dcm", "PatientID", b" 1234 ")).text("PatientID") == "1234"


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_uid_against_the_rules_still_says_where_the_image_belongs(tmp_path: Path, keyword: str) -> None:
    path = with_bytes(tmp_path / "a.dcm", keyword, b"1.2.03.4")
    assert read_header(path).text(keyword) == "1.2.03.4"


@settings(max_examples=60)
@given(data=st.data())
def test_no_damage_stops_reading_and_every_kept_value_is_valid(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = dx_file(Path(folder) / "a.dcm", rows=8, columns=8, charset=data.draw(st.sampled_from([None, "ISO_IR 192"])))
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(0, 40))):
            content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        header = read_header(path)
    for element in header.attributes:
        assert element.keyword in KEYWORDS
        if element.VR in ("DA", "TM", "AS", "DS", "IS", "CS", "UI"):
            for value in element.value if element.VM > 1 else [element.value]:
                validate_value(element.VR, str(value), config.RAISE)
