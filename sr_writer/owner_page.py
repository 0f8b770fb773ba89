"""One A4 page for the animal's owner as an Encapsulated PDF (PS3.3 A.45.1): large type, a colour scale with words in it,
the picture, and who decides. It names the animal as the clinic's own records do, so that the right owner gets it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from domain import codes, terms
from domain.identity import Identity
from domain.types import (
    Document,
    DocumentKind,
    Evidence,
    Finding,
    FindingOutcome,
    Language,
    Measurement,
    Point,
    Report,
    Style,
)
from sr_writer import marks, objects, owner_words, strokes, wording
from sr_writer.charset import plain
from sr_writer.header import Header
from sr_writer.owner_words import say
from sr_writer.typeset import BOLD, ORANGE, REGULAR, WHITE, YELLOW, Colour, fit, font, is_drawable, wrap
from sr_writer.write import read

SERIES_NUMBER = 9007
RESOLUTION_DPI = 200
WIDTH, HEIGHT, MARGIN = 1654, 2339, 110  # A4
JPEG_QUALITY = 90
PICTURE_SIDE = 1434  # the page's width between the margins
LEAST_PICTURE_HEIGHT = 320

PAPER: Colour = (255, 255, 255)
INK: Colour = (20, 24, 30)
GREY: Colour = (88, 94, 104)
BAND: Colour = (30, 34, 41)
# Okabe and Ito's, each with its word in it
ZONES: dict[str, Colour] = {"below": (86, 180, 233), "within": (0, 158, 115), "above": (230, 159, 0)}
WARNING: Colour = (255, 224, 130)


def owner_page_series_uid(report: Report, identity: Identity, style: Style = objects.DEFAULT_STYLE) -> str:
    """All revisions of the page of a model's report lie in one series; pages in another style have one of their own."""
    lineage = identity.lineage(report.study_instance_uid, report.model.name if report.model else "")
    return identity.uid(lineage, "series", DocumentKind.PDF.value, *objects.variant(style))


def write_owner_page(
    report: Report,
    *,
    identity: Identity,
    style: Style,
    directory: Path,
    picture: Image.Image | None = None,
    previous: Document | None = None,
) -> Document:
    """An Encapsulated PDF in `directory`, named by its UID; the same report, headers, picture and `previous` give the
    same bytes.

    picture: RGB, the leading image as `draw_owner_picture` draws it; None where there is none.
    Report.analysed_at is every time in it, as wall clock. Errors as in `write_report`.
    """
    report, (header, *_) = read(report)
    ds = objects.result(
        header,
        sop_class_uid=EncapsulatedPDFStorage,
        study_instance_uid=report.study_instance_uid,
        series_instance_uid=owner_page_series_uid(report, identity, style),
        series_number=SERIES_NUMBER,
        series_description="AI page for the owner - not a diagnosis",
        instance_number=report.revision,
        made_at=report.analysed_at,
    )
    page = draw_page(
        report,
        picture=picture,
        language=style.language,
        study_date=header.text("StudyDate"),
        animal=_animal(header, style.language),
    )
    _fill(ds, report.evidence, _pdf(page, report, style.language))
    if previous is not None:
        ds.PredecessorDocumentsSequence = [objects.predecessor(previous)]
    return objects.write(
        ds,
        kind=DocumentKind.PDF,
        header=header,
        inputs={"report": report, "style": style, "previous": previous},
        identity=identity,
        directory=directory,
    )


def _animal(header: Header, language: Language) -> str:
    """Name and number as the header has them, the name in the letters of the page's language where it is spelt so too."""
    groups = [" ".join(filter(None, group.split("^"))) for group in header.text("PatientName").split("=")]
    written = [group for group in groups if group.strip() and is_drawable(group)]
    name = (written[-1] if language is Language.KOREAN else written[0]) if written else ""
    number = header.text("PatientID") if is_drawable(header.text("PatientID")) else ""
    return " · ".join(filter(None, [name, number]))


