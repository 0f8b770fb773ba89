"""Animals with and without their findings: one scene that knows both, so that its two films differ by the findings alone."""

from __future__ import annotations

from dataclasses import replace

from domain.types import Region, Species, View
from phantoms import lesions
from phantoms.build import draw_build
from phantoms.cardiac import Cardiac, as_solids, settle
from phantoms.chest import Chest
from phantoms.chest_findings import draw_disease
from phantoms.lesions import Lesion, drawn_in, shows
from phantoms.scenes import Ailing, Mark, Scene, of_torso, posture_of
from phantoms.torso import Torso, draw_torso

GRID = (96, 30)  # two bodies are looked through instead of one
_HEART = {
    lesions.CARDIOMEGALY: "heart",
    lesions.LEFT_ATRIUM: "atrium",
    lesions.TRACHEA: "trachea",
    lesions.OESOPHAGUS: "gullet",
    lesions.PNEUMOTHORAX: "fall",
}


def draw_ailing(seed: int, region: Region, view: View, species: Species, part: str, found: tuple[Lesion, ...]) -> Scene:
    """The scene of an animal whose anatomy is fit for findings, with those of `found` that a film of the view can show.

    ValueError for a finding that is not drawn in the region or part.
    """
    known = drawn_in(region, part)
    foreign = [lesion.concept for lesion in found if lesion.concept not in known]
    if foreign or not known:
        shown = region.value if region is not Region.LIMB else part
        raise ValueError(f"{shown} shows no {', '.join(foreign) or 'findings'}; it shows {', '.join(known) or 'none'}")
    if len({lesion.concept for lesion in found}) < len(found):
        raise ValueError("each finding once")
    seen = tuple(lesion for lesion in found if shows(lesion.concept, view))
    return replace(_thorax(seed, view, species, seen), grid=GRID)


def _thorax(seed: int, view: View, species: Species, found: tuple[Lesion, ...]) -> Scene:
    build, posture = draw_build(seed, species), posture_of(view)
    drawn = draw_torso(build, posture)
    lateral = posture == "lateral"

    def settled(grades: dict[str, int]) -> Cardiac:
        return settle(build, drawn.column, drawn.cage, drawn.chest, grades, lateral=lateral)

    well = settled({})
    torso = _with_chest(drawn, well.chest)
    if not found:
        return replace(of_torso(torso, Region.THORAX, posture), heart=well.chest.heart[:3])
    sick = settled({_HEART[lesion.concept]: lesion.grade for lesion in found if lesion.concept in _HEART})
    disease = draw_disease(torso, sick, found, posture)
    ailing = _with_chest(drawn, sick.chest)
    shapes = {lesions.LEFT_ATRIUM: as_solids(sick.atrium), lesions.TRACHEA: sick.trachea}
    scene = of_torso(torso, Region.THORAX, posture, disease.breath)
    scene = replace(scene, heart=sick.chest.heart[:3], landmarks=of_torso(ailing, Region.THORAX, posture).landmarks)
    marks = tuple(Mark(lesion=lesion, solids=shapes.get(lesion.concept, ())) for lesion in found)
    return replace(scene, ailing=Ailing(solids=ailing.solids, marks=marks, chest=disease))


def _with_chest(torso: Torso, chest: Chest) -> Torso:
    old = {id(solid) for solid in torso.chest.solids}
    solids = (*(solid for solid in torso.solids if id(solid) not in old), *chest.solids)
    return replace(torso, chest=chest, solids=solids)
