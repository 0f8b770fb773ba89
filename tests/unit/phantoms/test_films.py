"""Studies of every region as DICOM: what the header says is what was drawn."""

import json
import shutil
import subprocess

import pydicom
import pytest
from pydicom.sr.codedict import codes

from domain.types import Region, Species, View
from inference.reading import read_radiograph
from phantoms.dx import CAT_BREED, CRANIOCAUDAL, PARTS
from phantoms.study import make_films

SIZE = {"rows": 96, "columns": 120}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A cat's pelvis and a dog's elbow."""
    where = tmp_path_factory.mktemp("films")
    pelvis = make_films(9, directory=where / "pelvis", region=Region.PELVIS, species=Species.CAT, **SIZE)
    elbow = make_films(9, directory=where / "elbow", region=Region.LIMB, species=Species.DOG, part="elbow", **SIZE)
    return [*pelvis, *elbow]


def test_the_same_seed_writes_the_same_bytes(films, tmp_path):
    again = make_films(9, directory=tmp_path, region=Region.PELVIS, species=Species.CAT, **SIZE)
    assert [path.name for path in again] == [path.name for path in films[:3]]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in films[:3]]


def test_the_reader_finds_region_view_and_species(films):
    read = [read_radiograph(path, assumed_species=None) for path in films]
    assert [(one.region, one.view, one.patient.species) for one in read] == [
        (Region.PELVIS, View.VENTRODORSAL, Species.CAT),
        (Region.PELVIS, View.RIGHT_LATERAL, Species.CAT),
        (Region.PELVIS, View.LEFT_LATERAL, Species.CAT),
        (Region.LIMB, View.MEDIOLATERAL, Species.DOG),
        (Region.LIMB, View.CRANIOCAUDAL, Species.DOG),
    ]


def test_a_dog_and_a_cat_of_one_seed_are_two_patients(films):
    read = [pydicom.dcmread(path) for path in films]
    assert len({ds.PatientID for ds in read}) == 2
    assert len({ds.StudyInstanceUID for ds in read}) == 2
    assert len({ds.SOPInstanceUID for ds in read}) == len(films)


def test_truth_lies_beside_the_films(films):
    truth = json.loads((films[0].parent / "truth.json").read_text())
    assert truth["species"] == "cat"
    assert [image["file"] for image in truth["images"]] == [path.name for path in films[:3]]
    first = truth["images"][0]
    assert first["region"] == "pelvis"
    assert len(first["landmarks"]["femoral-heads"]) == 2


def test_codes_have_the_meanings_of_their_groups():
    regions = {code.value: code.meaning for code in (getattr(codes.CID7483, name) for name in codes.CID7483.dir())}
    for code in PARTS.values():
        assert regions[code.value] == code.meaning
    breeds = {code.value: code.meaning for code in (getattr(codes.CID7480, name) for name in codes.CID7480.dir())}
    assert breeds[CAT_BREED.value] == CAT_BREED.meaning
    assert codes.CID4010.CranioCaudal.meaning == CRANIOCAUDAL.meaning
    assert codes.CID4010.CranioCaudal.value == CRANIOCAUDAL.value


@pytest.mark.parametrize("index", [0, 1, 3, 4])
def test_dciodvfy_finds_no_error(films, index):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    said = subprocess.run(["dciodvfy", str(films[index])], capture_output=True, text=True, check=False)
    lines = (said.stdout + said.stderr).splitlines()
    assert "DXImageForPresentation" in lines
    assert [line for line in lines if line.startswith("Error")] == []
