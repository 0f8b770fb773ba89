"""Soft tissue and air as functions of space: sampled along the rays of a frame and summed up.

A point's signed depth is positive inside a shape, in body units; `filled` turns it into a share of tissue. Findings in three
dimensions are changes of these functions, so that every view of an animal shows the same one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from phantoms.projection import Frame
from phantoms.solids import FloatArray

Plane = npt.NDArray[np.float32]
Depths = npt.NDArray[np.float32]  # (rows, columns, samples), or a part of it that broadcasts

TABLE_START, TABLE_STEP, TABLE_LENGTH = -24.0, 0.03, 2200  # x of profiles, in vertebrae


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Points along rays through a grid coarser than the film. x, y, z: (rows, columns, samples); step: units between them.

    index: (rows, columns, samples) into tables over x, see `Profile`.
    """

    x: Depths = field(repr=False)
    y: Depths = field(repr=False)
    z: Depths = field(repr=False)
    index: npt.NDArray[np.intp] = field(repr=False)
    step: float

    def along(self, values: Depths) -> Plane:
        """The sum along each ray, in units of length."""
        return np.asarray(values.sum(axis=2) * np.float32(self.step), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A number that changes along the body: a smooth curve through knots, kept as a table."""

    table: Plane = field(repr=False)

    def at(self, samples: Samples) -> Depths:
        return np.asarray(self.table.take(samples.index), dtype=np.float32)

    def __call__(self, x: float) -> float:
        return float(self.table[min(max(int((x - TABLE_START) / TABLE_STEP), 0), TABLE_LENGTH - 1)])


def profile(x: FloatArray | list[float], values: FloatArray | list[float], *, smooth: float = 0.6) -> Profile:
    """smooth: width in vertebrae over which the corners at the knots are rounded."""
    at = TABLE_START + (np.arange(TABLE_LENGTH) + 0.5) * TABLE_STEP
    table = np.interp(at, np.asarray(x, dtype=np.float64), np.asarray(values, dtype=np.float64))
    width = int(smooth / TABLE_STEP)
    if width > 1:
        for _ in range(2):
            padded = np.pad(table, (width // 2, width - 1 - width // 2), mode="edge")
            summed = np.concatenate([[0.0], np.cumsum(padded)])
            table = (summed[width:] - summed[:-width]) / width
    return Profile(table=table.astype(np.float32))


def sample(frame: Frame, *, near: float, far: float, count: int, pixels: float) -> Samples:
    """near, far: where along the ray, from the plane through the body's origin, tissue may lie. The view is orthonormal.

    pixels: of the film, between two rays.
    """
    rows, columns = max(round(frame.rows / pixels), 8), max(round(frame.columns / pixels), 8)
    at = np.stack(
        np.meshgrid((np.arange(columns) + 0.5) * frame.columns / columns, (np.arange(rows) + 0.5) * frame.rows / rows), -1
    )
    plane = ((at - frame.offset) @ np.linalg.inv(frame.matrix).T).astype(np.float32)
    u, v = plane[:, :, :1], plane[:, :, 1:]
    step = (far - near) / count
    depth = (near + (np.arange(count, dtype=np.float32) + np.float32(0.5)) * np.float32(step)).astype(np.float32)
    ray, (right, down) = frame.ray.astype(np.float32), frame.view.astype(np.float32)
    x, y, z = (u * right[i] + v * down[i] + depth * ray[i] for i in range(3))
    return Samples(x=x, y=y, z=z, index=table_index(x), step=step)


def table_index(x: Depths) -> npt.NDArray[np.intp]:
    """Where a profile's table holds these x."""
    index = ((x - np.float32(TABLE_START)) * np.float32(1 / TABLE_STEP)).astype(np.intp)
    np.clip(index, 0, TABLE_LENGTH - 1, out=index)
    return index


def spread(plane: Plane, rows: int, columns: int) -> Plane:
    """A sampled plane at the film's size: cubic, corners aligned."""
    image = Image.fromarray(plane).resize((columns, rows), Image.Resampling.BICUBIC)
    return np.array(image, dtype=np.float32)


def filled(depth: Depths, width: float) -> Depths:
    """0 outside, 1 inside, in between over `width` units about the surface: not less than `Samples.step`, or steps show."""
    share = depth * np.float32(1 / width)
    share += np.float32(0.5)
    np.clip(share, 0, 1, out=share)
    return share


def in_ellipsoid(samples: Samples, centre: FloatArray, axes: FloatArray) -> Depths:
    """axes: (3, 3), one semi-axis a row. The depth is exact on the surface and about right near it."""
    lengths = np.linalg.norm(axes, axis=1)
    total: Depths | None = None
    for axis, length in zip(axes, lengths, strict=True):
        part = _along(samples, centre, axis / length**2)
        part *= part
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None  # noqa: S101  # three axes
    np.sqrt(total, out=total)
    np.subtract(np.float32(1), total, out=total)
    total *= np.float32(lengths.min())
    return total


def in_cone(samples: Samples, start: FloatArray, end: FloatArray, radii: tuple[float, float], flat: float = 1.0) -> Depths:
    """A rounded cone between two points; flat: its breadth along z relative to that across."""
    axis = end - start
    squared = float(axis @ axis)
    share = _along(samples, start, axis / squared)
    np.clip(share, 0, 1, out=share)
    total: Depths | None = None
    for i, coordinate in enumerate((samples.x, samples.y, samples.z)):
        part = share * np.float32(-axis[i])
        part += coordinate
        part -= np.float32(start[i])
        if i == 2 and flat != 1.0:
            part *= np.float32(1 / flat)
        part *= part
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None  # noqa: S101  # three coordinates
    np.sqrt(total, out=total)
    share *= np.float32(radii[1] - radii[0])
    share += np.float32(radii[0])
    share -= total
    return np.asarray(share, dtype=np.float32)


def joined(one: Depths, other: Depths, round_off: float) -> Depths:
    """The union of two shapes, its crease rounded over `round_off` units."""
    overlap = np.maximum(np.float32(round_off) - np.abs(one - other), 0)
    overlap *= overlap
    overlap *= np.float32(0.25 / round_off)
    overlap += np.maximum(one, other)
    return np.asarray(overlap, dtype=np.float32)


def _along(samples: Samples, origin: FloatArray, axis: FloatArray) -> Depths:
    total = (samples.x - np.float32(origin[0])) * np.float32(axis[0])
    if axis[1]:
        total += (samples.y - np.float32(origin[1])) * np.float32(axis[1])
    if axis[2]:
        total += (samples.z - np.float32(origin[2])) * np.float32(axis[2])
    return np.asarray(total, dtype=np.float32)
