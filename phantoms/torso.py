"""A whole trunk in three dimensions, neck to tail with its limbs, and what rays through it meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from phantoms.axial import Cage, Column, draw_cage, draw_column, rib_bones, spine_bones, sternum_bones
from phantoms.build import L7, S1, T13, Build
from phantoms.chest import Breath, Chest, Lungs, beside_vessels, draw_chest, heart_depth, lung_depth, lung_share
from phantoms.field import Plane, Profile, Samples, filled, in_cone, in_ellipsoid, joined, profile
from phantoms.limbs import Limb, axes_from, forelimb, hindlimb
from phantoms.pelvis import Pelvis, draw_pelvis
from phantoms.solids import FloatArray, Solid, Tissue, beside, points, tube

Posture = Literal["lateral", "ventrodorsal", "dorsoventral"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Belly:
    """gas and organs: ellipsoids as (centre, axes, weight)."""

    gas: tuple[tuple[FloatArray, FloatArray, float], ...]
    organs: tuple[tuple[FloatArray, FloatArray, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Torso:
    """back, bottom, width: the skin over x, the first two relative to the spine; skin: thickness of fat below it."""

    build: Build
    column: Column
    cage: Cage
    chest: Chest
    belly: Belly
    pelvis: Pelvis
    limbs: tuple[Limb, ...]
    back: Profile
    bottom: Profile
    width: Profile
    skin: float
    solids: tuple[Solid, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Soft:
    """What the rays sum up, each (rows, columns) in vertebrae: water-equivalent tissue, lung, and the heart.

    ailing: the same with its findings, where they change any of it; traces: see `chest.Breath`.
    """

    tissue: Plane
    lung: Plane
    heart: Plane
    ailing: Soft | None = field(default=None, repr=False)
    traces: dict[str, Plane] = field(default_factory=dict, repr=False)


def draw_torso(build: Build, posture: Posture, *, extended: bool | None = None) -> Torso:
    """The same build is the same animal; what differs between postures is how its limbs lie.

    extended: whether the hind limbs are drawn back, parallel, as for a film of the hips; None for either.
    """
    rng = np.random.default_rng([build.seed, 22])
    uniform = rng.uniform
    column = draw_column(rng)
    cage = draw_cage(build, rng)
    chest = draw_chest(build, column, cage, rng)
    pelvis = draw_pelvis(build, column, rng)
    fat, muscle, depth = build.fat, build.muscle, build.chest_depth
    loin = column.edge(L7)[0]
    tail = column.edge(S1)[0] + 0.75 * build.pelvis
    padding = 0.35 + 0.7 * fat
    back = profile(
        [-10, -5, -2, 3, 9, loin, tail, tail + 2],
        np.array([1.5, 2.2, 2.9, 2.2, 1.4, 1.3, 0.9, 0.6]) * (0.75 + 0.25 * muscle) + padding * 0.8,
    )
    tuck = uniform(0.6, 0.95) + 0.2 * fat
    bottom = profile(
        [-10, -5, -3, 3.5, 7, 12, loin, tail - 2, tail, tail + 1.5],
        np.array(
            [
                2.6,
                3.0,
                0.75 * depth,
                1.0 * depth,
                1.02 * depth,
                (0.6 + 0.4 * tuck) * depth,
                tuck * 0.85 * depth,
                0.6 * depth,
                3.2,
                1.0,
            ]
        )
        + padding,
        smooth=1.5,
    )
    wide = build.chest_width
    width = profile(
        [-10, -5, -2, 3, 8, 13, loin, tail - 2.5, tail, tail + 1.5],
        np.array(
            [
                1.6,
                1.7,
                0.85 * wide,
                wide,
                1.04 * wide,
                1.0 * wide * uniform(0.9, 1.1),
                0.85 * wide,
                0.3 * build.pelvis,
                0.2 * build.pelvis,
                0.5,
            ]
        )
        + padding * 0.8,
        smooth=1.2,
    )
    belly = _draw_belly(build, column, chest, rng)
    limbs = _draw_limbs(build, column, pelvis, posture, extended)
    solids = (
        *spine_bones(build, column, rng),
        *rib_bones(build, column, cage, rng),
        *sternum_bones(build, column, cage, rng),
        *pelvis.solids,
        *chest.solids,
        *(solid for limb in limbs for solid in limb.solids),
        *_extras(build, column, rng),
    )
    return Torso(
        build=build,
        column=column,
        cage=cage,
        chest=chest,
        belly=belly,
        pelvis=pelvis,
        limbs=limbs,
        back=back,
        bottom=bottom,
        width=width,
        skin=0.15 + 0.5 * fat,
        solids=solids,
    )


def _draw_belly(build: Build, column: Column, chest: Chest, rng: np.random.Generator) -> Belly:
    uniform = rng.uniform
    start, end = chest.diaphragm[1] + 1.5, column.edge(L7)[0] + 2.0
    deep = build.chest_depth
    gas: list[tuple[FloatArray, FloatArray, float]] = []
    stomach = np.array([chest.diaphragm[0] - uniform(0.0, 1.5), column.y(9.0) + uniform(0.3, 0.6) * deep, uniform(0.1, 1.3)])
    if rng.random() < 0.75:
        gas.append(
            (
                stomach,
                _turned((uniform(0.4, 1.3), uniform(0.5, 1.6), uniform(0.5, 1.3)), uniform(-0.5, 0.5)),
                uniform(0.5, 1.0),
            )
        )
    for _ in range(int(rng.integers(2, 16))):  # small bowel and colon
        x = uniform(start + 3.5, end + 1)
        at = np.array([x, column.y(x) + uniform(0.2, 0.85) * deep, uniform(-0.65, 0.65) * build.chest_width])
        long, thin = uniform(0.4, 1.8), uniform(0.2, 0.5)
        gas.append((at, _turned((long, thin, thin * uniform(1, 2)), uniform(0, 3)), uniform(0.3, 0.95)))
    organs = [
        (np.array([x, column.y(x) + 1.4, side * 1.1]), _turned((1.35, 0.75, 0.75), 0.1), uniform(0.0, 0.12))
        for side, x in ((-1, column.edge(T13 + 1)[0] + 0.6), (1, column.edge(T13 + 2)[0] + 0.6))
    ]
    bladder_x = column.edge(S1)[0] + uniform(-1.5, 0.5)
    organs.append(
        (
            np.array([bladder_x, column.y(bladder_x) + 0.6 * deep, 0.0]),
            _turned((uniform(0.7, 2.0), uniform(0.6, 1.3), uniform(0.7, 1.4)), 0.2),
            uniform(0.02, 0.12),
        )
    )
    colon = column.edge(L7)[0] + 1.0
    for i in range(int(rng.integers(0, 6))):  # faeces
        x = colon - 3.5 + 1.5 * i
        organs.append(
            (
                np.array([x, column.y(x) + uniform(1.5, 2.4), uniform(-0.3, 0.9)]),
                _turned((0.8, 0.6, 0.6), 0.1),
                uniform(0.05, 0.3),
            )
        )
    organs.append(
        (
            np.array([start + 2.6, column.y(8) + 0.75 * deep, 0.0]),
            _turned((2.4, 0.3 * deep, 0.8 * build.chest_width), 0.4),
            uniform(0.0, 0.08),
        )
    )
    return Belly(gas=tuple(gas), organs=tuple(organs))


def _turned(size: tuple[float, float, float], angle: float) -> FloatArray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]]) * np.asarray(size)[:, None])


def _draw_limbs(build: Build, column: Column, pelvis: Pelvis, posture: Posture, wanted: bool | None) -> tuple[Limb, ...]:
    rng = np.random.default_rng([build.seed, 23, len(posture)])
    uniform = rng.uniform
    limbs: list[Limb] = []
    forward, reach = uniform(-0.3, 1.1), uniform(-0.5, 0.6)
    extended = posture == "ventrodorsal" and rng.random() < 0.85
    extended = extended if wanted is None else wanted
    leg, knee_bend = (uniform(0.0, 0.22), uniform(0.1, 0.5)) if extended else (uniform(0.5, 1.9), uniform(0.5, 1.6))
    spread_out = uniform(-0.06, 0.1) if extended else uniform(0.2, 0.9)
    for i, side in enumerate((-1.0, 1.0)):
        lateral = np.array([0.0, 0.0, side])
        if posture == "lateral":
            shoulder = np.array(
                [-3.2 + uniform(-0.6, 0.6), column.y(-3) + 0.62 * build.chest_depth + uniform(-0.4, 0.4), side * 1.7]
            )
            angle = 0.9 + forward + uniform(-0.15, 0.15)
            distal = np.array([np.cos(angle + 0.5), np.sin(angle + 0.5), 0.05 * side])
            top = np.array([uniform(0.0, 1.6), column.y(0) - uniform(0.6, 1.6), side * 1.3])
            flexion = (uniform(0.5, 1.5), uniform(-0.1, 0.4))
        else:
            shoulder = np.array(
                [-3.4 + uniform(-0.6, 0.4), column.y(-3) + 0.5 * build.chest_depth, side * (1.5 + 0.35 * build.chest_width)]
            )
            distal = np.array([-1.0, uniform(-0.2, 0.5), side * uniform(-0.1, 0.5)])
            top = np.array([uniform(-0.6, 1.6), column.y(0) - 0.8, side * (0.55 * build.chest_width + uniform(0.3, 1.0))])
            flexion = (uniform(0.1, 0.7), uniform(-0.1, 0.2))
        if posture != "lateral":
            lateral = np.array([0.0, 1.0, 0.0]) if rng.random() < 0.15 else np.array([0.2, 0.2, side])
        limbs.append(forelimb(build, axes_from(shoulder, distal, lateral, build.humerus), flexion, rng, scapula=top))
        hip = pelvis.hips[i]
        if posture == "lateral":
            # The lower leg is drawn forward, the upper one back.
            turn = 1.57 + (uniform(0.0, 0.6) if side > 0 else -uniform(0.0, 0.5)) + reach * 0.3
            distal = np.array([np.cos(turn), np.sin(turn), 0.08 * side])
            bends = (uniform(0.5, 1.5), uniform(0.4, 1.0))
        else:
            turn = leg + uniform(-0.05, 0.05)
            distal = np.array([np.cos(turn), np.sin(turn), side * (spread_out + uniform(-0.05, 0.05))])
            bends = (knee_bend + uniform(-0.1, 0.1), uniform(0.1, 0.6))
        lateral = np.array([0.0, uniform(-0.25, 0.25), side])
        limbs.append(hindlimb(build, axes_from(hip, distal, lateral, build.femur), bends, rng))
    return tuple(limbs)


def _extras(build: Build, column: Column, rng: np.random.Generator) -> list[Solid]:
    """A microchip between the shoulders, now and then."""
    if rng.random() > 0.35:
        return []
    at = np.array([rng.uniform(-3, 2), column.y(0) - rng.uniform(1.4, 2.6), rng.uniform(-0.6, 0.6)])
    return [
        tube(
            points(at, beside(at, rng.uniform(0.3, 0.7), rng.uniform(-0.3, 0.3), 0.1)),
            0.06 * 16 / build.unit_mm,
            Tissue.BONE,
            weight=7.0,
        )
    ]


def soft_tissue(
    torso: Torso,
    samples: Samples,
    *,
    with_chest: bool,
    with_limbs: tuple[int, ...],
    disease: Callable[[Lungs], Breath] | None = None,
) -> Soft:
    """with_limbs: indices of the limbs whose flesh is near the film. disease: what becomes of the lungs."""
    column, chest = torso.column, torso.chest
    below = samples.y - column.y.at(samples)
    top, bottom, width = torso.back.at(samples), torso.bottom.at(samples), torso.width.at(samples)
    high = (below + top) / (bottom + top)
    around = np.abs(high - np.float32(0.5)) * np.float32(2)
    aside = np.abs(samples.z) / np.maximum(
        width * (np.float32(1.08) - np.float32(0.3) * np.abs(high - np.float32(0.55))), np.float32(0.3)
    )
    depth = np.float32(1) - np.sqrt(around ** np.float32(2.6) + aside ** np.float32(2.2))
    depth *= np.minimum(width, bottom * np.float32(0.5))
    end = float(torso.pelvis.tuber[:, 0].max()) + 0.6
    np.minimum(depth, np.float32(end) - samples.x, out=depth)
    for i in with_limbs:
        for start, stop, radii in torso.limbs[i].flesh:
            depth = joined(depth, in_cone(samples, start, stop, radii), 0.5)
    edge = max(0.12, samples.step)
    body = filled(depth, edge)
    under_skin = filled(depth - np.float32(torso.skin), edge)
    density = body * (np.float32(0.88) + np.float32(0.12) * under_skin)  # fat is lighter than muscle
    still = samples.along(density)
    lung_plane = heart_plane = np.zeros_like(still)
    breath: Breath | None = None
    if with_chest:
        heart = heart_depth(chest, samples)
        cavity = beside_vessels(chest, samples, lung_depth(chest, column, torso.cage, samples))
        lung = lung_share(cavity, heart, samples)
        lung *= body
        lung_plane = samples.along(lung)
        still = still - lung_plane * np.float32(1 - chest.lung_density)
        heart_plane = samples.along(filled(heart, edge))
        if disease is not None:
            inside = below / np.maximum(torso.cage.bottom.at(samples), np.float32(1))
            breath = disease(Lungs(samples=samples, cavity=cavity, body=body, high=inside.astype(np.float32)))
    for centre, axes, weight in torso.belly.gas:
        if _near(samples, centre):
            still = still - samples.along(filled(in_ellipsoid(samples, centre, axes), edge) * np.float32(weight))
    for centre, axes, weight in torso.belly.organs:
        if _near(samples, centre):
            still = still + samples.along(filled(in_ellipsoid(samples, centre, axes), edge) * np.float32(weight))
    ailing = None
    if breath is not None:
        tissue = still + lung_plane * np.float32(1 - chest.lung_density) - breath.air
        ailing = Soft(tissue=np.maximum(tissue, 0), lung=breath.lung, heart=breath.heart, traces=breath.traces)
    return Soft(tissue=np.maximum(still, 0), lung=lung_plane, heart=heart_plane, ailing=ailing)


def _near(samples: Samples, centre: FloatArray) -> bool:
    corners = samples.x[::8, ::8, ::8], samples.y[::8, ::8, ::8]
    return all(part.min() - 2.5 < c < part.max() + 2.5 for part, c in zip(corners, centre, strict=False))
