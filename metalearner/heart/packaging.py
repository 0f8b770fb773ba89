"""A model package around an exported network: manifest, card, and a sample with the answer it must get.

Two runs make a release: one before the benchmark, which needs a package to measure, and one after it with its figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from inference.heart import read_heart
from inference.manifest import CARD, EXPECTED, MANIFEST, SAMPLE, WEIGHTS
from inference.plane import fit
from metalearner.heart.dataset import COLUMNS, ROWS, STRIDE
from metalearner.heart.network import Exported
from metalearner.onnx_file import INPUT, OPSET
from phantoms.views import render

NAME = "canine-thorax-vhs"
LOW_PERCENT, HIGH_PERCENT = 0.5, 99.5
SAMPLE_SEED = 7_000_000
SAMPLE_TOLERANCE = 0.15  # vertebrae: between processors and releases of ONNX Runtime

MANIFEST_TEXT = """\
format = 1
name = "{name}"
version = "{version}"
manufacturer = "Houndsfield"
intended_use = "Drafts a vertebral heart score on lateral thoraxes of dogs, for a veterinarian to check and correct."
clinical_status = "demonstration"
onnx_sha256 = "{sha256}"
opset = {opset}

[applicability]
modalities = ["DX", "CR"]
species = ["dog"]
regions = ["thorax"]
views = ["lateral", "right-lateral", "left-lateral"]
least_rows = 128
least_columns = 160

[input]
name = "{input}"
rows = {rows}
columns = {columns}
low_percent = {low_percent}
high_percent = {high_percent}

[outputs]
points = [5, 2]                # long axis: carina, apex; short axis: cranial, caudal; T4; plane pixels
spine = [1, {map_rows}, {map_columns}]
phase = [2, {map_rows}, {map_columns}]
heart = [1, {map_rows}, {map_columns}]
views = [4]                    # complete lateral thorax, incomplete one, ventrodorsal, anything else

[[head]]
kind = "vertebral-heart-score"
concept = {{ value = "VHS", scheme = "99HNDSFLD", meaning = "Vertebral heart score" }}

[head.operating_points]        # chosen on phantoms of seeds that are in neither training nor the figures below
{operating_points}

[performance]
sentence = "{sentence}"
{figures}"""

FIGURE_TEXT = """
[[performance.figure]]
measure = "{measure}"
value = {value}
unit = "{unit}"
n = {n}
data_set = "{data_set}"
"""

# Why each threshold is what it is stands in CARD.md.
OPERATING_POINTS = {
    "lateral_probability": 0.5,
    "mirror_landmark_vertebrae": 1.25,
    "mirror_score_vertebrae": 0.5,
    "off_perpendicular_degrees": 15.0,
    "coherence": 0.7,
    "vertebrae_seen": 6.0,
}


def build(directory: Path, *, version: str, figures: dict[str, Any]) -> None:
    """directory holds model.onnx; figures: what benchmarks/vhs_accuracy.py wrote, empty before it has run."""
    sha256 = hashlib.sha256((directory / WEIGHTS).read_bytes()).hexdigest()
    text = MANIFEST_TEXT.format(
        name=NAME,
        version=version,
        sha256=sha256,
        opset=OPSET,
        input=INPUT,
        rows=ROWS,
        columns=COLUMNS,
        map_rows=ROWS // STRIDE,
        map_columns=COLUMNS // STRIDE,
        low_percent=LOW_PERCENT,
        high_percent=HIGH_PERCENT,
        operating_points="\n".join(f"{name} = {value}" for name, value in OPERATING_POINTS.items()),
        sentence=performance_sentence(figures),
        figures=figure_tables(figures),
    )
    (directory / MANIFEST).write_text(text, encoding="utf-8")
    if not (directory / CARD).exists():
        (directory / CARD).write_text("Not written yet.\n", encoding="utf-8")
    write_sample(directory)


def performance_sentence(figures: dict[str, Any]) -> str:
    if not figures:
        return "Not measured yet."
    return (
        f"{figures['laterals']} unseen phantoms: mean absolute error {figures['mean_absolute_error']:.2f} vertebrae, "
        f"{figures['measured_share']:.0%} measured; not validated on animals."
    )


def figure_tables(figures: dict[str, Any]) -> str:
    if not figures:
        return FIGURE_TEXT.format(measure="none", value=0.0, unit="none", n=1, data_set="none")
    laterals, others = figures["laterals"], figures["others"]
    rows = [
        ("mean absolute error", figures["mean_absolute_error"], "vertebrae", figures["measured"]),
        ("mean absolute error of always answering the mean", figures["mean_answer_error"], "vertebrae", laterals),
        ("95th percentile of the error", figures["p95"], "vertebrae", figures["measured"]),
        ("bias", figures["bias"], "vertebrae", figures["measured"]),
        ("share measured", figures["measured_share"], "of lateral thoraxes", laterals),
        ("scores on pictures without a whole lateral thorax", figures["false_scores"], "pictures", others),
    ]
    return "".join(
        FIGURE_TEXT.format(measure=measure, value=float(value), unit=unit, n=n, data_set="Houndsfield phantoms")
        for measure, value, unit, n in rows
    )


def write_sample(directory: Path) -> None:
    """The first phantom from SAMPLE_SEED on that is measured, as the model sees it."""
    session = onnxruntime.InferenceSession(str(directory / WEIGHTS), providers=["CPUExecutionProvider"])

    def predict(planes: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
        answers = session.run(list(Exported.outputs), {INPUT: planes})
        return dict(zip(Exported.outputs, answers, strict=True))

    for seed in range(SAMPLE_SEED, SAMPLE_SEED + 50):
        phantom = render(seed, view="lateral-right", rows=768, columns=960)
        plane = fit(
            phantom.pixels,
            pixel_aspect=1.0,
            rows=ROWS,
            columns=COLUMNS,
            low_percent=LOW_PERCENT,
            high_percent=HIGH_PERCENT,
        )
        gray = np.round(plane.values * 255).astype(np.uint8)
        reading = read_heart(gray.astype(np.float32) / np.float32(255), predict)
        if reading.refusal is None:
            break
    else:
        raise RuntimeError("the network measures none of fifty phantoms")
    Image.fromarray(gray).save(directory / SAMPLE, optimize=True)
    expected = {"vertebral-heart-score": {"vhs": round(reading.vhs, 2), "tolerance": SAMPLE_TOLERANCE}}
    (directory / EXPECTED).write_text(json.dumps(expected) + "\n", encoding="utf-8")
    print(f"{directory}: sample of seed {seed}, true score {phantom.truth.vhs:.2f}, read {reading.vhs:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the model package around an exported network.")
    parser.add_argument("--directory", type=Path, required=True, help="holds model.onnx")
    parser.add_argument("--version", required=True)
    parser.add_argument("--figures", type=Path, help="JSON of benchmarks/vhs_accuracy.py")
    arguments = parser.parse_args()
    figures = json.loads(arguments.figures.read_text(encoding="utf-8")) if arguments.figures else {}
    build(arguments.directory, version=arguments.version, figures=figures)


if __name__ == "__main__":
    main()
