"""Colours and text on pictures: the bundled Korean font, lines broken to a width, blocks that shrink until they fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONTS = Path(__file__).parent / "fonts"
REGULAR = "NanumGothic.ttf"
BOLD = "NanumGothicBold.ttf"
LEAST_SCALE = 0.4
GLUE = "\u00a0"

Colour = tuple[int, int, int]
Mark = Callable[[Image.Image, tuple[float, float, float, float], float], None]

GROUND: Colour = (16, 18, 22)
BANNER: Colour = (30, 34, 41)
WHITE: Colour = (245, 245, 245)
GREY: Colour = (178, 184, 194)
YELLOW: Colour = (240, 228, 66)
SKY: Colour = (86, 180, 233)
ORANGE: Colour = (240, 170, 30)
VERMILLION: Colour = (255, 120, 50)
GREEN: Colour = (60, 200, 150)
PURPLE: Colour = (226, 140, 192)
RULE: Colour = (72, 78, 90)


@lru_cache(maxsize=64)
def font(name: str, size_px: int) -> ImageFont.FreeTypeFont:
    """BASIC layout: Raqm is not in every Pillow, and the same text must give the same pixels."""
    return ImageFont.truetype(str(FONTS / name), size_px, layout_engine=ImageFont.Layout.BASIC)


def is_drawable(text: str) -> bool:
    """Whether the font has every letter: an empty box is no name."""
    face = font(REGULAR, 20)
    missing = bytes(face.getmask("\uffff"))
    return all(letter.isspace() or bytes(face.getmask(letter)) != missing for letter in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A paragraph: size_px and gaps at scale 1; indent leaves room for what `mark` draws beside its first line.

    mark: called with the picture, the box (left, top, right, bottom) of that room, and the scale.
    """

    text: str
    size_px: int
    colour: Colour
    bold: bool = False
    gap_before_px: int = 8
    indent_px: int = 0
    mark: Mark | None = None


def wrap(text: str, face: ImageFont.FreeTypeFont, width_px: float) -> list[str]:
    """Broken at blanks, and inside a word that is wider than the line; a number keeps its per cent sign."""
    lines: list[str] = []
    text = text.replace(" %", f"{GLUE}%")
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            candidate = f"{line} {word}" if line else word
            if face.getlength(candidate) <= width_px:
                line = candidate
                continue
            if line:
                lines.append(line)
            line = word
            while face.getlength(line) > width_px and len(line) > 1:
                fitting = next((n for n in range(len(line) - 1, 0, -1) if face.getlength(line[:n]) <= width_px), 1)
                lines.append(line[:fitting])
                line = line[fitting:]
        lines.append(line)
    return [line.replace(GLUE, " ") for line in lines]


def fit(text: str, name: str, *, width_px: float, height_px: float) -> ImageFont.FreeTypeFont:
    """The largest size at which one line of text lies within the box."""
    size = max(8, int(height_px))
    while size > 8 and font(name, size).getlength(text) > width_px:
        size = max(8, min(size - 1, int(size * 0.96)))
    return font(name, size)


def stack(
    picture: Image.Image,
    blocks: Sequence[Block],
    footer: Sequence[Block],
    *,
    box: tuple[int, int, int, int],
    scale: float,
) -> None:
    """Draw blocks from the top of the box (left, top, right, bottom) and the footer at its bottom.

    All shrink together from `scale` until they lie within the box; at LEAST_SCALE of it the last blocks give way to "…".
    """
    left, top, right, bottom = box
    least = scale * LEAST_SCALE
    while column_height([*blocks, *footer], right - left, scale) > bottom - top and scale > least:
        scale *= 0.95
    whole = blocks = list(blocks)
    while blocks and column_height([*blocks, *footer], right - left, scale) > bottom - top:
        kept = whole[: len(blocks) - 2]
        blocks = [*kept, replace(whole[len(kept)], text="…", mark=None)] if kept else []
    _column(picture, blocks, left, top, right, scale)
    _column(picture, footer, left, bottom - column_height(footer, right - left, scale), right, scale)


def _column(picture: Image.Image, blocks: Sequence[Block], left: int, top: int, right: int, scale: float) -> None:
    draw = ImageDraw.Draw(picture)
    for block in blocks:
        face = _face(block, scale)
        top += round(block.gap_before_px * scale)
        indent = round(block.indent_px * scale)
        pitch = _pitch(block, scale)
        if block.mark is not None:
            block.mark(picture, (left, top, left + indent, top + pitch), scale)
        for line in wrap(block.text, face, right - left - indent):
            draw.text((left + indent, top), line, font=face, fill=block.colour)
            top += pitch


def _face(block: Block, scale: float) -> ImageFont.FreeTypeFont:
    return font(BOLD if block.bold else REGULAR, max(8, round(block.size_px * scale)))


def _pitch(block: Block, scale: float) -> int:
    return round(block.size_px * scale * 1.3)


def column_height(blocks: Sequence[Block], width: int, scale: float) -> int:
    """Of blocks drawn below each other at a width, all in pixels."""
    return sum(
        round(block.gap_before_px * scale)
        + _pitch(block, scale) * len(wrap(block.text, _face(block, scale), width - round(block.indent_px * scale)))
        for block in blocks
    )
