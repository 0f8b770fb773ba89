"""Where the labels of findings stand: numbers in, boxes out, nothing drawn.

A label lies beside its finding and is tied to it by a leader. It covers no finding, no mark and no other label; where the
picture has no such place left, it moves into rows below it, which grow as they must.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domain.types import Point

FloatArray = npt.NDArray[np.float64]
Segment = tuple[Point, Point]

NEAREST_TRIED = 80  # of the free places, by distance: only theirs is worth testing what a leader would cross
LEADER_SAMPLES = 25
CROSSING = 4.0  # what a leader across something else costs, in heights of a label


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float

    def shared(self, other: Box) -> float:
        """The area of what lies in both."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, across) * max(0.0, down)

    def grown(self, by: float) -> Box:
        return Box(left=self.left - by, top=self.top - by, right=self.right + by, bottom=self.bottom + by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A finding as it is drawn, and how large its label is.

    outline: points on which a leader may end. covers: what the finding itself occupies, None for one without an extent.
    """

    outline: tuple[Point, ...]
    width: float
    height: float
    covers: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """leader: from the label's edge to its finding. below: whether it stands in the rows below the picture."""

    box: Box
    leader: Segment
    below: bool


def bounds(points: Sequence[Point]) -> Box:
    """ValueError without a point."""
    columns, rows = zip(*points, strict=True)
    return Box(left=min(columns), top=min(rows), right=max(columns), bottom=max(rows))


def place(
    subjects: Sequence[Subject],
    *,
    within: Box,
    boxes: Sequence[Box] = (),
    segments: Sequence[Segment] = (),
    gap: float,
) -> tuple[Label, ...]:
    """One label for each subject, in their order, `gap` apart from everything.

    boxes and segments: other marks that must stay visible. A label lies wholly in `within`, or below it between its sides;
    ValueError for one that is wider than the picture.
    """
    if any(subject.width > within.right - within.left for subject in subjects):
        raise ValueError("a label is wider than the picture: break its text")
    findings = [subject.covers for subject in subjects if subject.covers is not None]
    taken = [*findings, *boxes, *(box for segment in segments for box in _along(segment, gap))]
    placed: list[Label | None] = []
    for subject in subjects:
        label = _inside(subject, within, taken, [known for known in placed if known is not None], gap)
        placed.append(label)
        if label is not None:
            taken += [label.box, *_along(label.leader, gap)]
    return _rows_below(subjects, placed, within, gap)


def _inside(subject: Subject, within: Box, taken: Sequence[Box], placed: Sequence[Label], gap: float) -> Label | None:
    corners = _candidates(subject, within, gap)
    boxes = np.concatenate([corners, corners + np.asarray([subject.width, subject.height])], axis=1)
    fits = (boxes[:, 0] >= within.left) & (boxes[:, 1] >= within.top)
    fits &= (boxes[:, 2] <= within.right) & (boxes[:, 3] <= within.bottom)
    boxes = boxes[fits]
    boxes = boxes[~_covered(boxes, _array(taken), gap)]
    if not len(boxes):
        return None
    outline = np.asarray(subject.outline, dtype=np.float64)
    starts, ends = _leaders(boxes, outline)
    reach = np.hypot(*(ends - starts).T)
    nearest = np.argsort(reach, kind="stable")[:NEAREST_TRIED]
    foreign = _array([box for box in taken if box != subject.covers and not _holds(box, subject)])
    crossed = _crossings(starts[nearest], ends[nearest], foreign)
    through = _crossings(starts[nearest], ends[nearest], _array([label.box for label in placed]))
    cost = reach[nearest] + CROSSING * subject.height * (crossed + 4 * through)
    best = nearest[np.argmin(cost)]
    return _label(boxes[best], starts[best], ends[best], below=False)


def _holds(box: Box, subject: Subject) -> bool:
    """Whether a subject lies within another finding, which its leader then has to cross."""
    return all(box.left <= x <= box.right and box.top <= y <= box.bottom for x, y in subject.outline)


def _candidates(subject: Subject, within: Box, gap: float) -> FloatArray:
    """Left upper corners: close around the finding, and a grid over the picture. Shape (n, 2)."""
    own = subject.covers or bounds(subject.outline)
    near = 2 * gap + subject.height / 2
    across = np.linspace(own.left - subject.width, own.right, 9)
    down = np.linspace(own.top - subject.height, own.bottom, 9)
    close = [(x, y) for x in across for y in (own.top - near - subject.height, own.bottom + near)]
    close += [(x, y) for y in down for x in (own.left - near - subject.width, own.right + near)]
    columns = np.linspace(within.left + gap, within.right - gap - subject.width, 28)
    rows = np.linspace(within.top + gap, within.bottom - gap - subject.height, 28)
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    return np.concatenate([np.asarray(close, dtype=np.float64), grid])


def _leaders(boxes: FloatArray, outline: FloatArray) -> tuple[FloatArray, FloatArray]:
    """From each box's edge to the nearest of the outline's points."""
    starts = np.clip(outline[None], boxes[:, None, :2], boxes[:, None, 2:])
    nearest = np.argmin(((starts - outline[None]) ** 2).sum(axis=2), axis=1)
    return starts[np.arange(len(boxes)), nearest], outline[nearest]


def _crossings(starts: FloatArray, ends: FloatArray, boxes: FloatArray) -> FloatArray:
    """How many of the boxes each segment passes through."""
    share = np.linspace(0, 1, LEADER_SAMPLES)[1:-1, None]
    points = starts[:, None] + share * (ends - starts)[:, None]
    x, y = points[:, :, None, 0], points[:, :, None, 1]
    inside = (x > boxes[:, 0]) & (x < boxes[:, 2]) & (y > boxes[:, 1]) & (y < boxes[:, 3])
    return np.asarray(inside.any(axis=1).sum(axis=1), dtype=np.float64)


def _covered(boxes: FloatArray, others: FloatArray, gap: float) -> npt.NDArray[np.bool_]:
    overlap = (boxes[:, None, 0] < others[:, 2] + gap) & (others[:, 0] - gap < boxes[:, None, 2])
    overlap &= (boxes[:, None, 1] < others[:, 3] + gap) & (others[:, 1] - gap < boxes[:, None, 3])
    return np.asarray(overlap.any(axis=1))


def _rows_below(subjects: Sequence[Subject], placed: Sequence[Label | None], within: Box, gap: float) -> tuple[Label, ...]:
    """Those without a place in the picture stand below it in the order of their findings from left to right."""
    homeless = [number for number, label in enumerate(placed) if label is None]
    homeless.sort(key=lambda number: bounds(subjects[number].outline).left)
    labels = list(placed)
    # a finding may reach beyond the picture's lower edge; the rows start below it too
    top = max([within.bottom, *(s.covers.bottom for s in subjects if s.covers is not None)]) + gap
    left, tallest = within.left, 0.0
    for number in homeless:
        subject = subjects[number]
        if left > within.left and left + subject.width > within.right:
            left, top, tallest = within.left, top + tallest + gap, 0.0
        box = np.asarray([[left, top, left + subject.width, top + subject.height]])
        starts, ends = _leaders(box, np.asarray(subject.outline, dtype=np.float64))
        labels[number] = _label(box[0], starts[0], ends[0], below=True)
        left, tallest = left + subject.width + gap, max(tallest, subject.height)
    return tuple(label for label in labels if label is not None)


def _label(box: FloatArray, start: FloatArray, end: FloatArray, *, below: bool) -> Label:
    left, top, right, bottom = (float(value) for value in box)
    leader = (float(start[0]), float(start[1])), (float(end[0]), float(end[1]))
    return Label(box=Box(left=left, top=top, right=right, bottom=bottom), leader=leader, below=below)


def _along(segment: Segment, step: float) -> list[Box]:
    """A chain of boxes that holds a segment without holding much beside it."""
    (x0, y0), (x1, y1) = segment
    pieces = min(200, max(1, int(np.hypot(x1 - x0, y1 - y0) / max(step, 1e-9))))
    share = np.linspace(0, 1, pieces + 1)
    points = [(x0 + s * (x1 - x0), y0 + s * (y1 - y0)) for s in share]
    return [bounds(points[n : n + 2]) for n in range(pieces)]


def _array(boxes: Sequence[Box]) -> FloatArray:
    rows = [(box.left, box.top, box.right, box.bottom) for box in boxes]
    return np.asarray(rows, dtype=np.float64).reshape(-1, 4)
