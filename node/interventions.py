"""What a person does to the node's work: a study again, a wrong patient's results taken back, a task owed no longer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from domain.errors import NotFound
from domain.types import (
    AlarmKind,
    DeliveryState,
    Document,
    DocumentKind,
    ImageAnswer,
    InstanceRef,
    Outcome,
    Reason,
    Species,
)
from ledger import alarms, documents, images, peers, tasks
from ledger.documents import DeliveryRow
from ledger.images import ImageRow
from ledger.store import Transaction
from node.conclude import WITHDRAWN, local_time
from node.lines import gone, lines
from node.pipeline import Pipeline
from sr_writer import Rejection, write_rejection

AT_ONCE = 200  # tasks cancelled in one transaction: the listener is never kept waiting for long


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What was taken back, and what is done instead."""

    documents: int  # that were filed, or may have been
    destinations: tuple[str, ...]  # that are told
    not_told: tuple[str, ...]  # that were sent some of it and are not in the settings any more
    stopped: int  # documents that waited and are not sent
    images: int  # corrected ones, analysed anew


def reanalyse(pipeline: Pipeline, study_instance_uid: str, *, species: Species | None = None) -> int:
    """Every image is answered anew, and a new revision names its predecessor. Returns how many images that are.

    NotFound when there is no such study, or its images are gone or withdrawn.
    """
    with pipeline.ledger.transaction() as tx:
        images.get_study(tx, study_instance_uid, lock=True)
        if species is not None:
            images.corrected(tx, study_instance_uid, species)
        rows = images.of_study(tx, study_instance_uid)
        kept = [row for row in rows if not _is_withdrawn(row)]
        if not rows:
            raise NotFound("no image of this study is kept any more")
        if not kept:
            raise NotFound("this study was withdrawn: send its images again, under the right patient")
        return _again(tx, study_instance_uid, kept)


def withdraw(pipeline: Pipeline, study_instance_uid: str) -> Withdrawal:
    """The patient was wrong: what was filed is taken back by rejection notes, and what waits is not sent.

    The study is analysed again only if corrected images have come, with other content under the same UIDs: the first ones
    would only bring the wrong patient back. After a second withdrawal only what comes then is analysed. NotFound when there
    is no such study, or nothing of it waits, runs or was filed.
    """
    with pipeline.ledger.transaction() as tx:
        before = images.get_study(tx, study_instance_uid, lock=True)
        every = images.of_study(tx, study_instance_uid)
        rows = [row for row in every if not _is_withdrawn(row)]
        waiting = [
            row
            for row in documents.deliveries(tx, study_instance_uid)
            if row.document.kind is not DocumentKind.ORIGINAL and not row.withdrawn and row.state is DeliveryState.PENDING
        ]
        filed = documents.withdrawn(tx, study_instance_uid)
        if not filed and not waiting and all(row.answer is not None for row in rows):
            raise NotFound("nothing of this study waits or was sent to a destination: there is nothing to withdraw")
        told = []
        # In the transaction: a note that cannot be written leaves everything as it was.
        for name, note in _notes(pipeline, filed, source=(rows or every)[0].path, number=before.revision, now=tx.now):
            documents.owe(tx, note, [name])
            documents.is_no_result(tx, note)
            told.append(name)
        images.withdrawn(tx, study_instance_uid)
        corrected = _corrected(rows) if before.withdrawn_at is None else []
        _set_aside(tx, study_instance_uid, rows, corrected)
        if corrected:
            _again(tx, study_instance_uid, corrected)
        else:
            images.reported(tx, study_instance_uid, outcome=Outcome.DECLINED, revision=before.revision, evidence="")
    return Withdrawal(
        documents=len({row.document.ref.sop_instance_uid for row in filed}),
        destinations=tuple(sorted(told)),
        not_told=tuple(sorted({row.destination for row in filed} - set(told))),
        stopped=len({row.document.ref.sop_instance_uid for row in waiting}),
        images=len(corrected),
    )


