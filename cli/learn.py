"""`learn …`: the metalearner. This module holds what makes collections; training and judging register here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import Progress

from cli import learn_collecting, learn_judging, learn_training
from cli.common import JsonOption, console, errors, print_json, print_table
from cli.extra import train_extra
from metalearner.collection import Collection

if TYPE_CHECKING:
    from metalearner.suggesting import Doubt

app = typer.Typer(help="From labelled radiographs to a model package.", no_args_is_help=True)
CollectionArgument = Annotated[Path, typer.Argument(metavar="COLLECTION", help="Folder that `learn collect` made.")]


Method = Literal["margin", "entropy", "bald"]


@app.command("inspect")
def inspect(
    collection: CollectionArgument,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the report; the collection's without one.")] = None,
    json: JsonOption = False,
) -> None:
    """A report on balance, views, breeds, devices, disagreements, near-duplicates and leaks: inspection.html and .json.

    Exit status 1 when one animal may stand on both sides of the split.
    """
    with train_extra():
        from metalearner.inspecting import inspect as look
        from metalearner.inspecting_page import page_of
        from metalearner.report_pages import write_page

        with _progress("Compared") as told:
            found = look(Collection.load(collection), told=told)
        folder = out or collection
        write_page(folder / "inspection.html", page_of(found))
    content = dumps(found.as_json(), ensure_ascii=False, indent=1)
    (folder / "inspection.json").write_text(content + "\n", encoding="utf-8")
    if json:
        print(content)
    else:
        rows = [(part.value, patients, images) for part, (patients, images) in found.parts.items()]
        print_table((f"part, by {found.split_by}", "patients", "images"), rows, none="")
        across = sum(pair.across for pair in found.alike)
        like = [f"{across} pairs of images of different patients look alike across the split"] if across else []
        for sentence in (*found.leaks, *like, *found.warnings):
            console.print(sentence)
        disagreements = f"{len(found.conflicts)} disagreements, {len(found.alike)} pairs of near-duplicates"
        console.print(f"{disagreements}, {sum(found.declined.values())} images declined: {folder / 'inspection.html'}")
    if not found.sound:
        raise typer.Exit(1)


@app.command("suggest")
def suggest(
    collection: CollectionArgument,
    out: Annotated[Path, typer.Option("--out", help="The CVAT task to write, a .zip.")],
    model: Annotated[Path | None, typer.Option("--model", help="Folder of a model package.", file_okay=False)] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Folder of a run of `learn train`.", file_okay=False)] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="How many images.")] = 50,
    by: Annotated[Method | None, typer.Option("--by", help="Without any: bald for a run, entropy for a package.")] = None,
    passes: Annotated[int, typer.Option("--passes", min=2, help="How often a run's network is asked.")] = 20,
    json: JsonOption = False,
) -> None:
    """Which unlabelled images to label next: those a model is least sure of, and no two alike; as a task for CVAT.

    What comes back from there: learn collect COLLECTION --labels THE.zip
    """
    if (model is None) == (run is None):
        raise typer.BadParameter("say either --model or --run", param_hint="--model")
    with train_extra():
        from metalearner.cvat_task import write_task
        from metalearner.likeness import features
        from metalearner.suggesting import chosen, doubts_of_package, doubts_of_run

        found = Collection.load(collection)
        if run is not None:
            doubts = doubts_of_run(found, run, passes=passes)
        else:
            assert model is not None  # noqa: S101  asked above
            doubts = doubts_of_package(found, model)
        method: Method = by or ("entropy" if run is None else "bald")
        with _progress("Compared") as told:
            unlike = features(found, [doubt.guess.image for doubt in doubts], told=told)
        picked = chosen(doubts, unlike, by=method, count=count)
        with _progress("Written") as told:
            write_task(out, found, [doubt.guess for doubt in picked], told=told)
    if json:
        print_json([{"image": doubt.guess.image, method: doubt.by(method), **_said(doubt)} for doubt in picked])
        return
    console.print(f"{len(picked)} of {len(doubts)} unlabelled images, by {method}: {out}")
    console.print(
        "In CVAT: a new task with the labels of labels.json and the pictures of images/; then upload annotations.xml."
    )


def _said(doubt: Doubt) -> dict[str, Any]:
    return {"probabilities": {concept: round(value, 4) for concept, value in doubt.guess.probabilities.items()}}


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        bar = progress.add_task(what, total=None)
        yield lambda count: progress.update(bar, description=f"{what} {count}")


app.command("collect")(learn_collecting.collect)
app.command("task")(learn_training.task)
app.command("train")(learn_training.train)
app.command("package")(learn_training.package)
app.command("evaluate")(learn_judging.evaluate)
app.command("monitor")(learn_judging.monitor)
