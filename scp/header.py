"""The little that is read of a data set: four UIDs and a priority. The pixel data behind them are never looked at.

An own walk over the elements, because the bytes are anybody's: it has no recursion (pydicom 3.0.2 fails on sequences nested
some hundreds deep), takes no memory for an announced length, and skips whatever it does not need.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from domain.errors import DataSetUnusable
from domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

Bytes = bytes | bytearray | memoryview


SOP_CLASS_UID = 0x0008_0016
SOP_INSTANCE_UID = 0x0008_0018
STUDY_INSTANCE_UID = 0x0020_000D
SERIES_INSTANCE_UID = 0x0020_000E
_NAMES = {
    SOP_CLASS_UID: "SOP Class UID",
    SOP_INSTANCE_UID: "SOP Instance UID",
    STUDY_INSTANCE_UID: "Study Instance UID",
    SERIES_INSTANCE_UID: "Series Instance UID",
}
REQUEST_ATTRIBUTES_SEQUENCE = 0x0040_0275
REQUESTED_PROCEDURE_PRIORITY = 0x0040_1003
URGENT_PRIORITIES = frozenset((b"STAT", b"HIGH"))  # PS3.3 C.4.11; the others are ROUTINE, MEDIUM and LOW
_ITEM = 0xFFFE_E000
_ITEM_END = 0xFFFE_E00D
_SEQUENCE_END = 0xFFFE_E0DD
_UNDEFINED = 0xFFFF_FFFF
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SHORT_VRS = frozenset((b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT")) | frozenset(
    (b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US")
)
_UID_CHARACTERS = frozenset(b"0123456789.")

_MOST_ELEMENTS = 100_000  # before the priority; a radiograph has some hundreds
_INFLATE_FIRST_BYTES = 1 << 16
_INFLATE_MOST_BYTES = 1 << 26  # 64 MiB before the Series Instance UID is no radiograph


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    urgent: bool = False  # by Requested Procedure Priority, at the top level or in the Request Attributes Sequence


class _Incomplete(Exception):
    """The data end before the walk does."""


def read_identifiers(data_set: Bytes, transfer_syntax_uid: str) -> Identifiers:
    """The UIDs and the priority of an encoded data set.

    DataSetUnusable says which UID is missing or is none, or that the data set cannot be read.
    """
    if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        values = _read_deflated(data_set)
    else:
        values = _read(data_set, transfer_syntax_uid)
    return Identifiers(
        sop_class_uid=_uid(values, SOP_CLASS_UID),
        sop_instance_uid=_uid(values, SOP_INSTANCE_UID),
        study_instance_uid=_uid(values, STUDY_INSTANCE_UID),
        series_instance_uid=_uid(values, SERIES_INSTANCE_UID),
        urgent=values.get(REQUESTED_PROCEDURE_PRIORITY, b"").strip(b"\0 ") in URGENT_PRIORITIES,
    )


def part10_header(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae: str) -> bytes:
    """Preamble, prefix and file meta information (PS3.10 7.1), Explicit VR Little Endian; source_ae may be blank."""
    elements = b"".join(
        (
            _meta(0x0001, b"OB", b"\x00\x01"),
            _meta(0x0002, b"UI", sop_class_uid.encode("ascii")),
            _meta(0x0003, b"UI", sop_instance_uid.encode("ascii")),
            _meta(0x0010, b"UI", transfer_syntax_uid.encode("ascii")),
            _meta(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
            _meta(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
            _meta(0x0016, b"AE", source_ae.encode("ascii")) if source_ae else b"",
        )
    )
    return b"\0" * 128 + b"DICM" + _meta(0x0000, b"UL", len(elements).to_bytes(4, "little")) + elements


def _meta(element: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    length = b"\0\0" + len(value).to_bytes(4, "little") if vr in _LONG_VRS else len(value).to_bytes(2, "little")
    return b"\x02\x00" + element.to_bytes(2, "little") + vr + length + value


def _uid(values: Mapping[int, bytes], tag: int) -> str:
    value = values.get(tag, b"").rstrip(b"\0 ").lstrip(b" ")
    if not value:
        raise DataSetUnusable(f"The data set has no {_NAMES[tag]}")
    if len(value) > 64 or not _UID_CHARACTERS.issuperset(value):
        raise DataSetUnusable(f"The {_NAMES[tag]} is not a UID")
    return value.decode("ascii")


def _read(data_set: Bytes, transfer_syntax_uid: str) -> dict[int, bytes]:
    walk = _Walk(data_set, transfer_syntax_uid)
    try:
        walk.run()
    except _Incomplete:
        if not walk.found.keys() >= _NAMES.keys():
            raise DataSetUnusable("The data set ends within its header, or is not encoded as agreed") from None
    return walk.found


def _read_deflated(data_set: Bytes) -> dict[int, bytes]:
    """Inflate as much as the walk needs, each time twice as much as before."""
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)  # PS3.5 A.5: without a zlib header
    header = bytearray()
    rest: Bytes = data_set
    wanted = _INFLATE_FIRST_BYTES
    while True:
        try:
            header += inflater.decompress(rest, wanted - len(header))
        except zlib.error:
            raise DataSetUnusable("The deflated data set cannot be inflated") from None
        rest = inflater.unconsumed_tail
        walk = _Walk(bytes(header), DeflatedExplicitVRLittleEndian)
        try:
            walk.run()
        except _Incomplete:
            if not walk.found.keys() >= _NAMES.keys():  # for a priority alone no more is inflated
                if inflater.eof or not rest or wanted >= _INFLATE_MOST_BYTES:
                    raise DataSetUnusable("The deflated data set ends within its header") from None
                wanted *= 2
                continue
        return walk.found


class _Walk:
    """From element to element, in sequences and out of them, until all is found or cannot come any more."""

    def __init__(self, data: Bytes, transfer_syntax_uid: str) -> None:
        self._data = memoryview(data)
        self._big_endian = transfer_syntax_uid == ExplicitVRBigEndian
        order = ">" if self._big_endian else "<"
        self._tag = Struct(f"{order}HH")
        self._u16 = Struct(f"{order}H")
        self._u32 = Struct(f"{order}I")
        self._implicit = transfer_syntax_uid == ImplicitVRLittleEndian and not self._looks_explicit()
        self._at = 0
        # One entry per open sequence: its tag, whether what follows it is implicit again, and where it ends (None: it says).
        self._open: list[tuple[int, bool, int | None]] = []
        self.found: dict[int, bytes] = {}

    def _looks_explicit(self) -> bool:
        """Some send Explicit VR where Implicit was agreed; a VR where an implicit length would be over 16 MB betrays it."""
        return bytes(self._data[4:6]) in _LONG_VRS | _SHORT_VRS

    def run(self) -> None:
        """Fill `found`; _Incomplete where the data end or contradict themselves first."""
        for _ in range(_MOST_ELEMENTS):
            if REQUESTED_PROCEDURE_PRIORITY in self.found or self._at >= len(self._data):
                return
            while self._open and self._open[-1][2] == self._at:
                self._implicit = self._open.pop()[1]
            tag, vr, length = self._head()
            requests = len(self._open) == 1 and self._open[0][0] == REQUEST_ATTRIBUTES_SEQUENCE
            if tag in (_ITEM, _ITEM_END):
                # The elements of an item of undefined length simply follow; its end needs no action.
                if tag == _ITEM and length != _UNDEFINED and not requests:
                    self._skip(length)
            elif tag == _SEQUENCE_END:
                if not self._open:
                    raise _Incomplete
                self._implicit = self._open.pop()[1]
            elif not self._open and tag > REQUESTED_PROCEDURE_PRIORITY:
                return
            elif length == _UNDEFINED:
                self._open.append((tag, self._implicit, None))
                # PS3.5 6.2.2: a UN of undefined length is a sequence in Implicit VR Little Endian.
                self._implicit = self._implicit or vr == b"UN"
            elif not self._open and tag == REQUEST_ATTRIBUTES_SEQUENCE:
                self._need(length)
                self._open.append((tag, self._implicit, self._at + length))
            else:
                start = self._at
                self._skip(length)
                if (not self._open and tag in _NAMES) or (
                    tag == REQUESTED_PROCEDURE_PRIORITY and (requests or not self._open)
                ):
                    self.found[tag] = bytes(self._data[start : self._at])

    def _head(self) -> tuple[int, bytes, int]:
        """Tag, VR (b"" where implicit) and length of the element at hand; moves on to its value."""
        self._need(8)
        group, element = self._tag.unpack_from(self._data, self._at)
        tag = group << 16 | element
        vr = bytes(self._data[self._at + 4 : self._at + 6])
        if group == 0xFFFE or self._implicit or not (vr.isalpha() and vr.isupper()):
            # Like pydicom: an element without a VR in an explicit data set is taken to be an implicit one.
            length = int(self._u32.unpack_from(self._data, self._at + 4)[0])
            self._at += 8
            return tag, b"", length
        if vr in _LONG_VRS:
            self._need(12)
            length = int(self._u32.unpack_from(self._data, self._at + 8)[0])
            self._at += 12
        else:
            length = int(self._u16.unpack_from(self._data, self._at + 6)[0])
            self._at += 8
        return tag, vr, length

    def _need(self, count: int) -> None:
        if len(self._data) - self._at < count:
            raise _Incomplete

    def _skip(self, length: int) -> None:
        self._need(length)
        self._at += length
