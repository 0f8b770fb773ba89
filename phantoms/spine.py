"""The spine, the ribs and the sternum: what a vertebral heart score is counted on, and what lies over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phantoms.solids import FloatArray, Solid, Tissue, VertebralBody, ellipsoid, points, tube

FIRST, LAST = -7, 14  # vertebrae relative to T4, LAST excluded: C4 … L4
RIBBED = range(-3, 10)  # T1 … T13
COUNTED = 9  # edges given as truth: T4 … T12


@dataclass(frozen=True, slots=True, kw_only=True)
class Spine:
    """edges: (n + 1, 2) middles of the cranial edges in the sagittal plane, `edges[-FIRST]` being T4's, at the origin.

    angles: (n,) radians; lengths: (n,); body_height: share of a vertebra; disc: share of a vertebra's length.
    """

    edges: FloatArray
    angles: FloatArray
    lengths: FloatArray
    body_height: float
    disc: float

    @property
    def counted(self) -> FloatArray:
        """Cranial edges of T4 … T12, (9, 2)."""
        return self.edges[-FIRST : -FIRST + COUNTED]

    def y(self, x: float | FloatArray) -> FloatArray:
        return np.asarray(np.interp(x, self.edges[:, 0], self.edges[:, 1]))


def draw_spine(rng: np.random.Generator) -> Spine:
    number = np.arange(FIRST, LAST)
    lengths = 1 + rng.uniform(-0.005, 0.02) * (number - 3) + rng.normal(0, 0.018, len(number))
    lengths[number < -3] *= rng.uniform(1.1, 1.5)
    lengths[number > 9] *= rng.uniform(1.05, 1.25)
    lengths /= lengths[(number >= 0) & (number < 8)].mean()
    from_middle = number + 0.5 - 3.5
    tilt, bend, twist = np.deg2rad([rng.uniform(-8, 8), rng.uniform(-3, 2), rng.uniform(-0.25, 0.25)])
    neck = np.deg2rad(rng.uniform(-14, 8))
    angles = tilt + bend * from_middle + twist * from_middle**2
    angles -= neck * 0.6 * np.clip(-(number + 2), 0, None)
    angles += rng.normal(0, 0.012, len(number))
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=1) * lengths[:, None]
    edges = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    edges -= edges[-FIRST]
    return Spine(
        edges=edges,
        angles=angles,
        lengths=lengths,
        body_height=rng.uniform(0.5, 0.78),
        disc=rng.uniform(0.07, 0.16),
    )


def vertebrae(spine: Spine, back_height: float, rng: np.random.Generator) -> list[Solid]:
    """Bodies, arches, facets and spinous processes. back_height: depth of muscle over the spine."""
    solids: list[Solid] = []
    width = spine.body_height * rng.uniform(0.9, 1.5)
    body_weight, cortex = rng.uniform(0.15, 0.55), rng.uniform(0.35, 1.3)
    arch_weight, arch_height = rng.uniform(0.15, 1.0), rng.uniform(0.45, 0.75)
    process_weight, process_radius = rng.uniform(0.3, 1.1), rng.uniform(0.8, 1.6)
    for i, number in enumerate(range(FIRST, LAST)):
        start, end = spine.edges[i], spine.edges[i + 1]
        length = spine.lengths[i]
        along = np.array([np.cos(spine.angles[i]), np.sin(spine.angles[i]), 0.0])
        dorsal = np.array([along[1], -along[0], 0.0])
        middle = np.append((start + end) / 2, 0.0)
        half = along * length * (1 - spine.disc) / 2
        height = spine.body_height * length
        solids.append(
            VertebralBody(
                cranial=middle - half,
                caudal=middle + half,
                dorsal=dorsal,
                height=height,
                width=width * length,
                weight=body_weight,
                cortex=cortex,
            )
        )
        # The arch: pedicle, lamina and caudal facet of each side draw the loops that ride on real thoracic spines.
        for side in (-1, 1):
            z = side * rng.uniform(0.2, 0.3) * length
            feet = points(
                middle - along * 0.28 * length + dorsal * height * 0.35,
                middle - along * 0.22 * length + dorsal * height * (0.5 + arch_height * 0.5),
                middle + along * 0.1 * length + dorsal * height * (0.5 + arch_height),
                middle + along * 0.5 * length + dorsal * height * (0.5 + arch_height * 0.55),
            )
            feet[:, 2] = z * np.array([1.0, 1.1, 0.8, 0.9])
            solids.append(tube(feet, (0.13, 0.1, 0.09, 0.13), Tissue.BONE, weight=arch_weight))
        if number > 9:  # lumbar: transverse processes, short spines
            for side in (-1, 1):
                root = middle + points((0, 0, side * width * 0.5))[0]
                tip = root + np.array([-0.25, 0.15, side * 0.9])
                solids.append(tube(points(root, tip), (0.12, 0.1), Tissue.BONE, weight=0.4))
        reach = float(np.interp(number, [-3, -1, 6, 8], [2.2, 2.3, 1.1, 0.7])) * back_height / 2.6
        lean = rng.uniform(0.25, 0.4) + float(np.interp(number, [-3, 5, 7, 8], [0, 0.45, 0.2, -0.1]))
        if not -3 <= number <= 8:
            reach, lean = (0.7, -0.1) if number > 0 else (0.5, -0.1)
        direction = along * np.sin(lean) + dorsal * np.cos(lean)
        root = middle + dorsal * height * (0.5 + arch_height * 0.6)
        spinous = points(root, root + direction * reach * 0.5, root + direction * reach)
        radii = np.array([0.16, 0.11, 0.13]) * process_radius
        solids.append(tube(spinous, radii, Tissue.BONE, weight=process_weight))
    return solids


def ribs(spine: Spine, chest: FloatArray, depth: float, rng: np.random.Generator) -> list[Solid]:
    """Thirteen pairs. chest: (n, 2) half width of the chest wall over x; depth: from spine to sternum.

    Each rib leaves the spine sideways, which is why rib heads look bright from the side, and then follows the wall.
    """
    solids: list[Solid] = []
    thickness, weight, marrow = rng.uniform(0.8, 1.5), rng.uniform(0.25, 0.75), rng.uniform(0.15, 0.35)
    sweep, bow = rng.uniform(0.55, 1.15), rng.uniform(0.55, 1.15)
    head_weight, head_size = rng.uniform(0.5, 1.3), rng.uniform(0.8, 1.4)
    cartilage = rng.uniform(0, 0.22)
    t = np.linspace(0, 1, 10)
    for number in RIBBED:
        head = spine.edges[number - FIRST]
        reach = depth * float(np.interp(number, [-3, 0, 4, 7, 9], [0.55, 0.72, 0.8, 0.72, 0.5]))
        half_width = float(np.interp(head[0] + 0.5, chest[:, 0], chest[:, 1]))
        lean = sweep * reach * float(np.interp(number, [-3, 0, 9], [0.02, 0.14, 0.5]))
        belly = bow * float(np.interp(number, [-3, 9], [0.15, 0.9]))
        for side in (-1, 1):
            x = head[0] + rng.uniform(-0.06, 0.06) + lean * t + belly * np.sin(np.pi * t * 0.8)
            y = head[1] + rng.uniform(-0.1, 0.05) + reach * t - 0.35 * np.sin(np.pi * t)
            z = side * (0.25 + (half_width - 0.25) * np.sin(np.pi * np.clip(t * 0.62 + 0.02, 0, 1)) ** 0.8)
            line = np.stack([x, y, z], axis=1)
            solids.append(
                tube(
                    line,
                    np.array([0.1, 0.085, 0.1, 0.13]) * thickness,
                    Tissue.BONE,
                    weight=weight * rng.uniform(0.85, 1.15),
                    lumen=0.62,
                    lumen_weight=weight * marrow,
                )
            )
            solids.append(
                ellipsoid(
                    (x[0], y[0], z[0]),
                    (0.16 * head_size, 0.15 * head_size, 0.25),
                    Tissue.BONE,
                    weight=weight * head_weight,
                )
            )
            if number < 7 and cartilage > 0.03:
                end = line[-1]
                bend = end + np.array([0.2, 0.5, -0.3 * end[2]])
                sternal = points(end, bend, (end[0] - 0.5, end[1] + depth * 0.15 + 0.4, 0.15 * side))
                solids.append(tube(sternal, 0.11, Tissue.BONE, weight=cartilage))
    return solids


def sternum(spine: Spine, depth: float, slope: float, rng: np.random.Generator) -> list[Solid]:
    """Eight sternebrae in a row under the heart."""
    solids: list[Solid] = []
    x, length = -2.2 + rng.uniform(-0.6, 0.6), rng.uniform(0.75, 1.05)
    height, weight = rng.uniform(0.32, 0.56), rng.uniform(0.2, 0.45)
    along = np.array([np.cos(slope), np.sin(slope), 0.0])
    dorsal = np.array([along[1], -along[0], 0.0])
    for _ in range(8):
        y = float(spine.y(3.5)) + depth + (x + length / 2 - 4.5) * np.tan(slope) + 0.22
        middle = np.array([x + length / 2, y, 0.0])
        solids.append(
            VertebralBody(
                cranial=middle - along * length * 0.44,
                caudal=middle + along * length * 0.44,
                dorsal=dorsal,
                height=height,
                width=0.5,
                weight=weight * rng.uniform(0.8, 1.2),
                cortex=0.5,
            )
        )
        x += length * 1.02
    return solids
