"""`learn monitor`: do the vets still agree with each model, and does it still see what it was taught with?

Agreement comes from the vets' answers in the ledger, which outlive the studies. Drift compares what the models said of this
node's newest studies, and how those of their images look that still lie in the spool, with the package's `fingerprint.json`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from domain.errors import ImageUnreadable
from domain.types import ModelAnswer, Outcome
from inference.package import ModelPackage
from inference.plane import AS_IT_CAME, fit
from inference.reading import NotAnImage, read_radiograph
from ledger import feedback, images
from ledger.feedback import Answer, FeedbackRow
from ledger.images import ImageRow
from ledger.store import Ledger
from metalearner.fingerprint import (
    PROBABILITY,
    drift_of_number,
    drift_of_words,
    looks,
    read_fingerprint,
    source_numbers,
)
from metalearner.fingerprint import fingerprint as fingerprint
from metalearner.statistics import number, wilson

FORMAT = 1
FINE, ALARM, CANNOT_SAY = "fine", "alarm", "cannot say"
STATUS = {FINE: 0, ALARM: 1, CANNOT_SAY: 2}  # of the command
HISTORY_WEEKS = 26
WEEK_SECONDS = 7 * 86400.0
_NOT_FOR_COUNTING = (Answer.UNCERTAIN,)  # the reader does not know either


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """psi: population stability index; the customary 0.1 (look at it) and 0.25 (act). p: of Kolmogorov and Smirnov's test,
    shared by all that is tested of a model. least_…: with fewer nothing is said."""

    psi_watch: float = 0.1
    psi_alarm: float = 0.25
    p: float = 0.01
    least_agreement: float = 0.8
    least_images: int = 50
    least_answers: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What one model said of one image."""

    row: ImageRow
    answer: ModelAnswer


_Model = tuple[str, str]  # name, version


def monitor(
    ledger: Ledger,
    packages: Sequence[ModelPackage],
    *,
    now: float,
    only: str = "",
    weeks: int = 4,
    studies: int = 500,
    sample: int = 200,
    thresholds: Thresholds = Thresholds(),
) -> dict[str, Any]:
    """Of every model that spoke or was answered. studies: newest of the node; sample: images of each model that are read.

    only: NAME or NAME@VERSION.
    ModelInvalid for a fingerprint that is none.
    """
    begin = now - weeks * WEEK_SECONDS
    with ledger.reading() as tx:
        answered = feedback.since(tx, now - HISTORY_WEEKS * WEEK_SECONDS)
        rows = [row for study in images.studies(tx)[-studies:] for row in images.of_study(tx, study)]
    said = _by_model(row for row in rows if row.received_at >= begin)
    answers: dict[_Model, list[FeedbackRow]] = defaultdict(list)
    for one in answered:
        if one.feedback.model:
            answers[one.feedback.model, one.feedback.version].append(one)
    known = {(package.name, package.manifest.version): package for package in packages}
    models = [
        _judged(model, said.get(model, []), answers.get(model, []), known.get(model), begin, sample, thresholds)
        for model in sorted({*said, *answers})
        if only in ("", model[0], "@".join(model))
    ]
    statuses = {model["status"] for model in models}
    status = ALARM if ALARM in statuses else FINE if statuses == {FINE} else CANNOT_SAY
    return {
        "format": FORMAT,
        "at": datetime.fromtimestamp(now, tz=UTC).isoformat(timespec="seconds"),
        "status": status,
        "weeks": weeks,
        "thresholds": asdict(thresholds),
        "models": models,
    }


def _by_model(rows: Iterable[ImageRow]) -> dict[_Model, list[_Said]]:
    found: dict[_Model, list[_Said]] = defaultdict(list)
    for row in rows:
        for one in () if row.answer is None else (*row.answer.models, *row.answer.shadow):
            if one.outcome is Outcome.ANALYSED:
                found[one.model.name, one.model.version].append(_Said(row=row, answer=one))
    return found


def _judged(
    model: _Model,
    said: Sequence[_Said],
    answers: Sequence[FeedbackRow],
    package: ModelPackage | None,
    begin: float,
    sample: int,
    thresholds: Thresholds,
) -> dict[str, Any]:
    agreement, of_agreement = _agreement(answers, begin, thresholds)
    drift, of_drift = _drift(said, package, sample, thresholds)
    judged = [status for status, _ in (of_agreement, of_drift)]
    status = ALARM if ALARM in judged else FINE if FINE in judged else CANNOT_SAY
    return {
        "model": model[0],
        "version": model[1],
        "status": status,
        "reasons": [*of_agreement[1], *of_drift[1]],
        "images": len(said),
        "agreement": {"status": of_agreement[0], **agreement},
        "drift": {"status": of_drift[0], "features": drift},
    }


_Judgement = tuple[str, list[str]]


