"""A model package that needs no training: an ONNX file whose outputs are constants, so that its score is known exactly.

    directory = heart_package(tmp_path / "models" / "fixed-heart")       always measures FIXED_VHS, whatever the image
    directory = heart_package(path, lateral_probability=0.1)             always says "not a lateral thorax"
    directory = constant_package(path, {"findings": np.array([2.0, -2.0])}, HEADS)    any other head

The ONNX bytes are written by hand (the fields of onnx.proto), because the onnx package belongs to training alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

ROWS, COLUMNS, STRIDE = 256, 320, 4
OPSET = 17
SPINE_ROW, T4_COLUMN, PITCH = 80.0, 96.0, 16.0  # of the plane: cranial edges every 16 pixels along a straight line
LONG_AXIS = ((140.0, 110.0), (140.0, 200.0))  # carina, apex: 90 pixels
SHORT_AXIS = ((104.0, 150.0), (176.0, 150.0))  # cranial, caudal: 72 pixels
FIXED_VHS = (90.0 + 72.0) / PITCH

Tensor = npt.NDArray[np.float32]


def heart_package(
    directory: Path,
    *,
    name: str = "fixed-heart",
    version: str = "1.0.0",
    lateral_probability: float = 0.9,
    nan: bool = False,
    no_heart: bool = False,
    manifest: str | None = None,
) -> Path:
    """manifest: text that replaces the package's own, {sha256} in it filled in. nan: the model's answers are no numbers.
    no_heart: all landmarks are one point, in a package whose gates let that pass.
    """
    directory.mkdir(parents=True, exist_ok=True)
    outputs = heart_outputs(lateral_probability=lateral_probability)
    if nan:
        outputs["points"][:] = np.nan
    if no_heart:
        outputs["points"][:] = [(T4_COLUMN, SPINE_ROW)], [(COLUMNS - T4_COLUMN, SPINE_ROW)]
    weights = constant_model(outputs)
    (directory / "model.onnx").write_bytes(weights)
    sha256 = hashlib.sha256(weights).hexdigest()
    text = MANIFEST if manifest is None else manifest
    if no_heart:
        text = text.replace("[performance]", NO_GATES + "[performance]")
    text = text.replace("{sha256}", sha256).replace("{name}", name).replace("{version}", version)
    (directory / "package.toml").write_text(text, encoding="utf-8")
    (directory / "CARD.md").write_text("# A model for tests: it always gives the same answer\n", encoding="utf-8")
    Image.fromarray(np.full((ROWS, COLUMNS), 128, dtype=np.uint8)).save(directory / "sample.png")
    expected = {"vertebral-heart-score": {"vhs": FIXED_VHS, "tolerance": 0.05}}
    (directory / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    return directory


def heart_outputs(*, lateral_probability: float = 0.9) -> dict[str, Tensor]:
    """What the heart network answers to an image and its mirror image, batch first."""
    points = np.array([*LONG_AXIS, *SHORT_AXIS, (T4_COLUMN, SPINE_ROW)], dtype=np.float32)
    mirrored = points * [-1, 1] + [COLUMNS, 0]
    y, x = np.mgrid[0 : ROWS // STRIDE, 0 : COLUMNS // STRIDE] * STRIDE + STRIDE / 2
    spine = np.exp(-((y - SPINE_ROW) ** 2) / 50) * ((x > 40) & (x < 300))
    angle = 2 * np.pi * (x - T4_COLUMN) / PITCH
    phase = np.stack([np.cos(angle), np.sin(angle)]) * (spine > 0.05)
    rest = (1 - lateral_probability) / 3
    view = [lateral_probability, rest * 0.5, rest * 0.5, rest * 2]
    return {
        "points": np.stack([points, mirrored]).astype(np.float32),
        "views": np.array([view, view], dtype=np.float32),
        "spine": np.stack([spine[None], spine[None, :, ::-1]]).astype(np.float32),
        "phase": np.stack([phase, phase[:, :, ::-1]]).astype(np.float32),
    }


MANIFEST = f"""
format = 1
name = "{{name}}"
version = "{{version}}"
manufacturer = "Tests"
intended_use = "Tests."
clinical_status = "demonstration"
onnx_sha256 = "{{sha256}}"
opset = {OPSET}
[applicability]
modalities = ["DX", "CR"]
species = ["dog"]
regions = ["thorax"]
views = ["lateral", "right-lateral", "left-lateral"]
least_rows = 64
least_columns = 80
[input]
name = "image"
rows = {ROWS}
columns = {COLUMNS}
low_percent = 0.5
high_percent = 99.5
[outputs]
points = [5, 2]
views = [4]
spine = [1, 64, 80]
phase = [2, 64, 80]
[[head]]
kind = "vertebral-heart-score"
concept = {{ value = "VHS", scheme = "99HNDSFLD", meaning = "Vertebral heart score" }}
[performance]
sentence = "Measured on nothing: it always gives the same answer."
[[performance.figure]]
measure = "mean absolute error"
value = 0.0
unit = "vertebrae"
n = 1
data_set = "none"
"""


NO_GATES = """
[head.operating_points]
long_axis_vertebrae = [0.0, 100.0]
axis_ratio = [0.0, 100.0]
off_perpendicular_degrees = 1000.0
"""


def constant_package(
    directory: Path,
    outputs: dict[str, Tensor],
    heads: str,
    *,
    name: str = "constant",
    version: str = "1.0.0",
    rows: int = 64,
    columns: int = 80,
    applicability: str = "",
    expected: dict[str, dict[str, float]] | None = None,
) -> Path:
    """A package that answers `outputs` (each without the batch) to everything; `heads`: its [[head]] tables as TOML."""
    directory.mkdir(parents=True, exist_ok=True)
    weights = constant_model({key: value[None] for key, value in outputs.items()}, rows=rows, columns=columns)
    (directory / "model.onnx").write_bytes(weights)
    shapes = "\n".join(f"{key} = {list(value.shape)}" for key, value in outputs.items())
    (directory / "package.toml").write_text(
        f"""format = 1
