"""What a source of labels says, and which image of a collection it says it of."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from domain.codes import FINDINGS
from domain.errors import HoundsfieldError
from metalearner.collection import Collection
from metalearner.deidentify import Pseudonyms
from metalearner.labelling import Box, Labels, Mask

_SUFFIX = re.compile(r"\.(dcm|dicom|png|jpe?g|tiff?|bmp)$", re.IGNORECASE)
_SIZE_TOLERANCE = 0.01  # by which two ways to scale a picture may differ, for rounded sizes
_PLACES_NAMED = 5


class LabelsInvalid(HoundsfieldError):
    """A file of labels cannot be read; the sentence names the file and the place in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """labels: `image` is empty, `reader` is as it was given. place: where it stands, such as "line 3": messages repeat
    places and never names of images, which may hold an animal's.

    image: a file's name, or an original or new SOP Instance UID; or else study, an original Study Instance UID, with view.
    size: (columns, rows) of the picture that points are counted on; None: of the image itself.
    """

    labels: Labels
    place: str
    image: str = field(default="", repr=False)
    study: str = field(default="", repr=False)
    view: str = ""
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """What was found to belong to an image, and sentences about what was not."""

    labels: tuple[Labels, ...]
    faults: tuple[str, ...]


def concept_of(words: str) -> str:
    """The code value of a finding by its value, or its English or Korean name; other words stay as they are."""
    return _CONCEPTS.get(_plain(words), words.strip())


def _plain(words: str) -> str:
    return re.sub(r"[\W_]+", "", words.casefold())


_CONCEPTS = {
    _plain(words): term.code.value
    for term in FINDINGS
    for words in (term.code.value, term.code.meaning, term.english, term.korean)
}


def said_without_code(labels: Iterable[Labels]) -> tuple[str, ...]:
    """Concepts of these labels that no finding of the product has."""
    named = {name for one in labels for name in (*one.classes, *(shape.concept for shape in one.boxes))}
    return tuple(sorted(named - set(_CONCEPTS.values())))


@dataclass(frozen=True, slots=True)
class Names:
    """What the images of a collection may be called. files: the names that they had in the folder they came from."""

    collection: Collection
    pseudonyms: Pseudonyms
    files: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of(self, said: Said) -> frozenset[str]:
        """The images that are meant: none, one, or several where the name does not tell."""
        if said.image:
            return self._by_name(said.image)
        study = self.pseudonyms.uid(said.study)
        cases = [case for case in self.collection.cases if case.study in (study, said.study)]
        if not said.view:
            return frozenset(case.image for case in cases)
        return frozenset(case.image for case in cases if _plain(case.view) == _plain(said.view))

    def _by_name(self, name: str) -> frozenset[str]:
        for words in (name, _SUFFIX.sub("", PurePosixPath(name.replace("\\", "/")).name)):
            for uid in (words, self.pseudonyms.uid(words)):
                if uid in self.collection.by_image:
                    return frozenset({uid})
        return next((self.files[one] for one in spellings(name) if one in self.files), frozenset())


def spellings(name: str) -> list[str]:
    """How a file may be called, the most exact first: its path, ends of its path, its name; each without a suffix, too."""
    parts = [one for one in name.replace("\\", "/").casefold().split("/") if one not in ("", ".")]
    ends = ["/".join(parts[number:]) for number in range(len(parts))]
    return list(dict.fromkeys(spelt for end in ends for spelt in (end, _SUFFIX.sub("", end))))


