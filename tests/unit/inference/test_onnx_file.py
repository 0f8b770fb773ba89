"""What is refused before ONNX Runtime sees it: weights in other files, unknown operators, bytes that are no model."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_factory import OPSET, constant_model, field, heart_package, integer

from domain.errors import ModelInvalid
from inference.onnx_file import read_onnx
from inference.package import load_package
from inference.runtime import OnnxRuntime

MODEL = constant_model({"points": np.zeros((1, 2), dtype=np.float32)})


def test_opset_and_operators_are_read() -> None:
    found = read_onnx(MODEL)
    assert (found.opset, found.operators, found.external_data) == (OPSET, {("", "Identity")}, False)
    assert found.unknown_operators == []


def test_broken_bytes_are_no_model_or_have_no_opset() -> None:
    for content in [*(MODEL[:length] for length in range(len(MODEL) - 4)), b"hello", b"\xff" * 40, bytes(100)]:
        try:
            assert read_onnx(content).opset is None
        except ValueError:
            continue


@given(st.binary(max_size=60), st.integers(0, len(MODEL)))
def test_no_bytes_break_it(noise: bytes, at: int) -> None:
    with contextlib.suppress(ValueError):
        read_onnx(MODEL[:at] + noise + MODEL[at:])


def graph(*, node: bytes = b"", tensor: bytes = b"") -> bytes:
    return field(7, (field(1, node) if node else b"") + (field(5, tensor) if tensor else b""))


OPERATOR = field(4, b"Nonsense")
EXTERNAL = field(13, field(1, b"location") + field(2, b"../../weights"))


@pytest.mark.parametrize(
    ("model", "unknown"),
    [
        (graph(node=OPERATOR), ["Nonsense"]),
        (graph(node=field(4, b"Relu") + field(7, b"com.example")), ["com.example.Relu"]),
        (graph(node=field(4, b"If") + field(5, field(6, field(1, OPERATOR)))), ["Nonsense"]),
        (graph(node=OPERATOR) + field(25, field(1, b"Nonsense")), []),  # defined in the file itself
        (field(25, field(1, b"Mine") + field(7, OPERATOR)), ["Nonsense"]),
    ],
)
def test_unknown_operators_wherever_they_hide(model: bytes, unknown: list[str]) -> None:
    assert read_onnx(model).unknown_operators == unknown


@pytest.mark.parametrize(
    "model",
    [
        graph(tensor=EXTERNAL),
        graph(tensor=integer(14, 1)),
        graph(node=field(4, b"Constant") + field(5, field(5, EXTERNAL))),
        graph(node=field(4, b"If") + field(5, field(6, field(5, EXTERNAL)))),
        field(7, field(15, field(1, EXTERNAL))),
    ],
)
def test_weights_in_other_files_wherever_they_hide(model: bytes) -> None:
    assert read_onnx(model).external_data


def test_graphs_that_are_nested_without_end_are_no_model() -> None:
    nested = b""
    for _ in range(100):
        nested = field(1, field(5, field(6, nested)))
    with pytest.raises(ValueError, match="nested too deeply"):
        read_onnx(field(7, nested))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (b"hello", "not an ONNX file"),
        (MODEL + graph(tensor=EXTERNAL), "keeps weights in other files"),
        (MODEL + graph(node=OPERATOR), "needs operators that are not known: Nonsense"),
    ],
)
def test_such_a_model_is_not_loaded(tmp_path: Path, model: bytes, said: str) -> None:
    directory = heart_package(tmp_path / "fixed-heart")
    before = hashlib.sha256((directory / "model.onnx").read_bytes()).hexdigest()
    (directory / "model.onnx").write_bytes(model)
    manifest = directory / "package.toml"
    manifest.write_text(manifest.read_text().replace(before, hashlib.sha256(model).hexdigest()))
    with pytest.raises(ModelInvalid, match=said):
        OnnxRuntime(load_package(directory), threads=1)
