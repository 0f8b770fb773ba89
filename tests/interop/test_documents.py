"""Our documents in front of judges that are not ours: the validators of dicom3tools and PixelMed, DCMTK's and highdicom's
readers.

Every kind of document, every outcome, every character set that Korean clinics send, in both languages; and the shared
test data's odd headers, none of which may make a document invalid.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from answers import ANALYSED_AT, EVERY, OUTCOMES, evidence, report
from factories import dx_file, gradient
from highdicom.sr import MeasurementReport, srread
from judges import differing, errors, run
from peers import require_tool
from PIL import Image
from pydicom import dcmread
from pydicom.uid import UID, EnhancedSRStorage, XRayAngiographicImageStorage

from domain import terms
from domain.identity import Identity
from domain.types import (
    Document,
    Evidence,
    FindingOutcome,
    ImageAnswer,
    InstanceRef,
    Language,
    Orientation,
    Outcome,
    Quality,
    QualityIssue,
    Reason,
    Report,
    Signer,
    SrGeometry,
    Style,
)
from sr_writer import read_header, sign_report, write_overlay, write_report, write_text_report

SHARED = Path(__file__).parents[3] / "shared" / "data"
ROWS, COLUMNS = 300, 360
CHARSETS = (None, "ISO 2022 IR 149", "ISO_IR 192")


def invalid(path: Path) -> list[str]:
    """dciodvfy's errors; it must have recognised what it validated."""
    printed = run("dciodvfy", path)
    known = {"ComprehensiveSR", "Comprehensive3DSR", "EnhancedSR", "SCImage"}
    assert known.intersection(printed.splitlines()), printed
    return errors(printed)


def documents(item: Evidence, folder: Path, language: Language, *, of: Report | None = None) -> tuple[Document, Document]:
    study = read_header(item.path).text("StudyInstanceUID") or "2.25.77"
    written = write_report(
        of or report([item], study_instance_uid=study), identity=Identity(), style=Style(language=language), directory=folder
    )
    failed = item.answer.outcome is Outcome.FAILED
    overlay = write_overlay(
        item,
        pixels=None if failed else np.asarray(gradient(ROWS, COLUMNS) / 65535, dtype=np.float32),
        study_instance_uid=study,
        identity=Identity(),
        style=Style(language=language),
        directory=folder,
        number=1,
        made_at=ANALYSED_AT,
    )
    return written, overlay


def reports(item: Evidence, folder: Path, style: Style) -> dict[str, Document]:
    """One Structured Report of each kind."""
    whole = report([item], study_instance_uid=read_header(item.path).text("StudyInstanceUID"))
    first = write_report(whole, identity=Identity(), style=style, directory=folder)
    return {
        "comprehensive": first,
        "comprehensive 3d": write_report(
            whole, identity=Identity(), style=replace(style, comprehensive_3d=True), directory=folder
        ),
        "text": write_text_report(whole, identity=Identity(), style=style, directory=folder),
        "signed": sign_report(
            replace(whole, revision=2),
            predecessor=first,
            person=Signer(name="Kim^Minji=김^민지", organization="Example Animal Hospital"),
            at=ANALYSED_AT + timedelta(minutes=40),
            identity=Identity(),
            style=style,
            directory=folder,
        ),
    }


@pytest.fixture(params=CHARSETS, ids=["no-charset", "ir149", "utf8"])
def charset(request: pytest.FixtureRequest) -> Iterator[str | None]:
    yield request.param


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_documents_are_valid_and_fit_their_source(
    tmp_path: Path, outcome: str, charset: str | None, language: Language
) -> None:
    path = dx_file(tmp_path / "source.dcm", rows=ROWS, columns=COLUMNS, charset=charset)
    written, overlay = documents(evidence(path, outcome), tmp_path, language)
    assert invalid(written.path) == []
    assert invalid(overlay.path) == []
    assert differing(path, written.path, overlay.path) == []


def test_the_judge_of_a_study_sees_another_patient(tmp_path: Path) -> None:
    """What `differing` would say if a document were another animal's."""
    first, other = (dx_file(tmp_path / name, PatientName=name) for name in ("Rex", "Waldi"))
    written, _ = documents(evidence(other, "measured"), tmp_path, Language.ENGLISH)
    assert any("PatientName" in line for line in differing(first, written.path))


