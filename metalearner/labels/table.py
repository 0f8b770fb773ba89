"""Labels from a CSV file, as a spreadsheet writes it: comma, semicolon or tab, UTF-8.

Which image, in both forms: `image` (a file's name or a SOP Instance UID), or `study` (a Study Instance UID) and `view`.
`reader` is optional.

wide   one row per image; every other column is a concept (1, 0, yes, no, present, absent, empty for unknown), or
       `measure:VHS`, `grade:CARDIOMEGALY`, `point:apex` (column and row, with a space between)
long   one row per label: `concept`, `value`, and `kind` (class, measure, grade, point, box; class where it is empty);
       a point has `column` and `row`, a box `left`, `top`, `right` and `bottom`
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from metalearner.labelling import Box, Labels, finite
from metalearner.labels.said import LabelsInvalid, Said, concept_of

_NAMING = ("image", "study", "view", "reader")
_YES = frozenset(("1", "1.0", "yes", "y", "true", "present", "positive", "있음", "o"))
_NO = frozenset(("0", "0.0", "no", "n", "false", "absent", "negative", "없음", "x"))
_UNKNOWN = frozenset(("", "?", "unknown", "uncertain", "na", "n/a", "nan", "-1", "-1.0", "불확실"))


def read_table(path: Path) -> list[Said]:
    """LabelsInvalid names the line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise LabelsInvalid(f"{path.name}: is not UTF-8 text; save it as CSV UTF-8") from None
    try:
        dialect: type[csv.Dialect] | str = csv.Sniffer().sniff(text.split("\n", 1)[0], delimiters=",;\t")
    except csv.Error:
        dialect = "excel"
    reader = csv.DictReader(io.StringIO(text, newline=""), dialect=dialect)
    columns = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    if "image" not in columns and not {"study", "view"} <= set(columns):
        raise LabelsInvalid(f"{path.name}, line 1: names no images; it needs a column image, or study and view")
    row_of = _long if "concept" in columns else _wide
    found = []
    for row in reader:
        if None in row:
            raise LabelsInvalid(f"{path.name}, line {reader.line_num}: has more cells than there are columns")
        cells = {name: (value or "").strip() for name, value in row.items()}
        if not any(cells.values()):
            continue
        found.append(_said(cells, row_of, path.name, reader.line_num))
    return found


def _said(cells: Mapping[str, str], row_of: Callable[[Mapping[str, str]], Labels], file: str, line: int) -> Said:
    try:
        labels = row_of(cells)
    except ValueError as error:
        raise LabelsInvalid(f"{file}, line {line}: {error}") from None
    return Said(
        labels=labels,
        place=f"line {line}",
        image=cells.get("image", ""),
        study=cells.get("study", ""),
        view=cells.get("view", ""),
    )


def _wide(cells: Mapping[str, str]) -> Labels:
    classes: dict[str, float] = {}
    points, grades, measures = dict[str, tuple[float, float]](), dict[str, int](), dict[str, float]()
    for column, cell in cells.items():
        kind, _, name = column.partition(":")
        if column in _NAMING or (name and not cell):
            continue
        if kind == "measure" and name:
            measures[name] = _number(cell, column)
        elif kind == "grade" and name:
            grades[concept_of(name)] = int(_number(cell, column))
        elif kind == "point" and name:
            points[name] = _pair(cell, column)
        else:
            _answer(classes, column, cell)
    return Labels(
        image="", source="", reader=cells.get("reader", ""), classes=classes, points=points, grades=grades, measures=measures
    )


def _long(cells: Mapping[str, str]) -> Labels:
    concept, value, kind = concept_of(cells["concept"]), cells.get("value", ""), cells.get("kind", "") or "class"
    said = Labels(image="", source="", reader=cells.get("reader", ""))
    if kind == "class":
        classes: dict[str, float] = {}
        _answer(classes, cells["concept"], value)
        return replace(said, classes=classes)
    if kind == "measure":
        return replace(said, measures={cells["concept"]: _number(value, "value")})
    if kind == "grade":
        return replace(said, grades={concept: int(_number(value, "value"))})
    if kind == "point":
        return replace(said, points={cells["concept"]: (_of(cells, "column"), _of(cells, "row"))})
    if kind == "box":
        left, top, right, bottom = (_of(cells, edge) for edge in ("left", "top", "right", "bottom"))
        box = Box(concept=concept, left=left, top=top, right=right, bottom=bottom)
        return replace(said, classes={concept: 1.0}, boxes=(box,))
    raise ValueError(f"kind is class, measure, grade, point or box, not {kind!r}")


def _answer(classes: dict[str, float], column: str, cell: str) -> None:
    said = cell.casefold()
    if said in _YES or said in _NO:
        classes[concept_of(column)] = float(said in _YES)
    elif said not in _UNKNOWN:
        raise ValueError(f"{column} takes 1, 0, or nothing where it is unknown")


def _of(cells: Mapping[str, str], column: str) -> float:
    return _number(cells.get(column, ""), column)


def _number(cell: str, column: str) -> float:
    try:
        return finite(cell.replace(",", "."))
    except ValueError:
        raise ValueError(f"{column} takes a number") from None


def _pair(cell: str, column: str) -> tuple[float, float]:
    parts = cell.split()
    if len(parts) != 2:
        raise ValueError(f"{column} takes a column and a row, with a space between")
    return _number(parts[0], column), _number(parts[1], column)
