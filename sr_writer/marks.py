"""What is drawn on a radiograph: the findings' outlines, the measured lines, the counted vertebrae, and a label for each
finding that has a place in the image.

Colours are of Okabe and Ito's set for colour-blind readers, and none stands alone: each finding has a number and a shape,
an uncertain one is dashed, the long axis is solid with bars and the short axis dashed with diamonds. A finding is outlined
and never filled: what the reader wants to see lies within.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from PIL import Image, ImageDraw

from domain import codes, terms
from domain.types import Finding, FindingOutcome, Language, Measurement, Point, Shape
from sr_writer import labels, strokes, wording
from sr_writer.labels import Box, Segment, Subject
from sr_writer.typeset import (
    BOLD,
    GREEN,
    GROUND,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    WHITE,
    YELLOW,
    Colour,
    font,
    wrap,
)

LAST_THORACIC = 13  # vertebrae of dogs and cats; lumbar ones follow
FIRST_COUNTED = 4
NAMED_FROM = 0.7  # smaller pictures do without the names of vertebrae and axes

COLOURS = (ORANGE, SKY, GREEN, PURPLE, YELLOW, VERMILLION)
CAPITAL = 0.72  # height of a capital letter in ems of the bundled font
LEAST_CAPITAL = 0.014  # of the picture's width: 14 pixels in 1000
LABEL_SHARE = 0.45  # of the radiograph's width is the most that a line of a label takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """A finding with the number, colour and shape that it has in the image and in the results beside it.

    number: None where there is only one.
    """

    finding: Finding
    number: int | None
    colour: Colour
    shape: str

    @property
    def is_drawn(self) -> bool:
        """Positive and with a place in the image."""
        positive = self.finding.outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN)
        return positive and bool(self.finding.regions or any(m.lines for m in self.finding.measurements))


@dataclass(slots=True, kw_only=True)
class _Kept:
    """What labels must leave visible."""

    boxes: list[Box] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    findings: list[Box] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From source pixels to the picture's."""

    columns: float
    rows: float
    unit: float  # strokes and signs, 1.0 at a long side of 1600
    offset: Point = (0.0, 0.0)

    def __call__(self, point: Point) -> Point:
        return self.offset[0] + point[0] * self.columns, self.offset[1] + point[1] * self.rows


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """Abnormal first: present and outside of a reference interval, uncertain, measured, not assessable, not seen."""

    def rank(finding: Finding) -> tuple[int, float]:
        if finding.outcome is FindingOutcome.PRESENT:
            intervals = [(m.interval, wording.shown(m.value)) for m in finding.measurements if m.interval is not None]
            usual = bool(finding.measurements) and all(i.low <= value <= i.high for i, value in intervals)
            first = 2 if usual else 0
        else:
            first = {FindingOutcome.UNCERTAIN: 1, FindingOutcome.NOT_ASSESSABLE: 3}.get(finding.outcome, 4)
        return first, -(finding.probability or 0.0)

    return sorted(findings, key=rank)


def numbered(findings: Sequence[Finding]) -> tuple[Numbered, ...]:
    """In the order of `ordered`."""
    shapes = tuple(strokes.SHAPES)
    return tuple(
        Numbered(
            finding=finding,
            number=position + 1 if len(findings) > 1 else None,
            colour=WHITE if finding.measurements else COLOURS[position % len(COLOURS)],
            shape=shapes[position % len(shapes)],
        )
        for position, finding in enumerate(ordered(findings))
    )


def text_size(width_px: float) -> int:
    """Of labels in a picture of that width."""
    return math.ceil(width_px * LEAST_CAPITAL / CAPITAL)


def draw(
    picture: Image.Image,
    findings: Sequence[Numbered],
    scale: Scale,
    *,
    language: Language,
    text_px: int,
    spared: Sequence[Box] = (),
) -> Image.Image:
    """The picture with its marks and labels, lengthened below where labels found no place in it. spared: parts of the
    radiograph, in its own pixels, that no label may cover."""
    shown = [item for item in findings if item.is_drawn]
    corners = [(scale((box.left, box.top)), scale((box.right, box.bottom))) for box in spared]
    kept = _Kept(boxes=[labels.bounds(pair) for pair in corners])
    rings = [ring for item in shown for shape in item.finding.regions for ring in outlines(shape)]
    kept.findings += [labels.bounds([scale(point) for point in ring]) for ring in rings]
    for item in shown:
        _lines(picture, item, scale, kept, language)
    return _labels(picture, shown, scale, kept, language=language, text_px=text_px)


