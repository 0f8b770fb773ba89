"""PDUs come out of the stream whole, in whatever pieces it came, and announced lengths take no memory."""

from __future__ import annotations

import tracemalloc
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scp.pdu import BUFFER_BYTES, Control, PduReader, ProtocolError

Value = tuple[int, int, bytes]  # context, message control header, data


def p_data(values: list[Value]) -> bytes:
    body = b"".join(pack(">IBB", len(data) + 2, context, flags) + data for context, flags, data in values)
    return pack(">BxI", 4, len(body)) + body


def control(pdu_type: int, body: bytes) -> bytes:
    return pack(">BxI", pdu_type, len(body)) + body


def read_all(reader: PduReader, chunks: list[bytes]) -> list[bytes | Value]:
    """What the reader makes of a stream; pieces of one value are put together again."""
    units: list[bytes | Value] = []
    pieces = b""
    for chunk in chunks:
        while chunk:
            space = reader.space()
            count = min(len(space), len(chunk))
            space[:count] = chunk[:count]
            reader.filled(count)
            chunk = chunk[count:]
            while (unit := reader.next()) is not None:
                if isinstance(unit, Control):
                    units.append(bytes(unit.data))
                    continue
                pieces += bytes(unit.data)
                if unit.last:
                    units.append((unit.context_id, int(unit.is_command) | 2, pieces))
                    pieces = b""
    return units


values = st.lists(st.tuples(st.integers(1, 255), st.sampled_from([2, 3]), st.binary(max_size=50)), min_size=1, max_size=4)
units = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([1, 2, 3, 5, 6, 7]), st.binary(max_size=60)).map(lambda unit: control(*unit)), values
    ),
    max_size=6,
)


@given(units, st.data())
def test_units_come_out_as_they_went_in(sent: list[bytes | list[Value]], data: st.DataObject) -> None:
    stream = b"".join(unit if isinstance(unit, bytes) else p_data(unit) for unit in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    expected: list[bytes | Value] = []
    for unit in sent:
        expected.extend([unit] if isinstance(unit, bytes) else unit)
    assert read_all(PduReader(max_pdu_bytes=1000), chunks) == expected


def test_a_value_larger_than_the_buffer_comes_in_pieces() -> None:
    data = bytes(range(256)) * (3 * BUFFER_BYTES // 256)
    assert read_all(PduReader(max_pdu_bytes=1 << 23), [p_data([(1, 2, data)])]) == [(1, 2, data)]


def test_only_the_last_fragment_of_a_message_is_last() -> None:
    reader = PduReader(max_pdu_bytes=1000)
    stream = p_data([(1, 0, b"ab"), (1, 2, b"cd")])
    reader.space()[: len(stream)] = stream
    reader.filled(len(stream))
    first, second = reader.next(), reader.next()
    assert (first.last, second.last) == (False, True)  # type: ignore[union-attr]


def test_an_announced_length_takes_no_memory() -> None:
    reader = PduReader(max_pdu_bytes=1 << 30)
    stream = pack(">BxI", 4, 1 << 30) + pack(">IBB", (1 << 30) - 4, 1, 2) + b"abc"
    tracemalloc.start()
    try:
        assert read_all(reader, [stream]) == []
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (pack(">BxI", 4, 0xFFFFFFFF), "max_pdu_megabytes"),
        (pack(">BxI", 1, 0xFFFFFFFF), "was announced"),
        (pack(">BxI", 9, 4), "unknown type"),
        (pack(">BxI", 0x47, 0x45542F20), "unknown type"),  # GET /
        (pack(">BxI", 4, 3), "longer than its PDU"),
        (pack(">BxI", 4, 6) + pack(">IBB", 3, 1, 0), "longer than its PDU"),
        (pack(">BxI", 4, 6) + pack(">IBB", 1, 1, 0), "empty"),
    ],
)
def test_what_is_no_pdu_is_refused(stream: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        read_all(PduReader(max_pdu_bytes=1 << 20), [stream])


@given(st.binary(max_size=300))
def test_any_bytes_are_units_or_refused(stream: bytes) -> None:
    try:
        read_all(PduReader(max_pdu_bytes=1 << 20), [stream])
    except ProtocolError:
        return


def test_buffers_are_used_again_and_not_all_are_kept() -> None:
    readers = [PduReader(max_pdu_bytes=1000) for _ in range(40)]
    for reader in readers:
        reader.close()
    tracemalloc.start()
    try:
        again = [PduReader(max_pdu_bytes=1000) for _ in range(16)]
        used, _ = tracemalloc.get_traced_memory()
        assert used < BUFFER_BYTES
        more = PduReader(max_pdu_bytes=1000)
        used, _ = tracemalloc.get_traced_memory()
        assert used >= BUFFER_BYTES
    finally:
        tracemalloc.stop()
    for reader in (*again, more):
        reader.close()


def test_what_one_sender_left_in_a_buffer_is_not_the_next_ones() -> None:
    first = PduReader(max_pdu_bytes=1000)
    sent = control(5, bytes(4))[:7]
    first.space()[: len(sent)] = sent
    first.filled(len(sent))
    first.close()
    second = PduReader(max_pdu_bytes=1000)
    assert second.next() is None
    assert bytes(second.peek()) == b""
