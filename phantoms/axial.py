"""The axial skeleton in three dimensions: vertebrae from atlas to sacrum, ribs with their cartilages, sternum, tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.types import Species
from phantoms.build import FIRST_VERTEBRA, L1, L7, LAST_VERTEBRA, S1, T1, T13, Build
from phantoms.field import Profile, profile
from phantoms.solids import FloatArray, Solid, Tissue, VertebralBody, ellipsoid, points, tube

RIBS = range(T1, T13 + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """edges: (n + 1, 3) middles of the cranial edges from C1 on; angles, lengths: (n,); `y`: its height over x."""

    edges: FloatArray
    angles: FloatArray
    lengths: FloatArray
    y: Profile

    def edge(self, number: int) -> FloatArray:
        """The cranial edge of the vertebra of this number, T4 being 0."""
        return np.asarray(self.edges[number - FIRST_VERTEBRA])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cage:
    """The rib cage: half width, top and bottom over x (y relative to the spine), and the sternum's ends."""

    width: Profile
    bottom: Profile
    depth: float


def draw_column(rng: np.random.Generator) -> Column:
    number = np.arange(FIRST_VERTEBRA, LAST_VERTEBRA)
    lengths = np.interp(
        number, [-10, -9, -8, -4, -3, 3, 9, 10, 15, 16, 17, 19], [0.9, 1.9, 1.5, 1.3, 1, 0.98, 1.12, 1.3, 1.6, 1.4, 0.8, 0.6]
    )
    lengths = lengths * np.where(number > T13, rng.uniform(0.9, 1.1), 1.0)
    lengths *= 1 + rng.normal(0, 0.015, len(number))
    lengths /= lengths[(number >= 0) & (number < 8)].mean()
    chest, loin, neck = np.deg2rad([rng.uniform(-2.0, 1.4), rng.uniform(-1.5, 2.5), rng.uniform(-16, 8)])
    steps = np.where(number < T1, neck / 3 * np.minimum(T1 - number, 3), 0.0)
    angles = np.deg2rad(rng.uniform(-4, 4)) + chest * (np.clip(number, T1, T13) - 3) + loin * np.clip(number - T13, 0, 8)
    angles = angles - steps + np.where(number >= S1, np.deg2rad(rng.uniform(0, 18)), 0.0) + rng.normal(0, 0.01, len(number))
    sideways = rng.normal(0, 0.006) * np.clip(number - T13, 0, None) + rng.normal(0, 0.02) * np.clip(T1 - number, 0, None)
    moves = np.stack([np.cos(angles), np.sin(angles), np.sin(sideways)], axis=1) * lengths[:, None]
    edges = np.concatenate([np.zeros((1, 3)), np.cumsum(moves, axis=0)])
    edges -= edges[-FIRST_VERTEBRA]
    return Column(edges=edges, angles=angles, lengths=lengths, y=profile(edges[:, 0], edges[:, 1], smooth=0.3))


def draw_cage(build: Build, rng: np.random.Generator) -> Cage:
    uniform = rng.uniform
    wide, deep = build.chest_width, build.chest_depth
    belly = uniform(0.9, 1.05) * wide
    return Cage(
        width=profile(
            [-4.5, -3, -1, 2, 6, 9, 13, 17], [0.7, 1.15, 0.62 * wide, 0.86 * wide, wide, 1.03 * wide, belly, belly]
        ),
        bottom=profile(
            [-4.5, -3.2, -1, 3.5, 6.5, 10, 14],
            np.array([0.42, 0.56, 0.82, 1.0, 1.02, 0.93 + uniform(-0.1, 0.1), 0.9]) * deep,
            smooth=1.5,
        ),
        depth=deep,
    )