@pytest.mark.parametrize("geometry", SrGeometry)
@pytest.mark.parametrize("outcome", EVERY)
def test_reports_of_every_kind_are_valid_and_can_be_read(
    tmp_path: Path, outcome: str, charset: str | None, geometry: SrGeometry
) -> None:
    """Comprehensive, Comprehensive 3D, text and signed."""
    path = dx_file(tmp_path / "source.dcm", rows=ROWS, columns=COLUMNS, charset=charset)
    kinds = reports(evidence(path, outcome), tmp_path, Style(sr_geometry=geometry))
    for kind, document in kinds.items():
        assert invalid(document.path) == []
        printed = run("dsrdump", "+U8", "+Pl", document.path)
        assert not [line for line in printed.splitlines() if line.startswith("E:")]
        # DCMTK 3.6.7 breaks no line of a text
        assert kind == "signed" or terms.phrase("unsigned", Language.KOREAN).replace("–", "-") in printed
    assert differing(path, *(document.path for document in kinds.values())) == []
    for kind in ("comprehensive", "comprehensive 3d", "signed", "text"):
        read = srread(kinds[kind].path)
        has_groups = outcome in ("measured", "findings") and kind != "text"
        assert isinstance(read.content, MeasurementReport) is has_groups
    assert kinds["text"].ref.sop_class_uid == EnhancedSRStorage


PIXELMED = "-Djdk.xml.xpathTotalOpLimit=0 -Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0"  # Debian 12's Java


@pytest.mark.parametrize(
    ("kind", "outcome", "geometry"),
    [
        ("comprehensive", "findings", SrGeometry.MEASURED),
        ("comprehensive 3d", "findings", SrGeometry.REGION),
        ("signed", "findings", SrGeometry.BOTH),
        ("comprehensive", "declined", SrGeometry.MEASURED),
        ("text", "findings", SrGeometry.MEASURED),
    ],
)
def test_pixelmed_finds_no_error(tmp_path: Path, kind: str, outcome: str, geometry: SrGeometry) -> None:
    path = dx_file(tmp_path / "source.dcm", rows=ROWS, columns=COLUMNS, charset="ISO 2022 IR 149")
    item = evidence(path, outcome)
    document = reports(limited(item) if item.answer.models else item, tmp_path, Style(sr_geometry=geometry))[kind]
    command = [require_tool("DicomSRValidator"), str(document.path)]
    environment = os.environ | {"JAVA_TOOL_OPTIONS": PIXELMED}
    done = subprocess.run(command, capture_output=True, timeout=240, check=False, env=environment)
    printed = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert "Root Template Validation Complete" in printed
    assert [line for line in printed.splitlines() if line.startswith("Error") or "Exception" in line] == []


@pytest.mark.parametrize("language", Language)
def test_a_revision_of_many_images_is_valid(tmp_path: Path, language: Language) -> None:
    kinds = enumerate([*OUTCOMES, "measured"], 1)
    items = [evidence(dx_file(tmp_path / f"{n}.dcm", rows=ROWS, columns=COLUMNS, instance=n), kind) for n, kind in kinds]
    study = read_header(items[0].path).text("StudyInstanceUID")
    first = report(items[:2], study_instance_uid=study)
    whole = report(items, revision=2, study_instance_uid=study)
    previous = write_report(first, identity=Identity(), style=Style(language=language), directory=tmp_path)
    newer = write_report(whole, identity=Identity(), style=Style(language=language), directory=tmp_path, previous=previous)
    assert invalid(newer.path) == []
    assert differing(*(item.path for item in items), previous.path, newer.path) == []


def test_dsrdump_prints_the_report(tmp_path: Path, charset: str | None) -> None:
    path = dx_file(tmp_path / "source.dcm", rows=ROWS, columns=COLUMNS, charset=charset)
    written, _ = documents(evidence(path, "measured"), tmp_path, Language.KOREAN)
    printed = run("dsrdump", "+U8", "+Pl", written.path)
    assert '"Vertebral heart score")="10.8" ({vertebrae},UCUM,"vertebrae")' in printed
    assert "AI 분석 - 진단이 아님" in printed
    assert "PRELIMINARY" in printed
    assert ("홍^초코" in printed) is (charset is not None)


@pytest.mark.parametrize("outcome", ["not assessable", "declined", "failed"])
def test_dsrdump_prints_why_there_is_no_result(tmp_path: Path, outcome: str) -> None:
    path = dx_file(tmp_path / "source.dcm", rows=ROWS, columns=COLUMNS)
    written, _ = documents(evidence(path, outcome), tmp_path, Language.ENGLISH)
    printed = run("dsrdump", "+U8", "+Pl", written.path)
    assert "This does not mean normal: nothing was assessed." in printed


