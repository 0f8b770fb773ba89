"""Radiographs of phantoms by region, view and species, with what is true of each: the way from a seed to a film.

`phantoms.views` draws the thorax that the vertebral heart score was measured on, in its own renderer that stays as it is;
this module draws every region, in three dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from domain.types import Region, Species, View
from phantoms.ailing import draw_ailing
from phantoms.detector import develop, draw_exposure, on_console
from phantoms.lesions import Lesion, Shown
from phantoms.mishaps import annotate, collimate, exposure_fault, regrade
from phantoms.projection import Frame, make_frame
from phantoms.scenes import PARTS, Scene, draw_scene
from phantoms.seen import look_through, measure
from phantoms.solids import FloatArray, rotation

LATERALS = (View.RIGHT_LATERAL, View.LEFT_LATERAL)
FILMS: dict[Region, tuple[View, ...]] = {
    Region.THORAX: (*LATERALS, View.VENTRODORSAL, View.DORSOVENTRAL),
    Region.ABDOMEN: (*LATERALS, View.VENTRODORSAL),
    Region.PELVIS: (View.VENTRODORSAL, *LATERALS),
    Region.LIMB: (View.MEDIOLATERAL, View.CRANIOCAUDAL),
    Region.HEAD: (*LATERALS, View.DORSOVENTRAL),
}
CROPPED_SHARE, WHOLE_SHARE = 0.14, 0.01  # of the wanted field outside the film: more is cropped, less is whole
ROTATED_RADIANS, STRAIGHT_RADIANS = 0.21, 0.10  # about the long axis: more is a rotated body, less a straight one


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a film shall be. part: of a limb, see `scenes.PARTS`. exposure: normal, under or over.

    variety: 1 for everything that clinics produce, 0 for one textbook film. findings: what the animal has, () for nothing;
    but for those its heart, hips and stifles are normal. None draws an animal whose heart and joints have any shape and were
    never judged.
    """

    region: Region
    view: View
    species: Species = Species.DOG
    part: str = "stifle"
    rows: int = 512
    columns: int = 512
    variety: float = 1.0
    cropped: bool = False
    rotated: bool = False
    exposure: str = "normal"
    findings: tuple[Lesion, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is exactly known. landmarks: (n, 2) by name, (column, row) from the outer corner of the first pixel.

    cropped, rotated: None between the two, where readers would differ. Every film hangs as `Scene.view` says. measures: as
    projected onto this film, where it holds their landmarks: VHS in vertebrae, NORBERG_LEFT and NORBERG_RIGHT in degrees.
    hidden: findings that were wished for and that this film cannot show, or does not hold.
    """

    wish: Wish
    spacing_mm: float
    orientation: tuple[str, str]  # what lies to the right and below, PS3.3 C.7.6.1.1.1
    outside: float
    roll: float
    cropped: bool | None
    rotated: bool | None
    landmarks: dict[str, FloatArray]
    measures: dict[str, float] = field(default_factory=dict)
    hidden: tuple[Lesion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """pixels: float32 (rows, columns), 0..1 as displayed, bone bright; heart: bool, the silhouette, where lung is drawn."""

    pixels: npt.NDArray[np.float32] = field(repr=False)
    facts: Facts
    heart: npt.NDArray[np.bool_] = field(repr=False)
    findings: tuple[Shown, ...] = ()


def expose(seed: int, wish: Wish) -> Film:
    """The film of a seed. One seed and species is one animal, whatever is wished for; the same wish, the same pixels."""
    if wish.region not in FILMS or wish.view not in FILMS[wish.region]:
        taken = ", ".join(f"{region.value}: {' '.join(view.value for view in views)}" for region, views in FILMS.items())
        raise ValueError(f"no phantom shows {wish.region.value}, {wish.view.value}; there are {taken}")
    views = list(View)
    rng = np.random.default_rng([seed, 26, list(Region).index(wish.region), views.index(wish.view), PARTS.index(wish.part)])
    if wish.findings is None:
        scene = draw_scene(seed, wish.region, wish.view, wish.species, wish.part)
    else:
        scene = draw_ailing(seed, wish.region, wish.view, wish.species, wish.part, wish.findings)
    scene, roll = _turned(scene, wish, rng)
    frame, outside, margins = _framed(scene, wish, rng)
    body = look_through(scene, frame, wish.variety, rng)
    exposure = draw_exposure(rng, wish.variety)
    if wish.findings is not None:
        exposure = on_console(exposure, np.random.default_rng([seed, 36]))
    pixels = develop(body.well, unit_mm=scene.build.unit_mm, exposure=exposure, rng=rng, instead=body.ailing)
    if rng.random() < wish.variety:
        pixels = regrade(pixels, rng)
    if wish.exposure != "normal":
        pixels = exposure_fault(pixels, rng, wish.exposure)
    if rng.random() < wish.variety:
        pixels = collimate(pixels, rng, margins)
    if wish.variety > 0:
        pixels = annotate(pixels, rng)
    landmarks, measures = measure(scene, frame, wish.view)
    seen = {one.concept for one in body.findings}
    facts = Facts(
        wish=wish,
        spacing_mm=scene.build.unit_mm / frame.pixels_per_unit,
        orientation=scene.orientation,
        outside=outside,
        roll=roll,
        cropped=True if outside > CROPPED_SHARE else False if outside < WHOLE_SHARE else None,
        rotated=True if abs(roll) > ROTATED_RADIANS else False if abs(roll) < STRAIGHT_RADIANS else None,
        landmarks=landmarks,
        measures=measures,
        hidden=tuple(lesion for lesion in wish.findings or () if lesion.concept not in seen),
    )
    film = np.clip(pixels, 0, 1).astype(np.float32)
    heart = (body.ailing or body.well).heart
    return Film(pixels=film, facts=facts, heart=heart, findings=body.findings)


def _turned(scene: Scene, wish: Wish, rng: np.random.Generator) -> tuple[Scene, float]:
    """Rolled about the long axis, and a little about the other two."""
    roll = rng.uniform(0.24, 0.55) * rng.choice([-1, 1]) if wish.rotated else rng.normal(0, 0.05) * wish.variety
    yaw = rng.normal(0, 0.03) * wish.variety
    long_axis = scene.view[0] if scene.view[0][0] == 1.0 else scene.view[1]
    ray = np.cross(scene.view[0], scene.view[1])
    other = np.cross(ray, long_axis)
    turned = rotation(other, yaw) @ rotation(long_axis, roll)
    return replace(scene, view=scene.view @ turned.T), float(roll)


def _framed(scene: Scene, wish: Wish, rng: np.random.Generator) -> tuple[Frame, float, FloatArray]:
    """A film that holds the wanted field, or lacks a part of it; the share of the field's box that is outside; and how much
    of the film lies beside the box, (4,) shares at the left, top, right and bottom."""
    rows, columns = wish.rows, wish.columns
    size = np.array([columns, rows], dtype=np.float64)
    tilt = np.deg2rad(rng.normal(0, 5)) * wish.variety
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    at = scene.whole @ scene.view.T @ turn.T
    low, high = at.min(axis=0), at.max(axis=0)
    fit = float((size / np.maximum(high - low, 0.5)).min())
    if wish.cropped:
        per_unit = fit * rng.uniform(0.85, 1.5)
    else:
        per_unit = fit * (1 - rng.uniform(0.02, 0.42 if wish.region is not Region.ABDOMEN else 0.2) * max(wish.variety, 0.3))
    slack = size / per_unit - (high - low)
    middle = (low + high) / 2
    for _ in range(60):
        if wish.cropped:
            shift = rng.uniform(-0.75, 0.75, 2) * (high - low)
        else:
            shift = rng.uniform(-0.49, 0.49, 2) * slack * wish.variety
        centre = middle + shift
        film_low, film_high = centre - size / per_unit / 2, centre + size / per_unit / 2
        shared = np.clip(np.minimum(high, film_high) - np.maximum(low, film_low), 0, None)
        outside = 1 - float(np.prod(shared / np.maximum(high - low, 1e-6)))
        if not wish.cropped or CROPPED_SHARE + 0.04 < outside < 0.5:
            break
    matrix = per_unit * turn
    offset = size / 2 - per_unit * centre
    margins = np.concatenate([(low - film_low), (film_high - high)]) * per_unit / np.concatenate([size, size])
    return make_frame(rows, columns, scene.view, matrix, offset), outside, margins
