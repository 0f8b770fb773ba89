"""What lies in a collection's files, and what is said of files that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from collections_made import case, collection_of

from metalearner.collection import Box, Collection, CollectionInvalid, Labels, Mask, Part
from metalearner.labelling import agreed

RICH = Labels(
    image="1.2.1",
    source='a "reader"',
    reader="0123456789abcdef",
    classes={"CARDIOMEGALY": 1.0, "60046008": 0.0},
    points={"apex": (1.25, 2.5)},
    boxes=(Box(concept="CARDIOMEGALY", left=1, top=2, right=3.5, bottom=4),),
    masks=(Mask(concept="60046008", polygons=(((0, 0), (4, 0), (4, 4)),)),),
    grades={"CARDIOMEGALY": 3},
    measures={"VHS": 11.3},
)


@pytest.fixture
def saved(tmp_path: Path) -> Collection:
    cases = [
        case("1.2.1", "aaaa", tmp_path, breed='Mops, "schwarz"', age_years=8.5, rows=100, columns=200, spacing_row_mm=0.15),
        case("1.2.2", "bbbb", tmp_path, file="", declined="text is burned in"),
    ]
    collection = collection_of(
        tmp_path, cases, labels=(RICH,), split={"aaaa": Part.TRAIN}, made_from=('files\u2028of "a" clinic\n',)
    )
    collection.save()
    return collection


def test_what_was_saved_is_loaded(saved: Collection) -> None:
    assert Collection.load(saved.root) == saved


def test_only_usable_images_have_a_part(saved: Collection) -> None:
    assert saved.parts() == {"1.2.1": Part.TRAIN}
    with pytest.raises(CollectionInvalid, match=r"split\.csv: 1 patients are in no part"):
        replace(saved, split={}).parts()
    with pytest.raises(CollectionInvalid, match="no file of image"):
        saved.path("1.2.2")


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new, 1))

    return apply


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (edit("cases.csv", ",100,", ",many,"), r"cases\.csv, line 2: rows is no number: 'many'"),
        (edit("cases.csv", ",8.5,", ",nan,"), r"cases\.csv, line 2: age_years is no number"),
        (edit("cases.csv", "patient,", "animal,"), r"cases\.csv, line 1: lacks column patient"),
        (edit("cases.csv", "1.2.2,", "1.2.1,"), r"cases\.csv, line 3: image 1\.2\.1 stands in an earlier line"),
        (edit("cases.csv", "1.2.2,", "1.2.2,,"), r"cases\.csv, line 3: has not 19 cells"),
        (edit("cases.csv", "images/1.2.1.dcm", "images/gone.dcm"), r"images/gone\.dcm of image 1\.2\.1 is missing"),
        (edit("cases.csv", "text is burned in", ""), r"image 1\.2\.2 has neither a file nor a reason"),
        (edit("labels.jsonl", "{", ""), r"labels\.jsonl, line 1: is no JSON"),
        (edit("labels.jsonl", '"image"', '"picture"'), r"labels\.jsonl, line 1: there is no picture"),
        (edit("labels.jsonl", '"top"', '"up"'), r"labels\.jsonl, line 1: top is missing"),
        (edit("labels.jsonl", "1.0", "7"), r"labels\.jsonl, line 1: a class is between 0, absent, and 1"),
        (edit("labels.jsonl", "1.2.1", "9.9"), r"labels\.jsonl, label 1: there is no image 9\.9"),
        (edit("split.csv", "train", "exam"), r"split\.csv, line 2: part is train, validation, test, not 'exam'"),
        (edit("split.csv", "aaaa,train", "aaaa,train\naaaa,test"), r"split\.csv, line 3: patient aaaa is in two parts"),
        (edit("collection.toml", "format = 1", "format = 9"), r"collection\.toml: format is 9"),
        (edit("collection.toml", '"patient"', '"luck"'), r"split_by is patient or clinic, not 'luck'"),
        (lambda root: (root / "collection.toml").unlink(), "this is no collection"),
        (lambda root: (root / "split.csv").unlink(), r"split\.csv: there is no such file"),
        (lambda root: (root / "cases.csv").write_bytes(b"\xff\xfe"), r"cases\.csv: is not UTF-8"),
    ],
)
def test_a_fault_names_its_file_and_line(saved: Collection, wrong: Callable[[Path], object], said: str) -> None:
    wrong(saved.root)
    with pytest.raises(CollectionInvalid, match=said):
        Collection.load(saved.root)


def test_sources_are_agreed_on_by_what_most_say() -> None:
    said = [
        Labels(
            image="1", source="a", classes={"X": 1.0, "Y": 1.0}, points={"p": (0, 0)}, grades={"X": 1}, measures={"VHS": 9}
        ),
        Labels(
            image="1", source="b", classes={"X": 1.0, "Y": 0.0}, points={"p": (2, 4)}, grades={"X": 3}, measures={"VHS": 10}
        ),
        Labels(image="1", source="c", classes={"X": 0.0}, grades={"X": 2}),
    ]
    one = agreed("1", said)
    assert one.classes == {"X": 1.0}  # Y: one against one is unknown
    assert one.points == {"p": (1, 2)}
    assert one.grades == {"X": 2}
    assert one.measures == {"VHS": 9.5}
    assert one.source == "a + b + c"