def _agreement(answers: Sequence[FeedbackRow], begin: float, thresholds: Thresholds) -> tuple[dict[str, Any], _Judgement]:
    recent = [one for one in answers if one.at >= begin]
    before = [one for one in answers if one.at < begin]
    now_, then = _share(recent), _share(before)
    weekly: dict[str, list[FeedbackRow]] = defaultdict(list)
    concepts: dict[str, list[FeedbackRow]] = defaultdict(list)
    for one in answers:
        weekly[_monday(one.at)].append(one)
    for one in recent:
        concepts[one.feedback.concept].append(one)
    told = {
        **now_,
        "before": then,
        "by_week": [{"week": week, **_share(weekly[week])} for week in sorted(weekly)],
        "by_concept": [{"concept": concept, **_share(concepts[concept])} for concept in sorted(concepts)],
    }
    if now_["answers"] < thresholds.least_answers:
        wanted = thresholds.least_answers
        return told, (
            CANNOT_SAY,
            [f"agreement: {now_['answers']} answers of vets, fewer than the {wanted} that say anything"],
        )
    share = now_["agreed"]
    reasons = []
    if share["high"] < thresholds.least_agreement:
        least = thresholds.least_agreement
        reasons.append(f"agreement: vets agree in {_percent(share)}, below the {least:.0%} that are asked for")
    if then["answers"] >= thresholds.least_answers and share["high"] < then["agreed"]["low"]:
        reasons.append(f"agreement: it has fallen from {_percent(then['agreed'])} to {_percent(share)}")
    return told, (ALARM if reasons else FINE, reasons)


def _share(answers: Sequence[FeedbackRow]) -> dict[str, Any]:
    """Agreed of those that say yes or no; a correction is no agreement."""
    counted = [one.feedback.answer for one in answers if one.feedback.answer not in _NOT_FOR_COUNTING]
    agreed = wilson(sum(answer is Answer.AGREE for answer in counted), len(counted))
    kinds = {answer.value: sum(one.feedback.answer is answer for one in answers) for answer in Answer}
    return {"answers": len(counted), "agreed": agreed.as_json(), "kinds": kinds}


def _percent(share: Mapping[str, float]) -> str:
    return f"{share['value']:.0%} ({share['low']:.0%} to {share['high']:.0%})"


def _monday(at: float) -> str:
    day = datetime.fromtimestamp(at, tz=UTC).date()
    return (day - timedelta(days=day.weekday())).isoformat()


def _drift(
    said: Sequence[_Said], package: ModelPackage | None, sample: int, thresholds: Thresholds
) -> tuple[list[dict[str, Any]], _Judgement]:
    if package is None:
        return [], (CANNOT_SAY, ["drift: the package is not installed any more"])
    known = read_fingerprint(package.directory)
    if known is None:
        return [], (CANNOT_SAY, ["drift: the package has no fingerprint.json, so nobody knows what it was taught with"])
    if len(said) < thresholds.least_images:
        few = f"drift: {len(said)} images, fewer than the {thresholds.least_images} that say anything"
        return [], (CANNOT_SAY, [few])
    numbers, words = _found(said, package, sample, known)
    tests = len(known["numbers"]) + len(known["words"])
    features = [
        _of_number(name, taught, numbers.get(name, []), tests, thresholds) for name, taught in known["numbers"].items()
    ]
    features += [
        _of_words(name, taught, words[name], thresholds) for name, taught in known["words"].items() if name in words
    ]
    judged = [one for one in features if one["level"] != CANNOT_SAY]
    if not judged:
        return features, (CANNOT_SAY, ["drift: too few images are left to compare with what the model was taught with"])
    alarms = [one for one in judged if one["level"] == ALARM]
    reasons = [f"drift: {one['feature']} is not what the model was taught with (PSI {one['psi']:.2f})" for one in alarms]
    return features, (ALARM if alarms else FINE, reasons)


def _found(
    said: Sequence[_Said], package: ModelPackage, sample: int, known: Mapping[str, Any]
) -> tuple[dict[str, list[float]], dict[str, list[str]]]:
    """Everything of the fingerprint that this node knows of the images."""
    numbers: dict[str, list[float]] = defaultdict(list)
    for one in said:
        for concept in {finding.concept.value for finding in one.answer.findings}:
            chances = [
                f.probability for f in one.answer.findings if f.concept.value == concept and f.probability is not None
            ]
            if chances:
                numbers[f"{PROBABILITY} {concept}"].append(max(chances))
    answers = [one.row.answer for one in said if one.row.answer is not None]
    numbers |= source_numbers([(answer.rows, answer.columns) for answer in answers], [])
    words = {
        "view": [answer.view.value for answer in answers if answer.view is not None],
        "species": [answer.species.value for answer in answers if answer.species is not None],
    }
    if any(name not in numbers for name in known["numbers"]):
        spacings = []
        for one in _chosen(said, sample):
            seen = _look(one, package)
            if seen is not None:
                for name, value in seen[0].items():
                    numbers[name].append(value)
                spacings.append(seen[1])
        numbers |= source_numbers([], spacings)
    return numbers, words


