"""A model that runs on another machine, asked by the Open Inference Protocol v2 (KServe, Triton, MLServer), over HTTP.

Only prepared pixels leave this machine, a few hundred kilobytes without any header, and only to the address in the settings.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import requests

from domain.errors import ModelFailed, PeerUnavailable
from inference.manifest import Manifest
from inference.package import Remote
from inference.runtime import Runtime, fits, numbers
from inference.tensors import prepared

Tensor = npt.NDArray[np.float32]

AGAIN_SECONDS = 10.0  # a server that was away is not asked again for so long while there is a fallback


class RemoteRuntime:
    """Nothing is asked before the first image: a server that is away must not keep the node from starting."""

    def __init__(self, manifest: Manifest, remote: Remote, *, fallback: Runtime | None) -> None:
        self._manifest = manifest
        self._remote = remote
        self._fallback = fallback
        self._url = f"{remote.url.rstrip('/')}/v2/models/{remote.model}/infer"
        self._away_until = 0.0  # monotonic

    def predict(self, planes: Tensor) -> dict[str, Tensor]:
        if self._fallback is not None and time.monotonic() < self._away_until:
            return self._fallback.predict(planes)
        try:
            return self._ask(planes)
        except PeerUnavailable:
            if self._fallback is None:
                raise
            self._away_until = time.monotonic() + AGAIN_SECONDS
            return self._fallback.predict(planes)

    def _ask(self, planes: Tensor) -> dict[str, Tensor]:
        tensor = prepared(planes, self._manifest.input)
        content: Any = {
            "inputs": [
                {
                    "name": self._manifest.input.name,
                    "shape": list(tensor.shape),
                    "datatype": "FP32",
                    "data": tensor.ravel().tolist(),
                }
            ],
            "outputs": [{"name": name} for name in self._manifest.outputs],
        }
        headers = {"Authorization": f"Bearer {self._remote.token}"} if self._remote.token else {}
        try:
            response = requests.post(
                self._url, json=content, headers=headers, timeout=self._remote.timeout_seconds, allow_redirects=False
            )
        except requests.RequestException as error:
            raise PeerUnavailable(f"the inference server of model {self._manifest.name} does not answer") from error
        if response.status_code in (429, 502, 503, 504):
            raise PeerUnavailable(
                f"the inference server of model {self._manifest.name} is not ready ({response.status_code})"
            )
        if response.status_code != 200:
            raise ModelFailed(f"the inference server refuses model {self._manifest.name} ({response.status_code})")
        return numbers(self._manifest, self._outputs(response, count=len(planes)))

    def _outputs(self, response: requests.Response, *, count: int) -> dict[str, npt.NDArray[np.generic]]:
        """ModelFailed for an answer that is not what the manifest promises."""
        broken = ModelFailed(f"the inference server gives model {self._manifest.name} other outputs than its own")
        try:
            given: list[dict[str, Any]] = response.json()["outputs"]
            found: dict[str, npt.NDArray[np.generic]] = {
                str(one["name"]): np.asarray(one["data"], dtype=np.float32).reshape([int(size) for size in one["shape"]])
                for one in given
            }
        except (ValueError, KeyError, TypeError) as error:
            raise broken from error
        for name, declared in self._manifest.outputs.items():
            tensor = found.get(name)
            if tensor is None or tensor.shape[:1] != (count,) or not fits(tensor.shape[1:], declared):
                raise broken
        return {name: found[name] for name in self._manifest.outputs}
