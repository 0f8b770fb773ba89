"""`houndsfield models check DIR`: does a package hold what its manifest promises, and does it still answer as it did?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from domain.errors import ModelFailed, ModelInvalid
from inference.heart import read_heart
from inference.manifest import HeartHead
from inference.package import EXPECTED, SAMPLE, ModelPackage, load_package, read_manifest
from inference.plane import Grays
from inference.runtime import Runtime

_ONNX_OPSET_IMPORT, _OPSET_DOMAIN, _OPSET_VERSION = 8, 1, 2  # field numbers of ModelProto and OperatorSetIdProto
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # wire types


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """fault: a sentence, None when the check passed."""

    name: str
    fault: str | None = None


class _ExpectedHeart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    vhs: float
    tolerance: Annotated[float, Field(gt=0)]


def check_package(directory: Path) -> list[Check]:
    """In this order, ending with the first fault: manifest, files and weights, opset, shapes, sample."""
    checks: list[Check] = []
    try:
        for name in _steps(directory):
            checks.append(Check(name=name))
    except _Fault as fault:
        checks.append(Check(name=fault.check, fault=str(fault)))
    return checks


class _Fault(Exception):
    def __init__(self, check: str, sentence: str) -> None:
        super().__init__(sentence)
        self.check = check


def _steps(directory: Path) -> Iterator[str]:
    """Yields the name of each check that passed."""
    try:
        read_manifest(directory)
        yield "manifest"
    except ModelInvalid as error:
        raise _Fault("manifest", str(error)) from error
    try:
        package = load_package(directory)
        yield "weights"
    except ModelInvalid as error:
        raise _Fault("weights", str(error)) from error
    opset = opset_of(package.weights.read_bytes())
    if opset != package.manifest.opset:
        raise _Fault("opset", f"model.onnx is of opset {opset}, the manifest says {package.manifest.opset}")
    yield "opset"
    try:
        runtime = Runtime(package, threads=1)
        yield "shapes"
    except ModelInvalid as error:
        raise _Fault("shapes", str(error)) from error
    sample, expected = _sample(package)
    for head in package.manifest.head:
        _try_head(head, sample, expected, runtime)
    yield "sample"


def _sample(package: ModelPackage) -> tuple[Grays, dict[str, _ExpectedHeart]]:
    size = (package.manifest.input.columns, package.manifest.input.rows)
    try:
        content = json.loads((package.directory / EXPECTED).read_text(encoding="utf-8"))
        expected = {str(kind): _ExpectedHeart.model_validate(one) for kind, one in content.items()}
        gray = Image.open(package.directory / SAMPLE)
        if gray.mode != "L" or gray.size != size:
            raise _Fault("sample", f"{SAMPLE} must be an 8-bit gray image of {size[0]} × {size[1]} pixels")
        sample = np.asarray(gray, dtype=np.float32) / np.float32(255)
    except (OSError, ValueError, AttributeError) as error:
        raise _Fault("sample", f"{SAMPLE} or {EXPECTED} is missing or broken") from error
    return sample, expected


def _try_head(head: HeartHead, sample: Grays, expected: dict[str, _ExpectedHeart], runtime: Runtime) -> None:
    wanted = expected.get(head.kind)
    if wanted is None:
        raise _Fault("sample", f"{EXPECTED} does not say what head {head.kind} answers to {SAMPLE}")
    try:
        reading = read_heart(sample, runtime.predict, head.operating_points)
    except ModelFailed as error:
        raise _Fault("sample", str(error)) from error
    if reading.refusal is not None:
        raise _Fault("sample", f"the model refuses {SAMPLE} ({reading.refusal}); {EXPECTED} says {wanted.vhs}")
    if not abs(reading.vhs - wanted.vhs) <= wanted.tolerance:
        said = f"the model answers {reading.vhs:.2f} to {SAMPLE}"
        raise _Fault("sample", f"{said}; {EXPECTED} says {wanted.vhs} ± {wanted.tolerance}")


def opset_of(model: bytes) -> int | None:
    """The version of the default ONNX domain; None when the bytes are no ONNX model or import none.

    ONNX Runtime does not tell it, and the onnx package belongs to training alone, so the two fields are read by hand.
    """
    try:
        for number, content in _fields(model):
            if number == _ONNX_OPSET_IMPORT and isinstance(content, bytes):
                imported = dict(_fields(content))
                if imported.get(_OPSET_DOMAIN, b"") in (b"", b"ai.onnx"):
                    version = imported.get(_OPSET_VERSION)
                    return version if isinstance(version, int) else None
    except (IndexError, ValueError):
        pass
    return None


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and contents of a protobuf message. IndexError or ValueError when the bytes are none."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == _VARINT:
            number, at = _varint(message, at)
            yield key >> 3, number
            continue
        if key & 7 == _LENGTH:
            length, at = _varint(message, at)
        elif key & 7 in (_FIXED32, _FIXED64):
            length = 4 if key & 7 == _FIXED32 else 8
        else:
            raise ValueError("not a protobuf message")
        if at + length > len(message):
            raise ValueError("cut short")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        value |= (message[at] & 0x7F) << shift
        at += 1
        if not message[at - 1] & 0x80:
            return value, at
        shift += 7
    raise ValueError("not a varint")
