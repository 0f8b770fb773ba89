"""Why a file shows no image: the same in both languages, and said by the code that refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from domain import terms
from domain.errors import ImageUnreadable
from domain.faults import FAULTS, fault
from domain.types import Language, Reason

INFERENCE = Path(__file__).parents[3] / "inference"


@pytest.mark.parametrize("name", FAULTS)
def test_both_languages_fill_the_same_blanks(name: str) -> None:
    english, korean = FAULTS[name]
    assert sorted(re.findall(r"{(\w+)}", english)) == sorted(re.findall(r"{(\w+)}", korean))
    assert re.search(r"[가-힣]", korean)
    assert "\n" not in english + korean


def test_every_fault_is_raised_somewhere_and_none_without_a_term() -> None:
    raised = set()
    for path in INFERENCE.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        raised |= set(re.findall(r'ImageUnreadable\(\s*"(\w+)"', text))
        raised |= set(re.findall(r'"fault": "(\w+)"', text))
        raised |= set(re.findall(r'fault = "(\w+)" if \w+ else "(\w+)"', text)[0] if "fault = " in text else ())
    assert raised == set(FAULTS)


def test_a_refusal_in_a_korean_report() -> None:
    refused = ImageUnreadable("pixels_cut_short", found=10, needed=20)
    assert str(refused).startswith("its pixel data is cut short: 10 of 20 bytes")
    said = terms.reason(refused.reason, Language.KOREAN)
    assert said.startswith("영상을 읽을 수 없습니다: 픽셀 데이터가 잘렸습니다: 20바이트 중 10바이트")
    assert not re.search(r"[a-z]{3}", said)


def test_an_older_answer_s_sentence_is_said_as_it_is() -> None:
    older = Reason(code="unreadable", details={"error": "it is too large"})
    assert terms.reason(older, Language.ENGLISH) == "the image could not be read: it is too large"
    assert fault("it is too large", {}, Language.KOREAN) == "it is too large"