def outlines(shape: Shape) -> list[list[Point]]:
    """A graphic of PS3.3 C.18.6.1.2 as closed lines; points come as lists of one."""
    points = list(shape.points)
    if shape.graphic_type in ("POINT", "MULTIPOINT"):
        return [[point] for point in points]
    turns = [2 * math.pi * n / 64 for n in range(65)]
    if shape.graphic_type == "CIRCLE" and len(points) == 2:
        radius = math.dist(points[0], points[1])
        return [[(points[0][0] + radius * math.cos(t), points[0][1] + radius * math.sin(t)) for t in turns]]
    if shape.graphic_type == "ELLIPSE" and len(points) == 4:
        centre = _centre(points[:2])
        major, minor = ((p[0] - centre[0], p[1] - centre[1]) for p in (points[1], points[3]))
        return [
            [
                (
                    centre[0] + major[0] * math.cos(t) + minor[0] * math.sin(t),
                    centre[1] + major[1] * math.cos(t) + minor[1] * math.sin(t),
                )
                for t in turns
            ]
        ]
    return [[*points, points[0]]] if points and points[0] != points[-1] else [points]


def _labels(
    picture: Image.Image,
    shown: Sequence[Numbered],
    scale: Scale,
    kept: _Kept,
    *,
    language: Language,
    text_px: int,
) -> Image.Image:
    texts = [_Text.of(item, language, text_px, picture.width) for item in shown]
    subjects = [_subject(item, text, scale) for item, text in zip(shown, texts, strict=True)]
    field_box = Box(left=0, top=0, right=picture.width, bottom=picture.height)
    gap = max(4.0, text_px * 0.28)
    placed = labels.place(subjects, within=field_box, boxes=kept.boxes, segments=kept.segments, gap=gap)
    bottom = max((math.ceil(label.box.bottom + gap) for label in placed if label.below), default=picture.height)
    if bottom > picture.height:
        longer = Image.new("RGB", (picture.width, bottom), GROUND)
        longer.paste(picture)
        picture = longer
    for item, label in zip(shown, placed, strict=True):
        strokes.polyline(picture, label.leader, colour=item.colour, width=2.5 * scale.unit)
        if not item.finding.measurements:  # measured lines have signs of their own at their ends
            strokes.emblem(picture, item.shape, label.leader[1], 8 * scale.unit, colour=item.colour)
    for item, text, label in zip(shown, texts, placed, strict=True):
        text.draw(picture, item, label.box)
    return picture


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """A label's lines and size: a plate with the finding's number and words."""

    lines: tuple[str, ...]
    size_px: int
    width: float
    height: float

    @classmethod
    def of(cls, item: Numbered, language: Language, size_px: int, room: int) -> _Text:
        face = font(BOLD, size_px)
        badge = 1.5 * size_px if item.number is not None else 0.0
        said = wording.brief(item.finding, language)
        spare = room - badge - size_px
        widest = max(face.getlength(word) for word in said.split(" "))
        lines = wrap(said, face, min(spare, max(room * LABEL_SHARE - badge - size_px, widest + 1)))
        width = math.ceil(max(face.getlength(line) for line in lines) + 0.7 * size_px + badge)
        height = math.ceil(len(lines) * 1.2 * size_px + 0.3 * size_px)
        return cls(lines=tuple(lines), size_px=size_px, width=min(width, room), height=height)

    def draw(self, picture: Image.Image, item: Numbered, box: Box) -> None:
        brush, face, size = ImageDraw.Draw(picture), font(BOLD, self.size_px), self.size_px
        corners = [round(box.left), round(box.top), round(box.right) - 1, round(box.bottom) - 1]
        brush.rounded_rectangle(
            corners, radius=size * 0.2, fill=GROUND, outline=item.colour, width=max(1, round(size * 0.06))
        )
        left = box.left + 0.35 * size
        if item.number is not None:
            badge(picture, item, (left + 0.55 * size, (box.top + box.bottom) / 2), 0.6 * size)
            left += 1.5 * size
        for number, line in enumerate(self.lines):
            middle = box.top + 0.15 * size + (number + 0.5) * 1.2 * size
            brush.text((left, middle), line, font=face, fill=WHITE, anchor="lm")


