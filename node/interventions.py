"""What a person does to the node's work: a study again, a wrong patient's results taken back, a task owed no longer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.errors import NotFound
from domain.types import DeliveryState, Document, ImageAnswer, InstanceRef, Outcome, Reason, Species
from ledger import documents, images, tasks
from ledger.documents import DeliveryRow
from ledger.store import Transaction
from node.conclude import local_time
from node.pipeline import Pipeline
from sr_writer import Rejection, write_rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What was taken back, the destinations that were told, and how many corrected images are analysed anew."""

    documents: int
    destinations: tuple[str, ...]
    images: int


def reanalyse(pipeline: Pipeline, study_instance_uid: str, *, species: Species | None = None) -> int:
    """Every image is answered anew, and a new revision names its predecessor. Returns how many images that are.

    NotFound when there is no such study, or its images are gone.
    """
    with pipeline.ledger.transaction() as tx:
        images.get_study(tx, study_instance_uid)
        if species is not None:
            images.corrected(tx, study_instance_uid, species)
        return _again(tx, study_instance_uid)


def withdraw(pipeline: Pipeline, study_instance_uid: str) -> Withdrawal:
    """The patient was wrong: what was filed is taken back by rejection notes, and what waits is not sent.

    The study is analysed again only if corrected images have come, with other content under the same UIDs: the first ones
    would only bring the wrong patient back. NotFound when there is no such study, or nothing of it was filed.
    """
    with pipeline.ledger.transaction() as tx:
        before = images.get_study(tx, study_instance_uid)
        rows = images.of_study(tx, study_instance_uid)
        filed = documents.withdrawn(tx, study_instance_uid)
        if not filed:
            raise NotFound("nothing of this study was sent to a destination: there is nothing to withdraw")
        # In the transaction: a note that cannot be written leaves everything as it was.
        for name, note in _notes(pipeline, filed, source=rows[0].path, number=before.revision, now=tx.now):
            documents.owe(tx, note, [name])
        images.withdrawn(tx, study_instance_uid)
        corrected = len({row.sop_instance_uid for row in rows}) < len(rows)
        again = _again(tx, study_instance_uid) if corrected else 0
    return Withdrawal(
        documents=len({row.document.ref.sop_instance_uid for row in filed}),
        destinations=tuple(sorted({row.destination for row in filed})),
        images=again,
    )


def cancel(pipeline: Pipeline, task_id: int) -> str:
    """Owe a task no longer; returns its kind. What waits for its result gets an answer that says so, in words.

    NotFound when there is no such task, or it is one that silence would follow.
    """
    with pipeline.ledger.transaction() as tx:
        row = tasks.cancel(tx, task_id)
        if row.kind == "upkeep" or (row.kind == "study" and row.state != "dead"):
            raise NotFound(f"task {task_id} ({row.kind}) cannot be cancelled: nobody would be told what became of its work")
        if row.kind == "image":
            _answer_cancelled(tx, int(row.key))
        if row.kind == "deliver":
            said = "cancelled by a person"
            documents.delivered(tx, documents.get_delivery(tx, row.key), DeliveryState.DEAD, status=said)
    return row.kind


def _answer_cancelled(tx: Transaction, image_id: int) -> None:
    """Its study does not wait for it any more, and says that it was not analysed."""
    image = images.get(tx, image_id)
    if image.answer is None:
        ref = InstanceRef(sop_class_uid=image.sop_class_uid, sop_instance_uid=image.sop_instance_uid)
        images.answered(tx, image_id, ImageAnswer(ref=ref, outcome=Outcome.FAILED, reason=Reason(code="cancelled")))
        tasks.owe(tx, "study", image.study_instance_uid, queue="analysis")


def _notes(
    pipeline: Pipeline, filed: Sequence[DeliveryRow], *, source: Path, number: int, now: float
) -> Iterator[tuple[str, Document]]:
    """A rejection note for each destination that is still in the settings, of what it was sent."""
    for to in pipeline.settings.destination:
        mine = [row.document for row in filed if row.destination == to.name]
        if mine:
            note = write_rejection(
                mine,
                why=Rejection.WRONG_PATIENT,
                source=source,
                study_instance_uid=mine[0].study_instance_uid,
                identity=pipeline.writing.identity,
                style=to.style(pipeline.settings.node.language),
                directory=pipeline.writing.results,
                number=max(number, 1),
                made_at=local_time(now),
            )
            yield to.name, note


def _again(tx: Transaction, study_instance_uid: str) -> int:
    """The study's own task follows from its images' answers."""
    urgent = int(images.get_study(tx, study_instance_uid).urgent)
    again = images.again(tx, study_instance_uid)
    if not again:
        raise NotFound("no image of this study is kept any more")
    for image in again:
        tasks.owe(tx, "image", str(image), queue="analysis", priority=urgent)
    return len(again)
