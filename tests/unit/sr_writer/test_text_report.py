"""The report as text: in the order vets are taught, in both languages, for every outcome, and nothing that says "normal"."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from answers import EVERY, INTERVAL, MODEL, VALIDATED, evidence, findings, report, vhs
from factories import dx_file
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedSRStorage
from trees import items, named, texts

from domain import terms
from domain.identity import Identity
from domain.types import DocumentKind, FindingOutcome, Language, ModelIdentity, Outcome, Region, Report, Style, View
from sr_writer import narrative, report_series_uid, write_report, write_text_report

ENGLISH, KOREAN = Style(language=Language.ENGLISH), Style(language=Language.KOREAN)
NORMAL = re.compile(r"normal|정상|unremarkable|이상 없음", re.IGNORECASE)
SECTIONS = [
    "Current Procedure Descriptions",
    "Image Quality",
    "Findings",
    "Imaging Measurements",
    "Impressions",
    "Recommendations",
    "Summary",
]


def of(folder: Path, *kinds: str, model: ModelIdentity = VALIDATED, **elements: object) -> Report:
    files = [dx_file(folder / f"{n}.dcm", instance=n, **elements) for n in range(1, len(kinds) + 1)]
    return report([evidence(path, kind, model=model) for path, kind in zip(files, kinds, strict=True)])


def written(whole: Report, folder: Path, style: Style = ENGLISH) -> Dataset:
    return dcmread(write_text_report(whole, identity=Identity(), style=style, directory=folder / "out").path)


def section(ds: Dataset, name: str) -> list[str]:
    (box,) = [
        item
        for item in ds.ContentSequence
        if item.ValueType == "CONTAINER" and item.ConceptNameCodeSequence[0].CodeMeaning == name
    ]
    return [item.TextValue for item in items(box) if item.get("ValueType") == "TEXT"]


@pytest.mark.parametrize("style", [ENGLISH, KOREAN], ids=["en", "ko"])
@pytest.mark.parametrize("outcome", EVERY)
def test_every_outcome_has_every_section_in_order(tmp_path: Path, outcome: str, style: Style) -> None:
    ds = written(of(tmp_path, outcome), tmp_path, style)
    assert (ds.SOPClassUID, ds.ConceptNameCodeSequence[0].CodeValue) == (EnhancedSRStorage, "18748-4")
    boxes = [item.ConceptNameCodeSequence[0].CodeMeaning for item in ds.ContentSequence if item.ValueType == "CONTAINER"]
    assert boxes == SECTIONS
    assert all(section(ds, name) for name in SECTIONS)
    silent = terms.phrase("nothing_concluded", style.language)
    assert not NORMAL.search(texts(ds).replace(silent, ""))
    assert (silent in texts(ds)) is (outcome in ("not assessable", "declined", "failed"))


@pytest.mark.parametrize(
    ("outcome", "title"),
    [
        ("measured", "AI report (text)"),
        ("declined", "AI: NOT ANALYSED (text)"),
        ("not assessable", "AI: NOTHING ASSESSABLE (text)"),
    ],
)
def test_it_has_a_series_of_its_own(tmp_path: Path, outcome: str, title: str) -> None:
    whole = of(tmp_path, outcome)
    text = write_text_report(whole, identity=Identity(), style=ENGLISH, directory=tmp_path)
    sr = write_report(whole, identity=Identity(), style=ENGLISH, directory=tmp_path)
    assert text.kind is DocumentKind.TEXT_SR
    assert text.series_instance_uid == report_series_uid(whole, Identity(), ENGLISH, DocumentKind.TEXT_SR)
    assert text.series_instance_uid != sr.series_instance_uid
    assert dcmread(text.path).SeriesDescription.startswith(title)


def test_the_head_tells_whose_images_they_are_and_who_answers(tmp_path: Path) -> None:
    whole = of(tmp_path, "measured", PatientBreedDescription="Maltese")
    animal, received, missing, model, unsigned = section(written(whole, tmp_path), SECTIONS[0])
    assert animal == "Animal: dog (assumed); breed Maltese (from the header)"
    assert received == "Views received (1): thorax (from the header), lateral (seen in the image)"
    assert missing == "Views missing for a complete study: ventrodorsal or dorsoventral"
    assert model == "Model: canine-thorax-vhs 0.1.0. Report made at 2025-11-20 10:15"
    assert unsigned == "AI - not a diagnosis. AI-generated, not signed by a veterinarian."


@pytest.mark.parametrize(
    ("views", "missing"),
    [
        ((View.LATERAL,), ["sagittal"]),
        ((View.RIGHT_LATERAL, View.DORSOVENTRAL), []),
        ((View.VENTRODORSAL,), ["lateral"]),
        ((View.OTHER,), ["lateral", "sagittal"]),
        ((View.LATERAL, None), None),
    ],
)
def test_missing_views(tmp_path: Path, views: tuple[View | None, ...], missing: list[str] | None) -> None:
    whole = of(tmp_path, *["measured"] * len(views))
    seen = [replace(item, answer=replace(item.answer, view=view)) for item, view in zip(whole.evidence, views, strict=True)]
    assert narrative.missing_views(replace(whole, evidence=tuple(seen))) == missing
    limb = tuple(replace(item, answer=replace(item.answer, region=Region.LIMB)) for item in seen)
    assert narrative.missing_views(replace(whole, evidence=limb)) is None


def test_findings_are_told_the_surest_first_and_what_was_not_seen_last(tmp_path: Path) -> None:
    said = section(written(of(tmp_path, "findings"), tmp_path), "Findings")
    assert said == [
        "VHS 10.8; above the reference interval.",
        "Bronchial pattern: present.",
        "Cardiomegaly: present (93 %), moderate.",
        "Pulmonary nodule: present (88 %).",
        "Alveolar pattern: present (71 %).",
        "Patellar luxation: present (66 %), left.",
        "Pulmonary oedema: uncertain (51 %).",
        "Pleural effusion: uncertain (48 %).",
        "Tracheal collapse: not assessable - the heart or the spine leaves the image.",
        "Looked for and not seen: Pneumothorax.",
    ]


def test_a_number_stands_with_its_interval_and_whose_it_is(tmp_path: Path) -> None:
    score, long_axis, _ = section(written(of(tmp_path, "measured"), tmp_path), "Imaging Measurements")
    assert score.endswith(f"above the reference interval (reference 8.5-10.5, dog, all breeds) [{INTERVAL.source}]")
    assert long_axis == "Long axis 87.3 mm (at the detector, larger than in the animal)"


def test_the_impression_hedges(tmp_path: Path) -> None:
    whole = of(tmp_path, "findings")
    english = section(written(whole, tmp_path), "Impressions")
    assert english[0] == "Vertebral heart score 10.8 v is above the reference interval."
    assert "Consistent with Cardiomegaly (93 %)." in english
    assert "Consistent with Patellar luxation (left) (66 %)." in english
    assert "Possible Pleural effusion; the answer is uncertain (48 %)." in english
    assert "Tracheal collapse: not assessable." in english
    assert terms.phrase("open", Language.ENGLISH) in english
    korean = section(written(whole, tmp_path, KOREAN), "Impressions")
    assert "심비대 의심 (93 %)." in korean
    assert "흉수 가능성; 불확실함 (48 %)." in korean


def test_nothing_seen_excludes_nothing(tmp_path: Path) -> None:
    ds = written(of(tmp_path, "nothing seen"), tmp_path)
    assert section(ds, "Impressions")[:2] == [
        "Nothing of what was looked for was seen; this does not exclude disease.",
        terms.phrase("open", Language.ENGLISH),
    ]


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("measured", "consider echocardiography if the clinical signs fit"),
        ("findings", "consider a further view or a specialist's reading"),
        ("not assessable", "measure by hand, or consider a repeated exposure"),
        ("declined", "need to be read by a veterinarian"),
        ("failed", "need to be read by a veterinarian"),
        ("nothing seen", "Judge by the clinical signs"),
    ],
)
def test_next_steps(tmp_path: Path, kind: str, step: str) -> None:
    assert any(step in line for line in section(written(of(tmp_path, kind), tmp_path), "Recommendations"))


def test_a_score_within_its_interval_asks_for_no_echocardiography(tmp_path: Path) -> None:
    whole = of(tmp_path, "measured")
    (finding,) = whole.findings
    score = replace(finding.measurements[0], value=9.5)
    inside = replace(whole, findings=(replace(finding, measurements=(score, *finding.measurements[1:])),))
    ds = written(inside, tmp_path)
    assert "echocardiography" not in texts(ds)
    assert section(ds, "Impressions")[0] == "Vertebral heart score 9.5 v is within the reference interval."


@pytest.mark.parametrize("score", [7.0, 9.5, 12.0])
@pytest.mark.parametrize("style", [ENGLISH, KOREAN], ids=["en", "ko"])
def test_a_demonstrations_number_stands_with_its_interval_alone(tmp_path: Path, score: float, style: Style) -> None:
    whole = of(tmp_path, "measured", model=MODEL)
    (finding,) = whole.findings
    changed = replace(finding.measurements[0], value=score)
    whole = replace(whole, findings=(replace(finding, measurements=(changed, *finding.measurements[1:])),))
    ds = written(whole, tmp_path, style)
    verdicts = [terms.phrase(name, style.language) for name in ("within", "above", "below")]
    assert not any(verdict in texts(ds) for verdict in verdicts)
    assert f"{score:.1f} v" in section(ds, "Impressions")[0]
    assert "8.5-10.5" in section(ds, "Impressions")[0]
    assert terms.phrase("unvalidated", style.language) in section(ds, "Impressions")[0]
    entered = replace(whole, findings=(replace(whole.findings[0], by_person=True),))
    assert any(verdict in texts(written(entered, tmp_path, style)) for verdict in verdicts)


def test_what_it_rests_on(tmp_path: Path) -> None:
    said = section(written(of(tmp_path, "measured"), tmp_path), "Summary")
    assert said[0] == "Looked for: Vertebral heart score"
    assert "Model: canine-thorax-vhs 0.1.0, Houndsfield" in said
    assert f"weights: sha256 {MODEL.onnx_sha256}" in said
    assert f'Performance as the model\'s package states it: "{MODEL.performance}"' in said


def test_failed_images_make_it_partial_and_are_told(tmp_path: Path) -> None:
    ds = written(of(tmp_path, "nothing seen", "failed"), tmp_path)
    assert ds.CompletionFlag == "PARTIAL"
    assert "1 of 2 images could not be analysed." in section(ds, "Impressions")
    assert section(ds, "Image Quality")[1].startswith("Image 2 of 2: ANALYSIS FAILED")


def test_a_revision_names_its_predecessor(tmp_path: Path) -> None:
    whole = of(tmp_path, "measured")
    first = write_text_report(whole, identity=Identity(), style=ENGLISH, directory=tmp_path)
    newer = write_text_report(
        replace(whole, revision=2), identity=Identity(), style=ENGLISH, directory=tmp_path, previous=first
    )
    ds = dcmread(newer.path)
    (named_before,) = ds.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert named_before.ReferencedSOPInstanceUID == first.ref.sop_instance_uid
    assert newer.series_instance_uid == first.series_instance_uid


def test_text_is_korean_and_names_stay_what_they_are(tmp_path: Path) -> None:
    ds = written(of(tmp_path, "findings", charset="ISO 2022 IR 149"), tmp_path, KOREAN)
    assert "동물: 개 (가정)" in texts(ds)
    assert ds.SpecificCharacterSet == ["", "ISO 2022 IR 149"]
    assert named(ds, "121049")[0].ConceptCodeSequence[0].CodeValue == "ko"


@pytest.mark.parametrize("outcome", [Outcome.DECLINED, Outcome.FAILED])
def test_what_was_not_analysed_has_no_impression_but_that(tmp_path: Path, outcome: Outcome) -> None:
    whole = replace(of(tmp_path, "findings"), outcome=outcome, findings=())
    said = section(written(whole, tmp_path), "Impressions")
    assert said[0] == f"{terms.outcome(outcome, Language.ENGLISH)}."
    assert not any("Consistent" in line for line in said)


def test_an_absence_is_never_consistent_with_anything() -> None:
    absent = next(f for f in findings("2.25.1") if f.outcome is FindingOutcome.ABSENT)
    for language in Language:
        assert not list(narrative.hedged(absent, language, MODEL))


@pytest.mark.parametrize(("score", "step"), [(11.4, "echocardiography"), (7.9, "hydration and blood volume")])
def test_a_small_heart_gets_no_advice_for_a_large_one(tmp_path: Path, score: float, step: str) -> None:
    path = dx_file(tmp_path / "a.dcm")
    item = evidence(path, "measured", model=VALIDATED)
    finding = vhs(item.answer.ref.sop_instance_uid, score=score)
    spoken = replace(item.answer.models[0], findings=(finding,))
    whole = report([replace(item, answer=replace(item.answer, models=(spoken,)))])
    said = [line for line in narrative.next_steps(whole, Language.ENGLISH) if line.startswith("A heart size")]
    assert len(said) == 1
    assert step in said[0]


def test_an_unread_image_is_described_by_its_header(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm", ViewPosition="LL")
    item = evidence(path, "failed")
    answer = replace(item.answer, species=None, region=None, view=None)
    ds = written(report([replace(item, answer=answer)]), tmp_path)
    said = texts(ds)
    assert "Animal: Canine (from the header)" in said
    assert "CHEST (from the header), LL (from the header)" in said
    assert "unknown; View" not in said


def test_an_image_that_no_model_was_for_is_counted_in_the_impression(tmp_path: Path) -> None:
    items = [evidence(dx_file(tmp_path / f"{n}.dcm", instance=n), k) for n, k in ((1, "measured"), (2, "declined"))]
    assert "Not analysed: 1 of 2 images." in section(written(report(items), tmp_path), "Impressions")


def test_the_scale_says_what_its_millimetres_are(tmp_path: Path) -> None:
    ds = written(of(tmp_path, "findings"), tmp_path)
    assert "0.15 mm (at the detector, larger than in the animal)" in texts(ds)
