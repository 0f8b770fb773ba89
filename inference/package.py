"""A model package: a folder with `model.onnx`, `package.toml`, `CARD.md`, and a sample to try it on.

`package.toml` is `inference.manifest.Manifest`; docs/model-package.md tells how to make a package. `sample.png` is an 8-bit
gray image of rows × columns, the input after the mapping (0 … 255 for 0 … 1), and `expected.json` says what each head must
answer to it: {"vertebral-heart-score": {"vhs": 10.2, "tolerance": 0.1}}.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from domain.errors import ModelInvalid
from domain.identity import Identity
from domain.types import ModelIdentity
from inference.manifest import CARD, EXPECTED, HEAD_KINDS, MANIFEST, SAMPLE, WEIGHTS, LandmarksHead, Manifest
from inference.measuring import missing_landmarks
from inference.signature import require_signature

__all__ = [
    "CARD",
    "EXPECTED",
    "MANIFEST",
    "SAMPLE",
    "WEIGHTS",
    "ModelPackage",
    "Remote",
    "find_packages",
    "load_package",
    "read_manifest",
    "weights_sha256",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where a model runs instead of here. model: its name there. token: for the Authorization header, empty for none.

    when_away: "local" runs the package's own weights here; "wait" lets the image wait until the server is back.
    """

    url: str
    model: str
    token: str = field(default="", repr=False)
    when_away: Literal["local", "wait"] = "local"
    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPackage:
    """A package whose manifest is valid and whose weights are the ones it names, and how the settings want it used.

    shadow: its answers are kept for comparison and never filed. remote: where it runs, None for here.
    """

    directory: Path
    manifest: Manifest
    shadow: bool = False
    remote: Remote | None = None

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
        manifest = Manifest.model_validate(content)
    except OSError as error:
        raise ModelInvalid(f"model package {directory.name}: {MANIFEST} cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelInvalid(f"model package {directory.name}: {MANIFEST} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        parts = [part for part in first["loc"] if part not in HEAD_KINDS]
        key = ".".join(str(part + 1) if isinstance(part, int) else part for part in parts)
        said = "there is no such key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        where = f"{MANIFEST}, {key}" if key else MANIFEST
        raise ModelInvalid(f"model package {directory.name}: {where}: {said}") from error
    for head in manifest.head:
        if not isinstance(head, LandmarksHead):
            continue
        for request in head.measurement:
            missing = missing_landmarks(request.measure, head.names)
            if missing:
                said = f"measure {request.measure} needs the landmark {missing[0]}"
                raise ModelInvalid(f"model package {directory.name}: {MANIFEST}: {said}")
    return manifest


def weights_sha256(directory: Path) -> str:
    """ModelInvalid when the weights cannot be read."""
    try:
        with (directory / WEIGHTS).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelInvalid(f"model package {directory.name}: {WEIGHTS} cannot be read ({error.strerror})") from error


def find_packages(
    extra_dir: str = "", *, trusted_keys: Sequence[str] = (), signature_required: bool = False
) -> tuple[ModelPackage, ...]:
    """The packages that are shipped inside the installed product, then those in `extra_dir`, each by name.

    A folder without `package.toml` is none. ModelInvalid for a broken package, two of one name and version, a signature that
    is missing or of none of the keys (`inference.signature`; the shipped ones are part of the product), or a missing
    `extra_dir`: a model that silently does not load would look like a study without findings.
    """
    packages = [load_package(directory) for directory in _package_folders(_shipped())]
    if extra_dir:
        if not Path(extra_dir).is_dir():
            raise ModelInvalid(f"[models] dir: there is no folder {extra_dir}")
        for directory in _package_folders(list(Path(extra_dir).iterdir())):
            require_signature(directory, trusted_keys=trusted_keys, required=signature_required)
            packages.append(load_package(directory))
    names = [f"{package.name} {package.manifest.version}" for package in packages]
    for name in names:
        if names.count(name) > 1:
            raise ModelInvalid(f"two model packages are named {name}")
    return tuple(packages)


def _shipped() -> list[Path]:
    """Beside this room, wherever that is: by its name, a folder `models` where the program was started could be meant."""
    folder = Path(__file__).parents[1] / "models"
    return list(folder.iterdir()) if folder.is_dir() else []


def _package_folders(entries: list[Path]) -> list[Path]:
    return sorted(entry for entry in entries if not entry.name.startswith(".") and (entry / MANIFEST).is_file())
