"""Two models on the same cases, and what may be said of the difference: never more than the cases bear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metalearner import subgroups
from metalearner.collection import Collection
from metalearner.evaluation import EvaluationRefused, Truth, truth_of, unit_of, words_of
from metalearner.landmark_statistics import image_distances
from metalearner.model_answers import ModelAnswers
from metalearner.statistics import (
    Paired,
    Resamples,
    delong,
    holm,
    mean_figure,
    number,
    paired_bootstrap,
    share_figure,
)

SIGNIFICANT = 0.05
BETTER, WORSE, NOT_SHOWN, TOO_FEW = "better", "worse", "no difference shown", "too few cases"


def compare(new: ModelAnswers, old: ModelAnswers, collection: Collection, *, seed: int = 0) -> dict[str, Any]:
    """Over the images that both answered. Differences are new less old; `verdict` is for a person.

    EvaluationRefused where they have no case or no question in common.
    """
    both = [image for image in new.images if image in set(old.images)]
    if not both:
        raise EvaluationRefused(f"{new.name} and {old.name} answered no image in common")
    new_, old_, truth = new.among(both), old.among(both), truth_of(collection, both)
    resamples = Resamples.of(truth.patients, seed=seed)
    findings = _findings(new_, old_, truth, resamples)
    numbers = _measures(new_, old_, truth, resamples) + _points(new_, old_, truth, resamples)
    tests = [one["test"] for one in (*findings, *numbers)]
    if not tests:
        raise EvaluationRefused(f"{new.name} and {old.name} answer nothing in common that a label could judge")
    for test, p in zip(tests, holm([test.pop("_p") for test in tests]), strict=True):
        test["p_holm"] = number(p)
    for one in findings:
        few = subgroups.is_few(one["images"], one["with"], one["without"])
        one["verdict"] = _verdict(one["test"], few=few, less_is_better=False)
    for one in numbers:
        one["verdict"] = _verdict(one["test"], few=one["images"] < subgroups.FEW_CASES, less_is_better=True)
    return {
        "against": {"name": old.name, "version": old.version, "source": old.source},
        "images": len(both),
        "patients": resamples.patients(),
        "only_this": len(new.images) - len(both),
        "only_other": len(old.images) - len(both),
        "findings": findings,
        "numbers": numbers,
        "verdict": _sentence([*findings, *numbers], len(both)),
    }


def _findings(new: ModelAnswers, old: ModelAnswers, truth: Truth, resamples: Resamples) -> list[dict[str, Any]]:
    told = []
    for value in new.probabilities:
        if value not in old.probabilities or value not in truth.classes:
            continue
        first, second = old.probabilities[value], new.probabilities[value]
        known = (truth.classes[value] >= 0) & np.isfinite(first) & np.isfinite(second)
        yes = truth.classes[value][known] == 1
        if yes.all() or not yes.any():
            continue
        drawn = resamples.among(known)
        patients = [patient for patient, use in zip(truth.patients, known, strict=True) if use]
        at = [answers.operating_points.get(value, (0.5, 0.5))[1] for answers in (old, new)]
        before, now = first[known] >= at[0], second[known] >= at[1]
        sensitivity = paired_bootstrap(share_figure(yes, before), share_figure(yes, now), drawn)
        specificity = paired_bootstrap(share_figure(~yes, ~before), share_figure(~yes, ~now), drawn)
        told.append(
            {
                "concept": value,
                "words": words_of(value, new),
                "images": len(yes),
                "with": int(yes.sum()),
                "without": int((~yes).sum()),
                "test": _as_json(delong(first[known], second[known], yes, patients), "AUC"),
                "sensitivity": _shown(sensitivity),
                "specificity": _shown(specificity),
            }
        )
    return told


def _measures(new: ModelAnswers, old: ModelAnswers, truth: Truth, resamples: Resamples) -> list[dict[str, Any]]:
    told = []
    for name in new.measures:
        if name in old.measures and name in truth.measures:
            errors = [np.abs(answers.measures[name] - truth.measures[name]) for answers in (old, new)]
            told += _error(name, f"{name}: mean absolute error", unit_of(name), errors, resamples)
    return told


def _points(new: ModelAnswers, old: ModelAnswers, truth: Truth, resamples: Resamples) -> list[dict[str, Any]]:
    """Each image's mean distance over the landmarks that all three have."""
    common = {name: truth.points[name] for name in new.points if name in old.points and name in truth.points}
    if not common:
        return []
    (unit, first), (_, second) = (image_distances(answers.points, common, truth.cases) for answers in (old, new))
    return _error("landmarks", "landmarks: mean distance", unit, [first, second], resamples)


def _error(name: str, words: str, unit: str, errors: list[Any], resamples: Resamples) -> list[dict[str, Any]]:
    known = np.isfinite(errors[0]) & np.isfinite(errors[1])
    if not known.any():
        return []
    found = paired_bootstrap(mean_figure(errors[0][known]), mean_figure(errors[1][known]), resamples.among(known))
    return [{"name": name, "words": words, "unit": unit, "images": int(known.sum()), "test": _as_json(found, "mean error")}]


def _shown(found: Paired) -> dict[str, Any]:
    return {"difference": found.difference.as_json(), "p": number(found.p), "by": found.test}


def _as_json(found: Paired, figure: str) -> dict[str, Any]:
    """_p: for Holm's correction, taken out again."""
    return {"figure": figure, **_shown(found), "_p": found.p}


def _verdict(test: Mapping[str, Any], *, few: bool, less_is_better: bool) -> str:
    if few or test["p_holm"] is None:
        return TOO_FEW
    if test["p_holm"] >= SIGNIFICANT:
        return NOT_SHOWN
    return BETTER if (test["difference"]["value"] > 0) is not less_is_better else WORSE


def _sentence(judged: list[dict[str, Any]], images: int) -> str:
    by = {
        verdict: [one["words"] for one in judged if one["verdict"] == verdict]
        for verdict in (BETTER, WORSE, NOT_SHOWN, TOO_FEW)
    }
    told = [
        f"{verdict.capitalize()} on these {images} images: {', '.join(by[verdict])}."
        for verdict in (WORSE, BETTER)
        if by[verdict]
    ]
    if by[NOT_SHOWN]:
        told.append(f"No difference could be shown for {', '.join(by[NOT_SHOWN])}; that is no proof that there is none.")
    if by[TOO_FEW]:
        told.append(f"Too few cases to compare {', '.join(by[TOO_FEW])}.")
    return " ".join([*told, "Other clinics' images may give another answer."])
