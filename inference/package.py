"""A model package: a folder with `model.onnx`, `package.toml`, `CARD.md`, and a sample to try it on.

    format = 1
    name = "canine-thorax-vhs"            # lower case, digits, hyphens; the folder's name
    version = "0.1.0"
    manufacturer = "Houndsfield"
    intended_use = "Drafts a vertebral heart score on lateral thoraxes of dogs for a veterinarian to check."
    clinical_status = "demonstration"     # demonstration | research | validated
    onnx_sha256 = "9f86d0…"               # of model.onnx, 64 hexadecimal digits
    opset = 18                            # of the default ONNX domain

    [applicability]                       # an image that contradicts one of these is declined; an empty list allows all
    modalities = ["DX", "CR"]
    species = ["dog"]
    regions = ["thorax"]
    views = ["lateral", "right-lateral", "left-lateral"]
    least_rows = 256                      # source pixels
    least_columns = 320

    [input]                               # float32 (N, 1, rows, columns), 0 black to 1 white
    name = "image"
    rows = 256
    columns = 320
    low_percent = 0.5                     # these percentiles of the image become 0 and 1 (`inference.plane.stretch`);
    high_percent = 99.5                   #   the border around it is 0

    [outputs]                             # name → shape without the batch; checked against model.onnx
    points = [5, 2]
    spine = [1, 64, 80]
    phase = [2, 64, 80]
    views = [4]

    [[head]]
    kind = "vertebral-heart-score"        # the reader of the outputs: `inference.findings`
    concept = { value = "VHS", scheme = "99HNDSFLD", meaning = "Vertebral heart score" }
    [head.operating_points]               # the reader's thresholds by name: the fields of `inference.heart.Gates`
    lateral_probability = 0.5
    axis_ratio = [0.8, 1.8]

    [performance]
    sentence = "200 unseen phantoms: mean absolute error 0.30 vertebra, 97 % measured; not validated on animals."
    [[performance.figure]]
    measure = "mean absolute error"
    value = 0.30
    unit = "vertebrae"
    n = 200
    data_set = "houndsfield phantoms, seeds 900000 to 900199"

`sample.png` is an 8-bit gray image of rows × columns, the input after the mapping (0 … 255 for 0 … 1), and `expected.json`
says what the model must answer to it: {"vertebral-heart-score": {"vhs": 10.2, "tolerance": 0.1}}.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from domain.errors import ModelInvalid
from domain.identity import Identity
from domain.types import Code, ModelIdentity, Region, Species, View
from inference.heart import Gates

MANIFEST = "package.toml"
WEIGHTS = "model.onnx"
CARD = "CARD.md"
SAMPLE = "sample.png"
EXPECTED = "expected.json"

HeadKind = Literal["vertebral-heart-score"]
HEAD_OUTPUTS: dict[HeadKind, frozenset[str]] = {  # what the reader of a head asks of the model
    "vertebral-heart-score": frozenset({"points", "views", "spine", "phase"}),
}
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Percent = Annotated[float, Field(ge=0, le=100)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Applicability(_Section):
    """Where a model is valid; an empty tuple says nothing about its key."""

    modalities: tuple[Text, ...] = ()
    species: tuple[Species, ...] = ()
    regions: tuple[Region, ...] = ()
    views: tuple[View, ...] = ()
    least_rows: Count = 1
    least_columns: Count = 1


class Input(_Section):
    name: Text
    rows: Annotated[int, Field(ge=16, le=4096)]
    columns: Annotated[int, Field(ge=16, le=4096)]
    low_percent: Percent
    high_percent: Percent

    @model_validator(mode="after")
    def _order(self) -> Input:
        if self.low_percent >= self.high_percent:
            raise ValueError("low_percent must be below high_percent")
        return self


class Concept(_Section):
    value: Text
    scheme: Text
    meaning: Text

    @property
    def code(self) -> Code:
        return Code(value=self.value, scheme=self.scheme, meaning=self.meaning)


class Head(_Section):
    kind: HeadKind
    concept: Concept
    operating_points: Gates = Gates()


class Figure(_Section):
    measure: Text
    value: float
    unit: Text
    n: Count
    data_set: Text


class Performance(_Section):
    sentence: Text
    figure: Annotated[tuple[Figure, ...], Field(min_length=1)]


class Manifest(_Section):
    format: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    manufacturer: Text
    intended_use: Text
    clinical_status: Literal["demonstration", "research", "validated"]
    onnx_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    opset: Count
    applicability: Applicability
    input: Input
    outputs: Annotated[dict[str, tuple[Count, ...]], Field(min_length=1)]
    head: Annotated[tuple[Head, ...], Field(min_length=1)]
    performance: Performance

    @model_validator(mode="after")
    def _heads_have_outputs(self) -> Manifest:
        for head in self.head:
            missing = sorted(HEAD_OUTPUTS[head.kind] - self.outputs.keys())
            if missing:
                raise ValueError(f"outputs.{missing[0]} is missing: head {head.kind} reads it")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPackage:
    """A package whose manifest is valid and whose weights are the ones it names."""

    directory: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def weights(self) -> Path:
        return self.directory / WEIGHTS

    @property
    def identity(self) -> ModelIdentity:
        """Another version or other weights are another device."""
        manifest = self.manifest
        return ModelIdentity(
            name=manifest.name,
            version=manifest.version,
            manufacturer=manifest.manufacturer,
            device_uid=Identity().uid("model", manifest.name, manifest.version, manifest.onnx_sha256),
            onnx_sha256=manifest.onnx_sha256,
            clinical_status=manifest.clinical_status,
            performance=manifest.performance.sentence,
        )


def load_package(directory: Path) -> ModelPackage:
    """ModelInvalid, in one sentence: no manifest, a wrong key, a missing file, weights that it does not name."""
    manifest = read_manifest(directory)
    for name in (WEIGHTS, CARD):
        if not (directory / name).is_file():
            raise ModelInvalid(f"model package {directory.name}: {name} is missing")
    if weights_sha256(directory) != manifest.onnx_sha256:
        raise ModelInvalid(f"model package {directory.name}: {WEIGHTS} is not the file that {MANIFEST} names (onnx_sha256)")
    return ModelPackage(directory=directory, manifest=manifest)


def read_manifest(directory: Path) -> Manifest:
    """ModelInvalid names the key that is wrong."""
    try:
        content = tomllib.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        return Manifest.model_validate(content)
    except OSError as error:
        raise ModelInvalid(f"model package {directory.name}: {MANIFEST} cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelInvalid(f"model package {directory.name}: {MANIFEST} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        said = "there is no such key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        where = f"{MANIFEST}, {key}" if key else MANIFEST
        raise ModelInvalid(f"model package {directory.name}: {where}: {said}") from error


def weights_sha256(directory: Path) -> str:
    """ModelInvalid when the weights cannot be read."""
    try:
        with (directory / WEIGHTS).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelInvalid(f"model package {directory.name}: {WEIGHTS} cannot be read ({error.strerror})") from error


def find_packages(extra_dir: str = "") -> tuple[ModelPackage, ...]:
    """The packages that are shipped inside the installed product, then those in `extra_dir`, each by name.

    A folder without `package.toml` is none. ModelInvalid for a broken package, two of one name, or a missing `extra_dir`:
    a model that silently does not load would look like a study without findings.
    """
    packages = [load_package(directory) for directory in _package_folders(_shipped())]
    if extra_dir:
        if not Path(extra_dir).is_dir():
            raise ModelInvalid(f"[models] dir: there is no folder {extra_dir}")
        packages += [load_package(directory) for directory in _package_folders(list(Path(extra_dir).iterdir()))]
    names = [package.name for package in packages]
    for name in names:
        if names.count(name) > 1:
            raise ModelInvalid(f"two model packages are named {name}")
    return tuple(packages)


def _shipped() -> list[Path]:
    try:
        return [Path(str(entry)) for entry in resources.files("models").iterdir()]
    except ModuleNotFoundError:
        return []


def _package_folders(entries: list[Path]) -> list[Path]:
    return sorted(entry for entry in entries if (entry / MANIFEST).is_file())
