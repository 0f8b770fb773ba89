"""The phantoms that triage learns from and is measured on: every region and view, upright, as the network sees them.

How an image lies is drawn when it is used (`lying`): a quarter turn or a mirror image costs nothing and is exact.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from domain.types import Region, Species, View
from inference.plane import fit
from phantoms.radiographs import Wish, expose
from phantoms.scenes import PARTS
from phantoms.strangers import stranger
from phantoms.views import Unframeable, render

SIDE = 96
LOW_PERCENT, HIGH_PERCENT = 0.5, 99.5
TRAINING_SEED, CALIBRATION_SEED, EVALUATION_SEED = 20_000_000, 40_000_000, 50_000_000

REGIONS = (Region.THORAX, Region.ABDOMEN, Region.PELVIS, Region.LIMB, Region.HEAD, Region.OTHER)
# What pixels can tell: a dorsoventral film looks like a ventrodorsal one, a lateromedial like a mediolateral.
VIEWS = (View.LATERAL, View.VENTRODORSAL, View.MEDIOLATERAL, View.CRANIOCAUDAL, View.OTHER)
# Pixels do not tell which side a beam entered from. Such a pair shares its probability three to one, the commoner projection
# first, so that a header's claim decides between the two and is never overruled by its twin.
COMMONER = 0.75
TWINS: dict[View, View] = {
    View.VENTRODORSAL: View.DORSOVENTRAL,
    View.MEDIOLATERAL: View.LATEROMEDIAL,
    View.CRANIOCAUDAL: View.CAUDOCRANIAL,
}
EXPORTED_VIEWS = (*VIEWS, *TWINS.values())
ISSUES = ("cropped", "rotated-body", "underexposed", "overexposed")
ORIENTATIONS = ("0", "90", "180", "270", "mirrored-0", "mirrored-90", "mirrored-180", "mirrored-270")
UNKNOWN = -1

# (region, view, renderer, weight)
MIXTURE: tuple[tuple[Region, View, str, float], ...] = (
    (Region.THORAX, View.RIGHT_LATERAL, "scene", 0.13),
    (Region.THORAX, View.RIGHT_LATERAL, "views", 0.05),
    (Region.THORAX, View.VENTRODORSAL, "scene", 0.08),
    (Region.THORAX, View.DORSOVENTRAL, "scene", 0.04),
    (Region.THORAX, View.VENTRODORSAL, "views", 0.03),
    (Region.ABDOMEN, View.RIGHT_LATERAL, "scene", 0.08),
    (Region.ABDOMEN, View.VENTRODORSAL, "scene", 0.07),
    (Region.PELVIS, View.VENTRODORSAL, "scene", 0.10),
    (Region.PELVIS, View.RIGHT_LATERAL, "scene", 0.04),
    (Region.LIMB, View.MEDIOLATERAL, "scene", 0.11),
    (Region.LIMB, View.CRANIOCAUDAL, "scene", 0.11),
    (Region.HEAD, View.RIGHT_LATERAL, "scene", 0.04),
    (Region.HEAD, View.DORSOVENTRAL, "scene", 0.03),
    (Region.OTHER, View.OTHER, "stranger", 0.09),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """images: uint8 (n, SIDE, SIDE), upright; regions, views: (n,) indices into REGIONS and VIEWS.

    turns: (n,) whether which way is up can be told; mirrors: (n,) whether a mirror image can be told. quality: int8 (n, 4),
    1 and 0 for yes and no, UNKNOWN where readers would differ.
    """

    images: npt.NDArray[np.uint8]
    regions: npt.NDArray[np.int64]
    views: npt.NDArray[np.int64]
    turns: npt.NDArray[np.bool_]
    mirrors: npt.NDArray[np.bool_]
    quality: npt.NDArray[np.int8]
    seeds: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    pixels: npt.NDArray[np.float32]
    region: Region
    view: View
    turns: bool
    mirrors: bool
    quality: tuple[int, int, int, int]


def render_example(seed: int) -> Example:
    """A phantom of the mixture, upright; all of it follows from the seed."""
    rng = np.random.default_rng([seed, 31])
    weights = np.array([row[3] for row in MIXTURE])
    region, view, renderer, _ = MIXTURE[rng.choice(len(MIXTURE), p=weights / weights.sum())]
    rows, columns = _size(rng, view)
    if renderer == "stranger":
        unknown = (UNKNOWN,) * 4
        return Example(
            pixels=stranger(seed, rows, columns), region=region, view=view, turns=False, mirrors=False, quality=unknown
        )
    lateral = view is View.RIGHT_LATERAL
    seen = View.LATERAL if lateral else View.VENTRODORSAL if view is View.DORSOVENTRAL else view
    mirrors = lateral or region is Region.THORAX
    if renderer == "views":
        pixels = _older(seed, rows, columns, lateral=lateral)
        return Example(pixels=pixels, region=region, view=seen, turns=True, mirrors=mirrors, quality=(UNKNOWN,) * 4)
    exposure = str(rng.choice(["normal", "under", "over"], p=[0.76, 0.12, 0.12]))
    wish = Wish(
        region=region,
        view=view,
        species=Species.CAT if rng.random() < 0.3 else Species.DOG,
        part=str(rng.choice(PARTS, p=_PART_WEIGHTS)),
        rows=rows,
        columns=columns,
        cropped=rng.random() < 0.15,
        rotated=rng.random() < 0.15,
        exposure=exposure,
    )
    film = expose(seed, wish)
    pixels, facts = film.pixels, film.facts
    if rng.random() < 0.04:  # a console that sends the wrong polarity
        pixels = 1 - pixels
    return Example(
        pixels=pixels,
        region=region,
        view=seen,
        turns=True,
        mirrors=mirrors,
        quality=(_sure(facts.cropped), _sure(facts.rotated), int(exposure == "under"), int(exposure == "over")),
    )


_PART_WEIGHTS = np.array([0.3 if part == "stifle" else 0.7 / (len(PARTS) - 1) for part in PARTS])


def _sure(fact: bool | None) -> int:
    return UNKNOWN if fact is None else int(fact)


def _size(rng: np.random.Generator, view: View) -> tuple[int, int]:
    """Rows and columns, the longer 208: square, or longer along the animal, as plates are laid."""
    shape = float(np.exp(abs(rng.normal(0, 0.25)))) if rng.random() < 0.8 else 1.0
    short = max(int(208 / min(shape, 2.2)), 96)
    upright = view in (View.VENTRODORSAL, View.DORSOVENTRAL, View.CRANIOCAUDAL, View.MEDIOLATERAL)
    if rng.random() < 0.2:
        upright = not upright
    return (208, short) if upright else (short, 208)


def _older(seed: int, rows: int, columns: int, *, lateral: bool) -> npt.NDArray[np.float32]:
    """A thorax of the renderer that the vertebral heart score was trained with, made upright."""
    name = ("lateral-left" if seed % 2 else "lateral-right") if lateral else "ventrodorsal"
    for attempt in range(20):
        try:
            phantom = render(seed + attempt * 10_000_000_000, view=name, rows=rows, columns=columns)
        except Unframeable:
            continue
        if phantom.truth.orientation == ("CR", "V"):
            return np.ascontiguousarray(phantom.pixels[:, ::-1])
        if phantom.truth.orientation == ("CD", "RT"):
            return np.ascontiguousarray(np.rot90(phantom.pixels, -1))
        return phantom.pixels
    raise Unframeable(f"seed {seed}")


def as_seen(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(rows, columns) to what the network is given, (SIDE, SIDE)."""
    return fit(pixels, pixel_aspect=1.0, rows=SIDE, columns=SIDE, low_percent=LOW_PERCENT, high_percent=HIGH_PERCENT).values


