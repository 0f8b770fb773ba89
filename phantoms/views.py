"""Phantoms as films: which part of which body is in the picture, from where, and what is true of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from phantoms.anatomy import Body, draw_body
from phantoms.detector import Exposure, develop, draw_exposure, enlarge
from phantoms.film import Border, add_border, add_markers, draw_border
from phantoms.others import LIMB, draw_limb, noise_picture, text_picture
from phantoms.projection import Frame, make_frame, project, project_solids
from phantoms.solids import FloatArray

ViewName = Literal["lateral-right", "lateral-left", "ventrodorsal", "limb", "noise", "text"]
CropName = Literal["apex", "t4", "abdomen"]
Place = tuple[FloatArray, FloatArray, FloatArray, FloatArray]
VIEWS: tuple[ViewName, ...] = ("lateral-right", "lateral-left", "ventrodorsal", "limb", "noise", "text")

WORKING_ROWS = 700  # finer films are projected at this height, enlarged, and grained at their own
# Pixels that a landmark of a complete film keeps from the border, and how far outside a missing one lies, in vertebrae.
CLEARANCE_PIXELS, MISSING_VERTEBRAE = 5.0, 0.4
DETECTOR_MM = 430.0  # the largest plates are 43 cm


class Unframeable(ValueError):
    """No film of this body holds, or lacks, what was asked for. Takes another seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is exactly known of a phantom. Points are (column, row) from the outer corner of the first pixel.

    long_axis, short_axis: (2, 2), the latter cranial end first; vertebral_edges: (9, 2) cranial edges of T4 … T12;
    spine: (n, 2) cranial edges of C4 … L5, T4 being `t4_index`. None where there is no heart to measure from this side.
    is_measurable: a lateral thorax that holds everything that a vertebral heart score needs.
    """

    view: str
    is_measurable: bool
    spacing_mm: float
    orientation: tuple[str, str] = ("CD", "V")  # what lies to the right of and below the picture, PS3.3 C.7.6.1.1.1
    vhs: float | None = None
    long_axis: FloatArray | None = None
    short_axis: FloatArray | None = None
    vertebral_edges: FloatArray | None = None
    spine: FloatArray | None = None
    t4_index: int = 7

    @property
    def t4(self) -> FloatArray | None:
        return None if self.vertebral_edges is None else self.vertebral_edges[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """pixels: float32 (rows, columns), 0..1 as displayed, bone bright; heart: bool, same size, a lateral's silhouette."""

    pixels: npt.NDArray[np.float32] = field(repr=False)
    truth: Truth
    heart: npt.NDArray[np.bool_] | None = field(default=None, repr=False)


def render(seed: int, *, view: str, rows: int, columns: int, crop: CropName | None = None, variety: float = 1.0) -> Phantom:
    """The phantom of a seed. One seed is one body, whatever the view; variety: see `draw_exposure`."""
    if view not in VIEWS:
        raise ValueError(f"unknown view {view!r}: one of {', '.join(VIEWS)}")
    rng = np.random.default_rng([seed, 2, VIEWS.index(view), 0 if crop is None else 1 + len(crop)])
    if view == "noise":
        return Phantom(pixels=noise_picture(rng, rows, columns), truth=_nothing(view))
    if view == "text":
        return Phantom(pixels=text_picture(rng, rows, columns), truth=_nothing(view))
    shrink = min(1.0, WORKING_ROWS / rows)
    small_rows, small_columns = round(rows * shrink), round(columns * shrink)
    exposure = draw_exposure(rng, variety)
    border = draw_border(rng, variety)
    if view == "limb":
        pixels, spacing_mm = _limb(rng, small_rows, small_columns, exposure)
        phantom = Phantom(pixels=pixels, truth=replace(_nothing(view), spacing_mm=spacing_mm))
    else:
        body = draw_body(seed)
        phantom = _body_film(body, view, rng, (small_rows, small_columns), exposure, border, crop, variety)
    if (small_rows, small_columns) != (rows, columns):
        phantom = _enlarged(phantom, rng, rows, columns)
    pixels = add_border(phantom.pixels, border)
    pixels = add_markers(pixels, rng, side="L" if view == "lateral-left" else "R", often=0.7 if variety == 1.0 else 1.0)
    return replace(phantom, pixels=pixels)


def _nothing(view: str) -> Truth:
    return Truth(view=view, is_measurable=False, spacing_mm=0.15)


def _body_film(
    body: Body,
    view: str,
    rng: np.random.Generator,
    size: tuple[int, int],
    exposure: Exposure,
    border: Border,
    crop: CropName | None,
    variety: float,
) -> Phantom:
    from_side = view != "ventrodorsal"
    if from_side:
        frame, orientation = _frame_lateral(body, rng, size, border, crop, mirrored=view == "lateral-left")
    else:
        frame, orientation = _frame_ventrodorsal(rng, size, lying_share=0.2 if variety == 1.0 else 0.0)
    thickness = project(body, frame, from_side=from_side)
    spacing_mm = body.unit_mm / frame.pixels_per_unit
    pixels = develop(thickness, unit_mm=body.unit_mm, exposure=exposure, rng=rng)
    if not from_side:
        return Phantom(pixels=pixels, truth=replace(_nothing(view), spacing_mm=spacing_mm, orientation=orientation))
    truth = Truth(
        view=view,
        is_measurable=crop is None,
        spacing_mm=spacing_mm,
        orientation=orientation,
        vhs=body.heart.score if crop is None else None,
        long_axis=frame.to_pixels(body.heart.long_axis),
        short_axis=frame.to_pixels(body.heart.short_axis),
        vertebral_edges=frame.to_pixels(body.spine.counted),
        spine=frame.to_pixels(body.spine.edges),
    )
    return Phantom(pixels=pixels, truth=truth, heart=thickness.heart)


