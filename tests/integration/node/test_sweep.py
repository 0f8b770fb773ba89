"""At the start: files that the ledger does not know, and rows whose file is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from factories import dx_file
from pipelines import receive, rows
from pydicom import dcmread

from config.settings import parse
from domain.types import AlarmKind
from ledger import alarms, images, tasks
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
