"""`phantom make` by region, view, species and part; what is not taken is refused in one sentence."""

import json

import pytest
from typer.testing import CliRunner

from cli.phantom import app


def make(out, *options):
    return CliRunner().invoke(app, ["--out", str(out), "--rows", "80", "--columns", "96", *options])


def test_a_region_of_a_cat_in_the_views_asked_for(tmp_path):
    said = make(tmp_path, "--region", "pelvis", "--species", "cat", "--view", "ventrodorsal", "--count", "2", "--seed", "4")
    assert said.exit_code == 0
    assert "2 images of 2 studies" in said.output
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.dcm")) == [
        "study-000004/01-pelvis-ventrodorsal.dcm",
        "study-000005/01-pelvis-ventrodorsal.dcm",
    ]
    assert json.loads((tmp_path / "study-000004" / "truth.json").read_text())["species"] == "cat"


def test_a_part_is_a_limb_in_all_its_views(tmp_path):
    assert make(tmp_path, "--part", "carpus").exit_code == 0
    assert sorted(path.name for path in tmp_path.rglob("*.dcm")) == [
        "01-carpus-mediolateral.dcm",
        "02-carpus-craniocaudal.dcm",
    ]


def test_a_species_alone_is_its_thorax(tmp_path):
    assert make(tmp_path, "--species", "cat").exit_code == 0
    assert len(list(tmp_path.rglob("*-thorax-*.dcm"))) == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--region", "pelvis", "--view", "craniocaudal"), "no phantom shows pelvis craniocaudal"),
        (("--region", "spine"), "no phantom shows spine"),
        (("--species", "other"), "dogs or cats"),
        (("--part", "wing"), "there is no part wing"),
        (("--region", "thorax", "--part", "elbow"), "only a limb has parts"),
    ],
)
def test_what_is_not_taken_is_refused(tmp_path, options, said):
    result = make(tmp_path, *options)
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())
    assert not list(tmp_path.rglob("*.dcm"))
