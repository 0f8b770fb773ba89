"""What SR and overlay say in words, so that both say the same. Numbers are rounded here once, as they are shown.

Nothing here may read as "normal" unless something was looked for, assessed, and not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from domain import codes, terms
from domain.types import (
    Code,
    Evidence,
    Finding,
    FindingOutcome,
    ImageAnswer,
    Language,
    Measurement,
    ModelAnswer,
    ModelIdentity,
    Outcome,
    Point,
    Reason,
    Report,
)

DECIMALS = 1
DEMONSTRATION = "demonstration"
AXES_ON_SPINE = ("long_axis_on_spine", "short_axis_on_spine")  # of a heart score's lines
LARGEST_DIFFERENCE = 0.15  # vertebrae between a score and its axes that roundings may make


def shown(value: float) -> float:
    """The number as every document prints and codes it."""
    return round(float(value), DECIMALS) + 0.0  # + 0.0: no "-0.0"


def is_of(measurement: Measurement, concept: Code) -> bool:
    """The same concept, whatever meaning a package's manifest gives it."""
    return (measurement.concept.value, measurement.concept.scheme) == (concept.value, concept.scheme)


def number(measurement: Measurement, language: Language) -> str:
    """ "10.8 v" """
    return f"{shown(measurement.value):.{DECIMALS}f} {terms.unit(measurement.unit, language)}"


def spread(measurement: Measurement, language: Language) -> str:
    """ "± 0.3 v (standard deviation, by the model)"; empty where the model does not say how sure it is."""
    if measurement.deviation is None:
        return ""
    value = shown(measurement.deviation)
    size = f"{value:.{DECIMALS}f}" if value else f"< {10**-DECIMALS:g}"
    return f"± {size} {terms.unit(measurement.unit, language)} ({terms.phrase('spread', language)})"


def lies(measurement: Measurement) -> str | None:
    """Where the shown number lies: "below", "above" or "within"; None without an interval."""
    interval = measurement.interval
    if interval is None:
        return None
    value = shown(measurement.value)
    return "below" if value < interval.low else "above" if value > interval.high else "within"


def position(measurement: Measurement, language: Language) -> str:
    """Where the shown number lies, in words; empty without an interval."""
    where = lies(measurement)
    return terms.phrase(where, language) if where is not None else ""


def reference(measurement: Measurement, language: Language, *, source: bool = False) -> str:
    """ "reference 8.5–10.5, dog", and whose; empty without an interval."""
    interval = measurement.interval
    if interval is None:
        return ""
    population = terms.population(interval.population, language)
    text = f"{terms.phrase('reference', language)} {interval.low:g}–{interval.high:g}, {population}"
    return f"{text}; {interval.source}" if source and interval.source else text


def is_validated(finding: Finding, model: ModelIdentity | None) -> bool:
    """Whether a number may be said to lie within or outside of its interval: not a demonstration's, for "within" would pass
    for a clean bill of health. What a person entered is that person's."""
    return finding.by_person or model is None or model.clinical_status != DEMONSTRATION


def standing(measurement: Measurement, language: Language, *, validated: bool) -> str:
    """Where a number lies and in which interval; the interval and a warning for one that nobody has validated; empty
    without an interval."""
    if measurement.interval is None:
        return ""
    whose = reference(measurement, language)
    if validated:
        return f"{position(measurement, language)} ({whose})"
    return f"{whose} – {terms.phrase('unvalidated', language)}"


def measured(measurement: Measurement, language: Language, *, validated: bool) -> str:
    """One line: name, number, reference interval and where the number lies in it, or what its millimetres mean."""
    text = f"{terms.concept(measurement.concept, language)} {number(measurement, language)}"
    if measurement.deviation is not None:
        text = f"{text} {spread(measurement, language)}"
    if measurement.interval is not None:
        return f"{text} – {standing(measurement, language, validated=validated)}"
    if measurement.spacing_source is not None:
        return f"{text} ({terms.source(measurement.spacing_source, language)})"
    return text


def axes_in_vertebrae(finding: Finding) -> dict[str, float]:
    """Of a heart score, each axis by its concept's code value, so that a reader can check the sum: as many counted vertebrae
    as it covers when laid on the spine, rounded so that both make up the score as shown. Empty where they do not."""
    edges = np.asarray(vertebral_edges(finding), dtype=float).reshape(-1, 2)
    score = next((m for m in finding.measurements if is_of(m, codes.VHS)), None)
    if score is None or len(edges) < 2:
        return {}
    counted = [_along(edges, score.lines[name][1]) for name in AXES_ON_SPINE if name in score.lines]
    if len(counted) < 2 or abs(sum(counted) - score.value) > LARGEST_DIFFERENCE:
        return {}
    long = shown(counted[0])
    return {codes.LONG_AXIS.value: long, codes.SHORT_AXIS.value: shown(shown(score.value) - long)}


