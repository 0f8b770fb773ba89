"""What the commands share: the settings option, JSON on request, tables for a person."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from config.settings import Settings, load
from domain.errors import SettingsInvalid

DEFAULT_FILE = Path("houndsfield.toml")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="Settings file (see `houndsfield config init`).", envvar="HOUNDSFIELD_CONFIG")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of text for a person.")]

# What is printed are sentences with [[keys]] and paths in them, never markup; a pipe gets lines that are not broken.
console = Console(highlight=False, soft_wrap=True, markup=False, width=None if sys.stdout.isatty() else 1000)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def settings_from(path: Path) -> Settings:
    if not path.exists():
        raise SettingsInvalid([f"{path}: there is no such settings file; write one with: houndsfield config init {path}"])
    return load(path)


def print_json(content: Any) -> None:
    print(json.dumps(content, ensure_ascii=False, indent=2))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, none: str) -> None:
    """A table, or one sentence when there is nothing to show."""
    if not rows:
        console.print(none)
        return
    table = Table(box=None, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=not console.is_terminal)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table)


def in_words(moment: str | None) -> str | None:
    """What `moment` says, for a person: 2026-11-22 22:31:05 UTC."""
    return None if moment is None else moment.replace("T", " ").replace("+00:00", " UTC")


def moment(seconds: float | None) -> str | None:
    """A ledger time as ISO 8601 in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="seconds")
