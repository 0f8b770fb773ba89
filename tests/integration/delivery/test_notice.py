"""Mail and webhook against real servers on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from peers import free_port

from config.settings import Notify
from delivery.notice import send_notice
from domain.errors import PeerRefused, PeerUnavailable

CONTENT = {"event": "disk", "text": "Disk: 1 GB free."}


class _Kept(MessageHandler):
    def __init__(self, answer: str | None = None) -> None:
        super().__init__()
        self.kept: list[Message] = []
        self.answer = answer

    def handle_message(self, message: Message) -> None:
        self.kept.append(message)

    async def handle_RCPT(  # noqa: N802  the SMTP verb, aiosmtpd calls it
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.answer:
            return self.answer
        envelope.rcpt_tos.append(address)
        return "250 OK"


@contextmanager
def smtp(handler: _Kept) -> Iterator[Notify]:
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield Notify(
            name="it",
            kind="mail",
            host="127.0.0.1",
            port=controller.port,
            sender="houndsfield@clinic.example",
            recipients=("it@clinic.example", "vet@clinic.example"),
            timeout_seconds=5,
        )
    finally:
        controller.stop()


@contextmanager
def webhook(status: int) -> Iterator[tuple[Notify, list[dict[str, Any]]]]:
    kept: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.append({"path": self.path, "authorization": self.headers["Authorization"], "json": json.loads(body)})
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/hook?key=secret"
    try:
        yield Notify(name="hook", kind="webhook", url=url, token="token-1", timeout_seconds=5), kept  # noqa: S106  our own
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tell(to: Notify) -> None:
    send_notice(to, subject="Houndsfield: disk", text="Disk: 1 GB free.\n", content=CONTENT)


def test_a_mail_arrives_with_everybody_in_it() -> None:
    handler = _Kept()
    with smtp(handler) as to:
        tell(to)
    (mail,) = handler.kept
    assert mail["Subject"] == "Houndsfield: disk"
    assert mail["To"] == "it@clinic.example, vet@clinic.example"
    assert str(mail.get_payload()).splitlines() == ["Disk: 1 GB free."]


@pytest.mark.parametrize(("answer", "raised"), [("550 no such user", PeerRefused), ("451 try again later", PeerUnavailable)])
def test_a_refused_mail_is_told_apart_from_one_for_later(answer: str, raised: type[Exception]) -> None:
    handler = _Kept(answer)
    with smtp(handler) as to, pytest.raises(raised, match=r"refused every recipient of \[\[notify\]\] it"):
        tell(to)
    assert not handler.kept


def test_a_server_without_starttls_is_refused_in_words() -> None:
    with smtp(_Kept()) as to, pytest.raises(PeerRefused, match="STARTTLS"):
        tell(to.model_copy(update={"security": "starttls"}))


def test_no_mail_server_is_an_outage() -> None:
    to = Notify(
        name="it", kind="mail", host="127.0.0.1", port=free_port(), sender="a@b.example", recipients=("c@d.example",)
    )
    with pytest.raises(PeerUnavailable, match="cannot be reached"):
        tell(to)


def test_a_webhook_gets_json_and_its_token() -> None:
    with webhook(204) as (to, kept):
        tell(to)
    assert kept == [{"path": "/hook?key=secret", "authorization": "Bearer token-1", "json": CONTENT}]


@pytest.mark.parametrize(
    ("status", "raised"), [(400, PeerRefused), (302, PeerRefused), (503, PeerUnavailable), (429, PeerUnavailable)]
)
def test_a_webhook_that_does_not_take_it_is_said_without_its_address(status: int, raised: type[Exception]) -> None:
    with webhook(status) as (to, _), pytest.raises(raised) as caught:
        tell(to)
    assert str(status) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_no_webhook_server_is_an_outage() -> None:
    to = Notify(name="hook", kind="webhook", url=f"http://127.0.0.1:{free_port()}/?key=secret")
    with pytest.raises(PeerUnavailable, match="cannot be reached") as caught:
        tell(to)
    assert "secret" not in str(caught.value)
