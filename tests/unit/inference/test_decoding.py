"""Every codestream to its pixel values: the compressions, what their headers get wrong, frames, colours, bits."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from codestreams import HTJ2K_LOSSLESS, JPEGS, LOSSLESS, WRITERS, compressed_dataset, compressed_file, put_codestream
from factories import dx_dataset, dx_file, gradient
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

from domain.errors import ImageUnreadable
from domain.types import Radiograph
from inference.reading import read_radiograph

Pixels = np.ndarray[Any, np.dtype[Any]]
HTJ2K_LOSSY = "1.2.840.10008.1.2.4.203"
WHOLE_RANGE = {"WindowCenter": None, "WindowWidth": None}


def read(path: Path) -> Radiograph:
    return read_radiograph(path, assumed_species=None)


def saved(ds: Dataset, path: Path) -> Path:
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_every_compression(tmp_path: Path, name: str) -> None:
    bits = WRITERS[name][1]
    pixels = gradient(61, 83, bits=bits)
    found = read(compressed_file(tmp_path / "a.dcm", name, pixels=pixels))
    np.testing.assert_allclose(found.pixels, pixels / (2**bits - 1), atol=2e-4 if name in LOSSLESS else 0.02)
    assert found.decoder


@pytest.mark.parametrize("name", ["JPEG 2000 lossy", "HTJ2K lossy"])
def test_lossy_wavelets_as_a_second_decoder_reads_them(tmp_path: Path, name: str) -> None:
    """Within 3/255 of imagecodecs' own builds: of OpenJPEG, and of OpenJPH, which is another program."""
    pixels = gradient(150, 190, bits=12)
    if name == "HTJ2K lossy":
        syntax, codestream = HTJ2K_LOSSY, bytes(imagecodecs.htj2k_encode(pixels, level=0.01, reversible=False))
        theirs = np.asarray(imagecodecs.htj2k_decode(codestream))
    else:
        syntax, codestream = (
            "1.2.840.10008.1.2.4.91",
            bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=False, level=50, bitspersample=12)),
        )
        theirs = np.asarray(imagecodecs.jpeg2k_decode(codestream))
    assert (theirs != pixels).mean() > 0.5  # lossy it is
    ds = dx_dataset(pixels=pixels, bits=12)
    put_codestream(ds, codestream, syntax)
    found = read(saved(ds, tmp_path / "a.dcm"))
    assert found.decoder == "pylibjpeg-openjpeg"
    assert np.abs(found.pixels - np.clip(theirs / 4095, 0, 1)).max() <= 3 / 255  # lossy values overshoot


@pytest.mark.parametrize("called", [JPEG2000Lossless, "1.2.840.10008.1.2.4.70", JPEGLSLossless])
@pytest.mark.parametrize("name", ["JPEG lossless SV1", "JPEG-LS", "JPEG 2000", "HTJ2K"])
def test_the_bytes_decide_what_the_header_calls_otherwise(tmp_path: Path, name: str, called: str) -> None:
    right = read(compressed_file(tmp_path / "a.dcm", name))
    ds = compressed_dataset(name)
    ds.file_meta.TransferSyntaxUID = called
    wrong = read(saved(ds, tmp_path / "b.dcm"))
    np.testing.assert_array_equal(wrong.pixels, right.pixels)
    assert wrong.decoder == right.decoder


