"""When a study is reported, what it is made of, and what happens when an answer cannot be made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from factories import dx_dataset, dx_file
from model_factory import heart_package
from peers import wait_until
from pipelines import Running, idle, receive, reports, rows
from pydicom import dcmread

import node.worker
import node.writing
from config.settings import Settings, parse
from domain.errors import StorageUnavailable
from domain.types import Document, DocumentKind, Outcome, Report
from inference.engine import Engine
from inference.package import load_package
from ledger import documents, images, tasks
from node.parts import open_pipeline
from node.pipeline import Pipeline

THORAX = ["right-lateral", "ventrodorsal"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return parse(
        {
            "node": {"data_dir": str(tmp_path / "data"), "language": "en"},
            "study": {"quiet_seconds": 0.3, "max_wait_seconds": 30.0},
            "modality": [{"name": "room-1", "ae_title": "DRROOM1"}],
            "destination": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "documents": ["original"]}],
        }
    )


@pytest.fixture
def pipeline(settings: Settings) -> Iterator[Pipeline]:
    opened = open_pipeline(settings)
    yield opened
    opened.ledger.close()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine([load_package(heart_package(tmp_path / "package"))], threads=1)


def view(name: str) -> dict[str, object]:
    return {
        "ViewPosition": {"right-lateral": "RL", "ventrodorsal": "VD"}[name],
        "ViewCodeSequence": None,
        "PatientOrientation": "",
    }


def test_a_study_is_reported_at_once_when_its_expected_views_are_in(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    slow = settings.model_copy(
        update={"study": parse({"study": {"quiet_seconds": 25, "expected_views": {"thorax": THORAX}}}).study}
    )
    pipeline = open_pipeline(slow)
    with Running(pipeline, engine):
        study = receive(pipeline, dx_file(tmp_path / "a.dcm", instance=1, **view("right-lateral")))
        wait_until(lambda: rows(pipeline, study)[0].answer is not None, what="the first answer")
        assert reports(pipeline, study) == []  # one view of two: waits for quiet
        receive(pipeline, dx_file(tmp_path / "b.dcm", instance=2, **view("ventrodorsal")))
        wait_until(lambda: len(reports(pipeline, study)) == 1, seconds=15, what="the report, long before quiet")
    pipeline.ledger.close()


def test_an_image_whose_answer_breaks_is_failed_and_its_study_still_reported(
    pipeline: Pipeline, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.worker, "FIRST_RETRY_SECONDS", 0.01)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a value from a header")

    monkeypatch.setattr(node.writing, "write_overlay", broken)
    with Running(pipeline, engine):
        study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
        wait_until(lambda: len(reports(pipeline, study)) == 1, what="the report")
    answer = rows(pipeline, study)[0].answer
    assert answer is not None and answer.outcome is Outcome.FAILED
    with pipeline.ledger.transaction() as tx:
        (dead,) = (row for row in tasks.owed(tx) if row.state == "dead")
    assert dead.error is not None and dead.error.startswith("ZeroDivisionError at test_studies.py")
    assert "header" not in dead.error


def test_a_full_disk_is_waited_out(
    pipeline: Pipeline, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.worker, "STORAGE_RETRY_SECONDS", 0.05)
    real, refused = node.writing.write_report, 0

    def full(*arguments: object, **more: object) -> Document:
        nonlocal refused
        refused += 1
        if refused <= 8:  # more often than a fault is tried
            raise OSError(28, "No space left on device")
        return real(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(node.writing, "write_report", full)
    with Running(pipeline, engine):
        study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
        wait_until(lambda: len(reports(pipeline, study)) == 1, what="the report after the disk has room again")


def test_a_step_that_broke_while_the_ledger_was_away_is_given_back_unspent(
    pipeline: Pipeline, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.worker, "REAP_SECONDS", 0.1)
    real_look, real_postpone, asked = engine.look, tasks.postpone, 0

    def away(*arguments: object, **more: object) -> object:
        nonlocal asked
        asked += 1
        if asked <= 2:  # the step, and what the worker wants to write of it
            raise StorageUnavailable("ledger: the server was restarted")
        return (real_look if "assumed_species" in more else real_postpone)(*arguments, **more)  # type: ignore[operator]

    monkeypatch.setattr(engine, "look", away)
    monkeypatch.setattr(node.worker.tasks, "postpone", away)
    with Running(pipeline, engine):
        study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
        wait_until(lambda: len(reports(pipeline, study)) == 1, seconds=15, what="the report, before a lease would end")
    with pipeline.ledger.transaction() as tx:
        assert tx.connection.exec_driver_sql("SELECT max(attempts) FROM task").scalar() == 0


def test_a_spooled_file_that_is_gone_fails_its_image_and_not_the_study(
    pipeline: Pipeline, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.worker, "FIRST_RETRY_SECONDS", 0.01)
    study = receive(pipeline, dx_file(tmp_path / "a.dcm", instance=1))
    receive(pipeline, dx_file(tmp_path / "b.dcm", instance=2))
    rows(pipeline, study)[0].path.unlink()
    with Running(pipeline, engine):
        wait_until(lambda: len(reports(pipeline, study)) == 1, what="the report")
    assert [row.answer.outcome for row in rows(pipeline, study) if row.answer] == [Outcome.FAILED, Outcome.ANALYSED]


def test_a_study_is_not_looked_at_while_its_image_waits(pipeline: Pipeline, engine: Engine, tmp_path: Path) -> None:
    study = receive(pipeline, dx_file(tmp_path / "a.dcm"))

    def claimed(kind: str) -> tasks.Task:
        with pipeline.ledger.transaction() as tx:
            tx.connection.exec_driver_sql("UPDATE task SET run_at = 0, rank_at = 0 WHERE kind = ?", (kind,))
            tx.connection.exec_driver_sql(
                "UPDATE task SET run_at = run_at + 1e9, rank_at = rank_at + 1e9 WHERE kind != ?", (kind,)
            )
            held = tasks.claim(tx, "analysis", connections={})
        assert held is not None and held.kind == kind
        return held

    assert pipeline.report_study(claimed("study")) == "waits for its images"
    with pipeline.ledger.reading() as tx:
        assert [row.kind for row in tasks.owed(tx) if row.kind != "deliver"] == ["image"]
    pipeline.answer_image(claimed("image"), engine)
    assert "revision 1" in pipeline.report_study(claimed("study"))
    assert len(reports(pipeline, study)) == 1


def test_a_task_that_kills_its_worker_dies_at_last(pipeline: Pipeline, engine: Engine, tmp_path: Path) -> None:
    study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
    for _ in range(node.worker.ATTEMPTS):
        with pipeline.ledger.transaction() as tx:
            assert tasks.claim(tx, "analysis", connections={})
            tx.connection.exec_driver_sql("UPDATE task SET lease_until = 0 WHERE state = 'running'")
            assert tasks.reap(tx) == 1
    with Running(pipeline, engine):
        wait_until(lambda: len(reports(pipeline, study)) == 1, what="the report")
    answer = rows(pipeline, study)[0].answer
    assert answer is not None and answer.outcome is Outcome.FAILED
    with pipeline.ledger.transaction() as tx:
        assert [document.kind for document in documents.of_study(tx, study)].count("sc") == 1  # it says FAILED


def test_a_worker_that_loses_a_lane_does_not_look_alive(
    pipeline: Pipeline, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tasks, "claim", broken)
    with Running(pipeline, engine) as running:
        running.thread.join(10)
        assert isinstance(running.error, ZeroDivisionError)


def test_changed_content_under_a_uid_is_forwarded_again_and_the_newest_is_reported(
    pipeline: Pipeline, engine: Engine, tmp_path: Path
) -> None:
    study = receive(pipeline, dx_file(tmp_path / "a.dcm", instance=1))
    with Running(pipeline, engine):
        wait_until(lambda: len(reports(pipeline, study)) == 1, what="the first revision")
        receive(pipeline, dx_file(tmp_path / "b.dcm", instance=1, PatientID="ANOTHER"))
        wait_until(lambda: len(reports(pipeline, study)) == 2, what="the second revision")
    old, new = rows(pipeline, study)
    with pipeline.ledger.transaction() as tx:
        owed = documents.get_delivery(tx, f"{new.sop_instance_uid}>pacs")
    assert owed.document.path == new.path != old.path
    evidence = dcmread(reports(pipeline, study)[1].path).CurrentRequestedProcedureEvidenceSequence[0]
    assert len(evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence) == 1


def test_two_workers_never_write_one_studys_revisions_at_once(pipeline: Pipeline, tmp_path: Path) -> None:
    receive(pipeline, dx_file(tmp_path / "a.dcm", instance=1))
    with pipeline.ledger.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE task SET run_at = 0, rank_at = 0")
        claimed = [tasks.claim(tx, "analysis", connections={}) for _ in range(2)]
    assert sorted(task.kind for task in claimed if task) == ["image", "study"]
    receive(pipeline, dx_file(tmp_path / "b.dcm", instance=2))
    with pipeline.ledger.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE task SET run_at = 0 WHERE state = 'ready'")
        later = [tasks.claim(tx, "analysis", connections={}) for _ in range(3)]
    assert [task.kind for task in later if task] == ["image"]


def test_a_report_from_the_console_owes_no_answer(pipeline: Pipeline, engine: Engine, tmp_path: Path) -> None:
    ds = dx_dataset(instance=9)
    for keyword in ("PixelData", "Rows", "Columns"):
        del ds[keyword]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    path = tmp_path / "sr.dcm"
    ds.save_as(path)
    with Running(pipeline, engine):
        study = receive(pipeline, path)
        wait_until(idle(pipeline), what="nothing to do")
    with pipeline.ledger.transaction() as tx:
        assert documents.of_study(tx, study) == []


@pytest.fixture
def wanted(settings: Settings) -> Settings:
    """A destination that wants every kind of a study's documents."""
    to = settings.destination[0].model_copy(
        update={"documents": tuple(map(DocumentKind, ("sr", "text_sr", "pdf", "kos", "sc"))), "overlays": "study"}
    )
    return settings.model_copy(update={"destination": (to,)})


