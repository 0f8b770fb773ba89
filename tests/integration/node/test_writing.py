"""Which documents are written for whom: by kind, profile, language and overlay, through the pipeline's own writing."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from answers import evidence, report
from factories import dx_file, gradient
from pydicom import dcmread

from config.settings import parse
from domain.identity import Identity
from domain.types import DocumentKind
from node.writing import Before, Owed, Writing

PACS = {"ae_title": "PACS", "host": "192.0.2.10"}
MADE_AT = datetime(2025, 11, 20, 10, 15, 30)
EVERYTHING = ["sr", "text_sr", "sc", "gsps", "kos", "pdf"]


def write(folder: Path, *destinations: dict[str, object]) -> list[Owed]:
    """All documents of a study of two images, as the pipeline asks for them."""
    settings = parse({"destination": [PACS | destination for destination in destinations]})
    folder.mkdir(exist_ok=True)
    writing = Writing(settings=settings, identity=Identity(), results=folder)
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
