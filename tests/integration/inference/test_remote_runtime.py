"""A model on another machine: what is asked, what is believed, and what happens while the server is away."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import dx_file
from model_factory import FIXED_VHS, heart_outputs, heart_package
from peers import free_port

from domain.errors import ModelFailed, PeerUnavailable
from domain.types import Outcome, Species
from inference import remote as remote_module
from inference.engine import Engine
from inference.package import ModelPackage, Remote, load_package
from inference.remote import RemoteRuntime

PLANES = np.linspace(0, 1, 2 * 256 * 320, dtype=np.float32).reshape(2, 1, 256, 320)


class Server:
    """Answers every request with `status` and `content`, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.content: Any = good()
        self.asked: list[tuple[str, str | None, Any]] = []

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[str]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, self.headers["Authorization"], body))
                content = outer.content if isinstance(outer.content, bytes) else json.dumps(outer.content).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        with HTTPServer(("127.0.0.1", port), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()


def good() -> dict[str, Any]:
    return {
        "model_name": "heart",
        "outputs": [
            {"name": name, "shape": list(value.shape), "datatype": "FP32", "data": value.ravel().tolist()}
            for name, value in heart_outputs().items()
        ],
    }


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return load_package(heart_package(tmp_path / "fixed-heart"))


def runtime(package: ModelPackage, url: str, **more: Any) -> RemoteRuntime:
    return RemoteRuntime(package.manifest, Remote(url=url, model="heart", **more), fallback=None)


def test_it_asks_by_the_protocol_and_returns_the_manifest_s_outputs(package: ModelPackage) -> None:
    server = Server()
    with server.listening() as url:
        found = runtime(package, url + "/", token="word").predict(PLANES)  # noqa: S106  of nothing
    ((path, authorization, body),) = server.asked
    assert (path, authorization) == ("/v2/models/heart/infer", "Bearer word")
    (given,) = body["inputs"]
    assert (given["name"], given["shape"], given["datatype"]) == ("image", [2, 1, 256, 320], "FP32")
    np.testing.assert_array_equal(np.array(given["data"], dtype=np.float32), PLANES.ravel())
    assert {one["name"] for one in body["outputs"]} == {"points", "views", "spine", "phase"}
    for name, value in heart_outputs().items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_not_ready_is_waited_for(package: ModelPackage, status: int) -> None:
    server = Server()
    server.status = status
    with server.listening() as url, pytest.raises(PeerUnavailable, match=f"not ready \\({status}\\)"):
        runtime(package, url).predict(PLANES)


def test_no_server_and_a_silent_one_are_waited_for(package: ModelPackage) -> None:
    with pytest.raises(PeerUnavailable, match="does not answer"):
        runtime(package, f"http://127.0.0.1:{free_port()}").predict(PLANES)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(PeerUnavailable, match="does not answer"):
        runtime(package, f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2).predict(PLANES)


def broken(change: str) -> Any:
    content = good()
    if change == "no JSON":
        return b"<html>"
    if change == "no outputs":
        return {"error": "no"}
    if change == "one missing":
        content["outputs"].pop()
    if change == "another shape":
        content["outputs"][0]["shape"] = [2, 2, 5]
    if change == "one image less":
        content["outputs"][0] |= {"shape": [1, 5, 2], "data": content["outputs"][0]["data"][:10]}
    if change == "too few numbers":
        content["outputs"][0]["data"].pop()
    if change == "words":
        content["outputs"][0]["data"][0] = "normal"
    if change == "no number":
        content["outputs"][0]["data"][0] = float("nan")
    return content


@pytest.mark.parametrize(
    "change",
    ["no JSON", "no outputs", "one missing", "another shape", "one image less", "too few numbers", "words", "no number"],
)
def test_an_answer_that_is_none_is_a_broken_model(package: ModelPackage, change: str) -> None:
    server = Server()
    server.content = broken(change)
    with server.listening() as url, pytest.raises(ModelFailed):
        runtime(package, url).predict(PLANES)


def test_a_refusal_is_a_broken_model(package: ModelPackage) -> None:
    server = Server()
    server.status = 404
    with server.listening() as url, pytest.raises(ModelFailed, match=r"refuses model fixed-heart \(404\)"):
        runtime(package, url).predict(PLANES)


def test_an_image_waits_where_the_settings_say_so(package: ModelPackage, tmp_path: Path) -> None:
    port = free_port()
    away = Remote(url=f"http://127.0.0.1:{port}", model="heart", when_away="wait")
    engine = Engine([replace(package, remote=away)], threads=1)  # starts without its server
    path = dx_file(tmp_path / "a.dcm", rows=512, columns=640)
    with pytest.raises(PeerUnavailable):
        engine.answer(path, assumed_species=Species.DOG)
    with Server().listening(port):
        found = engine.answer(path, assumed_species=Species.DOG)
    assert found.models[0].findings[0].measurements[0].value == round(FIXED_VHS, 1)


def test_else_it_is_answered_here_and_the_server_is_asked_again_later(
    package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    engine = Engine([replace(package, remote=Remote(url=f"http://127.0.0.1:{port}", model="heart"))], threads=1)
    path = dx_file(tmp_path / "a.dcm", rows=512, columns=640)
    assert engine.answer(path, assumed_species=Species.DOG).outcome is Outcome.ANALYSED
    server = Server()
    with server.listening(port):
        engine.answer(path, assumed_species=Species.DOG)
        assert server.asked == []  # it was away a moment ago
        now = remote_module.time.monotonic()
        monkeypatch.setattr(remote_module.time, "monotonic", lambda: now + remote_module.AGAIN_SECONDS + 1)
        engine.answer(path, assumed_species=Species.DOG)
        assert len(server.asked) == 1
