"""Phantoms rendered once and kept in shards, so that training does not wait for the renderer.

Seeds from FIRST_SEED on belong to training; those of the benchmark and of the demo never reach it.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from phantoms.views import CropName, Phantom, Unframeable, render

ROWS, COLUMNS = 256, 320
STRIDE = 4  # pixels of the input per pixel of the network's maps
FIRST_SEED = 1_000_000
SPINE_EDGES = 22

# What the view head tells apart.
COMPLETE_LATERAL, INCOMPLETE_LATERAL, VENTRODORSAL, OTHER = range(4)

# (kind, view, crop, weight): how the renders are shared out.
MIXTURE: tuple[tuple[int, str, CropName | None, float], ...] = (
    (COMPLETE_LATERAL, "lateral-right", None, 0.40),
    (COMPLETE_LATERAL, "lateral-left", None, 0.34),
    (INCOMPLETE_LATERAL, "lateral-right", "apex", 0.03),
    (INCOMPLETE_LATERAL, "lateral-left", "t4", 0.03),
    (INCOMPLETE_LATERAL, "lateral-right", "abdomen", 0.03),
    (VENTRODORSAL, "ventrodorsal", None, 0.08),
    (OTHER, "limb", None, 0.05),
    (OTHER, "noise", None, 0.02),
    (OTHER, "text", None, 0.02),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """images: uint8 (n, rows, columns); kinds: (n,); heart: uint8 (n, rows/4, columns/4), share of the pixel, 255 all.

    axes: (n, 4, 2) long axis, then short axis; spine: (n, 22, 2) cranial edges of C4 … L5; NaN where there is none.
    """

    images: npt.NDArray[np.uint8]
    kinds: npt.NDArray[np.int64]
    axes: npt.NDArray[np.float32]
    spine: npt.NDArray[np.float32]
    heart: npt.NDArray[np.uint8]


def render_one(seed: int) -> tuple[Phantom, int]:
    """A phantom of the mixture; which kind it is follows from the seed."""
    rng = np.random.default_rng([seed, 9])
    weights = np.array([row[3] for row in MIXTURE])
    kind, view, crop, _ = MIXTURE[rng.choice(len(MIXTURE), p=weights / weights.sum())]
    for attempt in range(20):
        try:
            return render(seed + attempt * 10_000_000, view=view, rows=ROWS, columns=COLUMNS, crop=crop), kind
        except Unframeable:
            continue
    raise Unframeable(f"seed {seed}")


def render_shard(first_seed: int, count: int) -> Shard:
    images = np.zeros((count, ROWS, COLUMNS), np.uint8)
    kinds = np.zeros(count, np.int64)
    axes = np.full((count, 4, 2), np.nan, np.float32)
    spine = np.full((count, SPINE_EDGES, 2), np.nan, np.float32)
    heart = np.zeros((count, ROWS // STRIDE, COLUMNS // STRIDE), np.uint8)
    for i in range(count):
        phantom, kinds[i] = render_one(first_seed + i)
        images[i] = np.round(phantom.pixels * 255)
        truth = phantom.truth
        if truth.long_axis is not None and truth.short_axis is not None and truth.spine is not None:
            axes[i] = np.concatenate([truth.long_axis, truth.short_axis])
            spine[i] = truth.spine
        if phantom.heart is not None:
            blocks = phantom.heart.reshape(ROWS // STRIDE, STRIDE, COLUMNS // STRIDE, STRIDE)
            heart[i] = np.round(blocks.mean(axis=(1, 3)) * 255)
    return Shard(images=images, kinds=kinds, axes=axes, spine=spine, heart=heart)


def save_shard(index: int, *, count: int, directory: Path) -> Path:
    shard = render_shard(FIRST_SEED + index * count, count)
    path = directory / f"phantoms-{index:04d}.npz"
    np.savez(path, images=shard.images, kinds=shard.kinds, axes=shard.axes, spine=shard.spine, heart=shard.heart)
    return path


def load(directory: Path) -> Shard:
    """All shards of a folder as one. FileNotFoundError when there are none."""
    paths = sorted(directory.glob("phantoms-*.npz"))
    if not paths:
        raise FileNotFoundError(f"no phantoms in {directory}: render them first")
    parts = [np.load(path) for path in paths]
    return Shard(
        images=np.concatenate([part["images"] for part in parts]),
        kinds=np.concatenate([part["kinds"] for part in parts]),
        axes=np.concatenate([part["axes"] for part in parts]),
        spine=np.concatenate([part["spine"] for part in parts]),
        heart=np.concatenate([part["heart"] for part in parts]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the training phantoms.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--count", type=int, default=500, help="phantoms a shard")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for left_over in arguments.out.glob("phantoms-*.npz"):  # of another count, or of an earlier generator
        left_over.unlink()
    save = partial(save_shard, count=arguments.count, directory=arguments.out)
    with ProcessPoolExecutor(arguments.processes) as pool:
        for path in pool.map(save, range(arguments.shards)):
            print(path, flush=True)


if __name__ == "__main__":
    main()
