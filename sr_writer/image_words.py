"""What is said of an image: whose and what it is, what became of it, and how well it was taken."""

from __future__ import annotations

from domain import terms
from domain.types import (
    Evidence,
    FindingOutcome,
    ImageAnswer,
    Language,
    Outcome,
    Quality,
    QualityIssue,
    Region,
    Report,
    Source,
    SpacingSource,
    Species,
    View,
)
from sr_writer import wording
from sr_writer.header import Header


def fact(value: Species | View | Region | None, source: Source, language: Language) -> str:
    """ "dog (assumed)" """
    if value is None:
        return terms.phrase("unknown", language)
    return f"{terms.name(value, language)} ({terms.source(source, language)})"


def species(evidence: Evidence, header: Header, language: Language) -> str:
    """As the answer has it; in the header's words where there is none, as of an image that could not be analysed."""
    return _known(evidence.answer.species, evidence.answer.species_source, header, "PatientSpeciesDescription", language)


def region(evidence: Evidence, header: Header, language: Language) -> str:
    return _known(evidence.answer.region, evidence.answer.region_source, header, "BodyPartExamined", language)


def view(evidence: Evidence, header: Header, language: Language) -> str:
    return _known(evidence.answer.view, evidence.answer.view_source, header, "ViewPosition", language)


def _known(value: Species | View | Region | None, source: Source, header: Header, keyword: str, language: Language) -> str:
    if value is None and header.text(keyword):
        return f"{header.text(keyword)} ({terms.source(Source.HEADER, language)})"
    return fact(value, source, language)


def taken(evidence: Evidence, header: Header, language: Language) -> str:
    """Region and view of an image with their sources: "thorax, right lateral (from the header)"."""
    answer = evidence.answer
    if answer.region is not None and answer.view is not None and answer.region_source is answer.view_source:
        return f"{terms.name(answer.region, language)}, {fact(answer.view, answer.view_source, language)}"
    unknown = terms.phrase("unknown", language)
    known = (region(evidence, header, language), view(evidence, header, language))
    return ", ".join(part for part in known if part != unknown) or unknown


def became(evidence: Evidence, report: Report, language: Language) -> str:
    """What became of one image in this report; "Analysed" only where something on it could be assessed."""
    result, reason = wording.outcome_of(report, evidence)
    findings = [f for f in report.findings if f.sop_instance_uid == evidence.answer.ref.sop_instance_uid]
    if result is not Outcome.ANALYSED or not wording.is_silent(result, findings):
        return wording.unanswered(result, reason, language)
    reasons = dict.fromkeys(terms.reason(f.reason, language) for f in findings if f.reason is not None)
    return " – ".join([terms.phrase("nothing_assessable", language), *filter(None, ["; ".join(reasons)])])


def image(position: int, evidence: Evidence, header: Header, report: Report, language: Language) -> str:
    """What an image is and what became of it; position counts from 1."""
    what = became(evidence, report, language)
    return f"{wording.image_number(position, report, language)}, {taken(evidence, header, language)}: {what}"


def spacing_source(evidence: Evidence, header: Header) -> SpacingSource:
    """What the header's millimetres mean, for an image that nobody could read too (PS3.3 10.7.1.3)."""
    at_detector = "PixelSpacing" not in header.attributes and "ImagerPixelSpacing" in header.attributes
    return evidence.answer.spacing_source or (SpacingSource.DETECTOR if at_detector else SpacingSource.UNKNOWN)


def quality(evidence: Evidence, header: Header, language: Language) -> str:
    """What is known of an image's quality, and that the rest was not judged."""
    answer = evidence.answer
    parts = [f"{terms.phrase('view', language)} {view(evidence, header, language)}"]
    if answer.columns and answer.rows:
        parts.append(f"{answer.columns} × {answer.rows}")
    spacing = header.spacing_mm
    meaning = terms.source(spacing_source(evidence, header), language)
    scale = f"{spacing[0]:.3g} mm ({meaning})" if spacing else terms.phrase("scale_unknown", language)
    parts.append(f"{terms.phrase('scale', language)} {scale}")
    sentences = ["; ".join(parts), *limits(answer, language), *_unlimited(answer, language)]
    unjudged = [issue for issue in QualityIssue if issue not in {one.issue for one in answer.quality}]
    if not answer.quality:
        return f"{'. '.join(sentences)}. {terms.phrase('quality_unjudged', language)}"
    if unjudged:
        names = ", ".join(terms.name(issue, language) for issue in unjudged)
        sentences.append(terms.phrase("quality_unjudged_of", language).format(names=names))
    return f"{'. '.join(sentences)}."


def limits(answer: ImageAnswer, language: Language) -> list[str]:
    """What may have hidden something from the models: faults of the exposure, frames that nobody read, a film's marks."""
    faults = ", ".join(_judged(one, language) for one in answer.quality if one.outcome is not FindingOutcome.ABSENT)
    said = [f"{terms.phrase('quality_by_ai', language)}: {faults}{_of_demonstration(answer, language)}"] if faults else []
    if answer.frames > 1 and answer.ref.frame_number is not None:
        read = terms.phrase("frame_read", language)
        said.append(read.format(number=answer.ref.frame_number, total=answer.frames))
    if answer.burned_in:
        said.append(terms.phrase("burned_in", language))
    return said


def turned(answer: ImageAnswer, language: Language) -> str:
    """How the models turned an image before they read it; empty where they did not."""
    how = [terms.phrase("mirrored", language)] if answer.orientation and answer.orientation.mirrored else []
    if answer.orientation and answer.orientation.quarter_turns:
        how.append(terms.phrase("turned", language).format(degrees=90 * answer.orientation.quarter_turns))
    return f"{terms.phrase('read_turned', language)}: {', '.join(how)}" if how else ""


def _unlimited(answer: ImageAnswer, language: Language) -> list[str]:
    unseen = ", ".join(terms.name(one.issue, language) for one in answer.quality if one.outcome is FindingOutcome.ABSENT)
    word = terms.outcome(FindingOutcome.ABSENT, language)
    said = f"{terms.phrase('quality_by_ai', language)}: {unseen} {word}{_of_demonstration(answer, language)}"
    return list(filter(None, [said if unseen else "", turned(answer, language)]))


def _judged(one: Quality, language: Language) -> str:
    return f"{terms.name(one.issue, language)} {terms.outcome(one.outcome, language)} ({wording.percent(one.probability)})"


def _of_demonstration(answer: ImageAnswer, language: Language) -> str:
    demonstration = answer.triage is not None and answer.triage.clinical_status == wording.DEMONSTRATION
    return f" – {terms.phrase('unvalidated', language)}" if demonstration else ""
