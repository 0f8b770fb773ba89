"""The overlay as a picture: the radiograph with its lines, a banner with the verdict above, and the results beside it.

Colours are of Okabe and Ito's set for colour-blind readers, and none stands alone: the long axis is solid with bars, the
short axis dashed with diamonds, and what was not analysed is hatched. No name or number of an animal is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from domain import codes, terms
from domain.terms import Language
from domain.types import Evidence, Finding, FindingOutcome, Measurement, ModelAnswer, Outcome, Point
from sr_writer import strokes, wording
from sr_writer.typeset import BOLD, REGULAR, Block, Colour, Mark, fit, font, stack, wrap

LONGEST_SIDE = 1600  # of the radiograph, in pixels
LEAST_SIDE = 1200  # smaller ones are enlarged, or the lines would hide them
LEAST_HEIGHT = 1000  # of the panel, so that its text has room beside a low, wide image
PANEL_WIDTH = 560
BANNER_HEIGHT = 170
LARGEST_TEXT = 1.25  # of the sizes given here, where the panel has room

GROUND: Colour = (16, 18, 22)
BANNER: Colour = (30, 34, 41)
WHITE: Colour = (245, 245, 245)
GREY: Colour = (178, 184, 194)
YELLOW: Colour = (240, 228, 66)
SKY: Colour = (86, 180, 233)
ORANGE: Colour = (240, 170, 30)
VERMILLION: Colour = (255, 120, 50)
RULE: Colour = (72, 78, 90)

LAST_THORACIC = 13  # vertebrae of dogs and cats; lumbar ones follow
FIRST_COUNTED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """From source pixels to the picture's."""

    columns: float
    rows: float
    unit: float  # strokes and signs, 1.0 at a long side of 1600

    def __call__(self, point: Point) -> Point:
        return point[0] * self.columns, point[1] * self.rows


