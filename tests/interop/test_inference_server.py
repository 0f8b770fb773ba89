"""The shipped heart model on a real MLServer, asked by the Open Inference Protocol."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import requests
from peers import free_port, running

from domain.errors import PeerUnavailable
from domain.types import Outcome, Species
from inference.engine import Engine
from inference.package import Remote, load_package
from inference.remote import RemoteRuntime
from inference.runtime import OnnxRuntime
from phantoms.study import make_study

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = load_package(Path(str(resources.files("models"))) / "canine-thorax-vhs")

RUNTIME = """
import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxModel(MLModel):
    async def load(self):
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        given = {one.name: NumpyCodec.decode_input(one).astype(np.float32) for one in payload.inputs}
        names = [one.name for one in payload.outputs]
        found = self.session.run(names, given)
        outputs = [NumpyCodec.encode_output(name, value) for name, value in zip(names, found)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""


@pytest.fixture(scope="module")
def mlserver() -> str:
    """`scripts/test` makes it where PyPI can be reached; a network without it, as of the tests themselves, cannot."""
    done = subprocess.run([ROOT / "scripts" / "mlserver"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        give_up = pytest.fail if os.environ.get("HOUNDSFIELD_REQUIRE_INTEROP") == "1" else pytest.skip
        give_up(f"MLServer is not here: {done.stderr.strip().splitlines()[-1]}")
    return str(ROOT / ".cache" / "mlserver" / "bin" / "mlserver")


@contextmanager
def serving(command: str, folder: Path, port: int) -> Iterator[None]:
    folder.mkdir()
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", "parallel_workers": 0, **ports}))
    model = {"name": "heart", "implementation": "onnx_model.OnnxModel", "parameters": {"uri": str(SHIPPED.weights)}}
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "onnx_model.py").write_text(RUNTIME)

    def ready() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/v2/models/heart/ready", timeout=1).status_code == 200
        except requests.RequestException:
            return False

    with running([command, "start", str(folder)], folder=folder, answers=ready):
        yield


def test_a_real_server_gives_the_same_answer_and_is_waited_for(mlserver: str, tmp_path: Path) -> None:
    port = free_port()
    remote = Remote(url=f"http://127.0.0.1:{port}", model="heart", when_away="wait", timeout_seconds=60)
    engine = Engine([replace(SHIPPED, remote=remote)], threads=1)
    (film,) = make_study(31, directory=tmp_path, rows=512, columns=640, views=("lateral-right",))
    with pytest.raises(PeerUnavailable):
        engine.answer(film, assumed_species=Species.DOG)
    with serving(mlserver, tmp_path / "server", port):
        planes = np.random.default_rng(1).random((2, 1, 256, 320), dtype=np.float32)
        there = RemoteRuntime(SHIPPED.manifest, remote, fallback=None).predict(planes)
        here = OnnxRuntime(SHIPPED, threads=1).predict(planes)
        for name, value in here.items():
            np.testing.assert_allclose(there[name], value, atol=1e-3)
        answer = engine.answer(film, assumed_species=Species.DOG)
    assert answer.outcome is Outcome.ANALYSED
    assert answer.models[0].findings[0].measurements == _measured_here(film)
    with pytest.raises(PeerUnavailable):
        engine.answer(film, assumed_species=Species.DOG)


def _measured_here(film: Path) -> tuple[object, ...]:
    (model,) = Engine([SHIPPED], threads=1).answer(film, assumed_species=Species.DOG).models
    measurements = model.findings[0].measurements
    assert measurements
    return measurements
