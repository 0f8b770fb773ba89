"""ONNX Runtime on the CPU: a model package loaded, warmed up, and asked. Its exceptions become ours here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime

from domain.errors import ModelFailed, ModelInvalid
from inference.package import ModelPackage

Tensor = npt.NDArray[np.float32]
_ERRORS_ONLY = 3


class Runtime:
    """One model in memory. `predict` may be called from several threads."""

    def __init__(self, package: ModelPackage, *, threads: int) -> None:
        """threads: for one run. ModelInvalid when the weights do not load or do not answer to the manifest's input."""
        self._package = package
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # Threads that wait by spinning take the cores from the listener.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                package.weights.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelInvalid(f"model {package.name}: model.onnx does not load") from error
        manifest = package.manifest
        names = {output.name for output in self._session.get_outputs()}
        for name in manifest.outputs:
            if name not in names:
                raise ModelInvalid(f"model {package.name}: model.onnx has no output {name}")
        try:  # the first run is also the slow one: it happens here and not on the first image
            found = self.predict(np.zeros((2, 1, manifest.input.rows, manifest.input.columns), dtype=np.float32))
        except ModelFailed as error:
            raise ModelInvalid(f"model {package.name}: model.onnx does not take the manifest's input") from error
        for name, tensor in found.items():
            if tensor.shape[1:] != manifest.outputs[name]:
                said = f"output {name} of model.onnx has the shape {list(tensor.shape[1:])}"
                raise ModelInvalid(f"model {package.name}: {said}, the manifest says {list(manifest.outputs[name])}")

    def predict(self, planes: Tensor) -> dict[str, Tensor]:
        """planes: (n, 1, rows, columns) float32 0..1. Returns the manifest's outputs by name. ModelFailed when it breaks."""
        names = list(self._package.manifest.outputs)
        try:
            found = self._session.run(names, {self._package.manifest.input.name: planes})
        except Exception as error:
            raise ModelFailed(f"model {self._package.name} broke while it ran") from error
        tensors = {name: np.asarray(tensor, dtype=np.float32) for name, tensor in zip(names, found, strict=True)}
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise ModelFailed(f"model {self._package.name} answered with numbers that are none")
        return tensors