def lying(turns: int, mirrored: bool, *, mirrors: bool) -> int:
    """The index into ORIENTATIONS of an upright image turned counterclockwise `turns` times, then mirrored.

    Where a mirror image cannot be told, the answer is the turn alone that brings the upper end up.
    """
    if mirrored and mirrors:
        return 4 + turns
    return -turns % 4 if mirrored else turns


def laid(image: npt.NDArray[np.generic], turns: int, mirrored: bool) -> npt.NDArray[np.generic]:
    turned = np.rot90(image, turns)
    return turned[:, ::-1] if mirrored else turned


def render_shard(first_seed: int, count: int) -> Shard:
    examples = [render_example(first_seed + i) for i in range(count)]
    return Shard(
        images=np.stack([np.round(as_seen(one.pixels) * 255).astype(np.uint8) for one in examples]),
        regions=np.array([REGIONS.index(one.region) for one in examples]),
        views=np.array([VIEWS.index(one.view) for one in examples]),
        turns=np.array([one.turns for one in examples]),
        mirrors=np.array([one.mirrors for one in examples]),
        quality=np.array([one.quality for one in examples], dtype=np.int8),
        seeds=np.arange(first_seed, first_seed + count),
    )


FIELDS = ("images", "regions", "views", "turns", "mirrors", "quality", "seeds")


def save_shard(index: int, *, first_seed: int, count: int, directory: Path) -> Path:
    shard = render_shard(first_seed + index * count, count)
    path = directory / f"triage-{index:04d}.npz"
    np.savez(path, **{name: getattr(shard, name) for name in FIELDS})
    return path


def load(directory: Path) -> Shard:
    """All shards of a folder as one. FileNotFoundError when there are none."""
    paths = sorted(directory.glob("triage-*.npz"))
    if not paths:
        raise FileNotFoundError(f"no phantoms in {directory}: render them first")
    parts = [np.load(path) for path in paths]
    return Shard(**{name: np.concatenate([part[name] for part in parts]) for name in FIELDS})


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the phantoms of one purpose.")
    parser.add_argument("purpose", choices=("training", "calibration", "evaluation"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--count", type=int, default=500, help="phantoms a shard")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for left_over in arguments.out.glob("triage-*.npz"):  # of another count, or of an earlier generator
        left_over.unlink()
    first = {"training": TRAINING_SEED, "calibration": CALIBRATION_SEED, "evaluation": EVALUATION_SEED}[arguments.purpose]
    save = partial(save_shard, first_seed=first, count=arguments.count, directory=arguments.out)
    with ProcessPoolExecutor(arguments.processes) as pool:
        for path in pool.map(save, range(arguments.shards)):
            print(path, flush=True)


if __name__ == "__main__":
    main()
