"""AE titles as they really arrive: padded with blanks or NULs, blank, or followed by what was left in a C buffer.

pynetdicom 3.0.4 decodes the two 16-byte fields of an A-ASSOCIATE-RQ strictly and aborts before any event tells of it (its
issues 646, 746 and 921). So they are read here first, and the decoder gets a version that it cannot stumble over.
"""

from __future__ import annotations

from dataclasses import dataclass

ASSOCIATE_RQ = 0x01
_CALLED = slice(10, 26)  # PS3.8 Table 9-11
_CALLING = slice(26, 42)
TITLES = slice(10, 42)
_LEAST_LENGTH = 74
_STAND_IN = "-"  # pynetdicom takes no blank title; admission never sees this


@dataclass(frozen=True, slots=True, kw_only=True)
class Titles:
    """Who calls whom. `fields` are the 32 bytes as they came: an A-ASSOCIATE-AC has to repeat them (PS3.8 Table 9-17)."""

    calling: str
    called: str
    fields: bytes


def normalise(field: bytes) -> str:
    """The title in a 16-byte field, "" for a blank one.

    Blanks and NULs around it are padding, and what follows a NUL is no part of it. A sign that PS3.5 6.2 forbids in an AE
    (control characters, the backslash, anything but ASCII) becomes "?", so that the caller can be named in a log line.
    """
    title = field.lstrip(b" \0").split(b"\0")[0].strip(b" \t\r\n\v\f")
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else "?" for byte in title)


def read(request: bytes | bytearray) -> Titles | None:
    """The titles of a whole A-ASSOCIATE-RQ PDU; None for one that is too short to hold them."""
    if len(request) < _LEAST_LENGTH:
        return None
    return Titles(
        calling=normalise(bytes(request[_CALLING])),
        called=normalise(bytes(request[_CALLED])),
        fields=bytes(request[TITLES]),
    )


def decodable(request: bytearray, titles: Titles) -> bytearray:
    """The same PDU with titles that pynetdicom's decoder accepts."""
    clean = bytearray(request)
    clean[_CALLED] = (titles.called or _STAND_IN).encode("ascii").ljust(16)
    clean[_CALLING] = (titles.calling or _STAND_IN).encode("ascii").ljust(16)
    return clean
