"""Destinations over HTTP that refuse, hang, break off, ask for patience or answer nonsense: each becomes one sentence."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from factories import dx_file
from odd_peers import SHORT_SECONDS, at_most
from peers import free_port
from pydicom import dcmread

from config.settings import Destination
from delivery.destination import sender_for
from delivery.faults import AnswerLost, PeerBusy
from delivery.result import StoreResult, StoreState
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import Document, DocumentKind, InstanceRef

KINDS = ["orthanc", "dicomweb"]
DICOM_JSON = "application/dicom+json"
Reply = tuple[int, dict[str, str], bytes]


class Server:
    """Answers by method; what it was asked stands in `requests`."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.get: Callable[[str], Reply] = lambda _path: (204, {}, b"")
        self.post: Callable[[str], Reply] = lambda _path: (200, {"Content-Type": DICOM_JSON}, b"{}")
        self.url = ""

    def posted(self) -> list[str]:
        return [path for method, path, _, _ in self.requests if method == "POST" and path != "/tools/lookup"]


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(told.get)

        def do_POST(self) -> None:
            # Orthanc is asked whether it has the object: this one never has.
            self._answer(replies(200, []) if self.path == "/tools/lookup" else told.post)

        def _answer(self, reply: Callable[[str], Reply]) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told.requests.append((self.command, self.path, dict(self.headers), body))
            status, headers, content = reply(self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    told.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def document(tmp_path: Path) -> Document:
    path = dx_file(tmp_path / "a.dcm", rows=16, columns=16)
    header = dcmread(path, stop_before_pixels=True)
    return Document(
        kind=DocumentKind.ORIGINAL,
        ref=InstanceRef(sop_class_uid=header.SOPClassUID, sop_instance_uid=header.SOPInstanceUID),
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=header.SeriesInstanceUID,
        path=path,
        sha256="0" * 64,
    )


def destination(url: str, kind: str, **more: object) -> Destination:
    return Destination.model_validate({"name": "pacs", "kind": kind, "url": url, "timeout_seconds": SHORT_SECONDS, **more})


def send(to: Destination, *documents: Document) -> list[StoreResult]:
    results: list[StoreResult] = []
    sender = sender_for(to, calling_ae="NODE")
    sender.send(documents, wanted=lambda _: True, answered=lambda _, result: results.append(result))
    return results


def replies(status: int, content: object = None, **headers: str) -> Callable[[str], Reply]:
    body = b"" if content is None else content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda _path: (status, {"Content-Type": "application/json", **headers}, body)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (301, PeerRefused, "another address"),
        (401, PeerRefused, "username, password, token"),
        (403, PeerRefused, "allow it there"),
        (404, PeerRefused, "check url"),
        (405, PeerRefused, "check url"),
        (500, AnswerLost, "error of its own"),
        (502, PeerUnavailable, "cannot answer now"),
        (503, PeerUnavailable, "cannot answer now"),
        (507, PeerUnavailable, "cannot answer now"),
    ],
)
def test_a_fault_of_the_destination_is_no_answer_about_the_object(
    document: Document, kind: str, status: int, error: type[Exception], words: str
) -> None:
    with serving() as server:
        server.post = replies(status, {"Message": "Beispiel^Rex"}, Location="https://elsewhere.example/")
        with pytest.raises(error, match=words) as caught:
            send(destination(server.url, kind), document)
        assert len(server.posted()) == 1  # tried once: waiting belongs to the ledger
    assert "Beispiel" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [400, 409, 413, 415])