def by_spelling(images: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """{spelling: images} of (file name, image): a spelling that two images share names both, hence neither."""
    found = defaultdict(set)
    for name, image in images:
        for spelling in spellings(name):
            found[spelling].add(image)
    return {spelling: frozenset(named) for spelling, named in found.items()}


def matched(said: Sequence[Said], names: Names, source: str) -> Matched:
    """source: of the labels, as sentences name it. Of two labels by one reader the later counts; readers get pseudonyms."""
    found: dict[tuple[str, str, str], Labels] = {}
    wrong: dict[str, list[str]] = defaultdict(list)
    for one in said:
        images = names.of(one)
        if len(images) != 1:
            wrong["name no image of the collection" if not images else "name several images at once"].append(one.place)
            continue
        (image,) = images
        case = names.collection.by_image[image]
        if case.declined:
            wrong["belong to images that were declined"].append(one.place)
            continue
        labels = _scaled(one, (case.columns, case.rows))
        if labels is None:
            wrong["count their points on a picture of another shape"].append(one.place)
            continue
        reader = labels.reader and names.pseudonyms.of("reader", labels.reader.casefold())[:8]
        labels = replace(labels, image=image, source=labels.source or source, reader=reader)
        key = (image, labels.source, reader)
        earlier = found[key].classes if key in found else {}
        if any(earlier.get(concept, value) != value for concept, value in labels.classes.items()):
            wrong["say something else of an image than an earlier one there; the later counts"].append(one.place)
        found[key] = labels if key not in found else _joined(found[key], labels)
    faults = tuple(f"{source}: {len(places)} labels {what} ({_named(places)})" for what, places in wrong.items())
    return Matched(labels=tuple(found.values()), faults=faults)


def _named(places: Sequence[str]) -> str:
    more = len(places) - _PLACES_NAMED
    return ", ".join(places[:_PLACES_NAMED]) + (f" and {more} more" if more > 0 else "")


def _joined(first: Labels, second: Labels) -> Labels:
    """Two rows of one table about one image."""
    return replace(
        second,
        classes={**first.classes, **second.classes},
        points={**first.points, **second.points},
        boxes=tuple(dict.fromkeys((*first.boxes, *second.boxes))),
        masks=tuple(dict.fromkeys((*first.masks, *second.masks))),
        grades={**first.grades, **second.grades},
        measures={**first.measures, **second.measures},
    )


def _scaled(said: Said, size: tuple[int, int]) -> Labels | None:
    """In the image's own pixels; None where the picture has another shape."""
    labels = said.labels
    if said.size is None or said.size == size or not (labels.points or labels.boxes or labels.masks):
        return labels
    if not all((*said.size, *size)):
        return None
    across, down = size[0] / said.size[0], size[1] / said.size[1]
    if abs(across / down - 1) > _SIZE_TOLERANCE:
        return None
    return replace(
        labels,
        points={name: (at[0] * across, at[1] * down) for name, at in labels.points.items()},
        boxes=tuple(
            Box(concept=b.concept, left=b.left * across, top=b.top * down, right=b.right * across, bottom=b.bottom * down)
            for b in labels.boxes
        ),
        masks=tuple(
            Mask(concept=m.concept, polygons=tuple(tuple((x * across, y * down) for x, y in ring) for ring in m.polygons))
            for m in labels.masks
        ),
    )


def marked(
    *,
    boxes: Sequence[Box] = (),
    masks: Sequence[Mask] = (),
    points: Mapping[str, tuple[float, float]] | None = None,
    classes: Mapping[str, float] | None = None,
    looked_for: Iterable[str] = (),
    reader: str = "",
) -> Labels:
    """Labels of one image from what was drawn on it: what is drawn is present.

    looked_for: concepts that are absent where they are neither drawn nor said.
    """
    said = dict.fromkeys(looked_for, 0.0)
    said.update({box.concept: 1.0 for box in boxes})
    said.update({mask.concept: 1.0 for mask in masks})
    said.update(classes or {})
    return Labels(
        image="", source="", reader=reader, classes=said, points=points or {}, boxes=tuple(boxes), masks=tuple(masks)
    )


def numbered(points: Iterable[tuple[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """Points by name; several of one name become name-1, name-2, …"""
    given = list(points)
    counts = Counter(name for name, _ in given)
    seen: Counter[str] = Counter()
    named = {}
    for name, at in given:
        seen[name] += 1
        named[name if counts[name] == 1 else f"{name}-{seen[name]}"] = at
    return named
