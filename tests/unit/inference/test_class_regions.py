"""A classification head that says where: the regions of its findings, from maps of the same network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_factory import constant_package

from domain.errors import ModelInvalid
from domain.types import Finding, InstanceRef, Radiograph, SpacingSource
from inference.engine import Engine
from inference.package import load_package

ROWS, COLUMNS = 64, 80  # of the input; the image is four times as large, the maps a quarter
HEAD = """[[head]]
kind = "classification"
output = "findings"
activation = "sigmoid"
regions = "maps"
least_area = 0.05
[[head.class]]
concept = { value = "CARDIOMEGALY", scheme = "99HNDSFLD", meaning = "Cardiomegaly" }
operating_points = { absent_below = 0.2, present_from = 0.6 }
[[head.class]]
concept = { value = "60046008", scheme = "SCT", meaning = "Pleural effusion" }
operating_points = { absent_below = 0.2, present_from = 0.6 }
"""


def findings(folder: Path, logits: list[float], maps: np.ndarray) -> list[Finding]:
    outputs = {"findings": np.array(logits, np.float32), "maps": maps.astype(np.float32)}
    package = load_package(constant_package(folder, outputs, HEAD))
    image = Radiograph(
        ref=InstanceRef(sop_class_uid="1", sop_instance_uid="2"),
        pixels=np.random.default_rng(5).random((4 * ROWS, 4 * COLUMNS), dtype=np.float32),
        spacing_mm=None,
        spacing_source=SpacingSource.UNKNOWN,
    )
    (answer,) = Engine([package], threads=1).analyse(image).models
    return list(answer.findings)


def test_findings_that_are_not_absent_carry_what_the_maps_show(tmp_path: Path) -> None:
    maps = np.full((2, ROWS // 4, COLUMNS // 4), -9.0)
    maps[0, 4:10, 5:15] = 9.0
    maps[1, 2:4, 2:4] = 9.0
    first, second = findings(tmp_path / "both", [0.5, 5.0], maps)
    assert [first.outcome.value, second.outcome.value] == ["PRESENT", "PRESENT"]
    (region,) = first.regions
    assert np.ptp(np.array(region.points), axis=0) == pytest.approx((10 * 16, 6 * 16), abs=16)
    assert second.regions == ()  # four pixels of 320 are too few to show
    absent, _ = findings(tmp_path / "absent", [-3.0, 5.0], maps)
    assert (absent.outcome.value, absent.regions) == ("ABSENT", ())


def test_there_must_be_a_map_for_each_class(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match=r"outputs\.maps is \[1, 16, 20\], but head classification needs"):
        findings(tmp_path / "few", [0.5, 5.0], np.zeros((1, ROWS // 4, COLUMNS // 4)))
