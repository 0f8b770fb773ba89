"""Triage: the header is a prior, the pixels decide; what follows sees the image upright, and answers in its own pixels."""

from __future__ import annotations

import operator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_factory import constant_package

from domain.errors import ModelInvalid
from domain.types import (
    ImageAnswer,
    InstanceRef,
    Orientation,
    Outcome,
    QualityIssue,
    Radiograph,
    Region,
    Source,
    SpacingSource,
    View,
)
from inference.engine import Engine
from inference.package import ModelPackage, load_package
from inference.triage import _decide

TRIAGE = """[[head]]
kind = "triage"
activation = "none"
header_weight = 4.0
[head.region]
output = "region"
values = ["thorax", "abdomen", "pelvis"]
least_probability = 0.8
[head.view]
output = "view"
values = ["lateral", "ventrodorsal"]
least_probability = 0.8
[head.orientation]
output = "orientation"
values = ["0", "90", "180", "270", "mirrored-0", "mirrored-90", "mirrored-180", "mirrored-270"]
least_probability = 0.9
[head.quality]
output = "quality"
activation = "none"
[[head.quality.issue]]
issue = "cropped"
absent_below = 0.3
present_from = 0.7
[[head.quality.issue]]
issue = "rotated-body"
absent_below = 0.3
present_from = 0.7
"""
UPRIGHT = (1.0, *(0.0,) * 7)
TURNS = [Orientation(quarter_turns=n, mirrored=mirrored) for mirrored in (False, True) for n in range(4)]
BOX = """[[head]]
kind = "boxes"
boxes = "boxes"
scores = "scores"
form = "corners"
activation = "none"
[[head.class]]
concept = { value = "FRACTURE", scheme = "99HNDSFLD", meaning = "Fracture" }
operating_points = { absent_below = 0.2, present_from = 0.6 }
"""


def triage(
    directory: Path,
    *,
    region: Any = (1.0, 0.0, 0.0),
    view: Any = (1.0, 0.0),
    orientation: Any = UPRIGHT,
    quality: Any = (0.1, 0.9),
) -> ModelPackage:
    outputs = {"region": region, "view": view, "orientation": orientation, "quality": quality}
    arrays = {name: np.array(value, dtype=np.float32) for name, value in outputs.items()}
    return load_package(constant_package(directory, arrays, TRIAGE, name=directory.name))


def fractures(directory: Path, applicability: str = "") -> ModelPackage:
    outputs = {
        "boxes": np.array([(0, 0, 20, 10)], dtype=np.float32),
        "scores": np.array([[0.9]], dtype=np.float32),
    }
    return load_package(constant_package(directory, outputs, BOX, name="fractures", applicability=applicability))


def image(rows: int = 256, columns: int = 320, **facts: Any) -> Radiograph:
    return Radiograph(
        ref=InstanceRef(sop_class_uid="1", sop_instance_uid="2"),
        pixels=np.zeros((rows, columns), dtype=np.float32),
        spacing_mm=None,
        spacing_source=SpacingSource.UNKNOWN,
        **facts,
    )


def answer(packages: list[ModelPackage], radiograph: Radiograph) -> ImageAnswer:
    return Engine(packages, threads=1).analyse(radiograph)


@pytest.mark.parametrize(
    ("claimed", "chances", "expected"),
    [
        (None, (0.1, 0.85, 0.05), (Region.ABDOMEN, Source.PIXELS)),
        (None, (0.3, 0.6, 0.1), (None, Source.UNKNOWN)),
        (Region.THORAX, (0.3, 0.6, 0.1), (Region.THORAX, Source.HEADER)),
        (Region.THORAX, (0.55, 0.4, 0.05), (Region.THORAX, Source.HEADER)),
        (Region.THORAX, (0.01, 0.98, 0.01), (Region.ABDOMEN, Source.PIXELS)),  # the pixels decide
        (Region.LIMB, (0.05, 0.9, 0.05), (Region.LIMB, Source.HEADER)),  # it has no word for a limb
    ],
)
def test_the_header_is_a_prior_and_the_pixels_decide(
    tmp_path: Path, claimed: Region | None, chances: tuple[float, ...], expected: tuple[Region | None, Source]
) -> None:
    found = answer([triage(tmp_path / "triage", region=chances)], image(region=claimed))
    assert (found.region, found.region_source) == expected


def test_a_lateral_keeps_the_side_that_the_header_knows(tmp_path: Path) -> None:
    package = triage(tmp_path / "triage")
    known = answer([package], image(view=View.RIGHT_LATERAL))
    assert (known.view, known.view_source) == (View.RIGHT_LATERAL, Source.HEADER)
    wrong = answer([package], image(view=View.VENTRODORSAL))
    assert (wrong.view, wrong.view_source) == (View.LATERAL, Source.PIXELS)