def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("a value from a header")


def test_a_study_whose_report_breaks_owes_one_that_says_failed_and_can_be_tried_again(
    wanted: Settings, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.worker, "FIRST_RETRY_SECONDS", 0.01)
    real = node.writing.write_report

    def breaks_on_answers(report: Report, **more: Any) -> Document:
        if report.outcome is not Outcome.FAILED:
            raise ZeroDivisionError("a value from a header")
        return real(report, **more)

    monkeypatch.setattr(node.writing, "write_report", breaks_on_answers)
    pipeline = open_pipeline(wanted)
    with Running(pipeline, engine):
        study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
        wait_until(lambda: len(reports(pipeline, study)) == 1, seconds=40, what="the report that says FAILED")
        with pipeline.ledger.transaction() as tx:
            (dead,) = (row for row in tasks.owed(tx) if row.state == "dead")
            filed = documents.of_study(tx, study)
            owed = [documents.get_delivery(tx, f"{document.ref.sop_instance_uid}>pacs") for document in filed]
            assert images.get_study(tx, study).state == "FAILED"
        assert sorted(document.kind for document in filed) == ["kos", "pdf", "sc", "sr", "text_sr"]
        assert len(owed) == len(filed)
        (sr,) = reports(pipeline, study)
        assert dcmread(sr.path).SeriesDescription == "AI: ANALYSIS FAILED"
        assert "the report of this study could not be written" in sr.path.read_bytes().decode(errors="replace")
        monkeypatch.setattr(node.writing, "write_report", real)
        with pipeline.ledger.transaction() as tx:
            tasks.retry(tx, dead.id)
        wait_until(lambda: len(reports(pipeline, study)) == 2, seconds=40, what="the report after all")
    with pipeline.ledger.transaction() as tx:
        mended = images.get_study(tx, study)
    assert (mended.state, mended.revision) == ("ANALYSED", 2)
    pipeline.ledger.close()


