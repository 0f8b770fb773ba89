"""Findings of joints: new bone at their margins, dense bone below their surface, fluid in a stifle and what it displaces.

Osteophytes are as long as the International Elbow Working Group grades them in large dogs: below 2 mm, 2 to 5 mm, above.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from domain.codes import HIP, STIFLE
from domain.types import Code
from phantoms.cardiac import within
from phantoms.leg import HEAD_SHARE, Leg
from phantoms.lesions import Lesion
from phantoms.solids import Ellipsoid, FloatArray, Tissue, Tube, points, tube

# Each by grade, from low to high.
OSTEOPHYTE_MM = ((1.2, 2.0), (2.4, 4.6), (5.0, 7.5))
OSTEOPHYTES = ((3, 5), (6, 8), (9, 12))
FAT_LEFT = ((0.62, 0.74), (0.38, 0.5), (0.12, 0.25))  # of the stifle's fat pad
CAPSULE = ((0.02, 0.03), (0.045, 0.06), (0.08, 0.11))  # shares of the femur that the caudal fascia is pushed away


def osteoarthritis(leg: Leg, lesion: Lesion, part: str, share: float, rng: np.random.Generator) -> None:
    """New bone at the joint's margins, denser bone below its surface."""
    grade = lesion.grade
    of_large = float(np.clip(leg.upper.length * leg.unit_mm / 160, 0.4, 1.0))  # the millimetres are those of large dogs
    size = within(OSTEOPHYTE_MM, grade, share) / leg.unit_mm * of_large
    margins, site = _margins(leg, part)
    order = rng.permutation(len(margins))
    count = min(round(within(OSTEOPHYTES, grade, share)), len(margins))
    dense = []
    for one in order[:count]:
        bone, at, out = margins[one]
        out = out / np.linalg.norm(out)
        length = max(size * rng.uniform(0.6, 1.1), 0.07)
        side = np.cross(out, rng.normal(size=3))
        side /= np.linalg.norm(side)
        axes = np.stack([out * 0.85 * length, side * 0.38 * length, np.cross(out, side) * 0.5 * length])
        spur = Ellipsoid(centre=at + out * 0.2 * length, axes=axes, tissue=Tissue.BONE, weight=rng.uniform(0.5, 0.8))
        leg.bones[bone].append(spur)
        dense.append((bone, replace(spur, axes=axes * 1.35)))
    for bone, at, axes in _joint_faces(leg, part):  # sclerosis
        plate = Ellipsoid(centre=at, axes=axes, tissue=Tissue.BONE, weight=0.06 * grade)
        leg.bones[bone].append(plate)
        dense.append((bone, plate))
    for bone in dict.fromkeys(bone for bone, _ in dense):
        leg.mark(lesion, bone, *(spur for owner, spur in dense if owner == bone), site=site)


def _joint_faces(leg: Leg, part: str) -> list[tuple[str, FloatArray, FloatArray]]:
    """Bone, middle and semi-axes of what lies just below a joint's surface."""
    upper = leg.upper
    size = np.stack([upper.distal, upper.cranial, upper.lateral]) * upper.length
    if part == "pelvis":  # the femoral neck's line, where the capsule pulls (Morgan 1987)
        return [("femur", upper.at(0.045, 0.0, 0.062), size * np.array([0.012, 0.05, 0.03])[:, None])]
    if "humerus" in leg.axes:
        return [("radius", leg.axes["radius"].at(-0.06, -0.045, 0.0), size * np.array([0.05, 0.012, 0.03])[:, None])]
    tibia = leg.axes["tibia"]
    size = np.stack([tibia.distal, tibia.cranial, tibia.lateral]) * tibia.length
    return [
        ("tibia", tibia.at(0.022, -0.01, side * 0.04), size * np.array([0.014, 0.05, 0.034])[:, None]) for side in (-1, 1)
    ]


def _margins(leg: Leg, part: str) -> tuple[list[tuple[str, FloatArray, FloatArray]], Code | None]:
    """Bone, place on its joint's margin, direction away from it."""
    upper, length = leg.upper, leg.upper.length
    if part == "pelvis":
        ring = np.linspace(0, 2 * np.pi, 9)[:-1]
        neck = upper.at(0.035, 0, 0.05)
        around = [np.cos(t) * upper.cranial + np.sin(t) * (upper.distal * 0.7 - upper.lateral * 0.7) for t in ring]
        found = [("femur", neck + way * 0.052 * length, way) for way in around]
        rim = [np.cos(t) * np.array([-1.0, 0, 0]) + np.sin(t) * upper.lateral for t in np.linspace(-0.4, 2.6, 6)]
        return found + [("femur", upper.origin + way * 1.12 * HEAD_SHARE * length, way) for way in rim], HIP
    if "humerus" in leg.axes:
        radius = leg.axes["radius"]
        return [
            ("radius", radius.at(-0.16, -0.06, 0.0), -radius.distal),
            ("radius", radius.at(0.0, 0.045, 0.02), radius.cranial),
            ("radius", radius.at(0.0, -0.01, -0.055), -radius.lateral),
            ("radius", radius.at(0.01, 0.0, 0.06), radius.lateral),
            ("humerus", upper.at(0.95, -0.04, -0.1), -upper.lateral),
            ("humerus", upper.at(0.95, -0.03, 0.09), upper.lateral),
            ("humerus", upper.at(0.9, 0.045, 0.0), upper.cranial),
            ("humerus", upper.at(0.9, -0.07, -0.06), -upper.cranial),
        ], None
    knee, tibia = leg.axes["knee"], leg.axes["tibia"]
    patella = leg.limb.joints["patella"]
    return [
        ("femur", knee.at(0.84, 0.035, -0.035), knee.cranial - knee.lateral),
        ("femur", knee.at(0.84, 0.035, 0.035), knee.cranial + knee.lateral),
        ("femur", knee.at(0.88, 0.03, 0.06), knee.lateral),
        ("femur", knee.at(0.92, -0.02, 0.085), knee.lateral),
        ("femur", knee.at(0.92, -0.02, -0.085), -knee.lateral),
        ("femur", knee.at(0.93, -0.085, 0.03), -knee.cranial),
        ("patella", patella - knee.distal * 0.045 * length, -knee.distal + 0.4 * knee.cranial),
        ("patella", patella + knee.distal * 0.045 * length, knee.distal),
        ("tibia", tibia.at(0.02, 0.05, 0.0), tibia.cranial),
        ("tibia", tibia.at(0.02, -0.07, 0.0), -tibia.cranial),
        ("tibia", tibia.at(0.02, 0.0, 0.078), tibia.lateral),
        ("tibia", tibia.at(0.02, 0.0, -0.078), -tibia.lateral),
    ], STIFLE


