"""Promise 2: the same work gives the same object byte by byte, and no changed content goes out under an old UID."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from answers import ANALYSED_AT, EVERY, OUTCOMES, STUDY_UID, evidence, report
from factories import dx_file, gradient
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.identity import Identity
from domain.types import Document, Evidence, Language, Reason, Report, SrGeometry, Style
from sr_writer import objects, overlay, typeset, write_overlay, write_report, write_text_report

PIXELS = (gradient(120, 150) / 65535).astype(np.float32)


def sr(of: Report, folder: Path, **arguments: Any) -> Document:
    values: dict[str, Any] = {"identity": Identity(), "style": Style(language=Language.KOREAN), "directory": folder}
    return write_report(of, **values | arguments)


def sc(item: Evidence, folder: Path, **arguments: Any) -> Document:
    values: dict[str, Any] = {
        "pixels": PIXELS,
        "study_instance_uid": STUDY_UID,
        "identity": Identity(),
        "style": Style(language=Language.KOREAN),
    }
    return write_overlay(item, **values | {"directory": folder, "number": 1, "made_at": ANALYSED_AT} | arguments)


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("language", Language)
def test_a_second_run_is_byte_identical(tmp_path: Path, outcome: str, language: Language) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm", charset="ISO 2022 IR 149"), outcome)
    folders = (tmp_path / "1", tmp_path / "2")
    reports = [sr(report([item]), folder, style=Style(language=language)) for folder in folders]
    overlays = [sc(item, folder, style=Style(language=language)) for folder in folders]
    for first, second in (reports, overlays):
        assert replace(first, path=second.path) == second
        assert first.path.read_bytes() == second.path.read_bytes()
        assert hashlib.sha256(first.path.read_bytes()).hexdigest() == first.sha256
        assert first.path.name == f"{first.ref.sop_instance_uid}.dcm"


def test_where_the_source_lies_does_not_matter(tmp_path: Path) -> None:
    here = evidence(dx_file(tmp_path / "here" / "a.dcm"), "measured")
    there = replace(here, path=dx_file(tmp_path / "there" / "b.dcm"))
    assert sr(report([here]), tmp_path / "1").ref == sr(report([there]), tmp_path / "2").ref
    assert sc(here, tmp_path / "1").sha256 == sc(there, tmp_path / "2").sha256


def test_the_order_of_the_images_does_not_matter(tmp_path: Path) -> None:
    items = [evidence(dx_file(tmp_path / f"{n}.dcm", instance=n), "declined") for n in (1, 2, 3)]
    assert sr(report(items), tmp_path / "1").sha256 == sr(report(items[::-1]), tmp_path / "2").sha256


def test_another_process_writes_the_same(tmp_path: Path) -> None:
    """No hash seed, no set order, no clock decides anything."""
    item = evidence(dx_file(tmp_path / "a.dcm"), "measured")
    here = [sr(report([item]), tmp_path / "1").sha256, sc(item, tmp_path / "1").sha256]
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path; from answers import evidence, report; import test_same_work_same_object as t\n"
        "p = Path(sys.argv[1]); i = evidence(p / 'a.dcm', 'measured')\n"
        "print(t.sr(report([i]), p / '2').sha256, t.sc(i, p / '2').sha256)"
    )
    own = Path(__file__).resolve()
    paths = [str(own.parents[3]), str(own.parents[2]), str(own.parent)]
    command = [sys.executable, "-c", code, str(tmp_path), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"})
    assert done.stdout.split() == here


REPORT_CHANGES: dict[str, Callable[[Report], Report]] = {
    "revision": lambda r: replace(r, revision=r.revision + 1),
    "time": lambda r: replace(r, analysed_at=r.analysed_at + timedelta(seconds=1)),
    "study": lambda r: replace(r, study_instance_uid=r.study_instance_uid + "1"),
    "content of the source": lambda r: replace(r, evidence=(replace(r.evidence[0], sha256="34" * 32),)),
    "source": lambda r: _renamed(r),
    "reason": lambda r: replace(r, reason=Reason(code="no_model")),
    "model version": lambda r: r if r.model is None else replace(r, model=replace(r.model, version="0.1.1")),
    "weights": lambda r: r if r.model is None else replace(r, model=replace(r.model, onnx_sha256="cd" * 32)),
    "model": lambda r: r if r.model is None else replace(r, model=replace(r.model, name="another")),
    "findings": lambda r: replace(r, findings=()) if r.findings else replace(r, reason=Reason(code="model_failed")),
}


def _renamed(of: Report) -> Report:
    (item,) = of.evidence
    ref = replace(item.answer.ref, sop_instance_uid="2.25.404")
    findings = tuple(replace(finding, sop_instance_uid="2.25.404") for finding in of.findings)
    return replace(of, evidence=(replace(item, answer=replace(item.answer, ref=ref)),), findings=findings)


STYLES = st.builds(
    Style,
    language=st.sampled_from(Language),
    sr_geometry=st.sampled_from(SrGeometry),
    comprehensive_3d=st.booleans(),
    overlay_longest_side=st.sampled_from([0, 1600]),
)


@settings(max_examples=80)
@given(
    outcome=st.sampled_from(EVERY),
    changes=st.sets(st.sampled_from(sorted(REPORT_CHANGES)), max_size=4),
    style=st.just(Style()) | STYLES,
    namespace=st.sampled_from([Identity(), Identity(namespace=uuid.UUID(int=1))]),
    write=st.sampled_from([write_report, write_text_report]),
)
def test_a_changed_report_is_another_object(
    outcome: str, changes: set[str], style: Style, namespace: Identity, write: Callable[..., Document]
) -> None:
    """Also where two styles give the same words: documents of one UID are the same bytes, and of two UIDs never."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        original = report([evidence(dx_file(folder / "a.dcm", rows=8, columns=8), outcome)])
        changed = original
        for change in sorted(changes):
            changed = REPORT_CHANGES[change](changed)
        first = write(original, identity=Identity(), style=Style(), directory=folder / "1")
        second = write(changed, identity=namespace, style=style, directory=folder / "2")
        same = changed == original and style == Style() and namespace == Identity()
        assert (first.ref == second.ref) is same
        assert (first.sha256 == second.sha256) is same
        if style != Style():
            assert first.series_instance_uid != second.series_instance_uid


