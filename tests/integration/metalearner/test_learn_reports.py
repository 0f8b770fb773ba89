"""Our own Structured Reports come back as labels: what was found, where, what was measured, and by whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from answers import EVERY, MODEL, evidence, report
from factories import dx_file
from pydicom import dcmread

from domain.codes import FINDINGS
from domain.identity import Identity
from domain.types import Language, SrGeometry, Style
from metalearner.collecting import files_below, gather, opened
from metalearner.labels.reports import PERSON, labels_of, read_reports
from sr_writer import write_report

NODULE = next(term.code.value for term in FINDINGS if term.english == "Pulmonary nodule")
MODEL_SAID = f"{MODEL.name} {MODEL.version}"


def sr(folder: Path, *, by_person: str = "", geometry: SrGeometry = SrGeometry.MEASURED) -> Path:
    """The report of one image with every kind of answer. by_person: the tracking of the one that a person gave."""
    of = report([evidence(dx_file(folder / "image.dcm"), "findings")])
    of = replace(of, findings=tuple(replace(one, by_person=one.tracking == by_person) for one in of.findings))
    style = Style(language=Language.ENGLISH, sr_geometry=geometry)
    return write_report(of, identity=Identity(), style=style, directory=folder / "sr").path


@pytest.mark.parametrize("geometry", list(SrGeometry))
def test_what_a_report_says(tmp_path: Path, geometry: SrGeometry) -> None:
    ((image, said),) = labels_of(dcmread(sr(tmp_path, geometry=geometry)))
    assert image == dcmread(tmp_path / "image.dcm").SOPInstanceUID
    assert said.source == MODEL_SAID
    assert said.classes == {
        "36118008": 0.0,  # pneumothorax; what is uncertain or not assessable is unknown
        "CARDIOMEGALY": 1.0,
        "ALVEOLAR": 1.0,
        NODULE: 1.0,
        "PATLUXATION": 1.0,
        "BRONCHIAL": 1.0,
    }
    assert said.grades == {"CARDIOMEGALY": 2}
    heart = next(mask for mask in said.masks if mask.concept == "CARDIOMEGALY")
    assert heart.polygons[0] == ((60, 48), (90, 48), (97.5, 72), (90, 96), (67.5, 96), (57, 72))
    box = next(box for box in said.boxes if box.concept == "ALVEOLAR")
    assert (box.left, box.top, box.right, box.bottom) == (15, 72, 45, 96)


def test_a_vertebral_heart_score(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "image.dcm")
    of = report([evidence(path, EVERY[0])])
    document = write_report(of, identity=Identity(), style=Style(language=Language.ENGLISH), directory=tmp_path / "sr")
    measured = {name: value for _, said in labels_of(dcmread(document.path)) for name, value in said.measures.items()}
    assert measured["VHS"] == pytest.approx(10.8, abs=0.05)


def test_a_persons_answer_is_told_from_the_models(tmp_path: Path) -> None:
    said = {labels.source: labels for _, labels in labels_of(dcmread(sr(tmp_path, by_person="Cardiomegaly")))}
    assert set(said) == {MODEL_SAID, PERSON}
    assert said[PERSON].classes == {"CARDIOMEGALY": 1.0}
    assert "CARDIOMEGALY" not in said[MODEL_SAID].classes


def test_reports_among_the_images_are_labels_where_one_asks(tmp_path: Path) -> None:
    report_path = sr(tmp_path / "in")
    empty = opened(tmp_path / "out", name="test", made_at="now")
    silent = gather(empty, files_below(tmp_path / "in"), origins=["a folder"])
    assert silent.counts == {"added": 1, "reports": 1}
    assert silent.collection.labels == ()
    asked = gather(empty, files_below(tmp_path / "in"), origins=["a folder"], reports_are_labels=True)
    (labels,) = asked.collection.labels
    assert labels.image == asked.collection.cases[0].image
    assert labels.classes["CARDIOMEGALY"] == 1.0
    assert [one.labels.classes for one in read_reports([report_path, tmp_path / "in" / "image.dcm"])] == [labels.classes]
