"""`tasks list` and `tasks retry`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, moment, print_json, print_table, settings_from
from domain.errors import NotFound
from ledger import documents, tasks
from node import interventions
from node.parts import open_ledger, open_pipeline

app = typer.Typer(help="What the node owes: waiting, running and dead tasks.", no_args_is_help=True)


@app.command("list")
def list_tasks(config: ConfigOption = DEFAULT_FILE, json: JsonOption = False) -> None:
    """What is owed, running or dead, oldest first."""
    with open_ledger(settings_from(config).node).transaction() as tx:
        rows = tasks.owed(tx)
    if json:
        print_json([dataclasses.asdict(row) for row in rows])
        return
    print_table(
        ("task", "kind", "state", "to", "of", "tries", "due", "error"),
        [
            (
                row.id,
                row.kind,
                row.state,
                row.destination,
                row.key.split(">")[0],
                row.attempts,
                moment(row.run_at),
                row.error,
            )
            for row in rows
        ],
        none="Nothing is owed.",
    )


@app.command("retry")
def retry(
    task_ids: Annotated[list[int] | None, typer.Argument(metavar="[ID…]", help="Numbers of dead tasks.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All dead tasks.")] = False,
    to: Annotated[str | None, typer.Option("--to", metavar="DESTINATION", help="The dead tasks of a destination.")] = None,
    config: ConfigOption = DEFAULT_FILE,
) -> None:
    """Run dead tasks again, from their first attempt. All that are named, or none."""
    settings = settings_from(config)
    with open_ledger(settings.node).transaction() as tx:
        if to is not None and to not in {
            *(each.name for each in settings.destination),
            *(row.destination for row in tasks.owed(tx)),
        }:
            raise NotFound(f"no destination is called {to}")
        dead = [
            row for row in tasks.owed(tx) if row.state == "dead" and (every or (to is not None and row.destination == to))
        ]
        wanted = sorted({*(task_ids or []), *(row.id for row in dead)})
        if not wanted and (every or to is not None):
            console.print("No task is dead." if to is None else f"No task of {to} is dead.")
            return
        if not wanted:
            raise NotFound("no dead task is meant: name numbers of `houndsfield tasks list`, --to a destination, or --all")
        for task_id in wanted:
            row = tasks.retry(tx, task_id)
            if row.kind == "deliver":
                documents.reopened(tx, row.key)
    console.print(f"{len(wanted)} task(s) will run again.")


@app.command("cancel")
def cancel(
    task_ids: Annotated[list[int], typer.Argument(metavar="ID…", help="Numbers of `houndsfield tasks list`.")],
    config: ConfigOption = DEFAULT_FILE,
) -> None:
    """Owe tasks no longer: all that are named, or none.

    A study whose image is cancelled says that it was not analysed; a document is not sent."""
    settings = settings_from(config)
    pipeline = open_pipeline(settings)
    for task_id, kind in zip(task_ids, interventions.cancel(pipeline, task_ids), strict=True):
        console.print(f"task {task_id} ({kind}) is cancelled.")
    pipeline.ledger.close()
