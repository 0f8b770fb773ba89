"""One Secondary Capture for a whole study: its images side by side with their marks, and all results beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from domain import terms
from domain.identity import Identity
from domain.types import Document, DocumentKind, Evidence, FindingOutcome, Language, Outcome, Style
from sr_writer import marks, objects, overlay, panel, wording
from sr_writer.drawing import BANNER_HEIGHT, LEAST_HEIGHT, LONGEST_SIDE, PANEL_WIDTH, draw_radiograph, size_of
from sr_writer.marks import Numbered
from sr_writer.typeset import BOLD, GREY, GROUND, ORANGE, RULE, WHITE, Block, fit
from sr_writer.write import read_headers

Pixels = npt.NDArray[np.float32]

SERIES_NUMBER = 9008
OWN_SIZE = 3200  # of all images together, where a destination wants no bound


def summary_series_uid(study_instance_uid: str, identity: Identity, style: Style = objects.DEFAULT_STYLE) -> str:
    """All revisions of a study's summary lie in one series."""
    return identity.uid(
        identity.lineage(study_instance_uid, "summary"), "series", DocumentKind.SC.value, *objects.variant(style)
    )


def write_summary(
    evidence: Sequence[Evidence],
    *,
    pixels: Sequence[Pixels | None],
    study_instance_uid: str,
    identity: Identity,
    style: Style,
    directory: Path,
    revision: int,
    made_at: datetime,
) -> Document:
    """A Secondary Capture of all images of a study in `directory`, named by its UID.

    pixels: of each image, as in `write_overlay`. revision: Instance Number within the series, from 1. made_at: every time in
    it, as wall clock. ValueError without an image or with another number of pixels; OSError as in `write_overlay`.
    """
    if not evidence:
        raise ValueError("a summary needs at least one image")
    headers = read_headers(evidence)
    picture = draw_summary(
        evidence,
        pixels=pixels,
        language=style.language,
        pixel_aspects=[header.pixel_aspect for header in headers],
        longest_side=style.overlay_longest_side,
    )
    ds = objects.result(
        headers[0],
        sop_class_uid=overlay.SOP_CLASS_UID,
        study_instance_uid=study_instance_uid,
        series_instance_uid=summary_series_uid(study_instance_uid, identity, style),
        series_number=SERIES_NUMBER,
        series_description="AI summary - not a diagnosis",
        instance_number=revision,
        made_at=made_at,
    )
    overlay.fill_picture(ds, picture, [item.answer.ref for item in evidence], headers=headers, style=style)
    ds.DerivationDescription = "Summary of AI results, drawn on all images and beside them; not for measuring"
    return objects.write(
        ds,
        kind=DocumentKind.SC,
        header=headers[0],
        inputs={"summary of": tuple(evidence), "style": style, "revision": revision, "made_at": made_at},
        identity=identity,
        directory=directory,
        transfer_syntax_uid=overlay.transfer_syntax_uid(style),
    )


