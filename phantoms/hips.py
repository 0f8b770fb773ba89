"""Hips whose Norberg angle is known: sockets, femoral heads in them or partly out of them, and the landmarks of both.

A dog's normal angle is 105° or more, class A of the FCI; its classes C, D and E end near 100° and 90°; 102.2° divides dogs
with and without dysplasia best (doi 10.1111/j.1748-5827.2011.01105.x). A cat's is smaller: 92.4° on average without and 84°
with dysplasia (Langenbach et al. 1998). Subluxation grows with the grade, in radii of the femoral head.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from domain.types import Species
from phantoms.cardiac import within
from phantoms.leg import HEAD_SHARE, Leg, leg_of
from phantoms.limbs import Limb
from phantoms.pelvis import Pelvis
from phantoms.solids import Ellipsoid, FloatArray, Solid, Tissue, Tube, beside, tube
from phantoms.torso import Torso

NORMAL = {Species.DOG: (108.5, 2.8, 104.5, 117.0), Species.CAT: (94.0, 2.0, 90.5, 100.0)}  # mean, deviation, low, high
ANGLES = {  # from low to high severity
    Species.DOG: ((102.0, 97.0), (96.5, 88.0), (87.5, 72.0)),
    Species.CAT: ((87.5, 83.0), (82.5, 77.0), (76.5, 66.0)),
}
OUT = ((0.06, 0.2), (0.25, 0.5), (0.6, 1.0))
CUP = 1.12  # radius of the socket over that of the head
PER_SIDE = 12  # solids that `draw_pelvis` makes of one
SOCKET, RIM = 5, 6  # which of them are drawn anew here
SIDES = ("right", "left")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hips:
    """solids: of the pelvis; legs: right and left, in place; heads, rims: (2, 3) likewise.

    affected: indices of dysplastic sides; shadows: of them.
    """

    solids: tuple[Solid, ...] = field(repr=False)
    legs: tuple[Leg, Leg] = field(repr=False)
    heads: FloatArray
    rims: FloatArray
    affected: tuple[int, ...]
    shadows: tuple[Solid, ...] = field(repr=False)


def draw_hips(torso: Torso, dysplasia: int) -> Hips:
    """dysplasia: its grade, 0 for none. The other side's angle stays what it was where only one is affected."""
    build, pelvis = torso.build, torso.pelvis
    rng = np.random.default_rng([build.seed, 33])
    mean, deviation, low, high = NORMAL[build.species]
    wanted = np.clip(mean + deviation * rng.normal(size=2), low, high)
    shares, snug = rng.random(2), rng.uniform(0.0, 0.05, 2)
    affected = ((0, 1), (0, 1), (0, 1), (0,), (1,))[int(rng.integers(5))] if dysplasia else ()
    radius = HEAD_SHARE * build.femur
    heads, rims = pelvis.hips.copy(), pelvis.hips.copy()
    for i, outwards in enumerate((-1.0, 1.0)):
        out = within(OUT, dysplasia, shares[i]) if i in affected else snug[i]
        heads[i] += radius * out * np.array([0.25, 0.1, outwards * 0.97])
        if i in affected:
            wanted[i] = within(ANGLES[build.species], dysplasia, shares[i])
    solids = list(pelvis.solids)
    cups: list[Solid] = []
    for i, outwards in enumerate((-1.0, 1.0)):
        medial = (heads[1 - i] - heads[i])[[2, 0]]  # (z, x), the plane of the film
        medial = medial / np.linalg.norm(medial)
        cranial = np.array([-medial[1], medial[0]]) * -outwards
        cranial = cranial if cranial[1] < 0 else -cranial
        angle = np.deg2rad(wanted[i])
        rim = radius * CUP * (np.cos(angle) * medial + np.sin(angle) * cranial)
        rims[i] = heads[i] + np.array([rim[1], -0.35 * radius, rim[0]])
        cups += _socket(pelvis.hips[i], rims[i], radius, outwards, build.bone_weight)
        first = i * PER_SIDE
        for number in range(first, first + PER_SIDE):
            solids[number] = _beside_socket(solids[number], pelvis.hips[i], outwards * 1.3 * radius)
        solids[first + SOCKET] = solids[first + RIM] = cups.pop()
    legs = tuple(
        _leg(limb, heads[i] - pelvis.hips[i], build.unit_mm, SIDES[i], build.bone_weight)
        for i, limb in enumerate(torso.limbs[1::2])
    )
    shadows = tuple(
        Ellipsoid(centre=(pelvis.hips[i] + heads[i]) / 2, axes=np.eye(3) * 1.7 * radius, tissue=Tissue.BONE)
        for i in affected
    )
    kept = [solid for i, solid in enumerate(solids) if i % PER_SIDE != RIM]
    return Hips(
        solids=(*kept, *cups),
        legs=(legs[0], legs[1]),
        heads=heads,
        rims=rims,
        affected=affected,
        shadows=shadows,
    )


