"""A dog's body from a seed: the same seed is the same dog, from whichever side it is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phantoms.heart import Heart, draw_heart
from phantoms.solids import FloatArray, Solid, Tissue, ellipsoid, points, tube
from phantoms.spine import Spine, draw_spine, ribs, sternum, vertebrae
from phantoms.thorax import Thorax, draw_thorax


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """unit_mm: length of a mean thoracic vertebra; hidden: how much of the heart shows where no lung is behind it."""

    seed: int
    spine: Spine
    heart: Heart
    thorax: Thorax
    solids: tuple[Solid, ...]
    unit_mm: float
    mediastinal_density: float


def draw_body(seed: int) -> Body:
    rng = np.random.default_rng([seed, 1])
    spine = draw_spine(rng)
    depth = rng.uniform(5.6, 8.4)
    carina_x = rng.uniform(1.3, 3.3)
    heart = draw_heart(rng, edges=spine.counted, depth=depth, spine_y=float(spine.y(carina_x)), x=carina_x)
    thorax = draw_thorax(rng, spine, depth=depth, apex=heart.long_axis[1])
    solids = [
        *vertebrae(spine, thorax.trunk.back, rng),
        *ribs(spine, thorax.chest, thorax.depth, rng),
        *sternum(spine, thorax.depth, thorax.sternum.slope, rng),
        *_mediastinum(spine, heart, thorax, rng),
        *_airways(spine, heart, rng),
        *_pulmonary_vessels(heart, rng),
        *_forelimbs(spine, rng),
        *_abdomen(spine, thorax, rng),
        *_muscle_and_fat(spine, heart, rng),
    ]
    if rng.random() < 0.3:
        solids.append(_microchip(spine, thorax, rng))
    return Body(
        seed=seed,
        spine=spine,
        heart=heart,
        thorax=thorax,
        solids=tuple(solids),
        unit_mm=float(np.exp(rng.uniform(np.log(9), np.log(28)))),
        mediastinal_density=rng.uniform(0.85, 1.0),
    )


def trachea_line(spine: Spine, heart: Heart, rng: np.random.Generator) -> FloatArray:
    """(10, 3) from the thoracic inlet to the carina, a quadratic curve."""
    inlet = np.array([-4.5, float(spine.y(-4.5)) + rng.uniform(0.9, 1.9)])
    end = heart.silhouette.carina - np.array([0.0, 0.25])
    bend = (inlet + end) / 2 + np.array([0, rng.uniform(-0.35, 0.35)])
    t = np.linspace(0, 1, 10)[:, None]
    line = inlet * (1 - t) ** 2 + 2 * bend * t * (1 - t) + end * t**2
    return np.column_stack([line, np.zeros(10)])


def _airways(spine: Spine, heart: Heart, rng: np.random.Generator) -> list[Solid]:
    uniform = rng.uniform
    radius = uniform(0.16, 0.3)
    line = trachea_line(spine, heart, rng)
    # The carina landmark is the ventral border of the left main bronchus: it touches the airway from below.
    line[:, 1] += 0.25 - radius * uniform(0.9, 1.1)
    solids: list[Solid] = [
        tube(line, radius * 1.15, Tissue.FLESH, weight=0.9, lumen=0.87),
        tube(line, radius, Tissue.GAS, weight=uniform(0.75, 1.0)),
    ]
    end = line[-1]
    for side in (-1, 1):
        angle, length = uniform(0.05, 0.75), uniform(0.8, 2.2)
        tip = end + length * np.array([np.cos(angle), np.sin(angle), side * 0.35])
        middle = (end + tip) / 2
        wall, lumen = uniform(0.2, 1.0), uniform(0.3, 0.8)
        radii = (radius * 0.8, radius * 0.62, radius * 0.35)
        solids.append(tube(points(end, middle, tip), radii, Tissue.FLESH, weight=wall, lumen=0.85))
        solids.append(tube(points(end, middle, tip), np.array(radii) * 0.85, Tissue.GAS, weight=lumen))
    spot = radius * uniform(0.75, 1.05)  # the lobar bronchus seen end on
    solids.append(
        ellipsoid(
            end + np.array([*rng.normal(0, 0.05, 2), 0]), (spot, spot, radius * uniform(0.3, 1.2)), Tissue.GAS, weight=0.9
        )
    )
    return solids


def _mediastinum(spine: Spine, heart: Heart, thorax: Thorax, rng: np.random.Generator) -> list[Solid]:
    """Cranial mediastinum, aorta, caudal vena cava, oesophagus: soft tissue that meets the heart without a border."""
    uniform = rng.uniform
    line = trachea_line(spine, heart, rng)
    solids: list[Solid] = [tube(line, uniform(0.25, 0.7), Tissue.MEDIASTINUM)]
    for _ in range(rng.integers(1, 3)):
        below = line + np.array([0, uniform(0.4, 1.5), 0])
        solids.append(tube(below, (uniform(0.4, 1.5), uniform(0.3, 1.0)), Tissue.MEDIASTINUM))
    shape = heart.silhouette
    carina, along, across = shape.carina, shape.direction, shape.normal
    root = carina + along * uniform(0.2, 0.9) - across * uniform(0.4, 1.1)
    arch = carina + np.array([-uniform(0.4, 1.2), -uniform(0.1, 0.6)])
    x = np.linspace(carina[0] + 0.3, thorax.left_lung.diaphragm_dorsal + 1.5, 8)
    descending = np.column_stack([x, spine.y(x) + uniform(0.65, 1.2)])
    aorta = np.column_stack([np.concatenate([[root], [arch], descending]), np.full(10, -0.3)])
    solids.append(tube(aorta, uniform(0.28, 0.45), Tissue.MEDIASTINUM))
    at = int(uniform(0.2, 0.45) * (len(shape.shares) - 1))
    hilum = carina + shape.length * (shape.shares[at] * along + shape.caudal[at] * across * 0.9)
    end_x = max(thorax.right_lung.diaphragm_ventral + uniform(-0.2, 0.8), hilum[0] + 0.6)
    cava = points((hilum[0], hilum[1], 0.4), (end_x, hilum[1] + uniform(-0.5, 0.5), 0.5))
    solids.append(tube(cava, uniform(0.22, 0.42), Tissue.MEDIASTINUM))
    if rng.random() < 0.3:  # hilar lymph nodes or pulmonary trunk, within the silhouette's shadow
        at_hilum = carina + along * uniform(0.3, 0.8) + across * uniform(0.2, 0.6)
        solids.append(
            ellipsoid(
                (*at_hilum, 0.0),
                (uniform(0.3, 0.8), uniform(0.3, 0.6), uniform(0.3, 0.8)),
                Tissue.MEDIASTINUM,
                turn=uniform(0, 3),
            )
        )
    return solids


def _pulmonary_vessels(heart: Heart, rng: np.random.Generator) -> list[Solid]:
    uniform = rng.uniform
    hilum = np.append(heart.silhouette.carina + np.array([uniform(0, 0.5), uniform(0, 0.4)]), 0.0)
    t = np.linspace(0, 1, 5)
    solids: list[Solid] = []
    thick = uniform(0.7, 1.2)
    for _ in range(rng.integers(16, 44)):
        angle = rng.choice([uniform(-0.75, 0.75), uniform(2.2, 3.6), uniform(0.5, 1.3)])
        length, curve, spread = uniform(1.0, 4.5), uniform(-0.5, 0.5), uniform(-0.7, 0.7)
        heading = angle + curve * t
        line = hilum + np.array([*rng.normal(0, 0.25, 2), 0.0])
        line = line + np.column_stack([np.cos(heading), np.sin(heading), np.full(5, spread)]) * (length * t)[:, None]
        solids.append(tube(line, (uniform(0.08, 0.24) * thick, 0.02), Tissue.VESSEL))
    return solids


def _forelimbs(spine: Spine, rng: np.random.Generator) -> list[Solid]:
    """Scapula, humerus, radius and the muscle around them, on both sides; drawn cranially as for a thorax film."""
    uniform = rng.uniform
    solids: list[Solid] = []
    muscle = uniform(0.1, 0.8)
    base = np.array([uniform(-4.5, -1.2), float(spine.y(-2)) + uniform(1.0, 4.0)])
    for side in (-1, 1):
        if rng.random() < 0.06:
            continue
        shoulder = np.append(base + rng.normal(0, 0.45, 2), side * 2.4)
        top = np.array([shoulder[0] + uniform(0.8, 3.2), float(spine.y(0)) - uniform(0.4, 2.2), side * 1.6])
        blade = top - shoulder
        turn = float(np.arctan2(blade[1], blade[0]))
        length = float(np.hypot(blade[0], blade[1]))
        solids += [
            tube(points(top, shoulder), (0.1, 0.13), Tissue.BONE, weight=uniform(0.2, 0.7)),
            tube(
                points(top + np.array([uniform(-1.2, -0.2), uniform(-0.6, 0.2), 0]), shoulder),
                (0.08, 0.12),
                Tissue.BONE,
                weight=uniform(0.1, 0.5),
            ),
            ellipsoid((top + shoulder) / 2, (length * 0.55, uniform(0.5, 1.0), 0.05), Tissue.BONE, turn=turn, weight=0.8),
            ellipsoid(
                (top + shoulder) / 2,
                (length * 0.62, uniform(0.8, 1.5), uniform(0.3, 0.8)),
                Tissue.FLESH,
                turn=turn,
                weight=muscle,
            ),
        ]
        elbow = shoulder + np.array([uniform(-1.8, 2.2), uniform(2.0, 4.2), side * 0.3])
        shaft = points(shoulder, shoulder * 0.85 + elbow * 0.15, shoulder * 0.2 + elbow * 0.8, elbow)
        solids.append(tube(shaft, (0.55, 0.33, 0.3, 0.45), Tissue.BONE, weight=0.8, lumen=0.6, lumen_weight=0.2))
        upper = points(shoulder - [0, 0.5, 0], elbow)
        solids.append(tube(upper, (uniform(0.8, 1.8), uniform(0.6, 1.2)), Tissue.FLESH, weight=muscle * 0.7))
        paw = elbow + np.array([uniform(-4, -0.5), uniform(-0.4, 1.6), 0])
        solids.append(tube(points(elbow, paw), (0.35, 0.28), Tissue.BONE, weight=0.8, lumen=0.6, lumen_weight=0.2))
        olecranon = elbow + np.array([uniform(0.1, 0.5), uniform(0.0, 0.4), 0])
        solids.append(tube(points(elbow, olecranon), (0.3, 0.2), Tissue.BONE, weight=0.7))
    if rng.random() < 0.6:  # the shoulders' mass over the cranial chest
        size = (uniform(1.5, 3.5), uniform(1.5, 4.0), uniform(0.15, 1.1))
        x, y, softness = uniform(-5.0, -1.5), float(spine.y(-2)) + uniform(-1, 4), uniform(0.5, 1.5)
        solids += [ellipsoid((x, y, z), size, Tissue.FLESH, softness=softness) for z in (-2.3, 2.3)]
    return solids


def _abdomen(spine: Spine, thorax: Thorax, rng: np.random.Generator) -> list[Solid]:
    """Gas in stomach and bowel, the liver's fat planes."""
    uniform = rng.uniform
    start = thorax.left_lung.diaphragm_ventral + 1.5
    solids: list[Solid] = []
    for _ in range(rng.integers(0, 4)):
        centre = (uniform(start, max(13.0, start + 1)), float(spine.y(9)) + uniform(1.2, 6), uniform(-2, 1))
        size = (uniform(0.5, 2.2), uniform(0.4, 1.3), uniform(0.25, 1.25))
        solids.append(ellipsoid(centre, size, Tissue.GAS, turn=uniform(0, 3)))
    for _ in range(rng.integers(1, 4)):
        centre = (uniform(start + 1, 14), float(spine.y(9)) + uniform(1.5, 6.5), 0.0)
        size = (uniform(0.8, 3), uniform(0.5, 1.6), uniform(0.2, 0.8))
        solids.append(ellipsoid(centre, size, Tissue.FLESH, turn=uniform(0, 3), weight=uniform(-0.5, 0.6)))
    return solids