def _frame_lateral(
    body: Body,
    rng: np.random.Generator,
    size: tuple[int, int],
    border: Border,
    crop: CropName | None,
    *,
    mirrored: bool,
) -> tuple[Frame, tuple[str, str]]:
    """A film that holds every landmark clear of its border or, cropped, lacks the one that is named."""
    rows, columns = size
    scale = min(rows / 256, columns / 320)
    uniform = rng.uniform
    head_left = bool(rng.random() < 0.8)
    roll, yaw = uniform(-0.12, 0.12), uniform(-0.08, 0.08)
    side = -1.0 if mirrored else 1.0  # recumbency: which side of the body lies nearer to the film
    view = np.array([[1.0, 0.0, side * yaw], [0.0, 1.0, side * roll]])
    heart, spine = body.heart, body.spine
    centre = np.array([3.6, float(spine.y(3.6)) + 0.45 * body.thorax.depth])
    needed = np.concatenate([heart.long_axis, heart.short_axis, spine.counted])
    middle = np.mean(heart.short_axis, axis=0)
    for attempt in range(400):
        per_unit = max(uniform(12.0, 24.0), body.unit_mm * 256 / DETECTOR_MM) * scale
        per_unit *= (1.0 if crop is None else uniform(1.0, 1.6)) * (1.0 if attempt < 200 else 0.8)
        tilt = np.deg2rad(uniform(-15, 15))
        matrix = per_unit * np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
        if not head_left:
            matrix = np.diag([-1.0, 1.0]) @ matrix
        wander = (0.16, 0.13) if crop is None else (0.5, 0.5)
        at = np.array([columns * (0.5 + uniform(-1, 1) * wander[0]), rows * (0.5 + uniform(-1, 1) * wander[1])])
        if crop == "abdomen":
            centre = np.array([uniform(10.0, 14.0), float(spine.y(10)) + 3.0])
        offset = at - matrix @ centre
        low, high = border.inside(rows, columns)

        def clearance(at: FloatArray, place: Place = (matrix, offset, low, high)) -> float:
            """Pixels from the nearest border, negative outside."""
            matrix, offset, low, high = place
            pixels = np.atleast_2d(at) @ matrix.T + offset
            return float(np.minimum(pixels - low, high - pixels).min())

        if crop is None:
            fits = clearance(needed) > CLEARANCE_PIXELS * scale
        elif crop == "abdomen":
            fits = clearance(middle) < 0
        else:
            missing = heart.long_axis[1] if crop == "apex" else spine.counted[0]
            fits = clearance(missing) < -MISSING_VERTEBRAE * per_unit and clearance(middle) > 0
        if fits:
            return make_frame(rows, columns, view, matrix, offset), ("CD" if head_left else "CR", "V")
    raise Unframeable(f"seed {body.seed}: no film with crop={crop}")


def _frame_ventrodorsal(
    rng: np.random.Generator, size: tuple[int, int], *, lying_share: float
) -> tuple[Frame, tuple[str, str]]:
    rows, columns = size
    per_unit = min(rows, columns) / 256 * rng.uniform(12, 24)
    tilt = np.deg2rad(rng.uniform(-10, 10))
    matrix = per_unit * np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    orientation = ("LE", "CD")
    if rng.random() < lying_share:  # on its side, as some consoles send it
        matrix = np.array([[0.0, 1.0], [-1.0, 0.0]]) @ matrix
        orientation = ("CD", "RT")
    roll = rng.uniform(-0.1, 0.1)
    view = np.array([[0.0, roll, 1.0], [1.0, 0.0, 0.0]])
    centre = np.array([roll * 3, rng.uniform(2.5, 5)])
    at = np.array([columns * rng.uniform(0.42, 0.58), rows * rng.uniform(0.42, 0.58)])
    return make_frame(rows, columns, view, matrix, at - matrix @ centre), orientation


def _limb(rng: np.random.Generator, rows: int, columns: int, exposure: Exposure) -> tuple[npt.NDArray[np.float32], float]:
    per_unit = min(rows, columns) / 256 * rng.uniform(14, 30)
    matrix = per_unit * np.eye(2)
    at = np.array([columns, rows]) * rng.uniform(0.35, 0.65, 2)
    frame = make_frame(rows, columns, np.eye(3)[:2], matrix, at)
    unit_mm = rng.uniform(9, 22)
    thickness = project_solids(draw_limb(rng), frame)
    picture = develop(thickness, unit_mm=unit_mm * LIMB, exposure=exposure, rng=rng)
    return picture, unit_mm / per_unit


def _enlarged(phantom: Phantom, rng: np.random.Generator, rows: int, columns: int) -> Phantom:
    """At full size, with the detector's own grain; the truth moves along exactly."""
    factor = np.array([columns / phantom.pixels.shape[1], rows / phantom.pixels.shape[0]])
    pixels = enlarge(phantom.pixels, rows, columns)
    grain = rng.standard_normal(pixels.shape, dtype=np.float32)
    grain *= np.float32(0.012)
    grain *= np.sqrt(np.maximum(pixels, 0)) + np.float32(0.2)
    pixels += grain
    np.clip(pixels, 0, 1, out=pixels)

    def moved(at: FloatArray | None) -> FloatArray | None:
        return None if at is None else at * factor

    truth = phantom.truth
    truth = replace(
        truth,
        spacing_mm=truth.spacing_mm / float(factor.mean()),
        long_axis=moved(truth.long_axis),
        short_axis=moved(truth.short_axis),
        vertebral_edges=moved(truth.vertebral_edges),
        spine=moved(truth.spine),
    )
    return Phantom(pixels=pixels, truth=truth, heart=None)
