"""What a collection holds and what is wrong with it, in numbers: for a person (`inspecting_page`) and for a program.

It names images by their new UIDs and patients not at all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from domain import terms
from domain.codes import FINDINGS
from domain.types import Language
from metalearner.collection import Case, Collection, Labels, Part
from metalearner.likeness import features, pairs_alike
from metalearner.splits import leaks

FEW_PATIENTS = 20  # with and without a finding, below which figures about it say little
FEW_TESTED = 5  # of them in the part that examines
_POINT_SPREAD = 0.05  # of the image's longer side, by which two readers' points differ
_MEASURE_SPREAD = 0.1  # of their mean, by which two readers' numbers differ

FACTS = ("view", "region", "species", "breed", "sex", "clinic", "device", "laterality", "spacing_source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """counts: (present, absent) images by part."""

    value: str
    present: int
    absent: int
    unknown: int
    patients_with: int
    patients_without: int
    drawn: int  # images with a box or a mask of it
    parts: Mapping[Part, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """said: what each source and reader says."""

    image: str
    about: str
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """Two images of different patients."""

    first: str
    second: str
    correlation: float
    parts: tuple[str, str]

    @property
    def across(self) -> bool:
        return self.parts[0] != self.parts[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """leaks and warnings are sentences."""

    name: str
    made_from: tuple[str, ...]
    images: int
    patients: int
    studies: int
    labelled: int
    split_by: str
    parts: Mapping[Part, tuple[int, int]]  # patients, images
    declined: Mapping[str, int]
    facts: Mapping[str, Mapping[str, int]]  # images by what a header said; "" where it was silent
    ages_years: tuple[float, ...] = field(repr=False)
    spacings_mm: tuple[float, ...] = field(repr=False)
    sizes: Mapping[str, int]
    concepts: tuple[Concept, ...]
    points: Mapping[str, int]
    measures: Mapping[str, tuple[float, ...]] = field(repr=False)
    sources: Mapping[str, int]
    conflicts: tuple[Conflict, ...]
    alike: tuple[Alike, ...]
    leaks: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nobody learns from whom they examine, as far as can be seen."""
        return not self.leaks and not any(pair.across for pair in self.alike)

    def as_json(self) -> dict[str, Any]:
        said = asdict(self)
        said["parts"] = {part.value: {"patients": of, "images": count} for part, (of, count) in self.parts.items()}
        for concept, given in zip(said["concepts"], self.concepts, strict=True):
            concept["parts"] = {part.value: {"present": yes, "absent": no} for part, (yes, no) in given.parts.items()}
        return {**said, "sound": self.sound}


def named(concept: str) -> str:
    """A concept in words."""
    return next((terms.concept(term.code, Language.ENGLISH) for term in FINDINGS if term.code.value == concept), concept)


def inspect(collection: Collection, *, told: Callable[[int], None] | None = None) -> Inspection:
    """told: called with the number of images compared so far. CollectionInvalid where a patient is in no part."""
    usable = collection.usable
    parts = collection.parts()
    truths = {case.image: collection.truth(case.image) for case in usable}
    concepts = tuple(concepts_of(usable, truths, parts))
    alike = tuple(_alike(collection, parts, told))
    points = Counter(name for truth in truths.values() for name in truth.points)
    measures = defaultdict(list)
    for truth in truths.values():
        for name, value in truth.measures.items():
            measures[name].append(value)
    patients = {part: {case.patient for case in usable if collection.split[case.patient] is part} for part in Part}
    sizes = {part: (len(patients[part]), sum(given is part for given in parts.values())) for part in Part}
    return Inspection(
        name=collection.name,
        made_from=collection.made_from,
        images=len(usable),
        patients=len({case.patient for case in usable}),
        studies=len({case.study for case in usable}),
        labelled=len({labels.image for labels in collection.labels}),
        split_by=collection.split_by,
        parts=sizes,
        declined=_ordered(Counter(case.declined for case in collection.cases if case.declined)),
        facts={name: _ordered(Counter(str(getattr(case, name)) for case in usable)) for name in FACTS},
        ages_years=tuple(case.age_years for case in usable if case.age_years is not None),
        spacings_mm=tuple(case.spacing_row_mm for case in usable if case.spacing_row_mm is not None),
        sizes=_ordered(Counter(f"{case.columns} × {case.rows}" for case in usable)),
        concepts=concepts,
        points=_ordered(points),
        measures={name: tuple(values) for name, values in sorted(measures.items())},
        sources=_ordered(Counter(labels.source for labels in collection.labels)),
        conflicts=tuple(conflicts_of(collection)),
        alike=alike,
        leaks=leaks(collection),
        warnings=tuple(warnings_of(concepts, sizes, usable)),
    )


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common())


