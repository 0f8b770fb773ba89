"""`learn evaluate`: how good a model is on the patients of a collection that it has not seen, as one JSON object.

docs/learning.md names its keys. It holds figures of groups of animals: no identity, no pseudonym and no picture.
`evaluation_page` shows it to a person, and `card_table` is what a package's card says of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from domain import codes
from domain.errors import HoundsfieldError
from inference.tensors import sigmoid
from metalearner import model_answers, subgroups
from metalearner.calibration import logit, platt, reliability, temperature
from metalearner.collection import Case, Collection, Part
from metalearner.evaluation_card import card_table as card_table
from metalearner.fingerprint import patient_mark
from metalearner.labelling import Labels
from metalearner.landmark_statistics import image_distances, measure_figures, point_figures
from metalearner.model_answers import ModelAnswers
from metalearner.region_statistics import region_figures
from metalearner.statistics import Estimate, Resamples, auc_figure, number, precision_figure, roc

FORMAT = 1
GRADES = {1: "mild", 2: "moderate", 3: "severe"}
_CURVE_POINTS = 100
_NEVER = Estimate(value=float("nan")).as_json()

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class EvaluationRefused(HoundsfieldError):
    """What was asked would give figures that mean nothing; the sentence says what to ask instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Of n images. classes and grades by concept: −1 and 0 unknown. points: (n, 2), measures: (n,), NaN unknown."""

    cases: tuple[Case, ...]
    labels: tuple[Labels, ...]
    classes: Mapping[str, IntArray]
    grades: Mapping[str, IntArray]
    points: Mapping[str, FloatArray]
    measures: Mapping[str, FloatArray]

    @property
    def patients(self) -> list[str]:
        return [case.patient for case in self.cases]


def truth_of(collection: Collection, images: Sequence[str]) -> Truth:
    cases = tuple(collection.by_image[image] for image in images)
    labels = tuple(collection.truth(image) for image in images)
    classes = [model_answers.truth_of_classes(collection, image) for image in images]
    concepts = sorted({concept for one in classes for concept in one})
    names = sorted({name for one in labels for name in one.points})
    points = {name: np.array([_shown(one, name, case) for one, case in zip(labels, cases, strict=True)]) for name in names}
    measures = {
        name: np.array([one.measures.get(name, np.nan) for one in labels], dtype=np.float64)
        for name in sorted({name for one in labels for name in one.measures})
    }
    return Truth(
        cases=cases,
        labels=labels,
        classes={value: np.array([one.get(value, -1) for one in classes]) for value in concepts},
        grades={value: np.array([one.grades.get(value, 0) for one in labels]) for value in concepts},
        points=points,
        measures=measures,
    )


def _shown(labels: Labels, name: str, case: Case) -> tuple[float, float]:
    """A landmark beside the film, which labels of phantoms know, is unknown: nobody could find it there."""
    column, row = labels.points.get(name, (np.nan, np.nan))
    inside = 0 <= column <= case.columns and 0 <= row <= case.rows
    return (column, row) if inside else (np.nan, np.nan)


def answers_of(
    what: Path, collection: Collection, part: Part, *, threads: int = 2, told: Callable[[int], None] = lambda _: None
) -> ModelAnswers:
    """Of a run's folder or a package's. EvaluationRefused where the model has been trained on patients of the part."""
    images = [image for image, of in collection.parts().items() if of is part]
    if not images:
        raise EvaluationRefused(f"the collection {collection.name} has no image in the part {part.value}")
    if model_answers.is_run(what):
        answers = model_answers.from_run(what, collection, part)
    else:
        answers = model_answers.from_package(what, collection, images, threads=threads, told=told)
    patients = {collection.by_image[image].patient for image in answers.images}
    learnt = {patient for patient in patients if collection.split.get(patient) is Part.TRAIN}
    learnt |= {patient for patient in patients if patient_mark(patient) in answers.trained_on}
    if learnt and part is not Part.TRAIN:
        said = f"{answers.name} was trained on {len(learnt)} of the {len(patients)} patients of the part {part.value}"
        raise EvaluationRefused(
            f"{said}: figures of them would mean nothing; say --part train if you want them all the same"
        )
    if not answers.images:
        declined = "; ".join(f"{reason} ({count})" for reason, count in answers.declined.items())
        raise EvaluationRefused(f"{answers.name} answered none of the {len(images)} images: {declined}")
    return answers


def evaluate(answers: ModelAnswers, collection: Collection, part: Part, *, seed: int = 0) -> dict[str, Any]:
    """EvaluationRefused where no label tells whether any answer is right."""
    truth = truth_of(collection, answers.images)
    resamples = Resamples.of(truth.patients, seed=seed)
    concepts = [value for value in answers.probabilities if value in truth.classes]
    result: dict[str, Any] = {
        "format": FORMAT,
        "model": {"name": answers.name, "version": answers.version, "source": answers.source},
        "calibrated_by": answers.calibrated_by,
        "collection": collection.name,
        "part": part.value,
        "trained_on_these": part is Part.TRAIN,
        "seed": seed,
        "resamples": resamples.count,
        "images": len(answers.images),
        "patients": resamples.patients(),
        "declined": [{"reason": reason, "images": count} for reason, count in sorted(answers.declined.items())],
        "unlabelled": [words_of(value, answers) for value in answers.probabilities if value not in truth.classes],
        "findings": [finding_figures(value, answers, truth, resamples) for value in concepts],
        "points": point_figures(answers.points, truth.points, truth.cases, resamples),
        "measures": [
            {
                "measure": name,
                "unit": unit_of(name),
                **measure_figures(answers.measures[name], truth.measures[name], resamples),
            }
            for name in answers.measures
            if name in truth.measures
        ],
        "regions": _regions(answers, truth, resamples),
    }
    result["mean_auc"] = _mean_auc(answers, truth, concepts, resamples)
    result["subgroups"] = _subgroups(answers, truth, concepts, resamples)
    if not (result["findings"] or result["points"] or result["measures"] or result["regions"]):
        said = f"no label of the part {part.value} says whether anything that {answers.name} answers is right"
        raise EvaluationRefused(said)
    return result


def words_of(value: str, answers: ModelAnswers) -> str:
    term = next((term for term in codes.FINDINGS if term.code.value == value), None)
    return term.english if term else answers.words.get(value, value)


def unit_of(measure: str) -> str:
    name = measure.partition("_")[0]
    if name in (codes.VHS.value, codes.VHS_EPIC.value, codes.VLAS.value):
        return "vertebrae"
    return {codes.NORBERG_ANGLE.value: "degrees"}.get(
        name, "%" if name in (codes.CARDIOTHORACIC_RATIO.value, codes.TRACHEAL_RATIO.value) else ""
    )


def finding_figures(value: str, answers: ModelAnswers, truth: Truth, resamples: Resamples) -> dict[str, Any]:
    """Of one concept, over the images where it is known and the model gave a probability."""
    known = (truth.classes[value] >= 0) & np.isfinite(answers.probabilities[value])
    yes, p = truth.classes[value][known] == 1, answers.probabilities[value][known]
    raw, drawn = answers.raw[value][known], resamples.among(known)
    absent_below, present_from = answers.operating_points.get(value, (0.5, 0.5))
    absent, present = p < absent_below, p >= present_from
    both_kinds = bool(yes.any() and (~yes).any())
    every = np.ones(len(p), bool)
    false_alarms, found = roc(p, yes) if both_kinds else (np.zeros(0), np.zeros(0))
    return {
        "concept": value,
        "words": words_of(value, answers),
        "images": len(p),
        "patients": drawn.patients(),
        "with": int(yes.sum()),
        "without": int((~yes).sum()),
        "few_cases": subgroups.is_few(len(p), int(yes.sum()), int((~yes).sum())),
        "prevalence": drawn.share(every, yes).as_json(),
        "auc": drawn.auc(p, yes).as_json(),
        "average_precision": drawn.estimate(precision_figure(p, yes)).as_json(),
        "absent_below": absent_below,
        "present_from": present_from,
        "sensitivity": drawn.share(yes, present).as_json(),
        "specificity": drawn.share(~yes, ~present).as_json(),
        "ppv": drawn.share(present, yes).as_json(),
        "npv": drawn.share(absent, ~yes).as_json(),
        "uncertain": drawn.share(every, ~absent & ~present).as_json(),
        "missed": drawn.share(yes, absent).as_json(),
        "confusion": {
            kind: {
                "ABSENT": int((of & absent).sum()),
                "UNCERTAIN": int((of & ~absent & ~present).sum()),
                "PRESENT": int((of & present).sum()),
            }
            for kind, of in (("without", ~yes), ("with", yes))
        },
        "calibration": _calibrations(raw, p, yes, drawn, answers) if both_kinds else [],
        "roc": _thinned(false_alarms, found),
        "grades": _grades(value, truth, known, p, yes, drawn) if both_kinds else [],
    }


def _calibrations(
    raw: FloatArray, p: FloatArray, yes: npt.NDArray[np.bool_], drawn: Resamples, answers: ModelAnswers
) -> list[dict[str, Any]]:
    """As the network says it and, where that differs, as it is filed; then what scaling fitted to these very cases would
    reach at best, which flatters."""
    logits, truth = logit(raw), yes.astype(int)
    slope, intercept = platt(logits, truth)
    warmth = temperature(logits, truth)
    kinds = [("before scaling", raw, False)]
    if answers.calibrated_by:
        kinds.append((answers.calibrated_by, p, False))
    kinds.append(("temperature scaling fitted to these cases", sigmoid(logits / warmth), True))
    kinds.append(("Platt scaling fitted to these cases", sigmoid(logits * slope + intercept), True))
    told = []
    for name, said, on_these in kinds:
        curve = reliability(said, yes)
        told.append(
            {
                "name": name,
                "fitted_to_these_cases": on_these,
                "ece": drawn.calibration_error(said, yes).as_json(),
                "curve": [
                    {"said": number(a), "came_true": number(b), "images": int(n)}
                    for a, b, n in zip(curve.said, curve.came_true, curve.cases, strict=True)
                ],
            }
        )
    return told


def _thinned(x: FloatArray, y: FloatArray) -> list[list[float]]:
    chosen = np.unique(np.linspace(0, len(x) - 1, _CURVE_POINTS).astype(int)) if len(x) else np.zeros(0, dtype=int)
    return [[round(float(a), 4), round(float(b), 4)] for a, b in zip(x[chosen], y[chosen], strict=True)]


def _grades(
    value: str, truth: Truth, known: npt.NDArray[np.bool_], p: FloatArray, yes: npt.NDArray[np.bool_], drawn: Resamples
) -> list[dict[str, Any]]:
    """Each grade of severity against all that have not the finding."""
    grade = truth.grades[value][known]
    told = []
    for of, name in GRADES.items():
        chosen = ~yes | (yes & (grade == of))
        with_it = int((yes & chosen).sum())
        if with_it:
            area = drawn.among(chosen).auc(p[chosen], yes[chosen])
            few = subgroups.is_few(int(chosen.sum()), with_it, int((~yes).sum()))
            told.append({"grade": name, "with": with_it, "few_cases": few, "auc": area.as_json()})
    return told


def _mean_auc(answers: ModelAnswers, truth: Truth, concepts: Sequence[str], resamples: Resamples) -> dict[str, Any]:
    """Over the concepts that have one; the interval draws the same patients for all of them."""
    figures = []
    for value in concepts:
        known = (truth.classes[value] >= 0) & np.isfinite(answers.probabilities[value])
        yes = truth.classes[value][known] == 1
        if yes.any() and (~yes).any():
            figures.append((known, auc_figure(answers.probabilities[value][known], yes)))
    if not figures:
        return {"concepts": 0, **_NEVER}

    def mean(weights: FloatArray) -> FloatArray:
        return np.asarray(np.mean([figure(weights[:, known]) for known, figure in figures], axis=0))

    return {"concepts": len(figures), **resamples.estimate(mean).as_json()}


def _regions(answers: ModelAnswers, truth: Truth, resamples: Resamples) -> list[dict[str, Any]]:
    sizes = [(case.rows, case.columns) for case in truth.cases]
    told = []
    for value, said in answers.regions.items():
        _, present_from = answers.operating_points.get(value, (0.5, 0.5))
        figures = region_figures(value, said, truth.labels, sizes, resamples, present_from=present_from)
        if figures is not None:
            told.append({"words": words_of(value, answers), "drawn": answers.drawn, **figures})
    return told


def _subgroups(answers: ModelAnswers, truth: Truth, concepts: Sequence[str], resamples: Resamples) -> list[dict[str, Any]]:
    told = []
    unit, distances = image_distances(answers.points, truth.points, truth.cases)
    for key, group, chosen in subgroups.groups(truth.cases):
        findings = []
        for value in concepts:
            known = chosen & (truth.classes[value] >= 0) & np.isfinite(answers.probabilities[value])
            yes, p = truth.classes[value][known] == 1, answers.probabilities[value][known]
            if not len(p):
                continue
            drawn, present = resamples.among(known), p >= answers.operating_points.get(value, (0.5, 0.5))[1]
            findings.append(
                {
                    "concept": value,
                    "words": words_of(value, answers),
                    "images": len(p),
                    "with": int(yes.sum()),
                    "few_cases": subgroups.is_few(len(p), int(yes.sum()), int((~yes).sum())),
                    "auc": drawn.auc(p, yes).as_json(),
                    "sensitivity": drawn.share(yes, present).as_json(),
                    "specificity": drawn.share(~yes, ~present).as_json(),
                }
            )
        measures = []
        for name in answers.measures:
            if name in truth.measures:
                error = answers.measures[name] - truth.measures[name]
                known = chosen & np.isfinite(error)
                drawn = resamples.among(known)
                measures.append(
                    {
                        "measure": name,
                        "images": int(known.sum()),
                        "few_cases": int(known.sum()) < subgroups.FEW_CASES,
                        "bias": drawn.mean(error[known]).as_json(),
                        "mean_absolute": drawn.mean(np.abs(error[known])).as_json(),
                    }
                )
        near = np.isfinite(distances) & chosen
        points = {
            "unit": unit,
            "images": int(near.sum()),
            "few_cases": int(near.sum()) < subgroups.FEW_CASES,
            "mean": resamples.among(near).mean(distances[near]).as_json(),
        }
        patients = resamples.patients(chosen)
        told.append(
            {
                "by": key,
                "group": group,
                "images": int(chosen.sum()),
                "patients": patients,
                "findings": findings,
                "measures": measures,
                "points": points if near.any() else None,
            }
        )
    return told
