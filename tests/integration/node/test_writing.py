"""Which documents are written for whom: by kind, profile, language and overlay, through the pipeline's own writing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from answers import evidence, report
from factories import dx_file, gradient, uid
from PIL.Image import Image
from pydicom import dcmread
from structlog.testing import capture_logs

import node.writing
from config.settings import parse
from domain.errors import NotFound
from domain.identity import Identity
from domain.types import Document, DocumentKind, Evidence, Report
from node.writing import Before, Owed, Pixels, Writing

PACS = {"ae_title": "PACS", "host": "192.0.2.10"}
MADE_AT = datetime(2025, 11, 20, 10, 15, 30)
EVERYTHING = ["sr", "text_sr", "sc", "gsps", "kos", "pdf"]


def writer(folder: Path, *destinations: dict[str, object]) -> Writing:
    folder.mkdir(exist_ok=True)
    settings = parse({"destination": [PACS | destination for destination in destinations]})
    return Writing(settings=settings, identity=Identity(), results=folder)


def write(folder: Path, *destinations: dict[str, object]) -> list[Owed]:
    """All documents of a study of two images, as the pipeline asks for them."""
    writing = writer(folder, *destinations)
    images = [
        evidence(dx_file(folder / f"in-{n}.dcm", pixels=gradient(240, 300), instance=n + 1), outcome)
        for n, outcome in enumerate(("measured", "declined"))
    ]
    owed: list[Owed] = []
    for number, item in enumerate(images, start=1):
        owed += writing.of_image(
            item, gradient(240, 300) / 65535, study_instance_uid="2.25.77", number=number, made_at=MADE_AT
        )
    of_images = [each.document for each in owed]
    return owed + writing.of_study([report(images)], Before(newest=lambda _: None, of_images=lambda _: of_images))


def breaking(*_: object, **__: object) -> None:
    raise ZeroDivisionError("a value from a header")


def kinds(owed: list[Owed], destination: str | None = None) -> list[str]:
    return sorted(each.document.kind.value for each in owed if destination is None or destination in each.destinations)


@pytest.mark.parametrize("destinations", [[], [{"name": "archive", "documents": ["original"]}]])
def test_where_nobody_wants_results_they_are_still_written(tmp_path: Path, destinations: list[dict[str, object]]) -> None:
    owed = write(tmp_path, *destinations)
    assert kinds(owed) == ["sc", "sc", "sr"]
    assert all(each.destinations == () for each in owed)


def test_every_kind_reaches_who_wants_it_and_only_them(tmp_path: Path) -> None:
    owed = write(tmp_path, {"name": "all", "documents": EVERYTHING}, {"name": "few", "documents": ["sc"]})
    assert kinds(owed, "all") == ["gsps", "kos", "pdf", "sc", "sc", "sr", "text_sr"]
    assert kinds(owed, "few") == ["sc", "sc"]
    assert all(each.document.path.exists() for each in owed)
    shared = [each for each in owed if each.document.kind is DocumentKind.SC]
    assert all(each.destinations == ("all", "few") for each in shared)  # one style: written once


def test_the_result_set_names_all_the_others(tmp_path: Path) -> None:
    owed = write(tmp_path, {"name": "all", "documents": EVERYTHING})
    (result_set,) = (each.document for each in owed if each.document.kind is DocumentKind.KOS)
    named = {
        item.ReferencedSOPInstanceUID
        for series in dcmread(result_set.path).CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert named == {each.document.ref.sop_instance_uid for each in owed} - {result_set.ref.sop_instance_uid}


def test_another_language_is_another_document_in_another_series(tmp_path: Path) -> None:
    owed = write(tmp_path, {"name": "ko", "language": "ko"}, {"name": "en", "language": "en"})
    assert kinds(owed, "ko") == kinds(owed, "en") == ["sc", "sc", "sr"]
    reports = [each.document for each in owed if each.document.kind is DocumentKind.SR]
    assert len({document.ref.sop_instance_uid for document in reports}) == 2
    assert len({document.series_instance_uid for document in reports}) == 2


def test_one_summary_instead_of_an_overlay_per_image(tmp_path: Path) -> None:
    owed = write(tmp_path, {"name": "one", "overlays": "study"}, {"name": "each"})
    assert kinds(owed, "one") == ["sc", "sr"]
    assert kinds(owed, "each") == ["sc", "sc", "sr"]


@pytest.mark.parametrize(
    ("profile", "sop_class", "others"),
    [
        ("generic", "Comprehensive SR Storage", ["sc", "sc", "sr"]),
        ("ohif", "Comprehensive SR Storage", ["sc", "sc", "sr", "text_sr"]),
        ("orthanc-stone", "Comprehensive SR Storage", ["sc", "sc", "sr"]),
        ("weasis", "Comprehensive SR Storage", ["gsps", "sc", "sc", "sr"]),
        ("ihe-air", "Comprehensive 3D SR Storage", ["kos", "sc", "sc", "sr"]),
    ],
)
def test_a_profile_decides_kinds_and_the_class_of_the_report(
    tmp_path: Path, profile: str, sop_class: str, others: list[str]
) -> None:
    owed = write(tmp_path, {"name": "pacs", "profile": profile})
    assert kinds(owed) == others
    (sr,) = (each.document for each in owed if each.document.kind is DocumentKind.SR)
    assert dcmread(sr.path).SOPClassUID.name == sop_class


def test_an_uncompressed_overlay_has_no_lossy_compression(tmp_path: Path) -> None:
    owed = write(tmp_path, {"name": "pacs", "overlay_encoding": "uncompressed", "documents": ["sc"]})
    overlay = dcmread(owed[0].document.path)
    assert not overlay.file_meta.TransferSyntaxUID.is_compressed
    assert overlay.get("LossyImageCompression", "00") == "00"


@pytest.mark.parametrize(
    ("broken", "lost"), [("write_owner_page", "pdf"), ("write_result_set", "kos"), ("write_presentation_state", "gsps")]
)
def test_what_accompanies_an_answer_costs_only_itself_when_it_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, lost: str
) -> None:
    monkeypatch.setattr(node.writing, broken, breaking)
    with capture_logs() as logged:
        owed = write(tmp_path, {"name": "all", "documents": EVERYTHING})
    assert kinds(owed) == [kind for kind in ("gsps", "kos", "pdf", "sc", "sc", "sr", "text_sr") if kind != lost]
    assert {(line["event"], line["kind"], line["error"]) for line in logged} == {
        ("a document could not be written", lost, "ZeroDivisionError")
    }


@pytest.mark.parametrize("broken", ["write_report", "write_text_report", "write_summary", "write_overlay"])
def test_an_answer_that_breaks_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    monkeypatch.setattr(node.writing, broken, breaking)
    with pytest.raises(ZeroDivisionError):
        write(tmp_path, {"name": "all", "documents": EVERYTHING}, {"name": "one", "documents": ["sc"], "overlays": "study"})


def test_a_destination_that_is_left_with_nothing_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.writing, "write_owner_page", breaking)
    with pytest.raises(ZeroDivisionError):
        write(tmp_path, {"name": "pacs"}, {"name": "printer", "documents": ["pdf"]})


def test_every_document_counts_the_images_as_the_console_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing = writer(tmp_path, {"name": "one", "documents": [*EVERYTHING[:1], "sc", "kos", "pdf"], "overlays": "study"})
    paths = [dx_file(tmp_path / f"in-{n}.dcm", instance=n) for n in (3, 1, 2)]  # as they arrive
    items = [evidence(path, outcome) for path, outcome in zip(paths, ("measured", "declined", "measured"), strict=True)]
    seen: dict[str, list[str]] = {}

    def looked(name: str, real: Callable[..., Document]) -> Callable[..., Document]:
        def write(first: Report | Sequence[Evidence], **more: object) -> Document:
            images = first.evidence if isinstance(first, Report) else first
            seen[name] = [item.path.name for item in images]
            return real(first, **more)

        return write

    for name in ("write_report", "write_summary", "write_owner_page"):
        monkeypatch.setattr(node.writing, name, looked(name, getattr(node.writing, name)))
    owed = writing.of_study([report(items)], Before(newest=lambda _: None, of_images=lambda _: []))
    assert list(seen.values()) == [["in-1.dcm", "in-2.dcm", "in-3.dcm"]] * 3
    sources = {each.document.kind: dcmread(each.document.path) for each in owed if each.document.kind in ("sc", "pdf")}
    assert [item.ReferencedSOPInstanceUID for item in sources[DocumentKind.SC].SourceImageSequence] == [
        uid("instance", 1, 1, n) for n in (1, 2, 3)
    ]


def test_a_result_set_names_no_superseded_summary(tmp_path: Path) -> None:
    writing = writer(tmp_path, {"name": "one", "documents": ["sc", "kos"], "overlays": "study"})
    items = [evidence(dx_file(tmp_path / "in.dcm"), "measured")]
    filed: list[Document] = []
    before = Before(newest=lambda _: None, of_images=lambda _: [each for each in filed if each.kind == "sc"])
    for revision in (1, 2):
        owed = [each.document for each in writing.of_study([report(items, revision=revision)], before)]
        summary, result_set = owed
        (series,) = dcmread(result_set.path).CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        assert [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence] == [summary.ref.sop_instance_uid]
        filed += owed


def test_the_owners_picture_is_of_the_image_whose_number_is_on_the_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, float]] = []
    real = node.writing.draw_owner_picture

    def draw(item: Evidence, *, pixels: Pixels, pixel_aspect: float) -> Image:
        drawn.append((item.path.name, pixel_aspect))
        return real(item, pixels=pixels, pixel_aspect=pixel_aspect)

    monkeypatch.setattr(node.writing, "draw_owner_picture", draw)
    writing = writer(tmp_path, {"name": "one", "documents": ["pdf"]})
    first, second = (
        evidence(dx_file(tmp_path / f"in-{n}.dcm", instance=n, ImagerPixelSpacing=["0.3", "0.15"]), "measured")
        for n in (1, 2)
    )
    made = report([first, second])
    unscaled = replace(made.findings[0], measurements=made.findings[0].measurements[1:])  # axes alone: no interval, no scale
    made = replace(made, findings=(unscaled, made.findings[1]))
    writing.of_study([made], Before(newest=lambda _: None, of_images=lambda _: []))
    assert drawn == [("in-2.dcm", pytest.approx(2.0))]


def test_an_image_whose_file_is_gone_gets_no_document_for_nobody(tmp_path: Path) -> None:
    writing = writer(tmp_path / "out", {"name": "all", "documents": EVERYTHING})
    item = evidence(dx_file(tmp_path / "in" / "a.dcm"), "measured")
    item.path.unlink()
    before = Before(newest=lambda _: None, of_images=lambda _: [])
    with pytest.raises(NotFound):
        writing.of_image(item, None, study_instance_uid="2.25.77", number=1, made_at=MADE_AT)
    with pytest.raises(NotFound):
        writing.of_study([report([item])], before)
    assert writing.of_given_up(report([item]), before) == []
    assert list((tmp_path / "out").iterdir()) == []


def test_a_disk_that_is_not_mounted_is_waited_for(tmp_path: Path) -> None:
    writing = writer(tmp_path / "out", {"name": "all", "documents": EVERYTHING})
    item = evidence(dx_file(tmp_path / "in" / "a.dcm"), "measured")
    (tmp_path / "in").rename(tmp_path / "unmounted")
    with pytest.raises(OSError, match="No such file"):
        writing.of_image(item, None, study_instance_uid="2.25.77", number=1, made_at=MADE_AT)


def test_a_file_that_is_gone_costs_the_others_of_its_study_nothing(tmp_path: Path) -> None:
    writing = writer(tmp_path / "out", {"name": "all", "documents": EVERYTHING, "overlays": "study"})
    images = [evidence(dx_file(tmp_path / f"{n}.dcm", instance=n), "measured") for n in (1, 2)]
    images[0].path.unlink()
    owed = writing.of_study([report(images)], Before(newest=lambda _: None, of_images=lambda _: []))
    assert kinds(owed) == ["kos", "pdf", "sc", "sr", "text_sr"]
    assert {dcmread(each.document.path).PatientID for each in owed} == {"TEST-0001"}
