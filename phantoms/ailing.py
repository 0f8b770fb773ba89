"""Animals with and without their findings: one scene that knows both, so that its two films differ by the findings alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from domain.codes import HIP
from domain.types import Region, Species, View
from phantoms import lesions
from phantoms.bone_findings import afflict
from phantoms.build import draw_build
from phantoms.cardiac import Cardiac, as_solids, settle
from phantoms.chest import Chest
from phantoms.chest_findings import draw_disease
from phantoms.hips import SIDES, draw_hips, with_hips
from phantoms.joint_findings import stifle_tissue
from phantoms.leg import Leg, leg_of
from phantoms.lesions import Lesion, drawn_in, shows
from phantoms.scenes import Ailing, Mark, Scene, draw_scene, flesh_of, of_torso, posture_of
from phantoms.solids import Ellipsoid, Solid, Tissue, Tube, ellipsoid
from phantoms.torso import Torso, draw_torso

GRID = (96, 30)  # two bodies are looked through instead of one
MOTTLE = 0.016  # more would read as a pattern
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
    seen = tuple(lesion for lesion in found if shows(lesion, view))
    if region is Region.THORAX:
        scene = _thorax(seed, view, species, seen)
    elif region is Region.PELVIS:
        scene = _pelvis(seed, view, species, seen)
    else:
        scene = _limb(seed, view, species, part, seen)
    return replace(scene, grid=GRID, mottle=MOTTLE)


def _thorax(seed: int, view: View, species: Species, found: tuple[Lesion, ...]) -> Scene:
    build, posture = draw_build(seed, species), posture_of(view)
    drawn = draw_torso(build, posture)
    lateral = posture == "lateral"

    def settled(grades: dict[str, int]) -> Cardiac:
        return settle(build, drawn.column, drawn.cage, drawn.chest, grades, lateral=lateral)

    well = settled({})
    drawn = replace(drawn, solids=(*drawn.solids, *_nipples(drawn)))
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


def _nipples(torso: Torso) -> tuple[Solid, ...]:
    """What is taken for nodules: in every fourth animal, in two rows on the skin."""
    rng = np.random.default_rng([torso.build.seed, 35])
    if rng.random() > 0.25:
        return ()
    size = rng.uniform(0.1, 0.22)
    solids: list[Solid] = []
    for x in rng.uniform(2.0, 3.5) + np.arange(3) * rng.uniform(2.0, 2.8):
        for side in (-0.45, 0.45):
            at = (x, torso.column.y(x) + 0.93 * torso.bottom(x), side * torso.width(x))
            solids.append(ellipsoid(at, (size, 1.3 * size, size), Tissue.FLESH, weight=rng.uniform(0.5, 1.0)))
    return tuple(solids)


def _with_chest(torso: Torso, chest: Chest) -> Torso:
    old = {id(solid) for solid in torso.chest.solids}
    solids = (*(solid for solid in torso.solids if id(solid) not in old), *chest.solids)
    return replace(torso, chest=chest, solids=solids)


def _pelvis(seed: int, view: View, species: Species, found: tuple[Lesion, ...]) -> Scene:
    """Extended, as hips are judged. One leg has what a leg can have; dysplasia takes one hip or both."""
    build, posture = draw_build(seed, species), posture_of(view)
    drawn = draw_torso(build, posture, extended=posture == "ventrodorsal")
    grades = {lesion.concept: lesion for lesion in found}
    well = draw_hips(drawn, 0)
    torso = with_hips(drawn, well)
    scene = of_torso(torso, Region.PELVIS, posture)
    scene = replace(scene, landmarks={**scene.landmarks, "acetabular-rims": well.rims}, hips=(0, 1))
    if not found:
        return scene
    dysplasia = grades.get(lesions.HIP_DYSPLASIA)
    sick = draw_hips(drawn, dysplasia.grade if dysplasia else 0)
    side = int(np.random.default_rng([seed, 34]).integers(2))
    afflict(sick.legs[side], tuple(lesion for lesion in found if lesion is not dysplasia), "pelvis", seed)
    ailing = with_hips(drawn, sick)
    marks = sick.legs[side].shown()
    if dysplasia:
        laterality = "bilateral" if len(sick.affected) == 2 else SIDES[sick.affected[0]]
        marks = (*marks, Mark(lesion=dysplasia, solids=sick.shadows, laterality=laterality, site=HIP))
    whole = tuple(i for i in (0, 1) if not (i == side and lesions.LUXATION in grades))
    landmarks = {**scene.landmarks, "femoral-heads": sick.heads, "acetabular-rims": sick.rims}
    soft = of_torso(ailing, Region.PELVIS, posture).soft
    return replace(
        scene, landmarks=landmarks, hips=whole, ailing=Ailing(solids=_shared(scene, ailing.solids), marks=marks, soft=soft)
    )


def _limb(seed: int, view: View, species: Species, part: str, found: tuple[Lesion, ...]) -> Scene:
    scene = draw_scene(seed, Region.LIMB, view, species, part)
    limb = scene.limb
    assert limb is not None  # noqa: S101  # of a limb's scene there is one
    extra = scene.solids[len(limb.solids) :]

    def leg() -> Leg:
        one = leg_of(limb, scene.build.unit_mm)
        if "femur" in one.axes:
            stifle_tissue(one)
        return one

    well, sick = leg(), leg()
    sound = well.finished()
    scene = replace(scene, solids=(*sound.solids, *extra), soft=flesh_of(sound, density=1.0))
    if not found:
        return scene
    sick.bones = {name: list(solids) for name, solids in well.bones.items()}  # the same objects
    afflict(sick, found, part, seed)
    ailing = sick.finished()
    return replace(
        scene,
        ailing=Ailing(solids=(*ailing.solids, *extra), marks=sick.shown(), soft=flesh_of(ailing, density=1.0)),
    )


def _shared(scene: Scene, solids: tuple[Solid, ...]) -> tuple[Solid, ...]:
    """Bones drawn twice from one seed are equal, not the same: where they are equal, the scene's are taken."""
    known = {_key(solid): solid for solid in scene.solids}
    return tuple(known.get(_key(solid), solid) for solid in solids)


def _key(solid: Solid) -> bytes | int:
    if isinstance(solid, Tube):
        return solid.points.tobytes() + solid.radii.tobytes() + np.array([solid.weight, solid.lumen]).tobytes()
    if isinstance(solid, Ellipsoid):
        return solid.centre.tobytes() + solid.axes.tobytes() + np.array(solid.weight).tobytes()
    return id(solid)