name = "{name}"
version = "{version}"
manufacturer = "Tests"
intended_use = "Tests."
clinical_status = "demonstration"
onnx_sha256 = "{hashlib.sha256(weights).hexdigest()}"
opset = {OPSET}
[applicability]
{applicability}
[input]
name = "image"
rows = {rows}
columns = {columns}
[outputs]
{shapes}
{heads}
[performance]
sentence = "Measured on nothing: it always gives the same answer."
[[performance.figure]]
measure = "accuracy"
value = 0.0
unit = "1"
n = 1
data_set = "none"
""",
        encoding="utf-8",
    )
    (directory / "CARD.md").write_text("# A model for tests: it always gives the same answer\n", encoding="utf-8")
    Image.fromarray(np.full((rows, columns), 128, dtype=np.uint8)).save(directory / "sample.png")
    (directory / "expected.json").write_text(json.dumps(expected or {}), encoding="utf-8")
    return directory


def constant_model(outputs: dict[str, Tensor], *, rows: int = ROWS, columns: int = COLUMNS) -> bytes:
    """ModelProto: an input `image` (any, 1, rows, columns) that nothing looks at, and outputs that are initializers."""
    graph = _text(2, "constant")
    graph += field(11, _value_info("image", [None, 1, rows, columns]))
    for name, tensor in outputs.items():
        graph += field(1, _text(1, f"{name}_value") + _text(2, name) + _text(4, "Identity"))
        dimensions = b"".join(integer(1, size) for size in tensor.shape)
        content = field(9, np.ascontiguousarray(tensor, dtype="<f4").tobytes())
        graph += field(5, dimensions + integer(2, 1) + _text(8, f"{name}_value") + content)
        graph += field(12, _value_info(name, list(tensor.shape)))
    return integer(1, 8) + field(7, graph) + field(8, integer(2, OPSET))


def _value_info(name: str, shape: list[int | None]) -> bytes:
    dimensions = b"".join(field(1, _text(2, "batch") if size is None else integer(1, size)) for size in shape)
    tensor_type = integer(1, 1) + field(2, dimensions)  # element type 1 is float32
    return _text(1, name) + field(2, field(1, tensor_type))


def integer(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def field(number: int, value: bytes) -> bytes:
    """A field of a protobuf message: bytes, text or another message."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _text(number: int, value: str) -> bytes:
    return field(number, value.encode())


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(found) + bytes([value])