def _along(edges: npt.NDArray[np.float64], point: Point) -> float:
    """How many of the segments between the edges lie before the point, the last one extended beyond its end."""
    starts, steps = edges[:-1], np.diff(edges, axis=0)
    share = ((np.asarray(point) - starts) * steps).sum(axis=1) / np.maximum((steps**2).sum(axis=1), 1e-12)
    share = np.clip(share, 0, [*np.ones(len(steps) - 1), np.inf])
    nearest = int(np.argmin(np.linalg.norm(starts + share[:, None] * steps - point, axis=1)))
    return nearest + float(share[nearest])


def vertebrae(count: float, language: Language) -> str:
    """ "5.6 v" """
    return f"{count:.{DECIMALS}f} {terms.unit(codes.VERTEBRAE, language)}"


def brief(finding: Finding, language: Language) -> str:
    """A few words a viewer prints beside the lines: "VHS 10.8"."""
    name = terms.short_concept(finding.concept, language)
    if is_measured(finding):
        leading = finding.measurements[0]
        return f"{terms.short_concept(leading.concept, language)} {shown(leading.value):.{DECIMALS}f}"
    if finding.outcome is FindingOutcome.PRESENT and finding.probability is not None:
        return f"{name} {percent(finding.probability)}"
    if finding.outcome is FindingOutcome.UNCERTAIN:
        return f"{name} {outcome(finding, language)}"
    return f"{name} {terms.outcome(finding.outcome, language)}"


def sided(finding: Finding, language: Language) -> str:
    """Its few words with the side, so that left and right do not read as one that contradicts itself."""
    side = finding.laterality
    return f"{brief(finding, language)}, {terms.concept(side, language)}" if side else brief(finding, language)


def percent(probability: float) -> str:
    """ "93 %" """
    return f"{100 * probability:.0f} %"


def place(finding: Finding, language: Language) -> str:
    """ "left stifle"; the site only where the finding's name does not say it."""
    known = next((known for known in codes.FINDINGS if known.code.value == finding.concept.value), None)
    told = known is None or known.site == finding.site
    parts = (finding.laterality, None if told else finding.site)
    return " ".join(terms.concept(part, language) for part in parts if part is not None)


def answered(finding: Finding, language: Language, model: ModelIdentity | None) -> str:
    """One finding of a model in one line, its reason included where it could not be assessed."""
    name = terms.concept(finding.concept, language)
    if is_measured(finding):
        validated = is_validated(finding, model)
        return "; ".join(measured(measurement, language, validated=validated) for measurement in finding.measurements)
    seen = finding.outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN)
    severity = terms.concept(finding.severity, language) if seen and finding.severity is not None else ""
    text = ", ".join(filter(None, [f"{name}: {outcome(finding, language)}", severity, place(finding, language)]))
    return f"{text} – {terms.reason(finding.reason, language)}" if finding.reason is not None else text


def outcome(finding: Finding, language: Language) -> str:
    """ "present (93 %)" """
    text = terms.outcome(finding.outcome, language)
    return f"{text} ({percent(finding.probability)})" if finding.probability is not None else text


def is_measured(finding: Finding) -> bool:
    return finding.outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN) and bool(finding.measurements)


def vertebral_edges(finding: Finding) -> Sequence[Point]:
    """The counted vertebrae's cranial edges from T4 on: the guide with the most points; empty without any."""
    guides = [shape.points for shape in finding.guides if shape.graphic_type in ("MULTIPOINT", "POLYLINE")]
    return max(guides, key=len, default=())


def verdict(result: Outcome, findings: Sequence[Finding], language: Language) -> str:
    """The one line that must be legible in a thumbnail."""
    if result is not Outcome.ANALYSED:
        return terms.outcome(result, language)
    positive = [f for f in findings if f.outcome in (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN)]
    if positive:
        return " · ".join(dict.fromkeys(brief(finding, language) for finding in positive))
    negative = [finding for finding in findings if finding.outcome is FindingOutcome.ABSENT]
    if negative:
        return " · ".join(dict.fromkeys(brief(finding, language) for finding in negative))
    return terms.phrase("not_assessable", language)


