"""A collection's images as a network sees them: as in the node, and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from collections_made import collection_of

from inference.manifest import Input
from inference.plane import fit
from inference.reading import read_radiograph
from metalearner import planes as module
from metalearner.collection import Case, CollectionInvalid
from metalearner.planes import planes
from phantoms.study import make_study

WANTED = Input(name="image", rows=64, columns=96, low_percent=0.5, high_percent=99.5)


def test_planes_are_those_of_the_node_and_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images").mkdir()
    made = make_study(3, directory=tmp_path / "images", rows=120, columns=150, views=("lateral-right",))[0]
    cases = [Case(image="1.2.3", file=f"images/{made.name}", patient="a", study="1")]
    collection = collection_of(tmp_path, cases)
    done: list[int] = []
    first = planes(collection, ["1.2.3"], WANTED, told=done.append)
    assert done == [1]
    radiograph = read_radiograph(made, assumed_species=None)
    node = fit(radiograph.pixels, pixel_aspect=1.0, rows=64, columns=96, low_percent=0.5, high_percent=99.5)
    assert np.abs(first.plane(0).values - node.values).max() <= 0.5 / 255 + 1e-6
    corners = [(0.0, 0.0), (150.0, 120.0)]
    np.testing.assert_allclose(first.from_source(0, corners), node.from_source(corners))
    np.testing.assert_allclose(first.to_source(0, first.from_source(0, corners)), corners, atol=1e-9)

    def unreadable(*_: object, **__: object) -> None:
        raise AssertionError("was read again")

    monkeypatch.setattr(module, "read_radiograph", unreadable)
    again = planes(collection, ["1.2.3"], WANTED.model_copy(update={"mean": (0.5,), "channels": 3}))
    np.testing.assert_array_equal(again.values, first.values)
    np.testing.assert_array_equal(again.matrices, first.matrices)
    with pytest.raises(AssertionError, match="read again"):
        planes(collection, ["1.2.3"], WANTED.model_copy(update={"rows": 32}))
    with pytest.raises(CollectionInvalid):
        planes(collection, ["9"], WANTED)


def test_a_kept_plane_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    made = make_study(3, directory=tmp_path / "images", rows=120, columns=150, views=("lateral-right",))[0]
    collection = collection_of(tmp_path, [Case(image="1.2.3", file=f"images/{made.name}", patient="a", study="1")])
    first = planes(collection, ["1.2.3"], WANTED)
    (kept,) = (tmp_path / "prepared").rglob("*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    np.testing.assert_array_equal(planes(collection, ["1.2.3"], WANTED).values, first.values)
