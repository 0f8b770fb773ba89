"""A check that could not fail is a fault itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_factory import FIXED_VHS, constant_package, heart_package

from inference.checking import check_package

HEAD = """[[head]]
kind = "classification"
output = "findings"
activation = "none"
[[head.class]]
concept = { value = "CARDIOMEGALY", scheme = "99HNDSFLD", meaning = "Cardiomegaly" }
operating_points = { absent_below = 0.2, present_from = 0.6 }
"""


def fault(directory: Path, answer: float, **expected: float) -> str | None:
    outputs = {"findings": np.array([answer], dtype=np.float32)}
    return check_package(constant_package(directory, outputs, HEAD, expected={"classification": expected}))[-1].fault


def test_a_head_of_which_no_number_is_expected_is_not_checked(tmp_path: Path) -> None:
    said = "expected.json says no number for head classification: nothing would be checked"
    assert fault(tmp_path / "a", 0.5, tolerance=0.02) == said


@pytest.mark.parametrize("tolerance", [0.06, 1.0, 99.0])
def test_a_tolerance_that_lets_everything_pass_is_a_fault(tmp_path: Path, tolerance: float) -> None:
    said = f"expected.json has a tolerance of {tolerance:g} for head classification; at most 0.05 checks anything"
    assert fault(tmp_path / "a", 0.5, CARDIOMEGALY=0.5, tolerance=tolerance) == said


def test_a_heart_score_has_a_wider_one_in_its_own_unit(tmp_path: Path) -> None:
    package = heart_package(tmp_path / "heart")
    for tolerance, sound in ((0.15, True), (0.5, True), (1.0, False), (99.0, False)):
        (package / "expected.json").write_text(
            f'{{"vertebral-heart-score": {{"vhs": {FIXED_VHS}, "tolerance": {tolerance}}}}}'
        )
        assert (check_package(package)[-1].fault is None) is sound


@pytest.mark.parametrize(
    ("answer", "value", "sound"),
    [
        (0.017, 0.017, True),
        (0.0, 0.017, False),
        (0.03, 0.017, False),
        (0.004, 0.0, True),
        (0.93, 0.94, True),
        (0.9, 0.94, False),
    ],
)
def test_a_small_number_is_checked_as_well_as_a_large_one(tmp_path: Path, answer: float, value: float, sound: bool) -> None:
    assert (fault(tmp_path / "a", answer, CARDIOMEGALY=value, tolerance=0.02) is None) is sound


def test_an_answer_that_cannot_be_read_is_said_in_its_own_words(tmp_path: Path) -> None:
    said = "the model's answer cannot be read: an output that should hold probabilities does not"
    assert fault(tmp_path / "a", 3.0, CARDIOMEGALY=0.9, tolerance=0.02) == said


CLASSES = 'activation = "none"\n[[head.class]]\n[[head.class]]\n'
SILENT = {
    "classification": ({"findings": np.zeros(2)}, f'output = "findings"\n{CLASSES}'),
    "boxes": (
        {"boxes": np.zeros((1, 4)), "scores": np.zeros((1, 2))},
        f'boxes = "boxes"\nscores = "scores"\nform = "corners"\n{CLASSES}',
    ),
    "masks": ({"masks": np.zeros((2, 8, 8))}, f'output = "masks"\n{CLASSES}'),
}


@pytest.mark.parametrize("kind", SILENT)
def test_a_head_that_would_say_nothing_of_any_image_does_not_load(tmp_path: Path, kind: str) -> None:
    """An image would be analysed without a finding, which reads as normal."""
    outputs, head = SILENT[kind]
    arrays = {name: value.astype(np.float32) for name, value in outputs.items()}
    (only,) = check_package(constant_package(tmp_path / "silent", arrays, f'[[head]]\nkind = "{kind}"\n{head}'))
    assert only.name == "manifest"
    assert only.fault is not None
    assert "no class has a concept: nothing would be said of any image" in only.fault


def test_nor_does_a_triage_without_a_question(tmp_path: Path) -> None:
    head = '[[head]]\nkind = "triage"\nactivation = "none"\n'
    (only,) = check_package(constant_package(tmp_path / "silent", {"region": np.zeros(2, dtype=np.float32)}, head))
    assert only.fault is not None
    assert "at least one of region, view, orientation and quality" in only.fault
