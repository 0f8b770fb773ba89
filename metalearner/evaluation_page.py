"""An evaluation as a page for a vet or a professor, made of the JSON object of `evaluation` and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metalearner.collection import Part
from metalearner.evaluation_card import plain, said
from metalearner.report_pages import (
    Banner,
    Cell,
    Page,
    Plot,
    Section,
    Table,
    drawing,
    drawn,
    grid,
    line_style,
    mark_style,
    shortened,
)
from metalearner.subgroups import FEW_CASES, FEW_WITH

Result = Mapping[str, Any]
_OUTCOMES = ("ABSENT", "UNCERTAIN", "PRESENT")
FEW = " (few cases)"
_LINES = 4  # in one plot; more cannot be told apart


def page_of(result: Result) -> Page:
    model = result["model"]
    name = " ".join(part for part in (model["name"], model["version"]) if part)
    sections = [
        *([_compared(result["comparison"], name)] if result.get("comparison") else []),
        *([_findings(result)] if result["findings"] else []),
        *(_curves(result) if result["findings"] else []),
        *([_calibration(result)] if any(one["calibration"] for one in result["findings"]) else []),
        *([_grades(result)] if any(one["grades"] for one in result["findings"]) else []),
        *([_measures(result)] if result["measures"] else []),
        *([_points(result)] if result["points"] else []),
        *([_regions(result)] if result["regions"] else []),
        *_subgroups(result),
        _words(),
    ]
    return Page(
        title=f"How good is {name}?",
        lead=(_summary(result), *_left_out(result)),
        banners=_banners(result),
        sections=sections,
        foot=(
            f"Collection {result['collection']}, part {result['part']}; seed {result['seed']}, {result['resamples']} "
            "resamples of patients. Figures of groups of animals only: nobody can be recognised in this page.",
        ),
    )


def _summary(result: Result) -> str:
    found = (
        f"{result['images']} images of {result['patients']} patients were read by the model and compared with their labels."
    )
    mean = result["mean_auc"]
    if mean["value"] is not None:
        found += f" Mean area under the ROC curve of {mean['concepts']} findings: {said(mean)}."
    for one in result["measures"]:
        agreement = one["agreement"]
        found += f" {one['measure']}: mean absolute error {said(agreement['mean_absolute'])} {one['unit']}."
    return found


def _left_out(result: Result) -> list[str]:
    told = [f"Not answered: {one['images']} images, {one['reason']}." for one in result["declined"]]
    if result["unlabelled"]:
        told.append(f"The labels do not say whether there is {', '.join(result['unlabelled'])}: not judged.")
    return told


def _banners(result: Result) -> list[Banner]:
    told = []
    if result["trained_on_these"]:
        remembers = "The figures say how well it remembers, not what it can do."
        told.append(Banner(text=f"These are the patients that the model was trained on. {remembers}", tone="bad"))
    if result["part"] == Part.VALIDATION:
        chosen = "The network and its operating points were chosen by these patients: the figures flatter."
        told.append(Banner(text=f"{chosen} Those of the test part do not."))
    few = [one["words"] for one in result["findings"] if one["few_cases"]]
    if few:
        told.append(Banner(text=f"Few cases ({', '.join(few)}): gray figures may be far off. Look at their intervals."))
    return told


def _tone(few: bool, text: str) -> Cell:
    return Cell(text=text, tone="grey" if few else "")


def _findings(result: Result) -> Section:
    told: tuple[tuple[str, dict[str, str]], ...] = (
        ("how well it is told", {"auc": "AUC", "sensitivity": "", "specificity": "", "uncertain": "", "missed": ""}),
        ("what an answer is worth here", {"prevalence": "", "ppv": "PPV", "npv": "NPV"}),
    )
    tables = []
    for caption, names in told:
        rows = []
        for one in result["findings"]:
            few = one["few_cases"]
            cells = (f"{one['with']} / {one['without']}", *(said(one[name]) for name in names))
            rows.append([_tone(few, one["words"] + FEW * few), *(_tone(few, text) for text in cells)])
        headings = ("finding", "with / without", *(words or name for name, words in names.items()))
        tables.append(Table(headings=headings, rows=rows, caption=caption))
    plots = [
        grid(
            [[one["confusion"][kind][outcome] for outcome in _OUTCOMES] for kind in ("without", "with")],
            rows=("without", "with"),
            columns=_OUTCOMES,
            words=f"{one['words']}: what the labels say (rows) and what the model says at its operating points "
            f"({one['absent_below']:g} and {one['present_from']:g}), in images.",
            across="the model says",
            down="the label says",
        )
        for one in result["findings"]
    ]
    words = (
        "Each figure stands with the interval that holds it with 95 % certainty, for patients like these.",
        "Sensitivity: of the images with the finding, those called PRESENT. Specificity: of those without it, those not "
        "called PRESENT. PPV: of those called PRESENT, those that have it. NPV: of those called ABSENT, those that have it "
        "not. UNCERTAIN lies between the two operating points and counts as neither; missed: has it and is called ABSENT. "
        "PPV and NPV hold for this prevalence only: where a finding is rarer, PPV is lower.",
    )
    return Section(heading="Findings", words=words, tables=tables, plots=plots)


def _curves(result: Result) -> list[Section]:
    curves = [one for one in result["findings"] if one["roc"]]
    plots = [_roc(curves[start : start + _LINES]) for start in range(0, len(curves), _LINES)]
    words = (
        "The farther a curve bends to the upper left, the better the finding is told from its absence; "
        "the dotted line is chance.",
    )
    return [Section(heading="ROC curves", words=words, plots=plots)] if plots else []


def _roc(findings: Sequence[Result]) -> Plot:
    with drawing() as axes:
        axes.plot([0, 1], [0, 1], ":", color="#767676", linewidth=1)
        for number_, one in enumerate(findings):
            curve = np.array(one["roc"])
            label = f"{one['words']}: {plain(one['auc']['value'])}"
            axes.plot(curve[:, 0], curve[:, 1], label=label, **line_style(number_))
        axes.set_xlabel("false alarms (1 − specificity)")
        axes.set_ylabel("found (sensitivity)")
        axes.set_aspect("equal")
        axes.legend(loc="lower right", fontsize=8)
        return drawn(axes, f"ROC curves with the area under each: {', '.join(one['words'] for one in findings)}.")


def _calibration(result: Result) -> Section:
    findings = [one for one in result["findings"] if one["calibration"]]
    names = list(dict.fromkeys(curve["name"] for one in findings for curve in one["calibration"]))
    rows = []
    for one in findings:
        by_name = {curve["name"]: said(curve["ece"]) for curve in one["calibration"]}
        rows.append(
            [_tone(one["few_cases"], one["words"]), *(_tone(one["few_cases"], by_name.get(name, "–")) for name in names)]
        )
    words = (
        "Of images given 70 %, 70 % should have the finding. The calibration error (ECE) is the mean distance from that, 0 "
        "at best. Scaling that was fitted to these very cases shows what could be reached at most, and flatters.",
    )
    return Section(
        heading="Do the probabilities come true?",
        words=words,
        tables=[Table(headings=("finding", *names), rows=rows, caption="expected calibration error")],
        plots=[_reliability(one) for one in findings],
    )


def _reliability(one: Result) -> Plot:
    """Before and, where the model is filed with another probability, after."""
    shown = [curve for curve in one["calibration"] if not curve["fitted_to_these_cases"]]
    if len(shown) == 1:
        shown += [curve for curve in one["calibration"] if curve["name"].startswith("Platt")]
    with drawing() as axes:
        axes.plot([0, 1], [0, 1], ":", color="#767676", linewidth=1)
        for number_, curve in enumerate(shown):
            points = np.array([(at["said"], at["came_true"], at["images"]) for at in curve["curve"]])
            style = line_style(number_)
            axes.plot(points[:, 0], points[:, 1], label=curve["name"], **style)
            sizes = 12 + 120 * points[:, 2] / points[:, 2].sum()
            axes.scatter(points[:, 0], points[:, 1], s=sizes, **mark_style(number_))
        axes.set_xlabel("probability that the model says")
        axes.set_ylabel("share that has the finding")
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.legend(loc="upper left", fontsize=8)
        return drawn(axes, f"{one['words']}: reliability; larger marks hold more images, the dotted line is perfect.")


def _grades(result: Result) -> Section:
    rows = [
        [
            _tone(of["few_cases"], one["words"]),
            *(
                _tone(of["few_cases"], text)
                for text in (of["grade"], str(of["with"]) + FEW * of["few_cases"], said(of["auc"]))
            ),
        ]
        for one in result["findings"]
        for of in one["grades"]
    ]
    words = ("Each grade against all images without the finding: mild ones are harder to see.",)
    return Section(
        heading="By severity", words=words, tables=[Table(headings=("finding", "grade", "images", "AUC"), rows=rows)]
    )


def _measures(result: Result) -> Section:
    headings = ("measure", "images", "measured", "mean abs. error", "95 % within", "bias", "limits of agreement", "slope")
    rows = []
    for one in result["measures"]:
        agreement = one["agreement"]
        limits = f"{said(agreement['limit_low'])} … {said(agreement['limit_high'])}"
        figures = [
            str(one["images"]),
            said(one["given"]),
            said(agreement["mean_absolute"]),
            plain(agreement["p95_absolute"]),
        ]
        name = f"{one['measure']}, {one['unit']}" if one["unit"] else one["measure"]
        few = agreement["n"] < FEW_CASES
        rows.append([_tone(few, text) for text in (name, *figures, said(agreement["bias"]), limits, plain(one["slope"]))])
    words = (
        "Bias: how much too high the model measures on the mean. Between the limits of agreement lie 95 % of its "
        "differences from the label (Bland and Altman). Slope: 1 where large and small are measured alike.",
    )
    plots = [_bland_altman(one) for one in result["measures"] if len(one["pairs"]) > 1]
    return Section(heading="Measurements", words=words, tables=[Table(headings=headings, rows=rows)], plots=plots)


def _bland_altman(one: Result) -> Plot:
    pairs, agreement = np.array(one["pairs"]), one["agreement"]
    with drawing() as axes:
        axes.scatter(pairs.mean(axis=1), pairs[:, 1] - pairs[:, 0], s=14, alpha=0.6, **mark_style(0))
        for name, dashes, label in (
            ("bias", "-", "bias"),
            ("limit_low", "--", "limits of agreement"),
            ("limit_high", "--", ""),
        ):
            at = agreement[name]
            if at["value"] is None:
                continue
            axes.axhline(at["value"], color="#D55E00", linestyle=dashes, label=label or None)
            if at["low"] is not None:
                axes.axhspan(at["low"], at["high"], color="#D55E00", alpha=0.12, linewidth=0)
        axes.set_xlabel(f"mean of label and model, {one['unit']}")
        axes.set_ylabel(f"model less label, {one['unit']}")
        axes.legend(fontsize=8)
        return drawn(
            axes, f"{one['measure']}: Bland–Altman plot of {len(pairs)} images; shaded: 95 % intervals of the lines."
        )


def _points(result: Result) -> Section:
    units = [unit for unit in ("mm", "vertebrae", "pixels") if any(unit in one for one in result["points"])]
    rows = []
    for one in result["points"]:
        cells = [one["point"] or "all together", str(one["n"]) + FEW * (one["n"] < FEW_CASES)]
        for unit in units:
            cells += [said(one[unit]["mean"]), plain(one[unit]["p95"])] if unit in one else ["–", "–"]
        for axis in ("column_pixels", "row_pixels"):
            limits = " … ".join(plain(one[axis][name]["value"]) for name in ("limit_low", "limit_high"))
            cells.append(f"{plain(one[axis]['bias']['value'])} ({limits})")
        rows.append([_tone(one["n"] < FEW_CASES, text) for text in cells])
    headings = ["landmark", "n", *(text for unit in units for text in (f"mean, {unit}", f"95 % within, {unit}"))]
    headings += ["too far right (limits), px", "too far down (limits), px"]
    words = ("How far each landmark lies from its label; those beside the film do not count.",)
    plots = [_distances(result["points"], units[0])]
    return Section(heading="Landmarks", words=words, tables=[Table(headings=headings, rows=rows)], plots=plots)


def _distances(points: Sequence[Result], unit: str) -> Plot:
    told = [one for one in points if unit in one]
    places = np.arange(len(told))
    with drawing(height_inches=1.0 + 0.24 * len(told)) as axes:
        for place, one in zip(places, told, strict=True):
            mean = one[unit]["mean"]
            if mean["low"] is not None:
                axes.plot([mean["low"], mean["high"]], [place, place], color=line_style(0)["color"])
            axes.scatter([mean["value"]], [place], s=20, **mark_style(0))
            axes.scatter([one[unit]["p95"]], [place], s=20, **mark_style(1))
        axes.set_yticks(places, [shortened(one["point"] or "all together") for one in told])
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel(unit)
        return drawn(axes, f"Distance in {unit}: mean with its interval (circle), and what 95 % stay within (square).")


def _regions(result: Result) -> Section:
    rows = []
    for one in result["regions"]:
        few = one["regions"] < FEW_WITH
        figures = [said(one[name]) for name in ("sensitivity", "false_alarms_per_image", "dice", "overlap")]
        rows.append([_tone(few, text) for text in (one["words"], f"{one['regions']} in {one['images']}", *figures)])
    headings = ("finding", "regions in images", "found", "false alarms per image", "Dice", "overlap (IoU)")
    at = [[one["words"], *(plain(of["sensitivity"]) for of in one["sensitivity_at"])] for one in result["regions"]]
    rates = [f"at {of['false_alarms_per_image']:g}" for of in result["regions"][0]["sensitivity_at"]]
    words = ("A region counts as found where its box overlaps the true one by at least 30 %.",)
    free = Table(headings=("finding", *rates), rows=at, caption="found, at so many false alarms per image")
    return Section(heading="Where the findings are", words=words, tables=[Table(headings=headings, rows=rows), free])


def _subgroups(result: Result) -> list[Section]:
    tables = []
    for key in dict.fromkeys(one["by"] for one in result["subgroups"]):
        of_key = [one for one in result["subgroups"] if one["by"] == key]
        rows: list[list[Cell]] = []
        for one in of_key:
            for of in one["findings"]:
                cells = [one["group"], of["words"], f"{of['with']} of {of['images']}" + FEW * of["few_cases"]]
                cells += [said(of[name]) for name in ("auc", "sensitivity", "specificity")]
                rows.append([_tone(of["few_cases"], text) for text in cells])
        if rows:
            found = ("finding", "with", "AUC", "sensitivity", "specificity")
            tables.append(Table(headings=(key, *found), rows=rows, caption=f"by {key}"))
        measured = [
            [
                _tone(of["few_cases"], text)
                for text in (one["group"], of["measure"], _count(of), said(of["mean_absolute"]), said(of["bias"]))
            ]
            for one in of_key
            for of in one["measures"]
        ]
        if measured:
            errors = ("measure", "images", "mean abs. error", "bias")
            tables.append(Table(headings=(key, *errors), rows=measured, caption=f"by {key}"))
        near = [(one["group"], one["points"]) for one in of_key if one["points"]]
        if near:
            away = [[_tone(of["few_cases"], text) for text in (name, _count(of), said(of["mean"]))] for name, of in near]
            headings = (key, "images", f"landmarks: mean distance, {near[0][1]['unit']}")
            tables.append(Table(headings=headings, rows=away, caption=f"by {key}"))
    words = (
        f"Gray, few cases: fewer than {FEW_CASES} images, or fewer than {FEW_WITH} with or without the finding. A "
        "difference there may be chance, and so may one among many groups.",
    )
    return [Section(heading="Subgroups", words=words, tables=tables)] if tables else []


def _count(one: Result) -> str:
    return str(one["images"]) + FEW * one["few_cases"]


def _compared(comparison: Result, name: str) -> Section:
    other = " ".join(part for part in (comparison["against"]["name"], comparison["against"]["version"]) if part)
    headings = ("", "images", "difference", "p (Holm)", "verdict", "sensitivity", "specificity")
    rows = []
    for one in comparison["findings"]:
        differences = [said(one[name_]["difference"]) for name_ in ("sensitivity", "specificity")]
        rows.append([f"{one['words']}: AUC", str(one["images"]), *_test(one), *differences])
    for one in comparison["numbers"]:
        rows.append([f"{one['words']}, {one['unit']}", str(one["images"]), *_test(one), "–", "–"])
    words = (
        f"{name} less {other}, on the same {comparison['images']} images of {comparison['patients']} patients.",
        "A difference counts as shown where its p value, corrected for the number of comparisons, is below 0.05.",
    )
    tables = [Table(headings=headings, rows=rows)]
    return Section(heading=f"Against {other}", words=words, banners=[Banner(text=comparison["verdict"])], tables=tables)


def _test(one: Result) -> list[str]:
    test = one["test"]
    p = test["p_holm"]
    return [said(test["difference"]), "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}", one["verdict"]]


def _words() -> Section:
    words = (
        "Interval: many times, as many patients are drawn with replacement, with all their images, and the figure is taken "
        "anew; 95 % of these lie within it. Where all or no cases are right, the exact binomial interval stands instead.",
        "AUC: the share of pairs, an image with the finding and one without, of which the first gets the higher "
        "probability; 0.5 is chance. Compared by DeLong's test, images of one patient taken together (Obuchowski).",
        "A model that is good here may be bad elsewhere: on other devices, breeds, clinics.",
    )
    return Section(heading="How to read this", words=words)
