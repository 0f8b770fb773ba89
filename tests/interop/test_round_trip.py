"""Every kind of document into a real Orthanc and back, byte for byte, and out of it by DICOMweb."""

from __future__ import annotations

import email.parser
import email.policy
import json
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peers
import pytest
from answers import ANALYSED_AT, evidence, report
from factories import dx_file, gradient
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from delivery.part10 import identify
from delivery.store import StoreState, send_document
from domain.identity import Identity
from domain.types import Document, Language, Peer, Signer, Style
from sr_writer import (
    Rejection,
    read_header,
    sign_report,
    write_overlay,
    write_owner_page,
    write_presentation_state,
    write_rejection,
    write_report,
    write_result_set,
    write_summary,
    write_text_report,
)

ROWS, COLUMNS = 300, 360
TIMEOUT_SECONDS = 10.0
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
CHARSETS = {"none": None, "ir149": "ISO 2022 IR 149", "utf8": "ISO_IR 192"}
KINDS = ("sr", "sr without result", "signed sr", "text_sr", "sc", "summary", "gsps", "pdf", "kos", "rejection")


def written(folder: Path, name: str, number: int) -> dict[str, Document]:
    """One document of each of KINDS about a study of its own, in Korean."""
    path = dx_file(folder / "source.dcm", rows=ROWS, columns=COLUMNS, charset=CHARSETS[name], study=number)
    study = read_header(path).text("StudyInstanceUID")
    common: dict[str, Any] = {"identity": Identity(), "style": Style(language=Language.KOREAN), "directory": folder}
    placed = common | {"study_instance_uid": study, "number": 1, "made_at": ANALYSED_AT}
    item = evidence(path, "measured")
    pixels = np.asarray(gradient(ROWS, COLUMNS) / 65535, dtype=np.float32)
    state = write_presentation_state(item, **placed)
    assert state is not None
    of = report([item], study_instance_uid=study)
    sr = write_report(of, **common)
    found = {
        "sr": sr,
        "signed sr": sign_report(
            replace(of, revision=2),
            predecessor=sr,
            person=Signer(name="Example^Vet", organization="Example Animal Hospital"),
            at=ANALYSED_AT,
            **common,
        ),
        "text_sr": write_text_report(of, **common),
        "sr without result": write_report(report([evidence(path, "declined")], study_instance_uid=study), **common),
        "sc": write_overlay(item, pixels=pixels, **placed),
        "summary": write_summary(
            [item], pixels=[pixels], study_instance_uid=study, revision=1, made_at=ANALYSED_AT, **common
        ),
        "gsps": state,
        "pdf": write_owner_page(of, **common, picture=Image.new("RGB", (600, 400), (9, 99, 9))),
    }
    found["kos"] = write_result_set(list(found.values()), source=path, **placed)
    found["rejection"] = write_rejection(list(found.values()), why=Rejection.QUALITY, source=path, **placed)
    return found


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Document]]:
    return {name: written(tmp_path_factory.mktemp(name), name, n) for n, name in enumerate(CHARSETS, 1)}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, documents: dict[str, dict[str, Document]]) -> Iterator[peers.Orthanc]:
    """Holds all documents; serves DICOMweb where the plugin is installed."""
    peers.require_tool("Orthanc")
    settings: dict[str, object] = {}
    if PLUGIN.exists():
        settings = {"Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with peers.orthanc(tmp_path_factory.mktemp("orthanc") / "server", settings=settings) as server:
        peer = Peer(ae_title="ORTHANC", host="127.0.0.1", port=server.dicom_port)
        for document in (document for group in documents.values() for document in group.values()):
            result = send_document(document.path, peer, timeout_seconds=TIMEOUT_SECONDS)
            assert result.state is StoreState.STORED, result.reason
        yield server


@pytest.fixture
def web(archive: peers.Orthanc) -> str:
    """The DICOMweb root."""
    if not PLUGIN.exists():
        give_up = pytest.fail if os.environ.get("HOUNDSFIELD_REQUIRE_INTEROP") == "1" else pytest.skip
        give_up("Orthanc's DICOMweb plugin is not installed (Debian package orthanc-dicomweb)")
    return f"{archive.http}/dicom-web"


def body(content: bytes, folder: Path) -> bytes:
    """The data set's bytes; the file meta information is each writer's own."""
    path = folder / "one.dcm"
    path.write_bytes(content)
    return content[identify(path).offset :]


def place(document: Document) -> str:
    return (
        f"studies/{document.study_instance_uid}/series/{document.series_instance_uid}"
        f"/instances/{document.ref.sop_instance_uid}"
    )


def fetch(url: str, accept: str) -> tuple[str, bytes]:
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310  the base is our own http://
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return str(answer.headers["Content-Type"]), bytes(answer.read())


@pytest.mark.parametrize("name", CHARSETS)
@pytest.mark.parametrize("kind", KINDS)
def test_orthanc_gives_back_every_byte(
    archive: peers.Orthanc, documents: dict[str, dict[str, Document]], kind: str, name: str, tmp_path: Path
) -> None:
    document = documents[name][kind]
    (found,) = archive.find(SOPInstanceUID=document.ref.sop_instance_uid)
    assert body(archive.file(found), tmp_path) == body(document.path.read_bytes(), tmp_path)


def test_all_documents_of_a_study_are_filed_in_it_each_kind_in_a_series_of_its_own(
    archive: peers.Orthanc, documents: dict[str, dict[str, Document]]
) -> None:
    for group in documents.values():
        study = group["sr"].study_instance_uid
        assert len(archive.find(StudyInstanceUID=study)) == len(KINDS)
        series = {kind: document.series_instance_uid for kind, document in group.items()}
        assert series.pop("signed sr") == series["sr"]
        # the report without a result is of no model, hence of another series than the model's
        assert len(set(series.values())) == len(series)


@pytest.mark.parametrize("name", CHARSETS)
@pytest.mark.parametrize("kind", KINDS)
def test_dicomweb_serves_the_instance(
    web: str, documents: dict[str, dict[str, Document]], kind: str, name: str, tmp_path: Path
) -> None:
    document = documents[name][kind]
    kept = dcmread(document.path).file_meta.TransferSyntaxUID
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={kept}'
    content_type, content = fetch(f"{web}/{place(document)}", accept)
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + content)
    (part,) = message.iter_parts()
    served = part.get_payload(decode=True)
    assert isinstance(served, bytes)
    path = tmp_path / "served.dcm"
    path.write_bytes(served)
    assert dcmread(path) == dcmread(document.path)
    assert body(served, tmp_path) == body(document.path.read_bytes(), tmp_path)


