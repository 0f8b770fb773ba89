"""Protocol data units out of a stream of bytes, whatever pieces it comes in (PS3.8 9.3).

One buffer of fixed size takes what the socket has; P-DATA is handed on from it piece by piece without being copied, so that
memory grows with the bytes that truly arrived and never with a length that somebody announced.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct

BUFFER_BYTES = 1 << 20
MAX_CONTROL_BYTES = 1 << 20  # 128 contexts with 60 transfer syntaxes of 64 characters are half of this
P_DATA = 0x04
_KNOWN_TYPES = frozenset(range(0x01, 0x08))
_PDU_HEADER = Struct(">BxI")
_PDV_HEADER = Struct(">IBB")


class ProtocolError(Exception):
    """What came is no PDU that can be taken; the association has to be aborted. `str()` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A whole PDU other than P-DATA, its 6-byte header included."""

    data: bytearray = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A piece of a presentation data value; `data` is valid until the buffer is filled again.

    last: this piece ends the command or the data set (PS3.8 E.2).
    """

    context_id: int
    is_command: bool
    last: bool
    data: memoryview = field(repr=False)


# Kept from association to association: pynetdicom's ended ones are cycles, which hold what they have until they are found.
_buffers: list[bytearray] = []
_MOST_KEPT = 16  # whoever opens hundreds of connections at once is not remembered by their memory


class PduReader:
    """Fill `space()`, say `filled(count)`, and call `next()` until it returns None. `close` when nothing more will come."""

    def __init__(self, *, max_pdu_bytes: int) -> None:
        self._max_pdu_bytes = max_pdu_bytes
        try:
            self._buffer = _buffers.pop()
        except IndexError:
            self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._control: bytearray | None = None  # a PDU other than P-DATA that is being gathered
        self._control_left = 0
        self._pdu_left = 0  # bytes of the current P-DATA-TF that belong to no value yet
        self._value_left = 0  # bytes of the current value
        self._context_id = 0
        self._flags = 0

    def close(self) -> None:
        """Once."""
        self._view = memoryview(b"")
        if len(_buffers) < _MOST_KEPT:
            _buffers.append(self._buffer)

    def space(self) -> memoryview:
        """Where the next bytes go; never empty after `next()` returned None."""
        if self._start:
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        return self._view[self._end :]

    def filled(self, count: int) -> None:
        self._end += count

    def peek(self) -> memoryview:
        """What is there and not yet taken; for what comes before the first PDU."""
        return self._view[self._start : self._end]

    def skip(self, count: int) -> None:
        self._start += count

    def next(self) -> Control | Fragment | None:
        """The next whole PDU or piece of a value, or None when more bytes are needed."""
        while True:
            if self._value_left:
                return self._piece()
            if self._pdu_left:
                if not self._begin_value():
                    return None
            elif self._control is not None:
                return self._gather(self._control)
            elif not self._begin_pdu():
                return None

    def _buffered(self) -> int:
        return self._end - self._start

    def _begin_pdu(self) -> bool:
        if self._buffered() < _PDU_HEADER.size:
            return False
        pdu_type, length = _PDU_HEADER.unpack_from(self._view, self._start)
        if pdu_type not in _KNOWN_TYPES:
            raise ProtocolError(f"a PDU of the unknown type 0x{pdu_type:02X} came")
        if pdu_type == P_DATA:
            if length > self._max_pdu_bytes:
                raise ProtocolError(
                    f"a PDU of {length} bytes was announced; [node] max_pdu_megabytes allows {self._max_pdu_bytes} bytes"
                )
            self._start += _PDU_HEADER.size
            self._pdu_left = length
        else:
            if length > MAX_CONTROL_BYTES:
                raise ProtocolError(f"a PDU of type 0x{pdu_type:02X} with {length} bytes was announced")
            self._control = bytearray()
            self._control_left = _PDU_HEADER.size + length
        return True

    def _gather(self, control: bytearray) -> Control | None:
        count = min(self._control_left, self._buffered())
        control += self._view[self._start : self._start + count]
        self._start += count
        self._control_left -= count
        if self._control_left:
            return None
        self._control = None
        return Control(data=control)

    def _begin_value(self) -> bool:
        if self._buffered() < _PDV_HEADER.size:
            if self._pdu_left < _PDV_HEADER.size:
                raise ProtocolError("a presentation data value is longer than its PDU")
            return False
        length, self._context_id, self._flags = _PDV_HEADER.unpack_from(self._view, self._start)
        if length < 2 or 4 + length > self._pdu_left:  # 2: the context and the message control header
            raise ProtocolError("a presentation data value is longer than its PDU, or empty")
        self._start += _PDV_HEADER.size
        self._pdu_left -= 4 + length
        self._value_left = length - 2
        if not self._value_left:
            self._value_left = -1  # an empty value still has a control header that may say "last"
        return True

    def _piece(self) -> Fragment | None:
        if self._value_left < 0:
            self._value_left = 0
            return self._fragment(self._view[:0], ends=True)
        count = min(self._value_left, self._buffered())
        if not count:
            return None
        data = self._view[self._start : self._start + count]
        self._start += count
        self._value_left -= count
        return self._fragment(data, ends=not self._value_left)

    def _fragment(self, data: memoryview, *, ends: bool) -> Fragment:
        return Fragment(
            context_id=self._context_id,
            is_command=bool(self._flags & 1),
            last=ends and bool(self._flags & 2),
            data=data,
        )
