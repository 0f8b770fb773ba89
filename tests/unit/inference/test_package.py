"""Model packages: what loads, what does not and why, and what `models check` finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from model_factory import FIXED_VHS, MANIFEST, OPSET, heart_package
from PIL import Image

from domain.errors import ModelFailed, ModelInvalid
from inference import package as package_module
from inference.checking import check_package
from inference.package import find_packages, load_package
from inference.runtime import OnnxRuntime


def test_a_package_says_who_it_is(tmp_path: Path) -> None:
    identity = load_package(heart_package(tmp_path / "fixed-heart")).identity
    assert (identity.name, identity.version, identity.clinical_status) == ("fixed-heart", "1.0.0", "demonstration")
    assert identity.performance == "Measured on nothing: it always gives the same answer."


def test_another_version_and_other_weights_are_other_devices(tmp_path: Path) -> None:
    first = load_package(heart_package(tmp_path / "a"))
    again = load_package(heart_package(tmp_path / "b"))
    version = load_package(heart_package(tmp_path / "c", version="1.0.1"))
    weights = load_package(heart_package(tmp_path / "d", lateral_probability=0.8))
    assert first.identity == again.identity
    assert len({one.identity.device_uid for one in (first, version, weights)}) == 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format = 1", "format = 2", "package.toml, format: Input should be 1"),
        ('manufacturer = "Tests"', "", "package.toml, manufacturer: Field required"),
        ('manufacturer = "Tests"', 'manufacturer = "Tests"\nlicence = "x"', "package.toml, licence: there is no such key"),
        ('name = "{name}"', 'name = "Fixed Heart"', "package.toml, name: String should match pattern"),
        ('species = ["dog"]', 'species = ["wolf"]', "package.toml, applicability.species.1: Input should be"),
        ("low_percent = 0.5", "low_percent = 99.9", "package.toml, input: low_percent must be below high_percent"),
        ("n = 1", "n = 0", "package.toml, performance.figure.1.n: Input should be greater"),
        ("views = [4]\n", "", "package.toml: outputs.views is missing: head vertebral-heart-score reads it"),
        (
            "[performance]",
            "[head.operating_points]\ncoherense = 0.5\n[performance]",
            "package.toml, head.1.operating_points.coherense: Unexpected keyword argument",
        ),
        (
            "[performance]",
            "[head.operating_points]\naxis_ratio = [0.8, nan]\n[performance]",
            "package.toml, head.1.operating_points: a gate that is no number lets everything pass",
        ),
        ("opset = ", "opset ", "package.toml is not TOML"),
    ],
)
def test_a_broken_manifest_is_named_by_its_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in MANIFEST
    directory = heart_package(tmp_path / "fixed-heart", manifest=MANIFEST.replace(old, new, 1))
    with pytest.raises(ModelInvalid) as refused:
        load_package(directory)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["model.onnx", "CARD.md", "package.toml"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    directory = heart_package(tmp_path / "fixed-heart")
    (directory / name).unlink()
    with pytest.raises(ModelInvalid, match=name):
        load_package(directory)


def test_weights_that_the_manifest_does_not_name_do_not_load(tmp_path: Path) -> None:
    directory = heart_package(tmp_path / "fixed-heart")
    weights = bytearray((directory / "model.onnx").read_bytes())
    weights[len(weights) // 2] ^= 1
    (directory / "model.onnx").write_bytes(weights)
    with pytest.raises(ModelInvalid, match="onnx_sha256"):
        load_package(directory)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(package_module, "_shipped", lambda: list(folder.iterdir()))
    return folder


def test_shipped_packages_and_those_of_the_settings_are_found_by_name(tmp_path: Path, shipped: Path) -> None:
    heart_package(shipped / "b", name="bravo")
    heart_package(shipped / "a", name="alpha")
    (shipped / "__pycache__").mkdir()
    (shipped / "__init__.py").touch()
    heart_package(tmp_path / "mine" / "c", name="charlie")
    assert [one.name for one in find_packages()] == ["alpha", "bravo"]
    assert [one.name for one in find_packages(str(tmp_path / "mine"))] == ["alpha", "bravo", "charlie"]


def test_a_broken_or_doubled_package_stops_instead_of_vanishing(tmp_path: Path, shipped: Path) -> None:
    heart_package(shipped / "a", name="alpha")
    with pytest.raises(ModelInvalid, match="no folder"):
        find_packages(str(tmp_path / "none"))
    heart_package(tmp_path / "mine" / "a", name="alpha")
    with pytest.raises(ModelInvalid, match="two model packages are named alpha"):
        find_packages(str(tmp_path / "mine"))
    (tmp_path / "mine" / "a" / "model.onnx").unlink()
    with pytest.raises(ModelInvalid, match=r"model.onnx"):
        find_packages(str(tmp_path / "mine"))


def test_shipped_packages_come_from_the_installed_folder() -> None:
    here = Path(__file__).parents[3] / "models"
    assert {path.parent for path in package_module._shipped()} == {here}


def test_a_folder_of_that_name_where_the_program_starts_hides_no_model(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    script = "from inference.package import find_packages; print(*(one.name for one in find_packages()))"
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "canine-thorax-vhs" in found.stdout


def test_weights_that_change_after_they_were_checked_are_not_run(tmp_path: Path) -> None:
    package = load_package(heart_package(tmp_path / "a"))
    other = heart_package(tmp_path / "b", lateral_probability=0.1)
    package.weights.write_bytes((other / "model.onnx").read_bytes())
    with pytest.raises(ModelInvalid, match=r"model.onnx is not the file that package.toml names"):
        OnnxRuntime(package, threads=1)


TAKES = "model.onnx takes image ['batch', 1, 256, 320]"


def names(directory: Path) -> list[str]:
    """The checks that passed, and the last one's fault if there is one."""
    checks = check_package(directory)
    assert all(check.fault is None for check in checks[:-1])
    return [check.name if check.fault is None else f"{check.name}: {check.fault}" for check in checks]


