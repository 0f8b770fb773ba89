"""Findings of a limb's bones, drawn by breaking, moving, dissolving and adding to its bones in space.

Sizes: displacement of a fracture in widths of the bone, undisplaced, by less than one and by more; a luxated hip's head by
its own diameters, craniodorsally as most of them lie; a patella by shares of the femur's length, from the groove's ridge to
beside the condyle (grades II to IV of Putnam and Singleton); an aggressive lesion by shares of its bone, in the metaphyses
away from the elbow and near the stifle, where osteosarcomas grow.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from domain.codes import HIP, PATELLA, STIFLE
from phantoms import lesions
from phantoms.cardiac import within
from phantoms.joint_findings import osteoarthritis, stifle_effusion
from phantoms.leg import HEAD_SHARE, Leg
from phantoms.lesions import Lesion
from phantoms.limbs import Axes
from phantoms.solids import Ellipsoid, FloatArray, Piece, Solid, Tissue, Tube, points, rotation, tube

# Each by grade, from low to high.
ASIDE = ((0.0, 0.08), (0.25, 0.6), (0.8, 1.4))  # widths of the bone that fragments stand beside each other
APART_MM = ((0.7, 1.4), (1.5, 3.0), (2.0, 5.0))
OVERLAP = ((0.0, 0.0), (0.0, 0.4), (0.6, 1.8))  # widths of the bone
BENT = ((0.0, 0.03), (0.05, 0.14), (0.15, 0.32))  # radians
HIP_OUT = ((0.6, 0.85), (0.95, 1.35), (1.5, 2.1))  # diameters of the femoral head
JOINT_OUT = ((0.22, 0.34), (0.42, 0.58), (0.7, 0.95))  # widths of the joint
PATELLA_OUT = ((0.042, 0.055), (0.064, 0.08), (0.09, 0.108))  # shares of the femur
LESION = ((0.10, 0.14), (0.18, 0.25), (0.30, 0.40))  # length over that of the bone
SPICULES = ((3, 6), (10, 16), (22, 32))

BELOW = {
    "femur": ("patella", "tibia", "foot"),
    "tibia": ("foot",),
    "humerus": ("radius", "foot"),
    "radius": ("foot",),
}


def afflict(leg: Leg, found: tuple[Lesion, ...], part: str, seed: int) -> None:
    """Works findings into a limb. part: what the film shows, `scenes.PARTS`, or "pelvis". Those of a bone come before those
    that move it."""
    grades = {lesion.concept: lesion for lesion in found}
    order: tuple[tuple[str, Callable[[Leg, Lesion, str, float, np.random.Generator], None]], ...] = (
        (lesions.OSTEOARTHRITIS, osteoarthritis),
        (lesions.AGGRESSIVE, _aggressive),
        (lesions.STIFLE_EFFUSION, stifle_effusion),
        (lesions.PATELLA_LUXATION, _patella_out),
        (lesions.FRACTURE, _fracture),
        (lesions.LUXATION, _luxation),
    )
    for i, (concept, work) in enumerate(order):
        rng = np.random.default_rng([seed, 32, i])
        share = float(rng.random())
        if concept in grades:
            work(leg, grades[concept], part, share, rng)


def _bone_of(
    part: str, rng: np.random.Generator, spans: dict[str, tuple[tuple[str, float, float], ...]]
) -> tuple[str, float]:
    """A bone that the film shows, and where along it."""
    choices = spans[part]
    bone, low, high = choices[int(rng.integers(len(choices)))]
    return bone, float(rng.uniform(low, high))


_BREAKS = {
    "pelvis": (("femur", 0.24, 0.42),),
    "stifle": (("femur", 0.76, 0.84), ("tibia", 0.14, 0.28)),
    "femur": (("femur", 0.25, 0.72),),
    "tibia": (("tibia", 0.25, 0.75),),
    "humerus": (("humerus", 0.3, 0.75),),
    "radius": (("radius", 0.35, 0.85),),
}
_TUMOURS = {
    "pelvis": (("femur", 0.2, 0.3),),
    "stifle": (("femur", 0.8, 0.87), ("tibia", 0.12, 0.18)),
    "femur": (("femur", 0.78, 0.85), ("femur", 0.18, 0.25)),
    "tibia": (("tibia", 0.12, 0.2), ("tibia", 0.82, 0.88)),
    "humerus": (("humerus", 0.1, 0.18),),
    "radius": (("radius", 0.82, 0.9),),
}


def _shaft(axes: Axes, bone: str, share: float) -> FloatArray:
    """The middle of the bone's shaft: the femur's lies lateral of the line from head to knee."""
    return axes.at(share, 0.0, float(np.interp(share, [0.16, 0.5, 0.9], [0.115, 0.105, 0.06])) if bone == "femur" else 0.0)


def _fracture(leg: Leg, lesion: Lesion, part: str, share: float, rng: np.random.Generator) -> None:
    bone, along = _bone_of(part, rng, _BREAKS)
    axes, grade = leg.axes[bone], lesion.grade
    at, width = _shaft(axes, bone, along), 0.075 * axes.length
    turn = rng.uniform(0, 2 * np.pi)
    across = np.cos(turn) * axes.cranial + np.sin(turn) * axes.lateral
    oblique = rng.uniform(0.0, 0.9) if rng.random() < 0.6 else rng.uniform(0.0, 0.2)
    normal = np.cos(oblique) * axes.distal + np.sin(oblique) * across
    phases = rng.uniform(0, 2 * np.pi, 3)
    apart = max(within(APART_MM, grade, share) / leg.unit_mm, 0.05)
    shift = across * within(ASIDE, grade, share) * width
    shift = shift + axes.distal * (apart - within(OVERLAP, grade, share) * width)
    bend = rotation(np.cross(axes.distal, across), within(BENT, grade, share))
    near: list[Solid] = []
    far: list[Solid] = []
    for solid in leg.bones[bone]:
        low, high = _extent(solid, at, normal)
        if low < 0 < high and isinstance(solid, Tube):
            for keep, way in ((near, -1.0), (far, 1.0)):
                keep.append(Piece(whole=solid, at=at, normal=way * normal, jag=0.06 * width / 0.3, phases=phases))
        else:
            (far if low + high > 0 else near).append(solid)
    comminuted = grade == 3 and rng.random() < 0.7
    leg.bones[bone] = far
    leg.move((bone, *BELOW[bone]), shift, bend, at, beyond=normal)
    leg.bones[bone] = [*near, *leg.bones[bone]]
    leg.axes[bone] = axes
    ends = at + shift
    if comminuted:
        for _ in range(int(rng.integers(2, 4))):
            axis = rng.normal(size=3)
            size = np.diag(width * np.array([0.55, 0.22, 0.18]) * rng.uniform(0.6, 1.4, 3))
            place = at + rng.normal(0, 0.6 * width, 3) + across * width * 0.5
            shard = size @ rotation(axis / np.linalg.norm(axis), rng.uniform(0, 3.1))
            leg.bones[bone].append(Ellipsoid(centre=place, axes=shard, tissue=Tissue.BONE, weight=0.4))
    if grade > 1:  # the soft tissues about it swell
        swelling = (0.09 + 0.008 * grade) * axes.length
        leg.cover(at, ends + axes.distal * 0.1, (swelling, swelling))
    reach = axes.distal * 0.8 * width
    leg.mark(lesion, "", tube(points(at - reach, at + (ends - at) / 2, ends + reach), 0.75 * width, Tissue.BONE))


def _extent(solid: Solid, at: FloatArray, normal: FloatArray) -> tuple[float, float]:
    """From where to where a solid reaches along a normal."""
    if isinstance(solid, Piece):
        solid = solid.whole
    if isinstance(solid, Tube):
        along = (solid.points - at) @ normal
        return float(along.min()), float(along.max())
    centre = solid.centre if isinstance(solid, Ellipsoid) else (solid.cranial + solid.caudal) / 2
    middle = float((centre - at) @ normal)
    return middle, middle


def _luxation(leg: Leg, lesion: Lesion, part: str, share: float, rng: np.random.Generator) -> None:
    upper = leg.upper
    if part == "pelvis":
        head = 2 * HEAD_SHARE * upper.length
        way = np.array([-rng.uniform(0.6, 1.0), -rng.uniform(0.2, 0.7), 0.0]) + upper.lateral * rng.uniform(0.15, 0.5)
        shift = way / np.linalg.norm(way[[0, 2]]) * within(HIP_OUT, lesion.grade, share) * head
        socket, flesh = upper.origin, list(leg.flesh)
        leg.move(("femur", "patella", "tibia", "foot"), shift)
        leg.flesh = flesh  # the thigh hides how far its bone has gone
        ball = np.eye(3) * 0.62 * head
        leg.mark(
            lesion,
            "",
            Ellipsoid(centre=socket + shift, axes=ball, tissue=Tissue.BONE),
            Ellipsoid(centre=socket, axes=ball, tissue=Tissue.BONE),
            site=HIP,
        )
        return
    hind = "femur" in leg.axes
    lower = leg.axes["tibia" if hind else "radius"]
    width = 0.16 * upper.length
    turn = rng.uniform(0, 2 * np.pi)
    way = np.cos(turn) * lower.cranial + np.sin(turn) * lower.lateral - lower.distal * 0.35 * (lesion.grade - 1)
    shift = way * within(JOINT_OUT, lesion.grade, share) * width
    joint = lower.origin
    bend = rotation(lower.lateral, rng.uniform(-0.12, 0.12) * lesion.grade)
    leg.move(("tibia", "foot", "tissue") if hind else ("radius", "foot"), shift, bend, joint)
    line = points(joint - upper.distal * 0.02, joint + shift)
    leg.mark(lesion, "", tube(line, 0.5 * width, Tissue.BONE), site=STIFLE if hind else None)


def _patella_out(leg: Leg, lesion: Lesion, part: str, share: float, rng: np.random.Generator) -> None:
    del part
    femur, tibia = leg.axes["femur"], leg.axes["tibia"]
    way = -1.0 if rng.random() < 0.8 else 1.0  # medial in most
    out = within(PATELLA_OUT, lesion.grade, share) * femur.length
    shift = way * out * femur.lateral - 0.9 * max(out - 0.045 * femur.length, 0) * femur.cranial
    middle = leg.limb.joints["patella"]
    leg.move(("patella",), shift, rotation(femur.distal, way * 0.25 * lesion.grade), middle)
    if lesion.grade > 1:  # the tibial tuberosity follows its ligament
        turn = rotation(tibia.distal, way * (0.12 if lesion.grade == 2 else 0.3) * _handed(femur))
        leg.move(("tibia", "foot"), np.zeros(3), turn, tibia.origin)
    size = np.stack([femur.distal * 0.065, femur.cranial * 0.04, femur.lateral * 0.045]) * femur.length
    leg.mark(lesion, "", Ellipsoid(centre=middle + shift, axes=size, tissue=Tissue.BONE), site=PATELLA)


def _handed(axes: Axes) -> float:
    """1 or -1: which way a turn about the bone carries its cranial side laterally."""
    return float(np.sign(np.cross(axes.distal, axes.cranial) @ axes.lateral))


def _aggressive(leg: Leg, lesion: Lesion, part: str, share: float, rng: np.random.Generator) -> None:
    """Moth-eaten bone without a border, spicules that stand off the cortex, a swelling about it."""
    bone, along = _bone_of(part, rng, _TUMOURS)
    axes, grade = leg.axes[bone], lesion.grade
    at, length = _shaft(axes, bone, along), within(LESION, grade, share) * axes.length
    width = 0.05 * axes.length
    for _ in range(int(rng.integers(8, 11)) + 6 * grade):
        place = at + axes.distal * rng.normal(0, 0.26) * length
        place = place + (axes.cranial * rng.normal(0, 0.6) + axes.lateral * rng.normal(0, 0.6)) * width
        radius = rng.uniform(0.14, 0.3) * width * (0.85 + 0.15 * grade)
        leg.bones[bone].append(
            Ellipsoid(
                centre=place,
                axes=np.diag(radius * rng.uniform(0.8, 1.8, 3)),
                tissue=Tissue.BONE,
                weight=-rng.uniform(0.2, 0.4),
            )
        )
    for _ in range(round(within(SPICULES, grade, share))):
        turn = rng.uniform(0, 2 * np.pi)
        out = np.cos(turn) * axes.cranial + np.sin(turn) * axes.lateral + axes.distal * rng.normal(0, 0.3)
        foot = at + axes.distal * rng.uniform(-0.45, 0.45) * length + out * 0.75 * width
        tip = foot + out * (0.25 + 0.25 * grade) * rng.uniform(0.4, 1.0) * width * 1.4
        leg.bones[bone].append(
            tube(points(foot, tip), (0.16 * width, 0.07 * width), Tissue.BONE, weight=rng.uniform(0.45, 0.8))
        )
    for way in (-1.0, 1.0):  # Codman's triangle, where the periosteum is lifted
        foot = at + axes.distal * way * 0.75 * length + axes.cranial * 0.75 * width
        leg.bones[bone].append(
            tube(
                points(foot, foot - axes.distal * way * 0.25 * length + axes.cranial * 0.12 * grade * width),
                (0.05 * width, 0.14 * width),
                Tissue.BONE,
                weight=0.5,
            )
        )
    swelling = axes.distal * 0.3 * length
    radius = 0.075 * axes.length + 0.12 * length
    leg.cover(at - swelling, at + swelling, (radius, radius), (bone, bone))
    size = np.stack([axes.distal * 0.62 * length, axes.cranial * 1.0, axes.lateral * 1.0])
    size[1:] *= width * (1.15 + 0.35 * grade)
    leg.mark(lesion, bone, Ellipsoid(centre=at, axes=size, tissue=Tissue.BONE))
