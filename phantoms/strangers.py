"""Pictures that come to a node and show no region: blank plates, test patterns, slices, lumps, things, pages of text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from phantoms.detector import develop, draw_exposure
from phantoms.mishaps import annotate, collimate, regrade
from phantoms.others import noise_picture, text_picture
from phantoms.projection import make_frame, project_solids
from phantoms.solids import Ellipsoid, Solid, Tissue, points, tube

Plane = npt.NDArray[np.float32]
KINDS = ("noise", "text", "blank", "pattern", "slice", "lump", "things")


def stranger(seed: int, rows: int, columns: int) -> Plane:
    """float32 (rows, columns) in 0..1; the kind follows from the seed."""
    rng = np.random.default_rng([seed, 27])
    kind = KINDS[int(rng.integers(len(KINDS)))]
    if kind == "noise":
        picture = noise_picture(rng, rows, columns)
    elif kind == "text":
        picture = text_picture(rng, rows, columns)
    elif kind == "blank":
        picture = _blank(rng, rows, columns)
    elif kind == "pattern":
        picture = _pattern(rng, rows, columns)
    elif kind == "slice":
        picture = _slice(rng, rows, columns)
    else:
        picture = _developed(_lump(rng) if kind == "lump" else _things(rng), rng, rows, columns)
    if kind not in ("text", "noise"):
        picture = annotate(collimate(regrade(picture, rng), rng), rng)
    return np.asarray(np.clip(picture, 0, 1), dtype=np.float32)


def _blank(rng: np.random.Generator, rows: int, columns: int) -> Plane:
    """A plate without an animal: scatter, shading, grain."""
    waves = gaussian_filter(rng.standard_normal((rows, columns), dtype=np.float32), 0.2 * rows, truncate=2.0)
    waves *= np.float32(rng.uniform(0, 0.2) / (waves.std() + 1e-6))
    grain = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(rng.uniform(0.002, 0.06))
    return np.asarray(np.float32(rng.uniform(0.0, 1.0)) + waves + grain, dtype=np.float32)


def _pattern(rng: np.random.Generator, rows: int, columns: int) -> Plane:
    """Steps, bars, frames and discs, as monitors and detectors are tested with."""
    picture = np.full((rows, columns), np.float32(rng.uniform(0.2, 0.7)), np.float32)
    if rng.random() < 0.5:
        step = int(rng.integers(8, max(rows // 6, 9)))
        picture[::step] = picture[:, ::step] = np.float32(rng.uniform(0, 1))
    row, column = np.mgrid[0:rows, 0:columns]
    for _ in range(int(rng.integers(3, 16))):
        top, left = rng.uniform(0, 0.85, 2) * (rows, columns)
        height, width = rng.uniform(0.04, 0.5, 2) * (rows, columns)
        part = picture[int(top) : int(top + height), int(left) : int(left + width)]
        way = rng.integers(0, 4)
        if way == 0:
            part[:] = np.float32(rng.uniform(0, 1))
        elif way == 1:
            part[:] = np.floor(np.linspace(0, 8, part.shape[1], dtype=np.float32))[None, :] / 8
        elif way == 2:
            part[:] = (np.arange(part.shape[1]) // int(rng.integers(1, 5)) % 2)[None, :]
        else:
            picture[(row - top) ** 2 + (column - left) ** 2 < (0.3 * height) ** 2] = np.float32(rng.uniform(0, 1))
    return picture


def _slice(rng: np.random.Generator, rows: int, columns: int) -> Plane:
    """A cross section: an oval with organs, a bright ring or spots of bone, air about it."""
    u = np.linspace(-1, 1, columns, dtype=np.float32)[None, :] * max(1, columns / rows)
    v = np.linspace(-1, 1, rows, dtype=np.float32)[:, None] * max(1, rows / columns)
    size = rng.uniform(0.5, 1.2, 2)
    radius = np.sqrt((u / size[0]) ** 2 + (v / size[1]) ** 2)
    picture = np.where(radius < 1, np.float32(rng.uniform(0.3, 0.6)), np.float32(0))
    if rng.random() < 0.5:
        picture = np.where((radius < 1) & (radius > rng.uniform(0.85, 0.95)), np.float32(rng.uniform(0.7, 1)), picture)
    for _ in range(int(rng.integers(3, 14))):
        at, extent = rng.uniform(-0.6, 0.6, 2) * size, rng.uniform(0.04, 0.35, 2)
        inside = ((u - at[0]) / extent[0]) ** 2 + ((v - at[1]) / extent[1]) ** 2 < 1
        picture = np.where(inside & (radius < 1), np.float32(rng.choice([0.0, 1.0, rng.uniform(0.2, 0.8)])), picture)
    grain = gaussian_filter(rng.standard_normal((rows, columns), dtype=np.float32), rng.uniform(0.3, 1.5))
    soft = gaussian_filter(picture.astype(np.float32), rng.uniform(0.4, 1.5))
    return np.asarray(soft + grain * np.float32(rng.uniform(0.01, 0.1)), dtype=np.float32)


def _lump(rng: np.random.Generator) -> list[Solid]:
    """A specimen or a breast: soft tissue alone, strands and specks in it."""
    size = rng.uniform(2.5, 5.0, 3)
    shift = np.array([*rng.uniform(-4, 4, 2), 0.0])
    solids: list[Solid] = [Ellipsoid(centre=shift, axes=np.diag(size), tissue=Tissue.FLESH, weight=rng.uniform(0.4, 1.0))]
    for _ in range(int(rng.integers(10, 60))):
        at = shift + rng.normal(0, 0.4, 3) * size
        if rng.random() < 0.7:
            solids.append(
                tube(
                    points(at, at + rng.normal(0, 0.8, 3)),
                    rng.uniform(0.03, 0.25),
                    Tissue.FLESH,
                    weight=rng.uniform(0.1, 0.8),
                )
            )
        else:
            extent = rng.uniform(0.05, 1.2, 3)
            solids.append(Ellipsoid(centre=at, axes=np.diag(extent), tissue=Tissue.FLESH, weight=rng.uniform(-0.3, 0.6)))
    return solids


def _things(rng: np.random.Generator) -> list[Solid]:
    """Instruments, collars, eggs, a step wedge: shapes that are no animal."""
    solids: list[Solid] = []
    for _ in range(int(rng.integers(1, 12))):
        at = rng.normal(0, 2.5, 3)
        way = rng.integers(0, 3)
        weight = rng.uniform(0.3, 5)
        if way == 0:
            path = np.cumsum(rng.normal(0, 1.6, (int(rng.integers(2, 7)), 3)), axis=0) + at
            solids.append(
                tube(path, rng.uniform(0.05, 0.5), Tissue.BONE, weight=weight, lumen=0.8 if rng.random() < 0.4 else 0.0)
            )
        elif way == 1:
            solids.append(
                Ellipsoid(centre=at, axes=np.diag(rng.uniform(0.2, 2.5, 3)), tissue=Tissue.BONE, weight=0.3 * weight)
            )
        else:
            turn = np.linspace(0, 2 * np.pi, 20)
            ring = at + rng.uniform(0.5, 3) * np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
            solids.append(tube(ring, rng.uniform(0.05, 0.4), Tissue.BONE, weight=weight))
    return solids


def _developed(solids: list[Solid], rng: np.random.Generator, rows: int, columns: int) -> Plane:
    per_unit = min(rows, columns) / rng.uniform(9, 18)
    turn = rng.uniform(0, 2 * np.pi)
    matrix = per_unit * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    frame = make_frame(rows, columns, np.eye(3)[:2], matrix, np.array([columns, rows]) / 2)
    thickness = project_solids(tuple(solids), frame)
    return develop(thickness, unit_mm=rng.uniform(9, 22), exposure=draw_exposure(rng), rng=rng)
