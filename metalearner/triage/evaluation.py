"""How good a triage package is on phantoms that nobody has trained on, and how its certainty is calibrated.

Phantoms are easier than films, so that every figure from here is a figure about phantoms.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from inference.manifest import TriageHead
from inference.package import WEIGHTS, load_package
from metalearner.calibration import calibration_error
from metalearner.contact_sheet import radiographs
from metalearner.statistics import auc
from metalearner.triage.data import (
    EXPORTED_VIEWS,
    ISSUES,
    ORIENTATIONS,
    REGIONS,
    TWINS,
    UNKNOWN,
    VIEWS,
    Shard,
    as_seen,
    laid,
    load,
    lying,
)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BATCH = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Phantoms as they were shown and what is true of them. images: uint8 (n, SIDE, SIDE); orientations: UNKNOWN allowed."""

    images: npt.NDArray[np.uint8]
    regions: IntArray
    views: IntArray
    orientations: IntArray
    mirrors: npt.NDArray[np.bool_]
    quality: npt.NDArray[np.int8]


def ask(shard: Shard, *, seed: int) -> Asked:
    """Each phantom lying in one of eight ways, all as frequent."""
    rng = np.random.default_rng([seed, 32])
    turns, mirrored = rng.integers(4, size=len(shard.images)), rng.random(len(shard.images)) < 0.5
    images = np.stack([laid(one, int(t), bool(m)) for one, t, m in zip(shard.images, turns, mirrored, strict=True)])
    orientations = np.array(
        [
            lying(int(t), bool(m), mirrors=bool(can)) if told else UNKNOWN
            for t, m, can, told in zip(turns, mirrored, shard.mirrors, shard.turns, strict=True)
        ]
    )
    return Asked(
        images=images.astype(np.uint8),
        regions=shard.regions,
        views=shard.views,
        orientations=orientations,
        mirrors=shard.mirrors,
        quality=shard.quality,
    )


def accuracy(answers: IntArray, truth: IntArray) -> dict[str, float]:
    """overall, n, and a share for each class that occurs, by its index; UNKNOWN truths do not count."""
    known = truth != UNKNOWN
    right = answers[known] == truth[known]
    figures = {"overall": float(right.mean()), "n": float(known.sum())}
    for value in np.unique(truth[known]):
        figures[str(value)] = float(right[truth[known] == value].mean())
    return figures


def expected_calibration_error(chances: FloatArray, truth: IntArray) -> float:
    """Of the most probable class."""
    known = truth != UNKNOWN
    return calibration_error(chances[known].max(axis=1), chances[known].argmax(axis=1) == truth[known])


def run(weights: Path, images: npt.NDArray[np.uint8], outputs: Sequence[str], threads: int) -> dict[str, FloatArray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    parts: list[list[npt.NDArray[np.float32]]] = []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH, None].astype(np.float32) / np.float32(255)
        parts.append(session.run(list(outputs), {"image": batch}))
    return {name: np.concatenate([part[i] for part in parts]).astype(float) for i, name in enumerate(outputs)}


