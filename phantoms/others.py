"""Pictures that hold no thorax: limbs, noise and text. What a heart model must stay silent about."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from phantoms.film import letters
from phantoms.solids import Solid, Tissue, ellipsoid, points, tube

Plane = npt.NDArray[np.float32]
LIMB = 1.6  # a limb's unit over a vertebra's, so that its bones attenuate as bones do
WORDS = (
    "PHANTOM",
    "HOUNDSFIELD",
    "DOSE REPORT",
    "kV 70 mAs 4",
    "2000-01-01",
    "STUDY",
    "PAGE 1",
    "EXPOSURE INDEX",
    "0123456789",
)


def draw_limb(rng: np.random.Generator) -> tuple[Solid, ...]:
    """Two to four long bones in a chain, joints between them, muscle around; the origin is the first joint."""
    uniform = rng.uniform
    solids: list[Solid] = []
    heading = uniform(0, 2 * np.pi)
    joint = np.zeros(3)
    start = joint - 6 * np.array([np.cos(heading), np.sin(heading), 0.0])
    muscle = uniform(0.9, 2.6)
    for bone in range(rng.integers(2, 5)):
        radius = uniform(0.3, 0.75) * 0.85**bone
        line = points(start, start * 0.85 + joint * 0.15, start * 0.15 + joint * 0.85, joint)
        for shift in (0.0,) if rng.random() < 0.6 else (-radius * 0.8, radius * 0.8):
            apart = np.array([-np.sin(heading), np.cos(heading), 0.0]) * shift
            radii = np.array([1.5, 0.9, 0.9, 1.5]) * radius
            solids.append(tube(line + apart, radii, Tissue.BONE, weight=0.8, lumen=uniform(0.45, 0.7), lumen_weight=0.25))
        solids.append(ellipsoid(joint, (radius * 1.5,) * 3, Tissue.BONE, weight=0.5))
        solids.append(tube(points(start, joint), (muscle, muscle * 0.75), Tissue.FLESH, weight=uniform(0.5, 1.0)))
        muscle *= 0.75
        heading += uniform(-1.6, 1.6)
        start, joint = joint, joint + uniform(3, 8) * np.array([np.cos(heading), np.sin(heading), 0.0])
    for _ in range(rng.integers(0, 6)):  # carpals, tarsals, a patella
        at = points((*rng.normal(0, 0.8, 2), 0.0))[0]
        size = uniform(0.2, 0.55)
        solids.append(ellipsoid(at, (size, size * uniform(0.6, 1.0), size), Tissue.BONE, weight=0.6))
    return tuple(solids)


def noise_picture(rng: np.random.Generator, rows: int, columns: int) -> Plane:
    """Noise of any grain, with or without a gradient; now and then a blank."""
    picture = np.zeros((rows, columns), np.float32)
    if rng.random() < 0.2:
        return picture + np.float32(rng.uniform(0, 1))
    for _ in range(rng.integers(1, 4)):
        sigma = float(np.exp(rng.uniform(np.log(0.3), np.log(40)))) * rows / 256
        layer = gaussian_filter(rng.standard_normal((rows, columns), dtype=np.float32), sigma, truncate=3.0)
        picture += layer / np.float32(layer.std() + 1e-6) * np.float32(rng.uniform(0.1, 1))
    slope = rng.uniform(-2, 2, 2)
    picture += np.linspace(0, slope[0], rows, dtype=np.float32)[:, None]
    picture += np.linspace(0, slope[1], columns, dtype=np.float32)[None, :]
    low, high = np.percentile(picture, [1, 99])
    return np.asarray(np.clip((picture - low) / (high - low + 1e-6), 0, 1), dtype=np.float32)


def text_picture(rng: np.random.Generator, rows: int, columns: int) -> Plane:
    """A page of words, or lines and boxes, as dose reports and scanned forms come."""
    picture = np.full((rows, columns), np.float32(rng.uniform(0, 0.3)), np.float32)
    for _ in range(rng.integers(4, 25)):
        height = int(rng.uniform(8, 26) * rows / 256)
        word = letters(str(rng.choice(WORDS)), height)
        row, column = int(rng.uniform(0, 0.95) * rows), int(rng.uniform(0, 0.8) * columns)
        part = picture[row : row + word.shape[0], column : column + word.shape[1]]
        np.maximum(part, word[: part.shape[0], : part.shape[1]] * np.float32(rng.uniform(0.5, 1)), out=part)
    for _ in range(rng.integers(0, 6)):
        row = int(rng.uniform(0, 0.98) * rows)
        picture[row : row + max(1, rows // 200), int(rng.uniform(0, 0.5) * columns) :] = np.float32(rng.uniform(0.4, 1))
    return 1 - picture if rng.random() < 0.5 else picture
