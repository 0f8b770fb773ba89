"""docs/model-package.md for a Keras classifier: what such a file looks like, from its bytes to the node's answer.

Neither TensorFlow nor Keras is installed here: the ONNX file is written by hand, as Keras writes one, with the channels
last, a scaling layer, a sigmoid at its end, and its names.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from model_factory import field, integer
from typer.testing import CliRunner

from cli.main import app
from domain.types import Species
from inference.plane import fit
from inference.reading import read_radiograph
from phantoms.study import make_study

PAGE = (Path(__file__).parents[3] / "docs" / "model-package.md").read_text(encoding="utf-8")
SIDE, INPUT, OUTPUT = 224, "keras_tensor", "Identity:0"
WEIGHTS = np.random.default_rng(3).normal(0, 3, (3 * 2 * 2, 2)).astype(np.float32)
BIAS = np.array([0.3, -0.4], dtype=np.float32)


def text(number: int, value: str) -> bytes:
    return field(number, value.encode())


def node(operator: str, inputs: list[str], output: str, **attributes: list[int] | int) -> bytes:
    content = b"".join(text(1, name) for name in inputs) + text(2, output) + text(4, operator)
    for name, value in attributes.items():
        one = isinstance(value, int)
        numbers = integer(3, value) if isinstance(value, int) else b"".join(integer(8, part) for part in value)
        content += field(5, text(1, name) + numbers + integer(20, 2 if one else 7))
    return field(1, content)


def tensor(name: str, value: np.ndarray) -> bytes:
    content = b"".join(integer(1, size) for size in value.shape) + integer(2, 1) + text(8, name)
    return field(5, content + field(9, value.astype("<f4").tobytes()))


def described(number: int, name: str, shape: list[int]) -> bytes:
    sizes = field(1, text(2, "unk__1")) + b"".join(field(1, integer(1, size)) for size in shape)
    return field(number, text(1, name) + field(2, field(1, integer(1, 1) + field(2, sizes))))


def as_keras_writes_it() -> bytes:
    graph = node("Mul", [INPUT, "scale"], "scaled") + node("Transpose", ["scaled"], "first", perm=[0, 3, 1, 2])
    half = [SIDE // 2, SIDE // 2]
    graph += node("AveragePool", ["first"], "pooled", kernel_shape=half, strides=half)
    graph += node("Flatten", ["pooled"], "flat") + node("Gemm", ["flat", "kernel", "bias"], "logits")
    graph += node("Sigmoid", ["logits"], OUTPUT) + text(2, "functional")
    graph += tensor("scale", np.float32([1 / 255])) + tensor("kernel", WEIGHTS) + tensor("bias", BIAS)
    graph += described(11, INPUT, [SIDE, SIDE, 3]) + described(12, OUTPUT, [2])
    return integer(1, 8) + field(7, graph) + field(8, integer(2, 18))


def by_hand(film: Path) -> list[float]:
    """The same arithmetic, on what docs/model-package.md promises that such a network sees."""
    pixels = read_radiograph(film, assumed_species=Species.DOG).pixels
    plane = fit(pixels, pixel_aspect=1.0, rows=SIDE, columns=SIDE, low_percent=0.5, high_percent=99.5, how="squash").values
    quarters = plane.reshape(2, SIDE // 2, 2, SIDE // 2).mean(axis=(1, 3))
    logits = np.tile(quarters.ravel(), 3) @ WEIGHTS + BIAS
    return [float(one) for one in 1 / (1 + np.exp(-logits))]


def the_page_s_manifest(weights: bytes) -> str:
    """Its package.toml, with the lines that it gives for Keras in place of those of the same sections."""
    found = re.search(r'package\.toml"\)\.write_text\(f"""\n(.*?)"""\)', PAGE, re.DOTALL)
    changes = re.search(r"A Keras classifier.*?^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found
    assert changes
    manifest = re.sub(r'"\{hashlib[^}]*\}"', f'"{hashlib.sha256(weights).hexdigest()}"', found[1])
    manifest = manifest.replace("{{", "{").replace("}}", "}")
    manifest = re.sub(r"^(mean|std|findings) = .*\n", "", manifest, flags=re.MULTILINE)
    section = ""
    for line in changes[1].splitlines():
        if line.startswith("["):
            section = line.split("#")[0].strip()
            continue
        key = line.split(" = ")[0]
        before, after = manifest.split(f"{section}\n", 1)
        inside, *behind = after.split("\n[", 1)
        inside = "\n".join([line, *(one for one in inside.split("\n") if not one.startswith(f"{key} = "))])
        manifest = f"{before}{section}\n" + "\n[".join([inside, *behind])
    return manifest


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_keras_classifier_says_in_the_node_what_it_says_at_home(tmp_path: Path) -> None:
    (film,) = make_study(22, directory=tmp_path / "study", rows=512, columns=640, views=("lateral-right",))
    package, config = tmp_path / "canine-thorax-findings", tmp_path / "houndsfield.toml"
    package.mkdir()
    config.write_text('[models]\ndir = "models"\n')
    weights = as_keras_writes_it()
    (package / "model.onnx").write_bytes(weights)
    (package / "CARD.md").write_text("# For tests\n")
    (package / "package.toml").write_text(the_page_s_manifest(weights), encoding="utf-8")
    for command in (("sample", package, film), ("check", package), ("add", package, "-c", config)):
        done = run("models", *command)
        assert done.exit_code == 0, done.output
    answer = run("analyse", film, "-c", config, "--json")
    assert answer.exit_code == 0, answer.output
    reports = json.loads(answer.stdout)["studies"][0]["reports"]
    (report,) = [one for one in reports if one["model"] == "canine-thorax-findings"]
    found = {one["concept"]["value"]: one["probability"] for one in report["findings"]}
    assert list(found.values()) == pytest.approx(by_hand(film), abs=2e-4)
    assert list(found) == ["CARDIOMEGALY", "60046008"]


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        (f'name = "{INPUT}"', 'name = "image"', f"model.onnx takes {INPUT} ['unk__1', 224, 224, 3]"),
        ('layout = "channels-last"', "", "the manifest's input is keras_tensor [1, 3, 224, 224]"),
        (f'"{OUTPUT}" =', '"dense" =', f"model.onnx has no output dense, only {OUTPUT}"),
        ("opset = 18", "opset = 15", "model.onnx is of opset 18, the manifest says 15"),
    ],
)
def test_what_is_written_wrongly_is_told_as_the_file_has_it(tmp_path: Path, written: str, instead: str, said: str) -> None:
    weights = as_keras_writes_it()
    manifest = the_page_s_manifest(weights)
    assert written in manifest
    manifest = manifest.replace(written, instead)
    if "dense" in instead:
        manifest = manifest.replace(f'output = "{OUTPUT}"', 'output = "dense"')
    for name, content in (("model.onnx", weights), ("CARD.md", b"# For tests\n"), ("package.toml", manifest.encode())):
        (tmp_path / name).write_bytes(content)
    refused = run("models", "check", tmp_path)
    assert refused.exit_code == 1
    assert said in " ".join(refused.output.split())
