"""A console corrects an image: another content under the same SOP Instance UID, while the first one is on its way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from desks import Desk, desk
from factories import dx_file
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import evt

from delivery.commitment import Commitment
from delivery.part10 import identify
from domain.types import DeliveryState, Document, DocumentKind, InstanceRef, Received
from ledger import documents, images
from node.filing import Filing


def comes(work: Desk, name: str) -> str:
    """An image of this patient, owed as the pipeline owes it; its SOP Instance UID."""
    path = dx_file(work.folder / "data" / f"{name}.dcm", rows=16, columns=16, PatientID=name)
    file, header = identify(path), dcmread(path, stop_before_pixels=True)
    ref = InstanceRef(sop_class_uid=file.sop_class_uid, sop_instance_uid=file.sop_instance_uid)
    study, series = str(header.StudyInstanceUID), str(header.SeriesInstanceUID)
    received = Received(
        ref=ref,
        study_instance_uid=study,
        series_instance_uid=series,
        transfer_syntax_uid=file.transfer_syntax_uid,
        calling_ae="DRROOM1",
        called_ae="HOUNDSFIELD",
        peer_host="127.0.0.1",
        modality="room-1",
        part10_header=b"",
        data_set=b"",
    )
    original = Document(
        kind=DocumentKind.ORIGINAL,
        ref=ref,
        study_instance_uid=study,
        series_instance_uid=series,
        path=path,
        sha256=name,
    )
    with work.ledger.transaction() as tx:
        images.add(tx, received, path=path, sha256=name, size_bytes=path.stat().st_size)
        documents.owe(tx, original, ["pacs"])
    return file.sop_instance_uid


def worked_off(work: Desk) -> list[str]:
    said = []
    while (one := work.step()) is not None:
        said.append(one)
        work.clock.now += 5
    return said


class Pacs:
    """Keeps the patients of what it was sent; the first time, `meanwhile` happens before it answers."""

    def __init__(self, status: int = 0x0000, *, replaces: bool = True) -> None:
        self.patients: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self._status = status
        self._replaces = replaces

    def __call__(self, event: evt.Event) -> int:
        self.patients.append(str(event.dataset.PatientID))
        if len(self.patients) == 1:
            self.meanwhile()
            return self._status
        return 0x0000 if self._replaces else 0x0111


@pytest.mark.parametrize("status", [0x0000, 0xC001, 0xA700])
def test_whatever_becomes_of_the_first_content_the_second_is_sent(tmp_path: Path, status: int) -> None:
    pacs = Pacs(status)
    with desk(tmp_path, (evt.EVT_C_STORE, pacs), verify="none", give_up_days=0.0001) as work:
        uid = comes(work, "wrong")
        work.clock.now += 60
        pacs.meanwhile = lambda: comes(work, "right")
        said = worked_off(work)
        assert said[0] == "overtaken by another content"
        assert pacs.patients == ["wrong", "right"]
        assert work.states([uid]) == [DeliveryState.STORED]
        assert work.owed() == []


def test_a_content_that_came_before_the_first_was_sent_is_sent_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pacs = Pacs()
    with desk(tmp_path, (evt.EVT_C_STORE, pacs), verify="none") as work:
        uid = comes(work, "wrong")
        begin = Filing._begin
        came: list[str] = []

        def later(filing: Filing, item: object) -> None:
            if not came:
                came.append(comes(work, "right"))
            begin(filing, item)  # type: ignore[arg-type]  # as it was given

        monkeypatch.setattr(Filing, "_begin", later)
        worked_off(work)
        assert pacs.patients == ["right"]
        assert work.states([uid]) == [DeliveryState.STORED]


def test_a_pacs_that_keeps_the_first_content_has_not_stored_the_second(tmp_path: Path) -> None:
    pacs = Pacs(replaces=False)
    with desk(tmp_path, (evt.EVT_C_STORE, pacs), verify="none") as work:
        uid = comes(work, "wrong")
        worked_off(work)
        comes(work, "right")
        worked_off(work)
        assert pacs.patients == ["wrong", "right"]
        assert work.states([uid]) == [DeliveryState.REFUSED]
        (dead,) = work.owed()
        assert "the first content of this image" in (dead.error or "") and "0x0111" in (dead.error or "")


def test_looking_for_the_first_content_does_not_verify_the_second(tmp_path: Path) -> None:
    pacs, finds = Pacs(), Finds()
    with desk(tmp_path, (evt.EVT_C_STORE, pacs), (evt.EVT_C_FIND, finds)) as work:
        uid = comes(work, "wrong")
        work.step()
        assert work.states([uid]) == [DeliveryState.STORED]
        comes(work, "right")
        finds.uid = uid
        worked_off(work)
        assert pacs.patients == ["wrong", "right"]
        assert work.states([uid]) == [DeliveryState.VERIFIED]


class Finds:
    uid = ""

    def __call__(self, event: evt.Event) -> object:
        if self.uid:
            found = Dataset()
            found.update(event.identifier)
            found.SOPInstanceUID = self.uid
            yield 0xFF00, found


def test_a_late_commitment_to_the_first_content_does_not_verify_the_second(tmp_path: Path) -> None:
    pacs = Pacs()
    asked: list[Dataset] = []

    def ask(event: evt.Event) -> tuple[int, None]:
        asked.append(event.action_information)
        return 0x0000, None

    with desk(tmp_path, (evt.EVT_C_STORE, pacs), (evt.EVT_N_ACTION, ask), verify="commitment") as work:
        uid = comes(work, "wrong")
        work.step()
        work.step()
        comes(work, "right")
        late = Commitment(transaction_uid=str(asked[0].TransactionUID), committed=frozenset([uid]), failed={})
        work.hear(late)
        assert work.states([uid]) == [DeliveryState.PENDING]
        worked_off(work)
        assert pacs.patients == ["wrong", "right"]
        work.hear(Commitment(transaction_uid=str(asked[-1].TransactionUID), committed=frozenset([uid]), failed={}))
        assert work.states([uid]) == [DeliveryState.VERIFIED]
