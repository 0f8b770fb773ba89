"""Findings on the overlay: outlines, numbers, labels and words."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from answers import INTERVAL, MODEL, VALIDATED, evidence
from factories import dx_file
from overlays import COLUMNS, EN, drawn, gray, near, radiograph, source

from domain import codes, terms
from domain.types import (
    Evidence,
    Finding,
    FindingOutcome,
    Language,
    Measurement,
    ModelIdentity,
    Outcome,
    Point,
    Reason,
    Shape,
)
from sr_writer import read_header, strokes
from sr_writer.marks import numbered, outlines, text_size
from sr_writer.panel import headline, of_image, verdicts
from sr_writer.side_markers import bright_marks
from sr_writer.typeset import BOLD, ORANGE, WHITE, font


def finding(
    number: int, outcome: FindingOutcome, *regions: Shape, probability: float | None = 0.5, uid: str = "1"
) -> Finding:
    term = codes.FINDINGS[number]
    reason = Reason(code="out_of_frame") if outcome is FindingOutcome.NOT_ASSESSABLE else None
    return Finding(
        tracking=term.code.value,
        concept=term.code,
        outcome=outcome,
        sop_instance_uid=uid,
        probability=probability,
        reason=reason,
        regions=regions,
    )


def outline(left: float, top: float, right: float, bottom: float) -> Shape:
    return Shape(graphic_type="POLYLINE", points=((left, top), (right, top), (right, bottom), (left, bottom)))


def with_findings(item: Evidence, *findings: Finding) -> Evidence:
    spoken = replace(item.answer.models[0], findings=findings)
    return replace(item, answer=replace(item.answer, models=(spoken,)))


PRESENT, ABSENT = FindingOutcome.PRESENT, FindingOutcome.ABSENT
UNCERTAIN, NOT_ASSESSABLE = FindingOutcome.UNCERTAIN, FindingOutcome.NOT_ASSESSABLE


def test_findings_are_outlined_and_never_covered(tmp_path: Path) -> None:
    boxes = [(200, 200, 500, 500), (560, 240, 900, 560), (1100, 700, 1300, 1000), (80, 800, 1000, 1150)]
    findings = [finding(number, PRESENT, outline(*box)) for number, box in enumerate(boxes)]
    image = radiograph(drawn(with_findings(source(tmp_path, "measured"), *findings)))
    for left, top, right, bottom in boxes:
        assert (image[top + 12 : bottom - 12, left + 12 : right - 12] == 128).all()
        assert not (image[top - 4 : top + 4, left:right] == 128).all(axis=2).any(axis=0).all()


@pytest.mark.parametrize(
    ("graphic", "points", "extent"),
    [
        ("CIRCLE", ((800, 600), (900, 600)), (700, 500, 900, 700)),
        ("ELLIPSE", ((700, 600), (900, 600), (800, 550), (800, 650)), (700, 550, 900, 650)),
        ("POLYLINE", ((700, 550), (900, 550), (800, 650)), (700, 550, 900, 650)),
    ],
)
def test_every_graphic_is_drawn_where_it_is(
    tmp_path: Path, graphic: str, points: tuple[Point, ...], extent: tuple[float, float, float, float]
) -> None:
    shape = Shape(graphic_type=graphic, points=points)
    image = radiograph(drawn(with_findings(source(tmp_path, "measured"), finding(0, PRESENT, shape))))
    ((left, top, right, bottom), (ring, *_)) = extent, outlines(shape)
    assert min(p[0] for p in ring) == pytest.approx(left)
    assert max(p[0] for p in ring) == pytest.approx(right)
    assert min(p[1] for p in ring) == pytest.approx(top)
    assert max(p[1] for p in ring) == pytest.approx(bottom)
    dark_or_coloured = [not (image[round(y), round(x)] == 128).all() for x, y in ring]
    assert all(dark_or_coloured)
    assert np.mean([near(image[None, round(y), None, round(x)], ORANGE).all() for x, y in ring]) > 0.9


def test_a_point_has_its_sign_around_it(tmp_path: Path) -> None:
    shape = Shape(graphic_type="POINT", points=((800, 600),))
    image = radiograph(drawn(with_findings(source(tmp_path, "measured"), finding(0, PRESENT, shape))))
    assert near(image[588:613, 788:813], ORANGE).sum() > 100


def test_an_uncertain_outline_is_dashed(tmp_path: Path) -> None:
    ring = Shape(graphic_type="CIRCLE", points=((800, 600), (1000, 600)))
    counts = [
        near(radiograph(drawn(with_findings(source(tmp_path, "measured"), finding(0, outcome, ring)))), ORANGE)[
            380:820, 580:1020
        ].sum()
        for outcome in (PRESENT, UNCERTAIN)
    ]
    assert 0.35 < counts[1] / counts[0] < 0.7


def test_numbers_in_the_image_are_those_of_the_list_abnormal_first() -> None:
    usual = Finding(
        tracking="V",
        concept=codes.VHS,
        outcome=PRESENT,
        sop_instance_uid="1",
        measurements=(Measurement(concept=codes.VHS, value=9.5, unit=codes.VERTEBRAE, lines={}, interval=INTERVAL),),
    )
    high = replace(usual, measurements=(replace(usual.measurements[0], value=11.5),))
    mixed = [
        finding(0, ABSENT),
        finding(1, NOT_ASSESSABLE, probability=None),
        usual,
        finding(2, UNCERTAIN),
        finding(3, PRESENT, probability=0.6),
        finding(4, PRESENT, probability=0.9),
        high,
    ]
    order = [(item.number, item.finding) for item in numbered(mixed)]
    expected = [mixed[5], mixed[4], high, mixed[3], usual, mixed[1], mixed[0]]
    assert order == [(number, finding) for number, finding in enumerate(expected, start=1)]
    assert numbered(mixed[:1])[0].number is None


def test_neighbours_differ_in_shape_and_colour() -> None:
    items = numbered([finding(number, PRESENT) for number in range(30)])
    assert len({(item.colour, item.shape) for item in items}) == 30
    for one, other in pairwise(items):
        assert one.colour != other.colour
        assert one.shape != other.shape


@pytest.mark.parametrize("width", [1000, 1560, 2160, 4100])
def test_a_capital_of_a_label_is_at_least_14_pixels_high_in_1000(width: int) -> None:
    _, top, _, bottom = font(BOLD, text_size(width)).getbbox("H")
    assert (bottom - top) * 1000 / width >= 14


def texts(item: Evidence, language: Language) -> list[str]:
    findings = [f for spoken in item.answer.models for f in spoken.findings]
    blocks, footer = of_image(item, numbered(findings), language, header=read_header(item.path))
    return [block.text for block in (*blocks, *footer)]


@pytest.mark.parametrize("language", Language)
def test_no_finding_lists_what_was_looked_for_and_is_never_called_normal(tmp_path: Path, language: Language) -> None:
    item = with_findings(source(tmp_path, "measured"), *(finding(number, ABSENT) for number in range(5)))
    said = "\n".join(texts(item, language))
    for term in codes.FINDINGS[:5]:
        assert (term.english if language is EN else term.korean) in said
    (verdict, _), *_ = headline([item.answer], language).verdicts
    assert "5" in verdict
    assert "normal" not in (said + verdict).lower()
    assert "정상" not in said + verdict


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("outcome", FindingOutcome)
def test_every_finding_is_in_words_whatever_its_outcome(tmp_path: Path, outcome: FindingOutcome, language: Language) -> None:
    everything = [finding(number, outcome) for number in range(len(codes.FINDINGS))]
    item = with_findings(source(tmp_path, "measured"), *everything)
    said = "\n".join(texts(item, language))
    for term in codes.FINDINGS:
        assert (term.english if language is EN else term.korean) in said
    image = drawn(item, language=language)
    assert (image[-10:, COLUMNS + 10 :].max(axis=2) < 40).all()  # nothing runs out of the panel


def test_side_and_severity_tell_two_findings_of_a_kind_apart(tmp_path: Path) -> None:
    both = [replace(finding(0, PRESENT), laterality=side, severity=codes.MILD) for side in (codes.LEFT, codes.RIGHT)]
    said = texts(with_findings(source(tmp_path, "measured"), *both), EN)
    for side in ("left", "right"):
        assert any("mild" in text and side in text for text in said)


def test_a_verdict_that_is_too_long_is_shortened_and_counted() -> None:
    said = verdicts(Outcome.ANALYSED, numbered_findings := [finding(n, PRESENT) for n in range(6)], EN)
    assert said[0][1] == ()
    assert said[-1][0].endswith("+5")
    assert len(said[-1][1]) == len(numbered_findings) - 1


def test_dashes_go_around_corners() -> None:
    corner = [(0.0, 0.0), (50.0, 0.0), (50.0, 50.0)]
    lengths = [sum(math.dist(a, b) for a, b in pairwise(piece)) for piece in strokes.dashes(corner, 20)]
    assert lengths == pytest.approx([20] * 3)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("model", [MODEL, VALIDATED], ids=lambda model: model.clinical_status)
def test_that_a_demonstration_saw_nothing_is_no_clean_bill_of_health(
    tmp_path: Path, model: ModelIdentity, language: Language
) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm"), "nothing seen", model=model)
    notes = headline([item.answer], language).notes
    assert (terms.phrase("unvalidated", language) in notes) is (model is MODEL)


def test_no_label_covers_a_side_marker(tmp_path: Path) -> None:
    """A bright letter stands where the label would."""
    item = with_findings(source(tmp_path, "measured"), finding(0, PRESENT, outline(40, 170, 340, 420)))
    drawn_on = (radiograph(drawn(item)) != 128).any(axis=2)
    drawn_on[130:460, :380] = False  # the finding, and most of its leader
    row, column = (int(np.median(places)) for places in np.nonzero(drawn_on))
    marker = np.s_[row - 20 : row + 20, column - 20 : column + 20]
    pixels = gray()
    pixels[marker] = 1.0
    assert drawn_on[marker].all()
    assert (radiograph(drawn(item, pixels=pixels))[marker] == 255).all()


def test_a_film_with_a_white_ground_has_no_marker_everywhere() -> None:
    pixels = gray(level=1.0)
    pixels[300:900, 400:1200] = 0.4
    assert bright_marks(pixels) == []


def test_a_model_that_broke_beside_another_is_said_in_the_banner(tmp_path: Path) -> None:
    item = source(tmp_path, "measured")
    broken = replace(
        item.answer.models[0],
        model=replace(MODEL, name="pleura", device_uid="2.25.9"),
        outcome=Outcome.FAILED,
        reason=Reason(code="model_failed"),
        findings=(),
    )
    whole, partly = (headline([replace(item.answer, models=(item.answer.models[0], *more))], EN) for more in ((), (broken,)))
    assert (whole.striped, whole.signal) == (False, WHITE)
    assert (partly.striped, partly.signal) == (True, ORANGE)
    assert f"pleura {MODEL.version}: ANALYSIS FAILED" in partly.notes
    assert partly.verdicts == whole.verdicts


def test_left_and_right_are_told_apart_in_the_banner(tmp_path: Path) -> None:
    hips = (
        replace(finding(0, PRESENT, probability=0.81), laterality=codes.RIGHT),
        replace(finding(0, UNCERTAIN, probability=0.52), laterality=codes.LEFT),
    )
    (said, _), *_ = headline([with_findings(source(tmp_path, "measured"), *hips).answer], EN).verdicts
    assert said.count("right") == 1
    assert said.count("left") == 1


def test_that_nothing_was_seen_carries_its_caution_in_the_largest_type(tmp_path: Path) -> None:
    absent = [finding(number, ABSENT, probability=0.03) for number in range(3)]
    ((said, _),) = headline([with_findings(source(tmp_path, "measured"), *absent).answer], EN).verdicts
    assert said == "None of 3 findings seen – disease not excluded"
