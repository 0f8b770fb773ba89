"""`send` and `echo`: the node as a peer of others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, errors, print_json, print_table, settings_from
from config.settings import Destination, Node
from delivery.destination import sender_for
from delivery.echo import VERIFIED_BY, Capability, sop_class_of
from delivery.result import StoreResult, StoreState
from delivery.send import Skipped, send_files
from domain.errors import HoundsfieldError, NotFound, SettingsInvalid
from domain.types import Language, Peer

_ADDRESS = re.compile(r"(?P<ae>[^@]{1,16})@(?P<host>[^@:]+|\[[^\]]+\]):(?P<port>\d{1,5})")


def peer_from(address: str, *, calling_ae: str, option: str = "--to") -> Peer:
    """`AE@HOST:PORT`"""
    match = _ADDRESS.fullmatch(address)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise SettingsInvalid([f"{option}: {address!r} is not AE@HOST:PORT, such as PACS@192.0.2.10:104"])
    return Peer(ae_title=match["ae"], host=match["host"].strip("[]"), port=int(match["port"]), calling_ae=calling_ae)


def send(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders.", exists=True)],
    to: Annotated[str, typer.Option("--to", metavar="AE@HOST:PORT", help="Who is called.")],
    calling_ae: Annotated[str, typer.Option("--from", metavar="AE", help="AE title to call with.")] = "HOUNDSFIELD_SEND",
    timeout_seconds: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds without an answer.")] = 30.0,
    json: JsonOption = False,
) -> None:
    """Behave like a modality: C-STORE of files as they are."""
    peer = peer_from(to, calling_ae=calling_ae)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        bar = progress.add_task("Sending", total=None)

        def heard(what: StoreResult | Skipped) -> None:
            progress.update(bar, advance=1, description=f"Sending {what.path.name}")

        sent = send_files(paths, peer, timeout_seconds=timeout_seconds, progress=heard)
    stored = [result for result in sent.results if result.state is StoreState.STORED]
    if json:
        print_json(
            {
                "objects": [
                    {
                        "path": str(result.path),
                        "sop_instance_uid": result.sop_instance_uid,
                        "state": result.state.value,
                        "status": result.status,
                        "reason": result.reason,
                        "comment": result.comment,
                    }
                    for result in sent.results
                ],
                "skipped": [{"path": str(item.path), "reason": item.reason} for item in sent.skipped],
            }
        )
    else:
        for item in sent.skipped:
            console.print(f"skipped {item.path}: {item.reason}")
        for result in sent.results:
            if result.reason:
                said = f" ({result.comment})" if result.comment else ""
                console.print(f"{result.state.value} {result.path.name}: {result.reason}{said}")
        console.print(f"{len(stored)} of {len(sent.results)} objects stored by {to}.")
    if not sent.results or len(stored) < len(sent.results):
        raise typer.Exit(1)


def echo(
    names: Annotated[list[str] | None, typer.Argument(metavar="[DESTINATION…]", help="Default: all of them.")] = None,
    config: ConfigOption = DEFAULT_FILE,
    json: JsonOption = False,
) -> None:
    """Ask destinations whether they answer, and what they accept; nothing is sent there to stay."""
    settings = settings_from(config)
    known = {to.name: to for to in settings.destination}
    for name in names or []:
        if name not in known:
            raise NotFound(f"no [[destination]] is called {name!r}; known: {', '.join(known) or 'none'}")
    report = [_asked(known[name], settings.node) for name in names or list(known)]
    if json:
        print_json(report)
    else:
        _print(report)
    if not report or any(entry["error"] for entry in report):
        raise typer.Exit(1)


def _asked(to: Destination, node: Node) -> dict[str, object]:
    entry: dict[str, object] = {"name": to.name, "kind": to.kind, "answers": False, "error": None, "says": ""}
    entry |= {"accepts": [], "warnings": []}
    try:
        check = sender_for(to, calling_ae=node.ae_title).check()
    except HoundsfieldError as error:
        return entry | {"error": str(error)}
    services = check.capabilities
    return entry | {
        "answers": True,
        "says": check.says,
        "warnings": _not_taken(to, services, node.language) if services else [],
        "accepts": [
            {
                "sop_class_uid": service.sop_class_uid,
                "name": service.name,
                "transfer_syntaxes": [{"uid": syntax.uid, "name": syntax.name} for syntax in service.transfer_syntaxes],
            }
            for service in services
        ],
    }


def _not_taken(to: Destination, services: Sequence[Capability], language: Language) -> list[str]:
    """A sentence for each document that the settings send there, and each way to verify it, that the peer does not take."""
    taken = {service.sop_class_uid for service in services if service.accepted}
    names = {service.sop_class_uid: service.name for service in services}
    wanted = {kind: sop_class_of(kind, to.style(language)) for kind in to.wanted}
    warnings = [
        f'{to.name} does not take {names[uid]}: enable it there, or leave "{kind.value}" out of its documents'
        for kind, uid in wanted.items()
        if uid is not None and uid not in taken
    ]
    verifier = VERIFIED_BY.get(to.verify)
    if verifier is not None and verifier not in taken:
        warnings.append(f"{to.name} does not take {names[verifier]}: enable it there, or set verify to another value")
    return warnings


def _print(report: list[dict[str, object]]) -> None:
    if not report:
        console.print("No [[destination]] is configured.")
    for entry in report:
        said = f"answers; {entry['says']}" if entry["answers"] else f"DOES NOT ANSWER: {entry['error']}"
        console.print(f"{entry['name']}: {said}")
        warnings = entry["warnings"]
        for warning in warnings if isinstance(warnings, list) else []:
            console.print(f"warning: {warning}")
        services = entry["accepts"]
        if isinstance(services, list) and services:
            print_table(
                ("SOP class", "accepted transfer syntaxes"),
                [
                    (item["name"], ", ".join(syntax["name"] for syntax in item["transfer_syntaxes"]) or "NOT ACCEPTED")
                    for item in services
                ],
                none="",
            )
