"""What the node does by itself every half minute: look at the disk, tell people, delete what is old enough.

One task that owes itself anew, so that one worker among many does it, wherever it runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from config.settings import Notify, Settings
from delivery.notice import send_notice
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import AlarmKind
from ledger import alarms, retention, tasks
from ledger.alarms import AlarmRow
from ledger.store import Ledger, Transaction
from ledger.tasks import Task

log = structlog.get_logger()

KIND, KEY = "upkeep", "node"
EVERY_SECONDS = 30.0
AFTER_FAULT_SECONDS = 3600.0  # a round that broke again and again is seen as a dead task
AT_ONCE = 50  # studies deleted, or rows pruned, in a round: what is left has time until the next
PRUNED_AT_ONCE = 2000
MEGABYTE = 1_000_000
FIRST_RETRY_SECONDS = 10.0
LONGEST_RETRY_SECONDS = 600.0
GIVE_UP_SECONDS = 7 * 86_400.0

_TITLES = {
    AlarmKind.DEAD_TASK: "work was given up",
    AlarmKind.DESTINATION_DOWN: "a destination does not answer",
    AlarmKind.BROKER_DOWN: "the broker does not answer",
    AlarmKind.DISK: "little disk space",
    AlarmKind.MISSING_FILE: "the file of a received image is gone",
    AlarmKind.CONFLICT: "one SOP Instance UID with two contents",
    AlarmKind.URGENT_FINDING: "a finding marked urgent",
}


def notifier(name: str) -> str:
    """The destination of its tasks, with one connection: a mail server that hangs holds a lane of its own and no other."""
    return f"notify {name}"


def owe_upkeep(tx: Transaction, *, seconds: float = 0.0) -> None:
    """Every worker does at its start; owed once is owed."""
    tasks.owe(tx, KIND, KEY, queue="delivery", run_at=tx.now + seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    settings: Settings
    ledger: Ledger

    def run(self, task: Task) -> str:
        """A round. What it cannot finish now, the next one does."""
        self._look_at_the_disk()
        with self.ledger.transaction() as tx:  # first: what breaks below must not keep anybody from being told
            told = sum(self._owe_notices(tx, to) for to in self.settings.notify)
        deleted = self._delete_old_studies()
        with self.ledger.transaction() as tx:
            pruned = retention.prune(tx, days=self.settings.retention.done_tasks_days, limit=PRUNED_AT_ONCE)
            tasks.finish(tx, task)
            owe_upkeep(tx, seconds=EVERY_SECONDS)
        return f"{deleted} studies deleted, {pruned} rows pruned, {told} notices owed"

    def notify(self, task: Task) -> str:
        """One alarm to one notifier."""
        alarm_id, _, name = task.key.partition(">")
        to = next((each for each in self.settings.notify if each.name == name), None)
        with self.ledger.reading() as tx:
            alarm = next((each for each in alarms.open_alarms(tx) if each.id == int(alarm_id)), None)
        if to is None or alarm is None:
            with self.ledger.transaction() as tx:
                tasks.finish(tx, task)
            return "no longer to be told"
        try:
            self._tell(to, alarm)
        except PeerUnavailable as error:
            return self._later(task, error)
        except PeerRefused as error:
            with self.ledger.transaction() as tx:
                tasks.bury(tx, task, error=str(error))
            return f"REFUSED: {error}"
        with self.ledger.transaction() as tx:
            tasks.finish(tx, task)
        return "told"

    def _look_at_the_disk(self) -> None:
        free = shutil.disk_usage(self.settings.node.data_dir).free // MEGABYTE
        disk = self.settings.disk
        low, refusing = free < disk.warn_below_megabytes, free < disk.refuse_below_megabytes
        left = f"the disk of data_dir has {free} MB left"
        with self.ledger.transaction() as tx:
            # Two alarms, so that those who were told of the first are told again when images are being refused.
            for key, holds, said in (
                ("low", low, f"{left}: images are refused when it gets less than {disk.refuse_below_megabytes} MB"),
                ("refusing", refusing, f"{left}: images are refused until there is more"),
            ):
                if holds:
                    alarms.raise_(tx, AlarmKind.DISK, key, said)
                else:
                    alarms.clear(tx, AlarmKind.DISK, key)

    def _delete_old_studies(self) -> int:
        kept = self.settings.retention
        days = {"ANALYSED": kept.analysed_days, "DECLINED": kept.declined_days, "FAILED": kept.failed_days}
        with self.ledger.reading() as tx:
            old = retention.deletable(tx, days, limit=AT_ONCE)
        undeletable: list[OSError] = []
        for study_instance_uid in old:
            try:
                # One transaction each: the listener is never kept waiting for long.
                with self.ledger.transaction() as tx:
                    for path in retention.forget_study(tx, study_instance_uid):
                        path.unlink(missing_ok=True)
            except OSError as error:
                undeletable.append(error)
        self._tell_of_undeletable(undeletable)
        deleted = len(old) - len(undeletable)
        if deleted:
            log.info("old studies deleted", studies=deleted)
        return deleted

    def _tell_of_undeletable(self, errors: Sequence[OSError]) -> None:
        with self.ledger.transaction() as tx:
            if errors:
                log.error("old studies cannot be deleted", studies=len(errors), error=errors[0].strerror)
                said = f"files of old studies cannot be deleted ({errors[0].strerror}): the disk of data_dir will fill up"
                alarms.raise_(tx, AlarmKind.DISK, "undeletable", said)
            else:
                alarms.clear(tx, AlarmKind.DISK, "undeletable")

    def _owe_notices(self, tx: Transaction, to: Notify) -> int:
        due = [alarm for alarm in alarms.unsent(tx, to.name) if _is_due(tx, to, alarm)]
        for alarm in due:
            tasks.owe(tx, "notify", f"{alarm.id}>{to.name}", queue="delivery", destination=notifier(to.name))
            alarms.sent(tx, alarm.id, to.name)
        return len(due)

    def _tell(self, to: Notify, alarm: AlarmRow) -> None:
        node = self.settings.node.ae_title
        title = _TITLES[alarm.kind]
        send_notice(
            to,
            subject=f"Houndsfield {node}: {title}",
            text=f"{alarm.text}\n\nSee `houndsfield status` on the node {node}.\n",
            content={"node": node, "event": alarm.kind.value, "text": alarm.text, "alarm": alarm.id},
        )

    def _later(self, task: Task, error: PeerUnavailable) -> str:
        with self.ledger.transaction() as tx:
            if tx.now - task.first_at > GIVE_UP_SECONDS:
                tasks.bury(tx, task, error=str(error))
                return f"DEAD: {error}"
            seconds = min(max(FIRST_RETRY_SECONDS, (tx.now - task.first_at) / 2), LONGEST_RETRY_SECONDS)
            tasks.postpone(tx, task, seconds=seconds, error=str(error))
        return f"again in {seconds:.0f} s: {error}"


def _is_due(tx: Transaction, to: Notify, alarm: AlarmRow) -> bool:
    """A destination may restart without anybody being woken; and a notice that was refused is not told by another."""
    if alarm.kind not in to.events or (alarm.kind is AlarmKind.DEAD_TASK and alarm.key.startswith("notify ")):
        return False
    return alarm.kind is not AlarmKind.DESTINATION_DOWN or tx.now - alarm.since >= to.destination_down_minutes * 60