def spine_bones(build: Build, column: Column, rng: np.random.Generator) -> list[Solid]:
    """Bodies, arches with their facets, spinous and transverse processes, the sacrum's wings, a tail."""
    uniform = rng.uniform
    solids: list[Solid] = []
    weight, cortex = uniform(0.12, 0.42) * build.bone_weight, uniform(0.5, 1.3) * build.bone_weight
    arch_weight, process_weight = uniform(0.2, 0.65) * build.bone_weight, uniform(0.15, 0.55) * build.bone_weight
    disc, girth = uniform(0.08, 0.16), uniform(0.8, 1.4)
    for i, number in enumerate(range(FIRST_VERTEBRA, LAST_VERTEBRA)):
        length = float(column.lengths[i])
        move = column.edges[i + 1] - column.edges[i]
        along = move / np.linalg.norm(move)
        dorsal = np.array([along[1], -along[0], 0.0]) / np.hypot(along[0], along[1])
        middle = (column.edges[i] + column.edges[i + 1]) / 2
        height = build.body_height * (length**0.4 if number < S1 else 0.8 * length)
        width = height * (1.25 if number < T1 or number > T13 else 1.1)
        gap = disc if number < S1 else 0.02
        half = along * length * (1 - gap) / 2
        if number > FIRST_VERTEBRA:  # the atlas has no body
            solids.append(
                VertebralBody(
                    cranial=middle - half,
                    caudal=middle + half,
                    dorsal=dorsal,
                    height=height,
                    width=width,
                    weight=weight,
                    cortex=cortex,
                )
            )
        arch = height * uniform(0.9, 1.1)
        for side in (-1, 1):
            z = np.array([0.0, 0.0, side * 0.42 * width])
            feet = points(
                middle - along * 0.3 * length + dorsal * height * 0.35 + z,
                middle - along * 0.22 * length + dorsal * (height * 0.5 + arch * 0.45) + 1.15 * z,
                middle + along * 0.1 * length + dorsal * (height * 0.5 + arch * 0.8) + 0.6 * z,
                middle + along * 0.52 * length + dorsal * (height * 0.5 + arch * 0.5) + 0.95 * z,
            )
            solids.append(tube(feet, (0.15, 0.11, 0.1, 0.15), Tissue.BONE, weight=arch_weight))
            reach, back, down, thick = _transverse(number)
            if reach:
                root = middle + z * 1.1
                tip = root + side * np.array([0, 0, reach]) + along * back * length - dorsal * down
                solids.append(
                    tube(
                        points(root, (root + tip) / 2, tip),
                        (thick, thick * 1.1, thick * 0.7),
                        Tissue.BONE,
                        weight=0.6 * arch_weight,
                    )
                )
        reach, lean = _spinous(number, build)
        if reach:
            lean += uniform(-0.06, 0.06)
            direction = along * np.sin(lean) + dorsal * np.cos(lean)
            root = middle + dorsal * (height * 0.5 + arch * 0.6) + along * 0.1 * length
            radii = np.array([0.15, 0.11, 0.13]) * girth * (1.0 if number <= T13 else 1.3)
            solids.append(
                tube(
                    points(root, root + direction * reach * 0.5, root + direction * reach),
                    radii,
                    Tissue.BONE,
                    weight=process_weight,
                )
            )
    solids += _sacral_wings(column, weight)
    solids += _tail(column, weight, cortex, rng)
    return solids


def _transverse(number: int) -> tuple[float, float, float, float]:
    """Reach, shift caudally, drop, radius."""
    if number == FIRST_VERTEBRA:
        return 1.0, 0.1, 0.1, 0.35  # the atlas's wings
    if number < T1:
        return 0.45, 0.25, 0.45, 0.2
    if number <= T13:
        return 0.25, -0.1, -0.15, 0.14
    if number <= L7:
        return float(np.interp(number, [L1, L1 + 3, L7], [0.75, 1.25, 0.9])), -0.35, 0.35, 0.19
    return 0.0, 0.0, 0.0, 0.0


def _spinous(number: int, build: Build) -> tuple[float, float]:
    """Length, and lean caudally in radians."""
    if number == FIRST_VERTEBRA:
        return 0.0, 0.0
    if number == FIRST_VERTEBRA + 1:
        return 0.7, 0.0  # the axis's blade
    if number < T1:
        return 0.45, 0.0
    if number <= T13:
        reach = float(np.interp(number, [-3, -1, 3, 6, 8, 9], [2.3, 2.5, 1.9, 1.3, 0.8, 0.75]))
        return reach * build.process, float(np.interp(number, [-3, 3, 6, 7, 9], [0.35, 0.85, 0.75, 0.2, -0.3]))
    if number <= L7:
        return 0.85, -0.25
    return 0.4, 0.2


def _sacral_wings(column: Column, weight: float) -> list[Solid]:
    root = column.edge(S1)
    return [
        ellipsoid((root[0] + 0.35, root[1] - 0.05, side * 0.7), (0.62, 0.5, 0.5), Tissue.BONE, weight=0.8 * weight)
        for side in (-1, 1)
    ]


