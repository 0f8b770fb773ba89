"""A file or folder of labels, whatever its format is."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from metalearner.labels.coco import read_coco
from metalearner.labels.cvat import read_cvat
from metalearner.labels.reports import read_reports
from metalearner.labels.said import LabelsInvalid, Said
from metalearner.labels.table import read_table
from metalearner.labels.truth import read_truth
from phantoms.study import TRUTH_FILE


def read_labels(path: Path, *, unmarked_is_absent: bool = False) -> list[Said]:
    """LabelsInvalid names what cannot be read. unmarked_is_absent: for COCO and CVAT, see there."""
    if path.is_dir():
        if next(path.rglob(TRUTH_FILE), None) is not None:
            return read_truth(path)
        return read_reports(sorted(one for one in path.rglob("*") if one.is_file()))
    if not path.is_file():
        raise LabelsInvalid(f"{path}: there is no such file of labels")
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".txt"):
        return read_table(path)
    if suffix == ".xml" or zipfile.is_zipfile(path):
        return read_cvat(path, unmarked_is_absent=unmarked_is_absent)
    if suffix == ".json":
        return read_truth(path) if _is_truth(path) else read_coco(path, unmarked_is_absent=unmarked_is_absent)
    if suffix in (".dcm", ""):
        return read_reports([path])
    raise LabelsInvalid(f"{path.name}: labels are a .csv, a COCO .json, a CVAT .xml or .zip, or reports as .dcm")


def _is_truth(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        return False
    return isinstance(content, dict) and "annotations" not in content and "seed" in content