def _is_withdrawn(row: ImageRow) -> bool:
    return row.answer is not None and row.answer.reason is not None and row.answer.reason.code == WITHDRAWN


def _corrected(rows: Sequence[ImageRow]) -> list[ImageRow]:
    """The newest content of each instance that came with more than one."""
    first, newest = dict[str, ImageRow](), dict[str, ImageRow]()
    for row in rows:
        first.setdefault(row.sop_instance_uid, row)
        newest[row.sop_instance_uid] = row
    return [row for uid, row in newest.items() if row is not first[uid]]


def _set_aside(tx: Transaction, study_instance_uid: str, rows: Sequence[ImageRow], but: Sequence[ImageRow]) -> None:
    """What is owed of the study is owed no longer, and its images, `but` these, count for nothing any more."""
    tasks.drop(tx, "study", study_instance_uid)
    for row in rows:
        tasks.drop(tx, "image", str(row.id))
        if row not in but:
            images.answered(tx, row.id, _unanalysed(row, Outcome.DECLINED, WITHDRAWN))


def _unanalysed(row: ImageRow, outcome: Outcome, reason: str) -> ImageAnswer:
    ref = InstanceRef(sop_class_uid=row.sop_class_uid, sop_instance_uid=row.sop_instance_uid)
    return ImageAnswer(ref=ref, outcome=outcome, reason=Reason(code=reason))


def cancel(pipeline: Pipeline, task_ids: Sequence[int]) -> list[str]:
    """Owe these tasks no longer, all or none; returns their kinds. What waits for a result gets an answer that says so.

    NotFound when there is no such task, or it is one that silence would follow.
    """
    with pipeline.ledger.transaction() as tx:
        return [_cancel(tx, task_id) for task_id in task_ids]


def cancel_to(pipeline: Pipeline, destination: str) -> int:
    """Owe a destination nothing of what it is owed now. Returns how many tasks that were."""
    with pipeline.ledger.reading() as tx:
        owed = tasks.owed_to(tx, destination)
    cancelled = 0
    for start in range(0, len(owed), AT_ONCE):
        with pipeline.ledger.transaction() as tx:
            for task_id in owed[start : start + AT_ONCE]:
                with suppress(NotFound):  # done meanwhile
                    _cancel(tx, task_id)
                    cancelled += 1
    if destination not in lines(pipeline.settings):
        with pipeline.ledger.transaction() as tx:
            peers.forget(tx, destination)
            alarms.clear(tx, AlarmKind.DESTINATION_DOWN, gone(destination))
    return cancelled


def _cancel(tx: Transaction, task_id: int) -> str:
    row = tasks.cancel(tx, task_id)
    if row.kind == "upkeep" or (row.kind == "study" and row.state != "dead"):
        raise NotFound(f"task {task_id} ({row.kind}) cannot be cancelled: nobody would be told what became of its work")
    if row.kind == "image":
        _answer_cancelled(tx, int(row.key))
    if row.kind == "deliver":
        said = "cancelled by a person"
        documents.delivered(tx, documents.get_delivery(tx, row.key), DeliveryState.CANCELLED, status=said)
    return row.kind


def _answer_cancelled(tx: Transaction, image_id: int) -> None:
    """Its study does not wait for it any more, and says that it was not analysed."""
    image = images.get(tx, image_id)
    if image.answer is None:
        images.answered(tx, image_id, _unanalysed(image, Outcome.FAILED, "cancelled"))
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


def _again(tx: Transaction, study_instance_uid: str, rows: Sequence[ImageRow]) -> int:
    """The study's own task follows from its images' answers."""
    urgent = int(images.get_study(tx, study_instance_uid).urgent)
    wanted = {row.id for row in rows}
    others = [row.id for row in images.of_study(tx, study_instance_uid) if row.id not in wanted]
    again = images.again(tx, study_instance_uid, but=others)
    for image in again:
        tasks.owe(tx, "image", str(image), queue="analysis", priority=urgent)
    return len(again)
