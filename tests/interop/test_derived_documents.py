"""Presentation states, selections and owner's pages in front of judges that are not ours: dicom3tools, DCMTK, Poppler.

Every kind × outcome × character set is valid and fits its study; a presentation state shows the image as it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import ANALYSED_AT, EVERY, OUTCOMES, evidence, report
from factories import dx_file
from judges import differing, errors, run
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from domain.identity import Identity
from domain.types import Document, Language, Style
from inference.reading import read_radiograph
from sr_writer import (
    Rejection,
    read_header,
    write_owner_page,
    write_presentation_state,
    write_rejection,
    write_report,
    write_result_set,
)
from sr_writer.header import PATIENT

ROWS, COLUMNS = 300, 360
CHARSETS = (None, "ISO 2022 IR 149", "ISO_IR 192")
IODS = {"GrayscaleSoftcopyPresentationState", "KeyObjectSelectionDocument", "EncapsulatedPDF"}
PICTURE = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (200, 1))).convert("RGB")


def derived(path: Path, outcome: str, folder: Path, language: Language) -> dict[str, Document]:
    """All that is written beside overlay and report, by name; the report too, as the selections' content."""
    study = read_header(path).text("StudyInstanceUID")
    item = evidence(path, outcome)
    of = report([item], study_instance_uid=study)
    common: dict[str, Any] = {"identity": Identity(), "style": Style(language=language), "directory": folder}
    placed = common | {"study_instance_uid": study, "number": 1, "made_at": ANALYSED_AT}
    found = {
        "report": write_report(of, **common),
        "page": write_owner_page(of, **common, picture=PICTURE),
    }
    state = write_presentation_state(item, **placed)
    if state is not None:
        found["state"] = state
    found["set"] = write_result_set(list(found.values()), source=path, **placed)
    for why in Rejection:
        found[why.name] = write_rejection(list(found.values()), why=why, source=path, **placed)
    return found


@pytest.mark.parametrize("charset", CHARSETS, ids=["no-charset", "ir149", "utf8"])
@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("outcome", EVERY)
def test_derived_documents_are_valid_and_fit_their_study(
    tmp_path: Path, outcome: str, charset: str | None, language: Language
) -> None:
    path = dx_file(tmp_path / "source.dcm", rows=ROWS, columns=COLUMNS, charset=charset)
    found = derived(path, outcome, tmp_path, language)
    assert ("state" in found) is (outcome in ("measured", "findings"))
    for name, document in found.items():
        printed = run("dciodvfy", document.path)
        assert errors(printed) == [], name
        assert name == "report" or IODS.intersection(printed.splitlines()), printed
    assert differing(path, *(document.path for document in found.values())) == []


@pytest.mark.parametrize("charset", CHARSETS, ids=["no-charset", "ir149", "utf8"])
def test_every_kind_carries_the_animal_and_its_people(tmp_path: Path, charset: str | None) -> None:
    path = dx_file(tmp_path / "source.dcm", charset=charset)
    original = dcmread(path)
    for name, document in derived(path, "measured", tmp_path, Language.KOREAN).items():
        ds = dcmread(document.path)
        lost = [k for k in PATIENT if k in original and (k not in ds or ds[k].value != original[k].value)]
        assert (name, lost) == (name, [])


@pytest.mark.parametrize("part", ["ABDOMEN", "THORAX", "ELBOW", None])
@pytest.mark.parametrize("spacing", [["0.15", "0.15"], None])
def test_whatever_the_console_writes_they_are_valid(tmp_path: Path, part: str | None, spacing: list[str] | None) -> None:
    path = dx_file(tmp_path / "source.dcm", BodyPartExamined=part, ImagerPixelSpacing=spacing)
    for name, document in derived(path, "measured", tmp_path, Language.ENGLISH).items():
        assert errors(run("dciodvfy", document.path)) == [], name


def test_dcmtk_passes_the_presentation_state(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "source.dcm", rows=ROWS, columns=COLUMNS)
    printed = run("dcmpschk", derived(path, "measured", tmp_path, Language.ENGLISH)["state"].path)
    assert "Test passed" in printed
    assert "E:" not in printed


def table() -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [4096, 0, 12]
    item.LUTData = (np.sqrt(np.arange(4096) / 4095) * 4095).astype("<u2").tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    return item


LOOKS: dict[str, dict[str, Any]] = {
    "MONOCHROME2": {},
    "MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    "MONOCHROME1 that says IDENTITY": {"PhotometricInterpretation": "MONOCHROME1"},
    "two windows": {"WindowCenter": ["20000", "10"], "WindowWidth": ["10000", "10"]},
    "rescaled": {"bits": 12, "RescaleSlope": "2", "RescaleIntercept": "-100", "WindowCenter": "3000", "WindowWidth": "4000"},
    "VOI LUT": {"bits": 12, "VOILUTSequence": [table()]},
    "no window": {"bits": 12, "WindowCenter": None, "WindowWidth": None},
}


@pytest.mark.parametrize("look", LOOKS)
def test_with_the_presentation_state_the_image_looks_as_before(tmp_path: Path, look: str) -> None:
    """DCMTK's viewer engine with the state against our own reading without it; one gray level of 256 apart at most."""
    path = dx_file(tmp_path / "source.dcm", rows=ROWS, columns=COLUMNS, **LOOKS[look])
    state = derived(path, "measured", tmp_path, Language.ENGLISH)["state"]
    picture = tmp_path / "shown.pgm"
    assert "E:" not in run("dcmp2pgm", "-p", state.path, path, picture)
    theirs = np.asarray(Image.open(picture)).astype(np.float32) / 255
    ours = read_radiograph(path, assumed_species=None).pixels
    assert theirs.shape == ours.shape
    assert np.abs(theirs - ours).max() < 1.5 / 255


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_poppler_shows_the_page_as_it_was_drawn(tmp_path: Path, outcome: str) -> None:
    path = dx_file(tmp_path / "source.dcm", charset="ISO 2022 IR 149")
    ds = dcmread(derived(path, outcome, tmp_path, Language.KOREAN)["page"].path)
    content = tmp_path / "page.pdf"
    content.write_bytes(ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength])
    printed = run("pdfinfo", content)
    assert "Pages:           1\n" in printed
    assert "(A4)" in printed
    assert "Error" not in run("pdftoppm", "-r", "50", "-png", content, tmp_path / "page")
    page = np.asarray(Image.open(tmp_path / "page-1.png").convert("RGB")).astype(int)
    yellow = float((np.abs(page - (255, 224, 130)).max(axis=2) < 12).mean())
    green = float((np.abs(page - (0, 158, 115)).max(axis=2) < 12).mean())
    assert yellow > 0.01
    assert green < 0.004  # a demonstration has no verdict