def test_a_failed_study_gets_what_can_be_written_even_where_its_report_cannot(
    wanted: Settings, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.worker, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(node.writing, "write_report", broken)
    pipeline = open_pipeline(wanted)

    def filed(study: str) -> list[str]:
        with pipeline.ledger.transaction() as tx:
            return sorted(document.kind for document in documents.of_study(tx, study))

    with Running(pipeline, engine):
        study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
        wait_until(lambda: filed(study) == ["kos", "pdf", "sc", "text_sr"], seconds=40, what="what can be written, FAILED")
    pipeline.ledger.close()


def test_a_failed_studys_report_waits_for_a_full_disk(
    wanted: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    pipeline = open_pipeline(wanted)
    receive(pipeline, dx_file(tmp_path / "a.dcm"))
    with pipeline.ledger.transaction() as tx:
        image = tasks.claim(tx, "analysis", connections={})
    assert image is not None
    pipeline.answer_image(image, engine)
    with pipeline.ledger.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE task SET run_at = 0, rank_at = 0")
        task = tasks.claim(tx, "analysis", connections={})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(node.writing, "write_report", full)
    assert task is not None
    with pytest.raises(StorageUnavailable):
        pipeline.give_up(task, "broke")
    with pipeline.ledger.transaction() as tx:
        assert [row.state for row in tasks.owed(tx) if row.kind == "study"] == ["running"]  # its lease brings it back
    pipeline.ledger.close()
