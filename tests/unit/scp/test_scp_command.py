"""The command of a C-STORE and its answer, against pynetdicom's reading of the same bytes."""

from __future__ import annotations

from io import BytesIO
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from scp.command import StoreRequest, read_store_request, store_answer

UIDS = st.from_regex(r"[12](\.[1-9][0-9]{0,8}){1,6}", fullmatch=True)


def encoded(message: DIMSEMessage, primitive: C_STORE) -> bytes:
    """The command set as pynetdicom writes it."""
    message.primitive_to_message(primitive)
    (fragment, *_) = message.encode_msg(3, 0)
    ((_, data),) = fragment.presentation_data_value_list
    return bytes(data[1:])


def request(message_id: int = 7, sop_class: str = "1.2.3", instance: str = "2.25.1") -> bytes:
    primitive = C_STORE()
    primitive.MessageID, primitive.Priority = message_id, 0
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = UID(sop_class), UID(instance)
    primitive.DataSet = BytesIO(b"\0\0")
    return encoded(C_STORE_RQ(), primitive)


@given(st.integers(0, 0xFFFF), UIDS, UIDS)
def test_what_pynetdicom_asks_is_read(message_id: int, sop_class: str, instance: str) -> None:
    assert read_store_request(request(message_id, sop_class, instance)) == StoreRequest(
        message_id=message_id, sop_class_uid=sop_class, sop_instance_uid=instance
    )


@given(st.integers(0, 0xFFFF), UIDS, UIDS, st.sampled_from([0x0000, 0xA700, 0xC000]), st.text("abc ;", max_size=64))
def test_what_is_answered_is_what_pynetdicom_reads(
    message_id: int, sop_class: str, instance: str, status: int, comment: str
) -> None:
    asked = StoreRequest(message_id=message_id, sop_class_uid=sop_class, sop_instance_uid=instance)
    pdu = P_DATA_TF()
    pdu.decode(store_answer(asked, 3, status, comment.strip()))
    primitive = pdu.to_primitive()
    assert isinstance(primitive, P_DATA)
    message = C_STORE_RSP()
    assert message.decode_msg(primitive)
    answer = message.message_to_primitive()
    assert isinstance(answer, C_STORE)
    assert (answer.MessageIDBeingRespondedTo, answer.Status) == (message_id, status)
    assert (answer.AffectedSOPClassUID, answer.AffectedSOPInstanceUID) == (sop_class, instance)
    assert (answer.ErrorComment or "") == comment.strip()


def element(number: int, value: bytes) -> bytes:
    return pack("<HHI", 0, number, len(value)) + value


@pytest.mark.parametrize("without", [0x0002, 0x0100, 0x0110, 0x0800, 0x1000, None])
@pytest.mark.parametrize(
    "broken",
    [b"\0", element(0x0100, b"\x30\0"), element(0x0800, b"\x01\x01"), element(0x1000, b"1" * 65), pack("<HHI", 0, 2, 99)],
)
def test_anything_else_is_left_to_the_library(without: int | None, broken: bytes) -> None:
    parts = {
        0x0002: element(0x0002, b"1.2.3\0"),
        0x0100: element(0x0100, b"\x01\0"),
        0x0110: element(0x0110, b"\x07\0"),
        0x0800: element(0x0800, b"\x01\0"),
        0x1000: element(0x1000, b"2.25.1"),
    }
    assert read_store_request(b"".join(parts.values())) is not None
    if without is not None:
        del parts[without]
        assert read_store_request(b"".join(parts.values())) is None
    assert read_store_request(b"".join(parts.values()) + broken) is None


@given(st.binary(max_size=80))
def test_no_bytes_break_it(command: bytes) -> None:
    read_store_request(command)
