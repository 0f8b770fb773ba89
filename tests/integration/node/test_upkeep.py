"""What the node does by itself: the disk's alarms, notices, deletion, and never of what is owed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from answers import MODEL, vhs
from factories import dx_file
from peers import wait_until
from pipelines import receive, rows

import node.notices
import node.upkeep
from config.settings import Settings, parse
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import AlarmKind, Code, ImageAnswer, InstanceRef, ModelAnswer, Outcome
from ledger import alarms, images, peers, retention, tasks
from ledger.tasks import Task
from node.lines import unserved
from node.notices import Notices
from node.parts import open_pipeline
from node.pipeline import Pipeline
from node.upkeep import Upkeep, owe_upkeep
from node.worker import Worker

DAY_SECONDS = 86_400.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return parse(
        {
            "node": {"data_dir": str(tmp_path / "data"), "language": "en"},
            "retention": {"declined_days": 30.0},
            "destination": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1"}],
            "notify": [
                {"name": "it", "kind": "webhook", "url": "http://127.0.0.1:9/", "destination_down_minutes": 15.0},
                {"name": "vet", "kind": "webhook", "url": "http://127.0.0.1:9/", "events": ["urgent_finding"]},
            ],
        }
    )


@pytest.fixture
def pipeline(settings: Settings) -> Iterator[Pipeline]:
    opened = open_pipeline(settings)
    yield opened
    opened.ledger.close()


@pytest.fixture
def upkeep(pipeline: Pipeline) -> Upkeep:
    return Upkeep(settings=pipeline.settings, ledger=pipeline.ledger)


def told_by(pipeline: Pipeline) -> Notices:
    return Notices(settings=pipeline.settings, ledger=pipeline.ledger)


def claimed(pipeline: Pipeline, kind: str = "notify") -> Task:
    """The next task of this kind."""
    served = {} if kind == node.upkeep.KIND else {"notify it": 1, "notify vet": 1}
    with pipeline.ledger.transaction() as tx:
        task = tasks.claim(tx, "upkeep", connections=served)
    assert task is not None and task.kind == kind
    return task


def a_round(pipeline: Pipeline, upkeep: Upkeep) -> str:
    with pipeline.ledger.transaction() as tx:
        owe_upkeep(tx)
        tasks.hasten(tx, node.upkeep.KIND, node.upkeep.KEY)
    return upkeep.run(claimed(pipeline, node.upkeep.KIND))


def notices(pipeline: Pipeline) -> list[str]:
    with pipeline.ledger.reading() as tx:
        return [
            row.key.partition(">")[2] for row in tasks.owed(tx) if row.kind.startswith("notify") and row.state == "ready"
        ]


def raised(pipeline: Pipeline, kind: AlarmKind, *, minutes_ago: float = 0.0, key: str = "key") -> None:
    with pipeline.ledger.transaction() as tx:
        alarms.raise_(tx, kind, key, "something happened", since=tx.now - 60 * minutes_ago)


def test_a_round_owes_the_next_one(pipeline: Pipeline, upkeep: Upkeep) -> None:
    a_round(pipeline, upkeep)
    with pipeline.ledger.reading() as tx:
        (next_one,) = tasks.owed(tx)
        assert next_one.run_at == pytest.approx(tx.now + node.upkeep.EVERY_SECONDS, abs=5)


@pytest.mark.parametrize(
    ("free_megabytes", "said"),
    [
        (20_000, []),
        (5_000, ["5000 MB left: images are refused when it gets less than 2000 MB"]),
        (1_000, ["1000 MB left: images are refused when", "1000 MB left: images are refused until"]),
    ],
)
def test_little_disk_space_is_an_alarm_until_there_is_more(
    pipeline: Pipeline, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch, free_megabytes: int, said: list[str]
) -> None:
    monkeypatch.setattr(node.upkeep.shutil, "disk_usage", lambda _path: SimpleNamespace(free=free_megabytes * 1_000_000))
    a_round(pipeline, upkeep)
    with pipeline.ledger.reading() as tx:
        texts = [row.text for row in alarms.open_alarms(tx)]
    assert len(texts) == len(said)
    assert all(part in text for part, text in zip(said, texts, strict=True))
    monkeypatch.setattr(node.upkeep.shutil, "disk_usage", lambda _path: SimpleNamespace(free=20_000 * 1_000_000))
    a_round(pipeline, upkeep)
    with pipeline.ledger.reading() as tx:
        assert alarms.open_alarms(tx) == []


def test_each_alarm_is_told_once_to_those_who_asked_for_its_kind(pipeline: Pipeline, upkeep: Upkeep) -> None:
    raised(pipeline, AlarmKind.CONFLICT)
    raised(pipeline, AlarmKind.URGENT_FINDING)
    a_round(pipeline, upkeep)
    a_round(pipeline, upkeep)
    assert sorted(notices(pipeline)) == ["it", "it", "vet"]


@pytest.mark.parametrize(("minutes", "told"), [(5.0, []), (16.0, ["it"])])
def test_a_destination_may_restart_before_anybody_is_woken(
    pipeline: Pipeline, upkeep: Upkeep, minutes: float, told: list[str]
) -> None:
    raised(pipeline, AlarmKind.DESTINATION_DOWN, key="pacs", minutes_ago=minutes)
    a_round(pipeline, upkeep)
    assert notices(pipeline) == told


def test_a_notice_that_is_refused_dies_visibly_and_wakes_no_other(
    pipeline: Pipeline, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_keywords: Any) -> None:
        raise PeerRefused("webhook of [[notify]] it refused the notice with HTTP status 400")

    monkeypatch.setattr(node.notices, "send_notice", refuse)
    raised(pipeline, AlarmKind.CONFLICT)
    a_round(pipeline, upkeep)
    task = claimed(pipeline)
    assert "REFUSED" in told_by(pipeline).tell(task)
    a_round(pipeline, upkeep)
    with pipeline.ledger.reading() as tx:
        assert [row.state for row in tasks.owed(tx) if row.kind == "notify"] == ["dead"]
        assert AlarmKind.DEAD_TASK in {row.kind for row in alarms.open_alarms(tx)}


def test_an_outage_of_the_webhook_is_waited_out(pipeline: Pipeline, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []

    def fail(*_arguments: Any, **_keywords: Any) -> None:
        raise PeerUnavailable("webhook of [[notify]] it cannot be reached")

    raised(pipeline, AlarmKind.CONFLICT)
    a_round(pipeline, upkeep)
    monkeypatch.setattr(node.notices, "send_notice", fail)
    task = claimed(pipeline)
    assert "again in" in told_by(pipeline).tell(task)
    monkeypatch.setattr(node.notices, "send_notice", lambda _to, **said: told.append(said))
    with pipeline.ledger.transaction() as tx:
        tasks.hasten(tx, "notify", task.key)
    task = claimed(pipeline)
    assert told_by(pipeline).tell(task) == "told"
    assert told[0]["content"]["event"] == "conflict"


def test_what_is_mended_before_it_is_told_is_not_told(pipeline: Pipeline, upkeep: Upkeep) -> None:
    raised(pipeline, AlarmKind.DISK, key="low")
    a_round(pipeline, upkeep)  # the disk is well: this very round ends the alarm
    assert notices(pipeline) == []
    raised(pipeline, AlarmKind.MISSING_FILE)
    a_round(pipeline, upkeep)
    with pipeline.ledger.transaction() as tx:
        alarms.clear(tx, AlarmKind.MISSING_FILE, "key")
    task = claimed(pipeline)
    assert told_by(pipeline).tell(task) == "no longer to be told"


def test_old_studies_are_deleted_with_their_files_and_owed_ones_are_not(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = open_pipeline(settings)
    upkeep = Upkeep(settings=settings, ledger=pipeline.ledger)
    done, owed = (receive(pipeline, dx_file(tmp_path / f"{n}.dcm", study=n)) for n in (1, 2))
    paths = {study: rows(pipeline, study)[0].path for study in (done, owed)}
    with pipeline.ledger.transaction() as tx:
        for study in (done, owed):
            images.reported(tx, study, outcome=Outcome.DECLINED, revision=1, evidence="x")
        for row in tasks.owed(tx):
            if row.key == done or row.key == str(images.of_study(tx, done)[0].id):
                tasks.cancel(tx, row.id)
    a_round(pipeline, upkeep)
    assert all(path.exists() for path in paths.values()), "none is old"
    monkeypatch.setattr(pipeline.ledger, "_clock", lambda: time.time() + 31 * DAY_SECONDS)
    a_round(pipeline, upkeep)
    assert not paths[done].exists()
    assert paths[owed].exists()
    with pipeline.ledger.reading() as tx:
        assert images.studies(tx) == [owed]
    pipeline.ledger.close()


def test_an_urgent_finding_is_an_alarm_without_a_name(pipeline: Pipeline, tmp_path: Path) -> None:
    study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
    image = rows(pipeline, study)[0]
    ref = InstanceRef(sop_class_uid=image.sop_class_uid, sop_instance_uid=image.sop_instance_uid)
    finding = replace(vhs(image.sop_instance_uid), urgent=True)
    said = ModelAnswer(model=MODEL, outcome=Outcome.ANALYSED, findings=(finding,))
    answer = ImageAnswer(ref=ref, outcome=Outcome.ANALYSED, models=(said,))
    with pipeline.ledger.transaction() as tx:
        pipeline._answered(tx, image, answer, [])
        (alarm,) = alarms.open_alarms(tx)
    assert alarm.kind is AlarmKind.URGENT_FINDING
    assert f"in image {image.id}" in alarm.text


def test_every_urgent_finding_of_an_image_is_told_until_the_study_is_forgotten(pipeline: Pipeline, tmp_path: Path) -> None:
    study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
    image = rows(pipeline, study)[0]
    ref = InstanceRef(sop_class_uid=image.sop_class_uid, sop_instance_uid=image.sop_instance_uid)
    first = replace(vhs(image.sop_instance_uid), urgent=True)
    second = replace(first, concept=Code(value="36118008", scheme="SCT", meaning="Pneumothorax"))
    said = ModelAnswer(model=MODEL, outcome=Outcome.ANALYSED, findings=(first, second, second))
    with pipeline.ledger.transaction() as tx:
        for _ in range(2):  # answered again, it is told once
            pipeline._answered(tx, image, ImageAnswer(ref=ref, outcome=Outcome.ANALYSED, models=(said,)), [])
        texts = [alarm.text for alarm in alarms.open_alarms(tx)]
        assert len(texts) == 2
        assert "Pneumothorax" in texts[1]
        for row in tasks.owed(tx):
            tasks.cancel(tx, row.id)
        assert retention.forget_study(tx, study)
        assert alarms.open_alarms(tx) == []


def old_studies(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files of two that may be deleted, the first one first."""
    studies = [receive(pipeline, dx_file(tmp_path / f"{n}.dcm", study=n)) for n in (1, 2)]
    with pipeline.ledger.transaction() as tx:
        for row in tasks.owed(tx):
            tasks.cancel(tx, row.id)
        for study in studies:
            images.reported(tx, study, outcome=Outcome.DECLINED, revision=1, evidence="x")
    monkeypatch.setattr(pipeline.ledger, "_clock", lambda: time.time() + 31 * DAY_SECONDS)
    return [rows(pipeline, study)[0].path for study in studies]


