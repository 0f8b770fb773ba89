"""Whose a label is: by a file's name, a UID, or a study and its view; and what is said of labels that fit nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from collections_made import case, collection_of

from metalearner.collection import Box, Labels
from metalearner.deidentify import Pseudonyms
from metalearner.labels.said import Names, Said, by_spelling, matched

KEY = Pseudonyms(b"0" * 32)


@pytest.fixture
def names(tmp_path: Path) -> Names:
    cases = [
        case(KEY.uid("1.1"), "a", tmp_path, study=KEY.uid("9.1"), view="right-lateral", columns=600, rows=400),
        case(KEY.uid("1.2"), "a", tmp_path, study=KEY.uid("9.1"), view="ventrodorsal", columns=600, rows=400),
        case(KEY.uid("1.3"), "b", tmp_path, study=KEY.uid("9.2"), view="right-lateral", declined="burned in", file=""),
    ]
    files = [("/in/one/a.dcm", KEY.uid("1.1")), ("/in/two/a.dcm", KEY.uid("1.2")), ("/in/two/b.dcm", KEY.uid("1.2"))]
    return Names(collection_of(tmp_path, cases), KEY, by_spelling(files))


@pytest.mark.parametrize(
    ("said", "images"),
    [
        ({"image": "1.1"}, ["1.1"]),
        ({"image": KEY.uid("1.1") + ".png"}, ["1.1"]),
        ({"image": "images/" + KEY.uid("1.1") + ".png"}, ["1.1"]),
        ({"image": "one/A.dcm"}, ["1.1"]),
        ({"image": "two\\a.png"}, ["1.2"]),
        ({"image": "b"}, ["1.2"]),
        ({"image": "a.dcm"}, ["1.1", "1.2"]),
        ({"image": "c.dcm"}, []),
        ({"study": "9.1", "view": "Right Lateral"}, ["1.1"]),
        ({"study": "9.1"}, ["1.1", "1.2"]),
        ({"study": "9.3", "view": "ventrodorsal"}, []),
    ],
)
def test_an_image_is_known_by_its_names(names: Names, said: dict[str, str], images: list[str]) -> None:
    assert names.of(Said(labels=Labels(image="", source=""), place="", **said)) == {KEY.uid(image) for image in images}


def test_what_belongs_to_no_image_is_counted_in_words(names: Names) -> None:
    def said(place: str, image: str, **more: Any) -> Said:
        labels = Labels(image="", source="", **{"classes": {"X": 1.0}, **more.pop("labels", {})})
        return Said(labels=labels, place=place, image=image, **more)

    box = {"boxes": (Box(concept="X", left=1, top=2, right=3, bottom=4),)}
    found = matched(
        [
            said("line 2", "Bello.dcm"),
            said("line 3", "a.dcm"),
            said("line 4", "1.3"),
            said("line 5", "1.1", size=(300, 200), labels=box),
            said("line 6", "1.2", size=(300, 300), labels=box),
            said("line 7", "1.1", labels={"classes": {"X": 0.0, "Y": 1.0}}),
        ],
        names,
        "labels.csv",
    )
    assert found.faults == (
        "labels.csv: 1 labels name no image of the collection (line 2)",
        "labels.csv: 1 labels name several images at once (line 3)",
        "labels.csv: 1 labels belong to images that were declined (line 4)",
        "labels.csv: 1 labels count their points on a picture of another shape (line 6)",
        "labels.csv: 1 labels say something else of an image than an earlier one there; the later counts (line 7)",
    )
    (labels,) = found.labels
    assert (labels.image, labels.source, labels.classes) == (KEY.uid("1.1"), "labels.csv", {"X": 0.0, "Y": 1.0})
    assert labels.boxes == (Box(concept="X", left=2, top=4, right=6, bottom=8),)  # on the image, twice as large


def test_readers_get_pseudonyms(names: Names) -> None:
    given = [
        Said(labels=Labels(image="", source="", reader=reader, classes={"X": 1.0}), place="", image="1.1")
        for reader in ("Dr. Kim", "dr. kim", "Dr. Lee")
    ]
    found = matched(given, names, "labels.csv")
    assert len({labels.reader for labels in found.labels}) == 2
    assert "im" not in "".join(labels.reader for labels in found.labels)
