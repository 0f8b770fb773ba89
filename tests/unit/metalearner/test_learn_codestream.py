"""Codes that are broken are refused, never passed on with their words."""

from __future__ import annotations

import pytest

from metalearner.codestream import without_words

SEGMENT = b"\xff\xdb\x00\x04ab"


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        (b"\xff\xd8" + SEGMENT + b"\xff\xd9", b"\xff\xd8" + SEGMENT + b"\xff\xd9"),
        (b"\xff\xd8\xff\xfe\x00\x05Kim\xff\xd9", b"\xff\xd8\xff\xd9"),
        # Between scans, after a restart and stuffed bytes, and behind the end.
        (
            b"\xff\xd8\xff\xda\x00\x02\x01\xff\x00\xff\xd0\x02\xff\xfe\x00\x05Kim\xff\xda\x00\x02\x03\xff\xd9Kim",
            b"\xff\xd8\xff\xda\x00\x02\x01\xff\x00\xff\xd0\x02\xff\xda\x00\x02\x03\xff\xd9\x00",
        ),
        (b"\xff\xd8\xff\xff\xe1\x00\x05Kim\xff\xd9", b"\xff\xd8\xff\xd9"),
        (b"\xff\x4f\xff\x64\x00\x07\x00\x01Kim\xff\x90\x07\xff\xd9Kim", b"\xff\x4f\xff\x90\x07\xff\xd9\x00"),
        (b"RLE or anything", b"RLE or anything"),
    ],
)
def test_words_are_left_and_the_rest_stays(code: bytes, kept: bytes) -> None:
    assert without_words(code) == kept


@pytest.mark.parametrize(
    "code", [b"\xff\xd8Kim", b"\xff\xd8\xff\xfe\x00\xffKim", b"\xff\xd8\xff\xdb\x00\x01", b"\xff\x4fKim!"]
)
def test_a_code_that_cannot_be_followed_is_refused(code: bytes) -> None:
    with pytest.raises(ValueError, match=r"marker|segment"):
        without_words(code)
