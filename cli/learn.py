"""`learn …`: the metalearner. This module holds what makes collections; training and judging register here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from cli import learn_collecting, learn_judging, learn_training
from cli.common import JsonOption, print_json, print_table
from metalearner.collection import Collection, Part
from metalearner.splits import refuse_leaks

app = typer.Typer(help="From labelled radiographs to a model package.", no_args_is_help=True)
CollectionArgument = Annotated[Path, typer.Argument(metavar="COLLECTION", help="Folder that `learn collect` made.")]


@app.command("inspect")
def inspect(collection: CollectionArgument, json: JsonOption = False) -> None:
    """Whether a collection holds together, and how many patients and images are in each part."""
    found = Collection.load(collection)
    parts = found.parts()
    refuse_leaks(found)
    images = Counter(parts.values())
    patients = Counter(found.split[patient] for patient in {case.patient for case in found.usable})
    rows = [(part.value, patients[part], images[part]) for part in Part]
    if json:
        print_json([{"part": part, "patients": of, "images": count} for part, of, count in rows])
        return
    print_table(("part", "patients", "images"), rows, none="")


app.command("collect")(learn_collecting.collect)
app.command("task")(learn_training.task)
app.command("train")(learn_training.train)
app.command("package")(learn_training.package)
app.command("evaluate")(learn_judging.evaluate)
app.command("monitor")(learn_judging.monitor)
