"""Fore and hind limbs as chains of bones, from a proximal joint to the toes, on any side and at any flexion."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from phantoms.build import Build
from phantoms.solids import Ellipsoid, FloatArray, Solid, Tissue, points, tube

UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """Where a bone lies: its proximal end, and unit vectors distally, cranially and laterally."""

    origin: FloatArray
    distal: FloatArray
    cranial: FloatArray
    lateral: FloatArray
    length: float

    def at(self, distal: float, cranial: float, lateral: float) -> FloatArray:
        """A point, in shares of the bone's length."""
        return self.origin + self.length * (distal * self.distal + cranial * self.cranial + lateral * self.lateral)

    @property
    def end(self) -> FloatArray:
        return self.at(1, 0, 0)

    def bent(self, angle: float, length: float) -> Axes:
        """The next bone: its distal end turned caudally by `angle` radians, about the lateral axis."""
        distal = np.cos(angle) * self.distal - np.sin(angle) * self.cranial
        cranial = np.cos(angle) * self.cranial + np.sin(angle) * self.distal
        return Axes(origin=self.end, distal=distal, cranial=cranial, lateral=self.lateral, length=length)

    def knob(self, at: tuple[float, float, float], size: tuple[float, float, float], weight: float) -> Ellipsoid:
        """An ellipsoid of bone; at and size: (distal, cranial, lateral) in shares of the length."""
        axes = np.stack([self.distal * size[0], self.cranial * size[1], self.lateral * size[2]]) * self.length
        return Ellipsoid(centre=self.at(*at), axes=axes, tissue=Tissue.BONE, weight=weight)

    def rod(
        self, path: list[tuple[float, float, float]], radii: tuple[float, ...], weight: float, *, lumen: float = 0.0
    ) -> Solid:
        """A tube of bone through these points; radii in shares of the length. lumen: share that marrow fills."""
        line = points(*(self.at(*one) for one in path))
        return tube(line, np.array(radii) * self.length, Tissue.BONE, weight=weight, lumen=lumen, lumen_weight=0.25 * weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limb:
    """solids; flesh: cones of muscle and skin as (start, end, radii at both); joints by name, (3,) each.

    parts: of each bone, or of the foot, its solids as [from, to); flesh_of: whose bones a cone's start and end follow; axes:
    of the long bones.
    """

    solids: tuple[Solid, ...]
    flesh: tuple[tuple[FloatArray, FloatArray, tuple[float, float]], ...]
    joints: dict[str, FloatArray]
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    flesh_of: tuple[tuple[str, str], ...] = ()
    axes: dict[str, Axes] = field(default_factory=dict)


def axes_from(origin: FloatArray, distal: FloatArray, lateral: FloatArray, length: float) -> Axes:
    """Cranial follows from the other two; `lateral` is made perpendicular. A left limb's frame mirrors a right one's."""
    distal = distal / np.linalg.norm(distal)
    lateral = lateral - (lateral @ distal) * distal
    lateral = lateral / np.linalg.norm(lateral)
    side = -1.0 if lateral @ UP >= 0 else 1.0
    return Axes(origin=origin, distal=distal, cranial=side * np.cross(distal, lateral), lateral=lateral, length=length)


def hindlimb(build: Build, hip: Axes, flexion: tuple[float, float], rng: np.random.Generator) -> Limb:
    """hip: the femur's axes, its origin the middle of the femoral head; flexion: of stifle and hock, in radians."""
    uniform = rng.uniform
    girth, weight = build.bone_girth, uniform(0.55, 0.9) * build.bone_weight
    lumen, spongy = uniform(0.5, 0.68), uniform(0.2, 0.4) * build.bone_weight
    femur = hip
    r = 0.036 * girth
    lat = 0.115
    solids: list[Solid] = [
        femur.knob((0, 0, 0), (0.058, 0.058, 0.058), spongy),
        femur.rod([(0.0, 0, 0.0), (0.05, 0, 0.07), (0.10, 0, lat)], (0.03 * girth, 0.036 * girth, 0.04 * girth), spongy),
        femur.rod([(-0.02, -0.02, 0.15), (0.06, -0.01, 0.14), (0.16, 0, lat)], (0.03, 0.046, r), spongy),
        femur.knob((0.16, -0.03, lat - 0.035), (0.03, 0.02, 0.018), spongy),
        femur.rod(
            [(0.07, 0, lat), (0.2, 0.005, lat), (0.5, 0.02, lat - 0.01), (0.78, 0, lat - 0.035), (0.9, -0.01, lat - 0.055)],
            (0.045 * girth, r, r, r * 1.15, 0.055 * girth),
            weight,
            lumen=lumen,
        ),
    ]
    mid = lat - 0.06
    for side in (-1, 1):
        solids.append(femur.knob((0.955, -0.03, mid + side * 0.048), (0.052, 0.058, 0.036), spongy))
        solids.append(
            femur.rod(
                [(0.84, 0.02, mid + side * 0.028), (0.9, 0.045, mid + side * 0.03), (0.965, 0.03, mid + side * 0.03)],
                (0.018, 0.022, 0.026),
                spongy * 0.9,
            )
        )
        if rng.random() < 0.92:
            solids.append(femur.knob((0.915, -0.1, mid + side * 0.045), (0.017, 0.014, 0.015), spongy * 2.5))
    ends = [len(solids)]
    knee = Axes(
        origin=femur.at(0, 0, mid),
        distal=femur.distal,
        cranial=femur.cranial,
        lateral=femur.lateral,
        length=femur.length * 1.012,
    )
    bend = flexion[0]
    along = 0.83 + 0.16 * np.sin(min(bend, 1.6))
    solids.append(femur.knob((along, 0.085 + uniform(0, 0.015), mid), (0.05, 0.023, 0.03), spongy * uniform(1.2, 2.0)))
    ends.append(len(solids))
    tibia = knee.bent(bend, femur.length * uniform(0.98, 1.1))
    solids += _tibia(tibia, girth, weight, spongy, lumen, rng)
    ends.append(len(solids))
    foot = tibia.bent(-flexion[1], femur.length * uniform(0.28, 0.36))
    solids += _tarsus(foot, girth, weight, spongy, rng)
    toes = foot.bent(uniform(-0.5, 0.1), femur.length * 0.28)
    solids += digits(toes, 4, girth, weight, rng)
    m, length = build.muscle, femur.length
    thigh = femur.at(-0.05, -0.1, lat - 0.02)
    flesh = (
        (thigh, knee.at(0.75, -0.02, 0), (0.3 * length * m, 0.17 * length * m)),
        (knee.at(0.6, 0, 0), tibia.at(0.1, -0.0, 0), (0.19 * length * m, 0.115 * length)),
        (tibia.at(0.05, -0.04, 0), tibia.at(0.55, -0.03, 0), (0.125 * length * m, 0.075 * length * m)),
        (tibia.at(0.5, -0.02, 0), tibia.end, (0.08 * length * m, 0.055 * length)),
        (tibia.end, foot.end, (0.06 * length, 0.055 * length)),
        (foot.end, toes.end, (0.065 * length, 0.05 * length)),
    )
    joints = {
        "hip": femur.origin,
        "stifle": tibia.origin,
        "hock": tibia.end,
        "toes": toes.end,
        "patella": femur.at(along, 0.09, mid),
    }
    return Limb(
        solids=tuple(solids),
        flesh=flesh,
        joints=joints,
        parts=_spans(("femur", "patella", "tibia", "foot"), [0, *ends, len(solids)]),
        flesh_of=(
            ("femur", "femur"),
            ("femur", "tibia"),
            ("tibia", "tibia"),
            ("tibia", "tibia"),
            ("tibia", "foot"),
            ("foot", "foot"),
        ),
        axes={"femur": femur, "knee": knee, "tibia": tibia},
    )


def _spans(names: tuple[str, ...], ends: list[int]) -> dict[str, tuple[int, int]]:
    return {name: (ends[i], ends[i + 1]) for i, name in enumerate(names)}


def _tibia(tibia: Axes, girth: float, weight: float, spongy: float, lumen: float, rng: np.random.Generator) -> list[Solid]:
    r = 0.034 * girth
    solids: list[Solid] = [
        tibia.knob((0.022, -0.01, 0), (0.022, 0.062, 0.078), spongy * 1.1),
        tibia.rod([(0.02, -0.02, 0.035), (0.1, -0.012, 0.02), (0.2, 0, 0)], (0.035, 0.036, r), spongy * 0.6),
        tibia.rod([(0.02, -0.02, -0.035), (0.1, -0.012, -0.02), (0.2, 0, 0)], (0.035, 0.036, r), spongy * 0.6),
        tibia.rod(
            [(0.04, 0.06, 0), (0.09, 0.07, 0), (0.18, 0.045, 0), (0.3, 0.015, 0)], (0.02, 0.026, 0.022, 0.02), spongy * 0.8
        ),
        tibia.rod(
            [(0.1, 0.0, 0), (0.3, 0.0, 0), (0.6, -0.004, 0), (0.9, 0, 0), (0.97, 0, 0)],
            (0.05 * girth, r * 1.05, r * 0.85, r * 1.0, 0.045 * girth),
            weight,
            lumen=lumen,
        ),
        tibia.knob((0.975, 0, 0), (0.025, 0.04, 0.05), spongy),
        tibia.knob((0.99, 0, -0.042), (0.025, 0.025, 0.014), spongy),
        tibia.rod(
            [(0.03, -0.05, 0.078), (0.12, -0.05, 0.07), (0.5, -0.035, 0.04), (0.96, -0.01, 0.045), (1.0, -0.01, 0.048)],
            (0.018, 0.011, 0.009, 0.011, 0.018),
            weight * 0.8,
        ),
        tibia.knob((0.0, 0.0, 0.012), (0.012, 0.02, 0.008), spongy),
        tibia.knob((0.0, 0.0, -0.012), (0.012, 0.02, 0.008), spongy),
    ]
    if rng.random() < 0.6:  # the popliteal sesamoid
        solids.append(tibia.knob((0.035, -0.075, 0.04), (0.01, 0.01, 0.012), spongy))
    return solids


def _tarsus(foot: Axes, girth: float, weight: float, spongy: float, rng: np.random.Generator) -> list[Solid]:
    solids: list[Solid] = [
        foot.knob((0.03, 0.02, 0), (0.17, 0.13, 0.14), spongy),
        foot.rod([(0.2, -0.1, 0.1), (-0.12, -0.22, 0.1), (-0.5, -0.32, 0.08)], (0.12, 0.1, 0.12), spongy * 1.1),
    ]
    for row, count in ((0.3, 2), (0.45, 3)):
        for i in range(count):
            lateral = (i - (count - 1) / 2) * 0.2
            solids.append(foot.knob((row, 0, lateral), (0.09, 0.14, 0.12), spongy * rng.uniform(0.7, 1.1)))
    metatarsus = Axes(
        origin=foot.at(0.5, 0, 0), distal=foot.distal, cranial=foot.cranial, lateral=foot.lateral, length=foot.length
    )
    return solids + metapodials(metatarsus, 4, 0.5 + 0.9, girth, weight)


def metapodials(axes: Axes, count: int, reach: float, girth: float, weight: float) -> list[Solid]:
    solids: list[Solid] = []
    for i in range(count):
        place = i - (count - 1) / 2
        outer = abs(place) > 1
        start, stop = (0.04, 0.0, place * 0.13), (reach * (0.9 if outer else 1.0), 0.03, place * 0.2)
        middle = tuple((a + b) / 2 for a, b in zip(start, stop, strict=True))
        assert len(middle) == 3  # noqa: S101  # a point
        solids.append(axes.rod([start, middle, stop], (0.09 * girth, 0.065 * girth, 0.09 * girth), weight, lumen=0.5))
    return solids


def digits(axes: Axes, count: int, girth: float, weight: float, rng: np.random.Generator) -> list[Solid]:
    """Three phalanges each, claws included, with sesamoids at their root."""
    solids: list[Solid] = []
    curl = rng.uniform(-0.05, 0.2)
    for i in range(count):
        place = i - (count - 1) / 2
        fan, outer = rng.uniform(0.06, 0.14), 0.85 if abs(place) > 1 else 1.0
        d, c, lat = (-0.02 if outer == 1.0 else -0.14), 0.0, place * 0.2
        for length, radius in ((0.34, 0.075), (0.24, 0.065), (0.2, 0.055)):
            end = (d + length * outer, c - curl * length, lat + place * fan * length * 2)
            solids.append(
                axes.rod([(d, c, lat), end], (radius * girth, radius * 0.75 * girth, radius * girth), weight, lumen=0.35)
            )
            d, c, lat = end[0] + 0.025, end[1], end[2]
        for side in (-1, 1):
            solids.append(axes.knob((0.0, -0.1, place * 0.2 + side * 0.045), (0.06, 0.03, 0.03), weight))
    return solids


def forelimb(
    build: Build, shoulder: Axes, flexion: tuple[float, float], rng: np.random.Generator, *, scapula: FloatArray | None
) -> Limb:
    """shoulder: the humerus's axes; flexion: of elbow and carpus, radians from straight (an elbow bends cranially).

    scapula: the middle of its dorsal border, or None to leave it out.
    """
    uniform = rng.uniform
    girth, weight = build.bone_girth, uniform(0.55, 0.9) * build.bone_weight
    lumen, spongy = uniform(0.5, 0.68), uniform(0.2, 0.4) * build.bone_weight
    humerus, r = shoulder, 0.04 * girth
    solids: list[Solid] = [
        humerus.knob((0.03, -0.03, 0), (0.07, 0.08, 0.065), spongy),
        humerus.knob((0.02, 0.06, 0.03), (0.05, 0.035, 0.04), spongy),
        humerus.rod(
            [(0.05, 0, 0), (0.25, 0.01, 0), (0.5, 0, 0), (0.8, 0.005, 0), (0.92, 0, 0)],
            (0.075 * girth, 0.052 * girth, r, r, 0.05 * girth),
            weight,
            lumen=lumen,
        ),
        humerus.rod([(0.95, 0, -0.07), (0.97, 0, 0), (0.95, 0, 0.065)], (0.04, 0.045, 0.04), spongy * 1.1),
        humerus.knob((0.93, -0.05, -0.07), (0.045, 0.03, 0.025), spongy),
        humerus.knob((0.93, -0.04, 0.065), (0.04, 0.025, 0.022), spongy),
    ]
    ends = [len(solids)]
    radius = humerus.bent(-flexion[0], humerus.length * uniform(0.95, 1.1))
    solids += [
        radius.knob((0.02, 0.015, 0.01), (0.02, 0.045, 0.055), spongy),
        radius.rod(
            [(0.02, 0.015, 0.01), (0.12, 0.02, 0.0), (0.5, 0.035, -0.01), (0.85, 0.02, -0.015), (0.98, 0.01, -0.01)],
            (0.042 * girth, 0.03 * girth, 0.034 * girth, 0.038 * girth, 0.055 * girth),
            weight,
            lumen=lumen,
        ),
        radius.rod(
            [
                (-0.17, -0.08, -0.01),
                (-0.05, -0.065, -0.01),
                (0.06, -0.04, 0.0),
                (0.4, -0.03, 0.025),
                (0.8, -0.02, 0.04),
                (1.0, -0.01, 0.045),
            ],
            (0.035 * girth, 0.04 * girth, 0.034 * girth, 0.022 * girth, 0.018 * girth, 0.02 * girth),
            weight * 0.9,
            lumen=0.4,
        ),
    ]
    ends.append(len(solids))
    carpus = radius.bent(flexion[1], humerus.length * uniform(0.22, 0.28))
    solids.append(carpus.rod([(0.12, -0.08, 0.15), (0.15, -0.38, 0.15)], (0.12, 0.14), spongy))
    for row, count in ((0.12, 2), (0.32, 4)):
        for i in range(count):
            lateral = (i - (count - 1) / 2) * 0.56 / count
            solids.append(carpus.knob((row, 0, lateral), (0.1, 0.14, 0.3 / count), spongy * uniform(0.7, 1.1)))
    metacarpus = Axes(
        origin=carpus.at(0.42, 0, 0),
        distal=carpus.distal,
        cranial=carpus.cranial,
        lateral=carpus.lateral,
        length=carpus.length,
    )
    solids += metapodials(metacarpus, 4, 1.25, girth, weight)
    hand = Axes(
        origin=metacarpus.at(0.3, 0.02, 0),
        distal=carpus.distal,
        cranial=carpus.cranial,
        lateral=carpus.lateral,
        length=carpus.length,
    )
    toes = hand.bent(uniform(-0.4, 0.1), humerus.length * 0.28)
    solids += digits(toes, 4, girth, weight, rng)
    if rng.random() < 0.7:  # the dewclaw
        solids.append(metacarpus.rod([(0.0, 0, -0.36), (0.4, 0, -0.46)], (0.06, 0.05), weight))
    m, length = build.muscle, humerus.length
    flesh = [
        (humerus.at(-0.05, 0, -0.03), humerus.at(0.75, -0.04, 0), (0.2 * length * m, 0.14 * length * m)),
        (humerus.at(0.7, -0.03, 0), radius.at(0.12, -0.01, 0), (0.16 * length * m, 0.115 * length * m)),
        (radius.at(0.08, 0, 0), radius.at(0.6, 0, 0), (0.12 * length * m, 0.075 * length)),
        (radius.at(0.55, 0, 0), carpus.at(0.2, 0, 0), (0.078 * length, 0.06 * length)),
        (carpus.at(0.1, 0, 0), toes.origin, (0.062 * length, 0.068 * length)),
        (toes.origin, toes.at(0.85, 0, 0), (0.075 * length, 0.055 * length)),
    ]
    foot_end = len(solids)
    if scapula is not None:
        solids += _scapula(scapula, humerus, weight, rng)
        flesh.append((scapula, humerus.origin, (0.16 * length * m, 0.19 * length * m)))
    joints = {"shoulder": humerus.origin, "elbow": radius.origin, "carpus": carpus.origin, "toes": toes.end}
    return Limb(
        solids=tuple(solids),
        flesh=tuple(flesh),
        joints=joints,
        parts=_spans(("humerus", "radius", "foot", "scapula"), [0, *ends, foot_end, len(solids)]),
        flesh_of=(
            ("humerus", "humerus"),
            ("humerus", "radius"),
            ("radius", "radius"),
            ("radius", "foot"),
            ("foot", "foot"),
            ("foot", "foot"),
            ("scapula", "humerus"),
        )[: len(flesh)],
        axes={"humerus": humerus, "radius": radius},
    )


def _scapula(top: FloatArray, humerus: Axes, weight: float, rng: np.random.Generator) -> list[Solid]:
    neck = humerus.at(-0.06, 0, 0)
    axis = neck - top
    length = float(np.linalg.norm(axis))
    axis = axis / length
    across = np.cross(axis, humerus.lateral)
    across /= np.linalg.norm(across)
    flat = np.cross(axis, across)
    blade = np.stack([axis * length * 0.5, across * length * 0.27, flat * length * 0.016])
    edges = [
        points(top + across * side * length * 0.26, (top + neck) / 2 + across * side * length * 0.17, neck)
        for side in (-1, 1)
    ]
    crest = points(top + across * length * 0.02, neck + flat * 0.25 * np.sign(flat @ humerus.lateral) - axis * 0.15 * length)
    return [
        Ellipsoid(centre=top * 0.48 + neck * 0.52, axes=blade, tissue=Tissue.BONE, weight=weight * rng.uniform(0.4, 0.9)),
        *(tube(edge, (0.09, 0.11, 0.22), Tissue.BONE, weight=weight * 0.6) for edge in edges),
        tube(crest, (0.08, 0.12), Tissue.BONE, weight=weight * 0.7),
        Ellipsoid(centre=neck, axes=np.eye(3) * 0.04 * humerus.length, tissue=Tissue.BONE, weight=weight),
    ]
