"""The sender's first choice is kept, in each context by itself."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)
from pynetdicom.presentation import PresentationContext, build_context

from scp.contexts import TRANSFER_SYNTAXES, VERIFICATION_SOP_CLASS, negotiate

DX = "1.2.840.10008.5.1.4.1.1.1.1"
PRIVATE = "1.3.12.2.1107.5.9.1"
ACCEPTED, NO_SUCH_CLASS, NO_SUCH_SYNTAX = 0x00, 0x03, 0x04


def context(number: int, sop_class: str, *syntaxes: str) -> PresentationContext:
    made = build_context(sop_class, list(syntaxes))
    made.context_id = number
    return made


@pytest.mark.parametrize(
    "order", list(itertools.permutations([ImplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless]))
)
def test_first_choice_is_kept(order: tuple[str, ...]) -> None:
    (answer,) = negotiate([context(1, DX, *order)], storage=True)
    assert (answer.result, answer.transfer_syntax) == (ACCEPTED, [order[0]])


@given(st.permutations(sorted(TRANSFER_SYNTAXES)))
def test_first_choice_of_all_is_kept(order: list[str]) -> None:
    (answer,) = negotiate([context(1, DX, *order)], storage=True)
    assert (answer.result, answer.transfer_syntax) == (ACCEPTED, [order[0]])


def test_each_context_of_the_same_class_is_answered_by_itself() -> None:
    answers = negotiate(
        [
            context(1, DX, ImplicitVRLittleEndian, JPEG2000Lossless),
            context(3, DX, JPEG2000Lossless, ImplicitVRLittleEndian),
            context(5, DX, ExplicitVRBigEndian),
        ],
        storage=True,
    )
    assert [(answer.context_id, answer.transfer_syntax[0]) for answer in answers] == [
        (1, ImplicitVRLittleEndian),
        (3, JPEG2000Lossless),
        (5, ExplicitVRBigEndian),
    ]


def test_an_unknown_first_choice_gives_way_to_the_next() -> None:
    (answer,) = negotiate([context(1, DX, MPEG2MPML, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian)], storage=True)
    assert (answer.result, answer.transfer_syntax) == (ACCEPTED, [DeflatedExplicitVRLittleEndian])


def test_what_is_not_known_is_refused_with_its_reason() -> None:
    answers = negotiate(
        [context(1, DX, MPEG2MPML), context(3, PRIVATE, ImplicitVRLittleEndian), context(5, DX, ExplicitVRLittleEndian)],
        storage=True,
    )
    assert [answer.result for answer in answers] == [NO_SUCH_SYNTAX, NO_SUCH_CLASS, ACCEPTED]


def test_without_storage_only_verification_is_left() -> None:
    answers = negotiate(
        [context(1, VERIFICATION_SOP_CLASS, ImplicitVRLittleEndian), context(3, DX, ImplicitVRLittleEndian)], storage=False
    )
    assert [answer.result for answer in answers] == [ACCEPTED, NO_SUCH_CLASS]