def measure(answers: Mapping[str, FloatArray], asked: Asked, head: TriageHead) -> dict[str, Any]:
    """answers: the package's probabilities by part. Issues are judged by the head's calibration and operating points."""
    if head.region is None or head.view is None or head.orientation is None or head.quality is None:
        raise ValueError("the head leaves a part out")
    views = folded_views(answers["view"])
    regions, orientations = answers["region"], answers["orientation"]
    turns = np.where(asked.orientations == UNKNOWN, UNKNOWN, asked.orientations % 4)
    told = np.where(asked.mirrors, asked.orientations, UNKNOWN)
    figures: dict[str, Any] = {
        "n": len(asked.images),
        "region": named(accuracy(regions.argmax(1), asked.regions), [r.value for r in REGIONS]),
        "view": named(accuracy(views.argmax(1), asked.views), [v.value for v in VIEWS]),
        "orientation": named(accuracy(orientations.argmax(1), asked.orientations), list(ORIENTATIONS)),
        "quarter turn": accuracy(orientations.argmax(1) % 4, turns)["overall"],
        "mirrored, where it can be told": accuracy(
            orientations.argmax(1) // 4, np.where(told == UNKNOWN, UNKNOWN, told // 4)
        )["overall"],
        "calibration error": {
            "region": expected_calibration_error(regions, asked.regions),
            "view": expected_calibration_error(views, asked.views),
            "orientation": expected_calibration_error(orientations, asked.orientations),
        },
        "when sure enough to speak": {
            "region": when_sure(regions, asked.regions, head.region.least_probability),
            "view": when_sure(answers["view"], asked.views, head.view.least_probability),
            "orientation": when_sure(orientations, asked.orientations, head.orientation.least_probability),
        },
        "by region": {
            region.value: {
                "view": share(views.argmax(1), asked.views, asked.regions == i),
                "orientation": share(orientations.argmax(1), asked.orientations, asked.regions == i),
            }
            for i, region in enumerate(REGIONS)
        },
        "quality": {},
    }
    for i, issue in enumerate(ISSUES):
        truth = asked.quality[:, i]
        known = head.quality.issues[i]
        logit = np.log(np.clip(answers["quality"][:, i], 1e-7, 1 - 1e-7) / np.clip(1 - answers["quality"][:, i], 1e-7, 1))
        p = 1 / (1 + np.exp(-(known.calibration.slope * logit + known.calibration.intercept)))
        figures["quality"][issue] = {
            "n": int((truth == 1).sum()),
            "AUC": auc(p, truth),
            "sensitivity": float((p[truth == 1] >= known.present_from).mean()),
            "specificity": float((p[truth == 0] < known.present_from).mean()),
            "missed": float((p[truth == 1] < known.absent_below).mean()),
        }
    return figures


def folded_views(chances: FloatArray) -> FloatArray:
    """The exported views with each twin's share given back to the commoner one: columns as VIEWS."""
    folded = chances[:, : len(VIEWS)].copy()
    for common, rare in TWINS.items():
        folded[:, VIEWS.index(common)] += chances[:, EXPORTED_VIEWS.index(rare)]
    return folded


def named(figures: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    return {names[int(key)] if key.isdigit() else key: value for key, value in figures.items()}


def when_sure(chances: FloatArray, truth: IntArray, least: float) -> dict[str, float]:
    """How often the product speaks by the pixels alone, and how often it is right then; it is silent below `least`."""
    known = truth != UNKNOWN
    spoken = known & (chances.max(axis=1) >= least)
    right = chances[spoken].argmax(axis=1) == truth[spoken]
    return {"share": float(spoken.sum() / known.sum()), "accuracy": float(right.mean()) if len(right) else float("nan")}


def share(answers: IntArray, truth: IntArray, among: npt.NDArray[np.bool_]) -> float | None:
    counted = among & (truth != UNKNOWN)
    return float((answers == truth)[counted].mean()) if counted.any() else None


def evaluate(directory: Path, shard: Shard, *, seed: int, threads: int = 2) -> dict[str, Any]:
    """directory: of a triage package."""
    package = load_package(directory)
    head = package.manifest.head[0]
    if not isinstance(head, TriageHead):
        raise ValueError(f"{package.name} is no triage package")
    asked = ask(shard, seed=seed)
    return measure(
        run(directory / WEIGHTS, asked.images, ("region", "view", "orientation", "quality"), threads), asked, head
    )


def film_table(directory: Path, films: Path) -> str:
    """What the package says of each radiograph in a folder, by its pixels alone, as a table in Markdown."""
    lines = ["| film | region | view | orientation |", "|---|---|---|---|"]
    names = (("region", REGIONS), ("view", VIEWS), ("orientation", ORIENTATIONS))
    for name, pixels in radiographs(films):
        image = np.round(as_seen(pixels) * 255).astype(np.uint8)
        answers = run(directory / WEIGHTS, image[None], [part for part, _ in names], threads=1)
        answers["view"] = folded_views(answers["view"])
        best = [f"{values[int(answers[part][0].argmax())]} {answers[part][0].max():.2f}" for part, values in names]
        lines.append(f"| {name} | {' | '.join(best)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a triage package on unseen phantoms, or ask it about radiographs.")
    parser.add_argument("--package", type=Path, required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--phantoms", type=Path, help="rendered by metalearner.triage.data")
    what.add_argument("--radiographs", type=Path, help="a folder of DICOM or PNG files: a table of answers")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.radiographs:
        print(film_table(arguments.package, arguments.radiographs))
        return
    figures = evaluate(arguments.package, load(arguments.phantoms), seed=arguments.seed)
    text = json.dumps(figures, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