def test_a_sound_package_passes_every_check(tmp_path: Path) -> None:
    assert names(heart_package(tmp_path / "fixed-heart")) == ["manifest", "weights", "opset", "shapes", "sample"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format = 1", "format = 2", "manifest: "),
        ('"{sha256}"', '"' + "0" * 64 + '"', "weights: "),
        (f"opset = {OPSET}", "opset = 12", f"opset: model.onnx is of opset {OPSET}, the manifest says 12"),
        (
            "columns = 320",
            "columns = 640",
            f"shapes: model fixed-heart: {TAKES}, the manifest's input is image [2, 1, 256, 640]",
        ),
        (
            'name = "image"',
            'name = "film"',
            f"shapes: model fixed-heart: {TAKES}, the manifest's input is film [2, 1, 256, 320]",
        ),
        (
            "spine = [1, 64, 80]",
            "spine = [1, 32, 40]",
            "shapes: model fixed-heart: output spine of model.onnx has the shape [1, 64, 80], the manifest says [1, 32, 40]",
        ),
        ("points = [5, 2]", "points = [5, 2]\nmask = [1]", "shapes: model fixed-heart: model.onnx has no output mask"),
    ],
)
def test_each_check_finds_its_fault(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in MANIFEST
    found = names(heart_package(tmp_path / "fixed-heart", manifest=MANIFEST.replace(old, new, 1)))[-1]
    assert found.startswith(said)


def test_weights_that_are_no_model(tmp_path: Path) -> None:
    directory = heart_package(tmp_path / "fixed-heart")
    manifest = (directory / "package.toml").read_text()
    sha256 = load_package(directory).manifest.onnx_sha256
    (directory / "model.onnx").write_bytes(b"not a model")
    (directory / "package.toml").write_text(manifest.replace(sha256, package_module.weights_sha256(directory)))
    assert names(directory)[-1] == "opset: model.onnx is not an ONNX file"


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"vertebral-heart-score": {"vhs": FIXED_VHS + 1, "tolerance": 0.5}}, "the model answers vhs 10.1"),
        (
            {"vertebral-heart-score": {"vhs": float("nan"), "tolerance": 0.5}},
            "sample.png or expected.json is missing or broken",
        ),
        ({}, "expected.json does not say what head vertebral-heart-score answers"),
        ({"vertebral-heart-score": {"vhs": 10}}, "sample.png or expected.json is missing or broken"),
        ([], "sample.png or expected.json is missing or broken"),
    ],
)
def test_another_answer_to_the_sample_than_expected(tmp_path: Path, expected: object, said: str) -> None:
    directory = heart_package(tmp_path / "fixed-heart")
    (directory / "expected.json").write_text(json.dumps(expected))
    assert names(directory)[-1].startswith(f"sample: {said}")


def test_a_refused_a_missing_and_a_misshapen_sample(tmp_path: Path) -> None:
    refusing = heart_package(tmp_path / "a", lateral_probability=0.1)
    assert names(refusing)[-1].startswith("sample: the model gives no vhs for sample.png; expected.json says 10.1")
    directory = heart_package(tmp_path / "b")
    Image.fromarray(np.zeros((20, 20), dtype=np.uint8)).save(directory / "sample.png")
    assert names(directory)[-1] == "sample: sample.png must be an 8-bit gray image of 320 × 256 pixels"
    (directory / "sample.png").unlink()
    assert names(directory)[-1] == "sample: sample.png or expected.json is missing or broken"


def test_numbers_that_are_none_are_a_broken_model(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid):
        OnnxRuntime(load_package(heart_package(tmp_path / "a", nan=True)), threads=1)
    sound = OnnxRuntime(load_package(heart_package(tmp_path / "b")), threads=1)
    with pytest.raises(ModelFailed):
        sound.predict(np.zeros((2, 1, 8, 8), dtype=np.float32))
