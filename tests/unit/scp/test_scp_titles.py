"""AE titles as they arrive reach admission, and pynetdicom's decoder does not die of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)

from scp import titles


def request() -> bytearray:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "CALLING", "CALLED"
    context = build_context("1.2.840.10008.1.1")
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 0
    implementation.implementation_class_uid = "2.25.1"
    primitive.user_information = [length, implementation]
    return bytearray(A_ASSOCIATE_RQ(primitive).encode())


@pytest.mark.parametrize(
    ("field", "title"),
    [
        (b"DRROOM1         ", "DRROOM1"),
        (b"  DRROOM1       ", "DRROOM1"),
        (b"DRROOM1\0\0\0\0\0\0\0\0\0", "DRROOM1"),
        (b"DRROOM1\0HOUNDSFI", "DRROOM1"),  # what was left in a C buffer
        (b"\0\0DRROOM1\0\0\0\0\0\0\0", "DRROOM1"),
        (b"DR ROOM 1 \0\0\0\0\0\0", "DR ROOM 1"),
        (b"drroom1\r\n       ", "drroom1"),
        (b"DR\\1\x07\xc5        ", "DR?1??"),
        (b" " * 16, ""),
        (b"\0" * 16, ""),
        (b" \0" * 8, ""),
    ],
)
def test_title_is_read_without_its_padding(field: bytes, title: str) -> None:
    assert titles.normalise(field) == title


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_any_two_fields_are_decoded(called: bytes, calling: bytes) -> None:
    raw = request()
    raw[10:26], raw[26:42] = called, calling

    read = titles.read(raw)
    assert read is not None
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(bytes(titles.decodable(raw, read)))  # raises without the stand-in

    assert pdu.called_ae_title == (read.called or "-")
    assert pdu.calling_ae_title == (read.calling or "-")
    assert read.fields == called + calling
    assert len(pdu.presentation_context) == 1


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\"), min_size=1, max_size=16))
def test_a_valid_title_is_left_alone(title: str) -> None:
    assert titles.normalise(title.encode().ljust(16)) == title
    assert titles.normalise(title.encode().ljust(16, b"\0")) == title


def test_a_request_too_short_for_titles_is_left_to_the_decoder() -> None:
    assert titles.read(request()[:73]) is None