def badge(picture: Image.Image, item: Numbered, centre: Point, radius: float) -> None:
    """The finding's number in its shape; hollow unless the finding is present."""
    hollow = item.finding.outcome is not FindingOutcome.PRESENT
    strokes.emblem(picture, item.shape, centre, radius, colour=item.colour, hollow=hollow)
    face = font(BOLD, max(8, round(radius * (1.15 if (item.number or 0) < 10 else 0.9))))
    lowered = radius * 0.12 if item.shape == "triangle" else 0
    ImageDraw.Draw(picture).text(
        (centre[0], centre[1] + lowered), str(item.number), font=face, fill=item.colour if hollow else GROUND, anchor="mm"
    )


def _subject(item: Numbered, text: _Text, scale: Scale) -> Subject:
    finding = item.finding
    rings = [[scale(point) for point in ring] for shape in finding.regions for ring in outlines(shape)]
    lines = [
        [scale(start), scale(end)]
        for measurement in finding.measurements
        for start, end in measurement.lines.values()
        if not wording.is_of(measurement, codes.VHS)
    ]
    drawn = rings or lines or [[scale(p) for p in line] for m in finding.measurements for line in m.lines.values()]
    extent = labels.bounds([point for ring in drawn for point in ring]).grown(8 * scale.unit)
    step = 24 * scale.unit
    outline = tuple(point for ring in drawn for point in _sampled(ring, step))
    return Subject(outline=outline, covers=extent, width=text.width, height=text.height)


def _sampled(line: Sequence[Point], step: float) -> list[Point]:
    points = [line[0]]
    for start, end in pairwise(line):
        count = min(60, max(1, round(math.dist(start, end) / step)))
        direction, length = strokes.along(start, end), math.dist(start, end)
        points += [strokes.moved(start, direction, length * n / count) for n in range(1, count + 1)]
    return points


def _lines(picture: Image.Image, item: Numbered, scale: Scale, kept: _Kept, language: Language) -> None:
    finding = item.finding
    axes = [measurement for measurement in finding.measurements if not wording.is_of(measurement, codes.VHS)]
    points = [scale(point) for measurement in axes for line in measurement.lines.values() for point in line]
    _vertebrae(picture, finding, scale, kept, language, away_from=points)
    dash = 18 * scale.unit if finding.outcome is FindingOutcome.UNCERTAIN else 0.0
    for shape in finding.regions:
        for ring in outlines(shape):
            outline = [scale(point) for point in ring]
            if len(outline) == 1:
                strokes.emblem(picture, item.shape, outline[0], 12 * scale.unit, colour=item.colour, hollow=True)
            else:
                strokes.polyline(picture, outline, colour=item.colour, width=4 * scale.unit, dash=dash)
    for measurement in axes:
        for start, end in measurement.lines.values():
            _axis(picture, measurement, (scale(start), scale(end)), kept, language, unit=scale.unit)


def _axis(
    picture: Image.Image, measurement: Measurement, line: Segment, kept: _Kept, language: Language, *, unit: float
) -> None:
    start, end = line
    short = wording.is_of(measurement, codes.SHORT_AXIS)
    colour = SKY if short else YELLOW
    strokes.polyline(picture, [start, end], colour=colour, width=5 * unit, dash=26 * unit if short else 0)
    kept.segments.append((start, end))
    direction = strokes.along(start, end)
    for point in (start, end):
        _end_mark(picture, point, direction, kept, short=short, unit=unit)
    if unit >= NAMED_FROM and (short or wording.is_of(measurement, codes.LONG_AXIS)):
        # In full: a letter alone on a radiograph is a side marker, and "LA" a left atrium.
        name = terms.short_concept(measurement.concept, language)
        _word(picture, name, line, kept, colour=colour, size_px=34 * unit)


def _end_mark(picture: Image.Image, point: Point, direction: Point, kept: _Kept, *, short: bool, unit: float) -> None:
    reach = (11 if short else 17) * unit
    kept.boxes.append(labels.bounds([point]).grown(reach))
    if short:
        strokes.diamond(picture, point, reach, colour=SKY)
        return
    across = (-direction[1], direction[0])
    bar = [strokes.moved(point, across, -reach), strokes.moved(point, across, reach)]
    strokes.polyline(picture, bar, colour=YELLOW, width=5 * unit)


def _word(picture: Image.Image, text: str, line: Segment, kept: _Kept, *, colour: Colour, size_px: float) -> None:
    """Beyond the end of a line that has fewer findings beside it: farther off where the line runs along the word than where
    it runs across."""
    half = font(BOLD, max(11, round(size_px))).getlength(text) / 2

    def beyond(start: Point, end: Point) -> Box:
        direction = strokes.along(start, end)
        x, y = strokes.moved(end, direction, 0.9 * size_px + abs(direction[0]) * half)
        return Box(left=x - half, top=y - size_px / 2, right=x + half, bottom=y + size_px / 2)

    places = beyond(*line), beyond(*reversed(line))
    place = min(places, key=lambda box: sum(box.shared(other) for other in kept.findings))
    centre = (place.left + place.right) / 2, (place.top + place.bottom) / 2
    _letter(picture, text, centre, kept, colour=colour, size_px=size_px)


