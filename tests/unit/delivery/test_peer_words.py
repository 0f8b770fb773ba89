"""What a PACS says is passed on in its own words, and never an animal's or an owner's name or number."""

from __future__ import annotations

from pathlib import Path

import pytest
from factories import dx_file
from hypothesis import given
from hypothesis import strategies as st

from delivery.sameness import Sameness, compare
from delivery.words import without_identity


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dx_file(
        tmp_path_factory.mktemp("words") / "a.dcm", charset="ISO_IR 192", rows=8, columns=8, AccessionNumber="A77"
    )


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("Unknown SOP class", "Unknown SOP class"),
        ("Missing attribute (0010,0020)", "Missing attribute (0010,0020)"),
        ("CHOCO of hong is locked", "… of … is locked"),
        ("accession A77 exists", "accession … exists"),
        ("other object Bella^Rossi known", "other object … known"),
        ("see 'Bella' and \"Max\" [Rex]", "see … and … …"),
        ("chart 20261122 of 초코", "chart … of …"),
        ("study 1.2.840.10008.1 is there", "study 1.2.840.10008.1 is there"),
        ("  two\n lines ", "two lines"),
        ("", ""),
    ],
)
def test_words_that_may_be_an_identity_are_masked(path: Path, comment: str, expected: str) -> None:
    assert without_identity(comment, path) == expected


@given(before=st.text(max_size=30), after=st.text(max_size=30))
def test_the_name_never_passes_whatever_stands_around_it(path: Path, before: str, after: str) -> None:
    said = without_identity(f"{before} Choco {after}", path)
    assert "choco" not in said.casefold().split()


def test_a_broken_file_hides_nothing_else(tmp_path: Path) -> None:
    broken = tmp_path / "x.dcm"
    broken.write_bytes(b"\0" * 10)
    assert without_identity("Unknown SOP class 123456", broken) == "Unknown SOP class …"


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
