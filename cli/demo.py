"""`demo`: the whole way on a phantom study, all real DICOM on loopback, no server installed.

The PACS is pynetdicom's own `qrscp` application with an empty folder, the modality is what `houndsfield send` is, and the
node is `houndsfield serve`.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.common import JsonOption, console, errors, print_json
from config.settings import Settings, load
from delivery.echo import echo
from delivery.find import Whereabouts, find_filed
from delivery.send import send_files
from delivery.store import StoreState
from domain import codes, terms
from domain.errors import HoundsfieldError, PeerUnavailable
from domain.types import Document, DocumentKind, Language, Outcome, Peer
from ledger import documents, images
from ledger.images import ImageRow
from ledger.store import Ledger
from phantoms.study import make_study
from sr_writer.picture import overlay_picture

START_SECONDS = 60.0
ANSWER_SECONDS = 120.0
CALL_SECONDS = 10.0
NODE_AE, PACS_AE, MODALITY_AE = "HOUNDSFIELD", "PACS", "DRROOM1"


class DemoFailed(HoundsfieldError):
    """The demonstration did not come to its end; the sentence says where."""


def demo(
    seed: Annotated[int, typer.Option("--seed", min=0, help="The phantom study's seed.")] = 7,
    language: Annotated[Language, typer.Option("--language", help="What the results speak.")] = Language.ENGLISH,
    json: JsonOption = False,
) -> None:
    """The whole way on a synthetic study: modality → node → PACS. Prints what arrived, where it lies, how long it took."""
    folder = Path(tempfile.mkdtemp(prefix="houndsfield-demo-"))
    with ExitStack() as running, errors.status("…") as doing:
        doing.update("Making a synthetic study of a dog's thorax")
        paths = make_study(seed, directory=folder / "study")
        doing.update("Starting the PACS (qrscp) and the node (houndsfield serve)")
        pacs_port, node_port = _free_ports(2)
        settings_file = _write_settings(folder, node_port, pacs_port, language)
        running.enter_context(_process(_qrscp(folder, pacs_port), folder / "pacs.log"))
        running.enter_context(
            _process([sys.executable, "-m", "cli", "serve", "--config", str(settings_file)], folder / "node.log")
        )
        pacs = Peer(ae_title=PACS_AE, host="127.0.0.1", port=pacs_port, calling_ae=NODE_AE)
        node = Peer(ae_title=NODE_AE, host="127.0.0.1", port=node_port, calling_ae=MODALITY_AE)
        for peer, log in ((pacs, "pacs.log"), (node, "node.log")):
            _await_echo(peer, folder / log)
        doing.update(f"Sending {len(paths)} images by C-STORE")
        sent = send_files(paths, node, timeout_seconds=CALL_SECONDS)
        acknowledged_at = time.monotonic()
        refused = [result.reason for result in sent.results if result.state is not StoreState.STORED]
        if refused:
            raise DemoFailed(f"the node did not take every image: {refused[0]}")
        doing.update("Waiting for the results in the PACS")
        settings = load(settings_file)
        rows, filed = _await_results(settings, pacs, folder)
        seconds = time.monotonic() - acknowledged_at
        overlays = [_save_picture(document, folder) for document in filed if document.kind is DocumentKind.SC]
    report = _report(folder, paths, rows, filed, overlays, seconds)
    if json:
        print_json(report)
    else:
        _print(report, language)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _write_settings(folder: Path, node_port: int, pacs_port: int, language: Language) -> Path:
    path = folder / "houndsfield.toml"
    path.write_text(
        f"""[node]
ae_title = "{NODE_AE}"
host = "127.0.0.1"
port = {node_port}
data_dir = "node"
language = "{language}"

[study]
quiet_seconds = 3.0
expected_views = {{ thorax = ["right-lateral", "left-lateral", "ventrodorsal"] }}

[[modality]]
name = "demo-room"
ae_title = "{MODALITY_AE}"
host = "127.0.0.1"

[[destination]]
name = "demo-pacs"
ae_title = "{PACS_AE}"
host = "127.0.0.1"
port = {pacs_port}
""",
        encoding="utf-8",
    )
    return path


def _qrscp(folder: Path, port: int) -> list[str]:
    """qrscp reads its AE title, port and folders from an INI file."""
    store = folder / "pacs"
    store.mkdir()
    ini = folder / "pacs.ini"
    ini.write_text(
        f"""[DEFAULT]
ae_title: {PACS_AE}
port: {port}
max_pdu: 16382
acse_timeout: 30
dimse_timeout: 30
network_timeout: 60
bind_address: 127.0.0.1
instance_location: {store}
database_location: {store / "instances.sqlite"}
""",
        encoding="utf-8",
    )
    return [sys.executable, "-m", "pynetdicom", "qrscp", "--config", str(ini)]


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[None]:
    """A child that is asked to end when the block ends."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _await_echo(peer: Peer, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            echo(peer, timeout_seconds=CALL_SECONDS)
        except PeerUnavailable as error:
            if time.monotonic() > end:
                raise DemoFailed(f"{peer.ae_title} did not start; its log is {log}") from error
            time.sleep(0.1)
        else:
            return


