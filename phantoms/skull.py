"""The head: cranium, face with its air, jaws with their teeth, zygomatic arches, bullae."""

from __future__ import annotations

import numpy as np

from domain.types import Species
from phantoms.build import Build
from phantoms.limbs import Limb
from phantoms.solids import FloatArray, Solid, Tissue, beside, ellipsoid, points, tube


def draw_skull(build: Build, rng: np.random.Generator) -> Limb:
    """In a frame of its own: x caudal, y ventral, z left; origin between the orbits. Joints: nose, occiput, jaw."""
    uniform = rng.uniform
    brain = build.skull * 0.52
    face = brain * (0.35 + 1.1 * build.muzzle)
    wide = brain * uniform(0.42, 0.52) * (1.1 if build.species is Species.CAT else 1.0)
    high = brain * uniform(0.4, 0.5)
    weight = uniform(0.5, 0.9) * build.bone_weight
    wall = uniform(0.86, 0.92)
    occiput, nose = np.array([brain, 0.05 * brain, 0.0]), np.array([-face, 0.28 * brain, 0.0])
    skull = (brain * 0.55, 0.02, 0.0)
    solids: list[Solid] = [
        ellipsoid(skull, (brain * 0.58, high, wide), Tissue.BONE, weight=weight),
        ellipsoid(skull, (brain * 0.58 * wall, high * wall, wide * wall), Tissue.BONE, weight=-weight * 0.97),
        tube(
            points((-0.1 * brain, -0.1 * brain, 0), (-face * 0.6, 0.12 * brain, 0), nose),
            (0.34 * brain, 0.26 * brain, 0.15 * brain),
            Tissue.BONE,
            weight=weight * 0.7,
            lumen=0.86,
            lumen_weight=0.12 * weight,
        ),
        tube(
            points((-0.1 * brain, 0.05 * brain, 0), (-face * 0.95, 0.25 * brain, 0)),
            (0.2 * brain, 0.1 * brain),
            Tissue.GAS,
            weight=0.5,
        ),
        tube(
            points((-0.05 * brain, 0.4 * brain, 0), (-face * 0.95, 0.42 * brain, 0)),
            (0.1 * brain, 0.07 * brain),
            Tissue.BONE,
            weight=weight * 0.9,
        ),
        tube(points((0.95 * brain, -0.25 * brain, 0), (0.4 * brain, -high, 0)), (0.07, 0.05), Tissue.BONE, weight=weight),
        ellipsoid((0.1 * brain, -0.28 * brain, 0), (0.2 * brain, 0.12 * brain, 0.2 * brain), Tissue.GAS, weight=0.7),
        tube(points((brain * 0.45, 0.62 * brain, 0), (1.6 * brain, 0.75 * brain, 0)), 0.12 * brain, Tissue.GAS, weight=0.8),
    ]
    angle = uniform(0.05, 0.3)
    joint = np.array([0.42 * brain, 0.35 * brain, 0.0])
    for side in (-1, 1):

        def lower(at: tuple[float, float, float], side: int = side) -> FloatArray:
            """A point of the jaw, opened by `angle` about its joint."""
            p = np.array(at) - joint
            turned = np.array(
                [p[0] * np.cos(angle) + p[1] * np.sin(angle), -p[0] * np.sin(angle) + p[1] * np.cos(angle), p[2] * side]
            )
            return np.asarray(joint + turned)

        arch = points(
            (0.4 * brain, 0.25 * brain, side * wide * 0.95),
            (0.05 * brain, 0.3 * brain, side * wide * 1.3),
            (-0.3 * brain, 0.22 * brain, side * wide * 0.8),
        )
        solids.append(tube(arch, (0.09, 0.12, 0.1), Tissue.BONE, weight=weight))
        solids.append(
            ellipsoid(
                (0.62 * brain, 0.45 * brain, side * wide * 0.55),
                (0.17 * brain, 0.15 * brain, 0.14 * brain),
                Tissue.BONE,
                weight=weight * 0.6,
            )
        )
        solids.append(
            ellipsoid(
                (0.62 * brain, 0.45 * brain, side * wide * 0.55),
                (0.14 * brain, 0.12 * brain, 0.11 * brain),
                Tissue.BONE,
                weight=-weight * 0.5,
            )
        )
        jaw = points(
            lower((0.45 * brain, 0.33 * brain, wide * 0.85)),
            lower((0.4 * brain, 0.7 * brain, wide * 0.8)),
            lower((-0.1 * brain, 0.72 * brain, wide * 0.65)),
            lower((-face * 0.9, 0.52 * brain, wide * 0.16)),
        )
        solids.append(
            tube(
                jaw,
                (0.08 * brain, 0.13 * brain, 0.13 * brain, 0.08 * brain),
                Tissue.BONE,
                weight=weight,
                lumen=0.5,
                lumen_weight=weight * 0.4,
            )
        )
        coronoid = points(lower((0.3 * brain, 0.6 * brain, wide * 0.85)), lower((0.3 * brain, 0.05 * brain, wide * 0.8)))
        solids.append(tube(coronoid, (0.12 * brain, 0.05 * brain), Tissue.BONE, weight=weight * 0.5))
        for i, at in enumerate(np.linspace(0.05, 0.92, 8)):
            out = side * (0.3 * brain * (1 - at) + 0.1 * brain)
            size = brain * (0.05 if 0 < i < 6 else 0.035)
            long = brain * (0.26 if i == 6 else 0.14)
            x = -0.1 * brain - at * face * 0.85
            solids.append(
                tube(
                    points((x, 0.36 * brain, out), (x - 0.02, 0.36 * brain + long, out)),
                    (size, size * 0.4),
                    Tissue.BONE,
                    weight=weight * 2.2,
                )
            )
            tooth = lower((x - 0.05 * brain, 0.62 * brain, abs(out)))
            solids.append(
                tube(points(tooth, tooth - (0.05 * brain, long, 0)), (size, size * 0.4), Tissue.BONE, weight=weight * 2.0)
            )
        ear = points(
            (0.75 * brain, -0.2 * brain, side * wide * 0.9), (0.95 * brain, -0.9 * brain, side * wide * uniform(0.9, 1.8))
        )
        solids.append(tube(ear, (0.25 * brain, 0.1 * brain), Tissue.FLESH, weight=0.25))
    neck = np.array([2.6 * brain, 0.35 * brain + uniform(-0.4, 0.6) * brain, 0.0])
    along = (neck - occiput) / np.linalg.norm(neck - occiput)
    for i in range(4):
        at = occiput + np.array([0.05, 0.2 * brain, 0]) + along * (0.1 + i * 1.5)
        solids += [
            tube(
                points(at, at + along * 1.25),
                (0.42, 0.36, 0.42),
                Tissue.BONE,
                weight=weight * 0.7,
                lumen=0.6,
                lumen_weight=0.3 * weight,
            ),
            tube(points(beside(at, 0.1, -0.75, 0), at + along * 1.2 - (0, 0.7, 0)), 0.22, Tissue.BONE, weight=weight * 0.7),
        ]
    jaw_end = np.array([-face * 0.85, 0.7 * brain + face * np.sin(angle) * 0.8, 0.0])
    flesh = (
        (
            np.array([0.25 * brain, 0.08 * brain, 0.0]),
            np.array([0.8 * brain, 0.15 * brain, 0.0]),
            (wide * 1.15, wide * 1.25),
        ),
        (np.array([-0.1 * brain, 0.2 * brain, 0.0]), nose, (0.5 * brain, 0.26 * brain)),
        (np.array([0.2 * brain, 0.6 * brain, 0.0]), jaw_end, (0.45 * brain, 0.2 * brain)),
        (np.array([0.8 * brain, 0.3 * brain, 0.0]), neck, (0.75 * brain, 0.85 * brain)),
    )
    return Limb(solids=tuple(solids), flesh=flesh, joints={"nose": nose, "occiput": occiput, "jaw": jaw_end})