def test_pixels_that_are_not_compressed_although_the_header_says_so(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm", rows=48, columns=64)
    right = read(path).pixels
    content = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.80")
    (tmp_path / "b.dcm").write_bytes(
        content.replace(b"UI\x14\0" + b"1.2.840.10008.1.2.4.80", b"UI\x16\0" + b"1.2.840.10008.1.2.4.80")
    )
    np.testing.assert_array_equal(read(tmp_path / "b.dcm").pixels, right)


def test_a_sign_that_codestream_and_header_see_differently(tmp_path: Path) -> None:
    """The two's complement of signed values, in a codestream that calls them unsigned."""
    values = np.linspace(-2048, 2047, 48 * 64).round().astype("<i2").reshape(48, 64)
    ds = dx_dataset(pixels=values, bits=12, **WHOLE_RANGE)
    words = (values.astype("<u2") & 0xFFF).astype("<u2")
    put_codestream(ds, bytes(imagecodecs.jpegls_encode(words)), JPEGLSLossless)
    found = read(saved(ds, tmp_path / "a.dcm")).pixels.ravel()
    assert (found[0], found[-1]) == (0, 1)
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("name", ["JPEG extended", "JPEG-LS", "JPEG 2000", "HTJ2K", "JPEG lossless"])
def test_a_codestream_of_another_size_is_refused_before_it_is_decoded(tmp_path: Path, name: str) -> None:
    ds = compressed_dataset(name)
    ds.Rows = 47
    with pytest.raises(ImageUnreadable, match="does not have the size that its header says"):
        read(saved(ds, tmp_path / "a.dcm"))


@pytest.mark.parametrize("name", ["JPEG baseline", "JPEG-LS", "JPEG lossless SV1", "JPEG 2000", "JPEG 2000 lossy", "HTJ2K"])
def test_a_codestream_without_its_end_is_refused(tmp_path: Path, name: str) -> None:
    """Decoders fill up what is missing."""
    syntax, bits, write = WRITERS[name]
    image = gradient(400, 400, bits=bits).astype("u1" if bits == 8 else "<u2")
    ds, codestream = dx_dataset(pixels=image, bits=bits), write(image)
    put_codestream(ds, codestream[: len(codestream) * 2 // 3], syntax)
    with pytest.raises(ImageUnreadable, match="compressed pixel data is cut short"):
        read(saved(ds, tmp_path / "a.dcm"))


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_whose_data_ends_before_its_end_marker_is_refused(tmp_path: Path, name: str, flat: bool) -> None:
    """A sender that was cut off closes the file; a hole in the middle ends early too. A flat lower half is no such end."""
    syntax, bits, write = WRITERS[name]
    image = gradient(200, 160, bits=bits).astype("u1" if bits == 8 else "<u2")
    if flat:
        image[100:] = 0
    ds, codestream = dx_dataset(pixels=image, bits=bits), write(image)
    put_codestream(ds, codestream, syntax)
    assert read(saved(ds, tmp_path / "whole.dcm")).rows == 200
    put_codestream(ds, codestream[:-2] + b"\xff\xff\xff\xd9", syntax)  # filled up before the marker
    assert read(saved(ds, tmp_path / "filled.dcm")).rows == 200
    length = len(codestream)
    for cut in (codestream[: length // 2], codestream[: length * 9 // 10], codestream[: length // 2] + codestream[-400:-2]):
        put_codestream(ds, cut + b"\xff\xd9", syntax)
        with pytest.raises(ImageUnreadable, match="compressed pixel data is cut short"):
            read(saved(ds, tmp_path / "cut.dcm"))


def test_an_unknown_compression_is_named(tmp_path: Path) -> None:
    ds = dx_dataset()
    put_codestream(ds, b"\0\0\1\xb3" * 50, "1.2.840.10008.1.2.4.100")
    with pytest.raises(ImageUnreadable, match="its compression is not supported: MPEG2"):
        read(saved(ds, tmp_path / "a.dcm"))


def test_what_is_no_codestream_is_not_blamed_on_the_compression(tmp_path: Path) -> None:
    ds = compressed_dataset("JPEG baseline")
    put_codestream(ds, b"\x89PNG\r\n\x1a\n" + bytes(200), "1.2.840.10008.1.2.4.50")
    with pytest.raises(ImageUnreadable, match=r"could not be decoded \(JPEG Baseline"):
        read(saved(ds, tmp_path / "a.dcm"))


def frames_dataset(count: int, **elements: Any) -> tuple[Dataset, list[Pixels]]:
    frames = [gradient(24, 32, seed=number) for number in range(count)]
    ds = dx_dataset(rows=24, columns=32, NumberOfFrames=count, **elements)
    ds.PixelData = np.stack(frames).astype("<u2").tobytes()
    return ds, frames


@pytest.mark.parametrize(
    ("elements", "number"),
    [
        ({}, 1),
        ({"RepresentativeFrameNumber": 4}, 4),
        ({"RepresentativeFrameNumber": 9}, 1),  # there is none
        ({"SOPClassUID": XRayRadiofluoroscopicImageStorage, "Modality": "RF"}, 3),
        ({"FrameTime": "33"}, 3),
    ],
)
def test_one_frame_of_several_and_which_is_said(tmp_path: Path, elements: dict[str, Any], number: int) -> None:
    ds, frames = frames_dataset(5, **elements)
    found = read(saved(ds, tmp_path / "a.dcm"))
    assert (found.ref.frame_number, found.frames) == (number, 5)
    np.testing.assert_allclose(found.pixels, frames[number - 1] / 65535, atol=2e-4)


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("table", [True, False])
def test_frames_in_fragments(tmp_path: Path, fragments: int, table: bool) -> None:
    ds, frames = frames_dataset(3, RepresentativeFrameNumber=2)
    streams = [bytes(imagecodecs.jpegls_encode(frame)) for frame in frames]
    ds.PixelData = encapsulate(streams, fragments_per_frame=fragments, has_bot=table)
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = JPEGLSLossless
    path = saved(ds, tmp_path / "a.dcm")
    if fragments == 1 or table:
        np.testing.assert_allclose(read(path).pixels, frames[1] / 65535, atol=2e-4)
    else:
        with pytest.raises(ImageUnreadable, match="frame 2 of 3 cannot be found"):
            read(path)


RED, GREEN = (200, 30, 30), (20, 220, 40)


def colour_dataset(photometric: str, values: Pixels, **elements: Any) -> Dataset:
    """values: (rows, columns, 3) 8 bit."""
    ds = dx_dataset(rows=values.shape[0], columns=values.shape[1], SOPClassUID=SecondaryCaptureImageStorage, **WHOLE_RANGE)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, photometric, 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelData = values.tobytes()
    ds["PixelData"].VR = "OB"
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


@pytest.fixture
def two_colours() -> Pixels:
    values = np.empty((10, 12, 3), dtype=np.uint8)
    values[:, :6], values[:, 6:] = RED, GREEN
    return values


def luminances() -> tuple[float, float]:
    weights = np.array([0.299, 0.587, 0.114])
    return float(weights @ RED) / 255, float(weights @ GREEN) / 255


@pytest.mark.parametrize("kind", ["native", "planar", "RLE", "JPEG", "JPEG 2000"])
def test_a_colour_capture_is_shown_in_gray_and_reported(tmp_path: Path, two_colours: Pixels, kind: str) -> None:
    ds = colour_dataset("RGB", two_colours)
    if kind == "planar":
        ds.PlanarConfiguration = 1
        ds.PixelData = two_colours.transpose(2, 0, 1).tobytes()
    elif kind == "RLE":
        ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    elif kind == "JPEG":
        ds.PhotometricInterpretation = "YBR_FULL"
        put_codestream(ds, bytes(imagecodecs.jpeg8_encode(two_colours, level=98)), "1.2.840.10008.1.2.4.50")
    elif kind == "JPEG 2000":
        put_codestream(ds, bytes(imagecodecs.jpeg2k_encode(two_colours, codecformat="j2k", level=0)), JPEG2000Lossless)
    found = read(saved(ds, tmp_path / "a.dcm"))
    assert found.burned_in
    assert (found.pixels[5, 2], found.pixels[5, 10]) == pytest.approx(luminances(), abs=0.02)


def test_luminance_and_chrominance_of_two_pixels_in_four_bytes(tmp_path: Path) -> None:
    values = np.array([[[100, 200, 90, 130], [10, 20, 128, 128]]] * 2, dtype=np.uint8)  # Y Y B R
    ds = colour_dataset("YBR_FULL_422", np.zeros((2, 4, 3), dtype=np.uint8))
    ds.PixelData = values.tobytes()
    found = read(saved(ds, tmp_path / "a.dcm"))
    np.testing.assert_allclose(found.pixels[0] * 255, [100, 200, 10, 20], atol=0.6)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette(tmp_path: Path, bits: int) -> None:
    ds = dx_dataset(
        pixels=np.array([[0, 1], [2, 3]], dtype="u1"), bits=8, PhotometricInterpretation="PALETTE COLOR", **WHOLE_RANGE
    )
    scale = 255 if bits == 8 else 65535
    for colour, entries in (("Red", [0, 1, 0, 1]), ("Green", [0, 0, 1, 1]), ("Blue", [0, 0, 0, 1])):
        ds.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [4, 0, bits])
        data = (np.array(entries) * scale).astype("u1" if bits == 8 else "<u2").tobytes()
        ds.add_new(f"{colour}PaletteColorLookupTableData", "OW", data)
    found = read(saved(ds, tmp_path / "a.dcm"))
    np.testing.assert_allclose(found.pixels, [[0, 0.299], [0.587, 1]], atol=1e-3)
    assert found.burned_in


@pytest.mark.parametrize("burned", ["YES", "NO", None])
def test_burned_in_annotation(tmp_path: Path, burned: str | None) -> None:
    assert read(dx_file(tmp_path / "a.dcm", BurnedInAnnotation=burned)).burned_in is (burned == "YES")
    screen = dx_file(tmp_path / "b.dcm", BurnedInAnnotation=burned, ConversionType="WSD")
    assert read(screen).burned_in is (burned != "NO")


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("relationship", "sign"), [("LIN", 1), ("LOG", 1), ("LOG", -1), ("LIN", -1)])
def test_detector_counts_show_bone_bright(tmp_path: Path, photometric: str, relationship: str, sign: int) -> None:
    """Whatever the polarity claims: the sign says whether more X-rays make the value larger."""
    attenuation = gradient(48, 64) / 65535  # large in the middle
    level = np.exp(-3 * attenuation) if relationship == "LIN" and sign == 1 else 1 - attenuation * 0.9
    level = level if sign == 1 else 1.1 - level
    path = dx_file(
        tmp_path / "a.dcm",
        pixels=np.rint(level * 50000).astype("<u2"),
        SOPClassUID=DigitalXRayImageStorageForProcessing,
        PhotometricInterpretation=photometric,
        PixelIntensityRelationship=relationship,
        PixelIntensityRelationshipSign=sign,
        PresentationLUTShape=None,
        **WHOLE_RANGE,
    )
    found = read(path).pixels
    np.testing.assert_allclose(found, (attenuation - attenuation.min()) / np.ptp(attenuation), atol=0.02)


def test_counts_of_none_are_black_and_no_part_of_the_range(tmp_path: Path) -> None:
    counts = np.full((40, 40), 30000, dtype="<u2")
    counts[:5], counts[20:, 20:] = 0, 10000
    shown = {"SOPClassUID": DigitalXRayImageStorageForProcessing, "PixelIntensityRelationship": "LIN", **WHOLE_RANGE}
    found = read(dx_file(tmp_path / "a.dcm", pixels=counts, **shown)).pixels
    assert (found[2, 2], found[10, 10], found[30, 30]) == pytest.approx((0, 0, 1))


@pytest.mark.parametrize("signed", [True, False])
def test_words_of_32_bits(tmp_path: Path, signed: bool) -> None:
    values = np.linspace(-(2**30) if signed else 0, 2**31 - 1, 24 * 32).round().reshape(24, 32)
    ds = dx_dataset(rows=24, columns=32, **WHOLE_RANGE)
    ds.BitsAllocated = ds.BitsStored = 32
    ds.HighBit, ds.PixelRepresentation = 31, int(signed)
    ds.PixelData = values.astype("<i4" if signed else "<u4").tobytes()
    found = read(saved(ds, tmp_path / "a.dcm")).pixels
    np.testing.assert_allclose(found, (values - values.min()) / np.ptp(values), atol=0.01)


def test_a_table_narrower_than_it_says(tmp_path: Path) -> None:
    """Entries of 8 bits in a table that says 16."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4, 0, 16])
    item.add_new("LUTData", "OW", bytes([0, 100, 200, 255]))
    found = read(dx_file(tmp_path / "a.dcm", pixels=np.array([[0, 1], [2, 3]], dtype="<u2"), VOILUTSequence=[item])).pixels
    np.testing.assert_allclose(found * 255, [[0, 100], [200, 255]], atol=0.1)


def test_what_stands_before_the_pixels_need_not_be_understood(tmp_path: Path) -> None:
    """Sequences 1,000 deep, of either length; a sequence of unknown VR in a big endian file (CP-246)."""
    deep = b"".join(struct.pack("<HHLHHL", 0x19, 0x1001, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF) for _ in range(1000))
    deep += b"".join(struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0) for _ in range(1000))
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=ImplicitVRLittleEndian)
    right, content = read(path).pixels, path.read_bytes()
    at = content.index(struct.pack("<HHL", 0x20, 0x10, 2))
    path.write_bytes(content[:at] + deep + content[at:])
    np.testing.assert_array_equal(read(path).pixels, right)

    unknown = struct.pack(">HH2sHL", 0x19, 0x1001, b"UN", 0, 0xFFFFFFFF) + struct.pack(
        "<HHLHHLHHL", 0xFFFE, 0xE000, 12, 0x19, 0x1002, 4, 0x4141, 0x4141, 0xE0DDFFFE
    )
    big = dx_file(tmp_path / "b.dcm", transfer_syntax=ExplicitVRBigEndian)
    content = big.read_bytes()
    at = content.index(struct.pack(">HH2sH", 0x20, 0x10, b"SH", 2))
    big.write_bytes(content[:at] + unknown + struct.pack("<L", 0) + content[at:])
    np.testing.assert_array_equal(read(big).pixels, right)


def test_a_data_set_without_any_preamble(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm")
    right, content = read(path).pixels, path.read_bytes()
    begin = 132 + 12 + struct.unpack_from("<L", content, 140)[0]
    for before in (b"", b" ", b"\0" * 3):
        path.write_bytes(before + content[begin:])
        np.testing.assert_array_equal(read(path).pixels, right)


def test_htj2k_is_seen_in_its_capabilities(tmp_path: Path) -> None:
    ds = compressed_dataset("HTJ2K")
    assert ds.file_meta.TransferSyntaxUID == HTJ2K_LOSSLESS
    assert read(saved(ds, tmp_path / "a.dcm")).decoder == "pylibjpeg-openjpeg"
