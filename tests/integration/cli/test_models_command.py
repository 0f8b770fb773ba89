"""`models sample`, `check`, `add`, `list`: a package from a folder to the node's models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from factories import dx_file
from model_factory import constant_package
from PIL import Image
from typer.testing import CliRunner

from cli.main import app

CLASSES = """[[head]]
kind = "classification"
output = "findings"
activation = "sigmoid"
[[head.class]]
concept = { value = "CARDIOMEGALY", scheme = "99HNDSFLD", meaning = "Cardiomegaly" }
operating_points = { absent_below = 0.2, present_from = 0.6 }
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = constant_package(tmp_path / "source", {"findings": np.zeros(1, dtype=np.float32)}, CLASSES, name="thorax")
    (made / "sample.png").unlink()
    return made


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "node.toml"
    file.write_text('[models]\ndir = "models"\n')
    return file


def listed(config: Path) -> dict[str, Any]:
    found = json.loads(run("models", "list", "-c", config, "--json").output)
    return {f"{one['name']} {one['version']}": one for one in found}


@pytest.mark.parametrize("command", ["add", "check"])
def test_a_file_is_no_folder(tmp_path: Path, command: str) -> None:
    file = tmp_path / "weights.onnx"
    file.touch()
    refused = run("models", command, file)
    assert refused.exit_code == 2
    assert "is a file" in refused.output


def test_from_a_folder_to_the_node(tmp_path: Path, source: Path, config: Path) -> None:
    assert run("models", "check", source).exit_code == 1  # it has no sample yet
    assert "FAULT sample" in run("models", "check", source).output
    made = run("models", "sample", source, dx_file(tmp_path / "film.dcm"))
    assert made.output.splitlines() == ["classification: CARDIOMEGALY 0.5, tolerance 0.02"]
    assert Image.open(source / "sample.png").size == (80, 64)
    assert run("models", "check", source).exit_code == 0
    (tmp_path / "models").mkdir()
    added = run("models", "add", source, "-c", config)
    assert added.exit_code == 0, added.output
    assert added.output.startswith("thorax 1.0.0 added (demonstration, not signed by a trusted key): ")
    assert listed(config)["thorax 1.0.0"]["heads"] == ["classification"]


def test_a_png_is_a_sample_too(tmp_path: Path, source: Path) -> None:
    Image.fromarray(np.zeros((30, 40), dtype=np.uint8)).save(tmp_path / "film.png")
    assert run("models", "sample", source, tmp_path / "film.png").exit_code == 0


def test_a_second_version_asks_which_is_filed(tmp_path: Path, source: Path, config: Path) -> None:
    run("models", "sample", source, dx_file(tmp_path / "film.dcm"))
    (tmp_path / "models").mkdir()
    run("models", "add", source, "-c", config)
    manifest = source / "package.toml"
    manifest.write_text(manifest.read_text().replace('"1.0.0"', '"1.1.0"'))
    added = run("models", "add", source, "-c", config)
    assert "Version 1.0.0 is installed too: say in [[model]]" in added.output
    config.write_text(config.read_text() + '[[model]]\nname = "thorax"\nversion = "1.1.0"\nshadow = true\n')
    found = listed(config)
    assert (found["thorax 1.0.0"]["shadow"], found["thorax 1.1.0"]["shadow"]) == (False, True)
    assert "here, as a shadow" in run("models", "list", "-c", config).output


def test_without_a_folder_nothing_is_added(tmp_path: Path, source: Path) -> None:
    (tmp_path / "node.toml").write_text("")
    refused = run("models", "add", source, "-c", tmp_path / "node.toml")
    assert refused.exit_code != 0
    assert isinstance(refused.exception, Exception)
