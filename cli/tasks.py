"""`tasks list`, `tasks retry`, `tasks cancel`: what the node owes, once more or no longer."""

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
from ledger import documents, peers, status, tasks
from ledger.store import Transaction
from node import interventions
from node.lines import lines, unserved_in_words
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
                in_words(moment(row.run_at)),
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
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="DESTINATION", help="Call it now, if it is down, and send what died for it again."),
    ] = None,
    config: ConfigOption = DEFAULT_FILE,
) -> None:
    """Run dead tasks again, from their first attempt. All that are named, or none."""
    settings = settings_from(config)
    with open_ledger(settings.node).transaction() as tx:
        if to is not None and to not in lines(settings):
            raise NotFound(_unserved(tx, to))
        dead = [
            row for row in tasks.owed(tx) if row.state == "dead" and (every or (to is not None and row.destination == to))
        ]
        wanted = sorted({*(task_ids or []), *(row.id for row in dead)})
        if not wanted and not every and to is None:
            raise NotFound("no dead task is meant: name numbers of `houndsfield tasks list`, --to a destination, or --all")
        for task_id in wanted:
            row = tasks.retry(tx, task_id)
            if row.kind == "deliver":
                documents.reopened(tx, row.key)
        waiting = 0 if to is None else peers.probe(tx, to)
    if wanted:
        console.print(f"{len(wanted)} task(s) will run again.")
    elif to is None:
        console.print("No task is dead.")
    if to is not None:
        console.print(f"{to} is called now: {waiting} task(s) wait for it." if waiting else f"Nothing waits for {to}.")


@app.command("cancel")
def cancel(
    task_ids: Annotated[
        list[int] | None, typer.Argument(metavar="[ID…]", help="Numbers of `houndsfield tasks list`.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="DESTINATION", help="All that is owed to a destination.")] = None,
    config: ConfigOption = DEFAULT_FILE,
) -> None:
    """Owe tasks no longer: all that are named, or none; or all that is owed to a destination, without asking back.

    A study whose image is cancelled says that it was not analysed; a document is not sent."""
    if bool(task_ids) == bool(to):
        raise NotFound("name either numbers of `houndsfield tasks list`, or --to a destination")
    settings = settings_from(config)
    pipeline = open_pipeline(settings)
    if to:
        cancelled = interventions.cancel_to(pipeline, to)
        with pipeline.ledger.reading() as tx:
            if not cancelled and to not in lines(settings):
                raise NotFound(_unserved(tx, to))
        console.print(f"{cancelled} task(s) for {to} are cancelled.")
    else:
        for task_id, kind in zip(task_ids or [], interventions.cancel(pipeline, task_ids or []), strict=True):
            console.print(f"task {task_id} ({kind}) is cancelled.")
    pipeline.ledger.close()


def _unserved(tx: Transaction, name: str) -> str:
    """Why nothing can be sent there."""
    count = status.owed_to(tx).get(name, 0)
    return unserved_in_words(name, count) if count else f"no destination is called {name}"
