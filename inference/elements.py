"""The elements of a DICOM file that an image is read from, found in bytes that may be broken anywhere (PS3.5 7, PS3.10 7).

A flat walk: what is not looked at is stepped over, however deep it is nested and whatever is wrong inside it, and no length
is believed before it has been compared with the bytes that are there. pydicom converts the values of what was found.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydicom import config
from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from domain.errors import ImageUnreadable

# pydicom's warnings about invalid values quote the values, which may be names; what is read here is checked here.
config.settings.reading_validation_mode = config.IGNORE

MOST_INFLATED_BYTES = 256 * 1024 * 1024  # the largest image that is read has 200 MB
MOST_VALUE_BYTES = 4 * 1024 * 1024  # of one element that is looked at; pixel data is none of them
_META_ENDS_BY = 16384
_UNDEFINED = 0xFFFFFFFF

_KEYWORDS = """
    SpecificCharacterSet SOPClassUID SOPInstanceUID Modality ConversionType PresentationIntentType BurnedInAnnotation
    StudyDescription SeriesDescription ProtocolName AcquisitionDeviceProcessingDescription BodyPartExamined ViewPosition
    PatientID PatientSex PatientAge PatientSexNeutered PatientSpeciesDescription PatientSpeciesCodeSequence
    PatientBreedDescription PatientBreedCodeSequence PatientBirthDate StudyDate AnatomicalOrientationType
    AnatomicRegionSequence ViewCodeSequence PatientOrientation ImageLaterality Laterality
    SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames RepresentativeFrameNumber
    FrameTime CineRate Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation PixelPaddingValue
    PixelPaddingRangeLimit PixelAspectRatio PixelSpacing ImagerPixelSpacing PixelSpacingCalibrationType
    EstimatedRadiographicMagnificationFactor PixelIntensityRelationship PixelIntensityRelationshipSign
    ModalityLUTSequence RescaleSlope RescaleIntercept VOILUTSequence WindowCenter WindowWidth VOILUTFunction
    PresentationLUTShape
    RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor BluePaletteColorLookupTableDescriptor
    RedPaletteColorLookupTableData GreenPaletteColorLookupTableData BluePaletteColorLookupTableData
"""
_WANTED = frozenset(tag for tag in map(tag_for_keyword, _KEYWORDS.split()) if tag is not None)
_PIXEL_DATA, _FLOAT_PIXELS = 0x7FE00010, (0x7FE00008, 0x7FE00009)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
# The beginning of a data set without a preamble: an element of group 0008 with an explicit VR.
_EXPLICIT_BEGINNING = re.compile(rb"\x08\x00[\x00-\x3f]\x00(?:UL|CS|UI|DA|TM|SH|LO)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelData:
    """native: the element's bytes; or fragments: of an encapsulated one, the offset table first.

    cut_short: the file ended in the middle of it.
    """

    native: memoryview | None = field(default=None, repr=False)
    fragments: tuple[memoryview, ...] = field(default=(), repr=False)
    little: bool = True
    cut_short: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """dataset: what is looked at, its values not yet converted. pixels: None where the file holds none as integers."""

    meta: Dataset = field(repr=False)
    dataset: Dataset = field(repr=False)
    syntax: UID
    pixels: PixelData | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """An element's tag, VR (empty where implicit), and where its value lies; end is None for an undefined length."""

    tag: int
    vr: bytes
    start: int
    end: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoding:
    implicit: bool
    little: bool


def read_meta(content: memoryview) -> tuple[Dataset, int]:
    """The file meta information and where the data set begins. It may lack its preamble, its group length, or all of it."""
    at = 132 if bytes(content[128:132]) == b"DICM" else 0
    encoding = _Encoding(implicit=False, little=True)
    found: dict[BaseTag, DataElement | RawDataElement] = {}
    while bytes(content[at : at + 2]) == b"\x02\x00" and at < _META_ENDS_BY:
        header = _header(content, at, encoding)
        if header is None or header.end is None or header.end > len(content):
            break
        found[BaseTag(header.tag)] = _raw(content, header, header.end, encoding)
        at = header.end
    return Dataset(found), at


def read_elements(content: memoryview) -> Elements:
    """ImageUnreadable when no data set is found in the bytes."""
    meta, at = read_meta(content)
    syntax = UID(str(meta.get("TransferSyntaxUID") or "").strip(" \0"))
    if syntax.is_transfer_syntax and syntax.is_deflated:
        content, at = _inflate(content[at:]), 0
    elif not meta and at == 0:
        beginning = _EXPLICIT_BEGINNING.search(content[:256])
        at = beginning.start() if beginning else 0
    encoding = _sniff(content[at : at + 8], syntax)
    if encoding is None:
        raise ImageUnreadable("structure_broken" if meta else "not_dicom")
    found: dict[BaseTag, DataElement | RawDataElement] = {}
    pixels: PixelData | None = None
    for header in _walk(content, at, encoding):
        if header.tag == _PIXEL_DATA:
            pixels = _pixel_data(content, header, encoding)
            break
        if header.tag in _FLOAT_PIXELS:
            break
        end = header.end if header.end is not None else _after_items(content, header, encoding)
        if header.tag in _WANTED and end - header.start <= MOST_VALUE_BYTES:
            found[BaseTag(header.tag)] = _raw(content, header, end, encoding)
    if not found and pixels is None and not meta:
        raise ImageUnreadable("not_dicom")
    dataset = Dataset(found)
    dataset.set_original_encoding(encoding.implicit, encoding.little, _characters(dataset))
    return Elements(meta=meta, dataset=dataset, syntax=syntax, pixels=pixels)