def draw_page(
    report: Report, *, picture: Image.Image | None, language: Language, study_date: str = "", animal: str = ""
) -> Image.Image:
    """RGB, A4 at RESOLUTION_DPI. study_date: DICOM DA, empty where unknown. animal: whose page it is, empty likewise."""
    page = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(page)
    top = _head(draw, report, language, study_date, animal)
    bottom = _foot(draw, report, language)
    if wording.is_silent(report.outcome, report.findings):
        top = _silence(draw, report, language, top)
    else:
        shown = owner_words.scaled(report)[:1]
        for finding, measurement in shown:
            said = owner_words.said_of(report, finding, measurement)
            label = owner_words.image_of(report, finding, language)
            top = _scale(draw, measurement, language, top, label=label, said=said)
        if any(wording.is_of(measurement, codes.VHS) for _, measurement in shown):
            top = _paragraph(draw, say("vhs_meaning", language), top + 22, size_px=36, colour=GREY)
        if shown:
            top = _paragraph(draw, say("alone", language), top + 6, size_px=36, colour=GREY)
        for statement in owner_words.statements(report, language):
            top = _paragraph(draw, statement, top + 16, size_px=40, bold=True)
    _picture(page, picture, top + 30, bottom - 30)
    return page


def draw_owner_picture(evidence: Evidence, *, pixels: npt.NDArray[np.float32], pixel_aspect: float = 1.0) -> Image.Image:
    """RGB: the radiograph with what was measured and outlined, and no word: an overlay's labels name diagnoses.

    pixels: (rows, columns) 0..1 as displayed; pixel_aspect: height over width of one.
    """
    rows, columns = pixels.shape
    factor = PICTURE_SIDE / max(columns, rows * pixel_aspect)
    size = max(1, round(columns * factor)), max(1, round(rows * pixel_aspect * factor))
    levels = (np.clip(np.nan_to_num(pixels), 0, 1) * 255 + 0.5).astype(np.uint8)
    picture = Image.fromarray(levels).resize(size, Image.Resampling.HAMMING).convert("RGB")
    across, down = size[0] / columns, size[1] / rows
    for finding in (finding for spoken in evidence.answer.models for finding in spoken.findings):
        for line, colour in _marks(finding):
            points = [(x * across, y * down) for x, y in line]
            if len(points) == 1:
                strokes.diamond(picture, points[0], 14, colour=colour)
            else:
                strokes.polyline(picture, points, colour=colour, width=5)
    return picture


def _marks(finding: Finding) -> Iterator[tuple[Sequence[Point], Colour]]:
    """Polylines in source pixels: outlines, the counted vertebrae's edges, and the axes."""
    if finding.outcome not in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN):
        return
    for shape in finding.regions:
        yield from ((line, ORANGE) for line in marks.outlines(shape))
    ruler = wording.vertebral_edges(finding)
    if len(ruler) > 1:
        yield ruler, WHITE
    for measurement in finding.measurements:
        if not wording.is_of(measurement, codes.VHS):
            yield from ((line, YELLOW) for line in measurement.lines.values())


def _title(report: Report, language: Language) -> str:
    return say("no_result" if wording.is_silent(report.outcome, report.findings) else "title", language)


# The parts of the page: each draws from `top` down and returns where it ended


def _head(draw: ImageDraw.ImageDraw, report: Report, language: Language, study_date: str, animal: str) -> int:
    draw.rectangle([0, 0, WIDTH, 170], fill=BAND)
    title = _title(report, language)
    draw.text((MARGIN, 85), title, font=fit(title, BOLD, width_px=WIDTH - 2 * MARGIN, height_px=66), fill=PAPER, anchor="lm")
    top = 170
    if report.model is not None and report.model.clinical_status == wording.DEMONSTRATION:
        draw.rectangle([0, top, WIDTH, top + 92], fill=WARNING)
        word = say("demonstration", language)
        face = fit(word, BOLD, width_px=WIDTH - 2 * MARGIN, height_px=40)
        draw.text((MARGIN, top + 46), word, font=face, fill=INK, anchor="lm")
        top += 92
    date = f"{study_date[:4]}-{study_date[4:6]}-{study_date[6:]}" if len(study_date) == 8 else ""
    about = " · ".join(filter(None, [animal, say("taken", language, date=date) if date else ""]))
    return _paragraph(draw, about, top + 34, size_px=36, colour=GREY) if about else top


