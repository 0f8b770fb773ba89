"""`houndsfield models add` and `models sample`: a package checked, then put beside the others; a sample made for one."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from domain.errors import ModelFailed, ModelInvalid
from inference.checking import answer_to_sample, check_package
from inference.manifest import CARD, EXPECTED, FINGERPRINT, MANIFEST, SAMPLE, SIGNATURE, WEIGHTS
from inference.package import ModelPackage, load_package
from inference.plane import Grays, fit
from inference.runtime import OnnxRuntime
from inference.signature import require_signature

SAMPLE_TOLERANCE = 0.02  # between processors and releases of ONNX Runtime; in the unit of the values


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    package: ModelPackage
    signed: bool


def add_package(source: Path, folder: Path, *, trusted_keys: Sequence[str], signature_required: bool) -> Added:
    """Copy a package to `folder`/NAME-VERSION, whole or not at all, after every check has passed.

    ModelInvalid names the check that failed, or what is there already.
    """
    signed = require_signature(source, trusted_keys=trusted_keys, required=signature_required)
    faults = [check.fault for check in check_package(source) if check.fault is not None]
    if faults:
        raise ModelInvalid(faults[0])
    package = load_package(source)
    target = folder / f"{package.name}-{package.manifest.version}"
    if target.exists():
        raise ModelInvalid(f"model {package.name} {package.manifest.version} is installed already, in {target}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".adding-") as name:
        copy = Path(name) / target.name
        copy.mkdir(mode=0o755)
        for file in (MANIFEST, WEIGHTS, CARD, SAMPLE, EXPECTED, SIGNATURE, FINGERPRINT):
            if (source / file).is_file():
                shutil.copyfile(source / file, copy / file)
        load_package(copy)  # what was copied is what was checked
        require_signature(copy, trusted_keys=trusted_keys, required=signature_required)
        copy.rename(target)
    return Added(package=load_package(target), signed=signed)


def write_sample(directory: Path, pixels: Grays, *, pixel_aspect: float) -> dict[str, dict[str, float]]:
    """`sample.png` from an image, and `expected.json` from what the model answers to it. Returns the latter.

    ModelInvalid where the package is broken; ModelFailed where the model breaks on the image, or a head gives no number by
    which the package could be checked: then nothing is written.
    """
    package = load_package(directory)
    wanted = package.manifest.input
    plane = fit(
        pixels,
        pixel_aspect=pixel_aspect,
        rows=wanted.rows,
        columns=wanted.columns,
        low_percent=wanted.low_percent,
        high_percent=wanted.high_percent,
        how=wanted.fit,
    )
    gray = np.round(plane.values * 255).astype(np.uint8)
    runtime = OnnxRuntime(package, threads=1)
    expected = {}
    for head in package.manifest.head:
        values = answer_to_sample(head, gray.astype(np.float32) / np.float32(255), runtime)
        if not values:
            raise ModelFailed(f"head {head.key} gives no number for this image; take one that the model can judge")
        expected[head.key] = {**{name: round(value, 4) for name, value in values.items()}, "tolerance": SAMPLE_TOLERANCE}
    Image.fromarray(gray).save(directory / SAMPLE, optimize=True)
    (directory / EXPECTED).write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")
    return expected
