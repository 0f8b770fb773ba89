"""`tasks list` and `tasks retry`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, moment, print_json, print_table, settings_from
from ledger import documents, tasks
from ledger.store import Ledger

app = typer.Typer(help="What the node owes: waiting, running and dead tasks.", no_args_is_help=True)


@app.command("list")
def list_tasks(config: ConfigOption = DEFAULT_FILE, json: JsonOption = False) -> None:
    """What is owed, running or dead, oldest first."""
    with Ledger(settings_from(config).node.data_dir).transaction() as tx:
        rows = tasks.owed(tx)
    if json:
        print_json([dataclasses.asdict(row) for row in rows])
        return
    print_table(
        ("task", "kind", "state", "of", "tries", "due", "error"),
        [(row.id, row.kind, row.state, row.key, row.attempts, moment(row.run_at), row.error) for row in rows],
        none="Nothing is owed.",
    )


@app.command("retry")
def retry(
    task_ids: Annotated[list[int], typer.Argument(metavar="ID…", help="Numbers of dead tasks.")],
    config: ConfigOption = DEFAULT_FILE,
) -> None:
    """Run dead tasks again, from their first attempt. All of them, or none."""
    with Ledger(settings_from(config).node.data_dir).transaction() as tx:
        for task_id in task_ids:
            row = tasks.retry(tx, task_id)
            if row.kind == "deliver":
                documents.reopened(tx, row.key)
    console.print(f"{len(task_ids)} task(s) will run again.")