def test_what_triage_sees_decides_which_models_are_valid(tmp_path: Path) -> None:
    pelvis = 'regions = ["pelvis"]'
    found = answer(
        [triage(tmp_path / "triage", region=(0, 0, 1)), fractures(tmp_path / "fractures", pelvis)],
        image(region=Region.THORAX),
    )
    assert found.outcome is Outcome.ANALYSED
    other = answer([triage(tmp_path / "other"), fractures(tmp_path / "again", pelvis)], image(region=Region.PELVIS))
    assert (other.outcome, other.reason and other.reason.code) == (Outcome.DECLINED, "no_model_for_region")


def test_who_looked_first_and_the_quality_are_in_the_answer(tmp_path: Path) -> None:
    package = triage(tmp_path / "triage", quality=(0.5, 0.9))
    found = answer([package], image())
    assert found.triage == package.identity
    assert [(one.issue, one.outcome.value, one.probability) for one in found.quality] == [
        (QualityIssue.CROPPED, "UNCERTAIN", 0.5),
        (QualityIssue.ROTATED_BODY, "PRESENT", pytest.approx(0.9)),
    ]
    without = answer([], image())
    assert (without.triage, without.quality, without.orientation) == (None, (), None)


@pytest.mark.parametrize("number", range(8))
def test_a_box_of_the_upright_image_lies_where_the_image_came_turned(tmp_path: Path, number: int) -> None:
    """The box at the upright image's top left corner, a quarter of its width and a sixth of its height."""
    chances = tuple(float(n == number) for n in range(8))
    turned = TURNS[number]
    rows, columns = (256, 320) if turned.quarter_turns % 2 == 0 else (320, 256)  # upright it fills the input
    found = answer([triage(tmp_path / "triage", orientation=chances), fractures(tmp_path / "b")], image(rows, columns))
    assert found.orientation == turned
    (finding,) = found.models[0].findings
    upright = np.zeros((256, 320))
    upright[:40, :80] = 1
    came = np.rot90(upright, turned.quarter_turns)  # back: counter-clockwise, then mirrored
    came = came[:, ::-1] if turned.mirrored else came
    row, column = np.nonzero(came)
    points = np.array(finding.regions[0].points)
    assert points.min(axis=0) == pytest.approx([column.min(), row.min()], abs=0.5)
    assert points.max(axis=0) == pytest.approx([column.max() + 1, row.max() + 1], abs=0.5)


def test_an_unsure_orientation_turns_nothing(tmp_path: Path) -> None:
    package = triage(tmp_path / "triage", orientation=(0.2, 0.8, 0, 0, 0, 0, 0, 0))
    assert answer([package], image()).orientation is None


def test_a_broken_triage_is_said_and_the_header_stands_alone(tmp_path: Path) -> None:
    package = triage(tmp_path / "triage", region=(1.7, 0.0, 0.0))
    found = answer([package, fractures(tmp_path / "b")], image(region=Region.THORAX))
    assert [(one.model.name, one.outcome) for one in found.models] == [
        ("triage", Outcome.FAILED),
        ("fractures", Outcome.ANALYSED),
    ]
    assert (found.region, found.triage) == (Region.THORAX, None)


def test_a_triage_model_is_no_shadow(tmp_path: Path) -> None:
    """Its answers are not compared: it would vanish, and nobody would be told."""
    with pytest.raises(ModelInvalid, match="model one is for triage, whose answers are not compared: it cannot be a shadow"):
        Engine([replace(triage(tmp_path / "one"), shadow=True)], threads=1)


def test_two_triage_models_are_refused(tmp_path: Path) -> None:
    packages = [triage(tmp_path / "one"), triage(tmp_path / "two")]
    with pytest.raises(ModelInvalid, match="two triage models are installed, one and two"):
        Engine(packages, threads=1)


@given(st.lists(st.floats(0.001, 1), min_size=3, max_size=3), st.sampled_from([None, *Region]))
def test_a_claim_never_loses_by_being_made(chances: list[float], claimed: Region | None) -> None:
    known = (Region.THORAX, Region.ABDOMEN, Region.PELVIS)
    share = np.array(chances) / sum(chances)

    def decided(claim: Region | None) -> Region | None:
        return _decide(known, share, claimed=claim, same=operator.is_, weight=4.0, least=0.8)[0]

    if decided(None) is claimed is not None:
        assert decided(claimed) is claimed
