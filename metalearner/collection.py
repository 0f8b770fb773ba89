"""A collection: de-identified radiographs of many patients in a folder, what was said of each, and how they are split.

    collection.toml   what it is and what it was made from
    cases.csv         one row per image: the fields of `Case`
    labels.jsonl      one object per image and source: `Labels`
    split.csv         patient,part: written once, see `metalearner.splits`
    images/           de-identified DICOM files
    prepared/, runs/  planes laid out for a network (may be deleted), and what trainings left

Whatever is wrong in one of these files is a `CollectionInvalid` that names the file and the line.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from domain.errors import HoundsfieldError
from metalearner.labelling import Box as Box
from metalearner.labelling import Labels as Labels
from metalearner.labelling import Mask as Mask
from metalearner.labelling import agreed, as_json, finite, from_json

FORMAT = 1
DESCRIPTION, CASES, LABELS, SPLIT = "collection.toml", "cases.csv", "labels.jsonl", "split.csv"
IMAGES, PREPARED, RUNS = "images", "prepared", "runs"


class CollectionInvalid(HoundsfieldError):
    """A collection does not hold together, or is none; the sentence names the file, and the line where there is one."""


class Part(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One image, as its header described it before it was de-identified. Empty where that was silent."""

    image: str  # its new SOP Instance UID
    file: str  # below the collection; empty where the image was not kept
    patient: str  # pseudonym, 16 hexadecimal digits
    study: str  # its new Study Instance UID
    clinic: str = ""
    species: str = ""
    breed: str = ""
    sex: str = ""
    age_years: float | None = None
    view: str = ""
    region: str = ""
    laterality: str = ""
    rows: int = 0
    columns: int = 0
    spacing_row_mm: float | None = None
    spacing_column_mm: float | None = None
    spacing_source: str = ""
    device: str = ""  # manufacturer and model
    declined: str = ""  # why the image cannot be learnt from; empty where it can


@dataclass(frozen=True, kw_only=True)
class Collection:
    root: Path
    name: str
    made_at: str  # ISO 8601
    made_from: tuple[str, ...] = ()  # in words, without an identity
    deidentified: str = ""  # by what method
    split_by: str = "patient"  # patient | clinic: what is never in two parts
    cases: tuple[Case, ...] = ()
    labels: tuple[Labels, ...] = ()
    split: Mapping[str, Part] = field(default_factory=dict)  # by patient

    @cached_property
    def by_image(self) -> Mapping[str, Case]:
        return {case.image: case for case in self.cases}

    @cached_property
    def usable(self) -> tuple[Case, ...]:
        """The images that can be learnt from."""
        return tuple(case for case in self.cases if not case.declined)

    def of(self, image: str) -> tuple[Labels, ...]:
        """What each source says of an image."""
        return self._labels_by_image.get(image, ())

    def truth(self, image: str) -> Labels:
        """All sources of an image as one: see `labelling.agreed`."""
        return agreed(image, self.of(image))

    def path(self, image: str) -> Path:
        """CollectionInvalid for an image that is not in it, or that was not kept."""
        case = self.by_image.get(image)
        if case is None or not case.file:
            raise CollectionInvalid(f"{self.root}: there is no file of image {image}")
        return self.root / case.file

    def parts(self) -> Mapping[str, Part]:
        """The part of every image that can be learnt from. CollectionInvalid where a patient has none yet."""
        without = {case.patient for case in self.usable if case.patient not in self.split}
        if without:
            said = f"{len(without)} patients are in no part; `houndsfield learn collect` draws one for them"
            raise CollectionInvalid(f"{self.root / SPLIT}: {said}")
        return {case.image: self.split[case.patient] for case in self.usable}

    @cached_property
    def _labels_by_image(self) -> Mapping[str, tuple[Labels, ...]]:
        found: dict[str, tuple[Labels, ...]] = {}
        for labels in self.labels:
            found[labels.image] = (*found.get(labels.image, ()), labels)
        return found

    def save(self) -> None:
        """Each file is whole or as it was before."""
        self.root.mkdir(parents=True, exist_ok=True)
        made = "".join(f"  {_quoted(words)},\n" for words in self.made_from)
        said = {"name": self.name, "made_at": self.made_at, "deidentified": self.deidentified, "split_by": self.split_by}
        keys = "".join(f"{key} = {_quoted(value)}\n" for key, value in said.items())
        _replace(self.root / CASES, _as_csv(_CASE_FIELDS, (_row(case) for case in self.cases)))
        _replace(self.root / LABELS, "".join(json.dumps(as_json(one), ensure_ascii=False) + "\n" for one in self.labels))
        _replace(self.root / SPLIT, _as_csv(_SPLIT_FIELDS, self.split.items()))
        _replace(self.root / DESCRIPTION, f"format = {FORMAT}\n{keys}made_from = [\n{made}]\n")

    @classmethod
    def load(cls, root: Path) -> Collection:
        """CollectionInvalid names the file and the line."""
        said = _description(root / DESCRIPTION)
        collection = cls(
            root=root,
            name=said["name"],
            made_at=said["made_at"],
            made_from=tuple(said.get("made_from", ())),
            deidentified=said.get("deidentified", ""),
            split_by=said.get("split_by", "patient"),
            cases=_cases(root / CASES),
            labels=_labels(root / LABELS),
            split=_split(root / SPLIT),
        )
        _check(collection)
        return collection


