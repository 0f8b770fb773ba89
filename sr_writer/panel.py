"""What the overlay says in words: a banner with the verdict across the picture, and the results beside the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from domain import codes, terms
from domain.types import Evidence, Finding, FindingOutcome, ImageAnswer, Language, Measurement, ModelAnswer, Outcome
from sr_writer import image_words, marks, wording
from sr_writer.header import Header
from sr_writer.marks import Numbered
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
    column_height,
    fit,
    stack,
)

LARGEST_TEXT = 1.25  # of the sizes given here, where the panel has room
COMFORTABLE_TEXT = 1.0  # below it the picture rather becomes longer than its text smaller
LONGEST = 3200  # pixels that a panel may ask for; beyond them its text becomes smaller after all
VERDICT_SHARE = 0.68  # of the banner's width
INDENT = 72  # room for a mark beside a result
NUMBER_INDENT = 58


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """A banner's words.

    verdicts: the same in fewer and fewer words, of which the first that can be read is shown, each with what it leaves to
    the line below it. notes: what stands in that line whatever the verdict is. striped: something was not assessed.
    """

    verdicts: tuple[tuple[str, tuple[str, ...]], ...]
    notes: tuple[str, ...]
    signal: Colour
    striped: bool
    demonstration: bool


def headline(answers: Sequence[ImageAnswer], language: Language) -> Headline:
    """Of one image, or of all images of a study."""
    analysed = [answer for answer in answers if answer.outcome is Outcome.ANALYSED]
    failed = not analysed and any(answer.outcome is Outcome.FAILED for answer in answers)
    outcome = Outcome.ANALYSED if analysed else Outcome.FAILED if failed else Outcome.DECLINED
    spoken = [model for answer in answers for model in answer.models]
    findings = marks.ordered([finding for model in spoken for finding in model.findings])
    silent = wording.is_silent(outcome, findings)
    unclear = sum(finding.outcome is FindingOutcome.NOT_ASSESSABLE for finding in findings)
    positive = [f for f in findings if f.outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN)]
    notes = list(dict.fromkeys(_broken(answer, language) for answer in analysed))
    for result, name in ((Outcome.FAILED, "incomplete"), (Outcome.DECLINED, "not_analysed")):
        count = sum(answer.outcome is result for answer in answers)
        if analysed and count:
            notes.append(terms.phrase(name, language).format(count=count, total=len(answers)))
    if silent or (len(positive) == 1 and positive[0].measurements):
        notes += dict.fromkeys(wording.detail(answer, language) for answer in analysed or answers)
    elif len(positive) > 1:
        notes += dict.fromkeys(_outside(finding, model, language) for model in spoken for finding in model.findings)
    demonstration = any(model.model.clinical_status == wording.DEMONSTRATION for model in spoken)
    if demonstration and not positive and not silent:  # "none of 6 findings seen" would pass for a clean bill of health
        notes.append(terms.phrase("unvalidated", language))
    if unclear and not silent:
        notes.append(terms.phrase("also_not_assessable", language).format(count=unclear))
    lacking = failed or any(_broken(answer, language) or answer.outcome is Outcome.FAILED for answer in answers)
    return Headline(
        verdicts=verdicts(outcome, findings, language),
        notes=tuple(note for note in notes if note),
        signal=VERMILLION if failed else ORANGE if silent or lacking else WHITE,
        striped=silent or lacking or len(analysed) < len(answers),
        demonstration=demonstration,
    )


def _broken(answer: ImageAnswer, language: Language) -> str:
    """The models that broke on an image that others answered; empty for none."""
    failed = [spoken for spoken in answer.models if spoken.outcome is Outcome.FAILED]
    return ", ".join(f"{wording.model(spoken.model)}: {terms.outcome(Outcome.FAILED, language)}" for spoken in failed)


def _outside(finding: Finding, spoken: ModelAnswer, language: Language) -> str:
    """Where a number lies that is not within its interval; empty where nobody has validated it."""
    if not (wording.is_measured(finding) and wording.is_validated(finding, spoken.model)):
        return ""
    leading = finding.measurements[0]
    if wording.lies(leading) in (None, "within"):
        return ""
    return f"{wording.brief(finding, language)}: {wording.standing(leading, language, validated=True)}"


def verdicts(outcome: Outcome, findings: Sequence[Finding], language: Language) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """From all that was found to the first of it and a count of the rest; for several that were not seen their number."""
    positive = [f for f in findings if f.outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN)]
    negative = len({finding.concept.value for finding in findings if finding.outcome is FindingOutcome.ABSENT})
    if outcome is Outcome.ANALYSED and len(positive) > 1:
        said = tuple(dict.fromkeys(wording.sided(finding, language) for finding in positive))
        cut = ((" · ".join(said[:count]) + f" +{len(said) - count}", said[count:]) for count in range(len(said) - 1, 0, -1))
        return ((" · ".join(said), ()), *cut)
    if outcome is Outcome.ANALYSED and not positive and negative > 1:
        return ((terms.phrase("count_not_seen", language).format(count=negative), ()),)
    return ((wording.verdict(outcome, findings, language), ()),)


def banner(picture: Image.Image, said: Headline, language: Language, *, height: int) -> None:
    """Across the whole picture, so that a thumbnail shows it: the verdict, what it means, and that it is no diagnosis."""
    draw, width = ImageDraw.Draw(picture), picture.width
    draw.rectangle([0, 0, width - 1, height - 1], fill=BANNER)
    band = round(height * 0.12) if said.striped else 0
    if said.striped:
        colour = ORANGE if said.signal == WHITE else said.signal
        _hatch(draw, (0, 0, width - 1, band - 1), colour)
        _hatch(draw, (0, height - band, width - 1, height - 1), colour)
    margin, room = round(height * 0.14), height - 2 * band
    detailed = bool(said.notes) or len(said.verdicts) > 1
    tall = room * (0.6 if detailed else 0.8)
    # a verdict that only fits in small type gives way to a shorter one
    fitted = [(*said_so, fit(said_so[0], BOLD, width_px=width * VERDICT_SHARE, height_px=tall)) for said_so in said.verdicts]
    verdict, left, large = next((one for one in fitted if one[2].size >= 0.75 * tall), fitted[-1])
    draw.text((margin, band + room * (0.36 if detailed else 0.5)), verdict, font=large, fill=said.signal, anchor="lm")
    lines = [
        " · ".join([*said.notes, *left[:count], *(["…"] if count < len(left) else [])]) for count in range(len(left), -1, -1)
    ]
    faces = [(line, fit(line, REGULAR, width_px=width * VERDICT_SHARE, height_px=room * 0.24)) for line in lines]
    detail, face = next((one for one in faces if one[1].size >= room * 0.17), faces[-1])
    draw.text((margin, band + room * 0.82), detail, font=face, fill=WHITE, anchor="lm")
    legal = terms.phrase("not_a_diagnosis", language)
    small = fit(legal, BOLD, width_px=width * 0.26, height_px=room * 0.26)
    middle = band + room * (0.36 if said.demonstration else 0.5)
    draw.text((width - margin, middle), legal, font=small, fill=WHITE, anchor="rm")
    if said.demonstration:
        word = terms.phrase("demonstration_short", language)
        below = fit(word, BOLD, width_px=width * 0.26, height_px=room * 0.22)
        draw.text((width - margin, band + room * 0.7), word, font=below, fill=ORANGE, anchor="rm")


def _hatch(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colour: Colour) -> None:
    left, top, right, bottom = box
    draw.rectangle([left, top, right, bottom], fill=GROUND)
    depth = bottom - top
    for start in range(left - depth, right, 2 * max(depth, 12)):
        step = max(depth, 12)
        draw.polygon(
            [(start, bottom), (start + step, bottom), (start + step + depth, top), (start + depth, top)], fill=colour
        )


def of_image(
    evidence: Evidence, items: Sequence[Numbered], language: Language, *, header: Header
) -> tuple[list[Block], list[Block]]:
    """The results of one image, and what stands at the panel's foot."""
    blocks = [*_results(evidence, items, language), *_basis(evidence, header, language)]
    return blocks, legal(list(evidence.answer.models), language)


