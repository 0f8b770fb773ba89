"""A collection and a model's answers to it, made of random numbers: what is judged needs no image.

    collection, answers = thorax_cases(120)               two films of each of 60 patients
    answers = model_of(collection, skill=0.5, seed=2)     another model of the same images

Patients and studies have pseudonyms that a page must not show: "patient-…" and "2.25.77…".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metalearner.collection import Box, Case, Collection, Labels, Mask, Part
from metalearner.model_answers import ModelAnswers, Outlined

HEART, EFFUSION = "CARDIOMEGALY", "60046008"
POINTS = ("carina", "apex", "T4", "T5", "T6")
BREEDS = ("Maltese", "Labrador retriever", "퍼그", "Xoloitzcuintle")


def thorax_cases(count: int, *, seed: int = 0, skill: float = 1.0) -> tuple[Collection, ModelAnswers]:
    rng = np.random.default_rng(seed)
    cases, labels = [], []
    for n in range(count):
        patient, heart, effusion = n // 2, rng.random() < 0.4, rng.random() < 0.15
        cases.append(
            Case(
                image=f"2.25.{n}",
                file=f"images/{n}.dcm",
                patient=f"patient-{patient:08x}",
                study=f"2.25.77{patient}",
                clinic=("north", "south")[patient % 2],
                species="dog" if patient % 4 else "cat",
                breed=BREEDS[patient % len(BREEDS)],
                view=("right-lateral", "left-lateral")[n % 2],
                region="thorax",
                rows=400,
                columns=500,
                spacing_row_mm=0.4,
                spacing_column_mm=0.4,
                device=("Fuji", "Rayence")[patient // 2 % 2],
            )
        )
        left = float(rng.integers(50, 200))
        square = ((left, 100.0), (left + 100, 100.0), (left + 100, 180.0), (left, 180.0))
        labels.append(
            Labels(
                image=f"2.25.{n}",
                source="reader",
                classes={HEART: float(heart), EFFUSION: float(effusion)},
                points={name: (100.0 + 40 * i, 200.0) for i, name in enumerate(POINTS)},
                masks=(Mask(concept=EFFUSION, polygons=(square,)),) if effusion else (),
                boxes=(Box(concept=HEART, left=left, top=100, right=left + 100, bottom=180),) if heart else (),
                grades={HEART: int(rng.integers(1, 4))} if heart else {},
                measures={"VHS": float(rng.normal(10.2, 0.8))},
            )
        )
    collection = Collection(
        root=Path("nowhere"),
        name="judged",
        made_at="2026-01-01T00:00:00+00:00",
        cases=tuple(cases),
        labels=tuple(labels),
        split={case.patient: Part.TEST for case in cases},
    )
    return collection, model_of(collection, skill=skill, seed=seed + 1)


def model_of(
    collection: Collection, *, skill: float, seed: int, name: str = "thorax-findings", version: str = "1.0.0"
) -> ModelAnswers:
    """skill: 0 guesses. Its measure of the heart is 0.2 too large on the mean, its points are 3 pixels to the right."""
    rng = np.random.default_rng(seed)
    count = len(collection.cases)
    raw, filed = {}, {}
    for value in (HEART, EFFUSION):
        truth = np.array([labels.classes[value] for labels in collection.labels])
        logit = 3 * skill * (truth - 0.5) + rng.normal(size=count)
        raw[value], filed[value] = 1 / (1 + np.exp(-9 * logit)), 1 / (1 + np.exp(0.4 - 3 * abs(skill) * logit))
    true = np.array([labels.measures["VHS"] for labels in collection.labels])
    points = {
        name: np.array([labels.points[name] for labels in collection.labels])
        + np.array([3.0, 0.0])
        + rng.normal(0, 1, (count, 2))
        for name in POINTS
    }
    found = tuple(
        tuple(
            Outlined(ring=np.array(mask.polygons[0]) + np.array([10.0, 0.0]), probability=float(filed[EFFUSION][n]))
            for mask in labels.masks
        )
        for n, labels in enumerate(collection.labels)
    )
    return ModelAnswers(
        name=name,
        version=version,
        source="package",
        images=tuple(case.image for case in collection.cases),
        declined={"the view is ventrodorsal": 3},
        probabilities=filed,
        raw=raw,
        calibrated_by="Platt scaling in the package",
        operating_points={HEART: (0.3, 0.7), EFFUSION: (0.2, 0.6)},
        points=points,
        measures={"VHS": true + 0.2 + rng.normal(0, 0.3, count)},
        regions={EFFUSION: found},
    )
