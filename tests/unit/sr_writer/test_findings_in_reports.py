"""Findings beside measurements: what stands in a measurement group, what is an answer only, and where outlines stand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import pytest
from answers import EVERY, evidence, findings, report
from factories import dx_file
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from trees import items, named, texts

from domain import codes
from domain.identity import Identity
from domain.types import Finding, FindingOutcome, Language, Report, Shape, SrGeometry, Style
from sr_writer import report_series_uid, write_report
from sr_writer.groups import area, has_coordinates

ENGLISH = Style(language=Language.ENGLISH)
IN_IMAGE = {  # the findings that can be shown in the image, and in how many outlines
    "Cardiomegaly": 1,
    "Bronchial pattern": 1,
    "Alveolar pattern": 2,
    "Nodule": 1,
    "Pleural effusion": 1,
    "Patellar luxation": 0,
}
AT_DETECTOR = "Area at the detector, larger than in the animal"


def of_findings(folder: Path, **elements: object) -> Report:
    return report([evidence(dx_file(folder / "a.dcm", **elements), "findings")])


def written(of: Report, folder: Path, style: Style = ENGLISH) -> Dataset:
    return dcmread(write_report(of, identity=Identity(), style=style, directory=folder / "out").path)


def groups(ds: Dataset) -> dict[str, list[Dataset]]:
    """Measurement groups by the meaning of their finding."""
    found: dict[str, list[Dataset]] = {}
    for group in named(ds, "125007"):
        (finding,) = [i for i in group.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "121071"]
        found.setdefault(finding.ConceptCodeSequence[0].CodeMeaning, []).append(group)
    return found


def children(group: Dataset, value_type: str) -> list[Dataset]:
    return [item for item in group.get("ContentSequence", ()) if item.ValueType == value_type]


def value(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def test_an_outline_stands_below_the_area_measured_from_it(tmp_path: Path) -> None:
    (group,) = groups(written(of_findings(tmp_path), tmp_path))["Cardiomegaly"]
    size, certainty = children(group, "NUM")
    assert size.ConceptNameCodeSequence[0].CodeMeaning == "Area"
    assert size.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "mm2"
    (outline,) = children(size, "SCOORD")
    points = [(outline.GraphicData[i], outline.GraphicData[i + 1]) for i in range(0, len(outline.GraphicData), 2)]
    expected = area(Shape(graphic_type="POLYLINE", points=tuple(points))) * 0.15 * 0.15
    assert value(size) == pytest.approx(expected, abs=0.06)
    assert certainty.ConceptNameCodeSequence[0].CodeValue == "111012"
    assert value(certainty) == pytest.approx(93.4)
    assert not children(group, "SCOORD")


def test_a_viewer_prints_name_certainty_severity_and_side(tmp_path: Path) -> None:
    found = groups(written(of_findings(tmp_path), tmp_path))
    said = {name: named(group, "121106")[0].TextValue for name, (group, *_) in found.items()}
    assert said["Cardiomegaly"] == f"Cardiomegaly 93 %; moderate; {AT_DETECTOR}"
    assert said["Pleural effusion"] == f"Pleural effusion uncertain (48 %); {AT_DETECTOR}"
    assert said["Patellar luxation"] == "Patellar luxation 66 %; left"  # a point, without an area
    assert said["Nodule"] == f"Pulmonary nodule 88 %; {AT_DETECTOR}"


def test_severity_site_and_side_are_coded(tmp_path: Path) -> None:
    found = groups(written(of_findings(tmp_path), tmp_path))
    assert named(found["Cardiomegaly"][0], "246112005")[0].ConceptCodeSequence[0].CodeMeaning == "Moderate"
    (site,) = named(found["Patellar luxation"][0], "363698007")
    assert site.ConceptCodeSequence[0].CodeMeaning == "Patella"
    assert site.ContentSequence[0].ConceptNameCodeSequence[0].CodeMeaning == "Laterality"
    assert site.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == "Left"


@pytest.mark.parametrize("geometry", SrGeometry)
def test_each_group_is_tracked_and_has_coordinates(tmp_path: Path, geometry: SrGeometry) -> None:
    """Otherwise OHIF 3.13 shows nothing of the whole report."""
    ds = written(of_findings(tmp_path), tmp_path, replace(ENGLISH, sr_geometry=geometry))
    every = named(ds, "125007")
    assert all([i for i in items(group) if i.get("ValueType") == "SCOORD"] for group in every)
    tracked = [named(group, "112040")[0].UID for group in every]
    assert len(set(tracked)) == len(every)
    split = geometry is not SrGeometry.MEASURED
    assert {name: len(those) for name, those in groups(ds).items() if name != "Heart"} == {
        name: max(1, outlines) if split else 1 for name, outlines in IN_IMAGE.items()
    }


@pytest.mark.parametrize("geometry", SrGeometry)
def test_where_outlines_stand(tmp_path: Path, geometry: SrGeometry) -> None:
    ds = written(of_findings(tmp_path), tmp_path, replace(ENGLISH, sr_geometry=geometry))
    region, below = geometry is not SrGeometry.MEASURED, geometry is not SrGeometry.REGION
    for name, outlines in IN_IMAGE.items():
        for group in groups(ds)[name] if outlines else ():
            templates = group.ContentTemplateSequence[0].TemplateIdentifier
            assert templates == ("1410" if region else "1501")
            regions = children(group, "SCOORD")
            assert [item.ConceptNameCodeSequence[0].CodeValue for item in regions] == ["111030"] * region
            sizes = [n for n in children(group, "NUM") if n.ConceptNameCodeSequence[0].CodeMeaning == "Area"]
            assert [len(children(size, "SCOORD")) for size in sizes] == [int(below)] * len(sizes)
            assert len(sizes) == (1 if region else outlines)
    (score,) = groups(ds)["Heart"]  # lines are no regions
    assert score.ContentTemplateSequence[0].TemplateIdentifier == "1501"
    assert not children(score, "SCOORD")


@pytest.mark.parametrize("geometry", SrGeometry)
def test_outlines_are_closed_and_taken_for_no_rectangle(tmp_path: Path, geometry: SrGeometry) -> None:
    """OHIF 3.13 takes four or five points for a rectangle; Stone 3.0 draws on "Original Source" only."""
    ds = written(of_findings(tmp_path), tmp_path, replace(ENGLISH, sr_geometry=geometry))
    for group in groups(ds)["Alveolar pattern"]:
        for outline in (i for i in items(group) if i.get("ValueType") == "SCOORD"):
            data = list(outline.GraphicData)
            assert data[:2] == data[-2:]
            straight = len(set(data[::2])) == 2 and len(set(data[1::2])) == 2
            assert straight or len(data) // 2 > 5
    images = [i for item in items(ds) if item.get("ValueType") == "SCOORD" for i in item.ContentSequence]
    assert images
    assert {image.ConceptNameCodeSequence[0].CodeValue for image in images} == {"111040"}


@pytest.mark.parametrize("spacing", [None, ["1E300", "1E300"], ["1E-30", "0.15"]])  # an area of 1E600 would be infinite
def test_without_a_sound_spacing_an_area_is_in_pixels(tmp_path: Path, spacing: list[str] | None) -> None:
    ds = written(of_findings(tmp_path, ImagerPixelSpacing=spacing), tmp_path)
    size = children(groups(ds)["Nodule"][0], "NUM")[0]
    assert size.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "{pixels}"
    assert value(size) == pytest.approx(math.pi * 7.5**2, abs=0.06)
    assert "scale unknown, areas in pixels" in texts(ds)


def test_what_is_not_in_the_image_is_an_answer_with_its_site(tmp_path: Path) -> None:
    ds = written(of_findings(tmp_path), tmp_path)
    (box,) = named(ds, "C0034375")
    answers = {
        item.ConceptNameCodeSequence[0].CodeMeaning: item for item in children(box, "CODE") if "ContentSequence" in item
    }
    coded = {name: item.ConceptCodeSequence[0].CodeMeaning for name, item in answers.items()}
    assert coded == {
        "Pneumothorax": "Absent",
        "Pulmonary edema": "Uncertain",
        "Tracheal collapse": "Not assessable",
    }
    for item in answers.values():
        site, image = item.ContentSequence
        assert site.ConceptNameCodeSequence[0].CodeMeaning == "Finding Site"
        assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID


def test_a_doubt_is_coded_in_its_group(tmp_path: Path) -> None:
    found = groups(written(of_findings(tmp_path), tmp_path))
    doubt = named(found["Pleural effusion"][0], "60046008")
    assert [item.ConceptCodeSequence[0].CodeValue for item in doubt] == ["UNCERTAIN"]
    assert not named(found["Cardiomegaly"][0], "UNCERTAIN")


@given(
    outcome=st.sampled_from(FindingOutcome),
    probability=st.none() | st.floats(0, 1),
    shape=st.sampled_from([None, "POINT", "POLYLINE", "line"]),
)
def test_only_what_may_be_there_and_can_be_shown_is_a_group(
    outcome: FindingOutcome, probability: float | None, shape: str | None
) -> None:
    points = {"POINT": ((5.0, 5.0),), "line": ((1.0, 1.0), (5.0, 5.0)), "POLYLINE": ((1.0, 1.0), (5.0, 1.0), (5.0, 5.0))}
    regions = () if shape is None else (Shape(graphic_type=shape.replace("line", "POLYLINE"), points=points[shape]),)
    finding = Finding(
        tracking="x",
        concept=codes.FINDINGS[0].code,
        outcome=outcome,
        sop_instance_uid="2.25.1",
        probability=probability,
        regions=regions,
    )
    there = outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN)
    encloses = shape == "POLYLINE"
    assert has_coordinates(finding) is (there and (encloses or (shape is not None and probability is not None)))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (Shape(graphic_type="POLYLINE", points=((0, 0), (4, 0), (4, 3), (0, 3), (0, 0))), 12.0),
        (Shape(graphic_type="POLYLINE", points=((1e4, 1e4), (10004, 1e4), (10004, 10003))), 6.0),
        (Shape(graphic_type="CIRCLE", points=((5, 5), (5, 7))), math.pi * 4),
        (Shape(graphic_type="ELLIPSE", points=((0, 5), (8, 5), (4, 3), (4, 7))), math.pi * 8),
        (Shape(graphic_type="MULTIPOINT", points=((0, 0), (4, 0), (4, 3))), 0.0),
    ],
)
def test_areas(shape: Shape, expected: float) -> None:
    assert area(shape) == pytest.approx(expected)


@pytest.mark.parametrize("geometry", SrGeometry)
@pytest.mark.parametrize("three_dimensional", [False, True])
def test_highdicom_reads_every_report_back(tmp_path: Path, geometry: SrGeometry, three_dimensional: bool) -> None:
    style = replace(ENGLISH, sr_geometry=geometry, comprehensive_3d=three_dimensional)
    document = write_report(of_findings(tmp_path), identity=Identity(), style=style, directory=tmp_path)
    sr = hd.sr.srread(document.path)
    assert isinstance(sr, hd.sr.Comprehensive3DSR if three_dimensional else hd.sr.ComprehensiveSR)
    content = sr.content
    assert isinstance(content, hd.sr.MeasurementReport)
    split = geometry is not SrGeometry.MEASURED
    planar = content.get_planar_roi_measurement_groups()
    assert len(planar) == (sum(IN_IMAGE.values()) if split else 0)
    assert len(content.get_image_measurement_groups()) == (2 if split else 1 + len(IN_IMAGE))
    if split:
        certain = content.get_planar_roi_measurement_groups(finding_type=hd.sr.CodedConcept("60046008", "SCT", "x"))
        assert [m.value for m in certain[0].get_measurements()][-1] == 48.0


def test_what_was_not_seen_is_named_and_never_more_than_that(tmp_path: Path) -> None:
    ds = written(report([evidence(dx_file(tmp_path / "a.dcm"), "nothing seen")]), tmp_path)
    (conclusion,) = named(ds, "121077")
    expected = "Looked for and not seen: Pneumothorax, Pleural effusion, Pulmonary oedema."
    assert conclusion.TextValue.startswith(expected)
    assert "normal" not in texts(ds).lower()


def test_seen_in_one_image_and_not_in_the_other(tmp_path: Path) -> None:
    both = [evidence(dx_file(tmp_path / f"{n}.dcm", instance=n), "findings") for n in (1, 2)]
    whole = report(both)
    other = both[1].answer.ref.sop_instance_uid
    answers = tuple(
        replace(f, outcome=FindingOutcome.ABSENT) if f.sop_instance_uid == other and f.tracking == "Cardiomegaly" else f
        for f in whole.findings
    )
    (conclusion,) = named(written(replace(whole, findings=answers), tmp_path), "121077")
    assert "Image 1 of 2: Cardiomegaly: present (93 %), moderate." in conclusion.TextValue
    assert "Image 2 of 2: Cardiomegaly: not seen (93 %)." in conclusion.TextValue
    assert "Looked for and not seen: Pneumothorax." in conclusion.TextValue


def test_failed_images_are_named_beside_what_was_not_seen(tmp_path: Path) -> None:
    kinds = {1: "nothing seen", 2: "failed"}
    whole = report([evidence(dx_file(tmp_path / f"{n}.dcm", instance=n), kind) for n, kind in kinds.items()])
    (conclusion,) = named(written(whole, tmp_path), "121077")
    assert "1 of 2 images could not be analysed." in conclusion.TextValue


def test_an_answer_of_a_person_names_no_model(tmp_path: Path) -> None:
    whole = of_findings(tmp_path)
    answers = tuple(replace(f, by_person=f.tracking == "Cardiomegaly") for f in whole.findings)
    found = groups(written(replace(whole, findings=answers), tmp_path))
    assert not named(found["Cardiomegaly"][0], "111001")
    assert named(found["Cardiomegaly"][0], "121106")[0].TextValue.endswith("entered by a person")
    assert named(found["Nodule"][0], "111001")


def test_each_style_has_a_series_and_an_object_of_its_own(tmp_path: Path) -> None:
    """OHIF 3.13 shows only the last report of a series."""
    whole = of_findings(tmp_path)
    styles = [
        Style(sr_geometry=g, comprehensive_3d=c, language=k) for g in SrGeometry for c in (False, True) for k in Language
    ]
    made = [write_report(whole, identity=Identity(), style=style, directory=tmp_path) for style in styles]
    assert len({document.ref.sop_instance_uid for document in made}) == len(styles)
    assert len({document.series_instance_uid for document in made}) == len(styles)
    assert [d.series_instance_uid for d in made] == [report_series_uid(whole, Identity(), style) for style in styles]
    assert report_series_uid(whole, Identity()) == report_series_uid(whole, Identity(), Style())


@pytest.mark.parametrize("outcome", EVERY)
def test_each_image_has_a_line_on_its_quality(tmp_path: Path, outcome: str) -> None:
    ds = written(report([evidence(dx_file(tmp_path / "a.dcm"), outcome)]), tmp_path)
    (line,) = named(ds, "111101")
    assert line.TextValue.startswith("Image 1 of 1: View ")
    assert "were not assessed by the AI" in line.TextValue


def test_every_kind_of_answer_is_in_the_examples() -> None:
    kinds = {finding.outcome for finding in findings("2.25.1")}
    assert kinds == set(FindingOutcome)
