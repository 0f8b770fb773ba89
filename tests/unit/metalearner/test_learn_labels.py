"""Labels as the tools of others write them, and whose image they are."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from domain.types import FindingOutcome, View
from ledger.feedback import Answer, Feedback, FeedbackRow
from metalearner.collection import Box, Labels, Mask
from metalearner.labels.answers import read_answers
from metalearner.labels.coco import read_coco
from metalearner.labels.cvat import read_cvat
from metalearner.labels.files import read_labels
from metalearner.labels.said import LabelsInvalid, concept_of
from metalearner.labels.table import read_table
from metalearner.labels.truth import read_truth
from phantoms.lesions import THORAX, Lesion, shows

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_


# CSV


def test_a_wide_table(write: Write) -> None:
    path = write(
        "labels.csv",
        "\ufeffimage;reader;Cardiomegaly;60046008;심비대x;measure:VHS;grade:CARDIOMEGALY;point:apex\n"
        "a.dcm;Kim;yes;0;;11,3;2;10,5 20\n\nb.dcm;;?;1;1;;;\n",
    )
    first, second = read_table(path)
    assert (first.image, first.place, first.labels.reader) == ("a.dcm", "line 2", "Kim")
    assert first.labels.classes == {"CARDIOMEGALY": 1.0, "60046008": 0.0}
    assert first.labels.measures == {"VHS": 11.3}
    assert first.labels.grades == {"CARDIOMEGALY": 2}
    assert first.labels.points == {"apex": (10.5, 20.0)}
    assert second.labels.classes == {"60046008": 1.0, "심비대x": 1.0}


def test_a_long_table_by_study_and_view(write: Write) -> None:
    path = write(
        "labels.csv",
        "study,view,concept,value,kind,left,top,right,bottom,column,row\n"
        "1.2.3,right-lateral,Pleural effusion,present,,,,,,,\n"
        "1.2.3,right-lateral,CARDIOMEGALY,,box,1,2,30,40.5,,\n"
        "1.2.3,right-lateral,apex,,point,,,,,7,8\n"
        "1.2.3,right-lateral,VHS,10.2,measure,,,,,,\n"
        "1.2.3,right-lateral,CARDIOMEGALY,3,grade,,,,,,\n",
    )
    said = read_table(path)
    assert {(one.study, one.view) for one in said} == {("1.2.3", "right-lateral")}
    assert said[0].labels.classes == {"60046008": 1.0}
    assert said[1].labels.boxes == (Box(concept="CARDIOMEGALY", left=1, top=2, right=30, bottom=40.5),)
    assert said[1].labels.classes == {"CARDIOMEGALY": 1.0}
    assert said[2].labels.points == {"apex": (7, 8)}
    assert said[3].labels.measures == {"VHS": 10.2}
    assert said[4].labels.grades == {"CARDIOMEGALY": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,X\na,1\n", "line 1: names no images"),
        ("image,X\na,perhaps\n", "line 2: X takes 1, 0, or nothing"),
        ("image,measure:VHS\na,big\n", "line 2: measure:VHS takes a number"),
        ("image,point:p\na,1\n", "line 2: point:p takes a column and a row"),
        ("image,X\na,1,2\n", "line 2: has more cells"),
        ("image,concept,value,kind\na,X,1,circle\n", "line 2: kind is class, measure, grade, point or box, not 'circle'"),
    ],
)
def test_a_table_that_is_wrong_says_where(write: Write, text: str, said: str) -> None:
    with pytest.raises(LabelsInvalid, match=said):
        read_table(write("labels.csv", text))


def test_a_concept_is_known_by_its_code_and_by_either_language() -> None:
    assert [concept_of(words) for words in ("cardiomegaly", "심비대", "pleural effusion", "60046008", " own ")] == [
        "CARDIOMEGALY",
        "CARDIOMEGALY",
        "60046008",
        "60046008",
        "own",
    ]


# COCO


def square() -> np.ndarray:
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[10:20, 30:45] = 1
    return mask


def coco(**more: Any) -> dict[str, Any]:
    """As exporters write it: a box, a polygon, both kinds of run lengths, keypoints."""
    compressed = coco_mask.encode(np.asfortranarray(square()))
    runs, inside, count = [], 0, 0
    for value in square().ravel(order="F"):
        if value != inside:
            runs.append(count)
            inside, count = value, 0
        count += 1
    runs.append(count)
    return {
        "info": {"description": "exported"},
        "images": [
            {"id": 1, "file_name": "folder/a.png", "width": 60, "height": 40, "license": 0},
            {"id": 2, "file_name": "b.png", "width": 60, "height": 40},
        ],
        "categories": [
            {"id": 1, "name": "Pleural effusion", "supercategory": ""},
            {"id": 2, "name": "CARDIOMEGALY"},
            {"id": 3, "name": "heart", "keypoints": ["apex", "base"], "skeleton": []},
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [1.5, 2, 10, 20],
                "area": 200,
                "iscrowd": 0,
                "segmentation": [],
            },
            {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [[0, 0, 8, 0, 8, 8]], "iscrowd": 0},
            {
                "id": 3,
                "image_id": 1,
                "category_id": 2,
                "iscrowd": 1,
                "segmentation": {"size": [40, 60], "counts": compressed["counts"].decode()},
            },
            {"id": 4, "image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": {"size": [40, 60], "counts": runs}},
            {"id": 5, "image_id": 1, "category_id": 3, "keypoints": [5, 6, 2, 0, 0, 0], "num_keypoints": 1},
        ],
        **more,
    }


SQUARE = ((30.0, 10.0), (45.0, 10.0), (45.0, 20.0), (30.0, 20.0))


def test_coco_boxes_polygons_run_lengths_and_keypoints(write: Write) -> None:
    (said,) = read_coco(write("instances.json", json.dumps(coco())), unmarked_is_absent=False)
    assert (said.image, said.size) == ("folder/a.png", (60, 40))
    assert said.labels.boxes == (Box(concept="60046008", left=1.5, top=2, right=11.5, bottom=22),)
    polygon, compressed, plain = said.labels.masks
    assert polygon == Mask(concept="CARDIOMEGALY", polygons=(((0, 0), (8, 0), (8, 8)),))
    assert compressed == Mask(concept="CARDIOMEGALY", polygons=(SQUARE,))
    assert plain == Mask(concept="60046008", polygons=(SQUARE,))
    assert said.labels.points == {"apex": (5, 6)}
    assert said.labels.classes == {"60046008": 1.0, "CARDIOMEGALY": 1.0}


def test_coco_images_without_marks_are_absent_only_when_said_so(write: Write) -> None:
    path = write("instances.json", json.dumps(coco()))
    _, second = read_coco(path, unmarked_is_absent=True)
    assert second.labels.classes == {"60046008": 0.0, "CARDIOMEGALY": 0.0}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"images": []}, "is no COCO file: 'categories' is missing"),
        (coco(annotations=[{"id": 9, "image_id": 7, "category_id": 1}]), "annotation 1: its image or its category"),
        (coco(annotations=[{"id": 9, "image_id": 1, "category_id": 1, "bbox": [1, 2]}]), "annotation 1: cannot be read"),
        (
            coco(annotations=[{"image_id": 1, "category_id": 1, "segmentation": {"size": [40, 60], "counts": [7]}}]),
            "annotation 1: cannot be read",
        ),
        ([], "is no COCO file"),
    ],
)
def test_coco_that_is_wrong_says_where(write: Write, content: object, said: str) -> None:
    with pytest.raises(LabelsInvalid, match=said):
        read_coco(write("instances.json", json.dumps(content)), unmarked_is_absent=False)


# CVAT

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><job><id>7</id><size>2</size><mode>annotation</mode><labels>
    <label><name>Pleural effusion</name><color>#24b353</color><type>any</type><attributes></attributes></label>
    <label><name>CARDIOMEGALY</name><color>#c06060</color><type>tag</type><attributes><attribute><name>answer</name>
      <mutable>False</mutable><input_type>select</input_type><default_value>unsure</default_value>
      <values>present\nabsent\nunsure</values></attribute></attributes></label>
    <label><name>apex</name><color>#5d5d5d</color><type>points</type><attributes></attributes></label>
  </labels></job><dumped>2026-11-22 20:00:00.000000+00:00</dumped></meta>
  <image id="0" name="a.png" width="60" height="40">
    <tag label="CARDIOMEGALY" source="manual"><attribute name="answer">absent</attribute></tag>
    <box label="Pleural effusion" source="manual" occluded="0" xtl="1.50" ytl="2.00" xbr="11.50" ybr="22.00"
      z_order="0"></box>
    <polygon label="Pleural effusion" source="manual" occluded="0" points="0.00,0.00;8.00,0.00;8.00,8.00"
      z_order="0"></polygon>
    <mask label="Pleural effusion" source="manual" occluded="0" rle="1, 2, 1, 2" left="4" top="6" width="3" height="2"
      z_order="0"></mask>
    <points label="apex" source="manual" occluded="0" points="5.00,6.00" z_order="0"></points>
  </image>
  <image id="1" name="b.png" width="60" height="40">
    <tag label="CARDIOMEGALY" source="manual"><attribute name="answer">unsure</attribute></tag>
  </image>
</annotations>
"""