_CASE_FIELDS = tuple(one.name for one in fields(Case))
_SPLIT_FIELDS = ("patient", "part")
_NUMBERS = ("age_years", "spacing_row_mm", "spacing_column_mm")


def _row(case: Case) -> list[str]:
    values = [getattr(case, name) for name in _CASE_FIELDS]
    return ["" if value is None else str(value) for value in values]


def _quoted(words: str) -> str:
    """A TOML basic string: JSON's escapes are among its own."""
    return json.dumps(words.replace("\x7f", ""), ensure_ascii=False)


def _as_csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    page = io.StringIO(newline="")
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return page.getvalue()


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    with beside.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows editors put a mark in front
    except FileNotFoundError:
        raise CollectionInvalid(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise CollectionInvalid(f"{path}: is not UTF-8 text") from None


def _description(path: Path) -> dict[str, Any]:
    if not path.exists():
        said = f"this is no collection, it has no {DESCRIPTION}; make one with `houndsfield learn collect`"
        raise CollectionInvalid(f"{path.parent}: {said}")
    try:
        said_there = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise CollectionInvalid(f"{path}: {error}") from error
    if said_there.get("format") != FORMAT:
        raise CollectionInvalid(f"{path}: format is {said_there.get('format')!r}, this version reads {FORMAT}")
    for key in ("name", "made_at"):
        if not isinstance(said_there.get(key), str):
            raise CollectionInvalid(f"{path}: {key} is missing")
    if said_there.get("split_by", "patient") not in ("patient", "clinic"):
        raise CollectionInvalid(f"{path}: split_by is patient or clinic, not {said_there['split_by']!r}")
    return said_there


def _rows(path: Path, wanted: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with its line. CollectionInvalid when a column is missing, or a row has more or fewer cells."""
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        for columns, say in (
            ([one for one in wanted if one not in (reader.fieldnames or ())], "lacks column"),
            ([one for one in reader.fieldnames or () if one not in wanted], "has an unknown column"),
        ):
            if columns:
                raise CollectionInvalid(f"{path}, line 1: {say} {columns[0]}")
        for row in reader:
            if None in row or None in row.values():
                raise CollectionInvalid(f"{path}, line {reader.line_num}: has not {len(wanted)} cells")
            yield reader.line_num, row
    except csv.Error as error:
        raise CollectionInvalid(f"{path}, line {reader.line_num}: {error}") from error


def _cases(path: Path) -> tuple[Case, ...]:
    found: dict[str, Case] = {}
    for line, row in _rows(path, _CASE_FIELDS):
        given: dict[str, Any] = dict(row)
        name = ""
        try:
            for name in ("rows", "columns"):
                given[name] = int(row[name])
            for name in _NUMBERS:
                given[name] = finite(row[name]) if row[name] else None
        except ValueError:
            raise CollectionInvalid(f"{path}, line {line}: {name} is no number: {row[name]!r}") from None
        empty = [key for key in ("image", "patient", "study") if not row[key]]
        if empty:
            raise CollectionInvalid(f"{path}, line {line}: {empty[0]} is empty")
        if row["image"] in found:
            raise CollectionInvalid(f"{path}, line {line}: image {row['image']} stands in an earlier line too")
        found[row["image"]] = Case(**given)
    return tuple(found.values())


def _labels(path: Path) -> tuple[Labels, ...]:
    found = []
    for line, text in enumerate(_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            found.append(from_json(json.loads(text)))
        except json.JSONDecodeError as error:
            raise CollectionInvalid(f"{path}, line {line}: is no JSON: {error.msg}") from error
        except KeyError as error:
            raise CollectionInvalid(f"{path}, line {line}: {error.args[0]} is missing") from error
        except (TypeError, AttributeError, ValueError) as error:
            raise CollectionInvalid(f"{path}, line {line}: {error}") from error
    return tuple(found)


def _split(path: Path) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for line, row in _rows(path, _SPLIT_FIELDS):
        if row["part"] not in list(Part):
            raise CollectionInvalid(f"{path}, line {line}: part is {', '.join(Part)}, not {row['part']!r}")
        part = Part(row["part"])
        if found.setdefault(row["patient"], part) is not part:
            raise CollectionInvalid(f"{path}, line {line}: patient {row['patient']} is in two parts")
    return found


def _check(collection: Collection) -> None:
    """What one file alone does not show."""
    for case in collection.cases:
        if case.file and not (collection.root / case.file).is_file():
            raise CollectionInvalid(f"{collection.root / CASES}: {case.file} of image {case.image} is missing")
        if not case.file and not case.declined:
            raise CollectionInvalid(f"{collection.root / CASES}: image {case.image} has neither a file nor a reason why not")
    for number, labels in enumerate(collection.labels, start=1):
        if labels.image not in collection.by_image:
            raise CollectionInvalid(f"{collection.root / LABELS}, label {number}: there is no image {labels.image}")
