"""`learn evaluate` and `learn monitor`: how good is a model, and is it still?"""

from __future__ import annotations

import json as json_module
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, errors, print_json, print_table, settings_from
from cli.extra import train_extra
from metalearner.collection import Collection, Part
from node.models import installed
from node.parts import open_ledger


def evaluate(
    what: Annotated[Path, typer.Argument(metavar="RUN_OR_PACKAGE", help="Folder of a run or of a package.", exists=True)],
    collection: Annotated[Path, typer.Option("--collection", metavar="DIR", help="What `learn collect` made.")],
    part: Annotated[Part, typer.Option("--part", help="Whose images. Figures of train say nothing.")] = Part.TEST,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="RUN_OR_PACKAGE", help="Compare with this one on the same images.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write; default: evaluations/ in the collection.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the resamples.")] = 0,
    threads: Annotated[int, typer.Option("--threads", min=1, help="For a package that is run.")] = 2,
    json: JsonOption = False,
) -> None:
    """Accuracy with intervals, calibration, subgroups: evaluation.html for a person, .json, and .md for a model card."""
    with train_extra():
        from metalearner import evaluation
        from metalearner.comparison import compare
        from metalearner.evaluation_page import page_of
        from metalearner.report_pages import write_page

        held = Collection.load(collection)
        answers = _asked(what, held, part, threads)
        result = evaluation.evaluate(answers, held, part, seed=seed)
        if against is not None:
            result["comparison"] = compare(answers, _asked(against, held, part, threads), held, seed=seed)
        folder = out or collection / "evaluations" / f"{what.resolve().name}-{part.value}"
        write_page(folder / "evaluation.html", page_of(result))
        card = evaluation.card_table(result)
    (folder / "evaluation.json").write_text(json_module.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / "evaluation.md").write_text(card, encoding="utf-8")
    if json:
        print_json(result)
        return
    console.print(card)
    if against is not None:
        console.print(result["comparison"]["verdict"])
    console.print(f"Report: {folder / 'evaluation.html'}")


def _asked(what: Path, collection: Collection, part: Part, threads: int) -> Any:
    """`evaluation.answers_of` with a progress bar where somebody looks."""
    from metalearner.evaluation import answers_of

    images = sum(of is part for of in collection.parts().values())
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        bar = progress.add_task(what.name, total=images)
        return answers_of(what, collection, part, threads=threads, told=lambda done: progress.update(bar, completed=done))


def monitor(
    config: ConfigOption = DEFAULT_FILE,
    model: Annotated[str, typer.Option("--model", metavar="NAME[@VERSION]", help="Only this one.")] = "",
    weeks: Annotated[int, typer.Option("--weeks", min=1, help="How far back counts as now.")] = 4,
    studies: Annotated[int, typer.Option("--studies", min=1, help="How many of the newest studies.")] = 500,
    sample: Annotated[int, typer.Option("--sample", min=0, help="How many images of a model are read again.")] = 200,
    psi_watch: Annotated[float, typer.Option("--psi-watch", min=0, help="Drift to look at.")] = 0.1,
    psi_alarm: Annotated[float, typer.Option("--psi-alarm", min=0, help="Drift that is an alarm.")] = 0.25,
    p: Annotated[float, typer.Option("--p", min=0, max=1, help="How improbable chance must be.")] = 0.01,
    least_agreement: Annotated[float, typer.Option("--least-agreement", min=0, max=1, help="Below it: alarm.")] = 0.8,
    least_images: Annotated[int, typer.Option("--least-images", min=1, help="With fewer, drift is not told.")] = 50,
    least_answers: Annotated[int, typer.Option("--least-answers", min=1, help="With fewer, agreement is not told.")] = 20,
    metrics: Annotated[
        Path | None, typer.Option("--metrics", metavar="FILE", help="Also for node_exporter's textfile collector.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Agreement of vets with each model, and drift from what it was taught with. Exit 0 fine, 1 alarm, 2 cannot say."""
    with train_extra():
        from metalearner import monitor as monitoring

        settings = settings_from(config)
        thresholds = monitoring.Thresholds(
            psi_watch=psi_watch,
            psi_alarm=psi_alarm,
            p=p,
            least_agreement=least_agreement,
            least_images=least_images,
            least_answers=least_answers,
        )
        ledger = open_ledger(settings.node)
        try:
            result = monitoring.monitor(
                ledger,
                [package for package, _ in installed(settings)],
                now=time.time(),
                only=model,
                weeks=weeks,
                studies=studies,
                sample=sample,
                thresholds=thresholds,
            )
        finally:
            ledger.close()
        if metrics is not None:
            monitoring.write_metrics(metrics, result)
    if json:
        print_json(result)
    else:
        _print(result)
    raise typer.Exit(monitoring.STATUS[result["status"]])


def _print(result: dict[str, Any]) -> None:
    if not result["models"]:
        console.print(
            f"No model has answered an image in the last {result['weeks']} weeks, and no vet has answered a model."
        )
        return
    for model in result["models"]:
        console.print(f"{model['model']} {model['version']}: {model['status']}, {model['images']} images")
        for reason in model["reasons"]:
            console.print(f"  {reason}")
        share = model["agreement"]["agreed"]
        if share["value"] is not None:
            count = model["agreement"]["answers"]
            console.print(
                f"  vets agree in {share['value']:.0%} of {count} answers ({share['low']:.0%} to {share['high']:.0%})"
            )
        rows = [
            (one["feature"], one["images"], *(_rounded(one[name]) for name in ("psi", "ks", "p")), one["level"])
            for one in model["drift"]["features"]
        ]
        if rows:
            print_table(("  feature", "images", "PSI", "KS", "p", ""), [(f"  {row[0]}", *row[1:]) for row in rows], none="")


def _rounded(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
