"""A folder as a destination: whole files or none, never over others, and never under the mount point of an absent share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from factories import dx_file
from pydicom import dcmread

from config.settings import Destination
from delivery.destination import sender_for
from delivery.faults import AnswerLost
from delivery.result import StoreResult, StoreState
from delivery.sender import Sender
from domain.errors import PeerRefused
from domain.types import Document, DocumentKind, InstanceRef


def folder(path: Path) -> Sender:
    return sender_for(Destination.model_validate({"name": "share", "kind": "folder", "path": path}), calling_ae="NODE")


def send(sender: Sender, *documents: Document) -> list[StoreResult]:
    results: list[StoreResult] = []
    sender.send(documents, wanted=lambda _: True, answered=lambda _, result: results.append(result))
    return results


def document(path: Path, **elements: object) -> Document:
    header = dcmread(dx_file(path, rows=16, columns=16, **elements), stop_before_pixels=True)
    return Document(
        kind=DocumentKind.ORIGINAL,
        ref=InstanceRef(sop_class_uid=header.SOPClassUID, sop_instance_uid=header.SOPInstanceUID),
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=header.SeriesInstanceUID,
        path=path,
        sha256="0" * 64,
    )


def test_documents_lie_whole_in_a_folder_per_study(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    sender, made = folder(tmp_path / "share"), document(tmp_path / "a.dcm")
    assert sender.found([made]) == frozenset()
    (result,) = send(sender, made)
    assert (result.state, result.reason) == (StoreState.STORED, "")
    (kept,) = (path for path in (tmp_path / "share").rglob("*") if path.is_file())
    assert kept == tmp_path / "share" / made.study_instance_uid / f"{made.ref.sop_instance_uid}.dcm"
    assert kept.read_bytes() == made.path.read_bytes()
    assert sender.found([made]) == {made.ref.sop_instance_uid}
    (again,) = send(sender, made)
    assert again.state is StoreState.STORED and "has it already" in again.reason


def test_another_object_under_the_same_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    sender, first = folder(tmp_path / "share"), document(tmp_path / "a.dcm")
    send(sender, first)
    other = document(tmp_path / "b.dcm", KVP="99")
    (result,) = send(sender, other)
    assert result.state is StoreState.REFUSED and "another object" in result.reason
    assert sender.found([other]) == frozenset()
    assert sender.found([first]) == {first.ref.sop_instance_uid}


def test_a_share_that_is_not_mounted_is_said_and_nothing_is_written_in_its_place(tmp_path: Path) -> None:
    made = document(tmp_path / "a.dcm")
    sender = folder(tmp_path / "share")
    with pytest.raises(PeerRefused, match="mount its share"):
        send(sender, made)
    with pytest.raises(PeerRefused, match="mount its share"):
        sender.check()
    assert not (tmp_path / "share").exists()


def test_a_disk_that_refuses_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "share").mkdir()
    sender, made = folder(tmp_path / "share"), document(tmp_path / "a.dcm")

    def full(_descriptor: int, _data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(AnswerLost, match="No space left"):
        send(sender, made)
    monkeypatch.undo()
    assert [path for path in (tmp_path / "share").rglob("*") if path.is_file()] == []


def test_the_check_writes_and_leaves_nothing(tmp_path: Path) -> None:
    assert "can be written to" in folder(tmp_path).check().says
    assert list(tmp_path.iterdir()) == []
