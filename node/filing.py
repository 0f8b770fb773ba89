"""Documents to destinations: one attempt per task, and what its answer means for the next."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import Destination, Settings
from delivery.association import AssociationLost
from delivery.find import is_filed
from delivery.store import StoreState, send_document
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import DeliveryState
from ledger import documents, peers, tasks
from ledger.documents import DeliveryRow
from ledger.store import Ledger, Transaction
from ledger.tasks import Task

FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 600.0
FIRST_LOOK_SECONDS = 0.1
LONGEST_LOOK_SECONDS = 5.0
DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """Delivered means read back: PENDING → STORED → VERIFIED; what is not found again stays STORED and says so."""

    settings: Settings
    ledger: Ledger

    def deliver(self, task: Task) -> str:
        """One C-STORE. A peer that does not answer trips its breaker and spends no attempt; a refused object is believed."""
        row, to = self._look_up(task)
        peer = to.peer(self.settings.node.ae_title)
        try:
            result = send_document(row.document.path, peer, timeout_seconds=to.timeout_seconds)
        except (PeerUnavailable, PeerRefused) as error:
            # A refused association is no answer about the document: IT staff still have to list this node there.
            return self._unavailable(task, row, to, error)
        with self.ledger.transaction() as tx:
            if result.sop_class_uid:  # otherwise the file could not be read, and nobody was called
                peers.answered(tx, to.name)
                documents.attempted(tx, row)
            if result.state is StoreState.STORED:
                documents.delivered(tx, row, DeliveryState.STORED, status=result.reason or "stored")
                tasks.finish(tx, task)
                if to.verify == "find":
                    tasks.owe(tx, "verify", task.key, queue="delivery", destination=to.name)
                return "stored"
            if result.state is StoreState.REFUSED:
                documents.delivered(tx, row, DeliveryState.REFUSED, status=result.reason)
                tasks.bury(tx, task, error=result.reason)
                return f"REFUSED: {result.reason}"
            return self._later(tx, task, row, to, result.reason, _backoff(task), spent=True)

    def verify(self, task: Task) -> str:
        """One C-FIND at IMAGE level; archives index late, so it is tried for `verify_seconds`."""
        row, to = self._look_up(task)
        filed, said = False, "stored, but not found there by C-FIND"
        try:
            filed = is_filed(
                row.document.ref,
                row.document.study_instance_uid,
                row.document.series_instance_uid,
                to.peer(self.settings.node.ae_title),
                timeout_seconds=to.timeout_seconds,
            )
        except (PeerUnavailable, PeerRefused) as error:
            said = f"stored, but not verified: {error}"
        with self.ledger.transaction() as tx:
            waited_seconds = tx.now - (row.stored_at or tx.now)
            if filed:
                documents.delivered(tx, row, DeliveryState.VERIFIED, status="found there by C-FIND")
                tasks.finish(tx, task)
                return "found there"
            if waited_seconds >= to.verify_seconds:
                documents.noted(tx, row, status=said)
                tasks.finish(tx, task)
                return f"UNVERIFIED: {said}"
            pause_seconds = min(FIRST_LOOK_SECONDS + waited_seconds / 2, LONGEST_LOOK_SECONDS)
            tasks.postpone(tx, task, seconds=pause_seconds, error=said)
            return f"not found yet: {said}"

    def _look_up(self, task: Task) -> tuple[DeliveryRow, Destination]:
        """Only tasks of destinations that are in the settings are claimed; others stay owed until they are back."""
        with self.ledger.transaction() as tx:
            row = documents.get_delivery(tx, task.key)
        return row, next(to for to in self.settings.destination if to.name == row.destination)

    def _unavailable(self, task: Task, row: DeliveryRow, to: Destination, error: PeerUnavailable | PeerRefused) -> str:
        """Trip the breaker. An object at which the association broke backs off by itself too, lest it block all others."""
        lost = isinstance(error, AssociationLost)
        with self.ledger.transaction() as tx:
            pause_seconds = peers.unavailable(tx, to.name, error=str(error))
            seconds = max(pause_seconds, _backoff(task)) if lost else pause_seconds
            return self._later(tx, task, row, to, str(error), seconds, spent=lost)

    def _later(
        self, tx: Transaction, task: Task, row: DeliveryRow, to: Destination, error: str, seconds: float, *, spent: bool
    ) -> str:
        if tx.now - row.owed_at > to.give_up_days * DAY_SECONDS:
            documents.delivered(tx, row, DeliveryState.DEAD, status=error)
            tasks.bury(tx, task, error=error)
            return f"DEAD: {error}"
        documents.noted(tx, row, status=error)
        tasks.postpone(tx, task, seconds=seconds, error=error, spent=spent)
        return f"again in {seconds:.0f} s: {error}"


def _backoff(task: Task) -> float:
    """Seconds until the next attempt, by those that were spent."""
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(task.attempts, 16), LONGEST_RETRY_SECONDS)