def _tail(column: Column, weight: float, cortex: float, rng: np.random.Generator) -> list[Solid]:
    if rng.random() < 0.1:  # docked
        return []
    solids: list[Solid] = []
    at, angle = column.edges[-1], float(column.angles[-1]) + rng.uniform(0, 0.3)
    bend, sideways = rng.uniform(-0.05, 0.22), rng.uniform(-0.12, 0.12)
    size = 0.8
    for _ in range(int(rng.integers(3, 11))):
        along = np.array([np.cos(angle), np.sin(angle), sideways])
        along /= np.linalg.norm(along)
        end = at + along * size
        solids.append(
            VertebralBody(
                cranial=at + along * 0.08,
                caudal=end - along * 0.08,
                dorsal=np.array([along[1], -along[0], 0]) / np.hypot(along[0], along[1]),
                height=0.34 * size,
                width=0.4 * size,
                weight=weight,
                cortex=0.7 * cortex,
            )
        )
        at, angle = end, angle + bend
        sideways *= 1.1
    return solids


def rib_bones(build: Build, column: Column, cage: Cage, rng: np.random.Generator) -> list[Solid]:
    """Each rib leaves its vertebra sideways, follows the wall, and ends in a cartilage that may show."""
    uniform = rng.uniform
    solids: list[Solid] = []
    girth, weight = uniform(0.75, 1.25), uniform(0.3, 0.8) * build.bone_weight
    marrow, cartilage = uniform(0.15, 0.4), uniform(0, 0.3) * (rng.random() < 0.75)
    t = np.linspace(0, 1, 13)
    for number in RIBS:
        head = column.edge(number)
        reach = float(np.interp(number, [-3, 0, 4, 7, 9], [0.52, 0.66, 0.72, 0.68, 0.5]))
        sweep = build.rib_sweep * float(np.interp(number, [-3, 0, 5, 9], [0.3, 0.9, 2.2, 2.9]))
        for side in (-1, 1):
            line = _rib_line(head, reach, sweep, side, column, cage, t)
            line[:, 0] += uniform(-0.05, 0.05)
            radii = np.array([0.11, 0.1, 0.11, 0.15]) * girth
            solids.append(
                tube(line, radii, Tissue.BONE, weight=weight * uniform(0.9, 1.1), lumen=0.6, lumen_weight=weight * marrow)
            )
            solids.append(ellipsoid(line[0], (0.17, 0.16, 0.2), Tissue.BONE, weight=weight))
            if cartilage > 0.04:
                end = line[-1]
                low = column.y(end[0]) + cage.bottom(end[0])
                to = (
                    (end[0] - uniform(0.4, 1.4), low, 0.12 * side)
                    if number < 6
                    else (end[0] - 1.6, low - 0.4, end[2] * 0.45)
                )
                bend = (end[0] + 0.25, (end[1] + to[1]) / 2 + 0.35, end[2] * 0.75)
                solids.append(tube(points(end, bend, to), 0.11 * girth, Tissue.BONE, weight=cartilage))
    return solids


def _rib_line(
    head: FloatArray, reach: float, sweep: float, side: int, column: Column, cage: Cage, t: FloatArray
) -> FloatArray:
    x = head[0] + sweep * t**1.2
    turn = np.pi * (0.06 + (reach + 0.12) * t)
    width = np.array([cage.width(one) for one in x]) * 0.97
    low = np.array([cage.bottom(one) for one in x])
    spine = np.array([column.y(one) for one in x])
    y = spine - 0.1 + low * (0.5 - 0.5 * np.cos(turn)) - 0.35 * np.sin(turn) ** 2 * (t < 0.5) * (1 - 2 * t)
    z = side * (0.22 + (width - 0.22) * np.sin(turn) ** 0.75)
    line = np.stack([x, y, z], axis=1)
    line[0] = head[0], head[1] - 0.08, side * 0.3
    return line


def sternum_bones(build: Build, column: Column, cage: Cage, rng: np.random.Generator) -> list[Solid]:
    """The manubrium, seven more sternebrae, and the xiphoid's beginning."""
    solids: list[Solid] = []
    weight, length = rng.uniform(0.25, 0.5) * build.bone_weight, rng.uniform(1.0, 1.2)
    height = rng.uniform(0.32, 0.5) * (0.8 if build.species is Species.CAT else 1.0)
    x = -3.4 + rng.uniform(-0.3, 0.3)
    for number in range(8):
        ends = [np.array([at, column.y(at) + cage.bottom(at) + 0.3, 0.0]) for at in (x, x + length)]
        along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
        gap = along * length * 0.07
        thin = 0.7 if number == 7 else 1.0
        solids.append(
            VertebralBody(
                cranial=ends[0] + gap,
                caudal=ends[1] - gap,
                dorsal=np.array([along[1], -along[0], 0.0]),
                height=height * thin,
                width=height * 1.1 * thin,
                weight=weight * rng.uniform(0.85, 1.15),
                cortex=0.6,
            )
        )
        x += length * 0.98
    return solids
