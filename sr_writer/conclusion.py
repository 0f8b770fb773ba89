"""What a report comes to in a few lines: what was found and what not, on which image it rests, and what limits it."""

from __future__ import annotations

from collections.abc import Sequence

from domain import terms
from domain.types import Finding, FindingOutcome, Language, Outcome, Report
from sr_writer import image_words, wording
from sr_writer.header import Header


def lines(report: Report, headers: Sequence[Header], language: Language, *, signature: Sequence[str] = ()) -> list[str]:
    """The report in a few lines, the most important first. signature: what a signed report says in place of "unsigned"."""
    said = patients_differ(headers, language)
    if report.outcome is Outcome.ANALYSED:
        for finding in wording.by_importance(report.findings):
            if finding.outcome is not FindingOutcome.ABSENT:
                said.append(_told(finding, report, language))
        said += not_seen(report, language)
        if not report.findings:
            said.append(f"{terms.phrase('not_assessable', language)}.")
    else:
        said.append(f"{wording.unanswered(report.outcome, report.reason, language)}.")
    if wording.is_silent(report.outcome, report.findings):
        said.append(terms.phrase("nothing_concluded", language))
    said += [*of_study(report, language), *limits(report, language)]
    if report.model is not None:
        said.append(f"{wording.status(report.model, language)}.")
    return [*said, *(signature or unsigned(language))]


def _told(finding: Finding, report: Report, language: Language) -> str:
    return f"{wording.where(finding, report, language)}{wording.answered(finding, language, report.model)}."


def of_study(report: Report, language: Language) -> list[str]:
    """Of several images of a study that show a concept, which one's answer stands for the study, and why that one."""
    uids = [evidence.answer.ref.sop_instance_uid for evidence in report.evidence]
    said = []
    for chosen in report.conclusions if len(uids) > 1 else ():
        for finding in report.findings:
            same = (finding.concept, finding.laterality, finding.sop_instance_uid)
            found = finding.outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN)
            if found and chosen.images > 1 and same == (chosen.concept, chosen.laterality, chosen.sop_instance_uid):
                image = wording.image_number(uids.index(chosen.sop_instance_uid) + 1, report, language)
                why = f"{image}, {terms.reason(chosen.reason, language)}"
                said.append(f"{terms.phrase('of_study', language)}: {wording.sided(finding, language)} ({why}).")
    return list(dict.fromkeys(said))


def limits(report: Report, language: Language) -> list[str]:
    """Why what was not seen may be there all the same: images that failed or were left out, and how others were taken."""
    said = [*incomplete(report, language), *not_analysed(report, language)]
    for position, evidence in enumerate(report.evidence, 1):
        image = f"{wording.image_number(position, report, language)}: " if len(report.evidence) > 1 else ""
        said += [f"{image}{limit}." for limit in image_words.limits(evidence.answer, language)]
    return said


def patients_differ(headers: Sequence[Header], language: Language) -> list[str]:
    """That the images of a study name several animals, of which its documents can carry only the first."""
    named = ({header.text(keyword) for header in headers} - {""} for keyword in ("PatientID", "PatientName"))
    several = any(len(different) > 1 for different in named)
    return [f"{terms.phrase('patients_differ', language)}."] if several else []


def incomplete(report: Report, language: Language) -> list[str]:
    """That images failed, so that what was not seen is not taken for what is not there."""
    failed = wording.failed_count(report)
    if not failed:
        return []
    return [f"{terms.phrase('incomplete', language).format(count=failed, total=len(report.evidence))}."]


def not_analysed(report: Report, language: Language) -> list[str]:
    """That images were left out, and why it is not what the others say of them; nothing where none was analysed."""
    left = sum(wording.outcome_of(report, evidence)[0] is Outcome.DECLINED for evidence in report.evidence)
    if not left or report.outcome is not Outcome.ANALYSED:
        return []
    return [f"{terms.phrase('not_analysed', language).format(count=left, total=len(report.evidence))}."]


def not_seen(report: Report, language: Language) -> list[str]:
    """What was looked for and not seen: by its name alone where no image of the study answers otherwise, else by image."""
    absent = [finding for finding in report.findings if finding.outcome is FindingOutcome.ABSENT]
    otherwise = {f.concept.value for f in report.findings if f.outcome is not FindingOutcome.ABSENT}
    names = dict.fromkeys(terms.concept(f.concept, language) for f in absent if f.concept.value not in otherwise)
    lines = [f"{terms.phrase('none_seen', language).format(names=', '.join(names))}."] if names else []
    differing = [finding for finding in absent if finding.concept.value in otherwise]
    return lines + [_told(finding, report, language) for finding in differing]


def unsigned(language: Language) -> list[str]:
    return [f"{terms.phrase('not_a_diagnosis', language)}. {terms.phrase('unsigned', language)}."]
