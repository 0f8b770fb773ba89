"""What a phantom can have: findings, how grave they are, where they can be seen, and how often they come together.

Sizes and contrasts are set down where each is drawn, with their sources; they were fixed before any model was trained on
them. Concepts are the code values of `domain.codes.FINDINGS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from domain.types import Code, Region, Species, View
from phantoms.outlines import Polygon, outlines

CARDIOMEGALY, LEFT_ATRIUM, ALVEOLAR, INTERSTITIAL = "CARDIOMEGALY", "LAENLARGED", "ALVEOLAR", "112004"
BRONCHIAL, NODULE, EFFUSION, PNEUMOTHORAX = "BRONCHIAL", "LUNGNODULE", "60046008", "36118008"
TRACHEA, OESOPHAGUS = "TRACHNARROW", "MEGAESOPHAGUS"
FRACTURE, LUXATION, PATELLA_LUXATION, HIP_DYSPLASIA = "FRACTURE", "LUXATION", "PATLUXATION", "HIPDYSPLASIA"
OSTEOARTHRITIS, STIFLE_EFFUSION, AGGRESSIVE = "OSTEOARTHRITIS", "STIFLEEFFUSION", "AGGRBONE"

THORAX = (
    CARDIOMEGALY,
    LEFT_ATRIUM,
    ALVEOLAR,
    INTERSTITIAL,
    BRONCHIAL,
    NODULE,
    EFFUSION,
    PNEUMOTHORAX,
    TRACHEA,
    OESOPHAGUS,
)
SKELETON = (FRACTURE, LUXATION, PATELLA_LUXATION, HIP_DYSPLASIA, OSTEOARTHRITIS, STIFLE_EFFUSION, AGGRESSIVE)
BONES = ("femur", "tibia", "humerus", "radius")

GRADES = (1, 2, 3)  # mild, moderate, severe


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """A finding that is wished for. grade: 1 mild, 2 moderate, 3 severe."""

    concept: str
    grade: int

    def __post_init__(self) -> None:
        if self.concept not in (*THORAX, *SKELETON):
            raise ValueError(f"no phantom has {self.concept}; there are {', '.join((*THORAX, *SKELETON))}")
        if self.grade not in GRADES:
            raise ValueError(f"a grade is 1, 2 or 3, not {self.grade}")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A finding that a film shows. mask: bool (rows, columns), the finding's own silhouette.

    site, laterality ("left", "right", "bilateral"): where it has one.
    """

    concept: str
    grade: int
    mask: npt.NDArray[np.bool_] = field(repr=False)
    site: Code | None = None
    laterality: str = ""

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the mask, from the outer corner of the first pixel."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)

    @cached_property
    def polygons(self) -> tuple[Polygon, ...]:
        """Outer borders of the mask's parts as (column, row), the largest first; specks and holes are left out."""
        return outlines(self.mask)


def drawn_in(region: Region, part: str) -> tuple[str, ...]:
    """Findings that a film of this region, or of this part of a limb, can have."""
    if region is Region.THORAX:
        return THORAX
    if region is Region.PELVIS:
        return FRACTURE, LUXATION, HIP_DYSPLASIA, OSTEOARTHRITIS, AGGRESSIVE
    if region is Region.LIMB and part == "stifle":
        return FRACTURE, LUXATION, PATELLA_LUXATION, OSTEOARTHRITIS, STIFLE_EFFUSION, AGGRESSIVE
    if region is Region.LIMB and part in BONES:
        return FRACTURE, LUXATION, OSTEOARTHRITIS, AGGRESSIVE
    return ()


def shows(lesion: Lesion, view: View) -> bool:
    """Whether a film of the view can show the finding at all.

    A trachea lies over the spine from below, and a stifle's fat pad behind its bones from the front; a patella that has left
    its groove sideways a little stands where it stood from the side. The angle of a hip is defined on the extended
    ventrodorsal film alone (Olsson 1961).
    """
    if lesion.concept == TRACHEA:
        return view in (View.RIGHT_LATERAL, View.LEFT_LATERAL, View.LATERAL)
    if lesion.concept == STIFLE_EFFUSION:
        return view is View.MEDIOLATERAL
    if lesion.concept == PATELLA_LUXATION:
        return view is View.CRANIOCAUDAL or lesion.grade > 1
    if lesion.concept == HIP_DYSPLASIA:
        return view is View.VENTRODORSAL
    return True


