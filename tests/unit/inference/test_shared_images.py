"""What comes out of the shared test files, against what a person wrote down beforehand; see shared_images.toml."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images import table
from typer.testing import CliRunner

from cli.main import app
from domain.errors import ImageUnreadable
from inference.reading import NotAnImage, read_radiograph

DATA = Path(__file__).parents[4] / "shared" / "data"
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "shared_images.toml").read_text(encoding="utf-8")
)
PATCH_SHARE = 1 / 50

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared test images are not here")


def test_every_file_is_expected() -> None:
    assert {path.name for path in DATA.glob("*.dcm")} == set(EXPECTED)
    assert all(expected["why"] for expected in EXPECTED.values())


@pytest.mark.parametrize("name", [name for name, expected in EXPECTED.items() if expected["shows"]])
def test_what_a_person_sees(name: str) -> None:
    expected = EXPECTED[name]
    found = read_radiograph(DATA / name, assumed_species=None)
    assert (found.rows, found.columns) == (expected["rows"], expected["columns"])
    assert np.isfinite(found.pixels).all()
    assert 0 <= found.pixels.min() <= found.pixels.max() <= 1
    if "dark" in expected:
        assert gray(found.pixels, expected["dark"]) + 0.2 < gray(found.pixels, expected["bright"])
    assert (found.view.value if found.view else None) == expected.get("claims")
    assert (found.patient.species.value if found.patient.species else None) == expected.get("species")
    assert (found.spacing_source.value if found.spacing_mm else "none") == expected["spacing"]
    assert found.decoder
    if name.startswith(("bad08", "bad09", "bad17")):
        assert found.burned_in


@pytest.mark.parametrize("name", [name for name, expected in EXPECTED.items() if not expected["shows"]])
def test_what_is_refused_and_why(name: str) -> None:
    with pytest.raises((ImageUnreadable, NotAnImage)) as refused:
        read_radiograph(DATA / name, assumed_species=None)
    fault = refused.value.fault if isinstance(refused.value, ImageUnreadable) else "not_an_image"
    assert fault == EXPECTED[name]["fault"]


def test_the_command_line_s_answers_agree() -> None:
    """Every file gets an answer, and a refused one its sentence. No view is said that a person does not see."""
    run = CliRunner().invoke(app, ["analyse", "--json", *map(str, sorted(DATA.glob("*.dcm")))])
    assert run.exit_code == 0, run.output
    answer = json.loads(run.stdout)
    images = {Path(image["path"]).name: image for study in answer["studies"] for image in study["images"]}
    rejected = {Path(one["path"]).name: one["reason"] for one in answer["rejected"]}
    assert set(images) | set(rejected) == set(EXPECTED)
    assert {name for name in EXPECTED if EXPECTED[name]["shows"]} == set(images)
    assert all(reason and "\n" not in reason for reason in rejected.values())
    assert all(image["reason"] for image in images.values() if image["outcome"] != "ANALYSED")
    nothing_to_see = {image["sop_instance_uid"] for name, image in images.items() if "region" not in EXPECTED[name]}
    findings = [finding for study in answer["studies"] for report in study["reports"] for finding in report["findings"]]
    said = {finding["outcome"] for finding in findings if finding["sop_instance_uid"] in nothing_to_see}
    assert said <= {"NOT_ASSESSABLE"}
    for name, image in images.items():
        if image["view_source"] == "pixels" and "view" in EXPECTED[name]:
            assert ("lateral" in image["view"]) == (EXPECTED[name]["view"] == "lateral"), name


def gray(pixels: np.ndarray[Any, np.dtype[np.float32]], point: list[float]) -> float:
    """The mean of a patch around a point given as shares of height and width."""
    rows, columns = pixels.shape
    row, column = int(point[0] * rows), int(point[1] * columns)
    high, wide = max(1, int(rows * PATCH_SHARE)), max(1, int(columns * PATCH_SHARE))
    return float(pixels[max(0, row - high) : row + high + 1, max(0, column - wide) : column + wide + 1].mean())


def test_the_documented_table_is_true() -> None:
    written = (Path(__file__).parents[3] / "docs" / "images.md").read_text(encoding="utf-8")
    assert written == table(DATA), "make images writes it anew"
