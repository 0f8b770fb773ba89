"""`config init` and `config check`."""

from __future__ import annotations

import importlib.resources
import ipaddress
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, print_json
from config.settings import Destination, Modality, Node, Settings, look_into
from delivery.destination import sender_for
from domain.errors import HoundsfieldError, SettingsInvalid, StorageUnavailable
from ledger.store import existing
from node.lines import unserved, unserved_in_words
from node.models import used_packages

app = typer.Typer(help="Write and check the settings file.", no_args_is_help=True)


@app.command("init")
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = DEFAULT_FILE,
) -> None:
    """Write a settings file with every key, its unit and its default. An existing file is left alone."""
    text = importlib.resources.files("config").joinpath("default.toml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SettingsInvalid([f"{path} exists already; it is left as it is"]) from None
    except OSError as error:
        raise SettingsInvalid([f"{path}: cannot be written ({error.strerror})"]) from error
    console.print(f"{path} written. Next: list your consoles under [[modality]] and your PACS under [[destination]].")


@app.command("check")
def check(config: ConfigOption = DEFAULT_FILE, json: JsonOption = False) -> None:
    """Say every fault in the settings, by key."""
    try:
        settings, faults = look_into(config)
        faults = [*faults, *_faults(settings)]
        hints = _hints(settings)
    except SettingsInvalid as error:
        faults, hints = error.faults, []
    if json:
        print_json({"ok": not faults, "faults": faults, "hints": hints})
    else:
        for fault in faults:
            console.print(f"fault: {fault}")
        for hint in hints:
            console.print(f"note: {hint}")
        if not faults:
            console.print(f"{config} is in order.")
    if faults:
        raise typer.Exit(1)


def _faults(settings: Settings) -> list[str]:
    """What only the machine knows, such as folders that cannot be written, and what only the whole shows."""
    faults = []
    data_dir = settings.node.data_dir
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        probe = data_dir / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        faults.append(f"node.data_dir: {data_dir} cannot be written ({error.strerror})")
    try:
        used_packages(settings)
    except HoundsfieldError as error:
        faults.append(f"models: {error}")
    faults += [f"[[destination]] {to.name}: {said}" for to in settings.destination for said in _faults_of(to, settings)]
    return faults + [
        f'[[modality]] {one.name}: never recognised, since "{other.name}" before it has its ae_title, called_ae and host'
        for number, one in enumerate(settings.modality)
        for other in settings.modality[:number]
        if _is_taken_for(one, other, settings.node)
    ]


def _faults_of(to: Destination, settings: Settings) -> Iterator[str]:
    if to.ca_file is not None:
        try:
            ssl.create_default_context(cafile=to.ca_file)
        except ssl.SSLError:
            yield f"ca_file: {to.ca_file} holds no certificate (PEM)"
        except OSError as error:
            yield f"ca_file: {to.ca_file} cannot be read ({error.strerror})"
    if to.kind == "folder":
        try:
            sender_for(to, calling_ae=settings.node.ae_title).check()
        except HoundsfieldError as error:
            yield f"path: {error}"


def _is_taken_for(one: Modality, other: Modality, node: Node) -> bool:
    """Whether whoever calls like `one` is admitted as `other`."""
    titles = [(each.ae_title, each.called_ae or node.ae_title) for each in (one, other)]
    if titles[0] != titles[1] or other.host is None:
        return titles[0] == titles[1]
    if one.host is None:
        return False
    ours, theirs = (ipaddress.ip_network(each, strict=False) for each in (one.host, other.host))
    return ours.version == theirs.version and ours.subnet_of(theirs)  # type: ignore[arg-type]  # of one version


def _hints(settings: Settings) -> list[str]:
    """What is allowed and probably not meant."""
    hints = []
    if not settings.modality:
        hints.append("no [[modality]] is listed: every caller will be refused")
    if not settings.destination:
        hints.append("no [[destination]] is listed: results stay on this machine")
    if settings.node.trusted_proxies:
        hints.append(
            "node.trusted_proxies: a caller whose proxy sends no PROXY protocol header of version 2 is admitted by its "
            "AE title alone, whatever host its [[modality]] has"
        )
    return [*hints, *_same_place(settings.destination), *_unserved(settings)]


def _same_place(destinations: Sequence[Destination]) -> Iterator[str]:
    first: dict[tuple[object, ...], str] = {}
    for to in destinations:
        place = (to.kind, to.ae_title, to.host.lower(), to.port if to.kind == "dimse" else 0, to.url, to.path)
        if place in first:
            yield f"[[destination]] {to.name} is in the same place as {first[place]}: it gets the documents of both"
        first.setdefault(place, to.name)


def _unserved(settings: Settings) -> list[str]:
    """What waits for somebody who left the settings."""
    try:
        ledger = existing(settings.node.data_dir, database_url=settings.node.database_url)
    except StorageUnavailable as error:
        return [f"the ledger cannot be looked into: {error}"]
    if ledger is None:
        return []
    with ledger.reading() as tx:
        said = [unserved_in_words(name, count) for name, count in unserved(tx, settings).items()]
    ledger.close()
    return said
