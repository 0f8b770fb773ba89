"""What a package says of itself: `package.toml` and `CARD.md`, from what was learnt, judged and measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from domain.types import Region, Species, View
from inference.manifest import Concept
from metalearner import export, quality
from metalearner.calibration import FALSE_ALARMS, MISSED
from metalearner.collection import Case, Collection, Part
from metalearner.examples import Examples
from metalearner.onnx_file import INPUT, OPSET
from metalearner.quality import Answers
from metalearner.tasks import Recipe, Task

_LEAST_SPREAD = 2.0  # input pixels
_SPREAD_SHARE = 0.98  # of the validation part's landmarks are surer
_LEAST_AREA = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the maker says of a package. status: demonstration | research; "validated" is for a person to write."""

    name: str
    version: str
    manufacturer: str
    status: str = "research"
    int8: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Of one concept: Platt's line of the logit, and the operating points of the probability that it gives."""

    slope: float
    intercept: float
    absent_below: float
    present_from: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    measure: str
    value: float
    unit: str
    n: int


def manifest(
    task: Task,
    recipe: Recipe,
    wanted: Wanted,
    collection: Collection,
    model: Path,
    judges: Sequence[Judged],
    answers: Answers,
    judge: Examples,
    *,
    tested: str,
    figures: Sequence[Figure],
) -> str:
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    taken = task.input_of(recipe.rows, recipe.columns)
    shapes = export.shapes_of(task, recipe)
    lines = [
        "format = 1",
        *(f"{key} = {_text(value)}" for key, value in (("name", wanted.name), ("version", wanted.version))),
        f"manufacturer = {_text(wanted.manufacturer)}",
        f"intended_use = {_text(_use(task, collection))}",
        f"clinical_status = {_text(wanted.status)}",
        f"onnx_sha256 = {_text(sha256)}",
        f"opset = {OPSET}",
        "",
        "[applicability]",
        'modalities = ["DX", "CR"]',
        *(f"{key} = {json.dumps(values)}" for key, values in valid_for(task, collection).items() if values),
        f"least_rows = {recipe.rows // 2}",
        f"least_columns = {recipe.columns // 2}",
        "",
        "[input]",
        f"name = {_text(INPUT)}",
        f"rows = {taken.rows}",
        f"columns = {taken.columns}",
        f"fit = {_text(taken.fit)}",
        f"low_percent = {taken.low_percent}",
        f"high_percent = {taken.high_percent}",
        "",
        "[outputs]",
        *(f"{name} = {list(shape)}" for name, shape in shapes.items()),
        "",
        *_head(task, judges, answers, judge),
        "[performance]",
        f"sentence = {_text(sentence(tested, figures))}",
    ]
    for one in figures or [Figure(measure="none", value=0.0, unit="1", n=1)]:
        lines += ["[[performance.figure]]", f"measure = {_text(one.measure)}", f"value = {one.value:.4f}"]
        lines += [f"unit = {_text(one.unit)}", f"n = {one.n}", f"data_set = {_text(tested)}"]
    return "\n".join(lines) + "\n"


def _head(task: Task, judges: Sequence[Judged], answers: Answers, judge: Examples) -> list[str]:
    if task.kind == "landmarks":
        spreads = answers.spreads[np.isfinite(judge.points).all(axis=-1)]
        most = max(float(np.quantile(spreads, _SPREAD_SHARE)) if spreads.size else 0.0, _LEAST_SPREAD)
        lines = ["[[head]]", 'kind = "landmarks"', 'output = "heatmaps"', 'form = "heatmaps"']
        lines += [f"names = {json.dumps(task.points, ensure_ascii=False)}", f"most_spread = {most:.2f}"]
        lines += [f"concept = {_concept(task.concept)}"] if task.concept is not None else []
        for request in task.measurement:
            lines += ["[[head.measurement]]", f"measure = {_text(request.measure)}"]
            lines += [f"most_deviation = {request.most_deviation}"] if request.most_deviation is not None else []
        return [*lines, ""]
    heads = {
        "classification": ['kind = "classification"', 'output = "classes"'],
        "findings": ['kind = "classification"', 'output = "classes"', 'regions = "masks"', f"least_area = {_LEAST_AREA}"],
        "masks": ['kind = "masks"', 'output = "masks"', f"least_area = {_LEAST_AREA}"],
        "boxes": [
            'kind = "boxes"',
            'boxes = "boxes"',
            'scores = "scores"',
            'form = "centre"',
            f"most_overlap = {quality.MOST_OVERLAP}",
        ],
    }
    lines = ["[[head]]", *heads[task.kind], 'activation = "sigmoid"']
    for concept, one in zip(task.concepts, judges, strict=True):
        points = f"{{ absent_below = {one.absent_below}, present_from = {one.present_from} }}"
        lines += ["[[head.class]]", f"concept = {_concept(concept)}", f"operating_points = {points}"]
        if (one.slope, one.intercept) != (1.0, 0.0):
            lines.append(f"calibration = {{ slope = {one.slope}, intercept = {one.intercept} }}")
    return [*lines, ""]


