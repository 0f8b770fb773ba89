"""Documents to destinations, over one connection where several are owed, and what each answer means for the next attempt.

Every document is a task of its own with a result of its own: where a connection breaks at one of them, the others stay owed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from config.settings import Destination, Settings
from delivery.commitment import ask_commitment
from delivery.destination import sender_for
from delivery.faults import AnswerLost, PeerBusy
from delivery.result import StoreResult, StoreState
from delivery.sender import Sender
from delivery.status import DUPLICATE, describe
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import DeliveryState, Document
from ledger import commitments, documents, peers, tasks
from ledger.documents import DeliveryRow
from ledger.store import Ledger, Transaction
from ledger.tasks import LeaseLost, Task
from node.commitments import answered
from node.leases import Leases

BATCH = 16  # documents over one connection
BATCH_SECONDS = 20.0  # after which the rest is given back: a clean stop waits for a step to end
FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 600.0
BROKEN_RETRY_SECONDS = 10.0
FIRST_LOOK_SECONDS = 0.1
LONGEST_LOOK_SECONDS = 5.0
COMMITMENT_WAIT_SECONDS = 0.5  # on the association of the request; most archives answer over one of their own
LEAST_LATE_LOOKS = 3  # after an outage or a backlog the first may find the archive still starting: one "no" is not the last
MOST_SENT = 2  # a document that the destination does not answer for is sent once more
DAY_SECONDS = 86_400.0

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class _Item:
    """A document of a batch. begun: it may be there. outcome: "" until its task has ended or was put off."""

    task: Task
    row: DeliveryRow
    begun: bool = False
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """Delivered means read back: PENDING → STORED → VERIFIED; what is not found again stays STORED and says so."""

    settings: Settings
    ledger: Ledger
    leases: Leases

    def deliver(self, task: Task) -> str:
        """Send this document and those that wait for the same destination. One that does not answer trips its breaker."""
        return self._together(task, self._send)

    def verify(self, task: Task) -> str:
        """Look for this document and the others that were stored there; archives index late, so for `verify_seconds`."""
        return self._together(task, self._commit if self._destination(task).verify == "commitment" else self._look)

    # A batch

    def _together(self, task: Task, work: Callable[[Sequence[_Item], Destination], None]) -> str:
        """Only tasks of destinations that are in the settings are claimed; others stay owed until they are back."""
        to = self._destination(task)
        with self.ledger.transaction() as tx:
            held = [task, *([] if to.per_minute else tasks.claim_more(tx, task, limit=BATCH - 1))]
            items = [_Item(task=one, row=documents.get_delivery(tx, one.key)) for one in held]
        first, *others = items
        with self.leases.holding(*held[1:]):
            try:
                work([item for item in items if item is first or not item.task.attempts], to)
            except Exception:
                # The worker puts off the first; whichever broke it must not come back at once, again and again.
                for item in others:
                    if item.begun:
                        self._end(item, _broke)
                raise
            finally:
                for item in others:
                    self._end(item, _give_back)
                    log.info("task ended", kind=item.task.kind, key=item.task.key, outcome=item.outcome)
        if not first.outcome:
            self._end(first, _give_back)
        return first.outcome

    def _end(self, item: _Item, how: Callable[[Transaction, _Item], str]) -> None:
        """End or put off a task once; a lost lease costs the others nothing."""
        if item.outcome:
            return
        try:
            with self.ledger.transaction() as tx:
                outcome = how(tx, item) if documents.is_current(tx, item.row) else _overtaken(tx, item)
        except LeaseLost as error:
            outcome = f"lease lost: {error}"
        item.outcome = outcome

    # C-STORE, REST, STOW-RS, files

    def _send(self, items: Sequence[_Item], to: Destination) -> None:
        by_uid = {item.row.document.ref.sop_instance_uid: item for item in items}
        started = time.monotonic()

        def wanted(document: Document) -> bool:
            item = by_uid[document.ref.sop_instance_uid]
            late = item is not items[0] and time.monotonic() - started > BATCH_SECONDS
            if not late and not item.outcome:
                self._begin(item)
            return item.begun and not item.outcome

        def heard(document: Document, result: StoreResult) -> None:
            item = by_uid[document.ref.sop_instance_uid]
            self._end(item, lambda tx, item: self._answered(tx, item, to, result))

        try:
            self._sender(to).send([item.row.document for item in items], wanted=wanted, answered=heard)
        except (PeerUnavailable, PeerRefused) as error:
            # A refused association is no answer about a document: IT staff still have to list this node there.
            self._unavailable(items, to, error)

    def _begin(self, item: _Item) -> None:
        """Written down before it is sent: whoever withdraws the document now must know that it may be there."""
        with self.ledger.transaction() as tx:
            row = documents.get_delivery(tx, item.task.key)
            is_same = row.document.sha256 == item.row.document.sha256
            item.row = row if is_same else item.row  # its end then finds that another content is owed by now
            wanted = is_same and row.state is DeliveryState.PENDING
            if wanted:
                documents.attempted(tx, row)
        if not wanted:
            self._end(item, _over)
        item.begun = True

    def _answered(self, tx: Transaction, item: _Item, to: Destination, result: StoreResult) -> str:
        row, task = item.row, item.task
        if result.sop_class_uid:  # otherwise the file could not be read, and nobody was called
            peers.answered(tx, to.name)
        if result.status == DUPLICATE and result.state is StoreState.STORED and documents.replaces_another(tx, row):
            error = f"{to.name} may hold the first content of this image, and did not take the second: delete it there"
            return _refused(tx, item, f"{error}, then retry ({describe(DUPLICATE)})")
        if result.state is StoreState.STORED:
            tasks.finish(tx, task)
            documents.delivered(tx, row, DeliveryState.STORED, status=result.reason or "stored")
            if to.verify != "none":
                tasks.owe(tx, "verify", task.key, queue="delivery", destination=to.name, priority=task.priority)
            return "stored"
        if result.state is StoreState.REFUSED:
            return _refused(tx, item, result.reason)
        return self._later(tx, item, to, result.reason, _backoff(row))

    def _unavailable(self, items: Sequence[_Item], to: Destination, error: PeerUnavailable | PeerRefused) -> None:
        """Trip the breaker. An object at which the connection broke backs off by itself too, lest it block all others."""
        with self.ledger.transaction() as tx:
            pause_seconds = peers.unavailable(tx, to.name, error=str(error))
        if isinstance(error, PeerBusy):
            pause_seconds = max(pause_seconds, error.retry_after_seconds)

        def end(tx: Transaction, item: _Item) -> str:
            lost = item.begun and isinstance(error, AnswerLost)
            seconds = max(pause_seconds, _backoff(item.row)) if lost else pause_seconds
            return self._later(tx, item, to, str(error), seconds)

        for item in items:
            self._end(item, end)

    def _later(self, tx: Transaction, item: _Item, to: Destination, error: str, seconds: float) -> str:
        if tx.now - item.row.owed_at > to.give_up_days * DAY_SECONDS:
            tasks.bury(tx, item.task, error=error)
            documents.delivered(tx, item.row, DeliveryState.DEAD, status=error)
            return f"DEAD: {error}"
        tasks.postpone(tx, item.task, seconds=seconds, error=error)
        documents.noted(tx, item.row, status=error)
        return f"again in {seconds:.0f} s: {error}"

    # Read back

    def _look(self, items: Sequence[_Item], to: Destination) -> None:
        sender = self._sender(to)
        found, said, answered = frozenset[str](), f"stored, but not found there by {sender.read_back_by}", True
        try:
            found = sender.found([item.row.document for item in items])
        except PeerRefused as error:
            if len(items) > 1:  # perhaps because of one of them
                for item in items:
                    self._look([item], to)
                return
            said = f"stored, but not verified: {error}"
        except PeerUnavailable as error:
            # It does not trip the breaker: archives exist that take objects well and hang in queries.
            said, answered = f"stored, but not verified: {error}", False

        def end(tx: Transaction, item: _Item) -> str:
            if item.row.state is not DeliveryState.STORED:  # another content came, or somebody tries again
                return _over(tx, item)
            if item.row.document.ref.sop_instance_uid in found:
                tasks.finish(tx, item.task)
                documents.delivered(tx, item.row, DeliveryState.VERIFIED, status=f"found there by {sender.read_back_by}")
                return "found there"
            return self._look_later(tx, item, to, said, answered=answered)

        for item in items:
            self._end(item, end)

    def _look_later(self, tx: Transaction, item: _Item, to: Destination, said: str, *, answered: bool) -> str:
        """Within `verify_seconds` often; then, where it answers, as long again, and where it does not, for a day."""
        waited_seconds = _waited_seconds(tx, item.row)
        is_over, pause_seconds = False, min(FIRST_LOOK_SECONDS + waited_seconds / 2, LONGEST_LOOK_SECONDS)
        if waited_seconds >= to.verify_seconds and answered:
            documents.looked_late(tx, item.row)
            is_over = item.row.late_looks + 1 >= LEAST_LATE_LOOKS
            pause_seconds = to.verify_seconds / (LEAST_LATE_LOOKS - 1)
        elif waited_seconds >= to.verify_seconds:
            looked_seconds = tx.now - item.task.started_at
            is_over, pause_seconds = looked_seconds >= DAY_SECONDS, max(looked_seconds, LONGEST_LOOK_SECONDS)
        if is_over:
            return _unverified(tx, item, said)
        documents.noted(tx, item.row, status=said)
        tasks.postpone(tx, item.task, seconds=pause_seconds, error=said)
        return f"not found yet: {said}"

    # Storage commitment

    def _commit(self, items: Sequence[_Item], to: Destination) -> None:
        """Ask for what is stored; the answer comes now or, to the listener, at any time."""
        with self.ledger.transaction() as tx:
            asked = [item for item in items if _is_to_be_asked(tx, item)]
        failed: PeerUnavailable | PeerRefused | None = None
        if asked:
            try:
                self._ask(asked, to)
            except (PeerUnavailable, PeerRefused) as error:
                failed = error
        for item in items:
            self._end(item, lambda tx, item: self._committed(tx, item, to, failed))

    def _ask(self, items: Sequence[_Item], to: Destination) -> None:
        refs = [item.row.document.ref for item in items]
        transaction_uid = f"2.25.{uuid.uuid4().int}"
        with self.ledger.transaction() as tx:
            commitments.ask(tx, transaction_uid, to.name, [ref.sop_instance_uid for ref in refs])
        answer = ask_commitment(
            refs,
            to.peer(self.settings.node.ae_title),
            transaction_uid=transaction_uid,
            timeout_seconds=to.timeout_seconds,
            wait_seconds=COMMITMENT_WAIT_SECONDS,
        )
        with self.ledger.transaction() as tx:
            commitments.accepted(tx, transaction_uid)
        if answer is not None:
            answered(self.ledger, to.name, answer)

    def _committed(self, tx: Transaction, item: _Item, to: Destination, failed: PeerUnavailable | PeerRefused | None) -> str:
        """By what the ledger knows now, since the listener may have heard the answer meanwhile."""
        row = documents.get_delivery(tx, item.task.key)
        last = commitments.newest(tx, row.document.ref.sop_instance_uid, to.name)
        if row.state is not DeliveryState.STORED:  # committed to; or, refused for want of it, somebody tries again
            tasks.finish(tx, item.task)
            if row.state is DeliveryState.REFUSED:
                self._send_again(tx, item, to)
            return f"{row.state.value} now"
        if last is not None and last.failure and not _is_older(last, row):
            error = f"{to.name} does not answer for the object: {last.failure}"
            if row.taken_back:
                tasks.finish(tx, item.task)
                documents.delivered(tx, row, DeliveryState.CANCELLED, status=f"withdrawn, and not sent again: {error}")
                return f"withdrawn: {error}"
            if row.attempts < MOST_SENT:
                tasks.finish(tx, item.task)
                self._send_again(tx, item, to)
                return f"again: {error}"
            return _refused(tx, item, error)
        if last is not None and last.accepted_at is not None and not _is_older(last, row):
            left_seconds = last.accepted_at + to.verify_seconds - tx.now
            if left_seconds <= 0.0:  # however late it answers then, the listener hears it
                return _unverified(tx, item, f"stored, but it has not answered for it within {to.verify_seconds:g} s")
            said = "stored, and asked to answer for it"
            documents.noted(tx, row, status=said)
            tasks.postpone(tx, item.task, seconds=left_seconds, error=said)
            return said
        said = "stored, but not verified" + (f": {failed}" if failed else "")
        return self._look_later(tx, item, to, said, answered=isinstance(failed, PeerRefused))

    def _send_again(self, tx: Transaction, item: _Item, to: Destination) -> None:
        documents.reopened(tx, item.task.key)
        tasks.owe(tx, "deliver", item.task.key, queue="delivery", destination=to.name, priority=item.task.priority)

    def _destination(self, task: Task) -> Destination:
        return next(to for to in self.settings.destination if to.name == task.destination)

    def _sender(self, to: Destination) -> Sender:
        return sender_for(to, calling_ae=self.settings.node.ae_title)


def _is_to_be_asked(tx: Transaction, item: _Item) -> bool:
    """Unless it was, since it was stored, and the destination took the request."""
    row = item.row
    if row.state is not DeliveryState.STORED:
        return False
    last = commitments.newest(tx, row.document.ref.sop_instance_uid, row.destination)
    return last is None or _is_older(last, row) or (last.accepted_at is None and last.answered_at is None)


def _is_older(answer: commitments.Answer, row: DeliveryRow) -> bool:
    """It speaks of an earlier sending."""
    return answer.asked_at < (row.stored_at or 0.0)


def _waited_seconds(tx: Transaction, row: DeliveryRow) -> float:
    return tx.now - (row.stored_at or tx.now)


def _refused(tx: Transaction, item: _Item, error: str) -> str:
    tasks.bury(tx, item.task, error=error)
    documents.delivered(tx, item.row, DeliveryState.REFUSED, status=error)
    return f"REFUSED: {error}"


def _unverified(tx: Transaction, item: _Item, said: str) -> str:
    tasks.finish(tx, item.task)
    documents.noted(tx, item.row, status=said)
    return f"UNVERIFIED: {said}"


def _over(tx: Transaction, item: _Item) -> str:
    tasks.finish(tx, item.task)
    return f"{item.row.state.value} already"


def _overtaken(tx: Transaction, item: _Item) -> str:
    """A console sent another content under this UID meanwhile, which a task of its own brings there."""
    tasks.finish(tx, item.task)
    return "overtaken by another content"


def _give_back(tx: Transaction, item: _Item) -> str:
    tasks.postpone(tx, item.task, seconds=0.0)
    return "given back"


def _broke(tx: Transaction, item: _Item) -> str:
    tasks.postpone(tx, item.task, seconds=BROKEN_RETRY_SECONDS, error="the step broke at it", spent=True)
    return "broke"


def _backoff(row: DeliveryRow) -> float:
    """Seconds until the next attempt, by how often it was sent."""
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(row.attempts, 16), LONGEST_RETRY_SECONDS)