def test_dcmtk_decodes_the_overlay_in_its_colours(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "source.dcm", rows=ROWS, columns=COLUMNS)
    _, overlay = documents(evidence(path, "declined"), tmp_path, Language.ENGLISH)
    plain = tmp_path / "plain.dcm"
    assert "E:" not in run("dcmdjpeg", overlay.path, plain)
    ours = dcmread(overlay.path)
    theirs = dcmread(plain).pixel_array
    assert theirs.shape == (ours.Rows, ours.Columns, 3)
    hatching = theirs[2, : ours.Columns].reshape(-1, 3).astype(int)
    assert (np.abs(hatching - (240, 170, 30)).max(axis=1) < 12).mean() > 0.2
    assert Image.fromarray(theirs).mode == "RGB"


@pytest.mark.parametrize("part", ["ABDOMEN", "THORAX", "ELBOW", "WHOLEBODY", None])
def test_whatever_the_console_calls_the_body_part_the_overlay_is_valid(tmp_path: Path, part: str | None) -> None:
    path = dx_file(tmp_path / "source.dcm", rows=ROWS, columns=COLUMNS, BodyPartExamined=part)
    _, overlay = documents(evidence(path, "measured"), tmp_path, Language.ENGLISH)
    assert invalid(overlay.path) == []


@pytest.mark.parametrize("sex", ["FS", "MN", "N", "U"])
def test_a_veterinary_sex_is_the_only_fault_it_brings(tmp_path: Path, sex: str) -> None:
    """It is repeated as the study has it: another value would be a contradiction within the study."""
    path = dx_file(tmp_path / "source.dcm", rows=ROWS, columns=COLUMNS, PatientSex=sex)
    written, overlay = documents(evidence(path, "measured"), tmp_path, Language.ENGLISH)
    for document in (written, overlay):
        assert all("PatientSex" in line or "Patient's Sex" in line for line in invalid(document.path))
    assert differing(path, written.path, overlay.path) == []


def limited(item: Evidence) -> Evidence:
    """An image with everything that is said only where it is so: its quality, its frame, how sure a number is."""
    (spoken,) = item.answer.models
    unsure = [
        replace(finding, measurements=tuple(replace(m, deviation=0.3) for m in finding.measurements))
        for finding in spoken.findings
    ]
    judged = tuple(
        Quality(issue=issue, outcome=outcome, probability=0.5)
        for issue, outcome in zip(QualityIssue, FindingOutcome, strict=True)
    )
    answer = replace(
        item.answer,
        ref=replace(item.answer.ref, sop_class_uid=XRayAngiographicImageStorage, frame_number=2),  # DX has one frame
        frames=3,
        burned_in=True,
        quality=judged,
        orientation=Orientation(quarter_turns=3, mirrored=True),
        models=(replace(spoken, findings=tuple(unsure)),),
    )
    return replace(item, answer=answer)


@pytest.mark.parametrize("geometry", SrGeometry)
def test_what_limits_an_image_leaves_its_documents_valid(tmp_path: Path, geometry: SrGeometry) -> None:
    path = dx_file(tmp_path / "source.dcm", rows=ROWS, columns=COLUMNS, charset="ISO 2022 IR 149")
    item = limited(evidence(path, "findings"))
    _, overlay = documents(item, tmp_path, Language.KOREAN)
    kinds = reports(item, tmp_path, Style(sr_geometry=geometry))
    for document in (overlay, *kinds.values()):
        assert invalid(document.path) == []


INVALID_VALUES = "Error - Dicom dataset contains invalid data values for Value Representations"  # sums up others


def own_faults(path: Path, source_uid: str) -> list[str]:
    """Without what a reference repeats of its source: a SOP Instance UID against the rules, as a shared file has."""
    found = invalid(path)
    if UID(source_uid).is_valid:
        return found
    others = [line for line in found if not ("(0x0008,0x1155)" in line and source_uid in line)]
    return [line for line in others if line != INVALID_VALUES or len(others) == len(found)]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared test data is absent")
@pytest.mark.parametrize("path", sorted(SHARED.glob("*.dcm")), ids=lambda path: path.stem)
def test_no_odd_header_makes_a_document_invalid(tmp_path: Path, path: Path) -> None:
    header = read_header(path)
    uid = header.text("SOPInstanceUID") or "2.25.404"
    reason = Reason(code="no_model_for_region", details={"region": "limb"})
    ref = InstanceRef(sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1", sop_instance_uid=uid)
    item = Evidence(answer=ImageAnswer(ref=ref, outcome=Outcome.DECLINED, reason=reason), sha256="12" * 32, path=path)
    for language in Language:
        written, overlay = documents(item, tmp_path, language)
        assert own_faults(written.path, uid) == []
        assert own_faults(overlay.path, uid) == []
