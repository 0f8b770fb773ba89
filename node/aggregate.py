"""One answer per concept for a whole study: which of its images gives it, and why that one.

A number comes from the view that the model prefers, else from the image that it is surest of. A finding that one view shows
is there, whatever the others hide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.types import Finding, FindingOutcome, Reason, StudyFinding

_GRAVEST = (FindingOutcome.PRESENT, FindingOutcome.UNCERTAIN, FindingOutcome.ABSENT, FindingOutcome.NOT_ASSESSABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A finding, and the place of its image's view among those that the model prefers."""

    finding: Finding
    view_rank: int


def study_findings(seen: Iterable[Seen]) -> tuple[StudyFinding, ...]:
    """seen: of one model, in the order of the images."""
    groups: dict[tuple[str, str, str], list[Seen]] = {}
    for one in seen:
        side = one.finding.laterality.value if one.finding.laterality else ""
        groups.setdefault((one.finding.concept.value, one.finding.concept.scheme, side), []).append(one)
    return tuple(_of_group(group) for group in groups.values())


def _of_group(group: list[Seen]) -> StudyFinding:
    images = len({one.finding.sop_instance_uid for one in group})
    measured = [
        one for one in group if one.finding.measurements and one.finding.outcome is not FindingOutcome.NOT_ASSESSABLE
    ]
    chosen, reason = _best_measured(measured) if measured else _gravest(group)
    if images == 1:
        reason = "only_image"
    elif measured and len({one.finding.sop_instance_uid for one in measured}) == 1:
        reason = "only_measurable"
    finding = chosen.finding
    return StudyFinding(
        concept=finding.concept,
        laterality=finding.laterality,
        outcome=finding.outcome,
        probability=finding.probability,
        sop_instance_uid=finding.sop_instance_uid,
        reason=Reason(code=reason),
        images=images,
    )


def _best_measured(measured: list[Seen]) -> tuple[Seen, str]:
    best_rank = min(one.view_rank for one in measured)
    preferred = [one for one in measured if one.view_rank == best_rank]
    if len(preferred) == 1:
        return preferred[0], "preferred_view"
    deviations = [one.finding.measurements[0].deviation for one in preferred]
    known = [deviation for deviation in deviations if deviation is not None]
    if len(known) == len(preferred) and len(set(known)) > 1:
        return preferred[deviations.index(min(known))], "least_deviation"
    return preferred[0], "first_image"


def _gravest(group: list[Seen]) -> tuple[Seen, str]:
    first = min(group, key=lambda one: (_GRAVEST.index(one.finding.outcome), -(one.finding.probability or 0)))
    return first, "gravest"
