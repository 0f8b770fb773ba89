"""From triage weights to a model package: temperatures, ONNX with proof of parity, manifest, and a sample with its answers.

Two runs make a release: one before the measurement, which needs a package to measure, and one after it with its figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from PIL import Image

from inference.package import CARD, EXPECTED, MANIFEST, SAMPLE, WEIGHTS
from metalearner.calibration import operating_points, platt, temperature
from metalearner.onnx_file import INPUT, OPSET, PARITY, ParityLost, without_traces
from metalearner.triage.data import (
    EXPORTED_VIEWS,
    HIGH_PERCENT,
    ISSUES,
    LOW_PERCENT,
    ORIENTATIONS,
    REGIONS,
    SIDE,
    Shard,
    as_seen,
    load,
    render_example,
)
from metalearner.triage.evaluation import BATCH, ask, run
from metalearner.triage.network import Exported, TriageNetwork, four_ways

NAME = "radiograph-triage"
SAMPLE_SEED = 60_000_000
SAMPLE_TOLERANCE = 0.03  # of probabilities: between processors and releases of ONNX Runtime
CALIBRATION_DRAW = 1
LEAST_PROBABILITY = {"region": 0.9, "view": 0.7, "orientation": 0.9}  # a view shares its own with its twin, see TWINS

MANIFEST_TEXT = """\
format = 1
name = "{name}"
version = "{version}"
manufacturer = "Houndsfield"
intended_use = "Tells region, view, orientation and quality of a radiograph, so that the right models are asked."
clinical_status = "demonstration"
onnx_sha256 = "{sha256}"
opset = {opset}

[applicability]
modalities = ["DX", "CR", "RF", "OT", "SC"]
least_rows = 64
least_columns = 64

[input]
name = "{input}"
rows = {side}
columns = {side}
low_percent = {low_percent}
high_percent = {high_percent}

[outputs]
region = [{regions_n}]
view = [{views_n}]
orientation = [{orientations_n}]
quality = [{issues_n}]

[[head]]
kind = "triage"
activation = "none"            # temperatures are within the network
header_weight = 20.0           # of twenty headers nineteen say the right thing

[head.region]
output = "region"
values = {regions}
least_probability = {least_region}

[head.view]                    # pixels do not tell from which side a beam came: such pairs share their probability 3 : 1,
output = "view"                #   so that the header's claim decides between them
values = {views}
least_probability = {least_view}

[head.orientation]
output = "orientation"
values = {orientations}
least_probability = {least_orientation}

[head.quality]
output = "quality"
activation = "none"
{issues}
[performance]
sentence = "{sentence}"
{figures}"""

ISSUE_TEXT = """
[[head.quality.issue]]
issue = "{issue}"
absent_below = {absent_below}
present_from = {present_from}
calibration = {{ slope = {slope}, intercept = {intercept} }}
"""

FIGURE_TEXT = """
[[performance.figure]]
measure = "{measure}"
value = {value:.4f}
unit = "1"
n = {n}
data_set = "Houndsfield phantoms of unseen seeds"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Of one issue: Platt's line of the logit, and the operating points of the probability that it gives."""

    slope: float
    intercept: float
    absent_below: float
    present_from: float

    def probability(self, logit: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(-(self.slope * logit + self.intercept))))


def judge(logits: npt.NDArray[np.float64], truth: npt.NDArray[np.int8]) -> Judge:
    slope, intercept = (round(value, 4) for value in platt(logits, truth))
    line = Judge(slope=slope, intercept=intercept, absent_below=0.0, present_from=1.0)
    absent_below, present_from = operating_points(line.probability(logits), truth)
    return replace(line, absent_below=absent_below, present_from=present_from)


def calibrate(network: TriageNetwork, shard: Shard) -> tuple[tuple[float, float, float], list[Judge]]:
    """Temperatures of region, view and orientation; and how each issue is judged."""
    asked = ask(shard, seed=CALIBRATION_DRAW)
    parts: list[list[npt.NDArray[np.float64]]] = []
    with torch.no_grad():
        for start in range(0, len(asked.images), BATCH):
            images = torch.from_numpy(asked.images[start : start + BATCH, None]).float() / 255
            parts.append([logits.numpy().astype(float) for logits in four_ways(network, images)])
    region, view, orientation, quality = (np.concatenate([part[i] for part in parts]) for i in range(4))
    temperatures = (
        temperature(region, asked.regions),
        temperature(view, asked.views),
        temperature(orientation, asked.orientations),
    )
    return temperatures, [judge(quality[:, i], asked.quality[:, i]) for i in range(len(ISSUES))]


