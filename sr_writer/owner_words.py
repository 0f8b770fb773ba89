"""What the owner's page says, in plain English and Korean: no term of a diagnosis, nothing that reads as "all is well"."""

from __future__ import annotations

from collections.abc import Sequence

from domain import codes, terms
from domain.types import Finding, FindingOutcome, Language, Measurement, Outcome, Reason, Report
from sr_writer import wording

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Your pet's X-ray: what the software measured", "반려동물 엑스레이: 프로그램이 측정한 결과"),
    "no_result": ("Your pet's X-ray: no result from the software", "반려동물 엑스레이: 프로그램 결과 없음"),
    "demonstration": (
        "DEMONSTRATION – this software has learned from synthetic images only. Do not rely on it.",
        "시연용 모델 – 합성 영상으로만 학습한 프로그램입니다. 결과를 그대로 믿지 마십시오.",
    ),
    "taken": ("X-ray taken on {date}", "엑스레이 촬영일 {date}"),
    "vhs": ("Heart size compared with the spine (VHS)", "척추와 비교한 심장 크기 (VHS)"),
    "vhs_meaning": (
        "VHS says how many vertebrae (v, small bones of the spine) are as long as the heart's length and width together.",
        "VHS는 심장의 길이와 너비를 더한 값이 척추뼈(v) 몇 개의 길이와 같은지를 나타냅니다.",
    ),
    "below": ("below the usual range", "참고 범위보다 작음"),
    "within": ("within the usual range", "참고 범위 안"),
    "above": ("above the usual range", "참고 범위보다 큼"),
    "unvalidated": ("for demonstration only", "시연용 수치"),
    "zone_below": ("below", "작음"),
    "zone_within": ("usual range", "참고 범위"),
    "zone_above": ("above", "큼"),
    "range": (
        "Usual range {low:g}–{high:g}: {population}. Source: {source}.",
        "참고 범위 {low:g}–{high:g}: {population}. 출처: {source}.",
    ),
    "alone": (
        "One number alone says little: breed, age and how the X-ray was taken change it.",
        "숫자 하나만으로는 알 수 없습니다. 품종, 나이, 촬영 자세에 따라 달라집니다.",
    ),
    "marked": (
        "The software marked something in the X-ray for your veterinarian to look at ({count}).",
        "프로그램이 수의사가 확인할 부분을 엑스레이에 표시했습니다 ({count}곳).",
    ),
    "unmarked": (
        "The software marked nothing. It looks for a few things only: this does not mean that all is well.",
        "프로그램이 표시한 부분이 없습니다. 몇 가지만 살펴보므로, 이상이 없다는 뜻은 아닙니다.",
    ),
    "more": ("Your veterinarian has {count} more results.", "수의사에게 {count}개의 결과가 더 있습니다."),
    "not_assessable": ("COULD NOT BE MEASURED", "측정하지 못했습니다"),
    "declined": ("NOT ANALYSED", "분석하지 않았습니다"),
    "failed": ("THE ANALYSIS FAILED", "분석에 실패했습니다"),
    "why_unreadable": ("the X-ray file could not be read", "엑스레이 파일을 읽을 수 없었습니다"),
    "why_unknown": ("the software does not know this kind of X-ray", "이 프로그램이 다루지 않는 종류의 엑스레이입니다"),
    "why_unclear": (
        "what the software has to see was not clear enough",
        "프로그램이 보아야 할 부분이 충분히 뚜렷하지 않았습니다",
    ),
    "why_outside": (
        "not everything that the software has to see is in the picture",
        "프로그램이 보아야 할 부분이 사진에 다 나오지 않았습니다",
    ),
    "why_fault": ("the software stopped with a fault", "프로그램에 오류가 있었습니다"),
    "why": ("Why: {reason}.", "이유: {reason}."),
    "silence": (
        "This does not mean that everything is fine. It means that the software cannot say anything about this X-ray.",
        "이상이 없다는 뜻이 아닙니다. 프로그램이 이 엑스레이에 대해 아무것도 말할 수 없다는 뜻입니다.",
    ),
    "partly": (
        "{count} of {total} X-ray images could not be measured. Nothing is known about them.",
        "엑스레이 {total}장 중 {count}장은 측정하지 못했습니다. 이에 대해서는 알 수 없습니다.",
    ),
    "disclosure": (
        "This page was drafted by a computer program (AI). It is not a diagnosis, and no veterinarian has signed it. "
        "Your veterinarian looks at the X-ray and your pet, and decides.",
        "이 안내문은 컴퓨터 프로그램(AI)이 작성한 초안입니다. 진단이 아니며 수의사가 서명하지 않았습니다. "
        "수의사가 엑스레이와 반려동물을 직접 보고 판단합니다.",
    ),
    "ask": ("Please ask your veterinarian what this means for your pet.", "결과의 의미는 담당 수의사에게 물어보십시오."),
    "software": ("Software: {model}", "프로그램: {model}"),
}