def valid_for(task: Task, collection: Collection) -> dict[str, list[str]]:
    """What the task says, else what was learnt from: elsewhere nobody knows what the model would say."""
    parts = collection.parts()
    learnt = [case for case in collection.usable if task.is_for(case) and parts[case.image] is Part.TRAIN]
    return {
        "species": [*task.species] or _seen(learnt, "species", Species),
        "regions": [*task.regions] or _seen(learnt, "region", Region),
        "views": [*task.views] or _seen(learnt, "view", View),
    }


def _seen(cases: Iterable[Case], field: str, among: type[Species] | type[Region] | type[View]) -> list[str]:
    """Nothing where a header was silent: then it may have been anything."""
    found = {str(getattr(case, field)) for case in cases}
    return [] if "" in found else sorted(found & {value.value for value in among})


def sentence(tested: str, figures: Sequence[Figure]) -> str:
    if not figures:
        return "Not measured: the test part tells nothing of it."
    kinds = {one.measure.partition(",")[0]: one.unit for one in figures}
    means = []
    for kind, unit in kinds.items():
        of_kind = [one.value for one in figures if one.measure.startswith(f"{kind},")]
        word = kind if kind.startswith("mean") else f"mean {kind}"
        means.append(f"{word} {sum(of_kind) / len(of_kind):.2f}{'' if unit == '1' else ' ' + unit}")
    said = tested[0].upper() + tested[1:]
    return f"{said}: {', '.join(means)}; not validated elsewhere."


def _use(task: Task, collection: Collection) -> str:
    what = "Places landmarks" if task.kind == "landmarks" else f"Points out {_joined([c.meaning for c in task.concepts])}"
    return f"{what} as learnt from {collection.name}, for a veterinarian to check."


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def figure_table(figures: Sequence[Figure]) -> str:
    rows = [f"| {one.measure} | {one.value:.3f}{'' if one.unit == '1' else ' ' + one.unit} | {one.n} |" for one in figures]
    return "\n".join(["| measure | value | n |", "|---|---|---|", *rows])


def card(
    task: Task,
    recipe: Recipe,
    wanted: Wanted,
    collection: Collection,
    judges: Sequence[Judged],
    notes: Sequence[str],
    *,
    tested: str,
    table: str,
    figures: Sequence[Figure],
) -> str:
    parts = list(collection.parts().values())
    counts = ", ".join(f"{parts.count(part)} {part.value}" for part in Part)
    made = [f"- {words}" for words in collection.made_from]
    lines = [
        f"# {wanted.name} {wanted.version}",
        "",
        f"{sentence(tested, figures)} Clinical status: {wanted.status}.",
        "",
        "## What it does",
        "",
        _use(task, collection),
        "",
        "## What it was trained on",
        "",
        f"The collection {collection.name}: {len(collection.usable)} images ({counts}), split by {collection.split_by}.",
        *made,
        "",
        f"A {recipe.family} network, {recipe.width}, that sees {recipe.rows} × {recipe.columns} pixels. " + " ".join(notes),
        "",
        "## How it was tested",
        "",
        f"On the {tested}, of animals that it never saw.",
        "",
        table.rstrip(),
        "",
        *_rule(task, judges),
        "## What it must not be used for",
        "",
        "Deciding without a veterinarian; other species, regions and views than its manifest names; clinics whose images "
        "differ from those above, before it has been measured there.",
        "",
    ]
    return "\n".join(lines)


def _rule(task: Task, judges: Sequence[Judged]) -> list[str]:
    if not judges:
        return []
    rows = [
        f"| {concept.meaning} | {one.absent_below:.3f} | {one.present_from:.3f} |"
        for concept, one in zip(task.concepts, judges, strict=True)
    ]
    rule = (
        f"Chosen on the validation part: at most {MISSED:.0%} of images with a finding lie below the first, at most "
        f"{FALSE_ALARMS:.0%} of those without it above the second; between them the finding is UNCERTAIN."
    )
    return ["## Operating points", "", rule, "", "| finding | ABSENT below | PRESENT from |", "|---|---|---|", *rows, ""]


def _text(words: str) -> str:
    return json.dumps(words, ensure_ascii=False)


def _concept(concept: Concept) -> str:
    said = ", ".join(f"{key} = {_text(getattr(concept, key))}" for key in ("value", "scheme", "meaning"))
    return f"{{ {said} }}"
