"""`models compare`: what two models said of the same images, from the answers that this node keeps."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from domain.types import Code, Finding, FindingOutcome, ImageAnswer, Measurement, ModelAnswer, ModelIdentity, Outcome
from ledger import images
from ledger.store import Ledger

_Key = tuple[str, str, str]  # value, scheme, laterality
# Of several answers about one concept in one image, such as boxes, the gravest counts.
_GRAVEST = (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN, FindingOutcome.ABSENT, FindingOutcome.NOT_ASSESSABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Of one number that both gave: second less first."""

    pairs: int
    mean: float
    deviation: float  # standard, 0 for one pair
    largest: float  # by its size, with its sign


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptComparison:
    """outcomes: how often the first said the one and the second the other."""

    concept: Code
    outcomes: dict[tuple[FindingOutcome, FindingOutcome], int]
    probability: Difference | None
    measurements: dict[str, Difference]  # by the measurement's meaning and unit

    @property
    def images(self) -> int:
        return sum(self.outcomes.values())

    @property
    def agreement(self) -> float:
        """Share of the images with the same outcome."""
        return sum(count for (one, other), count in self.outcomes.items() if one is other) / self.images


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """both: images that both analysed; only_first, only_second: that the other was asked about and did not analyse."""

    both: int
    only_first: int
    only_second: int
    concepts: tuple[ConceptComparison, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """NAME or NAME@VERSION; without a version every version of that name is meant."""

    name: str
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> ModelName:
        name, _, version = text.partition("@")
        return cls(name=name, version=version)

    def means(self, model: ModelIdentity) -> bool:
        return model.name == self.name and self.version in ("", model.version)


def recent_answers(ledger: Ledger, *, studies: int) -> list[ImageAnswer]:
    """Of the newest studies."""
    found = []
    with ledger.transaction() as tx:
        for study in images.studies(tx)[-studies:]:
            found += [row.answer for row in images.of_study(tx, study) if row.answer is not None]
    return found


def compare(answers: Iterable[ImageAnswer], first: ModelName, second: ModelName) -> Comparison:
    """Answers in which either model was not asked at all are left out."""
    both = only_first = only_second = 0
    pairs: dict[_Key, list[tuple[Finding, Finding]]] = {}
    for answer in answers:
        one, other = _answer_of(answer, first), _answer_of(answer, second)
        if one is None or other is None:
            continue
        spoke = one.outcome is Outcome.ANALYSED, other.outcome is Outcome.ANALYSED
        both += all(spoke)
        only_first += spoke == (True, False)
        only_second += spoke == (False, True)
        if all(spoke):
            ours, theirs = _by_concept(one.findings), _by_concept(other.findings)
            for key in ours.keys() & theirs.keys():
                pairs.setdefault(key, []).append((ours[key], theirs[key]))
    concepts = tuple(_concept(pairs[key]) for key in sorted(pairs))
    return Comparison(both=both, only_first=only_first, only_second=only_second, concepts=concepts)


def _answer_of(answer: ImageAnswer, model: ModelName) -> ModelAnswer | None:
    return next((one for one in (*answer.models, *answer.shadow) if model.means(one.model)), None)


def _by_concept(findings: Iterable[Finding]) -> dict[_Key, Finding]:
    kept: dict[_Key, Finding] = {}
    for finding in sorted(findings, key=lambda one: (_GRAVEST.index(one.outcome), -(one.probability or 0))):
        side = finding.laterality.value if finding.laterality else ""
        kept.setdefault((finding.concept.value, finding.concept.scheme, side), finding)
    return kept


def _concept(pairs: list[tuple[Finding, Finding]]) -> ConceptComparison:
    numbers: dict[str, list[float]] = {}
    for one, other in pairs:
        for name, ours, theirs in _numbers(one, other):
            numbers.setdefault(name, []).append(theirs - ours)
    chances = [(a.probability, b.probability) for a, b in pairs]
    changed = [theirs - ours for ours, theirs in chances if ours is not None and theirs is not None]
    return ConceptComparison(
        concept=pairs[0][0].concept,
        outcomes=dict(Counter((one.outcome, other.outcome) for one, other in pairs)),
        probability=_difference(changed) if changed else None,
        measurements={name: _difference(given) for name, given in sorted(numbers.items())},
    )


def _numbers(one: Finding, other: Finding) -> Iterator[tuple[str, float, float]]:
    theirs = {_name(measurement): measurement.value for measurement in other.measurements}
    for measurement in one.measurements:
        if _name(measurement) in theirs:
            yield _name(measurement), measurement.value, theirs[_name(measurement)]


def _name(measurement: Measurement) -> str:
    return f"{measurement.concept.meaning}, {measurement.unit.meaning}"


def _difference(given: list[float]) -> Difference:
    deviation = statistics.stdev(given) if len(given) > 1 else 0.0
    largest = max(given, key=math.fabs)
    return Difference(pairs=len(given), mean=statistics.fmean(given), deviation=deviation, largest=largest)