@pytest.mark.parametrize("zipped", [False, True])
def test_cvat_boxes_polygons_masks_points_and_tags(tmp_path: Path, write: Write, zipped: bool) -> None:
    path = write("annotations.xml", CVAT)
    if zipped:
        with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
            archive.write(path, "annotations.xml")
            archive.writestr("images/a.png", b"")
        path = tmp_path / "task.zip"
    (said,) = read_labels(path)
    assert (said.image, said.size, said.place) == ("a.png", (60, 40), "image 0")
    assert said.labels.classes == {"CARDIOMEGALY": 0.0, "60046008": 1.0}
    assert said.labels.boxes == (Box(concept="60046008", left=1.5, top=2, right=11.5, bottom=22),)
    polygon, mask = said.labels.masks
    assert polygon.polygons == (((0, 0), (8, 0), (8, 8)),)
    # Rows of three from (4, 6): one outside and two inside, twice.
    assert set(mask.polygons[0]) == {(5, 6), (7, 6), (7, 8), (5, 8)}
    assert said.labels.points == {"apex": (5, 6)}


def test_cvat_images_that_were_looked_through(write: Write) -> None:
    _, second = read_cvat(write("annotations.xml", CVAT), unmarked_is_absent=True)
    assert second.labels.classes == {"60046008": 0.0}  # of the other it says that it is unsure


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<annotations><image", "is no XML that can be read"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotations>&x;</annotations>', "is no XML that can be read"),
        ("<annotation/>", "its first element is annotation"),
        (CVAT.replace("5.00,6.00", "5.00"), "image 0: a mark cannot be read"),
        (CVAT.replace("1, 2, 1, 2", "0, 2"), "image 0: a mark cannot be read"),
        (CVAT.replace('xtl="1.50"', ""), "image 0: a mark cannot be read"),
    ],
)
def test_cvat_that_is_wrong_says_where(write: Write, text: str, said: str) -> None:
    with pytest.raises(LabelsInvalid, match=said):
        read_cvat(write("annotations.xml", text), unmarked_is_absent=False)


