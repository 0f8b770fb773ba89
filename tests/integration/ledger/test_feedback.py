"""What veterinarians answer is kept, and the newest answer of each counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import pytest

from domain.types import FindingOutcome
from ledger import feedback
from ledger.feedback import Answer, Feedback
from ledger.store import Ledger


class StoppedClock(Protocol):
    now: float


GIVEN = Feedback(
    study_instance_uid="2.25.1",
    sop_instance_uid="2.25.11",
    finding="2.25.111",
    concept="CARDIOMEGALY",
    shown=FindingOutcome.PRESENT,
    answer=Answer.AGREE,
    reader="vet-1",
    model="thorax-findings",
    version="1.0.0",
    document="2.25.1111",
    probability=0.75,
)


def test_the_newest_answer_of_each_reader_counts(ledger: Ledger, clock: StoppedClock) -> None:
    corrected = replace(
        GIVEN,
        answer=Answer.CORRECTED,
        corrected={"outcome": "ABSENT", "regions": [{"graphic_type": "POLYLINE", "points": [[1.5, 2.0]]}]},
    )
    other_reader, other_study = replace(GIVEN, reader="vet-2"), replace(GIVEN, study_instance_uid="2.25.2", finding="2.25.9")
    with ledger.transaction() as tx:
        first = feedback.record(tx, GIVEN)
    clock.now += 10
    with ledger.transaction() as tx:
        assert feedback.record(tx, corrected) > first
        feedback.record(tx, other_reader)
        feedback.record(tx, other_study)
    with ledger.reading() as tx:
        assert [row.feedback for row in feedback.of_study(tx, "2.25.1")] == [corrected, other_reader]
        assert [row.feedback for row in feedback.since(tx)] == [corrected, other_reader, other_study]
        assert {row.at for row in feedback.since(tx, clock.now)} == {clock.now}
        assert feedback.since(tx, clock.now + 1) == []
        assert feedback.of_study(tx, "2.25.3") == []


def test_a_correction_says_what_is_right(ledger: Ledger) -> None:
    with ledger.transaction() as tx, pytest.raises(ValueError, match="says what is right instead"):
        feedback.record(tx, replace(GIVEN, answer=Answer.CORRECTED))
