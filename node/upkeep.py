"""What the node does by itself every half minute: look at the disk, tell people, delete what is old enough.

One task that owes itself anew, so that one worker among many does it, wherever it runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from config.settings import Settings
from domain.types import AlarmKind
from ledger import alarms, retention, tasks
from ledger.store import Ledger, Transaction
from ledger.tasks import Task
from node.lines import gone, lines, unserved, unserved_in_words
from node.notices import QUEUE, Notices

log = structlog.get_logger()

KIND, KEY = "upkeep", "node"
EVERY_SECONDS = 30.0
AFTER_FAULT_SECONDS = 3600.0  # a round that broke again and again is seen as a dead task
AT_ONCE = 50  # studies deleted, or rows pruned, in a round: what is left has time until the next
PRUNED_AT_ONCE = 2000
MEGABYTE = 1_000_000


def owe_upkeep(tx: Transaction, *, seconds: float = 0.0) -> None:
    """Every worker does at its start; owed once is owed."""
    tasks.owe(tx, KIND, KEY, queue=QUEUE, run_at=tx.now + seconds)


def kept_days(settings: Settings) -> dict[str, float]:
    """{state of a study: days until it is deleted}; 0 keeps it for ever."""
    kept = settings.retention
    return {"ANALYSED": kept.analysed_days, "DECLINED": kept.declined_days, "FAILED": kept.failed_days}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    settings: Settings
    ledger: Ledger

    def run(self, task: Task) -> str:
        """A round. What it cannot finish now, the next one does."""
        self._look_at_the_disk()
        with self.ledger.transaction() as tx:  # first: what breaks below must not keep anybody from being told
            self._look_for_the_unserved(tx)
            told = Notices(settings=self.settings, ledger=self.ledger).owe(tx)
        deleted = self._delete_old_studies()
        with self.ledger.transaction() as tx:
            pruned = retention.prune(tx, days=self.settings.retention.done_tasks_days, limit=PRUNED_AT_ONCE)
            tasks.finish(tx, task)
            owe_upkeep(tx, seconds=EVERY_SECONDS)
        return f"{deleted} studies deleted, {pruned} rows pruned, {told} notices owed"

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

    def _look_for_the_unserved(self, tx: Transaction) -> None:
        """What is owed to a destination that left the settings, and alarms that it does not answer."""
        waiting = {gone(name): unserved_in_words(name, n) for name, n in unserved(tx, self.settings).items()}
        for key, said in waiting.items():
            alarms.raise_(tx, AlarmKind.DESTINATION_DOWN, key, said)
            alarms.say(tx, AlarmKind.DESTINATION_DOWN, key, said)
        known = {*waiting, *lines(self.settings)}
        for alarm in alarms.open_alarms(tx):
            if alarm.kind is AlarmKind.DESTINATION_DOWN and alarm.key not in known:
                alarms.clear(tx, alarm.kind, alarm.key)

    def _delete_old_studies(self) -> int:
        with self.ledger.reading() as tx:
            old = retention.deletable(tx, kept_days(self.settings), limit=AT_ONCE)
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
