"""`alarms …`: what a person must know of, and that somebody has seen it."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from cli.common import (
    DEFAULT_FILE,
    ConfigOption,
    JsonOption,
    console,
    in_words,
    moment,
    print_json,
    print_table,
    settings_from,
)
from domain.errors import NotFound
from ledger import alarms
from node.parts import open_ledger

app = typer.Typer(help="What a person must know of without having asked.", no_args_is_help=True)


@app.command("list")
def list_alarms(config: ConfigOption = DEFAULT_FILE, json: JsonOption = False) -> None:
    """What is open, oldest first."""
    with open_ledger(settings_from(config).node).reading() as tx:
        rows = alarms.open_alarms(tx)
    if json:
        print_json([dataclasses.asdict(row) for row in rows])
        return
    print_table(
        ("alarm", "kind", "since", "seen", "what"),
        [
            (row.id, row.kind.value, in_words(moment(row.since)), in_words(moment(row.acknowledged_at)), row.text)
            for row in rows
        ],
        none="No alarm is open.",
    )


@app.command("acknowledge")
def acknowledge(
    alarm_ids: Annotated[list[int], typer.Argument(metavar="ID…", help="Numbers of `houndsfield alarms list`.")],
    config: ConfigOption = DEFAULT_FILE,
) -> None:
    """Somebody has seen these: nobody is told again. Conflicts and urgent findings are closed by it. All, or none."""
    with open_ledger(settings_from(config).node).transaction() as tx:
        for alarm_id in alarm_ids:
            if not alarms.acknowledge(tx, alarm_id):
                raise NotFound(f"there is no open alarm {alarm_id}")
    console.print(f"{len(alarm_ids)} alarm(s) acknowledged.")