def test_the_kinds_of_a_report_are_objects_in_series_of_their_own(tmp_path: Path) -> None:
    of = report([evidence(dx_file(tmp_path / "a.dcm"), "findings")])
    first, second = sr(of, tmp_path), write_text_report(of, identity=Identity(), style=Style(), directory=tmp_path)
    assert first.ref != second.ref
    assert first.series_instance_uid != second.series_instance_uid


@pytest.mark.parametrize("outcome", EVERY)
@pytest.mark.parametrize("style", [Style(sr_geometry=g, comprehensive_3d=True) for g in SrGeometry])
def test_a_second_run_in_any_style_is_byte_identical(tmp_path: Path, outcome: str, style: Style) -> None:
    of = report([evidence(dx_file(tmp_path / "a.dcm", charset="ISO_IR 192"), outcome)])
    for write in (write_report, write_text_report):
        once, again = (write(of, identity=Identity(), style=style, directory=tmp_path / n) for n in "12")
        assert once.path.read_bytes() == again.path.read_bytes()


@pytest.mark.parametrize("keyword", ["PatientName", "AccessionNumber", "PatientSpeciesDescription"])
def test_a_corrected_header_is_another_object(tmp_path: Path, keyword: str) -> None:
    """Even if the caller forgot to hash it: the written bytes decide too."""
    first = evidence(dx_file(tmp_path / "a.dcm"), "measured")
    second = replace(first, path=dx_file(tmp_path / "b.dcm", **{keyword: "Other"}))
    assert sr(report([first]), tmp_path).ref != sr(report([second]), tmp_path).ref
    assert sc(first, tmp_path).ref != sc(second, tmp_path).ref


@settings(max_examples=25)
@given(
    change=st.sampled_from(["sha256", "language", "number", "made_at", "pixels", "no pixels", "study", "answer"]),
    outcome=st.sampled_from(OUTCOMES),
)
def test_a_changed_overlay_is_another_object(change: str, outcome: str) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        item = evidence(dx_file(folder / "a.dcm", rows=120, columns=150), outcome)
        other = item
        arguments: dict[str, Any] = {}
        match change:
            case "sha256":
                other = replace(item, sha256="34" * 32)
            case "language":
                arguments = {"style": Style(language=Language.ENGLISH)}
            case "number":
                arguments = {"number": 2}
            case "made_at":
                arguments = {"made_at": ANALYSED_AT + timedelta(seconds=1)}
            case "pixels":
                arguments = {"pixels": PIXELS[::-1]}
            case "no pixels":
                arguments = {"pixels": None}
            case "study":
                arguments = {"study_instance_uid": STUDY_UID + "1"}
            case "answer":
                other = replace(item, answer=replace(item.answer, reason=Reason(code="no_model")))
        first, second = sc(item, folder / "1"), sc(other, folder / "2", **arguments)
        assert first.ref != second.ref
        assert first.sha256 != second.sha256


def test_another_version_of_writer_codec_or_font_is_another_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = evidence(dx_file(tmp_path / "a.dcm"), "measured")
    seen = {sc(item, tmp_path).ref.sop_instance_uid}
    with monkeypatch.context() as changed:
        changed.setattr(overlay, "QUALITY", 89)
        seen.add(sc(item, tmp_path).ref.sop_instance_uid)
    with monkeypatch.context() as changed:
        changed.setattr(typeset, "REGULAR", typeset.BOLD)
        seen.add(sc(item, tmp_path).ref.sop_instance_uid)
    with monkeypatch.context() as changed:
        changed.setattr(objects, "WRITER_VERSION", "2")
        seen.add(sc(item, tmp_path).ref.sop_instance_uid)
    assert len(seen) == 4


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    item = evidence(dx_file(tmp_path / "a.dcm"), "declined")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        sr(report([item]), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