def concepts_of(usable: Sequence[Case], truths: Mapping[str, Labels], parts: Mapping[str, Part]) -> Iterator[Concept]:
    drawn = {
        case.image: {shape.concept for shapes in (truths[case.image].boxes, truths[case.image].masks) for shape in shapes}
        for case in usable
    }
    named = {name for truth in truths.values() for name in truth.classes} | {
        name for names in drawn.values() for name in names
    }
    for value in sorted(named):
        said = {case.image: truths[case.image].classes.get(value) for case in usable}
        patients = {answer: {case.patient for case in usable if said[case.image] == answer} for answer in (1.0, 0.0)}
        yield Concept(
            value=value,
            present=sum(answer == 1.0 for answer in said.values()),
            absent=sum(answer == 0.0 for answer in said.values()),
            unknown=sum(answer is None for answer in said.values()),
            patients_with=len(patients[1.0]),
            patients_without=len(patients[0.0]),
            drawn=sum(value in names for names in drawn.values()),
            parts={
                part: (
                    sum(answer == 1.0 and parts[image] is part for image, answer in said.items()),
                    sum(answer == 0.0 and parts[image] is part for image, answer in said.items()),
                )
                for part in Part
            },
        )


def conflicts_of(collection: Collection) -> Iterator[Conflict]:
    for case in collection.usable:
        labels = collection.of(case.image)
        if len(labels) < 2:
            continue
        for about, said in _said_twice(labels).items():
            if _differ(about, list(said.values()), max(case.rows, case.columns, 1)):
                yield Conflict(image=case.image, about=about[1], said={who: _shown(value) for who, value in said.items()})


def _said_twice(labels: Sequence[Labels]) -> dict[tuple[str, str], dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for one in labels:
        who = f"{one.source} ({one.reader})" if one.reader else one.source
        for kind, given in (("class", one.classes), ("point", one.points), ("grade", one.grades), ("measure", one.measures)):
            for name, value in given.items():
                found[kind, name][who] = value
    return {about: said for about, said in found.items() if len(said) > 1}


def _differ(about: tuple[str, str], values: list[Any], longer_side: int) -> bool:
    if about[0] == "point":
        across = max(max(at[i] for at in values) - min(at[i] for at in values) for i in (0, 1))
        return bool(across > _POINT_SPREAD * longer_side)
    if about[0] == "measure":
        mean = sum(values) / len(values)
        return bool(max(values) - min(values) > _MEASURE_SPREAD * abs(mean))
    return len(set(values)) > 1


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:.0f}, {value[1]:.0f}"
    return f"{value:g}"


def _alike(collection: Collection, parts: Mapping[str, Part], told: Callable[[int], None] | None) -> Iterator[Alike]:
    """Of one patient two exposures may well look alike."""
    images = [case.image for case in collection.usable]
    patients = [case.patient for case in collection.usable]
    for pair in pairs_alike(features(collection, images, told=told)):
        if patients[pair.first] != patients[pair.second]:
            first, second = images[pair.first], images[pair.second]
            yield Alike(
                first=first,
                second=second,
                correlation=round(pair.correlation, 3),
                parts=(parts[first].value, parts[second].value),
            )


def warnings_of(concepts: Sequence[Concept], sizes: Mapping[Part, tuple[int, int]], usable: Sequence[Case]) -> Iterator[str]:
    for part, (patients, _) in sizes.items():
        if not patients:
            yield f"no patient is in the part {part.value}: collect more, or draw the split anew with --redraw"
    for concept in concepts:
        if not concept.present or not concept.absent:
            yield f"{named(concept.value)}: {'no image shows it' if not concept.present else 'no image is without it'}"
            continue
        least = min(concept.patients_with, concept.patients_without)
        if least < FEW_PATIENTS:
            which = "with" if concept.patients_with <= concept.patients_without else "without"
            yield f"{named(concept.value)}: only {least} patients {which} it; figures about it will say little"
        elif min(concept.parts[Part.TEST]) < FEW_TESTED:
            yield f"{named(concept.value)}: only {min(concept.parts[Part.TEST])} images with or without it in test"
    silent = sum(case.spacing_row_mm is None for case in usable)
    if silent:
        yield f"{silent} of {len(usable)} images have no pixel spacing: millimetres cannot be judged on them"
