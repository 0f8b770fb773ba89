"""Acknowledged means durable: what the listener answers when disk or ledger refuse, through the real pipeline."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import dx_file, gradient

from config.settings import Settings, parse
from delivery.store import StoreResult, StoreState, send_document, store
from domain.types import Peer
from ledger import images, tasks
from node.parts import open_pipeline
from node.pipeline import Pipeline
from scp.listener import Listener


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return parse(
        {
            "node": {"host": "127.0.0.1", "data_dir": str(tmp_path / "data")},
            "modality": [{"name": "room-1", "ae_title": "DRROOM1"}],
            "destination": [
                {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "documents": ["sr", "sc", "original"]}
            ],
        }
    )


@pytest.fixture
def pipeline(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    monkeypatch.setattr("ledger.databases.LOCK_WAIT_SECONDS", 0.2)
    opened = open_pipeline(settings)
    yield opened
    opened.ledger.close()


@pytest.fixture
def node(settings: Settings, pipeline: Pipeline) -> Iterator[Peer]:
    listener = Listener(
        node=settings.node, modalities=settings.modality, receive=pipeline.receive, refused=lambda _caller: None, port=0
    )
    with listener:
        yield Peer(ae_title="HOUNDSFIELD", host="127.0.0.1", port=listener.port, calling_ae="DRROOM1")


def kept(pipeline: Pipeline) -> list[images.ImageRow]:
    with pipeline.ledger.transaction() as tx:
        return [row for study in images.studies(tx) for row in images.of_study(tx, study)]


def send(path: Path, node: Peer) -> StoreResult:
    return send_document(path, node, timeout_seconds=10)


def task_kinds(pipeline: Pipeline) -> list[str]:

    with pipeline.ledger.transaction() as tx:
        return sorted(row.kind for row in tasks.owed(tx))


def test_an_acknowledged_image_has_its_file_its_row_and_the_work_it_owes(
    node: Peer, pipeline: Pipeline, tmp_path: Path
) -> None:
    path = dx_file(tmp_path / "a.dcm")
    assert send(path, node).status == 0x0000
    (row,) = kept(pipeline)
    sent, spooled = path.read_bytes(), row.path.read_bytes()
    assert spooled[-1000:] == sent[-1000:]
    assert task_kinds(pipeline) == ["deliver", "image", "study"]


def test_the_same_image_again_is_acknowledged_and_kept_once(node: Peer, pipeline: Pipeline, tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm")
    assert [send(path, node).status for _ in range(3)] == [0, 0, 0]
    assert len(kept(pipeline)) == 1
    assert task_kinds(pipeline) == ["deliver", "image", "study"]


def test_other_content_under_the_same_uid_is_kept_beside_the_first(node: Peer, pipeline: Pipeline, tmp_path: Path) -> None:
    for name, rows in (("a.dcm", 64), ("b.dcm", 80)):
        assert send(dx_file(tmp_path / name, pixels=gradient(rows, 64)), node).status == 0
    first, second = kept(pipeline)
    assert first.sop_instance_uid == second.sop_instance_uid
    assert first.path != second.path
    assert first.path.exists() and second.path.exists()


def test_a_full_disk_is_out_of_resources_and_the_next_image_is_taken(
    node: Peer, pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = dx_file(tmp_path / "a.dcm", instance=1), dx_file(tmp_path / "b.dcm", instance=2)
    real, calls = os.fsync, 0

    def full_once(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("spool.files.os.fsync", full_once)
    results = store([first, second], node, timeout_seconds=10)
    assert [(result.state, result.status) for result in results] == [
        (StoreState.POSTPONED, 0xA700),
        (StoreState.STORED, 0x0000),
    ]
    assert len(kept(pipeline)) == 1


def test_a_held_ledger_is_out_of_resources(node: Peer, pipeline: Pipeline, settings: Settings, tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm")
    holder = sqlite3.connect(settings.node.data_dir / "ledger.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert send(path, node).status == 0xA700
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert kept(pipeline) == []
    assert send(path, node).status == 0x0000
    assert len(kept(pipeline)) == 1


def test_an_unwritable_spool_is_out_of_resources(node: Peer, pipeline: Pipeline, settings: Settings, tmp_path: Path) -> None:
    incoming = settings.node.data_dir / "spool" / "incoming"
    incoming.rmdir()
    incoming.touch()  # a file where the folder should be: refused to everybody, root too
    assert send(dx_file(tmp_path / "a.dcm"), node).status == 0xA700
    assert kept(pipeline) == []


def test_a_data_set_without_study_is_refused_for_good(node: Peer, pipeline: Pipeline, tmp_path: Path) -> None:
    result = send(dx_file(tmp_path / "a.dcm", StudyInstanceUID=None), node)
    assert result.state is StoreState.REFUSED
    assert result.status is not None and result.status & 0xF000 == 0xC000
    assert "Study Instance UID" in result.comment
    assert kept(pipeline) == []