def draw_summary(
    evidence: Sequence[Evidence],
    *,
    pixels: Sequence[Pixels | None],
    language: Language,
    pixel_aspects: Sequence[float],
    longest_side: int = LONGEST_SIDE,
) -> Image.Image:
    """RGB. pixels and pixel_aspects: of each image, as in `draw_overlay`. longest_side: of all images together."""
    columns = math.ceil(math.sqrt(len(evidence)))
    cell_width = (longest_side or OWN_SIZE) // columns
    width = columns * cell_width + PANEL_WIDTH * max(1, (longest_side or OWN_SIZE) // LONGEST_SIDE)
    text_px = marks.text_size(width)
    items = _numbered(evidence)
    cells = []
    for number, (item, plane, aspect) in enumerate(zip(evidence, pixels, pixel_aspects, strict=True)):
        size = (cell_width, cell_width) if plane is None else size_of(plane, aspect, cell_width - 8)
        drawn = draw_radiograph(
            plane, items[number], size=size, place=(cell_width, size[1]), language=language, text_px=text_px
        )
        cells.append(_captioned(drawn, item, _title(number, evidence, language), language, text_px))
    sheet = _sheet(cells, columns, cell_width)
    return _beside(sheet, evidence, items, language, width=width)


def _numbered(evidence: Sequence[Evidence]) -> list[tuple[Numbered, ...]]:
    """Of each image; the numbers run through the whole study."""
    of_image = [[finding for spoken in item.answer.models for finding in spoken.findings] for item in evidence]
    items = marks.numbered([finding for findings in of_image for finding in findings])
    return [tuple(item for item in items if any(item.finding is mine for mine in findings)) for findings in of_image]


def _title(number: int, evidence: Sequence[Evidence], language: Language) -> str:
    answer = evidence[number].answer
    counted = terms.phrase("image_of", language).format(number=number + 1, total=len(evidence))
    return f"{counted} · {terms.name(answer.view, language)}" if answer.view is not None else counted


def _captioned(drawn: Image.Image, item: Evidence, title: str, language: Language, text_px: int) -> Image.Image:
    analysed = item.answer.outcome is Outcome.ANALYSED
    said = title if analysed else f"{title} · {terms.outcome(item.answer.outcome, language)}"
    height = round(1.8 * text_px)
    cell = Image.new("RGB", (drawn.width, drawn.height + height), GROUND)
    cell.paste(drawn, (0, height))
    face = fit(said, BOLD, width_px=drawn.width - text_px, height_px=text_px)
    colour = WHITE if analysed else ORANGE
    ImageDraw.Draw(cell).text((0.5 * text_px, height / 2), said, font=face, fill=colour, anchor="lm")
    return cell


def _sheet(cells: Sequence[Image.Image], columns: int, cell_width: int) -> Image.Image:
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) for row in rows]
    sheet = Image.new("RGB", (columns * cell_width, sum(heights)), GROUND)
    draw, top = ImageDraw.Draw(sheet), 0
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            sheet.paste(cell, (column * cell_width, top))
            draw.rectangle([column * cell_width, top, (column + 1) * cell_width - 1, top + height - 1], outline=RULE)
        top += height
    return sheet


def _beside(
    sheet: Image.Image, evidence: Sequence[Evidence], items: Sequence[Sequence[Numbered]], language: Language, *, width: int
) -> Image.Image:
    scale = max(1.0, sheet.width / LONGEST_SIDE)
    blocks = _results(evidence, items, language)
    footer = panel.legal([spoken for item in evidence for spoken in item.answer.models], language)
    banner_height = round(BANNER_HEIGHT * scale)
    height = max(sheet.height, LEAST_HEIGHT, panel.height(blocks, footer, width - sheet.width, scale))
    canvas = Image.new("RGB", (width, height + banner_height), GROUND)
    canvas.paste(sheet, (0, banner_height))
    panel.banner(canvas, panel.headline([item.answer for item in evidence], language), language, height=banner_height)
    panel.draw(canvas, blocks, footer, box=(sheet.width, banner_height, width, canvas.height), scale=scale)
    return canvas


def _results(evidence: Sequence[Evidence], items: Sequence[Sequence[Numbered]], language: Language) -> list[Block]:
    """Image by image: those with something found first, then those that were not analysed, then the others."""
    blocks: list[Block] = []
    for number in sorted(range(len(evidence)), key=lambda number: _urgency(evidence[number], items[number])):
        title = _title(number, evidence, language)
        blocks.append(Block(text=title, size_px=27, colour=GREY, bold=True, gap_before_px=30 if blocks else 8))
        blocks += panel.answered(evidence[number].answer, items[number], language)
    findings = [item.finding for of_image in items for item in of_image]
    silent = all(wording.is_silent(item.answer.outcome, findings) for item in evidence)
    text = terms.phrase("nothing_concluded" if silent else "open", language)
    return [*blocks, Block(text=text, size_px=27, colour=ORANGE if silent else WHITE, gap_before_px=26)]


def _urgency(evidence: Evidence, items: Sequence[Numbered]) -> int:
    if any(item.finding.outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN) for item in items):
        return 0
    return 1 if evidence.answer.outcome is not Outcome.ANALYSED else 2