def _beside_socket(solid: Solid, hip: FloatArray, out: float) -> Solid:
    """Bones of the pelvis that would meet in the socket's middle end at its wall: each on its own side, and medially."""
    if not isinstance(solid, Tube):
        return solid
    here = np.linalg.norm(solid.points - hip, axis=1) < 1e-9
    if not here.any():
        return solid
    other = solid.points[~here][int(np.argmin(np.linalg.norm(solid.points[~here] - hip, axis=1)))] - hip
    way = other / np.linalg.norm(other) + np.array([0.0, 0.0, -0.8 * np.sign(out)])
    wall = hip + way / np.linalg.norm(way) * abs(out)
    return replace(solid, points=np.where(here[:, None], wall, solid.points))


def _socket(hip: FloatArray, rim: FloatArray, radius: float, outwards: float, weight: float) -> list[Solid]:
    """The bright arc from the craniolateral rim about the head to its caudal end, the dorsal rim across the head, the roof,
    and, last, the bone behind the fossa."""

    def at(degrees: float, reach: float, dorsal: float) -> FloatArray:
        """From 0, medially, over 90, cranially, to 180, laterally."""
        angle = np.deg2rad(degrees)
        return beside(hip, -np.sin(angle) * reach, -dorsal, -outwards * np.cos(angle) * reach)

    wide = radius * CUP
    from_hip = rim - hip
    begin = float(np.rad2deg(np.arctan2(-from_hip[0], -outwards * from_hip[2])))
    begin = begin if begin > -90 else begin + 360
    reach = float(np.hypot(from_hip[0], from_hip[2]))
    degrees = np.linspace(begin, -70.0, 22)
    share = np.clip((begin - degrees) / 40, 0, 1)
    arc = np.array([at(d, reach + s * (wide - reach), 0.35 * radius * (1 - s)) for d, s in zip(degrees, share, strict=True)])
    caudal = at(235.0, 0.92 * wide, 0.45 * radius)
    dorsal = np.array([rim, at(190.0, 0.62 * wide, 0.6 * radius), at(222.0, 0.75 * wide, 0.55 * radius), caudal])
    roof = np.diag([0.34, 0.5, 0.5]) * radius
    return [
        tube(arc, (0.09 * radius, 0.12 * radius, 0.1 * radius, 0.08 * radius), Tissue.BONE, weight=2.0 * weight),
        tube(dorsal, (0.08 * radius, 0.13 * radius, 0.13 * radius, 0.1 * radius), Tissue.BONE, weight=0.9 * weight),
        Ellipsoid(centre=at(70.0, wide + 0.3 * radius, 0.0), axes=roof, tissue=Tissue.BONE, weight=0.3 * weight),
        Ellipsoid(
            centre=at(0.0, wide + 0.16 * radius, 0.0),
            axes=np.diag([0.9, 0.7, 0.22]) * radius,
            tissue=Tissue.BONE,
            weight=0.3 * weight,
        ),
    ]


def _leg(limb: Limb, shift: FloatArray, unit_mm: float, side: str, weight: float) -> Leg:
    """With a head that stands out from its neck; shifted with it."""
    leg = leg_of(limb, unit_mm, side)
    femur = leg.axes["femur"]
    head, neck = leg.bones["femur"][:2]
    if isinstance(head, Ellipsoid) and isinstance(neck, Tube):
        leg.bones["femur"][:2] = [
            replace(head, axes=np.eye(3) * HEAD_SHARE * femur.length, weight=0.48 * weight),
            replace(neck, radii=neck.radii * 1.1, weight=1.6 * neck.weight),
        ]
    leg.move(("femur", "patella", "tibia", "foot"), shift)
    return leg


def with_hips(torso: Torso, hips: Hips) -> Torso:
    """The torso with these hips and the limbs as they now are."""
    old = {id(solid) for limb in torso.limbs[1::2] for solid in limb.solids} | {id(solid) for solid in torso.pelvis.solids}
    limbs = tuple(leg.finished() for leg in hips.legs)
    solids = (
        *(solid for solid in torso.solids if id(solid) not in old),
        *hips.solids,
        *(solid for limb in limbs for solid in limb.solids),
    )
    pelvis: Pelvis = replace(torso.pelvis, solids=hips.solids, hips=hips.heads)
    return replace(torso, pelvis=pelvis, limbs=(torso.limbs[0], limbs[0], torso.limbs[2], limbs[1]), solids=solids)