def test_a_file_that_cannot_be_deleted_stops_neither_the_others_nor_the_notices(
    pipeline: Pipeline, upkeep: Upkeep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = old_studies(pipeline, tmp_path, monkeypatch)
    stuck.unlink()
    stuck.mkdir()
    raised(pipeline, AlarmKind.CONFLICT)
    assert a_round(pipeline, upkeep).startswith("1 studies deleted")
    assert not other.exists()
    assert notices(pipeline) == ["it"]
    with pipeline.ledger.reading() as tx:
        assert "cannot be deleted (Is a directory)" in alarms.open_alarms(tx)[-1].text
    stuck.rmdir()
    a_round(pipeline, upkeep)
    with pipeline.ledger.reading() as tx:
        assert AlarmKind.DISK not in {alarm.kind for alarm in alarms.open_alarms(tx)}


def test_a_notifier_that_hangs_holds_one_lane_of_its_own(pipeline: Pipeline, upkeep: Upkeep) -> None:
    for number in range(3):
        raised(pipeline, AlarmKind.CONFLICT, key=str(number))
    raised(pipeline, AlarmKind.URGENT_FINDING)
    a_round(pipeline, upkeep)
    worker = Worker(pipeline, None, threading.Event())
    begun = [task.destination for task in (worker.claim("upkeep")[0] for _ in range(8)) if task is not None]
    assert sorted(begun) == ["notify it", "notify vet"]
    assert worker._upkeep_lanes["upkeep"] > len(begun)


@pytest.fixture
def clock(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The ledger's, told the time."""
    stopped = SimpleNamespace(now=time.time())
    monkeypatch.setattr(pipeline.ledger, "_clock", lambda: stopped.now)
    return stopped


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    monkeypatch.setattr(node.notices, "send_notice", lambda _to, **said: kept.append(said))
    return kept


def sent(pipeline: Pipeline, upkeep: Upkeep, mails: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    """(subject, over) of what goes out in a round."""
    before = len(mails)
    a_round(pipeline, upkeep)
    while notices(pipeline):
        with pipeline.ledger.transaction() as tx:
            task = tasks.claim(tx, "upkeep", connections={"notify it": 1, "notify vet": 1})
        assert task is not None
        told_by(pipeline).tell(task) if task.kind == "notify" else told_by(pipeline).tell_end(task)
    return [(said["subject"], said["content"]["over"]) for said in mails[before:]]


def test_who_was_told_is_told_that_it_is_over_and_nobody_else(
    pipeline: Pipeline, upkeep: Upkeep, clock: SimpleNamespace, mails: list[dict[str, Any]]
) -> None:
    raised(pipeline, AlarmKind.DESTINATION_DOWN, key="pacs", minutes_ago=5)  # nobody was told of it yet
    raised(pipeline, AlarmKind.MISSING_FILE)
    raised(pipeline, AlarmKind.CONFLICT)
    assert sorted(sent(pipeline, upkeep, mails)) == [
        ("Houndsfield HOUNDSFIELD: one SOP Instance UID with two contents", False),
        ("Houndsfield HOUNDSFIELD: the file of a received image is gone", False),
    ]
    with pipeline.ledger.transaction() as tx:
        for alarm in alarms.open_alarms(tx):
            if alarm.kind is AlarmKind.CONFLICT:
                alarms.acknowledge(tx, alarm.id)  # which ends it: whoever did that knows
            alarms.clear(tx, alarm.kind, alarm.key)
    assert sent(pipeline, upkeep, mails) == []  # it may begin again at once
    clock.now += 61
    assert sent(pipeline, upkeep, mails) == [("Houndsfield HOUNDSFIELD: the file of a received image is back", True)]
    assert mails[-1]["content"]["text"] == "This is over: something happened"
    clock.now += 61
    assert sent(pipeline, upkeep, mails) == []
    raised(pipeline, AlarmKind.MISSING_FILE, key="another")
    sent(pipeline, upkeep, mails)
    with pipeline.ledger.transaction() as tx:
        alarms.clear(tx, AlarmKind.MISSING_FILE, "another")
    clock.now += 2 * DAY_SECONDS  # the node stood still meanwhile
    assert sent(pipeline, upkeep, mails) == []


def test_what_comes_and_goes_is_told_once(
    pipeline: Pipeline, upkeep: Upkeep, clock: SimpleNamespace, mails: list[dict[str, Any]]
) -> None:
    def ends() -> None:
        with pipeline.ledger.transaction() as tx:
            alarms.clear(tx, AlarmKind.BROKER_DOWN, "key")

    told = []
    for _ in range(3):
        raised(pipeline, AlarmKind.BROKER_DOWN)
        told += sent(pipeline, upkeep, mails)
        clock.now += 10
        ends()
        told += sent(pipeline, upkeep, mails)
        clock.now += 30
    clock.now += 61
    told += sent(pipeline, upkeep, mails)
    assert [over for _, over in told] == [False, True]
    raised(pipeline, AlarmKind.BROKER_DOWN)
    assert [over for _, over in sent(pipeline, upkeep, mails)] == [False]


def test_what_was_over_before_it_could_be_told_is_not_taken_back(
    pipeline: Pipeline, upkeep: Upkeep, clock: SimpleNamespace, mails: list[dict[str, Any]]
) -> None:
    raised(pipeline, AlarmKind.BROKER_DOWN)
    a_round(pipeline, upkeep)  # the notice waits
    with pipeline.ledger.transaction() as tx:
        alarms.clear(tx, AlarmKind.BROKER_DOWN, "key")
    clock.now += 61
    assert sent(pipeline, upkeep, mails) == []
    clock.now += 61
    assert sent(pipeline, upkeep, mails) == []


def test_people_are_told_whatever_has_become_of_the_broker(pipeline: Pipeline, mails: list[dict[str, Any]]) -> None:
    raised(pipeline, AlarmKind.BROKER_DOWN)
    stop = threading.Event()
    worker = Worker(pipeline, None, stop)
    thread = threading.Thread(target=worker.run, args=(lambda _worker: stop.wait(20),))  # which is told of nothing
    thread.start()
    try:
        wait_until(lambda: len(mails) == 1, what="the notice")
    finally:
        stop.set()
        thread.join(20)


def test_what_waits_for_a_destination_that_left_the_settings_is_an_alarm_until_it_is_given_up(
    pipeline: Pipeline, upkeep: Upkeep
) -> None:
    with pipeline.ledger.transaction() as tx:
        for number in range(3):
            tasks.owe(tx, "deliver", str(number), queue="delivery", destination="old-pacs")
        peers.unavailable(tx, "old-pacs", error="no answer")
    a_round(pipeline, upkeep)
    with pipeline.ledger.transaction() as tx:
        (alarm,) = alarms.open_alarms(tx)
        assert alarm.text.startswith("old-pacs is not in the settings any more, and 3 task(s) wait for it for ever")
        for task_id in tasks.owed_to(tx, "old-pacs"):
            tasks.cancel(tx, task_id)
        assert unserved(tx, pipeline.settings) == {}
    a_round(pipeline, upkeep)
    with pipeline.ledger.reading() as tx:
        assert alarms.open_alarms(tx) == []
