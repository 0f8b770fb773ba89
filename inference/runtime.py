"""A model package loaded, warmed up, and asked: ONNX Runtime on the CPU. Its exceptions become ours here.

`Runtime` is what the engine asks; `inference.remote` answers to it from another machine.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from domain.errors import ModelFailed, ModelInvalid
from inference.manifest import Manifest
from inference.onnx_file import read_onnx
from inference.package import ModelPackage
from inference.tensors import prepared

Tensor = npt.NDArray[np.float32]
_ERRORS_ONLY = 3


class Runtime(Protocol):
    """One model. `predict` may be called from several threads."""

    def predict(self, planes: Tensor) -> dict[str, Tensor]:
        """planes: (n, 1, rows, columns) float32 0..1. Returns the manifest's outputs by name, n first.

        ModelFailed when it breaks; PeerUnavailable when it runs elsewhere and cannot be asked now.
        """


class OnnxRuntime:
    """One model in memory, warm: its first run is the slow one, and it happens here and not on the first image."""

    def __init__(self, package: ModelPackage, *, threads: int) -> None:
        """threads: for one run. ModelInvalid: the weights may not be loaded, do not load, or do not answer as promised."""
        self._package = package
        manifest = package.manifest
        try:
            model = package.weights.read_bytes()
        except OSError as error:
            raise ModelInvalid(f"model {package.name}: model.onnx cannot be read ({error.strerror})") from error
        if hashlib.sha256(model).hexdigest() != manifest.onnx_sha256:  # it may have changed since the package was loaded
            raise ModelInvalid(f"model {package.name}: model.onnx is not the file that package.toml names (onnx_sha256)")
        _require_trusted(package.name, model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # Threads that wait by spinning take the cores from the listener.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its fifteen exceptions have no base of their own
            raise ModelInvalid(f"model {package.name}: model.onnx does not load") from error
        names = {output.name for output in self._session.get_outputs()}
        for name in manifest.outputs:
            if name not in names:
                raise ModelInvalid(f"model {package.name}: model.onnx has no output {name}, only {', '.join(sorted(names))}")
        try:
            found = self.predict(
                np.zeros((manifest.batch, 1, manifest.input.rows, manifest.input.columns), dtype=np.float32)
            )
        except ModelFailed as error:
            takes = "; ".join(f"{one.name} {one.shape}" for one in self._session.get_inputs()) or "nothing"
            size = (manifest.input.rows, manifest.input.columns)
            gives = prepared(np.zeros((manifest.batch, 1, *size), dtype=np.float32), manifest.input).shape
            said = f"model.onnx takes {takes}, the manifest's input is {manifest.input.name} {list(gives)}"
            raise ModelInvalid(f"model {package.name}: {said}") from error
        for name, tensor in found.items():
            if not fits(tensor.shape[1:], manifest.outputs[name]):
                said = f"output {name} of model.onnx has the shape {list(tensor.shape[1:])}"
                raise ModelInvalid(f"model {package.name}: {said}, the manifest says {list(manifest.outputs[name])}")

    def predict(self, planes: Tensor) -> dict[str, Tensor]:
        manifest = self._package.manifest
        names = list(manifest.outputs)
        try:
            found = self._session.run(names, {manifest.input.name: prepared(planes, manifest.input)})
        except Exception as error:  # as above
            raise ModelFailed(f"model {self._package.name} broke while it ran") from error
        return numbers(manifest, dict(zip(names, found, strict=True)))


def numbers(manifest: Manifest, found: dict[str, npt.NDArray[np.generic]]) -> dict[str, Tensor]:
    """As float32. ModelFailed for numbers that are none: they would read as findings that are not there."""
    tensors = {name: np.asarray(tensor, dtype=np.float32) for name, tensor in found.items()}
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise ModelFailed(f"model {manifest.name} answered with numbers that are none")
    return tensors


def fits(shape: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    """0 is declared where a size varies."""
    return len(shape) == len(declared) and all(size == said or said == 0 for size, said in zip(shape, declared, strict=True))


def _require_trusted(name: str, model: bytes) -> None:
    """Nothing but the bytes that the manifest's hash covers, and nothing but operators that ONNX Runtime brings itself."""
    try:
        onnx = read_onnx(model)
    except ValueError as error:
        raise ModelInvalid(f"model {name}: model.onnx is not an ONNX file") from error
    if onnx.external_data:
        raise ModelInvalid(f"model {name}: model.onnx keeps weights in other files; save them inside it")
    if onnx.unknown_operators:
        raise ModelInvalid(
            f"model {name}: model.onnx needs operators that are not known: {', '.join(onnx.unknown_operators)}"
        )
