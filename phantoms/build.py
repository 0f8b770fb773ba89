"""An animal's build from a seed: species, size and proportions, before any bone is placed.

Lengths are in mean thoracic vertebrae; body frame as in `phantoms.solids`: x caudal, y ventral, z to the animal's left, its
origin at the cranial edge of T4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.types import Species

FIRST_VERTEBRA, LAST_VERTEBRA = -10, 20  # C1 … S3 relative to T4, the latter excluded
T1, T13, L1, L7, S1 = -3, 9, 10, 16, 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """chest_depth: from spine to sternum; chest_width: half; fat: 0 lean to 1 obese; bone_*: against a dog's mean."""

    seed: int
    species: Species
    unit_mm: float
    chest_depth: float
    chest_width: float
    fat: float
    muscle: float
    femur: float
    humerus: float
    pelvis: float
    skull: float
    muzzle: float  # length of the face over that of the cranium
    bone_weight: float
    bone_girth: float
    body_height: float  # of a vertebral body over its length
    process: float  # length of the thoracic spinous processes
    heart_length: float
    heart_width: float
    heart_lean: float  # radians between the heart's axis and the spine's normal
    rib_sweep: float


def draw_build(seed: int, species: Species) -> Build:
    """Proportions of dogs of all breeds, or of cats: these are finer, longer, and more alike."""
    rng = np.random.default_rng([seed, 21, 1 if species is Species.CAT else 0])
    uniform = rng.uniform
    if species is Species.CAT:
        return Build(
            seed=seed,
            species=species,
            unit_mm=uniform(8.0, 11.5),
            chest_depth=uniform(4.6, 6.2),
            chest_width=uniform(2.1, 2.9),
            fat=uniform(0, 1) ** 1.5,
            muscle=uniform(0.6, 1.0),
            femur=uniform(9.0, 11.5),
            humerus=uniform(8.4, 10.5),
            pelvis=uniform(7.0, 8.4),
            skull=uniform(4.0, 4.8),
            muzzle=uniform(0.35, 0.6),
            bone_weight=uniform(0.5, 1.1),
            bone_girth=uniform(0.75, 1.0),
            body_height=uniform(0.45, 0.62),
            process=uniform(0.45, 0.75),
            heart_length=uniform(3.6, 4.8),
            heart_width=uniform(2.6, 3.4),
            heart_lean=uniform(0.5, 1.1),
            rib_sweep=uniform(0.9, 1.5),
        )
    return Build(
        seed=seed,
        species=species,
        unit_mm=float(np.exp(uniform(np.log(9), np.log(28)))),
        chest_depth=uniform(5.4, 8.4),
        chest_width=uniform(2.4, 4.7),
        fat=uniform(0, 1) ** 1.5,
        muscle=uniform(0.7, 1.3),
        femur=uniform(7.0, 10.5),
        humerus=uniform(6.5, 9.5),
        pelvis=uniform(6.6, 8.6),
        skull=uniform(4.6, 6.4),
        muzzle=uniform(0.3, 1.15),
        bone_weight=uniform(0.5, 1.3),
        bone_girth=uniform(0.8, 1.3),
        body_height=uniform(0.52, 0.8),
        process=uniform(0.75, 1.25),
        heart_length=uniform(4.2, 6.4),
        heart_width=uniform(3.2, 5.2),
        heart_lean=uniform(0.15, 0.85),
        rib_sweep=uniform(0.6, 1.3),
    )
