"""Labels from our own Structured Reports (TID 1500, TID 2000): findings, outlines, measures, the landmarks of measures.

What a model said is marked as such: its name is the source. A report that a person corrected names no model in that group.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from domain.codes import FINDINGS, MILD, MODERATE, OUTCOMES, PRIVATE, SEVERE, SEVERITY
from domain.types import FindingOutcome
from inference.header import items, text, values
from metalearner.labelling import Box, Labels, Mask, Points, ellipse, finite
from metalearner.labels.said import LabelsInvalid, Said

PERSON = "a person, in a report"
_FINDING, _GROUP, _ALGORITHM, _VERSION = "121071", "125007", "111001", "111003"
_CONCEPTS = frozenset(term.code.value for term in FINDINGS)
_MEASURES = frozenset(code.value for code in PRIVATE) - _CONCEPTS
_OUTCOMES = {OUTCOMES[FindingOutcome.PRESENT].value: 1.0, OUTCOMES[FindingOutcome.ABSENT].value: 0.0}
_UNCERTAIN = OUTCOMES[FindingOutcome.UNCERTAIN].value
_GRADES = {MILD.value: 1, MODERATE.value: 2, SEVERE.value: 3}
_SR = "1.2.840.10008.5.1.4.1.1.88."


@dataclass(slots=True)
class _Drawn:
    """Of one image and one source, while the tree is walked."""

    classes: dict[str, float] = field(default_factory=dict)
    masks: list[Mask] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    grades: dict[str, int] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)


def is_report(ds: Dataset) -> bool:
    return text(ds, "SOPClassUID").startswith(_SR)


def read_reports(paths: list[Path]) -> list[Said]:
    """Of files; one that is no report says nothing."""
    found = []
    for number, path in enumerate(paths, start=1):
        try:
            ds = dcmread(path)
        except (InvalidDicomError, OSError) as error:
            raise LabelsInvalid(f"report {number}: cannot be read") from error
        if is_report(ds):
            found += [Said(labels=labels, place=f"report {number}", image=image) for image, labels in labels_of(ds)]
    return found


def labels_of(ds: Dataset) -> Iterator[tuple[str, Labels]]:
    """(SOP Instance UID of the image, labels) of one report."""
    drawn: dict[tuple[str, str], _Drawn] = defaultdict(_Drawn)
    default = _observer(ds)
    for item in _tree(ds):
        if _name(item) == _GROUP and text(item, "ValueType") == "CONTAINER":
            _group(item, drawn)
        elif text(item, "ValueType") == "CODE" and _name(item) in _CONCEPTS and _code(item) in _OUTCOMES:
            for image in _images(item):
                drawn[image, default].classes.setdefault(_name(item), _OUTCOMES[_code(item)])
    for (image, source), one in drawn.items():
        yield (
            image,
            Labels(
                image="",
                source=source,
                classes=one.classes,
                boxes=tuple(one.boxes),
                masks=tuple(one.masks),
                grades=one.grades,
                measures=one.measures,
            ),
        )


def _group(group: Dataset, drawn: dict[tuple[str, str], _Drawn]) -> None:
    """A measurement group, which is there only for what is present or uncertain, or was measured."""
    children = items(group, "ContentSequence")
    concept = next((_code(one) for one in children if _name(one) == _FINDING), "")
    uncertain = any(_code(one) == _UNCERTAIN for one in children)
    images = {image for one in _tree(group) for image in _images(one)}
    if len(images) != 1:
        return
    source = _algorithm(children) or PERSON
    one = drawn[images.pop(), source]
    for item in children:
        if text(item, "ValueType") == "NUM" and _name(item) in _MEASURES:
            for measured in items(item, "MeasuredValueSequence"):
                one.measures[_name(item)] = finite(text(measured, "NumericValue"))
    if concept not in _CONCEPTS:
        return
    if not uncertain:
        one.classes[concept] = 1.0
    for item in children:
        if _name(item) == SEVERITY.value and _code(item) in _GRADES:
            one.grades[concept] = _GRADES[_code(item)]
    for ring in dict.fromkeys(ring for item in _tree(group) for ring in _outline(item)):
        columns, rows = {at[0] for at in ring}, {at[1] for at in ring}
        if len(ring) == 4 and len(columns) == len(rows) == 2:
            box = Box(concept=concept, left=min(columns), top=min(rows), right=max(columns), bottom=max(rows))
            one.boxes.append(box)
        else:
            one.masks.append(Mask(concept=concept, polygons=(ring,)))


def _outline(item: Dataset) -> list[Points]:
    """The corners of what encloses an area: PS3.3 C.18.6.1.2."""
    numbers = [finite(one) for one in values(item, "GraphicData")]
    ring = tuple(zip(numbers[0::2], numbers[1::2], strict=False))
    kind = text(item, "GraphicType")
    if kind == "POLYLINE" and len(ring) > 3 and ring[0] == ring[-1]:
        return [ring[:-1]]
    if kind == "CIRCLE" and len(ring) == 2:  # centre, a point on it
        radius = math.dist(*ring)
        return [ellipse(ring[0], (radius, 0.0), (0.0, radius))]
    if kind == "ELLIPSE" and len(ring) == 4:  # ends of the major axis, then of the minor
        centre = ((ring[0][0] + ring[1][0]) / 2, (ring[0][1] + ring[1][1]) / 2)
        one, other = ((end[0] - centre[0], end[1] - centre[1]) for end in (ring[1], ring[3]))
        return [ellipse(centre, one, other)]
    return []


def _tree(item: Dataset) -> Iterator[Dataset]:
    for child in items(item, "ContentSequence"):
        yield child
        yield from _tree(child)


def _name(item: Dataset) -> str:
    return next((text(one, "CodeValue") for one in items(item, "ConceptNameCodeSequence")), "")


def _code(item: Dataset) -> str:
    return next((text(one, "CodeValue") for one in items(item, "ConceptCodeSequence")), "")


def _images(item: Dataset) -> set[str]:
    """Those that an item names itself or through its children."""
    named = {text(one, "ReferencedSOPInstanceUID") for one in items(item, "ReferencedSOPSequence")}
    for child in items(item, "ContentSequence"):
        named |= _images(child)
    return named - {""}


def _algorithm(children: list[Dataset]) -> str:
    said = {_name(one): text(one, "TextValue") for one in children if text(one, "ValueType") == "TEXT"}
    return f"{said[_ALGORITHM]} {said.get(_VERSION, '')}".strip() if said.get(_ALGORITHM) else ""


def _observer(ds: Dataset) -> str:
    """The model that the report as a whole is of: what its groups name, or its device observer's model."""
    for item in _tree(ds):
        if _name(item) == _GROUP:
            named = _algorithm(items(item, "ContentSequence"))
            if named:
                return named
    said = [text(one, "TextValue") for one in _tree(ds) if _name(one) == "121015"]  # Device Observer Model Name
    return said[0] if said and said[0] else "a model, in a report"
