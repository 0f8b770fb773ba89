"""Where labels stand: one for each finding, none over a finding, a mark or another label."""

from __future__ import annotations

import math
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from domain import codes
from domain.types import Finding, FindingOutcome, Language, Point
from sr_writer.labels import Box, Label, Segment, Subject, bounds, place
from sr_writer.marks import Numbered, _Text, text_size
from sr_writer.typeset import BOLD, WHITE, font

WIDTH = 1000.0  # of the picture, panel included
LEAST_HEIGHT = 14.0
GAP = 5.0
FIELD = Box(left=0, top=0, right=720, bottom=800)


def ring(centre: Point, radii: Point) -> tuple[Point, ...]:
    angles = [2 * math.pi * n / 24 for n in range(24)]
    return tuple((centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a)) for a in angles)


def subject(rng: np.random.Generator, largest: float) -> Subject:
    """Anywhere in the field, at times over its edge; its label as it is drawn for a finding."""
    radii = rng.uniform(5, largest), rng.uniform(5, largest)
    outline = ring((rng.uniform(0, FIELD.right), rng.uniform(0, FIELD.bottom)), radii)
    text = label_of(int(rng.integers(len(codes.FINDINGS))), bool(rng.integers(2)))
    return Subject(outline=outline, covers=bounds(outline), width=text.width, height=text.height)


@cache
def label_of(number: int, korean: bool) -> _Text:
    """Its letters are as high as everyone's must be."""
    term = codes.FINDINGS[number]
    said = Finding(tracking="x", concept=term.code, outcome=FindingOutcome.UNCERTAIN, sop_instance_uid="1", probability=0.5)
    item = Numbered(finding=said, number=number, colour=WHITE, shape="circle")
    text = _Text.of(item, Language.KOREAN if korean else Language.ENGLISH, text_size(WIDTH), int(FIELD.right))
    _, top, _, bottom = font(BOLD, text.size_px).getbbox("H")
    assert bottom - top >= LEAST_HEIGHT
    assert text.height >= len(text.lines) * LEAST_HEIGHT
    return text


def scene(seed: int) -> tuple[list[Subject], list[Box], list[Segment]]:
    rng = np.random.default_rng(seed)
    largest = float(rng.choice((40, 120, 400)))
    subjects = [subject(rng, largest) for _ in range(rng.integers(1, 15))]
    corners = [(rng.uniform(0, 690), rng.uniform(0, 770)) for _ in range(rng.integers(0, 13))]
    boxes = [Box(left=x, top=y, right=x + 25, bottom=y + 25) for x, y in corners]
    ends = [(rng.uniform(0, 720), rng.uniform(0, 800)) for _ in range(2 * rng.integers(0, 5))]
    return subjects, boxes, list(zip(ends[::2], ends[1::2], strict=True))


def crosses(segment: Segment, box: Box) -> bool:
    """Liang and Barsky's clipping leaves something of the segment."""
    (x0, y0), (x1, y1) = segment
    first, last = 0.0, 1.0
    for step, low, high in ((x1 - x0, box.left - x0, box.right - x0), (y1 - y0, box.top - y0, box.bottom - y0)):
        if step == 0:
            if low > 0 or high < 0:
                return False
            continue
        near, far = sorted((low / step, high / step))
        first, last = max(first, near), min(last, far)
    return first < last


def faults(subjects: list[Subject], labels: tuple[Label, ...], boxes: list[Box], segments: list[Segment]) -> list[str]:
    found = [] if len(labels) == len(subjects) else ["not one label each"]
    found += ["two labels overlap" for one, other in combinations(labels, 2) if one.box.shared(other.box)]
    for label, about in zip(labels, subjects, strict=False):
        if not math.isclose(label.box.bottom - label.box.top, about.height):
            found.append("smaller than its text")
        if any(label.box.shared(other.covers) for other in subjects if other.covers is not None):
            found.append("covers a finding")
        if any(label.box.shared(box) for box in boxes) or any(crosses(line, label.box) for line in segments):
            found.append("covers a mark")
        if label.box.left < FIELD.left or label.box.right > FIELD.right or label.box.top < FIELD.top:
            found.append("leaves the picture")
        if (label.box.bottom > FIELD.bottom) != label.below:
            found.append("neither in the picture nor below it")
        if label.leader[1] not in about.outline:
            found.append("leads to another finding")
    return found


@pytest.mark.parametrize("seed", range(500))
def test_a_random_layout_has_no_fault(seed: int) -> None:
    subjects, boxes, segments = scene(seed)
    assert faults(subjects, place(subjects, within=FIELD, boxes=boxes, segments=segments, gap=GAP), boxes, segments) == []


def test_the_same_findings_have_the_same_layout() -> None:
    subjects, boxes, segments = scene(11)
    first, second = (place(subjects, within=FIELD, boxes=boxes, segments=segments, gap=GAP) for _ in range(2))
    assert first == second


def test_where_the_picture_has_room_labels_stand_in_it_close_to_their_findings() -> None:
    outlines = [ring((200, 200), (60, 40)), ring((500, 500), (80, 80))]
    subjects = [Subject(outline=o, covers=bounds(o), width=160, height=22) for o in outlines]
    labels = place(subjects, within=FIELD, gap=GAP)
    assert not any(label.below for label in labels)
    assert all(math.dist(*label.leader) < 60 for label in labels)


def test_where_a_finding_fills_the_picture_its_label_stands_below() -> None:
    outline = ring((360, 400), (360, 400))
    subjects = [Subject(outline=outline, covers=bounds(outline), width=300, height=22)] * 5
    labels = place(subjects, within=FIELD, gap=GAP)
    assert all(label.below for label in labels)
    assert faults(subjects, labels, [], []) == []


def test_a_leader_goes_around_another_label_where_it_can() -> None:
    outlines = [ring((360, 400), (20, 20)), ring((420, 400), (20, 20)), ring((300, 400), (20, 20))]
    subjects = [Subject(outline=o, covers=bounds(o), width=200, height=22) for o in outlines]
    labels = place(subjects, within=FIELD, gap=GAP)
    for one, other in combinations(labels, 2):
        assert not crosses(one.leader, other.box)
        assert not crosses(other.leader, one.box)


def test_a_label_wider_than_the_picture_is_refused() -> None:
    outline = ring((100, 100), (20, 20))
    with pytest.raises(ValueError, match="break its text"):
        place([Subject(outline=outline, width=721, height=22)], within=FIELD, gap=GAP)
