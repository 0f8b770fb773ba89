"""A person steps in: a study again, a wrong patient's results taken back, a task cancelled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from factories import dx_file
from model_factory import heart_package
from peers import wait_until
from pipelines import Running, idle, receive, reports, rows
from pydicom import dcmread

from config.settings import Settings, parse
from domain.errors import NotFound
from domain.types import DeliveryState, DocumentKind, Outcome, Source, Species
from inference.engine import Engine
from inference.package import load_package
from ledger import alarms, documents, images, tasks
from ledger.documents import DeliveryRow
from node import interventions
from node.parts import open_pipeline
from node.pipeline import Pipeline


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return parse(
        {
            "node": {"data_dir": str(tmp_path / "data"), "language": "en"},
            "study": {"quiet_seconds": 0.2, "max_wait_seconds": 30.0},
            "modality": [{"name": "room-1", "ae_title": "DRROOM1"}],
            "destination": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1"}],
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


def reported(pipeline: Pipeline, engine: Engine, *paths: Path) -> str:
    """Received and reported; the Study Instance UID."""
    with Running(pipeline, engine):
        (study,) = {receive(pipeline, path) for path in paths}
        wait_until(idle(pipeline), seconds=30, what="the report")
    return study


def filed(pipeline: Pipeline, study: str) -> None:
    """Every document of the study has arrived."""
    with pipeline.ledger.transaction() as tx:
        for row in documents.deliveries(tx, study):
            documents.delivered(tx, row, DeliveryState.STORED, status="stored")
            tasks.drop(tx, "deliver", f"{row.document.ref.sop_instance_uid}>{row.destination}")


def test_a_study_again_is_a_new_revision_that_names_its_predecessor(
    pipeline: Pipeline, engine: Engine, tmp_path: Path
) -> None:
    study = reported(pipeline, engine, dx_file(tmp_path / "a.dcm"))
    (first,) = reports(pipeline, study)
    assert interventions.reanalyse(pipeline, study) == 1
    with Running(pipeline, engine):
        wait_until(idle(pipeline), seconds=30, what="the new report")
    _, second = reports(pipeline, study)
    named = dcmread(second.path).PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == first.ref.sop_instance_uid


def test_a_corrected_species_stands_above_the_header(pipeline: Pipeline, engine: Engine, tmp_path: Path) -> None:
    study = reported(pipeline, engine, dx_file(tmp_path / "a.dcm"))
    assert rows(pipeline, study)[0].answer.species is Species.DOG  # type: ignore[union-attr]
    interventions.reanalyse(pipeline, study, species=Species.CAT)
    with Running(pipeline, engine):
        wait_until(idle(pipeline), seconds=30, what="the new report")
    answer = rows(pipeline, study)[0].answer
    assert answer is not None
    assert (answer.species, answer.species_source) == (Species.CAT, Source.USER)


def test_a_wrong_patients_results_are_taken_back_and_not_made_again(
    pipeline: Pipeline, engine: Engine, tmp_path: Path
) -> None:
    study = reported(pipeline, engine, dx_file(tmp_path / "a.dcm"))
    with pipeline.ledger.reading() as tx:
        results = {row.document.ref.sop_instance_uid for row in documents.deliveries(tx, study)}
    filed(pipeline, study)
    done = interventions.withdraw(pipeline, study)
    assert (done.documents, done.destinations, done.images) == (len(results), ("pacs",), 0)
    with pipeline.ledger.reading() as tx:
        (note,) = [row for row in documents.deliveries(tx, study) if row.document.kind is DocumentKind.KOS]
        assert tasks.owed(tx)[-1].key == f"{note.document.ref.sop_instance_uid}>pacs"
    content = dcmread(note.document.path)
    title = content.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113038", "DCM")
    series = content.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert {item.ReferencedSOPInstanceUID for each in series for item in each.ReferencedSOPSequence} == results
    assert content.PatientID == dcmread(tmp_path / "a.dcm").PatientID  # or the archive would not match it


def test_corrected_images_are_analysed_again_after_a_withdrawal(pipeline: Pipeline, engine: Engine, tmp_path: Path) -> None:
    study = reported(pipeline, engine, dx_file(tmp_path / "a.dcm"))
    reported(pipeline, engine, dx_file(tmp_path / "b.dcm", PatientID="RIGHT"))
    filed(pipeline, study)
    before = {document.ref.sop_instance_uid for document in reports(pipeline, study)}
    assert interventions.withdraw(pipeline, study).images == 1  # the first content would bring the wrong patient back
    with Running(pipeline, engine):
        wait_until(idle(pipeline), seconds=30, what="the new report")
    (new,) = [document for document in reports(pipeline, study) if document.ref.sop_instance_uid not in before]
    content = dcmread(new.path)
    assert content.PatientID == "RIGHT"
    assert "PredecessorDocumentsSequence" not in content
    sent = {each.document.kind: dcmread(each.document.path).PatientID for each in pending(pipeline, study)}
    assert sent.pop(DocumentKind.KOS) == dcmread(tmp_path / "a.dcm").PatientID  # the note's, or it would not match
    assert sent == {DocumentKind.SC: "RIGHT", DocumentKind.SR: "RIGHT"}


def pending(pipeline: Pipeline, study: str) -> list[DeliveryRow]:
    with pipeline.ledger.reading() as tx:
        return [row for row in documents.deliveries(tx, study) if row.state is DeliveryState.PENDING]


def test_what_was_not_sent_yet_is_not_sent_after_a_withdrawal(pipeline: Pipeline, engine: Engine, tmp_path: Path) -> None:
    study = reported(pipeline, engine, dx_file(tmp_path / "a.dcm"))
    done = interventions.withdraw(pipeline, study)
    assert (done.documents, done.destinations, done.stopped) == (0, (), 2)
    with pipeline.ledger.reading() as tx:
        assert {row.state for row in documents.deliveries(tx, study)} == {DeliveryState.CANCELLED}
        assert [row.kind for row in tasks.owed(tx) if row.kind != "upkeep"] == []


def test_what_a_pacs_refused_is_missed_by_nobody_after_a_withdrawal(
    pipeline: Pipeline, engine: Engine, tmp_path: Path
) -> None:
    study = reported(pipeline, engine, dx_file(tmp_path / "a.dcm"))
    with pipeline.ledger.transaction() as tx:
        claimed = [tasks.claim(tx, "delivery", connections={"pacs": 2}) for _ in range(3)]
        for held in (each for each in claimed if each is not None and each.kind == "deliver"):
            row = documents.get_delivery(tx, held.key)
            documents.attempted(tx, row)
            tasks.bury(tx, held, error="refused with status 0xC001")
            documents.delivered(tx, row, DeliveryState.REFUSED, status="refused with status 0xC001")
        assert alarms.open_alarms(tx)
    interventions.withdraw(pipeline, study)
    with pipeline.ledger.reading() as tx:
        assert alarms.open_alarms(tx) == []
        assert [row.state for row in tasks.owed(tx) if row.kind == "deliver"] == ["ready"]  # the rejection note's


def test_what_still_waits_for_its_analysis_is_not_filed_after_a_withdrawal(
    pipeline: Pipeline, engine: Engine, tmp_path: Path
) -> None:
    first, second = (dx_file(tmp_path / f"{number}.dcm", instance=number) for number in (1, 2))
    study = reported(pipeline, engine, first)
    filed(pipeline, study)
    receive(pipeline, second)
    interventions.withdraw(pipeline, study)
    with Running(pipeline, engine):
        wait_until(idle(pipeline), seconds=30, what="nothing")
    assert [row.document.kind for row in pending(pipeline, study)] == [DocumentKind.KOS]
    with pytest.raises(NotFound, match="under the right patient"):
        interventions.reanalyse(pipeline, study)


def test_only_what_comes_after_a_withdrawal_is_reported(pipeline: Pipeline, engine: Engine, tmp_path: Path) -> None:
    study = reported(pipeline, engine, *(dx_file(tmp_path / f"{number}.dcm", instance=number) for number in (1, 2)))
    filed(pipeline, study)
    interventions.withdraw(pipeline, study)
    right = dx_file(tmp_path / "right.dcm", instance=2, PatientID="RIGHT")
    reported(pipeline, engine, right)
    content = dcmread(reports(pipeline, study)[-1].path)
    assert content.PatientID == "RIGHT"
    evidence = content.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    named = {item.ReferencedSOPInstanceUID for each in evidence for item in each.ReferencedSOPSequence}
    assert dcmread(tmp_path / "1.dcm").SOPInstanceUID not in named


def test_a_rejection_note_is_not_taken_back(pipeline: Pipeline, engine: Engine, tmp_path: Path) -> None:
    study = reported(pipeline, engine, dx_file(tmp_path / "a.dcm"))
    filed(pipeline, study)
    interventions.withdraw(pipeline, study)
    filed(pipeline, study)
    with pytest.raises(NotFound, match="nothing to withdraw"):
        interventions.withdraw(pipeline, study)


def test_a_destination_that_left_the_settings_is_not_said_to_be_told(
    pipeline: Pipeline, engine: Engine, tmp_path: Path
) -> None:
    study = reported(pipeline, engine, dx_file(tmp_path / "a.dcm"))
    filed(pipeline, study)
    left = replace(pipeline, settings=pipeline.settings.model_copy(update={"destination": ()}))
    done = interventions.withdraw(left, study)
    assert (done.destinations, done.not_told) == ((), ("pacs",))


def test_the_same_answer_again_is_the_same_overlay(pipeline: Pipeline, engine: Engine, tmp_path: Path) -> None:
    study = reported(pipeline, engine, dx_file(tmp_path / "a.dcm"))
    later = time.time() + 100.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.ledger, "_clock", lambda: later)
        interventions.reanalyse(pipeline, study)
        with Running(pipeline, engine):
            wait_until(idle(pipeline), seconds=30, what="the new report")
    with pipeline.ledger.reading() as tx:
        kinds = [document.kind for document in documents.of_study(tx, study)]
    assert sorted(kinds) == [DocumentKind.SC, DocumentKind.SR, DocumentKind.SR]


def test_an_unknown_study_is_not_found(pipeline: Pipeline) -> None:
    for act in (interventions.reanalyse, interventions.withdraw):
        with pytest.raises(NotFound):
            act(pipeline, "2.25.404")


def test_a_cancelled_image_is_said_to_be_unanalysed(pipeline: Pipeline, engine: Engine, tmp_path: Path) -> None:
    study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
    with pipeline.ledger.reading() as tx:
        (image,) = [row for row in tasks.owed(tx) if row.kind == "image"]
    assert interventions.cancel(pipeline, [image.id]) == ["image"]
    with Running(pipeline, engine):
        wait_until(idle(pipeline), seconds=30, what="the report")
    with pipeline.ledger.reading() as tx:
        assert images.get_study(tx, study).state == Outcome.FAILED.value
    assert len(reports(pipeline, study)) == 1


def test_a_study_that_waits_cannot_be_silenced(pipeline: Pipeline, tmp_path: Path) -> None:
    receive(pipeline, dx_file(tmp_path / "a.dcm"))
    with pipeline.ledger.reading() as tx:
        (task,) = [row for row in tasks.owed(tx) if row.kind == "study"]
        (image,) = [row for row in tasks.owed(tx) if row.kind == "image"]
    with pytest.raises(NotFound, match="nobody would be told"):
        interventions.cancel(pipeline, [image.id, task.id])
    with pipeline.ledger.reading() as tx:  # all or none
        assert {image.id, task.id} <= {row.id for row in tasks.owed(tx)}
