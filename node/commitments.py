"""Storage commitment (PS3.4 annex J): what consoles want this node to answer for, and what destinations answer for.

A console that is told on the association of its request is told by the listener; one that closes it is called back, where
the settings say how, by a task of the kind `report`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.settings import Modality, Settings
from delivery.commitment import Commitment, reason_in_words, tell_commitment
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import InstanceRef, Peer
from ledger import commitments, images, peers, tasks
from ledger.commitments import Request
from ledger.store import Ledger
from ledger.tasks import Task
from node.lines import console
from scp.commitment import CLASS_INSTANCE_CONFLICT, NO_SUCH_INSTANCE, CommitmentReport, CommitmentRequest, Commitments

CALL_AFTER_SECONDS = 5.0  # by then the listener has told a console that kept its association open
FIRST_RETRY_SECONDS = 10.0
LONGEST_RETRY_SECONDS = 600.0
GIVE_UP_SECONDS = 86_400.0  # no console waits for longer
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """What this node answers for, and to whom."""

    settings: Settings
    ledger: Ledger

    def service(self) -> Commitments:
        """For the listener."""
        return Commitments(asked=self.asked, holds=self.holds, told=self.told, committed=self.committed)

    def asked(self, request: CommitmentRequest) -> None:
        with self.ledger.transaction() as tx:
            commitments.requested(
                tx,
                Request(
                    transaction_uid=request.transaction_uid,
                    modality=request.modality,
                    calling_ae=request.calling_ae,
                    called_ae=request.called_ae,
                    peer_host=request.peer_host,
                    requested=tuple((ref.sop_class_uid, ref.sop_instance_uid) for ref in request.instances),
                    asked_at=tx.now,
                ),
            )
            if self._callable(request.modality) is not None:
                run_at = tx.now + CALL_AFTER_SECONDS
                to = console(request.modality)
                tasks.owe(tx, "report", request.transaction_uid, queue="delivery", run_at=run_at, destination=to)

    def holds(self, instances: Sequence[InstanceRef]) -> Mapping[str, int]:
        """SOP Instance UID → failure reason of each of these objects of which not every content lies here."""
        with self.ledger.reading() as tx:
            held = images.held(tx, [ref.sop_instance_uid for ref in instances])
        failed = {}
        for ref in instances:
            uid = ref.sop_instance_uid
            if uid not in held:
                failed[uid] = NO_SUCH_INSTANCE
            elif held[uid] != ref.sop_class_uid:
                failed[uid] = CLASS_INSTANCE_CONFLICT
        return failed

    def told(self, transaction_uid: str) -> None:
        with self.ledger.transaction() as tx:
            commitments.reported(tx, transaction_uid)
            tasks.drop(tx, "report", transaction_uid)

    def committed(self, report: CommitmentReport) -> None:
        """Of what the caller was asked for: an archive that is listed twice, under one AE title, answers for both."""
        answer = Commitment(transaction_uid=report.transaction_uid, committed=report.committed, failed=report.failed)
        titles = {to.ae_title for to in self.settings.destination if to.name == report.destination}
        for to in self.settings.destination:
            if to.ae_title in titles:
                answered(self.ledger, to.name, answer)

    def tell(self, task: Task) -> str:
        """Call a console back with what became of its request."""
        with self.ledger.transaction() as tx:
            request = commitments.get_request(tx, task.key)
            modality = None if request is None else self._callable(request.modality)
            if request is None or modality is None:
                tasks.finish(tx, task)
                return "told already" if request is None else "nowhere to call"
        refs = [InstanceRef(sop_class_uid=sop_class, sop_instance_uid=uid) for sop_class, uid in request.requested]
        peer = Peer(
            ae_title=request.calling_ae,
            host=modality.commit_host,
            port=modality.commit_port,
            calling_ae=request.called_ae,
        )
        failed = self.holds(refs)
        try:
            tell_commitment(refs, failed, peer, transaction_uid=task.key, timeout_seconds=TIMEOUT_SECONDS)
        except PeerUnavailable as error:
            with self.ledger.transaction() as tx:  # what else it is to be told waits too
                pause_seconds = peers.unavailable(tx, console(modality.name), error=str(error), quietly=True)
            return self._later(task, str(error), pause_seconds)
        except PeerRefused as error:
            return self._later(task, str(error), FIRST_RETRY_SECONDS)
        with self.ledger.transaction() as tx:
            peers.answered(tx, console(modality.name))
            tasks.finish(tx, task)
            commitments.reported(tx, task.key)
        return f"told of {len(refs)} objects, {len(failed)} of them not held"

    def _later(self, task: Task, error: str, least_seconds: float) -> str:
        with self.ledger.transaction() as tx:
            waited_seconds = tx.now - task.first_at
            if waited_seconds > GIVE_UP_SECONDS:
                tasks.bury(tx, task, error=error)
                return f"DEAD: {error}"
            seconds = min(max(waited_seconds, least_seconds), LONGEST_RETRY_SECONDS)
            tasks.postpone(tx, task, seconds=seconds, error=error)
        return f"again in {seconds:.0f} s: {error}"

    def _callable(self, name: str) -> Modality | None:
        return next((known for known in self.settings.modality if known.name == name and known.commit_host), None)


def answered(ledger: Ledger, destination: str, answer: Commitment) -> int:
    """A destination's answer to a request of ours, however late it comes. Returns of how many objects it was asked for."""
    failed = {uid: reason_in_words(reason) for uid, reason in answer.failed.items()}
    with ledger.transaction() as tx:
        known = commitments.answered(tx, answer.transaction_uid, destination, committed=answer.committed, failed=failed)
        for uid in failed:
            last = commitments.newest(tx, uid, destination)
            if last is not None and last.failure and last.answered_at == tx.now:  # and nobody waits for it any more
                tasks.owe(tx, "verify", f"{uid}>{destination}", queue="delivery", destination=destination)
    return known
