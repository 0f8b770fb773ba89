"""Which decoder reads which codestream, and what to ask when it cannot: stored bytes in, pixel values out.

What the bytes are decides, not what the header calls them: images exist whose transfer syntax names another compression.

    JPEG, 8 to 16 bits, any process   libjpeg-turbo (imagecodecs)
    JPEG-LS                           CharLS (pyjpegls, then imagecodecs)
    JPEG 2000                         OpenJPEG (pylibjpeg-openjpeg, then imagecodecs)
    HTJ2K                             OpenJPEG (pylibjpeg-openjpeg)
    RLE                               pydicom

GDCM is not among them: it reads nothing that these do not, neither 12-bit lossy nor progressive JPEG, and aborts its process
on broken codestreams (python-gdcm 3.2.6, once in some 2,000 fuzzed files). Nor is OpenJPH: of a broken codestream it returns
memory that nobody has written (imagecodecs 2026.3.6). Even so nothing here is called outside the
decoder's own process, whose limits bound what a codestream may cost.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import imagecodecs
import jpeg_ls
import numpy as np
import numpy.typing as npt
from openjpeg.utils import decode as decode_jpeg2000
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes, RLELossless

from domain.errors import ImageUnreadable
from inference.elements import PixelData

Values = npt.NDArray[Any]  # (rows, columns) or (rows, columns, samples), whole numbers

# What the codecs raise of broken bytes; anything else ends the child, and costs this image (`inference.decoder_process`).
_BROKEN = (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, OSError, struct.error)
_READ_HERE = frozenset((*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes))
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOF_ARITHMETIC = 0xC9  # and above it; its coders leave zeros out at the end (ISO/IEC 10918-1 D.1.8)
_SOF_JPEG_LS = 0xF7
_END_OF_IMAGE = b"\xff\xd9"
_MORE = bytes(value * 167 % 255 for value in range(1, 97))  # no marker, and nothing that a flat image goes on with
_TILE_PART = b"\xff\x90"
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_HTJ2K_CAPABILITY = 1 << (32 - 15)  # Pcap's bit for Part 15 (ISO/IEC 15444-15 A.3.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the header says of the frame that is wanted; number from 0."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    number: int = 0
    frames: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """values: as the codestream holds them. precision: its bits a sample."""

    values: Values = field(repr=False)
    codec: str
    decoder: str
    precision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Codestream:
    """What a codestream says of itself, before anything is allocated for it."""

    codec: str
    rows: int
    columns: int
    precision: int
    huffman_coded: bool = False


def decode(pixels: PixelData, frame: Frame, syntax: UID) -> Decoded:
    """One frame of encapsulated pixel data. ImageUnreadable when no decoder reads it or its size is another."""
    content = _frame_bytes(pixels, frame)
    found = _look(content, frame, syntax)
    if found is None:
        if syntax in _READ_HERE:  # and the bytes are something else
            raise ImageUnreadable("not_decodable", name=syntax.name)
        name = syntax.name if syntax.is_transfer_syntax else ""
        raise ImageUnreadable("compression_unsupported", name=name) if name else ImageUnreadable("syntax_missing")
    if (found.rows, found.columns) != (frame.rows, frame.columns):
        raise ImageUnreadable("size_contradicts")
    expected = (frame.rows, frame.columns) + ((frame.samples,) if frame.samples > 1 else ())
    for name, decoder in _DECODERS[found.codec]:
        try:
            values = decoder(content, frame)
        except _BROKEN:  # the next one is asked
            continue
        if values.shape != expected or values.dtype.kind not in "iu" or values.dtype.itemsize > 2:
            raise ImageUnreadable("size_contradicts")
        if found.huffman_coded and not _is_whole(content, values, decoder, frame):
            raise ImageUnreadable("codestream_cut_short")
        return Decoded(values=values, codec=found.codec, decoder=name, precision=found.precision)
    raise ImageUnreadable("not_decodable", name=found.codec)


def _is_whole(content: bytes, values: Values, decoder: Callable[[bytes, Frame], Values], frame: Frame) -> bool:
    """Whether a JPEG's coded data reaches to its last pixel, although an end marker may stand anywhere.

    libjpeg fills up an image whose data ends early and only warns of it, and imagecodecs 2026.3.6 drops the warning. So it
    is decoded again with more data before the end marker: an image that was complete does not read them and is the same.
    """
    end = content.rindex(_END_OF_IMAGE)
    while content[end - 1] == 0xFF:  # before a marker such bytes are filling (B.1.1.2)
        end -= 1
    try:
        return np.array_equal(decoder(content[:end] + _MORE + _END_OF_IMAGE, frame), values)
    except imagecodecs.Jpeg8Error:
        return False


def _frame_bytes(pixels: PixelData, frame: Frame) -> bytes:
    """A frame's codestream: all fragments of a single frame, one each, or as the offset table says (PS3.5 A.4)."""
    table, parts = (pixels.fragments or (b"",))[0], pixels.fragments[1:]
    if not any(parts):
        raise ImageUnreadable("pixels_empty")
    if frame.frames == 1:
        mine = parts
    elif len(parts) == frame.frames:
        mine = parts[frame.number : frame.number + 1]
    else:
        mine = _by_offsets(table, parts, frame)
    if pixels.cut_short:
        raise ImageUnreadable("codestream_cut_short")
    return b"".join(mine)


