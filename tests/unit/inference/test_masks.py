"""The ratio of two areas, whichever way a network tells its classes apart, and only of what lies whole in the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from domain.types import Finding, FindingOutcome, InstanceRef, Radiograph, SpacingSource
from inference.manifest import MasksHead
from inference.masks import read_masks
from inference.plane import fit

POINTS = {"absent_below": 0.2, "present_from": 0.6}
CONCEPTS = (
    {"value": "80891009", "scheme": "SCT", "meaning": "Heart"},
    {"value": "816094009", "scheme": "SCT", "meaning": "Chest"},
)
Y, X = np.mgrid[0:32, 0:40] + 0.5
HEART = (X - 20) ** 2 + (Y - 16) ** 2 < 6**2


def ratio(
    activation: str, thorax: npt.NDArray[np.bool_], *, heart: npt.NDArray[np.bool_] = HEART, columns: int = 320
) -> Finding:
    """Of a film of 256 rows; as wide as 320 columns it fills the plane, narrower it has bars beside it."""
    head = MasksHead.model_validate(
        {
            "kind": "masks",
            "output": "masks",
            "activation": activation,
            "ratio": {"measure": "cardiothoracic-ratio", "part": 1, "whole": 2},
            "class": (*({"concept": one, "operating_points": POINTS} for one in CONCEPTS), {}),
        }
    )
    film = np.zeros((256, columns), dtype=np.float32)
    plane = fit(film, pixel_aspect=1.0, rows=64, columns=80, low_percent=0.5, high_percent=99.5)
    radiograph = Radiograph(
        ref=InstanceRef(sop_class_uid="1", sop_instance_uid="2"),
        pixels=film,
        spacing_mm=None,
        spacing_source=SpacingSource.UNKNOWN,
    )
    if activation == "softmax":
        thorax = thorax & ~heart
    maps = np.stack([heart, thorax, ~(heart | thorax)]).astype(np.float32)
    logits = 20 * maps - 10
    *_, found = read_masks(head, {"masks": logits}, plane=plane, radiograph=radiograph).findings
    return found


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_heart_is_part_of_the_thorax(activation: str) -> None:
    thorax = (X - 20) ** 2 + (Y - 16) ** 2 < 12**2
    found = ratio(activation, thorax)
    assert found.measurements[0].value == pytest.approx(100 * HEART.sum() / thorax.sum(), abs=0.06)


@pytest.mark.parametrize("cut", [X < 32, X > 8, Y < 26, Y > 6])
def test_a_thorax_that_reaches_the_border_has_no_ratio(cut: npt.NDArray[np.bool_]) -> None:
    found = ratio("softmax", cut)
    assert (found.outcome, found.measurements) == (FindingOutcome.NOT_ASSESSABLE, ())
    assert found.reason is not None
    assert found.reason.code == "outside_image"


def test_the_border_is_the_image_s_and_not_that_of_the_bars_beside_it() -> None:
    thorax = (X > 10) & (X < 30) & (Y > 4) & (Y < 28)
    assert ratio("softmax", thorax).outcome is FindingOutcome.PRESENT
    assert ratio("softmax", thorax, columns=160).outcome is FindingOutcome.NOT_ASSESSABLE


def test_a_heart_without_a_thorax_has_no_ratio() -> None:
    assert ratio("softmax", np.zeros_like(HEART)).outcome is FindingOutcome.NOT_ASSESSABLE
