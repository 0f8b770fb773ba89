"""`learn task`, `learn train` and `learn package`: from a collection to a model package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.common import JsonOption, console, errors, print_json, print_table
from cli.extra import train_extra
from config.settings import Settings
from metalearner.collection import Collection
from node.models import threads_for_one_run

if TYPE_CHECKING:
    from metalearner.live import Told

CollectionOption = Annotated[Path, typer.Option("--collection", help="Folder that `learn collect` made.")]


def task(
    collection: Annotated[Path, typer.Argument(metavar="COLLECTION", help="Folder that `learn collect` made.")],
    out: Annotated[Path, typer.Option("--out", help="File to write.")] = Path("task.toml"),
    kind: Annotated[
        str, typer.Option("--kind", help="classification, landmarks, boxes, masks or findings; without any as labelled.")
    ] = "",
    name: Annotated[str, typer.Option("--name", help="Of the task; without any the collection's.")] = "",
) -> None:
    """Write a commented task.toml of what a collection holds, to be looked at and changed."""
    with train_extra():
        from metalearner.tasks import TaskInvalid, as_kind, draft
    if out.exists():
        raise TaskInvalid(f"{out} exists already; say another --out")
    out.write_text(draft(Collection.load(collection), kind=as_kind(kind), name=name), encoding="utf-8")
    console.print(f"{out} written; look at it, then: houndsfield learn train {out} --collection {collection} --minutes 60")


def train(
    task: Annotated[Path, typer.Argument(metavar="TASK", help="task.toml, see `learn task`.")],
    collection: CollectionOption,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.05, help="For all of it; a killed run goes on with the rest.")
    ] = 60,
    run: Annotated[str, typer.Option("--run", help="Its name below COLLECTION/runs; without any the task's.")] = "",
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=1_000_000, help="The same seed repeats what steps, not minutes, end.")
    ] = 0,
    trials: Annotated[int, typer.Option("--trials", min=0, help="Networks to try; 0: as the task says.")] = 0,
    pick: Annotated[
        str,
        typer.Option(
            "--pick", help="Of the front: knee, best, fastest, or a trial's number. Again on a finished run: picks anew."
        ),
    ] = "knee",
    json: JsonOption = False,
) -> None:
    """Search for networks that are better, faster, or both; pick one, teach it longer. Killed, it goes on where it was."""
    with train_extra():
        from metalearner.search import Plan, Search
        from metalearner.tasks import load_run_record, load_task

        wanted = load_task(task)
        plan = Plan(
            task=wanted,
            seed=seed,
            minutes=minutes,
            trials=trials or wanted.search.trials,
            threads=threads_for_one_run(Settings().node.workers),
        )
        with _bars(quiet=json) as tell:
            folder = Search(Collection.load(collection), plan, name=run or wanted.name, tell=tell).run(pick)
    said = load_run_record(folder)
    if json:
        print_json({"run": str(folder), **said})
        return
    rows = [
        (
            f"{one['trial']}{' ← picked' if one['trial'] == said['trial'] else ''}",
            f"{one['quality']:.3f}",
            f"{one['latency_ms']:.1f}",
            f"{one['recipe']['family']} {one['recipe']['width']}",
            f"{one['recipe']['rows']} × {one['recipe']['columns']}",
        )
        for one in said["front"]
    ]
    print_table(("trial", "quality", "ms an image", "network", "input"), rows, none="")
    console.print(f"Quality {said['quality']:.3f} on the validation part, {said['latency_ms']:.1f} ms an image.")
    console.print(f"{folder}; next: houndsfield learn package {folder} --name NAME --version 0.1.0 --out FOLDER")


def package(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder that `learn train` left.", exists=True, file_okay=False)
    ],
    name: Annotated[str, typer.Option("--name", help="Of the package: lower case letters, digits, hyphens.")],
    version: Annotated[str, typer.Option("--version", help="Three numbers, such as 1.0.0.")],
    out: Annotated[Path, typer.Option("--out", help="The package's folder; it must not exist yet.")],
    manufacturer: Annotated[str, typer.Option("--manufacturer", help="Who answers for the model.")] = "Not said",
    status: Annotated[str, typer.Option("--status", help="demonstration or research.")] = "research",
    int8: Annotated[bool, typer.Option("--int8", help="8-bit weights, if no concept loses more than 0.005.")] = False,
    collection: Annotated[
        Path | None, typer.Option("--collection", help="Where the run's collection is, if not two folders above it.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a model package of a run: it can be added to the node without another step."""
    with train_extra():
        from metalearner.package_text import Wanted
        from metalearner.packaging import package as packaged

        wanted = Wanted(name=name, version=version, manufacturer=manufacturer, status=status, int8=int8)
        made = packaged(run, wanted, out, collection=Collection.load(collection) if collection else None)
    if json:
        print_json({"package": str(made.directory), "notes": made.notes})
        return
    for note in made.notes:
        console.print(note)
    console.print(f"{made.directory}; next: houndsfield models add {made.directory}")


@contextmanager
def _bars(*, quiet: bool) -> Iterator[Callable[[Told], None]]:
    """Bars on a terminal; elsewhere a line for each trial that has ended."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    if quiet or not errors.is_terminal:
        seen: set[int] = set()

        def lines(told: Told) -> None:
            for line in told.lines:
                if line.number not in seen and not quiet:
                    errors.print(f"trial {line.number}: quality {line.quality:.3f}, {line.latency_ms:.1f} ms")
                seen.add(line.number)

        yield lines
        return
    columns: tuple[Any, ...] = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        whole = progress.add_task("minutes", total=1.0)
        one = progress.add_task("trial", total=1.0)

        def bars(told: Told) -> None:
            minutes = f"{told.spent_seconds / 60:.1f} of {told.budget_seconds / 60:.1f} minutes"
            progress.update(
                whole,
                completed=told.spent_seconds,
                total=max(told.budget_seconds, 1.0),
                description=f"{minutes}, {told.ended} of {told.trials} trials",
            )
            progress.update(one, completed=told.done, description=told.now)

        yield bars