def _chosen(said: Sequence[_Said], sample: int) -> list[_Said]:
    """Of those whose file is still there, the same ones every time."""
    there = [one for one in said if one.row.path.is_file()]
    chosen = np.random.default_rng(0).permutation(len(there))[:sample]
    return [there[i] for i in chosen]


def _look(one: _Said, package: ModelPackage) -> tuple[dict[str, float], float | None] | None:
    """How the model saw an image, and the millimetres of a pixel across; None where the file cannot be read any more."""
    try:
        radiograph = read_radiograph(one.row.path, assumed_species=None)
    except (ImageUnreadable, NotAnImage, OSError):
        return None
    wanted = package.manifest.input
    plane = fit(
        radiograph.pixels,
        pixel_aspect=radiograph.pixel_aspect,
        rows=wanted.rows,
        columns=wanted.columns,
        low_percent=wanted.low_percent,
        high_percent=wanted.high_percent,
        how=wanted.fit,
        orientation=(one.row.answer.orientation if one.row.answer else None) or AS_IT_CAME,
    )
    return looks(plane.values), None if radiograph.spacing_mm is None else radiograph.spacing_mm[1]


def _of_number(
    name: str, taught: Mapping[str, Any], values: Sequence[float], tests: int, thresholds: Thresholds
) -> dict[str, Any]:
    """An index alone may be chance, and a test alone finds what is too small to matter: both must speak."""
    if len(values) < thresholds.least_images:
        return {"feature": name, "images": len(values), "level": CANNOT_SAY, "psi": None, "ks": None, "p": None}
    n, psi, by_chance, distance, p = drift_of_number(taught, values)
    beyond = psi > by_chance and p < thresholds.p / tests
    told = {"feature": name, "images": n, "level": _level(psi, beyond, thresholds), "psi": number(psi)}
    return told | {"psi_by_chance": number(by_chance), "ks": number(distance), "p": number(p)}


def _of_words(name: str, taught: Mapping[str, int], values: Sequence[str], thresholds: Thresholds) -> dict[str, Any]:
    if len(values) < thresholds.least_images or not taught:
        return {"feature": name, "images": len(values), "level": CANNOT_SAY, "psi": None, "ks": None, "p": None}
    n, psi, by_chance = drift_of_words(taught, values)
    told = {"feature": name, "images": n, "level": _level(psi, psi > by_chance, thresholds), "psi": number(psi)}
    return told | {"psi_by_chance": number(by_chance), "ks": None, "p": None}


def _level(psi: float, beyond_chance: bool, thresholds: Thresholds) -> str:
    if not beyond_chance or psi < thresholds.psi_watch:
        return FINE
    return ALARM if psi >= thresholds.psi_alarm else "watch"


def metrics(result: Mapping[str, Any]) -> str:
    """In Prometheus' text format, for node_exporter's textfile collector."""
    lines: list[str] = []
    told: dict[str, list[tuple[dict[str, str], float | None]]] = defaultdict(list)
    for model in result["models"]:
        of = {"model": model["model"], "version": model["version"]}
        told["status"].append((of, STATUS[model["status"]]))
        told["images"].append((of, model["images"]))
        told["answers"].append((of, model["agreement"]["answers"]))
        for bound, value in model["agreement"]["agreed"].items():
            told["agreement_ratio"].append(({**of, "bound": bound}, value))
        for feature in model["drift"]["features"]:
            told["psi"].append(({**of, "feature": feature["feature"]}, feature["psi"]))
            told["ks"].append(({**of, "feature": feature["feature"]}, feature["ks"]))
    told["last_run_timestamp_seconds"].append(({}, datetime.fromisoformat(result["at"]).timestamp()))
    for name, words in _METRICS.items():
        values = [(labels, value) for labels, value in told[name] if value is not None and math.isfinite(value)]
        if values:
            lines += [f"# HELP houndsfield_monitor_{name} {words}", f"# TYPE houndsfield_monitor_{name} gauge"]
            lines += [f"houndsfield_monitor_{name}{_labels(labels)} {value:.10g}" for labels, value in values]
    return "\n".join(lines) + "\n"


_METRICS = {
    "status": "0 fine, 1 alarm, 2 too few cases to say.",
    "images": "Images that the model analysed in the weeks that are looked at.",
    "answers": "Answers of vets in these weeks that say yes or no.",
    "agreement_ratio": "Share of them that agree with the model, and its 95 % interval.",
    "psi": "Population stability index against what the model was taught with.",
    "ks": "Distance of Kolmogorov and Smirnov against what the model was taught with.",
    "last_run_timestamp_seconds": "When this was measured.",
}


def _labels(labels: Mapping[str, str]) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items()) + "}" if labels else ""


def write_metrics(path: Path, result: Mapping[str, Any]) -> None:
    """At once: the collector may read at any moment."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(metrics(result), encoding="utf-8")
    beside.replace(path)
