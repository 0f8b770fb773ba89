"""Studies of phantoms are real DICOM, and say what they are."""

import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

from domain.types import View
from inference.reading import read_radiograph
from phantoms.study import make_studies, make_study
from phantoms.views import render


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(3, directory=tmp_path_factory.mktemp("phantoms"), rows=300, columns=375)


def test_the_same_seed_writes_the_same_bytes(study, tmp_path):
    again = make_study(3, directory=tmp_path, rows=300, columns=375)
    assert [path.name for path in again] == ["01-lateral-right.dcm", "02-lateral-left.dcm", "03-ventrodorsal.dcm"]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in study]


def test_one_study_with_distinct_images_and_another_seed_is_another_study(study, tmp_path):
    others = make_study(4, directory=tmp_path, rows=300, columns=375)
    read = [pydicom.dcmread(path) for path in (*study, *others)]
    assert len({ds.StudyInstanceUID for ds in read}) == 2
    assert len({ds.SOPInstanceUID for ds in read}) == 6
    assert len({ds.PatientID for ds in read}) == 2


def test_an_animal_that_says_it_is_a_phantom(study):
    for path in study:
        ds = pydicom.dcmread(path)
        assert ds.PatientSpeciesCodeSequence[0].CodeValue == "448771007"
        assert ds.PatientBreedCodeSequence[0].CodingSchemeDesignator == "SCT"
        assert ds.PatientSexNeutered in ("ALTERED", "UNALTERED")
        assert ds.ResponsiblePersonRole == "OWNER"
        assert ds.AnatomicalOrientationType == "QUADRUPED"
        assert "phantom" in str(ds.PatientName).lower()


def test_views_are_coded_with_the_meanings_of_cid_7484(study):
    said = {code.CodeValue: code.CodeMeaning for ds in map(pydicom.dcmread, study) for code in ds.ViewCodeSequence}
    meant = {
        code.value: code.meaning
        for code in (codes.CID7484.LeftRightLateral, codes.CID7484.RightLeftLateral, codes.CID7484.VentroDorsal)
    }
    assert said == meant


def test_breeds_have_the_meanings_of_cid_7480():
    from phantoms.dx import BREEDS

    meant = {code.value: code.meaning for code in (getattr(codes.CID7480, name) for name in codes.CID7480.dir())}
    for breed in (breed for breeds in BREEDS.values() for breed in breeds):
        assert meant[breed.value] == breed.meaning


def test_the_window_gives_the_phantoms_grays_back(study):
    radiograph = read_radiograph(study[0], assumed_species=None)
    phantom = render(3, view="lateral-right", rows=300, columns=375, variety=0.35)
    assert np.abs(radiograph.pixels - phantom.pixels).max() < 1e-3
    assert radiograph.view is View.RIGHT_LATERAL
    assert radiograph.spacing_mm == pytest.approx((phantom.truth.spacing_mm,) * 2, rel=1e-4)


def test_truth_lies_beside_the_images(study):
    truth = json.loads((study[0].parent / "truth.json").read_text())
    assert truth["seed"] == 3
    assert [image["view"] for image in truth["images"]] == ["lateral-right", "lateral-left", "ventrodorsal"]
    right, left, below = truth["images"]
    assert 7.5 <= right["vhs"] == left["vhs"] <= 13.0
    assert below["vhs"] is None
    assert not below["measurable"]
    assert len(right["vertebral_edges"]) == 9


def test_studies_have_a_folder_each(tmp_path):
    paths = make_studies(2, seed=8, directory=tmp_path, rows=128, columns=160)
    assert {path.parent.name for path in paths} == {"study-000008", "study-000009"}


@pytest.mark.parametrize("index", [0, 1, 2])
def test_dciodvfy_finds_no_error(study, index):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    said = subprocess.run(["dciodvfy", str(study[index])], capture_output=True, text=True, check=False)
    lines = (said.stdout + said.stderr).splitlines()
    assert "DXImageForPresentation" in lines
    assert [line for line in lines if line.startswith("Error")] == []