def _await_results(settings: Settings, pacs: Peer, folder: Path) -> tuple[list[ImageRow], list[Document]]:
    """Until every image is answered, and the PACS finds every document that the ledger knows, an SR among them."""
    ledger = Ledger(settings.node.data_dir)
    end = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < end:
        with ledger.transaction() as tx:
            studies = images.studies(tx)
            rows = [row for study in studies for row in images.of_study(tx, study)]
            written = [document for study in studies for document in documents.of_study(tx, study)]
        if all(row.answer for row in rows) and any(document.kind is DocumentKind.SR for document in written):
            wanted = [
                Whereabouts(
                    study_instance_uid=document.study_instance_uid,
                    series_instance_uid=document.series_instance_uid,
                    sop_instance_uid=document.ref.sop_instance_uid,
                )
                for document in written
            ]
            found = find_filed(wanted, pacs, timeout_seconds=CALL_SECONDS)
            if len(found) == len(wanted):
                return rows, written
        time.sleep(0.05)
    raise DemoFailed(f"the results did not reach the PACS within {ANSWER_SECONDS:g} s; the logs are in {folder}")


def _save_picture(document: Document, folder: Path) -> Path:
    path = folder / f"overlay-{document.ref.sop_instance_uid[-6:]}.png"
    overlay_picture(document.path).save(path)
    return path


def _report(
    folder: Path, paths: list[Path], rows: list[ImageRow], filed: list[Document], overlays: list[Path], seconds: float
) -> dict[str, Any]:
    measured = []
    for row in rows:
        for answer in row.answer.models if row.answer else ():
            for finding in answer.findings:
                measured.append(
                    {
                        "sop_instance_uid": row.sop_instance_uid,
                        "model": f"{answer.model.name} {answer.model.version}",
                        "clinical_status": answer.model.clinical_status,
                        "outcome": finding.outcome.value,
                        "reason": terms.reason(finding.reason, Language.ENGLISH) if finding.reason else None,
                        "measurements": [
                            {
                                "concept": item.concept.meaning,
                                "value": item.value,
                                "unit": item.unit.value,
                                "lines": {name: [list(a), list(b)] for name, (a, b) in item.lines.items()},
                            }
                            for item in finding.measurements
                        ],
                    }
                )
    return {
        "folder": str(folder),
        "sent": [str(path) for path in paths],
        "images": [
            {
                "sop_instance_uid": row.sop_instance_uid,
                "view": row.answer.view.value if row.answer and row.answer.view else None,
                "outcome": row.answer.outcome.value if row.answer else Outcome.FAILED.value,
                "reason": terms.reason(row.answer.reason, Language.ENGLISH) if row.answer and row.answer.reason else None,
            }
            for row in rows
        ],
        "findings": measured,
        "pacs_holds": [
            {"kind": document.kind.value, "sop_instance_uid": document.ref.sop_instance_uid, "path": str(document.path)}
            for document in filed
        ],
        "overlays": [str(path) for path in overlays],
        "seconds_from_last_acknowledgement": round(seconds, 2),
    }


def _print(report: dict[str, Any], language: Language) -> None:
    views = {image["sop_instance_uid"]: image["view"] or "view unknown" for image in report["images"]}
    console.print(f"Sent        {len(report['sent'])} images of one synthetic study ({', '.join(views.values())})")
    for finding in report["findings"]:
        console.print(f"Result      {views[finding['sop_instance_uid']]}: ", end="")
        values = {item["concept"]: item for item in finding["measurements"]}
        score = values.get(codes.VHS.meaning)
        if score is None:
            console.print(f"{finding['outcome']}: {finding['reason']}")
            continue
        console.print(f"VHS {score['value']:.1f} vertebrae ({finding['model']}, {finding['clinical_status']})")
        for item in values.values():
            for name, ((x0, y0), (x1, y1)) in item["lines"].items():
                console.print(
                    f"              {name.replace('_', ' '):22} ({x0:.0f}, {y0:.0f}) – ({x1:.0f}, {y1:.0f})"
                    + (f"   {item['value']:.1f} {item['unit']}" if item is not score else "")
                )
    for image in report["images"]:
        if image["reason"]:
            console.print(f"Result      {views[image['sop_instance_uid']]}: {image['outcome']}: {image['reason']}")
    for held in report["pacs_holds"]:
        console.print(f"PACS holds  {held['kind']:3} {held['sop_instance_uid']} (found by C-FIND)")
    for path in report["overlays"]:
        console.print(f"Overlay     {path}")
    console.print(f"Time        {report['seconds_from_last_acknowledgement']:.2f} s from the last image's acknowledgement")
    console.print(terms.phrase("not_a_diagnosis", language))
