"""Presentation states: what is drawn where, and that the image keeps its look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import ANALYSED_AT, STUDY_UID, evidence
from factories import dx_file
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from domain import codes
from domain.identity import Identity
from domain.types import Document, Evidence, Finding, FindingOutcome, Language, Shape, Style
from sr_writer.presentation import AXES, FINDINGS, RULER, WORDS, write_presentation_state


def gsps(item: Evidence, folder: Path, **arguments: Any) -> Document | None:
    values: dict[str, Any] = {
        "study_instance_uid": STUDY_UID,
        "identity": Identity(),
        "style": Style(language=Language.ENGLISH),
        "directory": folder,
        "number": 1,
        "made_at": ANALYSED_AT,
    }
    return write_presentation_state(item, **values | arguments)


def written(item: Evidence, folder: Path, **arguments: Any) -> Dataset:
    document = gsps(item, folder, **arguments)
    assert document is not None
    return dcmread(document.path)


def layer(ds: Dataset, name: str) -> Dataset:
    (found,) = (item for item in ds.GraphicAnnotationSequence if item.GraphicLayer == name)
    return found


def texts(ds: Dataset) -> list[str]:
    annotations = ds.GraphicAnnotationSequence
    return [text.UnformattedTextValue for item in annotations for text in item.get("TextObjectSequence", ())]


def detection(uid: str, *, outcome: FindingOutcome = FindingOutcome.PRESENT) -> Finding:
    return Finding(
        tracking="1",
        concept=replace(codes.HEART, meaning="Something"),
        outcome=outcome,
        sop_instance_uid=uid,
        probability=0.934,
        regions=(
            Shape(graphic_type="POLYLINE", points=((10.0, 20.5), (40.0, 20.5), (40.0, 60.0))),
            Shape(graphic_type="MULTIPOINT", points=((1.0, 2.0), (3.0, 4.0))),
        ),
    )


def with_finding(item: Evidence, finding: Finding) -> Evidence:
    (spoken,) = item.answer.models
    return replace(item, answer=replace(item.answer, models=(replace(spoken, findings=(finding,)),)))


def test_the_measured_lines_stand_where_they_were_measured(tmp_path: Path) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm"), "measured")
    ds = written(item, tmp_path)
    (finding,) = item.answer.models[0].findings
    lines = [graphic.GraphicData for graphic in layer(ds, AXES).GraphicObjectSequence]
    expected = [[*start, *end] for m in finding.measurements[1:] for start, end in m.lines.values()]
    assert [[float(part) for part in line] for line in lines] == [pytest.approx(line, abs=0.01) for line in expected]
    ruler = layer(ds, RULER).GraphicObjectSequence[0]
    assert ruler.NumberOfGraphicPoints == len(finding.guides[0].points)
    assert list(ruler.GraphicData) == pytest.approx([part for point in finding.guides[0].points for part in point], abs=0.01)
    assert {graphic.GraphicAnnotationUnits for graphic in layer(ds, RULER).GraphicObjectSequence} == {"PIXEL"}


def test_it_says_what_it_is_and_what_was_found(tmp_path: Path) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm"), "measured")
    assert texts(written(item, tmp_path)) == [
        "long axis",
        "short axis",
        "T4",
        "VHS 10.8",
        "AI - not a diagnosis - DEMONSTRATION",
    ]
    korean = written(item, tmp_path, style=Style(language=Language.KOREAN))
    assert korean.SpecificCharacterSet == "ISO_IR 192"
    assert any("진단이 아님" in text for text in texts(korean))


def test_an_outline_keeps_its_points_and_says_how_sure(tmp_path: Path) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm"), "measured")
    ds = written(with_finding(item, detection(item.answer.ref.sop_instance_uid)), tmp_path)
    outline, *points = layer(ds, FINDINGS).GraphicObjectSequence
    assert (outline.GraphicType, list(outline.GraphicData)) == ("POLYLINE", [10.0, 20.5, 40.0, 20.5, 40.0, 60.0])
    assert [(point.GraphicType, list(point.GraphicData)) for point in points] == [
        ("POINT", [1.0, 2.0]),
        ("POINT", [3.0, 4.0]),
    ]
    assert any("93 %" in text.UnformattedTextValue for text in layer(ds, WORDS).TextObjectSequence)


def test_no_text_box_leaves_the_image(tmp_path: Path) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm"), "measured")
    boxes = layer(written(item, tmp_path), WORDS).TextObjectSequence
    assert len(boxes) == 2
    for box in boxes:
        limits = (1, 1) if box.BoundingBoxAnnotationUnits == "DISPLAY" else (item.answer.columns, item.answer.rows)
        first, last = box.BoundingBoxTopLeftHandCorner, box.BoundingBoxBottomRightHandCorner
        assert 0 <= first[0] < last[0] <= limits[0]
        assert 0 <= first[1] < last[1] <= limits[1]


@pytest.mark.parametrize("outcome", ["not assessable", "declined", "failed"])
def test_nothing_to_draw_is_no_document(tmp_path: Path, outcome: str) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm"), outcome)
    assert gsps(item, tmp_path / "out") is None
    assert not (tmp_path / "out").exists()


def test_what_was_not_seen_is_not_outlined(tmp_path: Path) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm"), "measured")
    absent = detection(item.answer.ref.sop_instance_uid, outcome=FindingOutcome.ABSENT)
    assert gsps(with_finding(item, absent), tmp_path) is None


def table(*, bits: int = 12) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [4096, 0, bits]
    item.LUTData = (np.sqrt(np.arange(4096) / 4095) * 4095).astype("<u2").tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    return item


@pytest.mark.parametrize(
    ("elements", "shape"),
    [
        ({}, "IDENTITY"),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, "INVERSE"),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": None}, "INVERSE"),
        ({"PresentationLUTShape": "INVERSE"}, "INVERSE"),
    ],
)
def test_polarity_is_repeated_once(tmp_path: Path, elements: dict[str, Any], shape: str) -> None:
    ds = written(evidence(dx_file(tmp_path / "a.dcm", **elements), "measured"), tmp_path)
    assert ds.PresentationLUTShape == shape


@pytest.mark.parametrize(
    ("elements", "window"),
    [
        ({"WindowCenter": ["20000", "5"], "WindowWidth": ["10000.5", "5"]}, (20000, 10000.5, None)),
        ({"WindowCenter": ["20000", "700"], "WindowWidth": ["0", "300"]}, (700, 300, None)),
        ({"WindowCenter": "20000", "WindowWidth": "900", "VOILUTFunction": "SIGMOID"}, (20000, 900, "SIGMOID")),
        ({"WindowCenter": "20000", "WindowWidth": "900", "VOILUTFunction": "LINEAR"}, (20000, 900, None)),
    ],
)
def test_the_first_sound_window_is_kept(tmp_path: Path, elements: dict[str, Any], window: tuple[float, float, str]) -> None:
    ds = written(evidence(dx_file(tmp_path / "a.dcm", **elements), "measured"), tmp_path)
    (voi,) = ds.SoftcopyVOILUTSequence
    assert (float(voi.WindowCenter), float(voi.WindowWidth), voi.get("VOILUTFunction")) == window


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_table_goes_before_a_window(tmp_path: Path, syntax: str | None) -> None:
    content = table()
    if syntax == ExplicitVRBigEndian:
        content.LUTData = np.frombuffer(content.LUTData, dtype="<u2").astype(">u2").tobytes()
    arguments: dict[str, Any] = {} if syntax is None else {"transfer_syntax": syntax}
    path = dx_file(tmp_path / "a.dcm", bits=12, VOILUTSequence=[content], **arguments)
    (voi,) = written(evidence(path, "measured"), tmp_path).SoftcopyVOILUTSequence
    assert "WindowCenter" not in voi
    (found,) = voi.VOILUTSequence
    assert list(found.LUTDescriptor) == [4096, 0, 12]
    assert found.LUTData == table().LUTData


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": None, "WindowWidth": None},
        {"WindowCenter": "20000", "WindowWidth": "0"},
        {"WindowCenter": None, "WindowWidth": None, "VOILUTSequence": [Dataset()]},
    ],
)
def test_without_a_sound_window_the_stored_range_is_shown(tmp_path: Path, elements: dict[str, Any]) -> None:
    ds = written(evidence(dx_file(tmp_path / "a.dcm", **elements), "measured"), tmp_path)
    assert "SoftcopyVOILUTSequence" not in ds


def test_a_source_that_is_gone_is_not_drawn_upon_for_nobody(tmp_path: Path) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm"), "measured")
    item.path.unlink()
    with pytest.raises(FileNotFoundError):
        written(item, tmp_path)


def test_a_second_run_is_byte_identical_and_a_change_is_another_object(tmp_path: Path) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm", charset="ISO 2022 IR 149"), "measured")
    first, second = gsps(item, tmp_path / "1"), gsps(item, tmp_path / "2")
    assert first is not None
    assert second is not None
    assert first.path.read_bytes() == second.path.read_bytes()
    for change in ({"number": 2}, {"study_instance_uid": STUDY_UID + "1"}, {"style": Style(language=Language.KOREAN)}):
        other = gsps(item, tmp_path / "3", **change)
        assert other is not None
        assert other.ref != first.ref
    rewindowed = replace(item, path=dx_file(tmp_path / "b.dcm", charset="ISO 2022 IR 149", WindowWidth="777"))
    other = gsps(rewindowed, tmp_path / "3")
    assert other is not None
    assert other.ref != first.ref
