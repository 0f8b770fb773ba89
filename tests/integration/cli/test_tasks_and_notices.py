"""What a person is told first, and what a person can do: a PACS that is down, one that left, a full disk, a test notice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from commandline import Houndsfield, one_sentence
from factories import dx_file
from nodes import write_settings
from odd_peers import scp
from peers import free_port
from structlog.testing import capture_logs

import cli.status
from config.settings import load
from domain.types import DeliveryState, Document, DocumentKind, InstanceRef
from ledger import documents, peers, schema, tasks
from ledger.store import Ledger
from node.parts import require_startable


def owing(folder: Path, *names: str, count: int = 2) -> Ledger:
    """The ledger of a node in `folder`, which knows a PACS called "pacs" alone."""
    ledger = Ledger(
        load(write_settings(folder, port=free_port(), destinations=[("pacs", "PACS", free_port())])).node.data_dir
    )
    path = dx_file(folder / "a.dcm")
    with ledger.transaction() as tx:
        for number in range(count):
            ref = InstanceRef(sop_class_uid="1.2", sop_instance_uid=f"2.25.{number}")
            kind = DocumentKind.ORIGINAL
            uids = {"study_instance_uid": "2.25.99", "series_instance_uid": "2.25.98"}
            documents.owe(tx, Document(kind=kind, ref=ref, path=path, sha256="0" * 64, **uids), names)
    return ledger


def states(ledger: Ledger) -> dict[str, set[DeliveryState]]:
    found: dict[str, set[DeliveryState]] = {}
    with ledger.reading() as tx:
        for row in documents.deliveries(tx, "2.25.99"):
            found.setdefault(row.destination, set()).add(row.state)
    return found


def test_what_waits_for_a_destination_that_left_is_said_and_can_be_given_up(
    houndsfield: Houndsfield, tmp_path: Path
) -> None:
    ledger = owing(tmp_path, "old-pacs", "pacs")
    with ledger.transaction() as tx:
        peers.unavailable(tx, "old-pacs", error="no answer")
    said = houndsfield("status")
    assert said.out.startswith(
        "old-pacs is not in the settings any more, and 2 task(s) wait for it for ever: put it back, or"
    )
    assert "NOT IN THE SETTINGS" in said.out
    assert houndsfield("status", "--json").json["unserved"] == {"old-pacs": 2}
    assert "old-pacs is not in the settings any more, and 2 task(s)" in " ".join(
        houndsfield("config", "check", "--json").json["hints"]
    )
    with capture_logs() as logs:
        require_startable(load(tmp_path / "houndsfield.toml"))
    assert any("old-pacs is not in the settings any more" in entry["event"] for entry in logs)
    retried = houndsfield("tasks", "retry", "--to", "old-pacs")
    assert one_sentence(retried)
    assert "put it back" in retried.err
    done = houndsfield("tasks", "cancel", "--to", "old-pacs")
    assert (done.status, done.out) == (0, "2 task(s) for old-pacs are cancelled.\n")
    assert states(ledger) == {"old-pacs": {DeliveryState.CANCELLED}, "pacs": {DeliveryState.PENDING}}
    assert "old-pacs" not in houndsfield("status").out
    again = houndsfield("tasks", "cancel", "--to", "old-pacs")
    assert one_sentence(again)
    assert "no destination is called old-pacs" in again.err
    ledger.close()


def test_all_that_a_configured_destination_is_owed_can_be_given_up_in_portions(
    houndsfield: Houndsfield, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.interventions.AT_ONCE", 2)
    ledger = owing(tmp_path, "pacs", count=5)
    with ledger.transaction() as tx:
        held = tasks.claim(tx, "delivery", connections={"pacs": 1})
        assert held
        tasks.bury(tx, held, error="refused")
    assert houndsfield("tasks", "cancel", "--to", "pacs").out == "5 task(s) for pacs are cancelled.\n"
    assert states(ledger) == {"pacs": {DeliveryState.CANCELLED}}
    assert houndsfield("tasks", "cancel", "--to", "pacs").out == "0 task(s) for pacs are cancelled.\n"
    for wrong in ((), ("1", "--to", "pacs"), ("--to", "nobody")):
        assert one_sentence(houndsfield("tasks", "cancel", *wrong))
    ledger.close()


def test_a_destination_that_is_down_is_said_first_with_its_next_try_and_can_be_called_now(
    houndsfield: Houndsfield, tmp_path: Path
) -> None:
    ledger = owing(tmp_path, "pacs")
    with ledger.transaction() as tx:
        held = tasks.claim(tx, "delivery", connections={"pacs": 1})
        assert held
        for _ in range(8):
            pause_seconds = peers.unavailable(tx, "pacs", error="nobody answers there")
        tasks.postpone(tx, held, seconds=pause_seconds)
        for row in tasks.owed(tx):
            assert row.run_at <= tx.now + pause_seconds
    report = houndsfield("status", "--json").json
    (said,) = report["attention"]
    next_try = report["destinations"][0]["next_try_at"].replace("T", " ").replace("+00:00", " UTC")
    assert said.startswith("pacs IS DOWN since ") and f"2 document(s) wait, next try {next_try}. nobody answers" in said
    assert houndsfield("status").out.startswith(said)
    assert houndsfield("tasks", "retry", "--to", "pacs").out == "pacs is called now: 2 task(s) wait for it.\n"
    with ledger.transaction() as tx:
        assert tasks.claim(tx, "delivery", connections={"pacs": 1})
    ledger.close()


def test_a_node_that_refuses_images_is_not_well_and_says_so_first(
    houndsfield: Houndsfield, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scp() as listener:
        ledger = Ledger(load(write_settings(tmp_path, port=listener.port)).node.data_dir)
        with ledger.transaction() as tx:
            peers.beat(tx, "worker@here", note="analysis delivery")
        for free_megabytes, well in ((2001, True), (1999, False)):
            disk = SimpleNamespace(free=free_megabytes * 1_000_000, total=10**12)
            monkeypatch.setattr(cli.status.shutil, "disk_usage", lambda _path, disk=disk: disk)
            done = houndsfield("status")
            assert (done.status == 0) is well
            assert done.out.startswith("IMAGES ARE REFUSED: the disk of data_dir has 1999 MB left") is not well
        assert houndsfield("status", "--json").json["refusing_images"] is True
    ledger.close()


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ("", "Retention   nothing is deleted by itself: see [retention]"),
        (
            "[retention]\nanalysed_days = 1\ndeclined_days = 0.5\n",
            "Retention   deleted after days: ANALYSED 1, DECLINED 0.5, FAILED never; due now: 1",
        ),
    ],
)
def test_status_says_what_is_deleted_when_and_how_much_is_due(
    houndsfield: Houndsfield, tmp_path: Path, days: str, said: str
) -> None:
    ledger = Ledger(load(write_settings(tmp_path, port=free_port(), more=days)).node.data_dir)
    with ledger.transaction() as tx:
        for uid, age_days in (("2.25.1", 2), ("2.25.2", 0)):
            received_at = tx.now - age_days * 86_400
            row = {"study_instance_uid": uid, "state": "ANALYSED", "revision": 1, "last_received_at": received_at}
            tx.connection.execute(sa.insert(schema.study).values(row | {"first_received_at": received_at}))
    ledger.close()
    assert said in houndsfield("status").out
    due = 1 if days else 0
    assert houndsfield("status", "--json").json["retention"]["studies_due"] == due


def test_config_check_says_at_once_what_only_the_machine_shows(houndsfield: Houndsfield, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    pacs = 'kind = "dimse"\nae_title = "PACS"\nhost = "192.0.2.1"'
    web = 'kind = "orthanc"\nurl = "https://192.0.2.2"'
    blocks = {
        "destination": [
            f'name = "one"\n{pacs}',
            f'name = "two"\n{pacs}',
            f'name = "web"\n{web}\nca_file = "absent.pem"',
            f'name = "web2"\n{web}\nca_file = "empty.pem"',
            'name = "nas"\nkind = "folder"\npath = "nas"',
        ],
        "modality": [
            'name = "room"\nae_title = "DR"\nhost = "192.0.2.0/24"',
            'name = "room-2"\nae_title = "DR"\nhost = "192.0.2.9"',
            'name = "room-3"\nae_title = "DR"\nhost = "192.0.2.9"\ncalled_ae = "OTHER"',
            'name = "room-4"\nae_title = "DR"\nhost = "198.51.100.9"',
        ],
    }
    text = "".join(f"[[{section}]]\n{block}\n" for section, each in blocks.items() for block in each)
    (tmp_path / "houndsfield.toml").write_text(f'[node]\nport = 0\ndata_dir = "houndsfield.toml/data"\n{text}')
    said = houndsfield("config", "check", "--json").json
    starts = (
        "node.port: ",
        "node.data_dir: ",
        "[[destination]] web: ca_file: ",
        "[[destination]] web2: ca_file: ",
        "[[destination]] nas: path: nas: the folder ",
        '[[modality]] room-2: never recognised, since "room" before it',
    )
    assert [next(start for start in starts if fault.startswith(start)) for fault in said["faults"]] == list(starts)
    assert [hint for hint in said["hints"] if "same place" in hint] == [
        "[[destination]] two is in the same place as one: it gets the documents of both",
        "[[destination]] web2 is in the same place as web: it gets the documents of both",
    ]
    assert not (tmp_path / "data").exists()


def test_config_check_makes_no_ledger(houndsfield: Houndsfield, tmp_path: Path) -> None:
    write_settings(tmp_path, port=free_port())
    assert houndsfield("config", "check").status == 0
    assert list((tmp_path / "data").iterdir()) == []


@contextmanager
def webhook() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Takes whatever is posted: its port, and what came."""
    kept: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1], kept
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_a_test_notice_goes_through_each_and_says_which_did_not_go_out(houndsfield: Houndsfield, tmp_path: Path) -> None:
    settings = write_settings(tmp_path, port=free_port())
    nobody = houndsfield("notify", "test")
    assert nobody.status == 1
    assert "nobody is told" in nobody.out
    with webhook() as (port, kept), settings.open("a") as file:
        for name, at in (("it", port), ("vet", free_port())):
            print(f'[[notify]]\nname = "{name}"\nkind = "webhook"\nurl = "http://127.0.0.1:{at}/"', file=file, flush=True)
        said = houndsfield("notify", "test")
        assert [(each["sent"]) for each in houndsfield("notify", "test", "--json").json] == [True, False]
    assert said.status == 1
    assert said.out.splitlines()[0] == "it: sent; see whether it arrives"
    assert said.out.splitlines()[1].startswith("vet: NOT SENT: webhook of [[notify]] vet cannot be reached")
    assert [(each["event"], each["node"]) for each in kept] == [("test", "HOUNDSFIELD")] * 2
