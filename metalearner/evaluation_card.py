"""What a package's card says of an evaluation, and how a figure with its interval is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metalearner.collection import Part


def card_table(result: Mapping[str, Any]) -> str:
    """What `CARD.md` says of an evaluation: a table in Markdown, with what it was measured on."""
    who = {
        Part.TRAIN: "the very patients it was trained on: no figure of what it can do",
        Part.VALIDATION: "not trained on, but the network and its operating points were chosen by them, which flatters",
        Part.TEST: "unseen",
    }[Part(result["part"])]
    lines = [
        f"{result['images']} images of {result['patients']} patients ({who}), collection {result['collection']}, part "
        f"{result['part']}; 95 % intervals from resampled patients.",
        "",
    ]
    if result["findings"]:
        lines += [
            "| finding | images with / without | AUC | sensitivity | specificity | uncertain | calibration error |",
            "|---|---|---|---|---|---|---|",
        ]
        for one in result["findings"]:
            filed = [curve for curve in one["calibration"] if not curve["fitted_to_these_cases"]]
            figures = [said(one[name]) for name in ("auc", "sensitivity", "specificity")]
            few = " (few cases)" if one["few_cases"] else ""
            error = said(filed[-1]["ece"]) if filed else "–"
            count = f"{one['with']} / {one['without']}"
            cells = [one["words"] + few, count, *figures, said(one["uncertain"]), error]
            lines.append(f"| {' | '.join(cells)} |")
        mean = result["mean_auc"]
        lines += ["", f"Mean AUC of {mean['concepts']} findings: {said(mean)}.", ""]
    if result["measures"]:
        lines += [
            "| measure | images | measured | mean absolute error | bias | limits of agreement |",
            "|---|---|---|---|---|---|",
        ]
        for one in result["measures"]:
            agreement = one["agreement"]
            limits = f"{plain(agreement['limit_low']['value'])} … {plain(agreement['limit_high']['value'])}"
            cells = [
                f"{one['measure']} ({one['unit']})" if one["unit"] else one["measure"],
                str(one["images"]),
                said(one["given"]),
            ]
            cells += [said(agreement["mean_absolute"]), said(agreement["bias"]), limits]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    if result["points"]:
        lines += ["| landmark | n | mean distance | 95 % within |", "|---|---|---|---|"]
        for one in result["points"]:
            unit = next(unit for unit in ("mm", "vertebrae", "pixels") if unit in one)
            cells = [
                one["point"] or "all",
                str(one["n"]),
                f"{said(one[unit]['mean'])} {unit}",
                f"{plain(one[unit]['p95'])} {unit}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    if result["regions"]:
        lines += ["| region | regions | found | false alarms per image | Dice |", "|---|---|---|---|---|"]
        for one in result["regions"]:
            figures = [said(one[name]) for name in ("sensitivity", "false_alarms_per_image", "dice")]
            lines.append(f"| {' | '.join([one['words'], str(one['regions']), *figures])} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def said(estimate: Mapping[str, float | None]) -> str:
    """0.91 (0.87–0.94), or a dash."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None or low is None or high is None:
        return plain(value)
    return f"{value:.2f} ({low:.2f}{' to ' if low < 0 else '–'}{high:.2f})"