def _letter(picture: Image.Image, text: str, centre: Point, kept: _Kept, *, colour: Colour, size_px: float) -> None:
    left, top, right, bottom = strokes.label(picture, text, centre, colour=colour, size_px=max(11, round(size_px)))
    kept.boxes.append(Box(left=left, top=top, right=right, bottom=bottom))


def _vertebrae(
    picture: Image.Image,
    finding: Finding,
    scale: Scale,
    kept: _Kept,
    language: Language,
    *,
    away_from: Sequence[Point],
) -> None:
    """Ticks at the counted vertebrae's cranial edges, named on the side away from the heart; where the transposed axes
    end, their marks and their counts on the side of the heart."""
    edges = [scale(point) for point in wording.vertebral_edges(finding)]
    if len(edges) < 2:
        return
    unit = scale.unit
    middle = _centre(away_from) if away_from else (0.0, float(picture.height * 2))
    strokes.polyline(picture, edges, colour=WHITE, width=2.5 * unit)
    kept.segments += list(pairwise(edges))
    for number, edge in enumerate(edges):
        before, after = edges[max(0, number - 1)], edges[min(len(edges) - 1, number + 1)]
        outward = _outward(before, after, middle)
        tick = (strokes.moved(edge, outward, -15 * unit), strokes.moved(edge, outward, 15 * unit))
        strokes.polyline(picture, tick, colour=WHITE, width=3.5 * unit)
        kept.segments.append(tick)
    for number, (edge, following) in enumerate(pairwise(edges) if unit >= NAMED_FROM else ()):
        place = strokes.moved(_centre([edge, following]), _outward(edge, following, middle), 40 * unit)
        _letter(picture, vertebra(number), place, kept, colour=WHITE, size_px=26 * unit)
    for measurement in finding.measurements:
        if wording.is_of(measurement, codes.VHS):
            ends = {name: scale(end) for name, (_, end) in measurement.lines.items()}
            counts = wording.axes_in_vertebrae(finding)
            said = {
                is_short: wording.vertebrae(counts[axis.value], language)
                for is_short, axis in ((False, codes.LONG_AXIS), (True, codes.SHORT_AXIS))
                if axis.value in counts
            }
            _transposed(picture, ends, edges, middle, kept, said=said, unit=unit)


def _transposed(
    picture: Image.Image,
    ends: Mapping[str, Point],
    edges: Sequence[Point],
    middle: Point,
    kept: _Kept,
    *,
    said: Mapping[bool, str],
    unit: float,
) -> None:
    """Where the axes, laid on the spine from T4's cranial edge, end: by name of the line. said: what stands there, of the
    long (False) and the short axis; both keep apart."""
    nearest = 0.0
    for name, end in sorted(ends.items(), key=lambda item: math.dist(edges[0], item[1])):
        short = "short" in name
        before, after = min(pairwise(edges), key=lambda pair: math.dist(_centre(pair), end))
        direction = strokes.along(before, after)
        _end_mark(picture, end, direction, kept, short=short, unit=unit)
        reach = math.dist(edges[0], end)
        aside = max(0.0, nearest + 84 * unit - reach)
        nearest = reach + aside
        place = strokes.moved(strokes.moved(end, _outward(before, after, middle), -44 * unit), direction, aside)
        if short in said:
            _letter(picture, said[short], place, kept, colour=SKY if short else YELLOW, size_px=30 * unit)


def _centre(points: Sequence[Point]) -> Point:
    return sum(p[0] for p in points) / len(points), sum(p[1] for p in points) / len(points)


def vertebra(number: int) -> str:
    """The name of a counted vertebra, 0 for T4."""
    thoracic = FIRST_COUNTED + number
    return f"T{thoracic}" if thoracic <= LAST_THORACIC else f"L{thoracic - LAST_THORACIC}"


def _outward(before: Point, after: Point, middle: Point) -> Point:
    direction = strokes.along(before, after)
    across = (-direction[1], direction[0])
    toward = (middle[0] - before[0]) * across[0] + (middle[1] - before[1]) * across[1]
    return (-across[0], -across[1]) if toward > 0 else across