@pytest.mark.parametrize("name", CHARSETS)
@pytest.mark.parametrize("kind", KINDS)
def test_dicomweb_serves_the_metadata(web: str, documents: dict[str, dict[str, Document]], kind: str, name: str) -> None:
    document = documents[name][kind]
    _, content = fetch(f"{web}/{place(document)}/metadata", "application/dicom+json")
    (served,) = json.loads(content)
    ours = dcmread(document.path)
    known = Dataset.from_json({tag: entry for tag, entry in served.items() if "BulkDataURI" not in entry})
    for element in ours:
        if element.keyword in ("SpecificCharacterSet", "PixelData", "EncapsulatedDocument"):
            continue  # the JSON is UTF-8, and bulk data is fetched by itself
        assert element.tag in known, element.keyword
        assert as_text(known[element.tag].value) == as_text(element.value), element.keyword


def as_text(value: Any) -> Any:
    """Equal for what means the same in JSON: an absent and an empty value, a decimal however it is spelt."""
    if isinstance(value, Dataset):
        return {element.keyword: as_text(element.value) for element in value if element.keyword != "SpecificCharacterSet"}
    if value is None or value == "":
        return ""
    if isinstance(value, float):
        return round(float(value), 4)
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value)
    return [as_text(part) for part in value]