WHY = {  # codes of reasons
    "unreadable": "why_unreadable",
    **dict.fromkeys(
        (
            "no_model",
            "no_model_for_age",
            "no_model_for_modality",
            "no_model_for_region",
            "no_model_for_species",
            "no_model_for_view",
            "not_a_lateral_thorax",
            "resolution_too_low",
        ),
        "why_unknown",
    ),
    **dict.fromkeys(
        ("landmarks_uncertain", "measurement_uncertain", "points_uncertain", "mirror_disagreement", "pitch_implausible"),
        "why_unclear",
    ),
    **dict.fromkeys(("outside_image", "out_of_frame"), "why_outside"),
    **dict.fromkeys(("analysis_failed", "report_failed", "model_failed"), "why_fault"),
}


def say(name: str, language: Language, **blanks: object) -> str:
    """KeyError for words that are not here."""
    return WORDS[name][language is Language.KOREAN].format(**blanks)


def scaled(report: Report) -> list[tuple[Finding, Measurement]]:
    """The numbers that can be shown on a scale, in the report's order."""
    return [
        (finding, measurement)
        for finding in report.findings
        if wording.is_measured(finding)
        for measurement in finding.measurements
        if measurement.interval is not None and measurement.interval.low < measurement.interval.high
    ]


def name_of(measurement: Measurement, language: Language) -> str:
    if wording.is_of(measurement, codes.VHS):
        return say("vhs", language)
    return terms.concept(measurement.concept, language)


def said_of(report: Report, finding: Finding, measurement: Measurement) -> str:
    """The name of the words beside a number: where it lies, or that nobody has validated it."""
    return (wording.lies(measurement) if wording.is_validated(finding, report.model) else None) or "unvalidated"


def silence(report: Report, language: Language) -> tuple[str, str]:
    """For a report that assessed nothing: what happened, in capitals where there are any, and why."""
    if report.outcome is Outcome.ANALYSED:
        reasons = [finding.reason for finding in report.findings if finding.reason is not None]
        return say("not_assessable", language), _why(reasons, language)
    reasons = [report.reason] if report.reason is not None else []
    headline = "declined" if report.outcome is Outcome.DECLINED else "failed"
    return say(headline, language), _why(reasons, language)


def _why(reasons: Sequence[Reason], language: Language) -> str:
    """In words for who keeps the animal; nothing rather than a word of the trade."""
    name = next((WHY[reason.code] for reason in reasons if reason.code in WHY), None)
    return say("why", language, reason=say(name, language)) if name is not None else ""


def image_of(report: Report, finding: Finding, language: Language) -> str:
    """ "Image 2 of 3"; empty where there is only one."""
    uids = [evidence.answer.ref.sop_instance_uid for evidence in report.evidence]
    if len(uids) < 2 or finding.sop_instance_uid not in uids:
        return ""
    return wording.image_number(uids.index(finding.sop_instance_uid) + 1, report, language)


def statements(report: Report, language: Language) -> list[str]:
    """Sentences below the scale, which shows the first number that has one: every number is said or counted."""
    others = scaled(report)[1:]
    others += [(f, f.measurements[0]) for f in report.findings if wording.is_measured(f) and not _has_scale(f)]
    said = [_line(report, finding, measurement, language) for finding, measurement in others[:MOST_LINES]]
    marked = [f for f in report.findings if not wording.is_measured(f) and f.outcome in _DRAWN]
    absent = [f for f in report.findings if f.outcome is FindingOutcome.ABSENT]
    if marked:
        said.append(say("marked", language, count=len(marked)))
    elif absent:
        said.append(say("unmarked", language))
    hidden = len(others) - MOST_LINES
    if hidden > 0:
        said.append(say("more", language, count=hidden))
    unknown = _unassessed(report)
    if unknown:
        said.append(say("partly", language, count=unknown, total=len(report.evidence)))
    return said


MOST_LINES = 3


def _has_scale(finding: Finding) -> bool:
    return any(m.interval is not None and m.interval.low < m.interval.high for m in finding.measurements)


def _line(report: Report, finding: Finding, measurement: Measurement, language: Language) -> str:
    """ "Image 2 of 3: VHS 10.8 – above the usual range" """
    image = image_of(report, finding, language)
    name = terms.short_concept(measurement.concept, language)
    text = f"{image}: {name}" if image else name
    text = f"{text} {wording.number(measurement, language)}"
    return f"{text} – {say(said_of(report, finding, measurement), language)}" if measurement.interval is not None else text


_DRAWN = (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN)


def _unassessed(report: Report) -> int:
    """Images about which nothing was said: not analysed, or nothing on them assessable."""
    spoken = {f.sop_instance_uid for f in report.findings if f.outcome is not FindingOutcome.NOT_ASSESSABLE}
    return sum(evidence.answer.ref.sop_instance_uid not in spoken for evidence in report.evidence)