def height(blocks: Sequence[Block], footer: Sequence[Block], width: int, scale: float) -> int:
    """Of a panel of that width whose text is easy to read."""
    left, top, right, bottom = _inner((0, 0, width, 0), scale)
    return min(LONGEST, column_height([*blocks, *footer], right - left, scale * COMFORTABLE_TEXT) + top - bottom)


def draw(
    picture: Image.Image,
    blocks: Sequence[Block],
    footer: Sequence[Block],
    *,
    box: tuple[int, int, int, int],
    scale: float,
) -> None:
    left, top, _, bottom = box
    rule = max(1, round(2 * scale))  # on the panel: the image beside it keeps its last column
    ImageDraw.Draw(picture).rectangle([left, top, left + rule - 1, bottom], fill=RULE)
    stack(picture, blocks, footer, box=_inner(box, scale), scale=scale * LARGEST_TEXT)


def _inner(box: tuple[int, int, int, int], scale: float) -> tuple[int, int, int, int]:
    margin = round(30 * scale)
    left, top, right, bottom = box
    return left + margin, top + round(14 * scale), right - margin, bottom - margin


def _results(evidence: Evidence, items: Sequence[Numbered], language: Language) -> list[Block]:
    blocks = answered(evidence.answer, items, language)
    negative = (FindingOutcome.ABSENT, FindingOutcome.NOT_ASSESSABLE)
    if wording.is_silent(evidence.answer.outcome, [item.finding for item in items]):
        text = terms.phrase("nothing_concluded", language)
        blocks.append(Block(text=text, size_px=28, colour=ORANGE, gap_before_px=14))
    elif all(item.finding.outcome in negative for item in items):
        blocks.append(Block(text=terms.phrase("open", language), size_px=25, colour=WHITE, gap_before_px=18))
    return blocks


