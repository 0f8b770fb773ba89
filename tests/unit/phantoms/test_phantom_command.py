"""`phantom make` by region, view, species and part; what is not taken is refused in one sentence."""

import json

import pydicom
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


def test_a_finding_stands_in_the_truth_with_its_box_and_polygons(tmp_path):
    said = make(tmp_path, "--view", "right-lateral", "--finding", "CARDIOMEGALY:3", "--finding", "TRACHNARROW:2")
    assert said.exit_code == 0, said.output
    (image,) = json.loads((tmp_path / "study-000000" / "truth.json").read_text())["images"]
    found = {one["concept"]: one for one in [*image["findings"], *image["not_shown"]]}
    assert {concept: one["grade"] for concept, one in found.items()} == {"CARDIOMEGALY": 3, "TRACHNARROW": 2}
    left, top, right, bottom = found["CARDIOMEGALY"]["box"]
    columns, rows = zip(*found["CARDIOMEGALY"]["polygons"][0], strict=True)
    assert (left, top, right, bottom) == (min(columns), min(rows), max(columns), max(rows))
    assert image["measures"]["VHS"] > 12


def test_drawn_findings_differ_between_animals_and_are_other_images_than_those_without(tmp_path):
    assert (
        make(tmp_path / "with", "--region", "pelvis", "--view", "ventrodorsal", "--count", "6", "--findings").exit_code == 0
    )
    truths = [json.loads(path.read_text())["images"][0] for path in sorted((tmp_path / "with").rglob("truth.json"))]
    assert len({tuple(one["concept"] for one in truth["findings"]) for truth in truths}) > 1
    assert any("NORBERG_LEFT" in truth["measures"] for truth in truths)
    assert make(tmp_path / "plain", "--region", "pelvis", "--view", "ventrodorsal").exit_code == 0
    (plain,) = json.loads((tmp_path / "plain" / "study-000000" / "truth.json").read_text())["images"]
    assert "findings" not in plain
    name = "study-000000/01-pelvis-ventrodorsal.dcm"
    uids = [pydicom.dcmread(tmp_path / which / name).SOPInstanceUID for which in ("with", "plain")]
    assert uids[0] != uids[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--region", "pelvis", "--view", "craniocaudal"), "no phantom shows pelvis craniocaudal"),
        (("--region", "spine"), "no phantom shows spine"),
        (("--species", "other"), "dogs or cats"),
        (("--part", "wing"), "there is no part wing"),
        (("--region", "thorax", "--part", "elbow"), "only a limb has parts"),
        (("--region", "abdomen", "--findings"), "no findings are drawn in abdomen"),
        (("--finding", "FRACTURE:2"), "FRACTURE:2 is no finding that is drawn there"),
        (("--finding", "ALVEOLAR:4"), "then :1, :2 or :3"),
        (("--findings", "--finding", "ALVEOLAR:1"), "either --findings or --finding"),
    ],
)
def test_what_is_not_taken_is_refused(tmp_path, options, said):
    result = make(tmp_path, *options)
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())
    assert not list(tmp_path.rglob("*.dcm"))
