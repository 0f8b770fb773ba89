"""The same words in SR and overlay, and none that could pass for "normal" where nothing was assessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from answers import ANALYSED_AT, INTERVAL, MODEL, OUTCOMES, STUDY_UID, VALIDATED, evidence, not_assessable, report, vhs
from factories import dx_file
from hypothesis import given
from hypothesis import strategies as st

from domain import codes, terms
from domain.measures import vertebral_heart_score
from domain.types import (
    Finding,
    FindingOutcome,
    Language,
    Measurement,
    ModelIdentity,
    Outcome,
    Point,
    Reason,
    Report,
    Shape,
)
from sr_writer import conclusion, image_words, read_header, wording

EN, KO = Language.ENGLISH, Language.KOREAN
NORMAL = re.compile(r"normal|정상|unremarkable|no abnormal", re.IGNORECASE)


def score(value: float) -> Measurement:
    return Measurement(concept=codes.VHS, value=value, unit=codes.VERTEBRAE, lines={}, interval=INTERVAL)


@pytest.mark.parametrize(
    ("value", "english"),
    [
        (8.44, "below the reference interval"),
        (8.46, "within the reference interval"),
        (10.54, "within the reference interval"),  # shown as 10.5
        (10.56, "above the reference interval"),
    ],
)
def test_a_number_lies_where_its_shown_value_lies(value: float, english: str) -> None:
    assert wording.position(score(value), EN) == english


def test_a_measurement_in_words() -> None:
    expected = "Vertebral heart score 10.8 v – above the reference interval (reference 8.5–10.5, dog, all breeds)"
    assert wording.measured(score(10.83), EN, validated=True) == expected
    assert wording.measured(score(9.8), EN, validated=False) == (
        "Vertebral heart score 9.8 v – reference 8.5–10.5, dog, all breeds – demonstration model, not validated"
    )
    assert wording.measured(vhs("2.25.1").measurements[1], KO, validated=True) == "장축 87.3 mm (검출기 기준, 실제보다 큼)"


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(
    ("outcome", "findings", "english"),
    [
        (Outcome.ANALYSED, (vhs("2.25.1"),), "VHS 10.8"),
        (Outcome.ANALYSED, (not_assessable("2.25.1"),), "NOT ASSESSABLE"),
        (Outcome.ANALYSED, (), "NOT ASSESSABLE"),
        (Outcome.DECLINED, (), "NOT ANALYSED"),
        (Outcome.FAILED, (), "ANALYSIS FAILED"),
        (Outcome.FAILED, (vhs("2.25.1"),), "ANALYSIS FAILED"),
    ],
)
def test_verdicts(outcome: Outcome, findings: tuple[Finding, ...], english: str, language: Language) -> None:
    said = wording.verdict(outcome, findings, language)
    assert said == english if language is EN else not NORMAL.search(said)


def test_two_images_give_two_numbers_in_one_verdict() -> None:
    both = [vhs("2.25.1"), vhs("2.25.2", score=9.9)]
    assert wording.verdict(Outcome.ANALYSED, both, EN) == "VHS 10.8 · VHS 9.9"


@given(
    outcome=st.sampled_from(Outcome),
    language=st.sampled_from(Language),
    code=st.sampled_from(["no_model", "not_an_image", "model_failed", "pitch_implausible", "out_of_frame"]),
    count=st.integers(0, 3),
)
def test_silence_says_that_it_is_not_normal(outcome: Outcome, language: Language, code: str, count: int) -> None:
    findings = tuple(replace(not_assessable("2.25.1"), reason=Reason(code=code)) for _ in range(count))
    silent = Report(
        study_instance_uid=STUDY_UID,
        model=MODEL,
        outcome=outcome,
        reason=Reason(code=code),
        evidence=(),
        findings=findings,
        revision=1,
        analysed_at=ANALYSED_AT,
    )
    said = " ".join(conclusion.lines(silent, (), language))
    disclaimer = terms.phrase("nothing_concluded", language)
    assert disclaimer in said
    assert not NORMAL.search(said.replace(disclaimer, ""))


@pytest.mark.parametrize("language", Language)
def test_a_measured_report_never_says_normal(tmp_path: Path, language: Language) -> None:
    measured = report([evidence(dx_file(tmp_path / "a.dcm"), "measured")])
    said = " ".join(conclusion.lines(measured, (), language))
    assert not NORMAL.search(said)
    assert terms.phrase("not_a_diagnosis", language) in said
    assert terms.phrase("demonstration", language) in said


def test_an_absence_is_said_only_of_what_was_looked_for() -> None:
    absent = replace(not_assessable("2.25.1"), outcome=FindingOutcome.ABSENT, reason=None, probability=0.04)
    assert wording.verdict(Outcome.ANALYSED, [absent], EN) == "VHS not seen"
    assert wording.answered(absent, EN, MODEL) == "Vertebral heart score: not seen (4 %)"
    assert not wording.is_silent(Outcome.ANALYSED, [absent])


def test_each_image_is_told_with_what_became_of_it(tmp_path: Path) -> None:
    items = [evidence(dx_file(tmp_path / f"{n}.dcm", instance=n), kind) for n, kind in enumerate(OUTCOMES, 1)]
    whole = report(items)
    lines = [image_words.image(n, item, read_header(item.path), whole, EN) for n, item in enumerate(items, 1)]
    assert lines[0] == "Image 1 of 4, thorax (from the header), lateral (seen in the image): Analysed"
    assert lines[1].endswith("NOTHING ASSESSABLE – the heart's or the spine's landmarks are uncertain")
    assert lines[2].endswith("NOT ANALYSED – no model for this region (limb)")
    assert lines[3].endswith("ANALYSIS FAILED – the image could not be read: the pixel data are too short")
    assert wording.failed_count(whole) == 1


def test_an_image_that_only_another_model_read_was_not_analysed_by_this_one(tmp_path: Path) -> None:
    other = replace(MODEL, name="another", device_uid="2.25.102")
    item = evidence(dx_file(tmp_path / "a.dcm"), "measured", model=other)
    whole = replace(report([item]), model=MODEL, findings=())
    assert wording.outcome_of(whole, item)[0] is Outcome.DECLINED


def test_an_assumed_species_is_called_so(tmp_path: Path) -> None:
    answer = evidence(dx_file(tmp_path / "a.dcm"), "measured").answer
    assert image_words.fact(answer.species, answer.species_source, EN) == "dog (assumed)"
    assert image_words.fact(answer.species, answer.species_source, KO) == "개 (가정)"


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("value", [7.0, 9.5, 12.0])
def test_the_line_below_the_verdict_judges_no_demonstration(tmp_path: Path, value: float, language: Language) -> None:
    def detail(model: ModelIdentity) -> str:
        item = evidence(dx_file(tmp_path / "a.dcm"), "measured", model=model)
        spoken = replace(item.answer.models[0], findings=(vhs("2.25.1", score=value),))
        return wording.detail(replace(item.answer, models=(spoken,)), language)

    verdicts = [terms.phrase(name, language) for name in ("within", "above", "below")]
    assert any(verdict in detail(VALIDATED) for verdict in verdicts)
    assert not any(verdict in detail(MODEL) for verdict in verdicts)
    assert "8.5–10.5" in detail(MODEL)
    assert terms.phrase("unvalidated", language) in detail(MODEL)


@given(
    steps=st.lists(st.tuples(st.floats(8, 40), st.floats(-6, 6)), min_size=8, max_size=14),
    axes=st.tuples(st.floats(0.1, 1.3), st.floats(0.1, 1.3)),
    aspect=st.floats(0.5, 2),
)
def test_the_axes_in_vertebrae_add_up_to_the_score(
    steps: list[tuple[float, float]], axes: tuple[float, float], aspect: float
) -> None:
    """Whatever the spine's course, beyond its last edge, and where pixels are not square."""
    edges = np.cumsum([(10.0, 50.0), *steps], axis=0)
    whole = float(np.linalg.norm(edges[-1] - edges[0]))
    counted = vertebral_heart_score(
        long_axis_length=axes[0] * whole, short_axis_length=axes[1] * whole, vertebral_edges=edges
    )

    def stored(point: Sequence[float]) -> Point:
        return float(point[0]), float(point[1]) / aspect

    finding = vhs("2.25.1", score=counted.total)
    ends = {"long_axis_on_spine": counted.long_ruler_end, "short_axis_on_spine": counted.short_ruler_end}
    lines = {name: (stored(edges[0]), stored(end)) for name, end in ends.items()}
    guide = Shape(graphic_type="MULTIPOINT", points=tuple(map(stored, edges)))
    score = replace(finding.measurements[0], lines=lines)
    shares = wording.axes_in_vertebrae(replace(finding, guides=(guide,), measurements=(score, *finding.measurements[1:])))
    assert sum(shares.values()) == pytest.approx(wording.shown(counted.total))
    assert shares[codes.LONG_AXIS.value] == pytest.approx(counted.long_vertebrae, abs=0.051)
    assert shares[codes.SHORT_AXIS.value] == pytest.approx(counted.short_vertebrae, abs=0.151)


def test_axes_that_do_not_make_up_the_score_are_not_shown_as_its_parts() -> None:
    finding = vhs("2.25.1", score=9.0)
    assert wording.axes_in_vertebrae(finding) == {}
    assert wording.axes_in_vertebrae(replace(finding, guides=())) == {}