def answered(answer: ImageAnswer, items: Sequence[Numbered], language: Language) -> list[Block]:
    """What became of one image: its findings, or why there are none."""
    if answer.outcome is not Outcome.ANALYSED:
        reason = terms.reason(answer.reason, language) if answer.reason is not None else ""
        return [Block(text=reason or terms.outcome(answer.outcome, language), size_px=34, colour=WHITE, bold=True)]
    return [
        *(block for spoken in answer.models for block in unanswered(spoken, language)),
        *findings(items, language, doubted=_doubted(answer)),
    ]


def unanswered(spoken: ModelAnswer, language: Language) -> list[Block]:
    """Why a model gave no findings; nothing for one that did."""
    if spoken.outcome is Outcome.ANALYSED:
        return []
    said = f"{wording.model(spoken.model)}: {wording.unanswered(spoken.outcome, spoken.reason, language)}"
    return [Block(text=said, size_px=28, colour=ORANGE)]


def _doubted(answer: ImageAnswer) -> list[Finding]:
    """Whose numbers nobody has validated."""
    return [f for spoken in answer.models for f in spoken.findings if not wording.is_validated(f, spoken.model)]


def findings(items: Sequence[Numbered], language: Language, *, doubted: Sequence[Finding]) -> list[Block]:
    """In their order, abnormal first; what was not seen is one paragraph where it stands beside other answers."""
    blocks: list[Block] = []
    negative = [item.finding for item in items if item.finding.outcome is FindingOutcome.ABSENT]
    listed = len(negative) == len(items)
    if listed and len(items) > 1:
        text = f"{terms.phrase('looked_for', language)} ({len(items)})"
        blocks.append(Block(text=text, size_px=31, colour=WHITE, bold=True, gap_before_px=12))
    for item in items:
        if wording.is_measured(item.finding):
            if item.number is not None:
                blocks.append(_named(item, terms.concept(item.finding.concept, language), gap_px=20))
            validated = not any(item.finding is finding for finding in doubted)
            vertebrae = wording.axes_in_vertebrae(item.finding)
            for measurement in item.finding.measurements:
                named = item.number is not None and measurement.concept.value == item.finding.concept.value
                count = vertebrae.get(measurement.concept.value)
                blocks += _measured(measurement, language, named=named, validated=validated, vertebrae=count)
        elif item.finding.outcome is not FindingOutcome.ABSENT or len(items) == 1:
            blocks += _unmeasured(item, language)
        elif listed:
            name = terms.concept(item.finding.concept, language)
            blocks.append(Block(text=f"{name}: {wording.outcome(item.finding, language)}", size_px=29, colour=WHITE))
    if negative and not listed:
        names = ", ".join(dict.fromkeys(terms.concept(finding.concept, language) for finding in negative))
        text = f"{terms.phrase('not_seen', language).capitalize()}: {names}"
        blocks.append(Block(text=text, size_px=26, colour=WHITE, gap_before_px=24))
    return blocks


def _named(item: Numbered, name: str, *, gap_px: int) -> Block:
    def paint(picture: Image.Image, box: tuple[float, float, float, float], scale: float) -> None:
        left, top, _, bottom = box
        marks.badge(picture, item, (left + 20 * scale, (top + bottom) / 2), 19 * scale)

    return Block(text=name, size_px=31, colour=WHITE, bold=True, indent_px=NUMBER_INDENT, gap_before_px=gap_px, mark=paint)


