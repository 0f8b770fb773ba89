"""What breaks a task again and again: it dies visibly, its image gets an answer, and the worker goes on."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from factories import dx_file
from model_factory import heart_package
from pipelines import receive, rows

import node.worker
from config.settings import parse
from domain.errors import ModelFailed
from domain.types import AlarmKind, Outcome
from inference.engine import Engine
from inference.package import load_package
from inference.runtime import OnnxRuntime, Tensor
from ledger import alarms, peers, tasks
from ledger.tasks import Task
from node.parts import clear_abandoned, open_pipeline
from node.pipeline import Pipeline
from node.worker import Worker


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    destination = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1"}
    opened = open_pipeline(parse({"node": {"data_dir": str(tmp_path / "data")}, "destination": [destination]}))
    yield opened
    opened.ledger.close()


@pytest.fixture
def worker(pipeline: Pipeline) -> Worker:
    return Worker(pipeline, None, threading.Event())


def breaks_with(worker: Worker, error: Exception) -> None:
    def handler(_task: Task) -> str:
        raise error

    worker._handlers["image"] = handler


def an_image(pipeline: Pipeline, tmp_path: Path) -> str:
    return receive(pipeline, dx_file(tmp_path / "a.dcm"))


def tried(pipeline: Pipeline, worker: Worker, *, times: int, later_seconds: float = 0.0) -> None:
    """So many attempts at the image, each when it is due."""
    for _ in range(times):
        with pipeline.ledger.transaction() as tx:
            tx.connection.exec_driver_sql("UPDATE task SET run_at = 0, rank_at = 0 WHERE kind = 'image'")
            if later_seconds:
                tx.connection.exec_driver_sql("UPDATE task SET started_at = ?", (time.time() - later_seconds,))
        task, _ = worker.claim("analysis")
        assert task is not None and task.kind == "image"
        worker.do(task)


def the_image(pipeline: Pipeline) -> tasks.TaskRow:
    with pipeline.ledger.reading() as tx:
        return next(row for row in tasks.owed(tx) if row.kind == "image")


def test_where_giving_up_breaks_too_the_task_dies_and_its_study_is_told(
    pipeline: Pipeline, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a value from a header")

    study = an_image(pipeline, tmp_path)
    monkeypatch.setattr(Pipeline, "give_up", broken)
    breaks_with(worker, ZeroDivisionError())
    tried(pipeline, worker, times=node.worker.ATTEMPTS)
    assert the_image(pipeline).state == "dead"
    answer = rows(pipeline, study)[0].answer
    assert answer is not None and answer.outcome is Outcome.FAILED
    with pipeline.ledger.reading() as tx:
        assert [row.kind for row in tasks.owed(tx) if row.state == "ready"] == ["study"]
        assert AlarmKind.DEAD_TASK in {alarm.kind for alarm in alarms.open_alarms(tx)}


def test_a_fault_of_the_machine_is_waited_out_but_not_for_ever(pipeline: Pipeline, worker: Worker, tmp_path: Path) -> None:
    an_image(pipeline, tmp_path)
    breaks_with(worker, PermissionError(errno.EACCES, "Permission denied"))
    tried(pipeline, worker, times=2 * node.worker.ATTEMPTS)
    assert (the_image(pipeline).state, the_image(pipeline).attempts) == ("ready", 0)
    tried(pipeline, worker, times=node.worker.ATTEMPTS, later_seconds=node.worker.LASTING_SECONDS + 60)
    assert the_image(pipeline).state == "dead"


@pytest.mark.parametrize(("faults", "outcome"), [(1, Outcome.ANALYSED), (2, Outcome.FAILED)])
def test_a_model_that_breaks_is_asked_once_more_before_that_is_its_answer(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: int, outcome: Outcome
) -> None:
    engine = Engine([load_package(heart_package(tmp_path / "package"))], threads=1)
    worker, predict, left = Worker(pipeline, engine, threading.Event()), OnnxRuntime.predict, [faults]

    def breaks(runtime: OnnxRuntime, planes: Tensor) -> dict[str, Tensor]:
        if left[0]:
            left[0] -= 1
            raise ModelFailed("no memory")
        return predict(runtime, planes)

    monkeypatch.setattr(OnnxRuntime, "predict", breaks)
    study = an_image(pipeline, tmp_path)
    tried(pipeline, worker, times=1)
    assert rows(pipeline, study)[0].answer is None
    tried(pipeline, worker, times=1)
    answer = rows(pipeline, study)[0].answer
    assert answer is not None and answer.outcome is outcome
    with pipeline.ledger.reading() as tx:
        assert [row for row in tasks.owed(tx) if row.kind == "image"] == []


def test_a_full_disk_is_waited_out_for_ever(pipeline: Pipeline, worker: Worker, tmp_path: Path) -> None:
    an_image(pipeline, tmp_path)
    breaks_with(worker, OSError(errno.ENOSPC, "No space left on device"))
    tried(pipeline, worker, times=2 * node.worker.ATTEMPTS, later_seconds=node.worker.LASTING_SECONDS + 60)
    assert (the_image(pipeline).state, the_image(pipeline).attempts) == ("ready", 0)


def test_sending_over_a_slow_link_is_no_step_that_hangs(
    pipeline: Pipeline, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(node.worker.os, "_exit", ended)
    an_image(pipeline, tmp_path)
    with pipeline.ledger.transaction() as tx:
        tasks.owe(tx, "deliver", "1.2>pacs", queue="delivery", destination="pacs")
    delivery, analysis = worker.claim("delivery")[0], worker.claim("analysis")[0]
    assert delivery is not None and analysis is not None
    late = time.monotonic() + pipeline.settings.node.step_seconds + 1
    with worker._leases.holding(delivery):
        worker._end_if_overdue(late, None)
    with worker._leases.holding(analysis), pytest.raises(SystemExit, match=str(node.worker.EXIT_HUNG)):
        worker._end_if_overdue(late, None)


def test_a_heartbeat_says_which_queues_are_served(pipeline: Pipeline, worker: Worker) -> None:
    worker._beat()  # without an engine nothing is analysed
    with pipeline.ledger.reading() as tx:
        assert list(peers.notes(tx).values()) == ["delivery"]


def test_what_killed_workers_were_writing_is_cleared_when_it_is_old(tmp_path: Path) -> None:
    left, new, result = (tmp_path / name for name in (".1.2.dcm.77.part", ".1.3.dcm.78.part", "1.4.dcm"))
    for path in (left, new, result):
        path.write_bytes(b"")
    clear_abandoned(tmp_path, before=new.stat().st_mtime - 1)
    assert left.exists()
    new.unlink()
    clear_abandoned(tmp_path, before=time.time() + 1)
    assert [path.name for path in tmp_path.iterdir()] == ["1.4.dcm"]
