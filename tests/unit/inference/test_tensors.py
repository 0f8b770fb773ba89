"""What a manifest's [input] asks for is what the network gets."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from inference.manifest import Input
from inference.tensors import prepared

PLANES = np.linspace(0, 1, 2 * 16 * 20, dtype=np.float32).reshape(2, 1, 16, 20)


def wanted(**keys: object) -> Input:
    return Input.model_validate({"name": "image", "rows": 16, "columns": 20, **keys})


def test_as_it_is() -> None:
    np.testing.assert_array_equal(prepared(PLANES, wanted()), PLANES)


def test_scaled_to_255_and_normalised() -> None:
    found = prepared(PLANES, wanted(white=255.0, mean=[100.0], std=[50.0]))
    np.testing.assert_allclose(found, (PLANES * 255 - 100) / 50, rtol=1e-5)


def test_three_channels_each_with_its_own_mean() -> None:
    found = prepared(PLANES, wanted(channels=3, mean=[0.1, 0.2, 0.3], std=[1.0, 2.0, 4.0]))
    assert found.shape == (2, 3, 16, 20)
    for channel, (mean, std) in enumerate([(0.1, 1), (0.2, 2), (0.3, 4)]):
        np.testing.assert_allclose(found[:, channel], (PLANES[:, 0] - mean) / std, atol=1e-6)


def test_channels_last() -> None:
    found = prepared(PLANES, wanted(channels=3, layout="channels-last", mean=[0.0, 0.0, 1.0]))
    assert found.shape == (2, 16, 20, 3)
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found[..., 2], PLANES[:, 0] - 1, atol=1e-6)
    np.testing.assert_array_equal(found[..., 0], PLANES[:, 0])


@pytest.mark.parametrize(
    "keys",
    [{"mean": [0.1, 0.2]}, {"std": [0.0]}, {"low_percent": 1.0}, {"low_percent": 2.0, "high_percent": 1.0}, {"channels": 2}],
)
def test_what_makes_no_input_is_refused(keys: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        wanted(**keys)
