"""Files to grays: the same picture however it is stored, and one plain sentence for what is no picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import code_item, dx_dataset, dx_file, gradient, uid
from pydicom.dataset import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
    XRayRadiofluoroscopicImageStorage,
)

from domain.errors import ImageUnreadable
from domain.types import Region, Source, SpacingSource, Species, View
from inference.image import compose
from inference.reading import NotAnImage, read_radiograph, read_ref

DATA = Path(__file__).parents[4] / "shared" / "data"
Pixels = np.ndarray[Any, np.dtype[Any]]


def grays(path: Path) -> Pixels:
    return read_radiograph(path, assumed_species=None).pixels


def composed(content: bytes) -> Pixels:
    """In this process: for hundreds of files that differ little."""

    def canvas(rows: int, columns: int) -> Pixels:
        return np.empty((rows, columns), dtype=np.float32)

    return compose(memoryview(content), assumed_species=None, canvas=canvas, bounded=lambda _: None).pixels


def ramp(low: int, high: int, dtype: str = "<u2") -> Pixels:
    """All values from low to high, about evenly."""
    return np.linspace(low, high, 60 * 80).round().astype(dtype).reshape(60, 80)


def lut_item(first: int, entries: list[int], bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "OW", np.array(entries, dtype="<u2").tobytes())
    return item


UNSIGNED, SIGNED = ((8, False), (12, False), (16, False)), ((12, True), (16, True))
SYNTAXES = (
    *(ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian),
    *(JPEG2000Lossless, RLELossless),
)


@pytest.mark.parametrize(
    ("syntax", "bits", "signed"),
    [
        *((syntax, *kind) for syntax in SYNTAXES for kind in UNSIGNED + SIGNED),
        *((JPEGLSLossless, *kind) for kind in UNSIGNED),  # pydicom's encoder for it writes no signed pixels
    ],
)
def test_the_same_picture_in_every_transfer_syntax(tmp_path: Path, syntax: str, bits: int, signed: bool) -> None:
    levels = gradient(61, 83, bits=bits).astype(np.int64)
    stored = levels - (1 << (bits - 1)) if signed else levels
    pixels = stored.astype({(8, False): "u1"}.get((bits, signed), "i2" if signed else "u2"))
    path = dx_file(tmp_path / "a.dcm", pixels=pixels, bits=bits, transfer_syntax=syntax)
    # Window over all levels: LINEAR maps the lowest to 0 and the highest to 1.
    np.testing.assert_allclose(grays(path), levels / (2**bits - 1), atol=2e-4)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverse"),
    [
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", None, False),
        ("MONOCHROME1", "INVERSE", True),  # both say the same: once, not twice
        ("MONOCHROME1", None, True),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),  # contradictory: the photometric interpretation decides
    ],
)
def test_polarity(tmp_path: Path, photometric: str, shape: str | None, inverse: bool) -> None:
    path = dx_file(
        tmp_path / "a.dcm",
        pixels=ramp(0, 65535),
        PhotometricInterpretation=photometric,
        PresentationLUTShape=shape,
    )
    found = grays(path)
    assert (found[0, 0], found[-1, -1]) == ((1, 0) if inverse else (0, 1))


def test_bits_beyond_those_stored_are_not_looked_at(tmp_path: Path) -> None:
    pixels = ramp(0, 4095)
    clean = grays(dx_file(tmp_path / "a.dcm", pixels=pixels, bits=12))
    overlaid = pixels | (np.indices(pixels.shape).sum(axis=0) % 2 << 15).astype("<u2")
    np.testing.assert_array_equal(grays(dx_file(tmp_path / "b.dcm", pixels=overlaid, bits=12)), clean)
    shifted = dx_file(tmp_path / "c.dcm", pixels=(pixels << 3).astype("<u2"), bits=12, HighBit=14)
    np.testing.assert_array_equal(grays(shifted), clean)


def test_the_first_sound_window_is_taken(tmp_path: Path) -> None:
    path = dx_file(
        tmp_path / "a.dcm",
        pixels=ramp(0, 1000),
        WindowCenter=["500", "300", "100"],
        WindowWidth=["0", "100", "50"],
        VOILUTFunction="LINEAR_EXACT",
    )
    found = grays(path).ravel() * 100
    expected = np.clip(ramp(0, 1000).ravel() - 250.0, 0, 100)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(("center", "width"), [("auto", "4096"), ("2048", "-5"), ("1e400", "1"), ("2048", ""), ("", "")])
def test_without_a_sound_window_the_image_s_own_range_is_shown(tmp_path: Path, center: str, width: str) -> None:
    ds = dx_dataset(pixels=ramp(700, 900), transfer_syntax=ImplicitVRLittleEndian)
    ds.add_new("WindowCenter", "LO", center)  # pydicom writes no broken DS, and an implicit VR is not written
    ds.add_new("WindowWidth", "LO", width)
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    found = grays(tmp_path / "a.dcm")
    assert (found[0, 0], found[-1, -1]) == (0, 1)


def test_a_voi_table_is_taken_before_a_window(tmp_path: Path) -> None:
    pixels = np.array([[10, 11], [12, 13]], dtype="<u2")
    table = lut_item(11, [0, 4095, 2047], bits=12)
    found = grays(dx_file(tmp_path / "a.dcm", pixels=pixels, VOILUTSequence=[table]))
    np.testing.assert_allclose(found, np.array([[0, 0], [1, 2047 / 4095]]), atol=1e-6)


def test_a_voi_table_of_negative_values(tmp_path: Path) -> None:
    pixels = np.array([[-2, -1], [0, 1]], dtype="<i2")
    table = lut_item(65535, [0, 100, 255], bits=8)  # first mapped: -1, written as unsigned
    found = grays(dx_file(tmp_path / "a.dcm", pixels=pixels, VOILUTSequence=[table]))
    np.testing.assert_allclose(found, np.array([[0, 0], [100 / 255, 1]]), atol=1e-6)


def test_a_table_that_says_fewer_bits_than_it_holds(tmp_path: Path) -> None:
    pixels = np.array([[0, 1], [2, 2]], dtype="<u2")
    found = grays(dx_file(tmp_path / "a.dcm", pixels=pixels, VOILUTSequence=[lut_item(0, [0, 30000, 65535], bits=8)]))
    assert found.max() == 1
    assert found[0, 1] == pytest.approx(30000 / 65535)


def test_a_broken_table_leaves_the_window(tmp_path: Path) -> None:
    table = lut_item(0, [0, 1], bits=16)
    table.LUTDescriptor = [4000, 0, 16]
    windowed = {"pixels": ramp(0, 65535)}
    found = grays(dx_file(tmp_path / "a.dcm", VOILUTSequence=[table], **windowed))
    np.testing.assert_array_equal(found, grays(dx_file(tmp_path / "b.dcm", **windowed)))


def test_rescale_and_modality_table_come_first(tmp_path: Path) -> None:
    shown = {"pixels": ramp(0, 100), "WindowCenter": "0", "WindowWidth": "100", "VOILUTFunction": "LINEAR_EXACT"}
    rescaled = grays(dx_file(tmp_path / "a.dcm", RescaleSlope="2", RescaleIntercept="-100", **shown))
    np.testing.assert_allclose(rescaled.ravel(), np.clip(ramp(0, 100).ravel() * 0.02 - 0.5, 0, 1), atol=1e-6)
    zero_slope = grays(dx_file(tmp_path / "b.dcm", RescaleSlope="0", RescaleIntercept="0", **shown))
    assert zero_slope.max() == 1  # a slope of 0 would make every image gray
    table = lut_item(0, list(range(100, -1, -1)), bits=8)
    tabled = grays(dx_file(tmp_path / "c.dcm", RescaleSlope=None, ModalityLUTSequence=[table], **shown))
    np.testing.assert_allclose(tabled.ravel(), np.clip((100.0 - ramp(0, 100).ravel()) / 100 + 0.5, 0, 1), atol=1e-6)


def test_fluoroscopy_does_not_rescale_for_display(tmp_path: Path) -> None:
    shown = {"pixels": ramp(0, 100), "WindowCenter": "50", "WindowWidth": "100", "RescaleIntercept": "-80"}
    assert np.median(grays(dx_file(tmp_path / "a.dcm", **shown))) == 0
    shown["SOPClassUID"] = XRayRadiofluoroscopicImageStorage
    assert np.median(grays(dx_file(tmp_path / "b.dcm", **shown))) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("padding", [{"PixelPaddingValue": 0}, {"PixelPaddingValue": 3, "PixelPaddingRangeLimit": 0}])
def test_padding_is_black_also_where_small_values_are_white(tmp_path: Path, padding: dict[str, int]) -> None:
    pixels = ramp(1000, 2000)
    pixels[:, :20] = 0
    shown = {"pixels": pixels, "PhotometricInterpretation": "MONOCHROME1", "WindowCenter": None, "WindowWidth": None}
    found = grays(dx_file(tmp_path / "a.dcm", **shown, **padding))
    assert found[:, :20].max() == 0
    assert found[0, 20] == pytest.approx(1, abs=0.01)
    assert found[-1, -1] == 0


def test_what_the_header_says_travels_with_the_pixels(tmp_path: Path) -> None:
    radiograph = read_radiograph(dx_file(tmp_path / "a.dcm", rows=40, columns=50), assumed_species=Species.CAT)
    assert (radiograph.rows, radiograph.columns, radiograph.modality) == (40, 50, "DX")
    assert (radiograph.view, radiograph.region) == (View.RIGHT_LATERAL, Region.THORAX)
    assert (radiograph.spacing_mm, radiograph.spacing_source) == ((0.15, 0.15), SpacingSource.DETECTOR)
    assert radiograph.patient.species_source is Source.HEADER
    assert radiograph.ref.sop_instance_uid == uid("instance", 1, 1, 1)


def test_identity_from_the_file_meta_information_where_the_data_set_has_none(tmp_path: Path) -> None:
    ds = dx_dataset()
    del ds.SOPInstanceUID
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    radiograph = read_radiograph(tmp_path / "a.dcm", assumed_species=None)
    assert radiograph.ref.sop_instance_uid == uid("instance", 1, 1, 1)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "frames": (
        {"NumberOfFrames": 3},
        "its pixel data is cut short: 36000 of 108000 bytes; the transfer may have been interrupted",
    ),
    "no palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "its colour palette is missing or broken"),
    "no photometric": ({"PhotometricInterpretation": None}, "its photometric interpretation is missing or unknown"),
    "ARGB": ({"PhotometricInterpretation": "ARGB"}, "its photometric interpretation is missing or unknown"),
    "samples": ({"SamplesPerPixel": 2}, "its photometric interpretation is missing or unknown"),
    "no rows": ({"Rows": None}, "its number of rows or columns is missing"),
    "no size": ({"Rows": 0, "Columns": 0}, "its number of rows or columns is missing"),
    "huge": (
        {"Rows": 65535, "Columns": 65535},
        "it is too large: 65535 × 65535 pixels, at most 100 million are read",
    ),
    "64 bits": ({"BitsAllocated": 64}, "it does not store 8, 16 or 32 bits a pixel"),
    "no bits": ({"BitsAllocated": None}, "it does not store 8, 16 or 32 bits a pixel"),
    "bits": (
        {"BitsStored": 12, "HighBit": 3},
        "its bits contradict each other: 12 stored of 16, the highest is 3",
    ),
    "short": (
        {"Rows": 240},
        "its pixel data is cut short: 36000 of 72000 bytes; the transfer may have been interrupted",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why_in_one_sentence(tmp_path: Path, name: str) -> None:
    elements, sentence = REFUSED[name]
    ds = dx_dataset()
    for keyword, value in elements.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(ImageUnreadable) as refused:
        read_radiograph(tmp_path / "a.dcm", assumed_species=None)
    assert str(refused.value) == sentence


def _no_pixels(ds: Dataset) -> None:
    del ds.PixelData


def _empty_pixels(ds: Dataset) -> None:
    ds.PixelData = None


def _other_syntax(ds: Dataset) -> None:
    ds.file_meta.TransferSyntaxUID = JPEGLossless
    ds.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0\xff\xd8\xff\xd9\xfe\xff\xdd\xe0\0\0\0\0"
    ds["PixelData"].is_undefined_length = True


@pytest.mark.parametrize(
    ("change", "beginning"),
    [
        (_no_pixels, "it holds no pixel data"),
        (_empty_pixels, "its pixel data is empty"),
        (_other_syntax, "its compressed pixel data is cut short"),
    ],
)
def test_images_without_readable_pixels(tmp_path: Path, change: Callable[[Dataset], None], beginning: str) -> None:
    ds = dx_dataset()
    change(ds)
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(ImageUnreadable) as refused:
        read_radiograph(tmp_path / "a.dcm", assumed_species=None)
    assert str(refused.value).startswith(beginning)


@pytest.mark.parametrize("sop_class", [BasicTextSRStorage, EncapsulatedPDFStorage])
def test_reports_and_documents_are_no_images(tmp_path: Path, sop_class: str) -> None:
    ds = dx_dataset(SOPClassUID=sop_class, Rows=None, Columns=None)
    del ds.PixelData
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(NotAnImage):
        read_radiograph(tmp_path / "a.dcm", assumed_species=None)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\0" * 132, b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 50]
)
def test_files_that_are_no_dicom(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises((ImageUnreadable, NotAnImage)):
        read_radiograph(tmp_path / "a.dcm", assumed_species=None)
    assert read_ref(tmp_path / "a.dcm").sop_instance_uid == ""


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadable, match="cannot be opened"):
        read_radiograph(tmp_path / "none.dcm", assumed_species=None)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless])
def test_a_file_cut_anywhere_gets_a_sentence_or_its_true_pixels(tmp_path: Path, syntax: str) -> None:
    whole = dx_file(tmp_path / "a.dcm", rows=64, columns=80, transfer_syntax=syntax)
    content, pixels = whole.read_bytes(), grays(whole)
    read = 0
    for length in range(0, len(content), 29):
        try:
            found = composed(content[:length])
        except (ImageUnreadable, NotAnImage) as refused:
            assert "Beispiel" not in str(refused)
        else:
            read += 1
            np.testing.assert_array_equal(found, pixels)
    assert read < 5


def test_no_sentence_and_no_repr_holds_a_name(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm", charset="ISO_IR 192", ViewCodeSequence=[code_item("1", "X", "홍")])
    shown = repr(read_radiograph(path, assumed_species=Species.DOG))
    assert not any(part in shown for part in ("Hong", "홍", "TEST-0001", "말티즈"))


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared test images are not here")
def test_every_shared_file_gets_pixels_or_a_sentence() -> None:
    refused, shown = {}, set()
    for path in sorted(DATA.glob("*.dcm")):
        try:
            found = grays(path)
        except (ImageUnreadable, NotAnImage) as error:
            refused[path.name[:7]] = str(error)
        else:
            assert 0 <= found.min() < found.max() <= 1, path.name
            shown.add(path.name[:7])
    uncompressed_or_jpeg2000 = {f"der_A{n:02d}" for n in (1, 2, 3, 4, 6, 9, 10, 11, 13, 15, 16)} | {
        "rad01_d",
        "rad03_c",
        "rad13_d",
    }
    assert {name[:7] for name in uncompressed_or_jpeg2000} <= shown
    assert all(sentence and "\n" not in sentence for sentence in refused.values())


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared test images are not here")
def test_bone_is_bright_and_air_is_dark_on_a_real_dog() -> None:
    pixels = grays(next(DATA.glob("rad01_*")))  # MONOCHROME1
    assert pixels[5:15, 60:150].mean() < 0.15  # above the back
    assert pixels[50:60, 20:60].mean() > 0.5  # shoulder


def test_a_codestream_with_more_bits_than_its_header_says_does_not_wrap(tmp_path: Path) -> None:
    ds = dx_dataset(pixels=ramp(0, 4095), bits=12, transfer_syntax=JPEG2000Lossless, WindowCenter=None, WindowWidth=None)
    ds.BitsStored, ds.HighBit = 10, 9
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    found = grays(tmp_path / "a.dcm").ravel()
    assert (np.diff(found) >= 0).all()
    assert (found[0], found[-1]) == (0, 1)