def detail(answer: ImageAnswer, language: Language) -> str:
    """What stands beside the verdict on an image: where its first number lies, or why there is none."""
    if answer.outcome is not Outcome.ANALYSED:
        return terms.reason(answer.reason, language) if answer.reason is not None else ""
    findings = [(finding, spoken.model) for spoken in answer.models for finding in spoken.findings]
    for finding, model in findings:
        for measurement in finding.measurements if is_measured(finding) else ():
            if measurement.interval is not None:
                interval = f"{measurement.interval.low:g}–{measurement.interval.high:g}"
                if is_validated(finding, model):
                    return f"{position(measurement, language)} ({interval})"
                return f"{terms.phrase('reference', language)} {interval} – {terms.phrase('unvalidated', language)}"
    reasons = [finding.reason for finding, _ in findings if finding.reason is not None]
    return terms.reason(reasons[0], language) if reasons else ""


def is_silent(result: Outcome, findings: Sequence[Finding]) -> bool:
    """Nothing was assessed: every document then says that this does not mean normal."""
    return result is not Outcome.ANALYSED or all(f.outcome is FindingOutcome.NOT_ASSESSABLE for f in findings)


def unanswered(result: Outcome, reason: Reason | None, language: Language) -> str:
    """ "NOT ANALYSED – no model for this region (limb)" """
    text = terms.outcome(result, language)
    return f"{text} – {terms.reason(reason, language)}" if reason is not None else text


def model(identity: ModelIdentity) -> str:
    return f"{identity.name} {identity.version}"


def status(identity: ModelIdentity, language: Language) -> str:
    """What the model may be trusted for; "DEMONSTRATION" is the word to look for."""
    known = identity.clinical_status == DEMONSTRATION
    return terms.phrase(DEMONSTRATION, language) if known else identity.clinical_status


def performance(identity: ModelIdentity, language: Language) -> str:
    """What the package has published: a quotation, in its own words whatever the report's language is."""
    if not identity.performance:
        return f"{terms.phrase('performance', language)}: {terms.phrase('unknown', language)}"
    return f"{terms.phrase('performance_quoted', language)}: “{identity.performance}”"


def answer_of(report: Report, evidence: Evidence) -> ModelAnswer | None:
    """What the report's model said of one image."""
    if report.model is None:
        return None
    return next((answer for answer in evidence.answer.models if answer.model == report.model), None)


def outcome_of(report: Report, evidence: Evidence) -> tuple[Outcome, Reason | None]:
    """What became of one image in this report: the model's word where it has one, else the image's."""
    answer = answer_of(report, evidence)
    if answer is not None:
        return answer.outcome, answer.reason
    if report.model is not None and evidence.answer.outcome is Outcome.ANALYSED:  # by another model
        return Outcome.DECLINED, evidence.answer.reason
    return evidence.answer.outcome, evidence.answer.reason


def failed_count(report: Report) -> int:
    return sum(outcome_of(report, evidence)[0] is Outcome.FAILED for evidence in report.evidence)


def image_number(position: int, report: Report, language: Language) -> str:
    """ "Image 2 of 3", counted from 1"""
    return terms.phrase("image_of", language).format(number=position, total=len(report.evidence))


def looked_for(findings: Sequence[Finding], language: Language) -> str:
    """Which questions were asked, whatever the answers were; empty when none was."""
    names = dict.fromkeys(terms.concept(finding.concept, language) for finding in findings)
    return f"{terms.phrase('looked_for', language)}: {', '.join(names)}" if names else ""


def by_importance(findings: Sequence[Finding]) -> list[Finding]:
    """What is there first, then what may be, what could not be assessed, and what was not seen; the surest first."""
    order = (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN, FindingOutcome.NOT_ASSESSABLE, FindingOutcome.ABSENT)
    return sorted(findings, key=lambda f: (order.index(f.outcome), -(f.probability if f.probability is not None else 1.0)))


def where(finding: Finding, report: Report, language: Language) -> str:
    """ "Image 2 of 3: "; empty in a study of one image."""
    uids = [evidence.answer.ref.sop_instance_uid for evidence in report.evidence]
    if len(uids) < 2 or finding.sop_instance_uid not in uids:
        return ""
    return f"{image_number(uids.index(finding.sop_instance_uid) + 1, report, language)}: "