def test_an_object_that_is_refused_dies_in_the_words_of_the_server_without_the_animal(
    document: Document, kind: str, status: int
) -> None:
    with serving() as server:
        server.post = replies(status, {"Message": "Bad file of Beispiel^Rex", "Details": "owner 'Anna' 초코"})
        (result,) = send(destination(server.url, kind), document)
    assert result.state is StoreState.REFUSED and result.status == status
    assert f"refused the object ({status}" in result.reason and "Bad file of …" in result.reason
    assert not any(word in result.reason + repr(result) for word in ("Rex", "Beispiel", "Anna", "초코"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("value", "low", "high"),
    [("7", 7, 7), ("999999", 3600, 3600), ("soon", 0, 0), ("date", 20, 30)],
)
def test_retry_after_is_passed_on_and_not_slept(document: Document, kind: str, value: str, low: float, high: float) -> None:
    if value == "date":
        value = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    with serving() as server, at_most(SHORT_SECONDS), pytest.raises(PeerBusy) as caught:
        server.post = replies(429, None, **{"Retry-After": value})
        send(destination(server.url, kind), document)
    assert low <= caught.value.retry_after_seconds <= high


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_there(document: Document, kind: str) -> None:
    with pytest.raises(PeerUnavailable, match="refused the connection") as caught:
        send(destination(f"http://127.0.0.1:{free_port()}", kind), document)
    assert not isinstance(caught.value, AnswerLost)


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_name_that_nobody_knows(document: Document, kind: str) -> None:
    with pytest.raises(PeerUnavailable, match="host name is not known"):
        send(destination("http://pacs.invalid", kind), document)


@pytest.mark.parametrize("kind", KINDS)
def test_silence_and_broken_answers_leave_the_fate_of_the_object_open(document: Document, kind: str) -> None:
    def silent(connection: socket.socket) -> None:
        threading.Event().wait(2 * SHORT_SECONDS)

    def breaking(connection: socket.socket) -> None:
        connection.recv(100)

    for serve in (silent, breaking):
        with listening(serve) as port, at_most(SHORT_SECONDS), pytest.raises(AnswerLost):
            send(destination(f"http://127.0.0.1:{port}", kind), document)


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            serve(connection)

    threading.Thread(target=run, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def test_what_was_answered_before_a_failure_is_heard(document: Document, tmp_path: Path) -> None:
    with serving() as server:
        server.post = lambda _path: (200 if len(server.posted()) == 1 else 503, {"Content-Type": DICOM_JSON}, b"{}")
        heard: list[StoreResult] = []
        with pytest.raises(PeerUnavailable):
            sender_for(destination(server.url, "dicomweb"), calling_ae="NODE").send(
                [document, document], wanted=lambda _: True, answered=lambda _, result: heard.append(result)
            )
    assert [result.state for result in heard] == [StoreState.STORED]


def test_credentials_are_sent_and_the_environment_has_no_say(document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with serving() as server:
        for more in ({"username": "병원", "password": "비밀"}, {"token": "secret"}):
            send(destination(server.url, "dicomweb", **more), document)
        said = [headers["Authorization"] for _, _, headers, _ in server.requests]
    assert said[0].startswith("Basic ") and said[-1] == "Bearer secret"


# STOW-RS


def stow(document: Document, sequence: str, tag: str, reason: int) -> bytes:
    item = {"00081155": {"vr": "UI", "Value": [document.ref.sop_instance_uid]}, tag: {"vr": "US", "Value": [reason]}}
    return json.dumps({sequence: {"vr": "SQ", "Value": [item]}}).encode()


@pytest.mark.parametrize(
    ("status", "sequence", "tag", "reason", "state", "words"),
    [
        (409, "00081198", "00081197", 0xA700, StoreState.POSTPONED, "out of resources"),
        (202, "00081198", "00081197", 0x0110, StoreState.POSTPONED, "processing failure"),
        (409, "00081198", "00081197", 0xC122, StoreState.REFUSED, "cannot understand"),
        (200, "00081198", "00081197", 0x0122, StoreState.REFUSED, "SOP class not supported"),
        (202, "00081199", "00081196", 0xB000, StoreState.STORED, "coerced"),
        (200, "00081199", "00081190", 0, StoreState.STORED, ""),
    ],
)
def test_stow_says_what_became_of_the_object_whatever_its_own_status(
    document: Document, status: int, sequence: str, tag: str, reason: int, state: StoreState, words: str
) -> None:
    with serving() as server:
        server.post = lambda _path: (status, {"Content-Type": DICOM_JSON}, stow(document, sequence, tag, reason))
        (result,) = send(destination(server.url, "dicomweb"), document)
        (body,) = [body for method, _, _, body in server.requests if method == "POST"]
    assert result.state is state and words in result.reason
    assert document.path.read_bytes() in body


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_that_stores_and_answers_no_queries_is_stored_to_and_not_verified(document: Document, status: int) -> None:
    with serving() as server:
        server.get = replies(status)
        sender = sender_for(destination(server.url, "dicomweb"), calling_ae="NODE")
        assert [result.state for result in send(destination(server.url, "dicomweb"), document)] == [StoreState.STORED]
        if status != 404:  # which also means: nothing there
            with pytest.raises(PeerRefused, match="url"):
                sender.found([document])


def test_a_list_of_other_objects_is_no_proof(document: Document) -> None:
    other = [{"00080018": {"vr": "UI", "Value": ["1.2.3"]}}]
    with serving() as server:
        server.get = lambda _path: (200, {"Content-Type": DICOM_JSON}, json.dumps(other).encode())
        assert sender_for(destination(server.url, "dicomweb"), calling_ae="NODE").found([document]) == frozenset()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"<html>", b"[1, 2]", b"null", b'{"a": 1}', b'"x"'])
def test_a_page_where_the_service_should_be_is_said(kind: str, content: bytes) -> None:
    with serving() as server:
        server.get = lambda _path: (200, {"Content-Type": "text/html"}, content)
        with pytest.raises(PeerRefused, match="check url"):
            sender_for(destination(server.url, kind), calling_ae="NODE").check()


# TLS


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, signed by itself; the key stands in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_tls(document: Document, certificate: Path, tmp_path: Path, kind: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(context) as server:
        server.post = replies(200, {"Status": "Success"})
        with pytest.raises(PeerRefused, match="ca_file"):
            send(destination(server.url, kind), document)
        with pytest.raises(PeerRefused, match="another host name"):
            send(destination(server.url.replace("127.0.0.1", "localhost"), kind, ca_file=certificate), document)
        with pytest.raises(PeerRefused, match="ca_file cannot be read"):
            send(destination(server.url, kind, ca_file=tmp_path / "absent.pem"), document)
        (result,) = send(destination(server.url, kind, ca_file=certificate), document)
        assert result.state is StoreState.STORED
    with serving() as plain, pytest.raises(PeerRefused, match="https only where"):
        send(destination(plain.url.replace("http:", "https:"), kind), document)