def draw_overlay(
    evidence: Evidence,
    *,
    pixels: npt.NDArray[np.float32] | None,
    language: Language,
    pixel_aspect: float = 1.0,
) -> Image.Image:
    """RGB. pixels: (rows, columns) 0..1 as displayed, None with nothing to show; pixel_aspect: height over width of one."""
    findings = [finding for answer in evidence.answer.models for finding in answer.findings]
    picture = _placeholder(language) if pixels is None else _radiograph(pixels, findings, pixel_aspect)
    height = max(picture.height, LEAST_HEIGHT)
    scale = height / 1200
    panel, banner = round(PANEL_WIDTH * max(scale, 1.0)), round(BANNER_HEIGHT * max(scale, 0.9))
    canvas = Image.new("RGB", (picture.width + panel, height + banner), GROUND)
    canvas.paste(picture, (0, banner + (height - picture.height) // 2))
    draw = ImageDraw.Draw(canvas)
    _banner(draw, evidence, findings, language, width=canvas.width, height=banner)
    box = (picture.width, banner, canvas.width, canvas.height)
    _panel(draw, evidence, language, box=box, scale=max(scale, 0.85))
    return canvas


def _radiograph(pixels: npt.NDArray[np.float32], findings: Sequence[Finding], pixel_aspect: float) -> Image.Image:
    rows, columns = pixels.shape
    width, height = float(columns), rows * pixel_aspect
    factor = min(LONGEST_SIDE, max(LEAST_SIDE, max(width, height))) / max(width, height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    # Hamming is as sharp as the others where pixels are averaged, in under half of their time
    resampling = Image.Resampling.HAMMING if factor < 1 else Image.Resampling.LANCZOS
    picture = Image.fromarray(_levels(pixels)).resize(size, resampling).convert("RGB")
    scale = _Scale(columns=size[0] / columns, rows=size[1] / rows, unit=max(size) / LONGEST_SIDE)
    for finding in findings:
        if finding.outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN):
            _lines(picture, finding, scale)
    return picture


def _levels(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """0..1 to 0..255; what is no number becomes black. In bands that stay in the processor's cache: three times as fast."""
    levels = np.empty(pixels.shape, dtype=np.uint8)
    for row in range(0, len(pixels), 64):
        band = np.fmax(pixels[row : row + 64], np.float32(0))
        np.fmin(band, np.float32(1), out=band)
        band *= np.float32(255)
        band += np.float32(0.5)
        levels[row : row + 64] = band
    return levels


def _placeholder(language: Language) -> Image.Image:
    """No picture, and words that say so: an empty black square could pass for an image."""
    picture = Image.new("RGB", (1000, 1000), (44, 47, 54))
    draw = ImageDraw.Draw(picture)
    for start in range(-1000, 1000, 90):
        draw.line([(start, 1000), (start + 1000, 0)], fill=(54, 58, 66), width=24)
    text = terms.phrase("no_image", language)
    face = fit(text, BOLD, width_px=800, height_px=56)
    draw.text((500, 500), text, font=face, fill=WHITE, anchor="mm", stroke_width=10, stroke_fill=(44, 47, 54))
    return picture


def _lines(picture: Image.Image, finding: Finding, scale: _Scale) -> None:
    axes = [measurement for measurement in finding.measurements if not wording.is_of(measurement, codes.VHS)]
    points = [scale(point) for measurement in axes for line in measurement.lines.values() for point in line]
    _vertebrae(picture, finding, scale, away_from=points)
    for shape in finding.regions:
        outline = [scale(point) for point in shape.points]
        strokes.polyline(picture, outline, colour=ORANGE, width=4 * scale.unit)
    for measurement in axes:
        for start, end in measurement.lines.values():
            _axis(picture, measurement, scale(start), scale(end), unit=scale.unit)


def _axis(picture: Image.Image, measurement: Measurement, start: Point, end: Point, *, unit: float) -> None:
    short = wording.is_of(measurement, codes.SHORT_AXIS)
    colour = SKY if short else YELLOW
    strokes.polyline(picture, [start, end], colour=colour, width=5 * unit, dash=26 * unit if short else 0)
    direction = strokes.along(start, end)
    for point in (start, end):
        _end_mark(picture, point, direction, short=short, unit=unit)
    name = terms.short_concept(measurement.concept, Language.ENGLISH)
    _label(picture, name, strokes.moved(end, direction, 46 * unit), colour=colour, size_px=44 * unit)


def _end_mark(picture: Image.Image, point: Point, direction: Point, *, short: bool, unit: float) -> None:
    if short:
        strokes.diamond(picture, point, 11 * unit, colour=SKY)
        return
    across = (-direction[1], direction[0])
    bar = [strokes.moved(point, across, -17 * unit), strokes.moved(point, across, 17 * unit)]
    strokes.polyline(picture, bar, colour=YELLOW, width=5 * unit)


def _label(picture: Image.Image, text: str, centre: Point, *, colour: Colour, size_px: float) -> None:
    strokes.label(picture, text, centre, colour=colour, size_px=max(11, round(size_px)))


def _vertebrae(picture: Image.Image, finding: Finding, scale: _Scale, *, away_from: Sequence[Point]) -> None:
    """Ticks at the counted vertebrae's cranial edges, named on the side away from the heart; where the transposed axes
    end, their marks and letters on the side of the heart."""
    edges = [scale(point) for point in wording.vertebral_edges(finding)]
    if len(edges) < 2:
        return
    unit = scale.unit
    middle = _centre(away_from) if away_from else (0.0, float(picture.height * 2))
    strokes.polyline(picture, edges, colour=WHITE, width=2.5 * unit)
    for number, edge in enumerate(edges):
        before, after = edges[max(0, number - 1)], edges[min(len(edges) - 1, number + 1)]
        outward = _outward(before, after, middle)
        tick = [strokes.moved(edge, outward, -15 * unit), strokes.moved(edge, outward, 15 * unit)]
        strokes.polyline(picture, tick, colour=WHITE, width=3.5 * unit)
    for number, (edge, following) in enumerate(pairwise(edges)):
        place = strokes.moved(_centre([edge, following]), _outward(edge, following, middle), 40 * unit)
        _label(picture, vertebra(number), place, colour=WHITE, size_px=26 * unit)
    for measurement in finding.measurements:
        if wording.is_of(measurement, codes.VHS):
            for name, (_, end) in measurement.lines.items():
                _transposed(picture, name, scale(end), edges, middle, unit=unit)


def _transposed(picture: Image.Image, name: str, end: Point, edges: Sequence[Point], middle: Point, *, unit: float) -> None:
    """Where an axis, laid on the spine from T4's cranial edge, ends."""
    short = "short" in name
    nearest = min(range(len(edges) - 1), key=lambda n: math.dist(_centre(edges[n : n + 2]), end))
    before, after = edges[nearest], edges[nearest + 1]
    _end_mark(picture, end, strokes.along(before, after), short=short, unit=unit)
    place = strokes.moved(end, _outward(before, after, middle), -44 * unit)
    _label(picture, "S" if short else "L", place, colour=SKY if short else YELLOW, size_px=36 * unit)


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


def _banner(
    draw: ImageDraw.ImageDraw,
    evidence: Evidence,
    findings: Sequence[Finding],
    language: Language,
    *,
    width: int,
    height: int,
) -> None:
    """Across the whole picture, so that a thumbnail shows it: the verdict, what it means, and that it is no diagnosis."""
    answer = evidence.answer
    silent = wording.is_silent(answer.outcome, findings)
    signal = _signal(evidence, silent)
    draw.rectangle([0, 0, width - 1, height - 1], fill=BANNER)
    band = round(height * 0.14) if silent else 0
    if silent:
        _hatch(draw, (0, 0, width - 1, band - 1), signal)
        _hatch(draw, (0, height - band, width - 1, height - 1), signal)
    margin, middle, room = round(height * 0.17), height / 2, height - 2 * band
    verdict = wording.verdict(answer.outcome, findings, language)
    large = fit(verdict, BOLD, width_px=width * 0.44, height_px=room * 0.84)
    draw.text((margin, middle), verdict, font=large, fill=signal, anchor="lm")
    legal = terms.phrase("not_a_diagnosis", language)
    small = fit(legal, BOLD, width_px=width * 0.24, height_px=room * 0.36)
    draw.text((width - margin, middle), legal, font=small, fill=WHITE, anchor="rm")
    left = 2.4 * margin + large.getlength(verdict)
    right = width - 2.4 * margin - small.getlength(legal)
    detail = wording.detail(answer, language)
    size = next(size for size in range(round(room * 0.27), 0, -1) if size < 12 or _rows(detail, size, right - left) <= 2)
    face = font(REGULAR, size)
    for number, line in enumerate(rows := wrap(detail, face, right - left)):
        draw.text((left, middle + (number - (len(rows) - 1) / 2) * size * 1.3), line, font=face, fill=WHITE, anchor="lm")


def _rows(text: str, size_px: int, width: float) -> int:
    return len(wrap(text, font(REGULAR, size_px), width))


def _signal(evidence: Evidence, silent: bool) -> Colour:
    if evidence.answer.outcome is Outcome.FAILED:
        return VERMILLION
    return ORANGE if silent else WHITE


def _hatch(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colour: Colour) -> None:
    left, top, right, bottom = box
    draw.rectangle([left, top, right, bottom], fill=GROUND)
    depth = bottom - top
    for start in range(left - depth, right, 2 * max(depth, 12)):
        step = max(depth, 12)
        draw.polygon(
            [(start, bottom), (start + step, bottom), (start + step + depth, top), (start + depth, top)], fill=colour
        )


def _panel(
    draw: ImageDraw.ImageDraw, evidence: Evidence, language: Language, *, box: tuple[int, int, int, int], scale: float
) -> None:
    margin = round(30 * scale)
    left, top, right, bottom = box
    draw.line([(left, top), (left, bottom)], fill=RULE, width=max(1, round(2 * scale)))
    inner = (left + margin, top + round(14 * scale), right - margin, bottom - margin)
    blocks = [*_results(evidence, language), *_basis(evidence, language)]
    stack(draw, blocks, _legal(evidence, language), box=inner, scale=scale * LARGEST_TEXT)


def _results(evidence: Evidence, language: Language) -> list[Block]:
    answer = evidence.answer
    if answer.outcome is not Outcome.ANALYSED:
        reason = terms.reason(answer.reason, language) if answer.reason is not None else ""
        return [
            Block(text=reason or terms.outcome(answer.outcome, language), size_px=34, colour=WHITE, bold=True),
            Block(text=terms.phrase("nothing_concluded", language), size_px=28, colour=ORANGE, gap_before_px=14),
        ]
    blocks: list[Block] = []
    for spoken in answer.models:
        blocks += _of_model(spoken, language)
    if wording.is_silent(answer.outcome, [f for spoken in answer.models for f in spoken.findings]):
        text = terms.phrase("nothing_concluded", language)
        blocks.append(Block(text=text, size_px=28, colour=ORANGE, gap_before_px=14))
    return blocks


def _of_model(spoken: ModelAnswer, language: Language) -> list[Block]:
    if spoken.outcome is not Outcome.ANALYSED:
        said = f"{wording.model(spoken.model)}: {wording.unanswered(spoken.outcome, spoken.reason, language)}"
        return [Block(text=said, size_px=28, colour=ORANGE)]
    blocks: list[Block] = []
    for finding in spoken.findings:
        if not wording.is_measured(finding):
            blocks += _unmeasured(finding, language)
            continue
        for measurement in finding.measurements:
            blocks += _measured(measurement, language)
    return blocks


def _unmeasured(finding: Finding, language: Language) -> list[Block]:
    assessed = finding.outcome is not FindingOutcome.NOT_ASSESSABLE
    blocks = [
        Block(text=terms.concept(finding.concept, language), size_px=25, colour=GREY, gap_before_px=14),
        Block(
            text=wording.outcome(finding, language),
            size_px=34,
            colour=WHITE if assessed else ORANGE,
            bold=True,
            gap_before_px=0,
        ),
    ]
    if finding.reason is not None:
        blocks.append(Block(text=terms.reason(finding.reason, language), size_px=27, colour=WHITE, gap_before_px=2))
    return blocks


def _measured(measurement: Measurement, language: Language) -> list[Block]:
    indent = 72
    name, number = terms.concept(measurement.concept, language), wording.number(measurement, language)
    blocks = [
        Block(text=name, size_px=25, colour=GREY, indent_px=indent, gap_before_px=14, mark=_swatch(measurement)),
        Block(text=number, size_px=42, colour=WHITE, bold=True, indent_px=indent, gap_before_px=0),
    ]
    if measurement.interval is not None:
        where = wording.position(measurement, language)
        blocks.append(Block(text=where, size_px=27, colour=WHITE, bold=True, indent_px=indent, gap_before_px=0))
        whose = wording.reference(measurement, language, source=True)
        blocks.append(Block(text=whose, size_px=21, colour=GREY, indent_px=indent, gap_before_px=2))
    elif measurement.spacing_source is not None:
        meaning = terms.source(measurement.spacing_source, language)
        blocks.append(Block(text=meaning, size_px=21, colour=GREY, indent_px=indent, gap_before_px=0))
    return blocks


def _swatch(measurement: Measurement) -> Mark:
    """The line as it is drawn in the image: solid with bars, dashed with diamonds, or the ruler."""

    def paint(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], scale: float) -> None:
        left, top, right, bottom = box
        width, reach = max(2, round(4 * scale)), 9 * scale
        middle, left, right = (top + bottom) / 2, left + reach, right - 24 * scale
        if wording.is_of(measurement, codes.SHORT_AXIS):
            third = (right - left) / 3
            for start in (left, left + 2 * third):
                draw.line([(start, middle), (start + third, middle)], fill=SKY, width=width)
            for x in (left, right):
                draw.polygon([(x, middle - reach), (x + reach, middle), (x, middle + reach), (x - reach, middle)], fill=SKY)
        elif wording.is_of(measurement, codes.VHS):
            draw.line([(left, middle), (right, middle)], fill=WHITE, width=max(1, width // 2))
            for part in range(5):
                x = left + (right - left) * part / 4
                draw.line([(x, middle - reach), (x, middle + reach)], fill=WHITE, width=max(1, width // 2))
        else:
            draw.line([(left, middle), (right, middle)], fill=YELLOW, width=width)
            for x in (left, right):
                draw.line([(x, middle - reach), (x, middle + reach)], fill=YELLOW, width=width)

    return paint


def _basis(evidence: Evidence, language: Language) -> list[Block]:
    answer = evidence.answer
    facts = []
    looked_for = wording.looked_for([f for spoken in answer.models for f in spoken.findings], language)
    if looked_for:
        facts.append(looked_for)
    facts.append(f"{terms.phrase('species', language)}: {wording.fact(answer.species, answer.species_source, language)}")
    facts.append(f"{terms.phrase('region', language)}: {wording.fact(answer.region, answer.region_source, language)}")
    facts.append(f"{terms.phrase('view', language)}: {wording.fact(answer.view, answer.view_source, language)}")
    return [
        Block(text=fact, size_px=25, colour=GREY, gap_before_px=26 if number == 0 else 4)
        for number, fact in enumerate(facts)
    ]


def _legal(evidence: Evidence, language: Language) -> list[Block]:
    blocks = []
    for number, spoken in enumerate(evidence.answer.models):
        model = f"{terms.phrase('model', language)}: {wording.model(spoken.model)}"
        blocks.append(Block(text=model, size_px=25, colour=GREY, gap_before_px=26 if number == 0 else 4))
    for status in dict.fromkeys(wording.status(spoken.model, language) for spoken in evidence.answer.models):
        blocks.append(Block(text=status, size_px=26, colour=ORANGE, bold=True, gap_before_px=4))
    return [
        *blocks,
        Block(text=terms.phrase("not_a_diagnosis", language), size_px=30, colour=WHITE, bold=True, gap_before_px=22),
        Block(text=terms.phrase("unsigned", language), size_px=24, colour=WHITE, gap_before_px=2),
        Block(text="HOUNDSFIELD", size_px=24, colour=GREY, bold=True, gap_before_px=18),
    ]
