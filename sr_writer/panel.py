"""What the overlay says in words: a banner with the verdict across the picture, and the results beside the image."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageDraw

from domain import codes, terms
from domain.types import Evidence, Finding, FindingOutcome, Language, Measurement, ModelAnswer, Outcome
from sr_writer import wording
from sr_writer.typeset import (
    BANNER,
    BOLD,
    GREY,
    GROUND,
    ORANGE,
    REGULAR,
    RULE,
    SKY,
    VERMILLION,
    WHITE,
    YELLOW,
    Block,
    Colour,
    Mark,
    fit,
    font,
    stack,
    wrap,
)

LARGEST_TEXT = 1.25  # of the sizes given here, where the panel has room


def banner(
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
    small = fit(legal, BOLD, width_px=width * 0.24, height_px=room * 0.32)
    demonstration = any(spoken.model.clinical_status == wording.DEMONSTRATION for spoken in answer.models)
    raised = room * 0.18 if demonstration else 0
    draw.text((width - margin, middle - raised), legal, font=small, fill=WHITE, anchor="rm")
    if demonstration:
        word = terms.phrase("demonstration_short", language)
        below = fit(word, BOLD, width_px=width * 0.24, height_px=room * 0.25)
        draw.text((width - margin, middle + room * 0.22), word, font=below, fill=ORANGE, anchor="rm")
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


def results(
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