def _characters(dataset: Dataset) -> list[str]:
    """The character sets as Python's codecs; Latin letters where they are not known."""
    try:
        return convert_encodings(dataset.get("SpecificCharacterSet"))
    except (LookupError, ValueError, TypeError, AttributeError):
        return [default_encoding]


def _inflate(content: memoryview) -> memoryview:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(content, MOST_INFLATED_BYTES)
    except zlib.error as error:
        raise ImageUnreadable("structure_broken") from error
    if inflater.unconsumed_tail:
        raise ImageUnreadable("inflates_too_large", limit=MOST_INFLATED_BYTES // 2**20)
    return memoryview(inflated)


def _sniff(beginning: memoryview, syntax: UID) -> _Encoding | None:
    """How the first element is written, whatever the transfer syntax says; None where the bytes are no element.

    The group that comes first is small: that tells the order of the bytes.
    """
    if len(beginning) < 8:
        return None
    explicit = bytes(beginning[4:6]) in _LONG_VRS | _SHORT_VRS
    if (beginning[0] == 0) == (beginning[1] == 0):
        if not syntax.is_transfer_syntax:
            return None
        return _Encoding(implicit=not explicit, little=syntax.is_little_endian)
    return _Encoding(implicit=not explicit, little=beginning[1] == 0)


def _header(content: memoryview, at: int, encoding: _Encoding) -> _Header | None:
    """None at the end of the bytes. An element without a VR in an explicit data set is read as implicit."""
    order = "<" if encoding.little else ">"
    if at + 8 > len(content):
        return None
    group, element = struct.unpack_from(order + "HH", content, at)
    tag, vr, length = group << 16 | element, b"", 0
    value = at + 8
    if not encoding.implicit and group != 0xFFFE:
        vr = bytes(content[at + 4 : at + 6])
    if vr in _LONG_VRS:
        if at + 12 > len(content):
            return None
        (length,), value = struct.unpack_from(order + "L", content, at + 8), at + 12
    elif vr in _SHORT_VRS:
        (length,) = struct.unpack_from(order + "H", content, at + 6)
    else:
        vr = b""
        (length,) = struct.unpack_from(order + "L", content, at + 4)
    return _Header(tag=tag, vr=vr, start=value, end=None if length == _UNDEFINED else value + length)


def _walk(content: memoryview, at: int, encoding: _Encoding) -> Iterator[_Header]:
    """The data set's own elements, until one claims more bytes than there are: pixel data is still told, others are not."""
    while (header := _header(content, at, encoding)) is not None:
        if header.tag in (_ITEM, _ITEM_END, _SEQUENCE_END):  # of a malformed sequence: its elements pass as the data set's
            at = header.start
            continue
        if header.end is not None and header.end > len(content) and header.tag != _PIXEL_DATA:
            return
        yield header
        at = header.end if header.end is not None else _after_items(content, header, encoding)


def _after_items(content: memoryview, header: _Header, encoding: _Encoding) -> int:
    """Where a value of undefined length ends, its delimiter included; the end of the bytes where it has none."""
    at = header.start
    levels = [_of_items(content, header, encoding)]  # one for each sequence and each item that is open
    inside_item = [False]
    while levels and (found := _header(content, at, levels[-1])) is not None:
        at = found.start
        if found.tag == _SEQUENCE_END and inside_item[-1]:  # its own end is missing, the sequence's stands for it
            del levels[-2:], inside_item[-2:]
        elif found.tag == _SEQUENCE_END or (found.tag == _ITEM_END and inside_item[-1]):
            del levels[-1], inside_item[-1]
        elif found.end is None:
            levels.append(levels[-1] if found.tag == _ITEM else _of_items(content, found, levels[-1]))
            inside_item.append(found.tag == _ITEM)
        else:
            at = found.end
    return min(at, len(content))


def _of_items(content: memoryview, header: _Header, encoding: _Encoding) -> _Encoding:
    """Inside an unknown VR of undefined length everything is implicit little endian (PS3.5 6.2.2 note 4, CP-246)."""
    if header.vr != b"UN":
        return encoding
    item = bytes(content[header.start : header.start + 4])
    return _Encoding(implicit=True, little=encoding.little if item == b"\xff\xfe\xe0\x00" else True)


def _pixel_data(content: memoryview, header: _Header, encoding: _Encoding) -> PixelData:
    if header.end is not None:
        cut_short = header.end > len(content)
        return PixelData(native=content[header.start : header.end], little=encoding.little, cut_short=cut_short)
    fragments, at, cut_short = [], header.start, False
    while (item := _header(content, at, encoding)) is not None and item.tag == _ITEM and item.end is not None:
        fragments.append(content[item.start : item.end])
        cut_short = item.end > len(content)
        at = item.end
    return PixelData(fragments=tuple(fragments), little=encoding.little, cut_short=cut_short)


def _raw(content: memoryview, header: _Header, end: int, encoding: _Encoding) -> RawDataElement:
    """pydicom converts it when it is asked for; an unknown VR as the dictionary's, a sequence's end goes unseen."""
    vr = header.vr.decode("ascii") if header.vr not in (b"", b"UN") else None
    inside = _of_items(content, header, encoding) if header.end is None else encoding
    value = bytes(content[header.start : end])
    return RawDataElement(
        BaseTag(header.tag), vr, len(value), value, header.start, inside.implicit or vr is None, inside.little
    )
