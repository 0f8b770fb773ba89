"""The command set of a C-STORE and its answer, byte by byte (PS3.7 9.3.1).

pynetdicom builds data sets for both, which takes more time than receiving a small image does. What is no plain C-STORE-RQ
with a data set is left to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct, pack

_C_STORE_RQ, _C_STORE_RSP = 0x0001, 0x8001
_NO_DATA_SET = 0x0101
_SOP_CLASS, _COMMAND, _MESSAGE_ID, _DATA_SET_TYPE, _SOP_INSTANCE = 0x0002, 0x0100, 0x0110, 0x0800, 0x1000
_MAX_UID_BYTES = 64
_HEAD = Struct("<HHI")
_P_DATA, _LAST_OF_COMMAND = 0x04, 0x03


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


def read_store_request(command: bytes) -> StoreRequest | None:
    """The command, Implicit VR Little Endian, group 0000; None for any other, and for one that lacks something."""
    elements: dict[int, bytes] = {}
    at = 0
    while at + _HEAD.size <= len(command):
        group, element, length = _HEAD.unpack_from(command, at)
        at += _HEAD.size
        if group or at + length > len(command):
            return None
        elements[element] = command[at : at + length]
        at += length
    if _number(elements, _COMMAND) != _C_STORE_RQ or _number(elements, _DATA_SET_TYPE) in (None, _NO_DATA_SET):
        return None
    message_id = _number(elements, _MESSAGE_ID)
    sop_class_uid, sop_instance_uid = _uid(elements, _SOP_CLASS), _uid(elements, _SOP_INSTANCE)
    if at != len(command) or message_id is None or not sop_class_uid or not sop_instance_uid:
        return None
    return StoreRequest(message_id=message_id, sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid)


def store_answer(request: StoreRequest, context_id: int, status: int, comment: str) -> bytes:
    """A whole P-DATA-TF. comment: ASCII of at most 64 characters."""
    elements = b"".join(
        (
            _element(_SOP_CLASS, request.sop_class_uid.encode("ascii"), b"\0"),
            _element(_COMMAND, pack("<H", _C_STORE_RSP)),
            _element(0x0120, pack("<H", request.message_id)),
            _element(_DATA_SET_TYPE, pack("<H", _NO_DATA_SET)),
            _element(0x0900, pack("<H", status)),
            _element(0x0902, comment.encode("ascii")) if comment else b"",
            _element(_SOP_INSTANCE, request.sop_instance_uid.encode("ascii"), b"\0"),
        )
    )
    command = _element(0x0000, pack("<I", len(elements))) + elements
    return pack(">BxIIBB", _P_DATA, 6 + len(command), 2 + len(command), context_id, _LAST_OF_COMMAND) + command


def _element(number: int, value: bytes, padding: bytes = b" ") -> bytes:
    if len(value) % 2:
        value += padding
    return _HEAD.pack(0, number, len(value)) + value


def _number(elements: dict[int, bytes], element: int) -> int | None:
    value = elements.get(element, b"")
    return int.from_bytes(value, "little") if len(value) == 2 else None


def _uid(elements: dict[int, bytes], element: int) -> str | None:
    value = elements.get(element, b"").strip(b"\0 ")
    return value.decode("ascii") if value.isascii() and len(value) <= _MAX_UID_BYTES else None
