"""A report in the order in which vets are taught to write one: the animal and the views, image quality, findings, numbers,
an impression that hedges, next steps, and what all this rests on. For the text report; each function gives lines of text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from domain import codes, terms
from domain.types import Finding, FindingOutcome, Language, ModelIdentity, Outcome, Region, Report, View
from sr_writer import conclusion, image_words, wording
from sr_writer.header import Header

LATERAL = {View.RIGHT_LATERAL, View.LEFT_LATERAL, View.LATERAL}
SAGITTAL = {View.VENTRODORSAL, View.DORSOVENTRAL}
TWO_VIEWS = {Region.THORAX, Region.ABDOMEN}  # regions that are read from a lateral and a ventrodorsal or dorsoventral view


def heading(report: Report, headers: Sequence[Header], language: Language) -> Iterator[str]:
    """Whose images these are, what was received and what is missing, and who answers."""
    pairs = list(zip(report.evidence, headers, strict=True))
    species = dict.fromkeys(image_words.species(evidence, header, language) for evidence, header in pairs)
    breed = headers[0].text("PatientBreedDescription")
    told = f"{breed} ({terms.phrase('from_header', language)})" if breed else terms.phrase("unknown", language)
    yield f"{terms.phrase('animal', language)}: {', '.join(species)}; {terms.phrase('breed', language)} {told}"
    received = [image_words.taken(evidence, header, language) for evidence, header in pairs]
    yield f"{terms.phrase('views_received', language)} ({len(received)}): {'; '.join(received)}"
    yield f"{terms.phrase('views_missing', language)}: {_missing(report, language)}"
    at = report.analysed_at.strftime("%Y-%m-%d %H:%M")
    yield f"{model(report, language)}. {terms.phrase('analysed_at', language).format(at=at)}"
    yield from conclusion.unsigned(language)


def model(report: Report, language: Language) -> str:
    if report.model is None:
        return f"{terms.phrase('model', language)}: {wording.unanswered(report.outcome, None, language)}"
    return f"{terms.phrase('model', language)}: {wording.model(report.model)}"


def missing_views(report: Report) -> list[str] | None:
    """Names of phrases, for thorax and abdomen; None where a region or a view is not known or another region was taken."""
    answers = [evidence.answer for evidence in report.evidence]
    if any(answer.region not in TWO_VIEWS or answer.view is None for answer in answers):
        return None
    missing = []
    for region in dict.fromkeys(answer.region for answer in answers):
        views = {answer.view for answer in answers if answer.region is region}
        missing += [] if views & LATERAL else ["lateral"]
        missing += [] if views & SAGITTAL else ["sagittal"]
    return list(dict.fromkeys(missing))


def _missing(report: Report, language: Language) -> str:
    missing = missing_views(report)
    if missing is None:
        return terms.phrase("views_unjudged", language)
    names = [terms.phrase(name, language) for name in missing]
    return ", ".join(names) or terms.phrase("no_view_missing", language)


def findings(report: Report, language: Language) -> Iterator[str]:
    """What is there first; what was not seen by name, and what could not be assessed with its reason."""
    if report.outcome is not Outcome.ANALYSED:
        yield f"{wording.unanswered(report.outcome, report.reason, language)}."
    for finding in wording.by_importance(report.findings):
        if wording.is_measured(finding):
            doubt = None if wording.is_validated(finding, report.model) else terms.phrase("unvalidated", language)
            known = (
                wording.position(m, language) and (doubt or wording.position(m, language)) for m in finding.measurements
            )
            said = "; ".join(filter(None, [wording.brief(finding, language), *known]))
            yield f"{wording.where(finding, report, language)}{said}."
        elif finding.outcome is not FindingOutcome.ABSENT:
            yield f"{wording.where(finding, report, language)}{wording.answered(finding, language, report.model)}."
    yield from conclusion.not_seen(report, language)
    if not report.findings and report.outcome is Outcome.ANALYSED:
        yield terms.phrase("no_findings", language)
    if wording.is_silent(report.outcome, report.findings):
        yield terms.phrase("nothing_concluded", language)


def measurements(report: Report, language: Language) -> Iterator[str]:
    """Each number with its reference interval and whose interval that is."""
    measured = [finding for finding in report.findings if wording.is_measured(finding)]
    for finding in measured:
        for measurement in finding.measurements:
            said = wording.measured(measurement, language, validated=wording.is_validated(finding, report.model))
            line = f"{wording.where(finding, report, language)}{said}"
            if measurement.interval is not None and measurement.interval.source:
                line += f" [{measurement.interval.source}]"
            yield line
    if not measured:
        yield terms.phrase("no_measurements", language)


def impression(report: Report, headers: Sequence[Header], language: Language) -> Iterator[str]:
    """What the answers are consistent with; never a diagnosis, and never that nothing is wrong."""
    yield from conclusion.patients_differ(headers, language)
    if report.outcome is not Outcome.ANALYSED:
        yield f"{wording.unanswered(report.outcome, report.reason, language)}."
    said = list(
        dict.fromkeys(
            line for finding in wording.by_importance(report.findings) for line in hedged(finding, language, report.model)
        )
    )
    yield from said
    answered = any(finding.outcome is FindingOutcome.ABSENT for finding in report.findings)
    if not said and answered:
        yield terms.phrase("none_to_report", language)
    if wording.is_silent(report.outcome, report.findings):
        yield terms.phrase("nothing_concluded", language)
    elif any(finding.outcome is FindingOutcome.NOT_ASSESSABLE for finding in report.findings):
        names = dict.fromkeys(
            terms.concept(f.concept, language) for f in report.findings if f.outcome is FindingOutcome.NOT_ASSESSABLE
        )
        yield f"{', '.join(names)}: {terms.outcome(FindingOutcome.NOT_ASSESSABLE, language)}."
    yield from (*conclusion.of_study(report, language), *conclusion.limits(report, language))
    yield terms.phrase("open", language)
    if report.model is not None:
        yield f"{wording.status(report.model, language)}."


def hedged(finding: Finding, language: Language, model: ModelIdentity | None) -> Iterator[str]:
    if wording.is_measured(finding):
        for measurement in finding.measurements:
            where = wording.lies(measurement)
            if where is not None and not wording.is_validated(finding, model):
                yield f"{wording.measured(measurement, language, validated=False)}."
            elif where is not None:
                name = terms.concept(measurement.concept, language)
                number = wording.number(measurement, language)
                yield f"{terms.phrase(f'measured_{where}', language).format(name=name, number=number)}."
    elif finding.outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN):
        place = wording.place(finding, language)
        name = terms.concept(finding.concept, language)
        name = f"{name} ({place})" if place else name
        hedge = "consistent_with" if finding.outcome is FindingOutcome.PRESENT else "possible"
        percent = f" ({wording.percent(finding.probability)})" if finding.probability is not None else ""
        yield f"{terms.phrase(hedge, language).format(name=name)}{percent}."


def next_steps(report: Report, language: Language) -> Iterator[str]:
    """What a vet may do about each kind of answer; suggestions of a general kind, none of them an order."""
    silent = wording.is_silent(report.outcome, report.findings)
    if silent:
        yield terms.phrase("next_read", language)
    found = [f for f in report.findings if f.outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN)]
    measured = [f for f in found if wording.is_measured(f)]
    if any(finding not in measured for finding in found):
        yield terms.phrase("next_confirm", language)
    if any(finding.outcome is FindingOutcome.UNCERTAIN for finding in found):
        yield terms.phrase("next_further", language)
    if measured:
        yield terms.phrase("next_lines", language)
    validated = [finding for finding in measured if wording.is_validated(finding, report.model)]
    scores = [m for finding in validated for m in finding.measurements if wording.is_of(m, codes.VHS)]
    for where in dict.fromkeys(wording.lies(score) for score in scores):
        if where in ("above", "below"):
            yield terms.phrase(f"next_heart_{where}", language)
    if any(finding.outcome is FindingOutcome.NOT_ASSESSABLE for finding in report.findings):
        yield terms.phrase("next_repeat", language)
    missing = missing_views(report)
    if missing:
        names = ", ".join(terms.phrase(name, language) for name in missing)
        yield terms.phrase("next_view", language).format(names=names)
    if not silent:
        yield terms.phrase("next_clinical", language)


def grounds(report: Report, language: Language) -> Iterator[str]:
    """What was looked for; which model in which version, what it may be trusted for and how it was measured."""
    yield wording.looked_for(report.findings, language) or terms.phrase("no_findings", language)
    yield terms.phrase("open", language)
    if report.model is None:
        yield model(report, language)
        return
    yield f"{model(report, language)}, {report.model.manufacturer}"
    yield f"{wording.status(report.model, language)}."
    yield f"{terms.phrase('weights', language)}: sha256 {report.model.onnx_sha256}"
    yield wording.performance(report.model, language)