# Phantoms


def test_the_truth_of_phantoms_with_and_without_findings(write: Write, tmp_path: Path) -> None:
    finding = {"concept": "CARDIOMEGALY", "grade": 2, "box": [1, 2, 3, 4], "polygons": [[[1, 2], [3, 2], [3, 4]]]}
    image = {
        "file": "01.dcm",
        "view": "ventrodorsal",
        "region": "thorax",
        "part": None,
        "landmarks": {"apex": [[1, 2]], "spine": [[1, 1], [2, 2]]},
        "findings": [{**finding, "laterality": "left"}],
        "not_shown": [{"concept": "36118008", "grade": 1}],
        "measures": {"NORBERG_LEFT": 104.2, "NORBERG_RIGHT": None},
        "vhs": 10.5,
    }
    path = write("truth.json", json.dumps({"seed": 1, "synthetic": True, "images": [image, {"file": "02.dcm"}]}))
    first, second = read_truth(path)
    assert first.image == (tmp_path / "01.dcm").as_posix()
    assert first.labels.classes["CARDIOMEGALY"] == 1.0
    # Looked for: what a ventrodorsal thorax can show, but for what the animal has and this film hides.
    absent = {one for one in THORAX if shows(Lesion(concept=one, grade=3), View.VENTRODORSAL)} - {"CARDIOMEGALY", "36118008"}
    assert {concept for concept, value in first.labels.classes.items() if not value} == absent
    assert first.labels.grades == {"CARDIOMEGALY": 2}
    assert first.labels.boxes == (Box(concept="CARDIOMEGALY", left=1, top=2, right=3, bottom=4),)
    assert first.labels.masks == (Mask(concept="CARDIOMEGALY", polygons=(((1, 2), (3, 2), (3, 4)),)),)
    assert first.labels.points == {"apex": (1, 2), "spine-1": (1, 1), "spine-2": (2, 2)}
    assert first.labels.measures == {"NORBERG_LEFT": 104.2, "VHS": 10.5}
    assert second.labels == Labels(image="", source="phantoms")