def _unmeasured(item: Numbered, language: Language) -> list[Block]:
    finding, name = item.finding, terms.concept(item.finding.concept, language)
    assessed = finding.outcome is not FindingOutcome.NOT_ASSESSABLE
    indent = NUMBER_INDENT if item.number is not None else 0
    severity = terms.concept(finding.severity, language) if finding.severity is not None else ""
    said = ", ".join(filter(None, [wording.outcome(finding, language), severity, wording.place(finding, language)]))
    colour = WHITE if assessed else ORANGE
    if item.number is None:
        blocks = [
            Block(text=name, size_px=25, colour=GREY, gap_before_px=14),
            Block(text=said, size_px=34, colour=colour, bold=True, gap_before_px=0),
        ]
    else:
        sure = finding.outcome is FindingOutcome.PRESENT
        blocks = [
            _named(item, name, gap_px=16),
            Block(text=said, size_px=28, colour=colour, bold=sure, gap_before_px=0, indent_px=indent),
        ]
    if finding.reason is not None:
        text = terms.reason(finding.reason, language)
        blocks.append(Block(text=text, size_px=25, colour=WHITE, gap_before_px=2, indent_px=indent))
    return blocks


def _measured(
    measurement: Measurement, language: Language, *, named: bool, validated: bool, vertebrae: float | None
) -> list[Block]:
    """named: its name stands above it already. vertebrae: what an axis contributes to a heart score."""
    indent = INDENT
    name, number = terms.concept(measurement.concept, language), wording.number(measurement, language)
    if vertebrae is not None:
        number = f"{number} = {wording.vertebrae(vertebrae, language)}"
    swatch = _swatch(measurement)
    above = [] if named else [Block(text=name, size_px=25, colour=GREY, indent_px=indent, gap_before_px=14, mark=swatch)]
    mark = swatch if named else None
    blocks = [*above, Block(text=number, size_px=42, colour=WHITE, bold=True, indent_px=indent, gap_before_px=0, mark=mark)]
    if measurement.deviation is not None:
        spread = wording.spread(measurement, language)
        blocks.append(Block(text=spread, size_px=21, colour=GREY, indent_px=indent, gap_before_px=0))
    if measurement.interval is not None:
        where = wording.position(measurement, language) if validated else terms.phrase("unvalidated", language)
        colour = WHITE if validated else ORANGE
        blocks.append(Block(text=where, size_px=27, colour=colour, bold=True, indent_px=indent, gap_before_px=0))
        whose = wording.reference(measurement, language, source=True)
        blocks.append(Block(text=whose, size_px=21, colour=GREY, indent_px=indent, gap_before_px=2))
    elif measurement.spacing_source is not None:
        meaning = terms.source(measurement.spacing_source, language)
        blocks.append(Block(text=meaning, size_px=21, colour=GREY, indent_px=indent, gap_before_px=0))
    return blocks


def _swatch(measurement: Measurement) -> Mark:
    """The line as it is drawn in the image: solid with bars, dashed with diamonds, or the ruler."""

    def paint(picture: Image.Image, box: tuple[float, float, float, float], scale: float) -> None:
        draw = ImageDraw.Draw(picture)
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


def _basis(evidence: Evidence, header: Header, language: Language) -> list[Block]:
    answer = evidence.answer
    facts = []
    asked = [f for spoken in answer.models for f in spoken.findings]
    looked_for = wording.looked_for(asked, language)
    if looked_for and len(asked) == 1:  # several are listed one by one
        facts.append(looked_for)
    facts.append(f"{terms.phrase('species', language)}: {image_words.species(evidence, header, language)}")
    facts.append(f"{terms.phrase('region', language)}: {image_words.region(evidence, header, language)}")
    facts.append(f"{terms.phrase('view', language)}: {image_words.view(evidence, header, language)}")
    facts += filter(None, [image_words.turned(answer, language)])
    return [
        *(Block(text=limit, size_px=25, colour=ORANGE, gap_before_px=20) for limit in image_words.limits(answer, language)),
        *(
            Block(text=fact, size_px=25, colour=GREY, gap_before_px=26 if number == 0 else 4)
            for number, fact in enumerate(facts)
        ),
    ]


def legal(spoken: Sequence[ModelAnswer], language: Language) -> list[Block]:
    """Which models spoke, what they may be trusted for, and that nobody signed."""
    models = dict.fromkeys(answer.model for answer in spoken)
    blocks = []
    for number, model in enumerate(models):
        name = f"{terms.phrase('model', language)}: {wording.model(model)}"
        blocks.append(Block(text=name, size_px=25, colour=GREY, gap_before_px=26 if number == 0 else 4))
    for status in dict.fromkeys(wording.status(model, language) for model in models):
        blocks.append(Block(text=status, size_px=26, colour=ORANGE, bold=True, gap_before_px=4))
    return [
        *blocks,
        Block(text=terms.phrase("not_a_diagnosis", language), size_px=30, colour=WHITE, bold=True, gap_before_px=22),
        Block(text=terms.phrase("unsigned", language), size_px=24, colour=WHITE, gap_before_px=2),
        Block(text="HOUNDSFIELD", size_px=24, colour=GREY, bold=True, gap_before_px=18),
    ]