def _foot(draw: ImageDraw.ImageDraw, report: Report, language: Language) -> int:
    """From the page's end upward; returns where it begins."""
    small = [f"HOUNDSFIELD · {report.analysed_at:%Y-%m-%d %H:%M} · {terms.phrase('not_a_diagnosis', language)}"]
    if report.model is not None:
        small.insert(0, say("software", language, model=wording.model(report.model)))
    texts = [(say("disclosure", language), 40, False), (say("ask", language), 40, True)]
    inner = WIDTH - 2 * MARGIN - 60
    box = 64 + sum(_height(text, size, bold=bold, width=inner) + 8 for text, size, bold in texts)
    top = HEIGHT - 70 - 40 * len(small) - box
    draw.rounded_rectangle([MARGIN, top, WIDTH - MARGIN, top + box], radius=18, outline=INK, width=5)
    line = top + 28
    for text, size, bold in texts:
        line = _paragraph(draw, text, line + 8, size_px=size, bold=bold, left=MARGIN + 30, width=inner)
    for number, text in enumerate(small):
        face = fit(text, REGULAR, width_px=WIDTH - 2 * MARGIN, height_px=28)
        draw.text((MARGIN, top + box + 24 + 40 * number), text, font=face, fill=GREY)
    return top


def _silence(draw: ImageDraw.ImageDraw, report: Report, language: Language, top: int) -> int:
    """A hatched frame, so that no glance takes the page for one with a result."""
    headline, why = owner_words.silence(report, language)
    face = fit(headline, BOLD, width_px=WIDTH - 2 * MARGIN - 120, height_px=92)
    inner = WIDTH - 2 * MARGIN - 160
    texts = [(why, 42, False), (say("silence", language), 46, True)]
    texts = [(text, size, bold) for text, size, bold in texts if text]
    height = 260 + sum(_height(text, size, bold=bold, width=inner) + 20 for text, size, bold in texts)
    top += 40
    _hatch(draw, (MARGIN, top, WIDTH - MARGIN, top + height))
    draw.rectangle([MARGIN + 40, top + 40, WIDTH - MARGIN - 40, top + height - 40], fill=PAPER)
    draw.text((MARGIN + 80, top + 122), headline, font=face, fill=INK, anchor="lm")
    line = top + 180
    for text, size, bold in texts:
        line = _paragraph(draw, text, line + 20, size_px=size, bold=bold, left=MARGIN + 80, width=inner)
    return top + height


