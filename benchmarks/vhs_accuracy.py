"""Vertebral heart scores on phantoms of unseen seeds, through the product's own way: package, plane, ONNX Runtime, findings.

    python -m benchmarks.vhs_accuracy                        the shipped package, 200 laterals and 50 others
    python -m benchmarks.vhs_accuracy --package DIR --json FILE
    python -m benchmarks.vhs_accuracy --laterals 20          a quick look

Exit status 0 when the bars hold: mean absolute error, share measured, and no score on a picture without a whole lateral
thorax. Phantoms are easier than films: this says that the way works, not how good the model is on animals.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from metalearner.heart.evaluation import accuracy, summarise

SHIPPED = Path(__file__).resolve().parent.parent / "models" / "canine-thorax-vhs"
MOST_ERROR_VERTEBRAE, LEAST_MEASURED_SHARE = 0.5, 0.95


def main() -> int:
    parser = argparse.ArgumentParser(description="Vertebral heart scores on unseen phantoms.")
    parser.add_argument("--package", type=Path, default=SHIPPED)
    parser.add_argument("--laterals", type=int, default=200)
    parser.add_argument("--share-of-others", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    begun = time.monotonic()
    cases = accuracy(arguments.package, laterals=arguments.laterals, share_of_others=arguments.share_of_others)
    figures = summarise(cases)
    seconds = time.monotonic() - begun
    print(f"{figures.laterals} laterals and {figures.others} others in {seconds:.0f} s")
    print(
        f"measured {figures.measured_share:.1%}   mean absolute error {figures.mean_absolute_error:.3f} vertebrae"
        f" (always answering the mean: {figures.mean_answer_error:.3f})"
    )
    print(
        f"bias {figures.bias:+.3f}   slope {figures.slope:.3f}   95th percentile {figures.p95:.2f}"
        f"   worst {figures.worst:.2f}   within 0.5: {figures.within_half:.1%}"
        f"   within 0.8: {figures.within_eight_tenths:.1%}"
    )
    print(f"pitch error {figures.pitch_percent:.2f} %   scores where there is nothing to score: {figures.false_scores}")
    for case in cases:
        if case.kind == "lateral" and case.answer.vhs is None:
            print(f"  not assessable: lateral of seed {case.seed}, {case.answer.reason}")
        if case.kind != "lateral" and case.answer.vhs is not None:
            print(f"  false score: {case.kind} of seed {case.seed}, {case.answer.vhs}")
    content: dict[str, Any] = {**figures.as_json(), "measured_share": round(figures.measured_share, 4)}
    if arguments.json:
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    holds = (
        figures.mean_absolute_error <= MOST_ERROR_VERTEBRAE
        and figures.measured_share >= LEAST_MEASURED_SHARE
        and figures.false_scores == 0
    )
    print("the bars hold" if holds else "THE BARS DO NOT HOLD")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
