"""A copy of a running node, restored: it knows everything that the copy holds, and holds every file that it knows."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from peers import wait_until

from domain.errors import StorageUnavailable
from domain.types import DocumentKind, InstanceRef, Received
from ledger import documents, images, retention, tasks
from ledger.backup import back_up
from ledger.store import Ledger
from spool import Spool


def received(number: int) -> Received:
    return Received(
        ref=InstanceRef(sop_class_uid="1.2.3", sop_instance_uid=f"2.25.{number}"),
        study_instance_uid=f"2.25.9{number // 5}",
        series_instance_uid="2.25.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="DRROOM1",
        called_ae="HOUNDSFIELD",
        peer_host="192.0.2.21",
        modality="room-1",
        part10_header=b"header",
        data_set=f"image {number}".encode(),
    )


def take(ledger: Ledger, spool: Spool, number: int) -> None:
    image = received(number)
    spooled = spool.add(image)
    with ledger.transaction() as tx:
        added = images.add(tx, image, path=spooled.path, sha256=spooled.sha256, size_bytes=spooled.size_bytes)
        assert added is not None
        tasks.owe(tx, "image", str(added.id), queue="analysis")


def test_a_restored_node_knows_everything_and_loses_nothing(tmp_path: Path) -> None:
    """The copy is taken while images keep coming; the old data folder is gone when it is restored, elsewhere."""
    data, copy, restored = tmp_path / "data", tmp_path / "copy", tmp_path / "restored"
    ledger, spool = Ledger(data), Spool(data / "spool")
    acknowledged, stop = [0], threading.Event()

    def listen() -> None:
        while not stop.is_set():
            take(ledger, spool, acknowledged[0])
            acknowledged[0] += 1

    listener = threading.Thread(target=listen)
    listener.start()
    wait_until(lambda: acknowledged[0] >= 20)
    before = acknowledged[0]
    done = back_up(ledger, copy)
    stop.set()
    listener.join()
    namespace = ledger.namespace
    ledger.close()
    shutil.rmtree(data)

    shutil.copytree(copy, restored)
    again = Ledger(restored)
    with again.reading() as tx:
        files = images.files(tx)
        assert len(files) >= before
        assert {row.key for row in tasks.owed(tx)} == {str(image) for image in files.values()}
        for path, image in files.items():
            assert path.is_relative_to(restored)
            assert images.get(tx, image).path == path
            assert path.read_bytes().startswith(b"headerimage ")
    assert done.missing == 0
    assert done.files >= len(files)
    assert again.namespace == namespace
    again.close()


def test_documents_are_copied_and_what_is_gone_is_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "data")
    for name in ("kept", "gone"):
        path = tmp_path / "data/results" / f"{name}.dcm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"document")
        made = documents.Document(
            kind=DocumentKind.SR,
            ref=InstanceRef(sop_class_uid="1.2.4", sop_instance_uid=f"2.25.{len(name)}{name == 'gone'}"),
            study_instance_uid="2.25.1",
            series_instance_uid="2.25.2",
            path=path,
            sha256="aa",
        )
        with ledger.transaction() as tx:
            documents.owe(tx, made, ["pacs"])
    (tmp_path / "data/results/gone.dcm").unlink()
    done = back_up(ledger, tmp_path / "copy")
    assert (done.files, done.missing, done.size_bytes) == (1, 1, 8)
    assert (tmp_path / "copy/results/kept.dcm").read_bytes() == b"document"
    ledger.close()


def test_what_retention_deletes_meanwhile_is_there_if_the_copy_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, spool = Ledger(tmp_path / "data"), Spool(tmp_path / "data/spool")
    take(ledger, spool, 1)
    copy_database = ledger.copy_database

    def deleted_meanwhile(folder: Path) -> None:
        copy_database(folder)
        with ledger.transaction() as tx:
            (task,) = tasks.owed(tx)
            tasks.cancel(tx, task.id)
            (file,) = retention.forget_study(tx, "2.25.90")
            file.unlink()
        take(ledger, spool, 2)

    monkeypatch.setattr(ledger, "copy_database", deleted_meanwhile)
    done = back_up(ledger, tmp_path / "copy")
    ledger.close()
    assert (done.files, done.missing) == (2, 0)
    again = Ledger(tmp_path / "copy")
    with again.reading() as tx:
        (file,) = images.files(tx)
    assert file.read_bytes() == b"headerimage 1"
    again.close()


def test_a_copy_on_another_disk_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, spool = Ledger(tmp_path / "data"), Spool(tmp_path / "data/spool")
    take(ledger, spool, 1)

    def other_disk(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", other_disk)
    assert back_up(ledger, tmp_path / "copy").files == 1
    (copied,) = (tmp_path / "copy").rglob("*.dcm")
    assert copied.stat().st_nlink == 1
    ledger.close()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "data")
    with pytest.raises(StorageUnavailable, match="not empty"):
        back_up(ledger, tmp_path / "data")
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match="backup"):
        back_up(ledger, tmp_path / "file/below")
    ledger.close()