def stifle_tissue(leg: Leg) -> None:
    """What a film of a sound stifle shows besides bone: the fat pad behind the patella's ligament, the caudal fascia."""
    knee, tibia = leg.axes["knee"], leg.axes["tibia"]
    length = knee.length
    kneecap, crest = leg.limb.joints["patella"], tibia.at(0.08, 0.075, 0)
    centre = 0.36 * kneecap + 0.34 * crest + 0.3 * knee.at(0.985, 0.03, 0)
    along = crest - kneecap
    reach = float(np.linalg.norm(along))
    along = along / reach
    across = np.cross(knee.lateral, along)
    size = np.stack([along * 0.4 * reach, across * 0.036 * length, knee.lateral * 0.055 * length])
    skin = 0.07 * length
    leg.cover(knee.at(0.6, 0.06, 0), kneecap, (skin * 1.3, skin), ("femur", "patella"))
    leg.cover(kneecap, tibia.at(0.14, 0.06, 0), (skin, skin), ("patella", "tibia"))
    for i, solid in enumerate(leg.bones["patella"]):
        if isinstance(solid, Ellipsoid):
            leg.bones["patella"][i] = replace(solid, weight=1.5 * solid.weight)
    spongy = 0.3 * float(np.mean([abs(solid.weight) for solid in leg.bones["femur"] if isinstance(solid, Tube)])) / 0.5
    leg.bones["femur"].append(knee.rod([(0.86, 0, 0), (0.95, -0.01, 0)], (0.045, 0.062), spongy))
    leg.bones["tibia"].append(tibia.rod([(0.03, -0.005, 0), (0.07, 0.0, 0), (0.14, 0.0, 0)], (0.064, 0.056, 0.04), spongy))
    leg.bones["tissue"] = [
        Ellipsoid(centre=centre, axes=size, tissue=Tissue.FLESH, weight=-0.2),
        tube(points(kneecap, crest), 0.014 * length, Tissue.FLESH, weight=0.2),
        tube(_fascia(leg, 0.0), 0.012 * length, Tissue.FLESH, weight=-0.3),
    ]


def _fascia(leg: Leg, out: float) -> FloatArray:
    knee, tibia = leg.axes["knee"], leg.axes["tibia"]
    return points(
        knee.at(0.78, -0.14, 0), knee.at(0.93, -0.14 - out, 0), tibia.at(0.06, -0.115 - out, 0), tibia.at(0.2, -0.12, 0)
    )


def stifle_effusion(leg: Leg, lesion: Lesion, part: str, share: float, rng: np.random.Generator) -> None:
    """Fluid takes the place of the fat pad from behind and pushes the caudal fascia away; the tibia may slide forward."""
    del part
    knee, tibia = leg.axes["knee"], leg.axes["tibia"]
    pad, ligament, _ = leg.bones["tissue"]
    if not isinstance(pad, Ellipsoid):
        return
    left = within(FAT_LEFT, lesion.grade, share)
    out = within(CAPSULE, lesion.grade, share)
    ahead = pad.axes[1] if pad.axes[1] @ knee.cranial > 0 else -pad.axes[1]
    small = pad.axes * np.array([0.5 + 0.5 * left, left, 0.6 + 0.4 * left])[:, None]
    behind = knee.at(1.0, -0.075, 0)
    pouch = (
        np.stack([knee.distal * (0.05 + 0.5 * out), knee.cranial * (0.02 + 0.5 * out), knee.lateral * 0.07]) * knee.length
    )
    leg.bones["tissue"] = [
        replace(pad, axes=small, centre=pad.centre + ahead * (1 - left)),
        ligament,
        tube(_fascia(leg, out), 0.012 * knee.length, Tissue.FLESH, weight=-0.3),
        Ellipsoid(centre=behind, axes=pouch, tissue=Tissue.FLESH, weight=0.05 + 0.05 * lesion.grade),
        Ellipsoid(centre=pad.centre - 0.4 * ahead, axes=pad.axes * 0.95, tissue=Tissue.FLESH, weight=0.05 * lesion.grade),
    ]
    if lesion.grade == 3 and rng.random() < 0.5:
        leg.move(("tibia", "foot"), tibia.cranial * 0.035 * knee.length)
    leg.mark(
        lesion,
        "",
        replace(pad, axes=pad.axes * 1.1, weight=1.0),
        Ellipsoid(centre=behind, axes=pouch * 1.05, tissue=Tissue.FLESH),
        site=STIFLE,
    )
