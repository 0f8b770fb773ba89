"""Of several images of a study, which one answers, and why."""

from __future__ import annotations

from typing import Any

import pytest

from domain import codes, terms
from domain.types import Code, Finding, FindingOutcome, Language, Measurement
from node.aggregate import Seen, study_findings

EFFUSION = codes.FINDINGS[11].code


def finding(
    image: int, *, outcome: FindingOutcome = FindingOutcome.PRESENT, concept: Code = codes.VHS, **more: Any
) -> Finding:
    return Finding(tracking=concept.value, concept=concept, outcome=outcome, sop_instance_uid=str(image), **more)


def vhs(image: int, *, rank: int = 0, deviation: float | None = None) -> Seen:
    measurement = Measurement(concept=codes.VHS, value=10.0, unit=codes.VERTEBRAE, lines={}, deviation=deviation)
    return Seen(finding=finding(image, measurements=(measurement,)), view_rank=rank)


def refused(image: int) -> Seen:
    return Seen(finding=finding(image, outcome=FindingOutcome.NOT_ASSESSABLE), view_rank=0)


@pytest.mark.parametrize(
    ("seen", "image", "why"),
    [
        ([vhs(1)], "1", "only_image"),
        ([refused(1)], "1", "only_image"),
        ([refused(1), vhs(2, rank=3)], "2", "only_measurable"),
        ([vhs(1, rank=1), vhs(2, rank=0)], "2", "preferred_view"),
        ([vhs(1, deviation=0.4), vhs(2, deviation=0.2)], "2", "least_deviation"),
        ([vhs(1, rank=1, deviation=0.1), vhs(2, deviation=0.2), vhs(3, deviation=0.3)], "2", "least_deviation"),
        ([vhs(1), vhs(2)], "1", "first_image"),
        ([refused(1), refused(2)], "1", "gravest"),
    ],
)
def test_a_number_comes_from_the_best_view(seen: list[Seen], image: str, why: str) -> None:
    (found,) = study_findings(seen)
    assert (found.sop_instance_uid, found.reason.code) == (image, why)
    assert terms.reason(found.reason, Language.ENGLISH)


def test_a_finding_that_one_view_shows_is_there() -> None:
    outcomes = [(FindingOutcome.ABSENT, 0.1), (FindingOutcome.UNCERTAIN, 0.5), (FindingOutcome.PRESENT, 0.8)]
    seen = [
        Seen(finding=finding(n, outcome=outcome, concept=EFFUSION, probability=p), view_rank=n)
        for n, (outcome, p) in enumerate(outcomes)
    ]
    (found,) = study_findings([*seen, *seen[:1]])
    assert (found.outcome, found.probability, found.sop_instance_uid) == (FindingOutcome.PRESENT, 0.8, "2")
    assert found.images == 3


def test_sides_and_concepts_are_answered_apart() -> None:
    sides = [
        Seen(finding=finding(1, concept=codes.NORBERG_ANGLE, laterality=side), view_rank=0)
        for side in (codes.LEFT, codes.RIGHT)
    ]
    assert [one.laterality for one in study_findings([*sides, vhs(1)])] == [codes.LEFT, codes.RIGHT, None]
