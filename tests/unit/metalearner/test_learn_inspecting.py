"""What an inspection finds: balance, disagreements, near-duplicates, leaks; and no word of whose the images are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from collections_made import collection_of
from factories import dx_file, gradient

from metalearner.collecting import files_below, gather, opened
from metalearner.collection import Case, Collection, Labels, Part
from metalearner.inspecting import concepts_of, inspect, warnings_of
from metalearner.inspecting_page import page_of
from metalearner.report_pages import rendered
from metalearner.splits import draw


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Three patients: the second's film is the first's, sent again in a little other gray; and a declined image."""
    root = tmp_path_factory.mktemp("inspect")
    rng = np.random.default_rng(0)
    films = [gradient(120, 150, seed=number) // 2 + rng.integers(0, 9000, (120, 150), dtype=np.uint16) for number in (1, 2)]
    again = (films[0] * 0.97).astype(np.uint16)
    for number, pixels in enumerate((films[0], again, films[1]), start=1):
        named = {"PatientID": f"Qualle-{number}", "PatientName": "Knautschke", "InstitutionName": "Pfotenklinik"}
        dx_file(root / "in" / f"{number}.dcm", study=number, instance=number, pixels=pixels, **named)
    dx_file(root / "in" / "9.dcm", study=9, instance=9, BurnedInAnnotation="YES")
    empty = opened(root / "out", name="three", made_at="now")
    return gather(empty, files_below(root / "in"), origins=["a folder of files"]).collection


def with_split(collection: Collection, *parts: Part) -> Collection:
    patients = [case.patient for case in collection.usable]
    return replace(collection, split=dict(zip(patients, parts, strict=True)))


def test_films_that_look_alike_are_found_across_the_split(three: Collection) -> None:
    first, second, _ = (case.image for case in three.usable)
    torn = inspect(with_split(three, Part.TRAIN, Part.TEST, Part.VALIDATION))
    (pair,) = torn.alike
    assert {pair.first, pair.second} == {first, second}
    assert pair.across
    assert not torn.sound
    whole = inspect(with_split(three, Part.TRAIN, Part.TRAIN, Part.TEST))
    assert whole.sound
    assert len(whole.alike) == 1
    same = replace(three, cases=tuple(replace(case, patient="one") for case in three.cases), split={"one": Part.TRAIN})
    assert inspect(same).alike == ()  # one animal's exposures may look alike


def test_disagreements_name_who_says_what(three: Collection) -> None:
    first, second, third = (case.image for case in three.usable)
    labels = (
        Labels(image=first, source="a.csv", reader="r1", classes={"CARDIOMEGALY": 1.0}, measures={"VHS": 10.0}),
        Labels(image=first, source="a.csv", reader="r2", classes={"CARDIOMEGALY": 0.0}, measures={"VHS": 10.5}),
        Labels(image=second, source="a.csv", points={"apex": (10, 10)}, grades={"CARDIOMEGALY": 1}, measures={"VHS": 9.0}),
        Labels(image=second, source="b.csv", points={"apex": (10, 30)}, grades={"CARDIOMEGALY": 3}, measures={"VHS": 12.0}),
        Labels(image=third, source="a.csv", classes={"CARDIOMEGALY": 1.0}, points={"apex": (10, 10)}),
        Labels(image=third, source="b.csv", classes={"CARDIOMEGALY": 1.0}, points={"apex": (11, 10)}),
    )
    collection = with_split(replace(three, labels=labels), Part.TRAIN, Part.TRAIN, Part.TEST)
    found = inspect(collection)
    assert [(one.image, one.about) for one in found.conflicts] == [
        (first, "CARDIOMEGALY"),
        (second, "apex"),
        (second, "CARDIOMEGALY"),
        (second, "VHS"),
    ]
    assert found.conflicts[0].said == {"a.csv (r1)": "1", "a.csv (r2)": "0"}
    (concept,) = found.concepts
    assert (concept.present, concept.absent, concept.unknown) == (1, 0, 2)  # one against one is unknown
    assert concept.parts[Part.TEST] == (1, 0)


def test_the_page_and_the_json_say_it_without_saying_whose(three: Collection) -> None:
    image = three.usable[0].image
    labels = (Labels(image=image, source="a.csv", classes={"CARDIOMEGALY": 1.0}, measures={"VHS": 10.0}),)
    found = inspect(with_split(replace(three, labels=labels), Part.TRAIN, Part.TEST, Part.TEST))
    page, said = rendered(page_of(found)), json.dumps(found.as_json())
    for words in ("Cardiomegaly", "1 pairs of images of different patients look alike", "text is burned into the pixels"):
        assert words in page
    assert found.declined == {"text is burned into the pixels": 1}
    assert json.loads(said)["parts"]["train"] == {"patients": 1, "images": 1}
    assert json.loads(said)["sound"] is False
    for text in (page, said):
        assert not any(secret in text for secret in ("Qualle", "Knautschke", "Pfotenklinik", "TEST-0009"))
        assert not any(case.patient in text for case in three.cases)
    assert "<script" not in page


def test_few_patients_are_warned_of() -> None:
    cases = [
        Case(image=str(number), file="x", patient=f"p{number}", study=f"s{number}", spacing_row_mm=None)
        for number in range(60)
    ]
    classes = {case.image: {"RARE": float(number < 6), "ALL": 1.0} for number, case in enumerate(cases)}
    collection = draw(collection_of(Path(), cases, classes), seed=0)
    parts = collection.parts()
    truths = {case.image: collection.truth(case.image) for case in cases}
    concepts = list(concepts_of(cases, truths, parts))
    said = list(warnings_of(concepts, {Part.TRAIN: (60, 60), Part.VALIDATION: (0, 0)}, cases))
    assert said == [
        "no patient is in the part validation: collect more, or draw the split anew with --redraw",
        "ALL: no image is without it",
        "RARE: only 6 patients with it; figures about it will say little",
        "60 of 60 images have no pixel spacing: millimetres cannot be judged on them",
    ]
