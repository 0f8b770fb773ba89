"""Smooth strokes on a radiograph: each is drawn enlarged into a mask of its own size and pasted with a dark rim, so that
it shows on bone and on air alike."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise

from PIL import Image, ImageDraw

from domain.types import Point
from sr_writer.typeset import BOLD, Colour, font

ENLARGED = 3
RIM = (0, 0, 0)
SHAPES = {  # corners, and where the first one stands in degrees clockwise from the right
    "circle": (40, 0.0),
    "square": (4, 45.0),
    "triangle": (3, -90.0),
    "hexagon": (6, 0.0),
    "pentagon": (5, -90.0),
}

Place = Callable[[Point], Point]
Paint = Callable[[ImageDraw.ImageDraw, Place, float], None]


def polyline(picture: Image.Image, points: Sequence[Point], *, colour: Colour, width: float, dash: float = 0.0) -> None:
    """Points are (column, row) of the picture; dash is the length of a dash, 0 for a solid line."""
    pieces = dashes(points, dash) if dash else [list(points)]
    for rim, ink in ((width * 0.6, RIM), (0.0, colour)):
        _paste(
            picture, [p for piece in pieces for p in piece], width + 2 * rim, ink, lambda d, s, w: _lines(d, pieces, s, w)
        )


def diamond(picture: Image.Image, centre: Point, radius: float, *, colour: Colour) -> None:
    for extra, ink in ((radius * 0.5, RIM), (0.0, colour)):
        _paste(picture, [centre], 2 * (radius + extra), ink, lambda d, s, w: _diamond(d, s(centre), w / 2))


def emblem(picture: Image.Image, shape: str, centre: Point, radius: float, *, colour: Colour, hollow: bool = False) -> None:
    """One of SHAPES, so that a finding is known without its colour; hollow ones show their rim only."""
    corners, turn = SHAPES[shape]
    for extra, ink in ((radius * 0.22, RIM), (0.0, colour)):
        _paste(picture, [centre], 2 * (radius + extra), ink, lambda d, s, w: _polygon(d, s(centre), w / 2, corners, turn))
    if hollow:
        inner = radius * 0.74
        _paste(picture, [centre], 2 * inner, RIM, lambda d, s, w: _polygon(d, s(centre), w / 2, corners, turn))


def label(picture: Image.Image, text: str, centre: Point, *, colour: Colour, size_px: int) -> tuple[float, ...]:
    """Centred on the point, pushed inside the picture, with a dark rim. Returns the box that it covers."""
    face = font(BOLD, size_px)
    rim = max(2, round(size_px * 0.12))
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=face, stroke_width=rim)
    column = min(max(centre[0] - (left + right) / 2, -left), picture.width - right)
    row = min(max(centre[1] - (top + bottom) / 2, -top), picture.height - bottom)
    draw.text((column, row), text, font=face, fill=colour, stroke_width=rim, stroke_fill=RIM)
    return column + left, row + top, column + right, row + bottom


def along(start: Point, end: Point) -> Point:
    """Unit vector from start to end; (1, 0) where they coincide."""
    length = math.hypot(end[0] - start[0], end[1] - start[1])
    return ((end[0] - start[0]) / length, (end[1] - start[1]) / length) if length else (1.0, 0.0)


def moved(point: Point, direction: Point, distance: float) -> Point:
    return point[0] + direction[0] * distance, point[1] + direction[1] * distance


def dashes(points: Sequence[Point], dash: float) -> list[list[Point]]:
    """Along the whole line, around its corners; an odd number of pieces, so that a dash stands at both ends."""
    reach = [0.0]
    for start, end in pairwise(points):
        reach.append(reach[-1] + math.dist(start, end))
    count = max(1, round(reach[-1] / dash)) | 1
    step = reach[-1] / count

    def at(length: float) -> Point:
        after = min(max(1, bisect_left(reach, length)), len(points) - 1)
        return moved(points[after - 1], along(points[after - 1], points[after]), length - reach[after - 1])

    return [
        [
            at(n * step),
            *(point for point, length in zip(points, reach, strict=True) if n * step < length < (n + 1) * step),
            at((n + 1) * step),
        ]
        for n in range(0, count, 2)
    ]


def _paste(picture: Image.Image, points: Sequence[Point], width: float, ink: Colour, paint: Paint) -> None:
    margin = width + 2
    left = max(0, math.floor(min(p[0] for p in points) - margin))
    top = max(0, math.floor(min(p[1] for p in points) - margin))
    right = min(picture.width, math.ceil(max(p[0] for p in points) + margin))
    bottom = min(picture.height, math.ceil(max(p[1] for p in points) + margin))
    if right <= left or bottom <= top:
        return  # outside the picture
    mask = Image.new("L", ((right - left) * ENLARGED, (bottom - top) * ENLARGED))

    def place(point: Point) -> Point:
        return (point[0] - left) * ENLARGED, (point[1] - top) * ENLARGED

    paint(ImageDraw.Draw(mask), place, width * ENLARGED)
    picture.paste(ink, (left, top, right, bottom), mask.reduce(ENLARGED))


def _lines(draw: ImageDraw.ImageDraw, pieces: Sequence[Sequence[Point]], place: Place, width: float) -> None:
    for piece in pieces:
        draw.line([place(point) for point in piece], fill=255, width=round(width), joint="curve")


def _polygon(draw: ImageDraw.ImageDraw, centre: Point, radius: float, corners: int, turn: float) -> None:
    # shapes with few corners are drawn larger, so that all look alike in size
    reach = radius * {3: 1.3, 4: 1.2, 5: 1.1}.get(corners, 1.0)
    angles = [math.radians(turn + 360 * number / corners) for number in range(corners)]
    draw.polygon([(centre[0] + reach * math.cos(a), centre[1] + reach * math.sin(a)) for a in angles], fill=255)


def _diamond(draw: ImageDraw.ImageDraw, centre: Point, radius: float) -> None:
    x, y = centre
    draw.polygon([(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)], fill=255)
