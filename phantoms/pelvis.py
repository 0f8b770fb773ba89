"""The pelvis: ilium, acetabulum, ischium and pubis of each side around the obturator foramen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from domain.types import Species
from phantoms.axial import Column
from phantoms.build import S1, Build
from phantoms.solids import Ellipsoid, FloatArray, Solid, Tissue, beside, ellipsoid, points, tube


@dataclass(frozen=True, slots=True, kw_only=True)
class Pelvis:
    """hips: (2, 3) middles of the acetabula, right then left; crest, tuber: (2, 3) cranial and caudal ends."""

    solids: tuple[Solid, ...]
    hips: FloatArray
    crest: FloatArray
    tuber: FloatArray


def draw_pelvis(build: Build, column: Column, rng: np.random.Generator) -> Pelvis:
    uniform = rng.uniform
    length = build.pelvis
    weight = uniform(0.45, 0.8) * build.bone_weight
    girth = build.bone_girth
    cat = build.species is Species.CAT
    sacrum = column.edge(S1)
    slope = np.deg2rad(uniform(10, 40))  # of the ilium against the spine
    along = np.array([np.cos(slope), np.sin(slope), 0.0])
    dorsal = np.array([along[1], -along[0], 0.0])
    joint = sacrum + np.array([0.35, 0.1, 0.0])
    flare = uniform(0.16, 0.2) if cat else uniform(0.18, 0.26)
    wide = uniform(0.155, 0.185) * length
    solids: list[Solid] = []
    hips, crests, tubers = [], [], []
    wing, foramen, tilt = uniform(0.10, 0.14), uniform(0.09, 0.12), uniform(0.4, 0.9)
    for side in (-1, 1):
        hip = joint + along * 0.36 * length - dorsal * 0.02 * length
        hip = hip + np.array([0.0, 0.0, side * wide])
        at = _from_acetabulum(hip, side * length, length * along, length * dorsal)
        crest, body = at(-0.55, 0.04, (flare - wide / length) * uniform(0.85, 1.1)), at(-0.14, 0.02, -0.012)
        neck = at(-0.28, 0.02, -0.02)
        tuber = at(0.40, 0.05, uniform(0.02, 0.09))
        pubis, arch = at(0.06, -0.10, -(wide / length) + 0.01), at(0.32, -0.05, -(wide / length) + 0.012)
        table = at(0.3, 0.01, 0.0)
        thick = np.array([0.014, 0.032, 0.034]) * length * girth
        outward = crest - body
        outward = outward / np.linalg.norm(outward)
        # The wing faces outwards and, by half a right angle, up: from below it shows its breadth.
        normal = np.array([0.0, 0.0, side * np.cos(tilt)]) + np.sin(tilt) * dorsal
        normal -= (normal @ outward) * outward
        normal /= np.linalg.norm(normal)
        height = np.cross(outward, normal)
        blade = np.stack([outward * 0.2 * length, height * wing * length, normal * 0.016 * length])
        solids += [
            Ellipsoid(
                centre=at(-0.4, 0.04, (flare - wide / length) * 0.6), axes=blade, tissue=Tissue.BONE, weight=weight * 0.9
            ),
            tube(
                points(crest + height * 0.06 * length, crest, crest - height * 0.07 * length),
                0.02 * length,
                Tissue.BONE,
                weight=weight,
            ),
            tube(
                points(crest, neck, body, hip),
                (*thick, 0.03 * length * girth),
                Tissue.BONE,
                weight=weight,
                lumen=0.5,
                lumen_weight=weight * 0.5,
            ),
            tube(
                points(crest - height * 0.09 * length, at(-0.42, -0.05, 0.0), neck),
                (0.014 * length, 0.02 * length),
                Tissue.BONE,
                weight=weight * 0.7,
            ),
            tube(
                points(beside(joint, 0, 0, side * 0.7), at(-0.33, 0.04, -0.03)),
                (0.05 * length, 0.03 * length),
                Tissue.BONE,
                weight=weight * 0.5,
            ),
            ellipsoid(
                hip - (0, 0, side * 0.035 * length),
                (0.078 * length, 0.078 * length, 0.04 * length),
                Tissue.BONE,
                weight=weight * 0.35,
            ),
            tube(
                points(at(-0.075, 0.03, 0.025), at(0, 0.075, 0.035), at(0.07, 0.03, 0.02)),
                0.018 * length,
                Tissue.BONE,
                weight=weight,
            ),
            tube(
                points(hip, at(0.12, 0.035, 0.005), at(0.25, 0.035, 0.012), tuber),
                (0.025 * length, 0.03 * length, 0.034 * length, 0.04 * length),
                Tissue.BONE,
                weight=weight,
            ),
            tube(
                points(beside(tuber, 0, 0, side * 0.02 * length), tuber, at(0.4, 0.0, -0.06), arch),
                (0.03 * length, 0.032 * length, 0.024 * length),
                Tissue.BONE,
                weight=weight * 0.9,
            ),
            tube(
                points(hip, at(0.04, -0.06, -0.07), pubis),
                (0.022 * length, 0.022 * length, 0.026 * length),
                Tissue.BONE,
                weight=weight,
            ),
            tube(
                points(pubis, (pubis + arch) / 2 + (0, 0, side * 0.004 * length), arch),
                (0.026 * length, 0.022 * length, 0.026 * length),
                Tissue.BONE,
                weight=weight * 0.8,
            ),
            tube(
                points(at(0.2 + foramen, 0.0, -0.02), table, arch),
                (0.03 * length, 0.035 * length, 0.02 * length),
                Tissue.BONE,
                weight=weight * 0.5,
            ),
        ]
        hips.append(hip)
        crests.append(crest)
        tubers.append(tuber)
    return Pelvis(solids=tuple(solids), hips=np.array(hips), crest=np.array(crests), tuber=np.array(tubers))


def _from_acetabulum(
    hip: FloatArray, out: float, along: FloatArray, up: FloatArray
) -> Callable[[float, float, float], FloatArray]:
    """Points in shares of the pelvis: caudally along the ilium, dorsally, laterally."""

    def at(caudal: float, dorsal: float, lateral: float) -> FloatArray:
        return beside(hip + caudal * along + dorsal * up, 0.0, 0.0, lateral * out)

    return at
