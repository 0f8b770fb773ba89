"""Which images to label next: those that the model is least sure of, and no two that look alike.

margin   how near the likeliest answer is to its opposite
entropy  of the answer, in bits
bald     Houlsby et al. 2011 (arXiv:1112.5745), with Monte Carlo dropout (Gal et al. 2017, arXiv:1703.02910): how much the
         passes of a network with its dropout on disagree. It leaves out what all of them find ambiguous, which more labels
         would not change
Each is 0 where the model is sure, and at most 1 for each concept; an image's is the mean over its concepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from domain.errors import HoundsfieldError
from domain.types import Finding, Outcome
from inference.engine import Engine
from inference.package import load_package
from metalearner.collection import Collection
from metalearner.likeness import ALIKE, Features
from metalearner.planes import planes

FloatArray = npt.NDArray[np.float64]
Method = Literal["margin", "entropy", "bald"]
PASSES = 20


class NothingToSuggest(HoundsfieldError):
    """The model says nothing of these images by which they could be ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a model says of an image: its probability by concept, and findings with their outlines where it draws any."""

    image: str
    probabilities: Mapping[str, float]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """How unsure a model is of an image. bald: None where it was asked once."""

    guess: Guess
    margin: float
    entropy: float
    bald: float | None = field(default=None)

    def by(self, method: Method) -> float:
        """NothingToSuggest for BALD of a model that was asked once."""
        value = {"margin": self.margin, "entropy": self.entropy, "bald": self.bald}[method]
        if value is None:
            raise NothingToSuggest("bald needs a run's network with dropout: give --run, or take --by entropy")
        return value


def margins(probabilities: npt.ArrayLike) -> FloatArray:
    """1 less the distance between yes and no. probabilities: (…), of concepts that do not exclude each other."""
    return np.asarray(1 - np.abs(2 * np.asarray(probabilities, dtype=np.float64) - 1))


def entropies(probabilities: npt.ArrayLike) -> FloatArray:
    """Bits of a yes or no."""
    yes = np.asarray(probabilities, dtype=np.float64)
    no = 1 - yes
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(yes > 0, yes * np.log2(yes), 0) + np.where(no > 0, no * np.log2(no), 0)
    return np.asarray(np.abs(terms))


def balds(passes: npt.ArrayLike) -> FloatArray:
    """Mutual information of answer and weights: entropy of the mean less mean of the entropies. passes: (T, …) to (…)."""
    asked = np.asarray(passes, dtype=np.float64)
    return np.maximum(entropies(asked.mean(axis=0)) - entropies(asked).mean(axis=0), 0)


def doubts_of_passes(images: list[str], concepts: list[str], passes: npt.ArrayLike) -> list[Doubt]:
    """passes: (T, n, concepts), of a network with its dropout on."""
    asked = np.asarray(passes, dtype=np.float64)
    mean = asked.mean(axis=0)
    scores = [margins(mean).mean(axis=1), entropies(mean).mean(axis=1), balds(asked).mean(axis=1)]
    return [
        Doubt(
            guess=Guess(image=image, probabilities=dict(zip(concepts, mean[number].tolist(), strict=True))),
            margin=float(scores[0][number]),
            entropy=float(scores[1][number]),
            bald=float(scores[2][number]),
        )
        for number, image in enumerate(images)
    ]


def doubts_of_run(collection: Collection, run: Path, *, passes: int = PASSES) -> list[Doubt]:
    """Of the images without labels, by a run of `learn train` that is asked several times. Needs torch.

    TaskInvalid for a run that is not finished or says no probabilities, NothingToSuggest where every image is labelled.
    """
    from metalearner.tasks import load_run
    from metalearner.training import monte_carlo

    task, recipe, _ = load_run(run)
    concepts = [concept.value for concept in task.concepts]
    images = _unlabelled(collection, concepts)
    laid = planes(collection, images, task.input_of(recipe.rows, recipe.columns))
    return doubts_of_passes(images, concepts, monte_carlo(run, laid.values, passes))


def doubts_of_package(collection: Collection, directory: Path) -> list[Doubt]:
    """Of the images without labels, by a model package that is asked once, as in the node. Those that it is not made for are
    left out. NothingToSuggest where it gives no probability, or where every image is labelled.
    """
    package = load_package(directory)
    classes = [one for head in package.manifest.head for one in getattr(head, "classes", ())]
    images = _unlabelled(collection, [one.concept.value for one in classes if one.concept is not None])
    engine = Engine([package], threads=1)
    found = []
    for image in images:
        answer = engine.answer(collection.path(image), assumed_species=None)
        findings = [finding for model in answer.models if model.outcome is Outcome.ANALYSED for finding in model.findings]
        said: dict[str, float] = {}
        for finding in findings:
            if finding.probability is not None:
                said[finding.concept.value] = max(finding.probability, said.get(finding.concept.value, 0.0))
        if said:
            found.append(doubt_of(Guess(image=image, probabilities=said, findings=tuple(findings))))
    if not found:
        raise NothingToSuggest(f"model {package.name} gives no probability for any of the {len(images)} unlabelled images")
    return found


def _unlabelled(collection: Collection, concepts: list[str]) -> list[str]:
    if not concepts:
        raise NothingToSuggest("the model gives no probability of any finding")
    images = unlabelled(collection, frozenset(concepts))
    if not images:
        raise NothingToSuggest("every image is labelled for what the model finds")
    return images


def doubt_of(guess: Guess) -> Doubt:
    """Of a model that was asked once."""
    values = list(guess.probabilities.values())
    return Doubt(guess=guess, margin=float(margins(values).mean()), entropy=float(entropies(values).mean()))


def chosen(doubts: list[Doubt], features: Features, *, by: Method, count: int, alike: float = ALIKE) -> list[Doubt]:
    """The most doubtful first, each unlike those before it; those that were too like come last, where others do not suffice.

    features: one row for each doubt, of length 1 (`metalearner.likeness`).
    """
    order = sorted(range(len(doubts)), key=lambda number: (-doubts[number].by(by), doubts[number].guess.image))
    taken: list[int] = []
    like: list[int] = []
    for number in order:
        if len(taken) == count:
            break
        is_like = bool(taken) and float((features[taken] @ features[number]).max()) >= alike
        (like if is_like else taken).append(number)
    return [doubts[number] for number in (*taken, *like)[:count]]


def unlabelled(collection: Collection, concepts: frozenset[str]) -> list[str]:
    """Images of which nobody has said anything about these concepts."""
    return [
        case.image
        for case in collection.usable
        if not any(concepts & labels.classes.keys() for labels in collection.of(case.image))
    ]