def _by_offsets(table: bytes | memoryview, parts: tuple[memoryview, ...], frame: Frame) -> tuple[memoryview, ...]:
    begins = [0]
    for part in parts:
        begins.append(begins[-1] + 8 + len(part))
    offsets = [*np.frombuffer(table[: len(table) // 4 * 4], dtype="<u4").tolist(), begins[-1]]
    if len(offsets) == frame.frames + 1:
        first, after = offsets[frame.number], offsets[frame.number + 1]
        mine = tuple(part for part, begin in zip(parts, begins, strict=False) if first <= begin < after)
        if mine:
            return mine
    raise ImageUnreadable("frame_missing", frame=frame.number + 1, frames=frame.frames)


def _look(content: bytes, frame: Frame, syntax: UID) -> _Codestream | None:
    try:
        if content[:2] == b"\xff\xd8":
            return _look_at_jpeg(content)
        if content[:4] == b"\xff\x4f\xff\x51":
            return _look_at_jpeg2000(content, 0)
        if content[4:8] == b"jP  ":  # the file format around a codestream, which does not belong here and occurs
            return _look_at_jpeg2000(content, content.index(b"\xff\x4f\xff\x51"))
    except (struct.error, IndexError, ValueError):
        raise ImageUnreadable("codestream_cut_short") from None
    if syntax == RLELossless:
        return _Codestream(codec="RLE", rows=frame.rows, columns=frame.columns, precision=frame.bits_allocated)
    return None


def _look_at_jpeg(content: bytes) -> _Codestream:
    """To the frame header (ISO/IEC 10918-1 B.2.2). Without its end marker a codestream is cut: decoders would fill it up."""
    if _END_OF_IMAGE not in content[-1024:]:
        raise ImageUnreadable("codestream_cut_short")
    at = 2
    while True:
        if content[at] != 0xFF:
            raise ImageUnreadable("not_decodable", name="JPEG")
        marker = content[at + 1]
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        if marker in _SOF or marker == _SOF_JPEG_LS:
            precision, rows, columns = struct.unpack_from(">BHH", content, at + 4)
            codec = "JPEG-LS" if marker == _SOF_JPEG_LS else "JPEG"
            coded = marker < _SOF_ARITHMETIC
            return _Codestream(codec=codec, rows=rows, columns=columns, precision=precision, huffman_coded=coded)
        at += 2 + length


def _look_at_jpeg2000(content: bytes, at: int) -> _Codestream:
    """SIZ, CAP for HTJ2K, and whether every tile is there (ISO/IEC 15444-1 A.5.1, A.5.2, A.4.2).

    The first component's precision stands for all. Decoders show black for tiles that are missing.
    """
    size = struct.unpack_from(">LLLLLLLL", content, at + 8)
    x_size, y_size, x_offset, y_offset, tile_width, tile_height, x_tiles, y_tiles = size
    precision = (content[at + 4 + 38] & 0x7F) + 1
    high_throughput = False
    at += 2
    while content[at : at + 2] != _TILE_PART:
        (length,) = struct.unpack_from(">H", content, at + 2)
        if content[at : at + 2] == b"\xff\x50":
            (capabilities,) = struct.unpack_from(">L", content, at + 4)
            high_throughput = bool(capabilities & _HTJ2K_CAPABILITY)
        at += 2 + length
    if tile_width == 0 or tile_height == 0:
        raise ImageUnreadable("not_decodable", name="JPEG 2000")
    tiles = math.ceil((x_size - x_tiles) / tile_width) * math.ceil((y_size - y_tiles) / tile_height)
    if _tiles_at(content, at) != tiles:
        raise ImageUnreadable("codestream_cut_short")
    codec = "HTJ2K" if high_throughput else "JPEG 2000"
    return _Codestream(codec=codec, rows=y_size - y_offset, columns=x_size - x_offset, precision=precision)


def _tiles_at(content: bytes, at: int) -> int:
    """How many tiles have all of their parts in the bytes."""
    tiles = set()
    while content[at : at + 2] == _TILE_PART:
        tile, length = struct.unpack_from(">HL", content, at + 4)
        at = at + length if length else len(content)  # 0: to the end
        if at > len(content) or 0 < length < 14:
            raise ImageUnreadable("codestream_cut_short")
        tiles.add(tile)
    return len(tiles)


def _libjpeg_turbo(content: bytes, frame: Frame) -> Values:
    """Colours as the header calls them, unconverted: without that the library guesses from the component identifiers."""
    if frame.samples == 1:
        return np.asarray(imagecodecs.jpeg8_decode(content))
    stored = "RGB" if frame.photometric == "RGB" else "YCBCR"
    return np.asarray(imagecodecs.jpeg8_decode(content, colorspace=stored, outcolorspace=stored))


def _charls(content: bytes, _: Frame) -> Values:
    return np.asarray(jpeg_ls.decode(np.frombuffer(content, dtype=np.uint8)))


def _openjpeg(content: bytes, _: Frame) -> Values:
    return np.asarray(decode_jpeg2000(content))


def _pydicom_rle(content: bytes, frame: Frame) -> Values:
    described: Any = {  # pydicom types its options by a union that whole numbers are not in
        "rows": frame.rows,
        "columns": frame.columns,
        "samples_per_pixel": frame.samples,
        "photometric_interpretation": frame.photometric,
        "planar_configuration": 0,
        "bits_allocated": frame.bits_allocated,
        "bits_stored": frame.bits_stored,
        "pixel_representation": int(frame.signed),
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
        "correct_unused_bits": False,
    }
    encapsulated = encapsulate([content], has_bot=False)
    values, _ = get_decoder(RLELossless).as_array(encapsulated, raw=True, decoding_plugin="pydicom", **described)
    return np.asarray(values)


_DECODERS: dict[str, tuple[tuple[str, Callable[[bytes, Frame], Values]], ...]] = {
    "JPEG": (("imagecodecs libjpeg-turbo", _libjpeg_turbo),),
    "JPEG-LS": (
        ("pyjpegls", _charls),
        ("imagecodecs charls", lambda content, _: np.asarray(imagecodecs.jpegls_decode(content))),
    ),
    "JPEG 2000": (
        ("pylibjpeg-openjpeg", _openjpeg),
        ("imagecodecs openjpeg", lambda content, _: np.asarray(imagecodecs.jpeg2k_decode(content, numthreads=1))),
    ),
    "HTJ2K": (("pylibjpeg-openjpeg", _openjpeg),),
    "RLE": (("pydicom", _pydicom_rle),),
}
