"""What a PACS says is passed on in its own words, and never an animal's or an owner's name or number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from factories import dx_file
from hypothesis import given
from hypothesis import strategies as st

from delivery import words
from delivery.sameness import Sameness, compare
from delivery.words import without_identity


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("Unknown SOP class", "Unknown SOP class"),
        ("Missing attribute (0010,0020)", "Missing attribute (0010,0020)"),
        ("Attribute PatientID is empty: 0xA900", "Attribute PatientID is empty: 0xA900"),
        ("UID exists for Bello Schmidt, ID A123", "UID exists for …, ID …"),
        ("Study belongs to patient Rex of owner Miller", "Study … to patient … of owner …"),
        ("accession A77 exists, chart 4711", "… exists, …"),
        ("other object Bella^Rossi known", "other object … known"),
        ("see 'Bella' and \"Max\" [Rex]", "see … and …"),
        ("chart 20261122 of 초코", "… of …"),
        ("born (2015,0312)", "… (…)"),
        ("study 1.2.840.10008.1 is there", "study 1.2.840.10008.1 is there"),
        ("file bello_1.2.840.10008.1.dcm", "file …"),
        ("  two\n files ", "… files"),
        ("", ""),
    ],
)
def test_only_words_that_name_nobody_pass(comment: str, expected: str) -> None:
    assert without_identity(comment) == expected


@given(st.text(st.sampled_from("ab01.,()^'[] -_초\n"), max_size=40) | st.text(max_size=40))
def test_whatever_is_said_nothing_passes_that_is_not_known(comment: str) -> None:
    said = without_identity(comment)
    left = re.sub(r"[0-2](\.\d+){3,}|\([0-9a-fA-F]{4},[0-9a-fA-F]{4}\)|0x[0-9a-fA-F]{4}", " ", said)
    unknown = {word for word in re.findall(r"\w+", left) if word.casefold() not in words._KNOWN}
    assert all(word in words.keyword_dict for word in unknown)


@pytest.mark.parametrize(
    "name", ["Max", "Bello", "May", "Will", "Star", "Rex", "Lucky", "Mark", "Rows", "Angle", "Art", "Miller"]
)
def test_no_name_is_a_known_word(name: str) -> None:
    assert without_identity(f"the patient {name} is locked") == "the patient … is locked"


def test_sameness_is_of_content_and_not_of_what_archives_rewrite(tmp_path: Path) -> None:
    ours = dx_file(tmp_path / "a.dcm", rows=16, columns=16)
    coerced = dx_file(tmp_path / "b.dcm", rows=16, columns=16, PatientName="Other^Name", InstitutionName="There")
    brighter = dx_file(tmp_path / "c.dcm", rows=16, columns=16, WindowCenter=7)
    implicit = dx_file(tmp_path / "d.dcm", rows=16, columns=16, transfer_syntax="1.2.840.10008.1.2")
    another = dx_file(tmp_path / "e.dcm", rows=16, columns=16, instance=9)
    assert compare(ours, ours.read_bytes()) is Sameness.SAME
    assert compare(ours, coerced.read_bytes()) is Sameness.COERCED
    assert compare(ours, brighter.read_bytes()) is Sameness.OTHER
    assert compare(ours, implicit.read_bytes()) is Sameness.COERCED
    assert compare(ours, another.read_bytes()) is Sameness.OTHER