def export(network: TriageNetwork, temperatures: tuple[float, float, float], out: Path) -> None:
    model = Exported(network, temperatures).eval()
    program = torch.onnx.export(
        model,
        (torch.zeros(2, 1, SIDE, SIDE),),
        input_names=[INPUT],
        output_names=list(Exported.outputs),
        dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=64)}},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # noqa: S101  # dynamo=True always returns one
    stripped = without_traces(program.model_proto)
    onnx.checker.check_model(stripped)
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(stripped, out)
    worst = parity(model, out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, opset {OPSET}, differs from PyTorch by at most {worst:.1e}")
    if worst > PARITY:
        raise ParityLost(f"{worst:.1e} exceeds {PARITY:.0e}")


def parity(model: Exported, path: Path) -> float:
    """Largest difference of a probability between the two runtimes on fifty phantoms."""
    images = np.stack(
        [np.round(as_seen(render_example(SAMPLE_SEED + i).pixels) * 255).astype(np.uint8) for i in range(BATCH)]
    )
    answers = run(path, images, Exported.outputs, threads=1)
    with torch.no_grad():
        wanted = model(torch.from_numpy(images)[:, None].float() / 255)
    return max(float(np.abs(answers[name] - one.numpy()).max()) for name, one in zip(Exported.outputs, wanted, strict=True))


def write_manifest(directory: Path, *, version: str, judges: list[Judge], figures: dict[str, Any]) -> None:
    """figures: of `triage_evaluation`, empty before it has run."""
    issues = "".join(ISSUE_TEXT.format(issue=issue, **asdict(one)) for issue, one in zip(ISSUES, judges, strict=True))
    text = MANIFEST_TEXT.format(
        name=NAME,
        version=version,
        sha256=hashlib.sha256((directory / WEIGHTS).read_bytes()).hexdigest(),
        opset=OPSET,
        input=INPUT,
        side=SIDE,
        low_percent=LOW_PERCENT,
        high_percent=HIGH_PERCENT,
        regions_n=len(REGIONS),
        views_n=len(EXPORTED_VIEWS),
        orientations_n=len(ORIENTATIONS),
        issues_n=len(ISSUES),
        regions=json.dumps([region.value for region in REGIONS]),
        views=json.dumps([view.value for view in EXPORTED_VIEWS]),
        orientations=json.dumps(list(ORIENTATIONS)),
        least_region=LEAST_PROBABILITY["region"],
        least_view=LEAST_PROBABILITY["view"],
        least_orientation=LEAST_PROBABILITY["orientation"],
        issues=issues,
        sentence=performance_sentence(figures),
        figures=figure_tables(figures),
    )
    (directory / MANIFEST).write_text(text, encoding="utf-8")
    if not (directory / CARD).exists():
        (directory / CARD).write_text("Not written yet.\n", encoding="utf-8")


def performance_sentence(figures: dict[str, Any]) -> str:
    if not figures:
        return "Not measured yet."
    return (
        f"{figures['n']} unseen phantoms: region {figures['region']['overall']:.1%}, view {figures['view']['overall']:.1%}, "
        f"quarter turn {figures['quarter turn']:.1%} right; phantoms are easier than films."
    )


def figure_tables(figures: dict[str, Any]) -> str:
    if not figures:
        return FIGURE_TEXT.format(measure="none", value=0.0, n=1)
    n = figures["n"]
    rows = [
        (f"accuracy, {part}", figures[part]["overall"], int(figures[part]["n"]))
        for part in ("region", "view", "orientation")
    ]
    rows += [("accuracy, quarter turn", figures["quarter turn"], n)]
    rows += [("accuracy, mirrored where it can be told", figures["mirrored, where it can be told"], n)]
    rows += [(f"AUC, {issue}", figures["quality"][issue]["AUC"], n) for issue in ISSUES]
    return "".join(FIGURE_TEXT.format(measure=measure, value=value, n=count) for measure, value, count in rows)


def write_sample(directory: Path, judges: list[Judge]) -> None:
    """Of twenty phantoms from SAMPLE_SEED on the one that the network is surest of, and what it says of it."""
    seen = [as_seen(render_example(SAMPLE_SEED + i).pixels) for i in range(20)]
    grays = np.stack([np.round(one * 255).astype(np.uint8) for one in seen])
    every = run(directory / WEIGHTS, grays, Exported.outputs, threads=1)
    surest = int(np.argmax(every["region"].max(axis=1) * every["orientation"].max(axis=1)))
    gray, answers = grays[surest], {name: values[surest : surest + 1] for name, values in every.items()}
    expected: dict[str, float] = {}
    for part, values in (("region", REGIONS), ("view", EXPORTED_VIEWS), ("orientation", ORIENTATIONS)):
        expected |= {f"{part}.{value}": round(float(p), 4) for value, p in zip(values, answers[part][0], strict=True)}
    for issue, p, one in zip(ISSUES, answers["quality"][0], judges, strict=True):
        expected[f"quality.{issue}"] = round(float(one.probability(np.log(p / (1 - p)))), 4)
    Image.fromarray(gray).save(directory / SAMPLE, optimize=True)
    content = {"triage": {**expected, "tolerance": SAMPLE_TOLERANCE}}
    (directory / EXPECTED).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Build the triage package from weights, or renew its manifest with figures."
    )
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--weights", type=Path, required=True, help="of metalearner.triage.train")
    parser.add_argument("--calibration", type=Path, required=True, help="phantoms for temperatures and probabilities")
    parser.add_argument("--figures", type=Path, help="JSON of metalearner.triage.evaluation")
    arguments = parser.parse_args()
    network = TriageNetwork()
    network.load_state_dict(torch.load(arguments.weights, weights_only=True))
    network.eval()
    torch.set_num_threads(1)
    temperatures, judges = calibrate(network, load(arguments.calibration))
    print("temperatures " + " ".join(f"{value:.3f}" for value in temperatures))
    directory: Path = arguments.directory
    directory.mkdir(parents=True, exist_ok=True)
    if arguments.figures is None:
        export(network, temperatures, directory / WEIGHTS)
        write_sample(directory, judges)
    figures = json.loads(arguments.figures.read_text(encoding="utf-8")) if arguments.figures else {}
    write_manifest(directory, version=arguments.version, judges=judges, figures=figures)


if __name__ == "__main__":
    main()