def _hatch(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    draw.rectangle(box, fill=WARNING)
    step, height = 56, bottom - top
    for start in range(left - height, right, step):
        first, last = max(start, left), min(start + height, right)
        if first < last:
            draw.line([(first, bottom - (first - start)), (last, bottom - (last - start))], fill=INK, width=12)


def _scale(
    draw: ImageDraw.ImageDraw, measurement: Measurement, language: Language, top: int, *, label: str, said: str
) -> int:
    """Name, number and what is said of it; three zones of equal width, so that an interval's width is the unit of distance
    from it. Coloured only where the number may be believed."""
    interval = measurement.interval
    if interval is None:
        return top
    value = wording.shown(measurement.value)
    name = owner_words.name_of(measurement, language)
    top = _paragraph(draw, f"{name} – {label}" if label else name, top + 34, size_px=46, bold=True)
    number = f"{value:.{wording.DECIMALS}f}"
    large, words = font(BOLD, 104), say(said, language)
    draw.text((MARGIN, top + 78), number, font=large, fill=INK, anchor="lm")
    left = MARGIN + large.getlength(number) + 44
    face = fit(words, BOLD, width_px=WIDTH - MARGIN - left, height_px=56)
    draw.text((left, top + 80), words, font=face, fill=INK, anchor="lm")
    bar = (top + 196, top + 276)
    third = (WIDTH - 2 * MARGIN) / 3
    for place, (zone, colour) in enumerate(ZONES.items()):
        start = MARGIN + place * third
        draw.rectangle([start, bar[0], start + third, bar[1]], fill=colour if said in ZONES else PAPER, outline=INK, width=3)
        word = say(f"zone_{zone}", language)
        draw.text((start + third / 2, sum(bar) / 2), word, font=font(BOLD, 38), fill=INK, anchor="mm")
    for place, limit in enumerate((interval.low, interval.high), 1):
        draw.text((MARGIN + place * third, bar[1] + 8), f"{limit:g}", font=font(BOLD, 38), fill=INK, anchor="ma")
    along = min(max((value - interval.low) / (interval.high - interval.low), -0.96), 1.96)
    x = MARGIN + (1 + along) * third
    draw.polygon([(x, bar[0] + 8), (x - 30, bar[0] - 44), (x + 30, bar[0] - 44)], fill=INK, outline=PAPER)
    draw.line([(x, bar[1] - 14), (x, bar[1])], fill=INK, width=8)  # not through the zone's word
    population = terms.population(interval.population, language)
    whose = say("range", language, low=interval.low, high=interval.high, population=population, source=interval.source)
    return _paragraph(draw, whose, bar[1] + 60, size_px=30, colour=GREY)


def _picture(page: Image.Image, picture: Image.Image | None, top: int, bottom: int) -> None:
    """In the room that is left, centred; not at all where that is too little to see anything."""
    if picture is None or bottom - top < LEAST_PICTURE_HEIGHT:
        return
    scale = min((WIDTH - 2 * MARGIN) / picture.width, (bottom - top) / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    shown = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    page.paste(shown, ((WIDTH - size[0]) // 2, top + (bottom - top - size[1]) // 2))


def _paragraph(
    draw: ImageDraw.ImageDraw,
    text: str,
    top: int,
    *,
    size_px: int,
    bold: bool = False,
    colour: Colour = INK,
    left: int = MARGIN,
    width: int = WIDTH - 2 * MARGIN,
) -> int:
    face = font(BOLD if bold else REGULAR, size_px)
    for line in wrap(text, face, width):
        draw.text((left, top), line, font=face, fill=colour)
        top += round(size_px * 1.35)
    return top


def _height(text: str, size_px: int, *, bold: bool, width: int) -> int:
    return round(size_px * 1.35) * len(wrap(text, font(BOLD if bold else REGULAR, size_px), width))


# The DICOM object


def _pdf(page: Image.Image, report: Report, language: Language) -> bytes:
    """Every date pinned: Pillow would stamp the present."""
    buffer = io.BytesIO()
    at = report.analysed_at.timetuple()
    page.save(
        buffer,
        "PDF",
        resolution=RESOLUTION_DPI,
        quality=JPEG_QUALITY,
        title=plain(_title(report, language)),
        creationDate=at,
        modDate=at,
    )
    return buffer.getvalue()


def _fill(ds: Dataset, evidence: Sequence[Evidence], content: bytes) -> None:
    """Encapsulated Document Series, SC Equipment and Encapsulated Document modules (PS3.3 C.24.1, C.8.6.1, C.24.2)."""
    ds.Modality = "DOC"
    ds.ConversionType = "WSD"
    ds.AcquisitionDateTime = ""
    ds.BurnedInAnnotation = "YES"  # the animal's name; and what a console burned into the image shows in its picture too
    ds.RecognizableVisualFeatures = "NO"
    ds.VerificationFlag = "UNVERIFIED"
    ds.DocumentTitle = "AI measurements for the owner - not a diagnosis"
    ds.ConceptNameCodeSequence = []
    ds.SourceInstanceSequence = [objects.reference(item.answer.ref) for item in evidence]
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocumentLength = len(content)
    ds.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
