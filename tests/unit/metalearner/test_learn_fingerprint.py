"""What a model was taught with is known by its histograms alone, and drift is told from chance."""

import json

import numpy as np
import pytest

from domain.errors import ModelInvalid
from inference.manifest import FINGERPRINT
from metalearner.fingerprint import (
    drift_of_number,
    drift_of_words,
    fingerprint,
    looks,
    patient_mark,
    read_fingerprint,
    stability_index,
    write_fingerprint,
)


def planes(count, *, brightness=120, seed=0):
    made = np.random.default_rng(seed)
    level = made.normal(brightness, 12, (count, 1, 1))
    return np.clip(level + made.normal(0, 30, (count, 24, 32)), 0, 255).astype(np.uint8)


def test_looks_by_hand():
    plane = np.zeros((4, 4), np.uint8)
    plane[:, 2:] = 255
    found = looks(plane)
    assert (found["brightness"], found["black"], found["white"]) == (0.5, 0.5, 0.5)
    assert found["contrast"] == pytest.approx(0.5)
    assert found["sharpness"] == pytest.approx(1.0)  # Laplacian ±1 beside the edge
    assert looks(plane.astype(np.float32) / 255) == pytest.approx(found)
    assert looks(np.ascontiguousarray(np.rot90(plane))) == pytest.approx(found)  # however it lies


def test_a_fingerprint_holds_histograms_and_no_image_or_name():
    content = fingerprint(
        planes(60),
        sizes=[(1200, 1500)] * 60,
        spacings_mm=[0.15] * 59 + [None],
        probabilities={"CARDIOMEGALY": np.linspace(0, 1, 30)},
        views=["lateral"] * 59 + [""],
        species=["dog"] * 60,
        patients=["0123456789abcdef"] * 2,
    )
    assert content["images"] == 60
    assert content["words"] == {"view": {"lateral": 59}, "species": {"dog": 60}}
    assert content["numbers"]["millimetres of a pixel"]["n"] == 59
    of_chance = content["numbers"]["probability CARDIOMEGALY"]
    assert (of_chance["n"], sum(of_chance["counts"])) == (30, 30)
    assert "0123456789abcdef" not in json.dumps(content)
    assert content["patients"] == [patient_mark("0123456789abcdef")]


def test_a_fingerprint_comes_back_from_its_package(tmp_path):
    assert read_fingerprint(tmp_path) is None
    content = fingerprint(planes(20))
    write_fingerprint(tmp_path, content)
    assert read_fingerprint(tmp_path) == content


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', '{"format": 1, "numbers": {"x": {}}, "words": {}}'])
def test_what_is_no_fingerprint_is_said_to_be_none(tmp_path, text):
    (tmp_path / FINGERPRINT).write_text(text)
    with pytest.raises(ModelInvalid, match=r"fingerprint\.json"):
        read_fingerprint(tmp_path)


def test_stability_index_by_hand():
    """10 : 30 against 20 : 20, half a case added to each."""
    p, q = np.array([10.5, 30.5]) / 41, np.array([20.5, 20.5]) / 41
    psi, by_chance = stability_index([10, 30], [20, 20])
    assert psi == pytest.approx(float(((q - p) * np.log(q / p)).sum()))
    assert by_chance == pytest.approx((1 / 40 + 1 / 40) * 6.6349, abs=1e-4)
    assert stability_index([3, 4, 5], [3, 4, 5])[0] == pytest.approx(0)


def test_chance_alone_stays_below_what_chance_may_do():
    """400 times 80 images of the very distribution that was taught: an index above its 99th percentile is rare."""
    made = np.random.default_rng(4)
    known = fingerprint(np.zeros((0, 8, 8), np.uint8), sizes=[(int(v), 1) for v in made.normal(1500, 200, 600)])["numbers"]
    seen = [drift_of_number(known["rows"], made.normal(1500, 200, 80)) for _ in range(400)]
    assert np.mean([psi > by_chance for _, psi, by_chance, _, _ in seen]) < 0.03
    assert 0.0 <= np.mean([p < 0.05 for *_, p in seen]) < 0.12
    n, psi, by_chance, distance, p = drift_of_number(known["rows"], made.normal(1800, 200, 80))
    assert (n, psi > 0.25, psi > by_chance, distance > 0.4, p < 1e-6) == (80, True, True, True, True)


def test_words_that_nobody_was_taught_with_are_drift():
    n, psi, by_chance = drift_of_words({"lateral": 100}, ["lateral"] * 50 + ["ventrodorsal"] * 50 + [""])
    assert n == 100
    assert psi > max(0.25, by_chance)
    assert drift_of_words({"lateral": 70, "ventrodorsal": 30}, ["lateral"] * 65 + ["ventrodorsal"] * 35)[1] < 0.1
