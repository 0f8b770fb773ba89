"""The way of an image through the node, on one screen.

    receive       bytes on disk, a row, the work it owes → only then 0x0000
    answer_image  the models' answer, at once, and its overlay
    report_study  when the study is quiet or its expected views are in: one Structured Report per model
    deliver       to each destination that wants it, then found again there (`node.filing`)

Each handler ends its task in the same transaction as its results: whatever dies in between is done again, and doing it again
makes the same objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from config.settings import Settings
from domain.errors import ModelFailed, StorageUnavailable
from domain.identity import Identity, digest
from domain.types import (
    AlarmKind,
    DeliveryState,
    Document,
    DocumentKind,
    Evidence,
    ImageAnswer,
    InstanceRef,
    Outcome,
    Reason,
    Received,
    Species,
)
from inference.engine import Engine
from ledger import alarms, documents, images, tasks, urgency
from ledger.images import ImageRow, NewImage, StudyRow
from ledger.store import Ledger, Transaction
from ledger.tasks import Task
from node import upkeep
from node.conclude import (
    conclude,
    evidence_of,
    given_up,
    is_image,
    local_time,
    said_of,
    study_outcome,
    urgent_sentences,
    without_shadows,
)
from node.writing import Before, Owed, Writing
from spool import Spool, Spooled

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    settings: Settings
    ledger: Ledger
    spool: Spool
    writing: Writing

    def receive(self, received: Received) -> None:
        """Returns when the image is durable; the listener acknowledges after that. StorageUnavailable otherwise."""
        if self._is_own_result(received):
            return  # a PACS routed it back
        spooled = self.spool.add(received)
        image = self.ledger.together(lambda tx: self._remember(tx, received, spooled))
        if image is not None:
            log.info("image received", modality=received.modality, study=received.study_instance_uid, image=image.id)

    def _remember(self, tx: Transaction, received: Received, spooled: Spooled) -> NewImage | None:
        """A row and the work it owes; None when it was sent again: stored and analysed once."""
        image = images.add(
            tx,
            received,
            path=spooled.path,
            sha256=spooled.sha256,
            size_bytes=spooled.size_bytes,
            urgent=received.urgent,
        )
        if image is None:
            return None
        priority = int(image.urgent)
        tasks.owe(tx, "image", str(image.id), queue="analysis", priority=priority)
        tasks.debounce(
            tx,
            "study",
            received.study_instance_uid,
            queue="analysis",
            quiet_seconds=self.settings.study.quiet_seconds,
            max_wait_seconds=self.settings.study.max_wait_seconds,
            priority=priority,
        )
        original = Document(
            kind=DocumentKind.ORIGINAL,
            ref=received.ref,
            study_instance_uid=received.study_instance_uid,
            series_instance_uid=received.series_instance_uid,
            path=spooled.path,
            sha256=spooled.sha256,
        )
        _owe(tx, self.writing.original(original), priority=priority)
        if received.urgent:
            urgency.hurry(tx, received.study_instance_uid)
        return image

    def answer_image(self, task: Task, engine: Engine) -> str:
        with self.ledger.transaction() as tx:
            image = images.get(tx, int(task.key))
            study = images.get_study(tx, image.study_instance_uid)
        seen = engine.look(image.path, assumed_species=self._assumed_species(image), corrected_species=study.species)
        if task.attempts == 0 and _model_broke(seen.answer):
            raise ModelFailed("a model broke on this image: it is asked once more before that is the answer")
        evidence = Evidence(answer=without_shadows(seen.answer), sha256=image.sha256, path=image.path)
        written: list[Owed] = []
        if is_image(evidence):
            written = self.writing.of_image(
                evidence,
                None if seen.radiograph is None else seen.radiograph.pixels,
                study_instance_uid=image.study_instance_uid,
                number=image.number,
                made_at=_dated(image, study),
            )
        with self.ledger.transaction() as tx:
            images.get_study(tx, image.study_instance_uid, lock=True)
            tasks.finish(tx, task)
            self._answered(tx, image, seen.answer, written)
        return seen.answer.outcome.value

    def report_study(self, task: Task) -> str:
        with self.ledger.transaction() as tx:
            newest = {row.sop_instance_uid: row for row in images.of_study(tx, task.key)}  # of each SOP Instance
            study = images.get_study(tx, task.key)
            if any(row.answer is None for row in newest.values()):
                tasks.finish(tx, task)  # each owes the study again when it has its answer
                return "waits for its images"
            evidence = [item for item in map(evidence_of, newest.values()) if is_image(item)]
            made_of = digest({"evidence": sorted(f"{item.answer!r} {item.sha256}" for item in evidence)})
            if not evidence or made_of == study.evidence:  # no image in it, or nothing new since the last revision
                tasks.finish(tx, task)
                return "nothing new"
        revision = study.revision + 1
        reports = conclude(task.key, evidence, revision=revision, analysed_at=local_time(task.started_at))
        written = self.writing.of_study(reports, self._before(task.key))
        with self.ledger.transaction() as tx:
            study = images.get_study(tx, task.key, lock=True)
            tasks.finish(tx, task)
            _owe(tx, written, priority=int(study.urgent))
            images.reported(tx, task.key, outcome=study_outcome(reports), revision=revision, evidence=made_of)
        return f"{said_of(reports)}, revision {revision}"

    def give_up(self, task: Task, error: str) -> None:
        """A task that broke again and again dies visibly; its image or study still gets an answer: FAILED, and said so."""
        if task.kind == "image":
            self._give_up_image(task, error)
            return
        if task.kind == "study":
            self._give_up_study(task, error)
            return
        with self.ledger.transaction() as tx:
            dead = tasks.bury(tx, task, error=error)
            if task.kind == upkeep.KIND:
                upkeep.owe_upkeep(tx, seconds=upkeep.AFTER_FAULT_SECONDS)
            if task.kind == "deliver" and dead:  # otherwise another content came in its place, which is delivered instead
                documents.delivered(tx, documents.get_delivery(tx, task.key), DeliveryState.DEAD, status=error)

    def bury(self, task: Task, error: str) -> None:
        """Where giving up breaks too: the task dies visibly, and an image's study is told without a document of its own."""
        with self.ledger.transaction() as tx:
            tasks.bury(tx, task, error=error)
            if task.kind == "image":
                image = images.find(tx, int(task.key))
                if image is not None:
                    images.answered(tx, image.id, _failed(image))
                    tasks.owe(tx, "study", image.study_instance_uid, queue="analysis")

    def _give_up_study(self, task: Task, error: str) -> None:
        with self.ledger.transaction() as tx:
            rows = {row.sop_instance_uid: row for row in images.of_study(tx, task.key)}.values()
            study = images.get_study(tx, task.key)
        # An image without an answer yet owes the study again when it has one.
        evidence = [item for item in (evidence_of(row) for row in rows if row.answer is not None) if is_image(item)]
        revision, written = study.revision + 1, list[Owed]()
        if evidence:
            report = given_up(task.key, evidence, revision=revision, analysed_at=local_time(task.started_at))
            try:
                written = self.writing.of_given_up(report, self._before(task.key))
            except OSError as again:
                raise StorageUnavailable("a failed study's report could not be stored") from again
        with self.ledger.transaction() as tx:
            images.get_study(tx, task.key, lock=True)
            tasks.bury(tx, task, error=error)
            _owe(tx, written, priority=int(study.urgent))
            # Without evidence: tried again, it is not "nothing new".
            images.reported(tx, task.key, outcome=Outcome.FAILED, revision=revision, evidence="")

    def _give_up_image(self, task: Task, error: str) -> None:
        with self.ledger.transaction() as tx:
            image = images.get(tx, int(task.key))
            study = images.get_study(tx, image.study_instance_uid)
        answer = _failed(image)
        written: list[Owed] = []
        try:
            written = self.writing.of_image(
                Evidence(answer=answer, sha256=image.sha256, path=image.path),
                None,
                study_instance_uid=image.study_instance_uid,
                number=image.number,
                made_at=_dated(image, study),
            )
        except OSError as full:
            raise StorageUnavailable("a failed image's overlay cannot be stored") from full
        except Exception as again:  # noqa: BLE001  the panel may be what broke: then the study's report says FAILED alone
            log.error("no overlay for a failed image", image=image.id, error=type(again).__name__)
        with self.ledger.transaction() as tx:
            images.get_study(tx, image.study_instance_uid, lock=True)
            tasks.bury(tx, task, error=error)
            self._answered(tx, image, answer, written)

    def _answered(self, tx: Transaction, image: ImageRow, answer: ImageAnswer, written: Sequence[Owed]) -> None:
        images.answered(tx, image.id, answer)
        priority = int(images.get_study(tx, image.study_instance_uid).urgent)
        _owe(tx, written, priority=priority)
        for key, said in urgent_sentences(image.id, answer).items():
            alarms.raise_(tx, AlarmKind.URGENT_FINDING, key, said)
        # Unless it waits for quiet already.
        tasks.owe(tx, "study", image.study_instance_uid, queue="analysis", priority=priority)
        if self._expected_views_are_in(tx, image.study_instance_uid):
            tasks.hasten(tx, "study", image.study_instance_uid)

    def _is_own_result(self, received: Received) -> bool:
        if not Identity.may_have_made(received.ref.sop_instance_uid):  # most images: the ledger need not be asked
            return False
        with self.ledger.reading() as tx:
            return images.is_own_result(tx, received.ref.sop_instance_uid)

    def _before(self, study_instance_uid: str) -> Before:
        def newest(series_instance_uid: str) -> Document | None:
            with self.ledger.transaction() as tx:
                return documents.newest(tx, series_instance_uid)

        def of_images(destinations: Sequence[str]) -> list[Document]:
            with self.ledger.transaction() as tx:
                return documents.of_images(tx, study_instance_uid, destinations)

        return Before(newest=newest, of_images=of_images)

    def _assumed_species(self, image: ImageRow) -> Species | None:
        """What the settings say of the sender, for headers that are silent."""
        return next((known.species for known in self.settings.modality if known.name == image.modality), None)

    def _expected_views_are_in(self, tx: Transaction, study_instance_uid: str) -> bool:
        if not self.settings.study.expected_views:
            return False
        answers = [row.answer for row in images.of_study(tx, study_instance_uid)]
        return all(answers) and any(
            set(views) <= {answer.view for answer in answers if answer is not None and answer.region is region}
            for region, views in self.settings.study.expected_views.items()
        )


def _failed(image: ImageRow) -> ImageAnswer:
    ref = InstanceRef(sop_class_uid=image.sop_class_uid, sop_instance_uid=image.sop_instance_uid)
    return ImageAnswer(ref=ref, outcome=Outcome.FAILED, reason=Reason(code="analysis_failed"))


def _model_broke(answer: ImageAnswer) -> bool:
    return any(model.reason is not None and model.reason.code == "model_failed" for model in answer.models)


def _dated(image: ImageRow, study: StudyRow) -> datetime:
    """The date of what is written of one image, which its UID follows from: the same whenever it is made again, but another
    after a withdrawal, since archives refuse for ever what a rejection note has named.
    """
    return local_time(max(image.received_at, study.withdrawn_at or 0.0))


def _owe(tx: Transaction, written: Sequence[Owed], *, priority: int) -> None:
    for each in written:
        documents.owe(tx, each.document, each.destinations, priority=priority)
