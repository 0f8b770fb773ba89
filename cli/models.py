"""`models list`, `check`, `sample`, `add` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image, UnidentifiedImageError

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, print_json, print_table, settings_from
from config.settings import Model, Settings, load
from domain.errors import NotFound, SettingsInvalid
from inference.checking import check_package
from inference.installing import add_package, write_sample
from inference.package import ModelPackage
from inference.reading import NotAnImage, read_radiograph
from ledger.store import Ledger
from node.compare import Comparison, ConceptComparison, Difference, ModelName, compare, recent_answers
from node.models import installed
from node.parts import open_pipeline

app = typer.Typer(help="Model packages.", no_args_is_help=True)
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a model package.", exists=True, file_okay=False)]


@app.command("list")
def list_models(config: ConfigOption = DEFAULT_FILE, json: JsonOption = False) -> None:
    """The packages that are shipped and those in [models] dir, and how [[model]] says that they are used."""
    found = installed(load(config) if config.exists() else Settings())
    if json:
        print_json([_as_json(package, said) for package, said in found])
        return
    print_table(
        ("model", "version", "status", "used", "published performance"),
        [(p.name, p.identity.version, p.identity.clinical_status, _use(said), p.identity.performance) for p, said in found],
        none="No model is installed: every study will be DECLINED.",
    )


def _as_json(package: ModelPackage, said: Model) -> dict[str, Any]:
    identity = package.identity
    return {
        "name": identity.name,
        "version": identity.version,
        "manufacturer": identity.manufacturer,
        "clinical_status": identity.clinical_status,
        "onnx_sha256": identity.onnx_sha256,
        "device_uid": identity.device_uid,
        "performance": identity.performance,
        "enabled": said.enabled,
        "shadow": said.shadow,
        "runtime": said.runtime,
        "heads": [head.kind for head in package.manifest.head],
    }


def _use(said: Model) -> str:
    if not said.enabled:
        return "off"
    where = "here" if said.runtime == "local" else "remote"
    return f"{where}, as a shadow" if said.shadow else where


@app.command("check")
def check(directory: Directory, json: JsonOption = False) -> None:
    """Hash, opset, operators, shapes, and a dry run on the bundled sample with its expected output."""
    checks = check_package(directory)
    if json:
        print_json([{"check": item.name, "ok": item.fault is None, "fault": item.fault} for item in checks])
    else:
        for item in checks:
            console.print(f"ok    {item.name}" if item.fault is None else f"FAULT {item.name}: {item.fault}")
    if any(item.fault for item in checks):
        raise typer.Exit(1)


@app.command("sample")
def sample(
    directory: Directory,
    image: Annotated[Path, typer.Argument(metavar="FILE", help="A radiograph: DICOM, or a gray PNG.", exists=True)],
) -> None:
    """Write sample.png and expected.json into a package: this image, and what the model answers to it now."""
    try:
        pixels = np.asarray(Image.open(image).convert("L"), dtype=np.float32) / np.float32(255)
        aspect = 1.0
    except (UnidentifiedImageError, OSError):
        try:
            radiograph = read_radiograph(image, assumed_species=None)
        except NotAnImage as error:
            raise NotFound(f"{image.name} holds no image") from error
        pixels, aspect = radiograph.pixels, radiograph.pixel_aspect
    for head, values in write_sample(directory, pixels, pixel_aspect=aspect).items():
        console.print(f"{head}: " + ", ".join(f"{name} {value:g}" for name, value in values.items()))


@app.command("add")
def add(directory: Directory, config: ConfigOption = DEFAULT_FILE) -> None:
    """Check a package and its signature, and copy it into [models] dir. Running workers take it at their next start."""
    models = settings_from(config).models
    if not models.dir:
        raise SettingsInvalid(["models.dir: name a folder for packages in [models]"])
    added = add_package(
        directory, Path(models.dir), trusted_keys=models.trusted_keys, signature_required=models.require_signature
    )
    identity = added.package.identity
    signed = "signed by a trusted key" if added.signed else "not signed by a trusted key"
    console.print(
        f"{identity.name} {identity.version} added ({identity.clinical_status}, {signed}): {added.package.directory}"
    )
    others = [
        package.identity.version
        for package, said in installed(load(config))
        if package.name == identity.name and package.identity.version != identity.version and said.enabled
    ]
    if others:
        console.print(
            f"Version {', '.join(others)} is installed too: say in [[model]] which has enabled = false or shadow = true."
        )


@app.command("compare")
def compare_models(
    first: Annotated[str, typer.Argument(metavar="A", help="NAME or NAME@VERSION: the one that is filed.")],
    second: Annotated[str, typer.Argument(metavar="B", help="NAME or NAME@VERSION: its shadow.")],
    studies: Annotated[int, typer.Option("--studies", min=1, help="How many of the newest studies.")] = 500,
    config: ConfigOption = DEFAULT_FILE,
    json: JsonOption = False,
) -> None:
    """What two models said of the same images of this node's recent studies. Nothing is run again."""
    pipeline = open_pipeline(settings_from(config))
    found = _compared(pipeline.ledger, first, second, studies)
    pipeline.ledger.close()
    if json:
        print_json(_comparison(found))
        return
    console.print(f"{found.both} images that both analysed, of the newest {studies} studies.")
    console.print(f"{found.only_first} that {first} alone analysed, {found.only_second} that {second} alone did.")
    print_table(
        ("concept", "images", "same outcome", "changes", "numbers: B less A"),
        [_row(concept) for concept in found.concepts],
        none="There is no finding that both looked for.",
    )


def _compared(ledger: Ledger, first: str, second: str, studies: int) -> Comparison:
    found = compare(recent_answers(ledger, studies=studies), ModelName.parse(first), ModelName.parse(second))
    if not (found.both or found.only_first or found.only_second):
        raise NotFound(f"no image of the newest {studies} studies was answered by both {first} and {second}")
    return found


def _row(concept: ConceptComparison) -> tuple[str, ...]:
    changes = [
        f"{one.value} → {other.value}: {count}"
        for (one, other), count in sorted(concept.outcomes.items())
        if one is not other
    ]
    numbers = [f"{name}: {_said(difference)}" for name, difference in concept.measurements.items()]
    if concept.probability is not None:
        numbers.append(f"probability: {_said(concept.probability)}")
    share = f"{concept.agreement:.0%}"
    return concept.concept.meaning, str(concept.images), share, "; ".join(changes), "; ".join(numbers)


def _said(difference: Difference) -> str:
    return (
        f"mean {difference.mean:+.2f} ± {difference.deviation:.2f}, largest {difference.largest:+.2f} (n={difference.pairs})"
    )


def _comparison(found: Comparison) -> dict[str, Any]:
    def number(difference: Difference | None) -> dict[str, float] | None:
        if difference is None:
            return None
        return {
            "pairs": difference.pairs,
            "mean": difference.mean,
            "deviation": difference.deviation,
            "largest": difference.largest,
        }

    return {
        "both": found.both,
        "only_first": found.only_first,
        "only_second": found.only_second,
        "concepts": [
            {
                "concept": {
                    "value": concept.concept.value,
                    "scheme": concept.concept.scheme,
                    "meaning": concept.concept.meaning,
                },
                "images": concept.images,
                "agreement": concept.agreement,
                "outcomes": [
                    {"first": one.value, "second": other.value, "images": count}
                    for (one, other), count in sorted(concept.outcomes.items())
                ],
                "probability": number(concept.probability),
                "measurements": {name: number(one) for name, one in concept.measurements.items()},
            }
            for concept in found.concepts
        ],
    }
