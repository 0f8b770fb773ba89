"""`backup`: a consistent copy of the node while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, print_json, settings_from
from domain.errors import StorageUnavailable
from ledger.backup import back_up
from node.parts import open_ledger


def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is empty or not there yet.")],
    config: ConfigOption = DEFAULT_FILE,
    json: JsonOption = False,
) -> None:
    """Copy the ledger and every file it names, while the node runs. docs/backup.md says how to restore it."""
    ledger = open_ledger(settings_from(config).node)
    done = back_up(ledger, folder)
    ledger.close()
    if json:
        print_json({"folder": str(folder), "files": done.files, "bytes": done.size_bytes, "missing": done.missing})
    else:
        console.print(f"{folder}: the ledger and {done.files} files, {done.size_bytes / 1e9:.2f} GB")
    if done.missing:
        raise StorageUnavailable(
            f"{done.missing} files that the ledger names are not in the data folder, hence not in the copy: see `status`"
        )
