"""From a finished run to a model package that the node runs: weights, manifest, card, a sample with its answers.

The package is made beside its place and put there when every check of `models check` has passed, or not at all.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from domain.errors import ModelFailed
from domain.types import Region
from inference.checking import check_package
from inference.installing import write_sample
from inference.manifest import CARD, MANIFEST, WEIGHTS
from inference.tensors import sigmoid
from metalearner import export, quality
from metalearner.calibration import FALSE_ALARMS, MISSED, platt
from metalearner.collection import Collection, Part
from metalearner.evaluation import EvaluationRefused, answers_of, card_table, evaluate
from metalearner.examples import Examples, gather
from metalearner.fingerprint import fingerprint, write_fingerprint
from metalearner.package_text import Figure, Judged, Wanted, card, figure_table, manifest
from metalearner.quality import Answers
from metalearner.statistics import auc
from metalearner.tasks import Recipe, Task, TaskInvalid, load_run
from metalearner.training import load_network
from phantoms.radiographs import FILMS, Wish, expose

CALIBRATION_IMAGES = 64  # of the training part, for the ranges of 8-bit weights
SAMPLE_SEED, SAMPLE_SIDE, _SAMPLES = 70_000_000, 512, 10
_LEAST_POINT, _MOST_POINT = 0.02, 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """notes: sentences for the person who asked, such as why 8-bit weights were not kept."""

    directory: Path
    notes: tuple[str, ...]


def package(run: Path, wanted: Wanted, out: Path, *, collection: Collection | None = None) -> Packaged:
    """TaskInvalid: the run is not finished, or `out` exists. ParityLost: the exported network answers otherwise."""
    task, recipe, weights = load_run(run)
    if out.exists():
        raise TaskInvalid(f"{out} exists already: a package is never changed, give the next one another folder and version")
    collection = collection or Collection.load(run.resolve().parents[1])
    network = load_network(task, recipe, weights)
    learn, judge = (gather(collection, task, recipe, part) for part in (Part.TRAIN, Part.VALIDATION))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".packaging-") as name:
        made = Path(name) / out.name
        made.mkdir(mode=0o755)
        model = made / WEIGHTS
        export.export(network, task, recipe, model)
        parity = export.require_parity(network, task, model, np.concatenate([judge.planes, learn.planes]))
        notes = [f"ONNX Runtime answers as the trained network does, within {parity:.0e}."]
        if wanted.int8:
            notes.append(_in_8_bits(task, model, learn, judge))
        answers = export.onnx_answers(model, task, judge.planes)
        judges = judged(task, answers, judge)
        part, tested, figures = measured(task, recipe, collection, model)
        text = manifest(task, recipe, wanted, collection, model, judges, answers, judge, tested=tested, figures=figures)
        (made / MANIFEST).write_text(text, encoding="utf-8")
        write_fingerprint(made, _fingerprint(task, collection, learn, answers, judges))
        said = partial(card, task, recipe, wanted, collection, judges, notes, tested=tested)
        (made / CARD).write_text(said(table=figure_table(figures), figures=figures), encoding="utf-8")
        _sample(made, task)
        table = _evaluated(made, collection, part) or figure_table(figures)
        (made / CARD).write_text(said(table=table, figures=figures), encoding="utf-8")
        faults = [check.fault for check in check_package(made) if check.fault is not None]
        if faults:
            raise TaskInvalid(f"the package would not pass `models check`: {faults[0]}")
        made.rename(out)
    return Packaged(directory=out, notes=tuple(notes))


def _in_8_bits(task: Task, model: Path, learn: Examples, judge: Examples) -> str:
    smaller = model.with_name("smaller.onnx")
    export.quantised(model, smaller, learn.planes[:CALIBRATION_IMAGES])
    losses = export.lost(task, model, smaller, judge)
    refused = export.refusal(losses)
    if refused:
        smaller.unlink()
        return f"{refused}."
    before, after = model.stat().st_size, smaller.stat().st_size
    smaller.replace(model)
    worst = max(losses.values())
    return (
        f"8-bit weights: {after / 1e6:.1f} MB instead of {before / 1e6:.1f}; no concept loses more than {max(worst, 0):.3f}."
    )


def judged(task: Task, answers: Answers, judge: Examples) -> list[Judged]:
    """One for each concept, from the validation part. Boxes are judged by their score as it is."""
    found = []
    for number in range(len(task.values)):
        known = np.isfinite(judge.classes[:, number])
        logits = answers.logits[known, number].astype(np.float64)
        truth = (judge.classes[known, number] >= 0.5).astype(np.int8)
        slope, intercept = (1.0, 0.0) if task.kind == "boxes" or not len(truth) else platt(logits, truth)
        if slope <= 0:  # worse than chance: turned round it would pretend to know
            slope, intercept = 1.0, 0.0
        absent_below, present_from = operating_points(sigmoid(slope * logits + intercept), truth)
        found.append(
            Judged(
                slope=round(slope, 4), intercept=round(intercept, 4), absent_below=absent_below, present_from=present_from
            )
        )
    return found


def operating_points(p: npt.NDArray[np.float64], truth: npt.NDArray[np.int8]) -> tuple[float, float]:
    """At most 5 % of images with the finding lie below the first, at most 2 % of those without it from the second on. Where
    the validation part tells all apart, the two are the ends of the gap in which it had nobody: UNCERTAIN.
    """
    few_missed = float(np.quantile(p[truth == 1], MISSED)) if (truth == 1).any() else _LEAST_POINT
    few_alarms = float(np.quantile(p[truth == 0], 1 - FALSE_ALARMS)) if (truth == 0).any() else _MOST_POINT
    low, high = sorted((few_missed, few_alarms))
    return round(min(max(low, _LEAST_POINT), _MOST_POINT), 4), round(min(max(high, _LEAST_POINT), _MOST_POINT), 4)


def _fingerprint(
    task: Task, collection: Collection, learn: Examples, answers: Answers, judges: Sequence[Judged]
) -> dict[str, Any]:
    """What was taught, and how sure the network is of the validation part."""
    cases = [collection.by_image[image] for image in learn.images]
    lines = enumerate(judges)
    return fingerprint(
        learn.planes,
        sizes=[(case.rows, case.columns) for case in cases],
        spacings_mm=[case.spacing_column_mm for case in cases],
        probabilities={
            task.values[i]: sigmoid(one.slope * answers.logits[:, i].astype(np.float64) + one.intercept) for i, one in lines
        },
        views=[case.view for case in cases],
        species=[case.species for case in cases],
        patients=[case.patient for case in cases],
    )


def _evaluated(made: Path, collection: Collection, part: Part) -> str:
    """The table of `learn evaluate` of the package as the node will run it; empty where no label tells anything."""
    try:
        return card_table(evaluate(answers_of(made, collection, part, threads=1), collection, part))
    except EvaluationRefused:
        return ""


def measured(task: Task, recipe: Recipe, collection: Collection, model: Path) -> tuple[Part, str, list[Figure]]:
    """What part the figures are of, and in words: the test part, or the validation part where there is none."""
    try:
        part, examples = Part.TEST, gather(collection, task, recipe, Part.TEST)
    except TaskInvalid:
        part, examples = Part.VALIDATION, gather(collection, task, recipe, Part.VALIDATION)
    patients = len({collection.by_image[image].patient for image in examples.images})
    words = f"{part.value} part of {collection.name}, {len(examples)} images of {patients} animals"
    answers = export.onnx_answers(model, task, examples.planes)
    return part, words, [one for one in figures_of(task, answers, examples) if math.isfinite(one.value)]


def figures_of(task: Task, answers: Answers, examples: Examples) -> list[Figure]:
    if task.kind == "landmarks":
        away = np.linalg.norm(answers.points - examples.points, axis=-1) / math.hypot(*examples.planes.shape[1:]) * 100
        known = np.isfinite(away).sum(axis=0)
        return [
            Figure(
                measure=f"mean distance, {name}",
                value=float(np.nanmean(away[:, i])),
                unit="% of the diagonal",
                n=int(known[i]),
            )
            for i, name in enumerate(task.points)
            if known[i]
        ]
    found = []
    by_name = quality.by_name(task, answers, examples)
    for number, concept in enumerate(task.concepts):
        known = np.isfinite(examples.classes[:, number])
        if task.kind in ("classification", "findings", "masks"):
            value = auc(answers.logits[known, number].astype(np.float64), examples.classes[known, number] >= 0.5)
            found.append(Figure(measure=f"AUC, {concept.meaning}", value=value, unit="1", n=int(known.sum())))
        if task.kind in ("masks", "boxes"):
            what = "Dice" if task.kind == "masks" else "average precision"
            shown = int(examples.shown[:, number].sum())
            found.append(
                Figure(measure=f"{what}, {concept.meaning}", value=by_name[concept.value], unit="1", n=max(shown, 1))
            )
    return found


def _sample(made: Path, task: Task) -> None:
    """A phantom: no animal's film leaves the clinic with a package."""
    region = next((region for region in task.regions if region in FILMS), Region.THORAX)
    view = next((view for view in task.views if view in FILMS[region]), FILMS[region][0])
    for seed in range(SAMPLE_SEED, SAMPLE_SEED + _SAMPLES):
        film = expose(seed, Wish(region=region, view=view, rows=SAMPLE_SIDE, columns=SAMPLE_SIDE))
        try:
            write_sample(made, film.pixels, pixel_aspect=1.0)
        except ModelFailed:
            continue  # a film that the model cannot judge is no sample
        return
    raise TaskInvalid(f"the model can judge none of {_SAMPLES} phantoms: there is no sample to check the package by")
