"""`analyse`: files in; findings printed; documents in a folder. No network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, errors, print_json
from config.settings import Settings, load
from domain import terms
from domain.errors import NotFound
from domain.identity import Identity
from domain.types import Code, Finding, Language, Measurement, Report, Species
from inference.engine import Engine
from node.models import threads_for_one_run, used_packages
from node.offline import AnalysedStudy, Analysis, analyse_files
from node.writing import Writing

NOT_DICOM = "not_dicom"


def analyse(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="DICOM files and folders.", exists=True)],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the SR and the overlays.")] = None,
    species: Annotated[Species, typer.Option("--species", help="Assumed where the header is silent.")] = Species.DOG,
    language: Annotated[
        Language | None,
        typer.Option("--language", help="Of the documents; else the settings', ko by default."),
    ] = None,
    config: ConfigOption = DEFAULT_FILE,
    json: JsonOption = False,
) -> None:
    """Read files as the node would, without network. A file without an answer is listed with its reason."""
    settings = load(config) if config.exists() else Settings()
    with errors.status("Loading models") as doing:
        engine = Engine(used_packages(settings), threads=threads_for_one_run(1))
        analysis = analyse_files(
            paths,
            engine,
            writing=_writing(settings, language, out),
            assumed_species=species,
            started=lambda path: doing.update(f"Reading {path.name}"),
        )
    if not analysis.studies and not analysis.rejected:
        raise NotFound("there is no file in " + ", ".join(map(str, paths)))
    if json:
        print_json(_as_json(analysis))
    else:
        _print(analysis)


def _writing(settings: Settings, language: Language | None, out: Path | None) -> Writing | None:
    """As a node without destinations writes."""
    if out is None:
        return None
    out.mkdir(parents=True, exist_ok=True)
    node = settings.node.model_copy(update={"language": language or settings.node.language})
    alone = settings.model_copy(update={"node": node, "destination": ()})
    return Writing(settings=alone, identity=Identity(), results=out)


def _as_json(analysis: Analysis) -> dict[str, Any]:
    return {
        "studies": [_study(study) for study in analysis.studies],
        "rejected": [
            {"path": _said(item.path), "reason": terms.reason(item.reason, Language.ENGLISH)} for item in analysis.rejected
        ],
    }


def _study(study: AnalysedStudy) -> dict[str, Any]:
    return {
        "study_instance_uid": study.study_instance_uid,
        "outcome": study.outcome.value,
        "reason": _reason(study),
        "reports": [_report(report) for report in study.reports],
        "images": [
            {
                "path": _said(item.path),
                "sop_instance_uid": item.answer.ref.sop_instance_uid,
                "outcome": item.answer.outcome.value,
                "reason": _reason(item.answer),
                "view": item.answer.view.value if item.answer.view else None,
                "view_source": item.answer.view_source.value,
                "region": item.answer.region.value if item.answer.region else None,
                "region_source": item.answer.region_source.value,
                "species": item.answer.species.value if item.answer.species else None,
                "species_source": item.answer.species_source.value,
                "decoder": item.answer.decoder or None,
                "spacing_source": item.answer.spacing_source.value if item.answer.spacing_source else None,
                "burned_in": item.answer.burned_in,
                "frame": item.answer.ref.frame_number,
                "frames": item.answer.frames,
                "orientation": None
                if item.answer.orientation is None
                else {
                    "quarter_turns": item.answer.orientation.quarter_turns,
                    "mirrored": item.answer.orientation.mirrored,
                },
                "quality": [
                    {"issue": one.issue.value, "outcome": one.outcome.value, "probability": one.probability}
                    for one in item.answer.quality
                ],
            }
            for item in study.images
        ],
        "documents": [
            {"kind": document.kind.value, "path": str(document.path), "sop_instance_uid": document.ref.sop_instance_uid}
            for document in study.documents
        ],
    }


def _report(report: Report) -> dict[str, Any]:
    return {
        "model": report.model.name if report.model else None,
        "version": report.model.version if report.model else None,
        "clinical_status": report.model.clinical_status if report.model else None,
        "outcome": report.outcome.value,
        "reason": _reason(report),
        "findings": [_finding(finding) for finding in report.findings],
        "measurements": [
            _measurement(measurement, finding) for finding in report.findings for measurement in finding.measurements
        ],
        "conclusions": [
            {
                "concept": _code(one.concept),
                "laterality": _code(one.laterality),
                "outcome": one.outcome.value,
                "probability": one.probability,
                "sop_instance_uid": one.sop_instance_uid,
                "why": _reason(one),
                "images": one.images,
            }
            for one in report.conclusions
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "concept": _code(finding.concept),
        "outcome": finding.outcome.value,
        "reason": _reason(finding),
        "probability": finding.probability,
        "site": _code(finding.site),
        "laterality": _code(finding.laterality),
        "sop_instance_uid": finding.sop_instance_uid,
        "regions": [
            {"graphic_type": region.graphic_type, "points": [list(point) for point in region.points]}
            for region in finding.regions
        ],
    }


def _measurement(measurement: Measurement, finding: Finding) -> dict[str, Any]:
    return {
        "concept": _code(measurement.concept),
        "value": measurement.value,
        "unit": measurement.unit.value,
        "spacing_source": measurement.spacing_source.value if measurement.spacing_source else None,
        "deviation": measurement.deviation,
        "interval": None
        if measurement.interval is None
        else {
            "low": measurement.interval.low,
            "high": measurement.interval.high,
            "population": measurement.interval.population,
            "source": measurement.interval.source,
        },
        "sop_instance_uid": finding.sop_instance_uid,
        "lines": {name: [list(start), list(end)] for name, (start, end) in measurement.lines.items()},
    }


def _code(code: Code | None) -> dict[str, str] | None:
    return None if code is None else {"value": code.value, "scheme": code.scheme, "meaning": code.meaning}


def _reason(of: Any) -> str | None:
    return None if of.reason is None else terms.reason(of.reason, Language.ENGLISH)


def _print(analysis: Analysis) -> None:
    for study in analysis.studies:
        console.print(f"Study {study.study_instance_uid}")
        for item in study.images:
            name = _said(item.path.name)
            findings = [finding for model in item.answer.models for finding in model.findings]
            for finding in findings:
                console.print(f"  {name}: {_words(finding)}")
            if not findings:
                console.print(f"  {name}: {item.answer.outcome.value}: {_reason(item.answer)}")
        for report in study.reports:
            if report.model:
                model = f"{report.model.name} {report.model.version} ({report.model.clinical_status})"
                console.print(f"  {model}: {terms.phrase('not_a_diagnosis', Language.ENGLISH)}")
        for document in study.documents:
            console.print(f"  {document.kind.value} {document.path}")
    strange = [each for each in analysis.rejected if each.reason.details.get("error") == NOT_DICOM]
    for refused in analysis.rejected:
        if len(strange) == 1 or refused not in strange:
            console.print(f"rejected {_said(refused.path)}: {terms.reason(refused.reason, Language.ENGLISH)}")
    images = [item for study in analysis.studies for item in study.images]
    measured = sum(any(finding.measurements for m in item.answer.models for finding in m.findings) for item in images)
    console.print(f"{_count(len(images), 'image')}, {measured} measured; {_count(len(analysis.rejected), 'file')} not read.")
    if len(strange) > 1:
        console.print(f"{len(strange)} of the files are no DICOM files.")


def _said(path: Path | str) -> str:
    """A name on a disk is bytes: what is no UTF-8 is written as \\udcff, or nothing could print it."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def _count(number: int, noun: str) -> str:
    """ "1 image", "2 images" """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _words(finding: Finding) -> str:
    if not finding.measurements:
        reason = f": {_reason(finding)}" if finding.reason else ""
        return f"{finding.concept.meaning} {terms.outcome(finding.outcome, Language.ENGLISH)}{reason}"
    return ", ".join(f"{item.concept.meaning} {item.value:.1f} {item.unit.meaning}" for item in finding.measurements)