# Feedback

GIVEN = Feedback(
    study_instance_uid="1.2",
    sop_instance_uid="1.2.3",
    finding="2.25.1",
    concept="CARDIOMEGALY",
    shown=FindingOutcome.PRESENT,
    answer=Answer.AGREE,
    reader="vet-1",
)
RING = [[0, 0], [8, 0], [8, 8], [2, 9], [0, 0]]


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ({}, {"classes": {"CARDIOMEGALY": 1.0}}),
        ({"answer": Answer.DISAGREE}, {"classes": {"CARDIOMEGALY": 0.0}}),
        ({"shown": FindingOutcome.ABSENT}, {"classes": {"CARDIOMEGALY": 0.0}}),
        ({"shown": FindingOutcome.ABSENT, "answer": Answer.DISAGREE}, {"classes": {"CARDIOMEGALY": 1.0}}),
        ({"answer": Answer.UNCERTAIN}, None),
        ({"shown": FindingOutcome.NOT_ASSESSABLE}, None),
        ({"shown": FindingOutcome.UNCERTAIN, "answer": Answer.DISAGREE}, None),
        ({"answer": Answer.CORRECTED, "corrected": {"outcome": "ABSENT"}}, {"classes": {"CARDIOMEGALY": 0.0}}),
        (
            {"answer": Answer.CORRECTED, "corrected": {"regions": [{"graphic_type": "POLYLINE", "points": RING}]}},
            {
                "classes": {"CARDIOMEGALY": 1.0},
                "masks": (Mask(concept="CARDIOMEGALY", polygons=(((0, 0), (8, 0), (8, 8), (2, 9)),)),),
            },
        ),
        (
            {"answer": Answer.CORRECTED, "concept": "VHS", "corrected": {"value": 10.4, "points": {"apex": [1, 2]}}},
            {"measures": {"VHS": 10.4}, "points": {"apex": (1, 2)}},
        ),
    ],
)
def test_what_veterinarians_answered(given: dict[str, Any], labels: dict[str, Any] | None) -> None:
    said = read_answers([FeedbackRow(id=5, at=0.0, feedback=replace(GIVEN, **given))])
    if labels is None:
        assert said == []
        return
    (one,) = said
    assert (one.image, one.place) == ("1.2.3", "feedback 5")
    assert one.labels == Labels(image="", source="veterinarians", reader="vet-1", **labels)
