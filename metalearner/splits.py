"""Who learns and who examines: patients, or whole clinics, drawn once into train, validation and test, and kept there.

The draw is Sechidis et al.'s iterative stratification (ECML PKDD 2011, 10.1007/978-3-642-23808-6_10): the rarest label is
dealt first, to the part that lacks it most. What a part lacks is counted relative to its share, so that of a finding that
three patients have each part gets one, and what one patient alone has goes to whichever part is behind.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from metalearner.collection import Case, Collection, CollectionInvalid, Part

SHARES = {Part.TRAIN: 0.7, Part.VALIDATION: 0.15, Part.TEST: 0.15}
LEAST_CLINICS = 6  # fewer whole clinics cannot be dealt to three parts


class Leak(CollectionInvalid):
    """What was learnt from would be examined with: the figures would be worth nothing."""


def leaks(collection: Collection) -> tuple[str, ...]:
    """Sentences about what stands on both sides of the split, or will."""
    said = [
        f"study {study} belongs to {len(patients)} patients ({', '.join(sorted(patients))}): one animal, several identifiers"
        for study, patients in _gathered((case.study, case.patient) for case in collection.cases).items()
        if len(patients) > 1
    ]
    if collection.split_by == "clinic":
        parts = _gathered(
            (case.clinic, collection.split[case.patient])
            for case in collection.usable
            if case.clinic and case.patient in collection.split
        )
        said += [f"clinic {clinic} is in {', '.join(sorted(on))}" for clinic, on in parts.items() if len(on) > 1]
    return tuple(said)


def refuse_leaks(collection: Collection) -> None:
    """Leak with everything that is wrong. Whoever trains or judges calls it first."""
    said = leaks(collection)
    if said:
        raise Leak(f"{collection.root}: " + "; ".join(said))


def draw(
    collection: Collection, *, seed: int, shares: Mapping[Part, float] = SHARES, redraw: bool = False, by: str = ""
) -> Collection:
    """The collection with a part for every patient. Patients that have one keep it, unless `redraw`.

    by: "patient" or "clinic"; without any as it was drawn before, at first by clinic where enough are known. Leak where one
    unit has patients in two parts already, or a study has two patients. ValueError for another `by` than before.
    """
    kept = {} if redraw else dict(collection.split)
    known = {case.clinic for case in collection.usable if case.clinic}
    chosen = by or (collection.split_by if kept else "clinic" if len(known) >= LEAST_CLINICS else "patient")
    if kept and chosen != collection.split_by:
        raise ValueError(f"the split was drawn by {collection.split_by}: only --redraw can change that")
    split = {**kept, **_dealt(collection, _units(collection, chosen), kept, seed=seed, shares=shares)}
    drawn = replace(collection, split=split, split_by=chosen)
    refuse_leaks(drawn)
    return drawn


def _units(collection: Collection, by: str) -> list[tuple[Case, ...]]:
    """The images of patients that must stay together."""
    leader: dict[str, str] = {}

    def first(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for case in collection.usable:
        leader[first(f"patient {case.patient}")] = first(f"patient {case.patient}")
        if by == "clinic" and case.clinic:
            leader[first(f"clinic {case.clinic}")] = first(f"patient {case.patient}")
    units = defaultdict(list)
    for case in collection.usable:
        units[first(f"patient {case.patient}")].append(case)
    return [tuple(cases) for _, cases in sorted(units.items())]


def _dealt(
    collection: Collection,
    units: Iterable[tuple[Case, ...]],
    kept: Mapping[str, Part],
    *,
    seed: int,
    shares: Mapping[Part, float],
) -> dict[str, Part]:
    traits = {case.image: _traits(collection, case) for case in collection.usable}
    open_units: list[tuple[Case, ...]] = []
    dealt: dict[str, Part] = {}
    held: dict[Part, Counter[str]] = {part: Counter() for part in Part}

    def give(cases: tuple[Case, ...], part: Part) -> None:
        for case in cases:
            dealt[case.patient] = part
            held[part].update(traits[case.image])

    for cases in units:
        parts = {kept[case.patient] for case in cases if case.patient in kept}
        if len(parts) > 1:
            raise Leak(f"{collection.root}: a clinic's patients are in {', '.join(sorted(parts))}; draw anew with --redraw")
        if parts:
            give(cases, parts.pop())
        else:
            open_units.append(cases)
    order = random.Random(seed)  # noqa: S311  a draw that anyone can repeat
    order.shuffle(open_units)
    total = Counter(trait for named in traits.values() for trait in named)

    def lacking(part: Part, trait: str) -> float:
        return total[trait] - held[part][trait] / shares[part]

    while open_units:
        counts = Counter(trait for cases in open_units for trait in {t for case in cases for t in traits[case.image]})
        rarest = min(counts, key=lambda trait: (counts[trait], trait))
        having = [cases for cases in open_units if any(rarest in traits[case.image] for case in cases)]
        for cases in having:
            give(cases, max(shares, key=lambda part: (lacking(part, rarest), lacking(part, _IMAGE))))
        given = {id(cases) for cases in having}
        open_units = [cases for cases in open_units if id(cases) not in given]
    return dealt


_IMAGE = "~ an image"  # every one has it: dealt last


def _traits(collection: Collection, case: Case) -> frozenset[str]:
    labels = collection.truth(case.image)
    said = {f"{concept} {'present' if value > 0.5 else 'absent'}" for concept, value in labels.classes.items()}
    drawn = {f"{name} drawn" for name in {*(box.concept for box in labels.boxes), *(mask.concept for mask in labels.masks)}}
    return frozenset({_IMAGE, *said, *drawn, f"species {case.species}", f"view {case.view}"})


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found = defaultdict(set)
    for name, other in pairs:
        found[name].add(other)
    return found
