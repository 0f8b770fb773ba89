"""Phantoms as films: which part of which body is in the picture, from where, and what is true of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from phantoms.anatomy import Body, draw_body
from phantoms.detector import Exposure, develop, draw_exposure, enlarge
from phantoms.film import add_border, add_markers, draw_border
from phantoms.framing import CropName, Unframeable, Wanted, frame_lateral, frame_ventrodorsal
from phantoms.others import LIMB, draw_limb, noise_picture, text_picture
from phantoms.projection import make_frame, project, project_solids
from phantoms.solids import FloatArray

__all__ = ["VIEWS", "CropName", "Phantom", "Truth", "Unframeable", "ViewName", "render"]

ViewName = Literal["lateral-right", "lateral-left", "ventrodorsal", "limb", "noise", "text"]
VIEWS: tuple[ViewName, ...] = ("lateral-right", "lateral-left", "ventrodorsal", "limb", "noise", "text")

WORKING_ROWS = 700  # finer films are projected at this height, enlarged, and grained at their own
# Every view and crop draws from a stream of its own.
CROP_STREAMS: dict[CropName | None, int] = {None: 0, "t4": 3, "apex": 5, "abdomen": 8}


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
    rng = np.random.default_rng([seed, 2, VIEWS.index(view), CROP_STREAMS[crop]])
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
        wanted = Wanted(rows=small_rows, columns=small_columns, border=border, crop=crop)
        if view == "ventrodorsal":
            phantom = _ventrodorsal(body, wanted, exposure, rng, lying_share=0.2 if variety == 1.0 else 0.0)
        else:
            phantom = _lateral(body, wanted, exposure, rng, view=view)
    if (small_rows, small_columns) != (rows, columns):
        phantom = _enlarged(phantom, rng, rows, columns)
    pixels = add_border(phantom.pixels, border)
    pixels = add_markers(pixels, rng, side="L" if view == "lateral-left" else "R", often=0.7 if variety == 1.0 else 1.0)
    return replace(phantom, pixels=pixels)


def _nothing(view: str) -> Truth:
    return Truth(view=view, is_measurable=False, spacing_mm=0.15)


def _ventrodorsal(
    body: Body, wanted: Wanted, exposure: Exposure, rng: np.random.Generator, *, lying_share: float
) -> Phantom:
    frame, orientation = frame_ventrodorsal(wanted, rng, lying_share=lying_share)
    pixels = develop(project(body, frame, from_side=False), unit_mm=body.unit_mm, exposure=exposure, rng=rng)
    spacing_mm = body.unit_mm / frame.pixels_per_unit
    truth = replace(_nothing("ventrodorsal"), spacing_mm=spacing_mm, orientation=orientation)
    return Phantom(pixels=pixels, truth=truth)


def _lateral(body: Body, wanted: Wanted, exposure: Exposure, rng: np.random.Generator, *, view: str) -> Phantom:
    frame, orientation = frame_lateral(body, wanted, rng, mirrored=view == "lateral-left")
    thickness = project(body, frame, from_side=True)
    pixels = develop(thickness, unit_mm=body.unit_mm, exposure=exposure, rng=rng)
    truth = Truth(
        view=view,
        is_measurable=wanted.crop is None,
        spacing_mm=body.unit_mm / frame.pixels_per_unit,
        orientation=orientation,
        vhs=body.heart.score if wanted.crop is None else None,
        long_axis=frame.to_pixels(body.heart.long_axis),
        short_axis=frame.to_pixels(body.heart.short_axis),
        vertebral_edges=frame.to_pixels(body.spine.counted),
        spine=frame.to_pixels(body.spine.edges),
    )
    return Phantom(pixels=pixels, truth=truth, heart=thickness.heart)


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