# Stories as clinics meet them: weight, and of each finding the share of such animals that has it.
_THORAX_STORIES: tuple[tuple[float, dict[str, float]], ...] = (
    (0.17, {CARDIOMEGALY: 0.95, LEFT_ATRIUM: 0.75, INTERSTITIAL: 0.35, ALVEOLAR: 0.25, EFFUSION: 0.15}),  # heart disease
    (0.13, {ALVEOLAR: 0.95, BRONCHIAL: 0.3, OESOPHAGUS: 0.25, INTERSTITIAL: 0.25}),  # pneumonia, from aspiration or not
    (0.13, {BRONCHIAL: 0.9, INTERSTITIAL: 0.4, TRACHEA: 0.25, LEFT_ATRIUM: 0.1}),  # chronic airway disease
    (0.13, {NODULE: 1.0, EFFUSION: 0.2, ALVEOLAR: 0.1}),  # neoplasia
    (0.11, {EFFUSION: 1.0, CARDIOMEGALY: 0.15, ALVEOLAR: 0.1}),
    (0.16, {PNEUMOTHORAX: 1.0, ALVEOLAR: 0.25}),  # trauma
    (0.10, {TRACHEA: 1.0, CARDIOMEGALY: 0.2, BRONCHIAL: 0.2}),
    (0.12, {OESOPHAGUS: 1.0, ALVEOLAR: 0.25}),
)
_PELVIS_STORIES = (
    (0.46, {HIP_DYSPLASIA: 1.0, OSTEOARTHRITIS: 0.3}),
    (0.18, {FRACTURE: 1.0, LUXATION: 0.15}),
    (0.18, {LUXATION: 1.0}),
    (0.10, {OSTEOARTHRITIS: 1.0}),
    (0.14, {AGGRESSIVE: 1.0, FRACTURE: 0.1}),
)
_STIFLE_STORIES = (
    (0.32, {STIFLE_EFFUSION: 1.0, OSTEOARTHRITIS: 0.45}),  # cruciate disease
    (0.28, {PATELLA_LUXATION: 1.0, OSTEOARTHRITIS: 0.25, STIFLE_EFFUSION: 0.15}),
    (0.12, {OSTEOARTHRITIS: 1.0}),
    (0.12, {FRACTURE: 1.0, STIFLE_EFFUSION: 0.3}),
    (0.08, {LUXATION: 1.0, STIFLE_EFFUSION: 0.4}),
    (0.10, {AGGRESSIVE: 1.0}),
)
_BONE_STORIES = (
    (0.46, {FRACTURE: 1.0, LUXATION: 0.1}),
    (0.34, {AGGRESSIVE: 1.0, FRACTURE: 0.12}),
    (0.12, {OSTEOARTHRITIS: 1.0}),
    (0.12, {LUXATION: 1.0}),
)
WELL_SHARE = 0.33  # of films without any finding
BYCATCH = 0.03  # of each further finding beside an animal's story


def draw_findings(seed: int, region: Region, part: str, species: Species) -> tuple[Lesion, ...]:
    """What the animal of a seed has: nothing in a third of them, else a story of its region and now and then more."""
    known = drawn_in(region, part)
    rng = np.random.default_rng([seed, 28, list(Region).index(region), species is Species.CAT])
    if not known or rng.random() < WELL_SHARE:
        return ()
    stories = _stories(region, part)
    weights = np.array([weight for weight, _ in stories])
    story = stories[rng.choice(len(stories), p=weights / weights.sum())][1]
    chances = rng.random(len(known))
    grades = rng.choice(GRADES, len(known), p=(0.36, 0.36, 0.28))
    found = {
        concept: int(grade)
        for concept, chance, grade in zip(known, chances, grades, strict=True)
        if chance < max(story.get(concept, 0.0), BYCATCH)
    }
    for one, other in _EXCLUSIVE:
        if one in found and other in found:
            del found[other]
    return tuple(Lesion(concept=concept, grade=grade) for concept, grade in found.items())


# A hip out of its socket has no angle to measure; a bone is broken or its neighbour displaced by one force.
_EXCLUSIVE = ((LUXATION, HIP_DYSPLASIA), (LUXATION, PATELLA_LUXATION), (EFFUSION, PNEUMOTHORAX))


def _stories(region: Region, part: str) -> tuple[tuple[float, dict[str, float]], ...]:
    if region is Region.THORAX:
        return _THORAX_STORIES
    if region is Region.PELVIS:
        return _PELVIS_STORIES
    return _STIFLE_STORIES if part == "stifle" else _BONE_STORIES