def _muscle_and_fat(spine: Spine, heart: Heart, rng: np.random.Generator) -> list[Solid]:
    uniform = rng.uniform
    apex = heart.long_axis[1]
    solids: list[Solid] = [
        ellipsoid(  # pericardial fat
            (apex[0] + uniform(-0.8, 0.8), apex[1] + uniform(-0.2, 0.5), 0.0),
            (uniform(0.8, 2.0), uniform(0.3, 0.8), uniform(0, 0.5)),
            Tissue.FLESH,
            turn=uniform(-0.4, 0.6),
        )
    ]
    for _ in range(rng.integers(2, 8)):
        centre = (uniform(-5, 12), float(spine.y(3)) + uniform(-2, 8), 0.0)
        size = (uniform(0.7, 4), uniform(0.5, 2), 0.5)
        solids.append(
            ellipsoid(centre, size, Tissue.FLESH, turn=uniform(0, 3), weight=uniform(-0.4, 0.6), softness=uniform(0.5, 1.5))
        )
    return solids


def _microchip(spine: Spine, thorax: Thorax, rng: np.random.Generator) -> Solid:
    at = np.array([rng.uniform(-3, 2), float(spine.y(0)) - thorax.trunk.back * rng.uniform(0.4, 1.0), 0.3])
    return tube(points(at, at + np.array([0.5, rng.uniform(-0.3, 0.3), 0])), 0.07, Tissue.BONE, weight=6.0)
