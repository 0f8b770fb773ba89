"""Telling people: an alarm to each [[notify]] that wants its kind, once, and its end to each that was told of it."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import Notify, Settings
from delivery.notice import send_notice
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import AlarmKind
from ledger import alarms, tasks
from ledger.alarms import ENDED_BY_SEEING, AlarmRow
from ledger.store import Ledger, Transaction
from ledger.tasks import Task
from node.lines import notifier

QUEUE = "upkeep"
SETTLED_SECONDS = 60.0  # what is over for so long is said to be over
STALE_SECONDS = 86_400.0  # and not any more what has been over for so long, such as before an upgrade or a long stop
FIRST_RETRY_SECONDS = 10.0
LONGEST_RETRY_SECONDS = 600.0
GIVE_UP_SECONDS = 7 * 86_400.0

_TITLES = {
    AlarmKind.DEAD_TASK: ("work was given up", "it is tried again, done or cancelled"),
    AlarmKind.DESTINATION_DOWN: ("a destination does not answer", "the destination is back"),
    AlarmKind.BROKER_DOWN: ("the broker does not answer", "the broker is back"),
    AlarmKind.DISK: ("little disk space", "there is disk space again"),
    AlarmKind.MISSING_FILE: ("the file of a received image is gone", "the file of a received image is back"),
    AlarmKind.CONFLICT: ("one SOP Instance UID with two contents", "seen"),
    AlarmKind.URGENT_FINDING: ("a finding marked urgent", "seen"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    settings: Settings
    ledger: Ledger

    def owe(self, tx: Transaction) -> int:
        """What is to be told by now."""
        return sum(self._owe_ends(tx, to) + self._owe_alarms(tx, to) for to in self.settings.notify)

    def tell(self, task: Task) -> str:
        """One alarm to one notifier."""
        to, alarm = self._meant(task)
        if to is None or alarm is None or alarm.cleared_at is not None:
            with self.ledger.transaction() as tx:
                tasks.finish(tx, task)
                if to is not None and alarm is not None:
                    alarms.not_sent(tx, alarm.id, to.name)
            return "no longer to be told"
        return self._send(task, to, alarm, over=False)

    def tell_end(self, task: Task) -> str:
        """That one alarm is over."""
        to, alarm = self._meant(task)
        if to is None or alarm is None:
            with self.ledger.transaction() as tx:
                tasks.finish(tx, task)
            return "no longer to be told"
        return self._send(task, to, alarm, over=True)

    def _meant(self, task: Task) -> tuple[Notify | None, AlarmRow | None]:
        alarm_id, _, name = task.key.partition(">")
        to = next((each for each in self.settings.notify if each.name == name), None)
        with self.ledger.reading() as tx:
            return to, alarms.get(tx, int(alarm_id))

    def _owe_alarms(self, tx: Transaction, to: Notify) -> int:
        due = [alarm for alarm in alarms.unsent(tx, to.name) if _is_due(tx, to, alarm)]
        for alarm in due:
            _owe(tx, "notify", alarm, to)
            alarms.sent(tx, alarm.id, to.name)
        return len(due)

    def _owe_ends(self, tx: Transaction, to: Notify) -> int:
        """What begins again within a minute was not over, and is known already: a PACS that comes and goes wakes nobody."""
        mended = alarms.mended(tx, to.name)
        again = {(alarm.kind, alarm.key): alarm for alarm in alarms.open_alarms(tx)} if mended else {}
        told = 0
        for alarm in mended:
            successor = again.get((alarm.kind, alarm.key))
            if successor is None and tx.now - (alarm.cleared_at or tx.now) < SETTLED_SECONDS:
                continue
            alarms.not_sent(tx, alarm.id, to.name)
            if alarm.kind in ENDED_BY_SEEING or tx.now - (alarm.cleared_at or tx.now) > STALE_SECONDS:
                continue
            if successor is not None and successor.raised_at - (alarm.cleared_at or 0.0) < SETTLED_SECONDS:
                alarms.sent(tx, successor.id, to.name)
                continue
            _owe(tx, "notify end", alarm, to)
            told += 1
        return told

    def _send(self, task: Task, to: Notify, alarm: AlarmRow, *, over: bool) -> str:
        try:
            _notice(to, self.settings.node.ae_title, alarm, over=over)
        except PeerUnavailable as error:
            return self._later(task, error)
        except PeerRefused as error:
            with self.ledger.transaction() as tx:
                tasks.bury(tx, task, error=str(error))
            return f"REFUSED: {error}"
        with self.ledger.transaction() as tx:
            tasks.finish(tx, task)
        return "told"

    def _later(self, task: Task, error: PeerUnavailable) -> str:
        with self.ledger.transaction() as tx:
            if tx.now - task.first_at > GIVE_UP_SECONDS:
                tasks.bury(tx, task, error=str(error))
                return f"DEAD: {error}"
            seconds = min(max(FIRST_RETRY_SECONDS, (tx.now - task.first_at) / 2), LONGEST_RETRY_SECONDS)
            tasks.postpone(tx, task, seconds=seconds, error=str(error))
        return f"again in {seconds:.0f} s: {error}"


def send_test(to: Notify, node: str) -> None:
    """PeerUnavailable or PeerRefused says why it did not go out."""
    text = "This is a test of [[notify]]: nothing is wrong."
    send_notice(
        to,
        subject=f"Houndsfield {node}: test",
        text=f"{text}\n\nWhat a person must know of the node {node} comes here.\n",
        content={"node": node, "event": "test", "text": text, "alarm": 0, "over": False},
    )


def _notice(to: Notify, node: str, alarm: AlarmRow, *, over: bool) -> None:
    text = f"This is over: {alarm.text}" if over else alarm.text
    send_notice(
        to,
        subject=f"Houndsfield {node}: {_TITLES[alarm.kind][over]}",
        text=f"{text}\n\nSee `houndsfield status` on the node {node}.\n",
        content={"node": node, "event": alarm.kind.value, "text": text, "alarm": alarm.id, "over": over},
    )


def _owe(tx: Transaction, kind: str, alarm: AlarmRow, to: Notify) -> None:
    tasks.owe(tx, kind, f"{alarm.id}>{to.name}", queue=QUEUE, destination=notifier(to.name))


def _is_due(tx: Transaction, to: Notify, alarm: AlarmRow) -> bool:
    """A destination may restart without anybody being woken; and a notice that was refused is not told by another."""
    if alarm.kind not in to.events or (alarm.kind is AlarmKind.DEAD_TASK and alarm.key.startswith("notify ")):
        return False
    return alarm.kind is not AlarmKind.DESTINATION_DOWN or tx.now - alarm.since >= to.destination_down_minutes * 60
