"""`config init` and `config check`."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Annotated

import typer

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, print_json
from config.settings import Settings, load
from domain.errors import HoundsfieldError, SettingsInvalid
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
        settings = load(config)
        faults = _faults(settings)
    except SettingsInvalid as error:
        settings, faults = None, error.faults
    hints = _hints(settings) if settings else []
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
    """What only the machine knows: folders that cannot be written, packages that cannot be loaded."""
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
    return faults


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
    return hints
