"""At the start: files that the ledger does not know, and rows whose file is gone."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from factories import dx_file
from pipelines import receive, rows
from pydicom import dcmread

import node.parts
import node.sweep
from config.settings import parse
from domain.errors import StorageUnavailable
from domain.types import AlarmKind
from ledger import alarms, images, retention, tasks
from node.parts import open_pipeline
from node.pipeline import Pipeline
from node.sweep import sweep


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    modality = {"name": "er", "ae_title": "TEST-AE", "urgent": True}
    return open_pipeline(parse({"node": {"data_dir": str(tmp_path / "data")}, "modality": [modality]}))


def spooled_only(pipeline: Pipeline, tmp_path: Path, path: Path) -> Path:
    """What a listener leaves that dies between the rename and the commit."""
    other = open_pipeline(parse({"node": {"data_dir": str(tmp_path / "other")}}))
    (file,) = [row.path for row in rows(other, receive(other, path))]
    target = pipeline.settings.node.data_dir / "spool" / "images" / file.parent.name / file.name
    target.write_bytes(file.read_bytes())
    return target


def test_a_file_without_a_row_is_taken_in_like_a_new_image(pipeline: Pipeline, tmp_path: Path) -> None:
    image = dx_file(tmp_path / "a.dcm")
    left = spooled_only(pipeline, tmp_path, image)
    sweep(pipeline)
    sweep(pipeline)
    study = str(dcmread(image).StudyInstanceUID)
    (row,) = rows(pipeline, study)
    assert row.path == left
    with pipeline.ledger.reading() as tx:
        assert {(task.kind, task.state) for task in tasks.owed(tx)} == {("image", "ready"), ("study", "ready")}
        assert images.files(tx) == {left: row.id}


def test_a_file_that_is_no_image_stays_and_stops_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    odd = pipeline.settings.node.data_dir / "spool" / "images" / "00" / "00ff.dcm"
    odd.write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    image = dx_file(tmp_path / "a.dcm")
    spooled_only(pipeline, tmp_path, image)
    sweep(pipeline)
    assert odd.exists()
    assert len(rows(pipeline, str(dcmread(image).StudyInstanceUID))) == 1


def test_a_file_says_itself_that_it_is_urgent_and_names_no_sender_that_could_be_two(tmp_path: Path) -> None:
    rooms = [{"name": name, "ae_title": "TEST-AE", "host": host} for name, host in (("1", "192.0.2.1"), ("2", "192.0.2.2"))]
    pipeline = open_pipeline(parse({"node": {"data_dir": str(tmp_path / "data")}, "modality": rooms}))
    spooled_only(pipeline, tmp_path, dx_file(tmp_path / "a.dcm", RequestedProcedurePriority="STAT"))
    sweep(pipeline)
    with pipeline.ledger.reading() as tx:
        assert {task.priority for task in tasks.owed(tx)} == {1}
        assert images.get(tx, 1).modality == ""


def test_a_study_deleted_while_the_files_are_compared_is_no_alarm(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
    spooled_only(pipeline, tmp_path, dx_file(tmp_path / "b.dcm", study=2, instance=2))

    def deleted_meanwhile(*_: object) -> None:
        with pipeline.ledger.transaction() as tx:
            for row in tasks.owed(tx):
                tasks.cancel(tx, row.id)
            for path in retention.forget_study(tx, study):
                path.unlink()

    monkeypatch.setattr(node.sweep, "_take_in", deleted_meanwhile)
    sweep(pipeline)
    with pipeline.ledger.reading() as tx:
        assert alarms.open_alarms(tx) == []
        assert images.files(tx) == {}


def test_the_comparison_is_tried_until_it_is_done(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [StorageUnavailable("locked"), OSError("away")]

    def breaks_at_first(_pipeline: Pipeline) -> None:
        if faults:
            raise faults.pop()

    monkeypatch.setattr(node.parts, "sweep", breaks_at_first)
    monkeypatch.setattr(node.parts, "SWEEP_RETRY_SECONDS", 0.0)
    node.parts._swept(pipeline, threading.Event())
    assert faults == []


def test_an_acknowledged_image_without_its_file_is_an_alarm_until_it_is_back(pipeline: Pipeline, tmp_path: Path) -> None:
    study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
    (row,) = rows(pipeline, study)
    content = row.path.read_bytes()
    row.path.unlink()
    sweep(pipeline)
    with pipeline.ledger.reading() as tx:
        (alarm,) = alarms.open_alarms(tx)
    assert alarm.kind is AlarmKind.MISSING_FILE
    assert f"image {row.id} was acknowledged" in alarm.text
    row.path.write_bytes(content)
    sweep(pipeline)
    with pipeline.ledger.reading() as tx:
        assert alarms.open_alarms(tx) == []


def test_an_image_that_is_sent_again_has_its_file_back_without_a_restart(pipeline: Pipeline, tmp_path: Path) -> None:
    study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
    (row,) = rows(pipeline, study)
    row.path.unlink()
    sweep(pipeline)
    receive(pipeline, dx_file(tmp_path / "b.dcm", study=2, instance=2))
    with pipeline.ledger.reading() as tx:
        assert len(alarms.open_alarms(tx)) == 1
    receive(pipeline, tmp_path / "a.dcm")
    assert row.path.is_file()
    with pipeline.ledger.reading() as tx:
        assert alarms.open_alarms(tx) == []
