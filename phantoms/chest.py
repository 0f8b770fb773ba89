"""What the chest holds, in three dimensions: heart, mediastinum, great vessels, the lungs with their diaphragm, airways."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from phantoms.axial import Cage, Column
from phantoms.build import Build
from phantoms.field import Depths, Plane, Samples, filled, in_cone, in_ellipsoid, joined
from phantoms.solids import FloatArray, Solid, Tissue, beside, points, tube

Cone = tuple[FloatArray, FloatArray, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chest:
    """heart: ellipsoids as (centre, axes); vessels: cones of blood through lung; lung_density: against water.

    diaphragm: x at the spine, x at the sternum, bulge, and how far the right half lies before the left; all in vertebrae.
    """

    carina: FloatArray
    apex: FloatArray
    heart: tuple[tuple[FloatArray, FloatArray], ...]
    vessels: tuple[Cone, ...]
    diaphragm: tuple[float, float, float, float]
    mediastinum: tuple[float, float]  # half widths, cranial and caudal of the heart
    cranial: float  # x where the lungs begin
    lung_density: float
    dorsal_gutter: float
    solids: tuple[Solid, ...] = field(repr=False)


def draw_chest(build: Build, column: Column, cage: Cage, rng: np.random.Generator) -> Chest:
    uniform = rng.uniform
    depth = cage.depth
    base_x = uniform(0.6, 2.4)
    carina = np.array([base_x + uniform(0.4, 1.0), column.y(base_x + 0.7) + depth * uniform(0.3, 0.42), 0.0])
    length = min(build.heart_length, (depth * 0.97 - (carina[1] - column.y(base_x))) / np.cos(build.heart_lean))
    length = max(length, 0.42 * depth)
    width = min(build.heart_width, length * 0.92)
    lean = build.heart_lean
    sideways = uniform(0.08, 0.42)  # the apex lies to the left
    axis = np.array([np.sin(lean), np.cos(lean), sideways])
    axis /= np.linalg.norm(axis)
    across = np.array([axis[1], -axis[0], 0.0]) / np.hypot(axis[0], axis[1])
    broad = np.cross(axis, across)
    thick = width * uniform(0.78, 1.0)
    middle = carina + axis * length * 0.5 - np.array([0, 0, 0.1 * width])
    apex = carina + axis * length
    heart = [
        (middle, np.stack([axis * length * 0.5, across * width * 0.5, broad * thick * 0.5])),
        (  # the atria and the vessels' roots widen the base
            carina + axis * length * 0.3 - across * 0.08 * width,
            np.stack([axis * length * 0.32, across * width * 0.5, broad * thick * 0.48]),
        ),
        (  # the right ventricle, cranially and to the right
            middle - across * 0.14 * width - np.array([0, 0, 0.16 * thick]),
            np.stack([axis * length * 0.38, across * width * 0.36, broad * thick * 0.42]),
        ),
    ]
    dorsal, ventral = uniform(8.0, 11.2), max(uniform(4.2, 7.4), float(apex[0]) - uniform(0.0, 0.9))
    diaphragm = (dorsal, ventral, uniform(0.8, 2.6), uniform(-0.9, 0.9))
    inlet = np.array([-4.5, column.y(-4.5) + uniform(0.9, 1.8), 0.0])
    aorta = [beside(carina, -0.9, -0.5, 0.35), beside(carina, 0.6, -1.0, 0.45)]
    aorta += [np.array([x, column.y(x) + 0.75, 0.28]) for x in (carina[0] + 2.2, dorsal + 1.0)]
    thick_vessel = uniform(0.3, 0.45)
    cava_from = carina + axis * length * 0.35 + across * width * 0.4 + (0, 0, -0.5)
    cava = (cava_from, np.array([ventral + 1.2, cava_from[1] + uniform(-0.4, 0.3), -0.8]), (uniform(0.28, 0.42),) * 2)
    vessels: list[Cone] = [(aorta[i], aorta[i + 1], (thick_vessel, thick_vessel)) for i in range(3)]
    vessels.append(cava)
    vessels.append((beside(inlet, 0, 0.5, 0), beside(carina, -0.6, 0.6, 0), (uniform(0.3, 0.7), uniform(0.5, 1.0))))
    radius = uniform(0.2, 0.32)
    bent = (inlet + carina) / 2 + (0, uniform(-0.3, 0.4), -0.2 * rng.random())
    airway = points(np.array([-11.0, column.y(-11.0) + 1.2, 0.0]), inlet, bent, carina - (0, 0.2, 0))
    solids: list[Solid] = [
        tube(airway, radius * 1.2, Tissue.FLESH, weight=0.5, lumen=0.86),
        tube(airway, radius, Tissue.GAS, weight=uniform(0.75, 1.0)),
    ]
    for side in (-1, 1):
        tip = beside(carina, uniform(1.2, 2.6), uniform(0.2, 1.2), side * uniform(0.8, 1.4))
        line = points(carina - (0, 0.2, 0), (carina + tip) / 2 - (0, 0.1, 0), tip)
        solids.append(tube(line, (radius * 0.8, radius * 0.6, radius * 0.3), Tissue.GAS, weight=uniform(0.3, 0.8)))
        solids.append(
            tube(line, (radius * 0.95, radius * 0.75, radius * 0.4), Tissue.FLESH, weight=uniform(0.2, 0.8), lumen=0.85)
        )
    solids += _lung_vessels(carina, cage, diaphragm, rng)
    return Chest(
        carina=carina,
        apex=apex,
        heart=tuple(heart),
        vessels=tuple(vessels),
        diaphragm=diaphragm,
        mediastinum=(uniform(0.1, 0.45) + 0.35 * build.fat, uniform(0.05, 0.15)),
        cranial=uniform(-3.4, -2.2),
        lung_density=uniform(0.22, 0.5),
        dorsal_gutter=uniform(0.2, 0.7),
        solids=tuple(solids),
    )


def _lung_vessels(
    carina: FloatArray, cage: Cage, diaphragm: tuple[float, float, float, float], rng: np.random.Generator
) -> list[Solid]:
    """Arteries and veins, branching twice, thinning towards the wall. They count only where lung is behind the pixel."""
    uniform = rng.uniform
    solids: list[Solid] = []
    thick = uniform(0.7, 1.2)
    for _ in range(int(rng.integers(16, 34))):
        side = rng.choice([-1.0, 1.0])
        backwards = rng.random() < 0.68
        target = np.array(
            [
                uniform(diaphragm[1], diaphragm[0]) if backwards else uniform(-3, 0.5),
                carina[1] + uniform(-0.4, 0.45) * cage.depth,
                side * uniform(0.3, 0.9) * cage.width(4.0),
            ]
        )
        start = carina + rng.normal(0, 0.3, 3) + (0.3, 0.2, side * 0.6)
        bow = (start + target) / 2 + rng.normal(0, 0.35, 3)
        radius = uniform(0.1, 0.24) * thick
        solids.append(tube(points(start, bow, target), (radius, radius * 0.6, 0.03), Tissue.VESSEL))
        for _ in range(2):
            branch = bow + (target - start) * uniform(0.2, 0.5) + rng.normal(0, 0.8, 3)
            solids.append(tube(points(bow, branch), (radius * 0.55, 0.02), Tissue.VESSEL))
    return solids


def heart_depth(chest: Chest, samples: Samples) -> Depths:
    depth = in_ellipsoid(samples, *chest.heart[0])
    for part in chest.heart[1:]:
        depth = joined(depth, in_ellipsoid(samples, *part), 0.5)
    return depth


def lung_depth(chest: Chest, column: Column, cage: Cage, samples: Samples) -> Depths:
    """How deep in the lungs each point lies, were there no heart and no vessels."""
    x, z = samples.x, samples.z
    below = samples.y - column.y.at(samples)
    bottom, width = cage.bottom.at(samples), cage.width.at(samples)
    # The cavity: an ellipse, narrower towards the sternum, beside the vertebrae reaching above their bodies.
    high = (below + np.float32(chest.dorsal_gutter)) / (bottom + np.float32(chest.dorsal_gutter))
    around = (high - np.float32(0.5)) * np.float32(2)
    narrow = width * (np.float32(1.06) - np.float32(0.22) * high)
    aside = np.abs(z) / np.maximum(narrow, np.float32(0.3))
    depth = np.float32(1) - np.sqrt(np.abs(around) ** np.float32(2.4) + aside ** np.float32(2.2))
    depth *= np.minimum(width, np.float32(3))
    # The vertebral bodies and what lies beside them.
    np.minimum(depth, np.maximum(below - np.float32(0.45), np.abs(z) - np.float32(0.5)), out=depth)
    # The diaphragm: from the spine forward to the sternum, bulging towards the head on either side.
    dorsal, ventral, bulge, apart = chest.diaphragm
    share = np.clip(below / np.maximum(bottom, np.float32(1)), 0, 1)
    domed = share * (np.float32(1) - share) * np.float32(4 * 0.6)
    domed *= np.float32(1) - np.float32(0.7) * np.minimum(aside * aside, 1)
    limit = np.float32(dorsal) + np.float32(ventral - dorsal) * share - np.float32(bulge) * domed
    limit += np.float32(0.5 * apart) * np.clip(z * np.float32(1.4), -1, 1)
    limit += np.float32(1.1) * np.minimum(aside * aside, np.float32(1.2)) * (np.float32(1) - share)
    np.minimum(depth, (limit - x) * np.float32(0.8), out=depth)
    np.minimum(depth, x - np.float32(chest.cranial) - np.float32(0.25) * below, out=depth)
    # The mediastinum divides the lungs; cranially it is as wide as the vessels and fat within.
    cranial, caudal = chest.mediastinum
    fade = np.clip((x - np.float32(chest.carina[0] - 2.5)) * np.float32(1 / 3.0), 0, 1)
    sheet = np.float32(cranial) + np.float32(caudal - cranial) * fade
    np.minimum(depth, np.abs(z) - sheet, out=depth)
    return np.asarray(depth, dtype=np.float32)


def beside_vessels(chest: Chest, samples: Samples, depth: Depths) -> Depths:
    """The depth in lung, less where the great vessels are."""
    for start, end, radii in chest.vessels:
        depth = np.minimum(depth, -in_cone(samples, start, end, radii))
    return depth


def lung_share(depth: Depths, heart: Depths, samples: Samples) -> Depths:
    """0 … 1: how much of each point is lung. depth: beside the vessels; heart: as from `heart_depth`."""
    return filled(np.minimum(depth, -heart), max(0.14, samples.step))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lungs:
    """Where an animal's lungs can be, before it ails: each (rows, columns, samples).

    cavity: depth beside the vessels, the heart left out; body: share of a point that lies under the skin; high: 0 at the
    spine, 1 at the sternum.
    """

    samples: Samples
    cavity: Depths
    body: Depths
    high: Depths


@dataclass(frozen=True, slots=True, kw_only=True)
class Breath:
    """Sums along rays of ailing lungs, each (rows, columns): air of any kind, lung that holds some, the heart.

    traces: of each finding by its concept, how much it changed.
    """

    air: Plane
    lung: Plane
    heart: Plane
    traces: dict[str, Plane]
