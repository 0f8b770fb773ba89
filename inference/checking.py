"""`houndsfield models check DIR`: does a package hold what its manifest promises, and does it still answer as it did?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from domain.errors import ModelFailed, ModelInvalid
from domain.types import InstanceRef, Radiograph, SpacingSource
from inference.heads import read_head
from inference.manifest import EXPECTED, SAMPLE, Head, HeartHead, LandmarksHead
from inference.onnx_file import read_onnx
from inference.package import ModelPackage, load_package, read_manifest
from inference.plane import Grays, whole
from inference.runtime import OnnxRuntime, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """fault: a sentence, None when the check passed."""

    name: str
    fault: str | None = None


MOST_TOLERANCE = 0.05  # of a probability, or of the largest number in another unit: more checks nothing
_RELATIVE, _LEAST = 0.1, 0.005  # of each value, so that a small one is checked too; and what processors may differ by


class _Expected(BaseModel):
    """Numbers by name, such as "vhs", and how far off each may be at most."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, float]
    tolerance: Annotated[float, Field(gt=0)]

    @property
    def values(self) -> dict[str, float]:
        return self.__pydantic_extra__

    def allowed(self, value: float) -> float:
        return min(self.tolerance, max(_RELATIVE * abs(value), _LEAST))


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
    try:
        opset = read_onnx(package.weights.read_bytes()).opset
    except ValueError as error:
        raise _Fault("opset", "model.onnx is not an ONNX file") from error
    if opset != package.manifest.opset:
        raise _Fault("opset", f"model.onnx is of opset {opset}, the manifest says {package.manifest.opset}")
    yield "opset"
    try:
        runtime = OnnxRuntime(package, threads=1)
        yield "shapes"
    except ModelInvalid as error:
        raise _Fault("shapes", str(error)) from error
    sample, expected = _sample(package)
    for head in package.manifest.head:
        _try_head(head, sample, expected, runtime)
    yield "sample"


def _sample(package: ModelPackage) -> tuple[Grays, dict[str, _Expected]]:
    size = (package.manifest.input.columns, package.manifest.input.rows)
    try:
        content = json.loads((package.directory / EXPECTED).read_text(encoding="utf-8"))
        expected = {str(kind): _Expected.model_validate(one) for kind, one in content.items()}
        gray = Image.open(package.directory / SAMPLE)
        if gray.mode != "L" or gray.size != size:
            raise _Fault("sample", f"{SAMPLE} must be an 8-bit gray image of {size[0]} × {size[1]} pixels")
        sample = np.asarray(gray, dtype=np.float32) / np.float32(255)
    except (OSError, ValueError, AttributeError) as error:
        raise _Fault("sample", f"{SAMPLE} or {EXPECTED} is missing or broken") from error
    return sample, expected


def _try_head(head: Head, sample: Grays, expected: dict[str, _Expected], runtime: Runtime) -> None:
    wanted = expected.get(head.key)
    if wanted is None:
        raise _Fault("sample", f"{EXPECTED} does not say what head {head.key} answers to {SAMPLE}")
    if not wanted.values:
        raise _Fault("sample", f"{EXPECTED} says no number for head {head.key}: nothing would be checked")
    unit = max(map(abs, wanted.values.values())) if isinstance(head, HeartHead | LandmarksHead) else 1.0
    if wanted.tolerance > MOST_TOLERANCE * unit:
        said = f"{EXPECTED} has a tolerance of {wanted.tolerance:g} for head {head.key}"
        raise _Fault("sample", f"{said}; at most {MOST_TOLERANCE * unit:g} checks anything")
    try:
        found = answer_to_sample(head, sample, runtime)
    except ModelFailed as error:
        raise _Fault("sample", str(error)) from error
    for name, value in wanted.values.items():
        if name not in found:
            raise _Fault("sample", f"the model gives no {name} for {SAMPLE}; {EXPECTED} says {value}")
        if not abs(found[name] - value) <= wanted.allowed(value):
            said = f"the model answers {name} {found[name]:.4g} to {SAMPLE}"
            raise _Fault("sample", f"{said}; {EXPECTED} says {value} ± {wanted.allowed(value):g}")


def answer_to_sample(head: Head, sample: Grays, runtime: Runtime) -> Mapping[str, float]:
    """Numbers by name as in `expected.json`. ModelFailed when the model breaks on the sample."""
    radiograph = Radiograph(
        ref=InstanceRef(sop_class_uid="", sop_instance_uid=""),
        pixels=sample,
        spacing_mm=None,
        spacing_source=SpacingSource.UNKNOWN,
    )
    return read_head(head, plane=whole(sample), predict=runtime.predict, radiograph=radiograph).values
