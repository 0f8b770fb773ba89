"""Whose turn it is: breakers, connections, pace, urgency, connections that are shared, and a broker's messages."""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import sqlalchemy as sa

from domain.types import AlarmKind
from ledger import alarms, messages, peers, status, tasks
from ledger.messages import RESEND_SECONDS
from ledger.store import Ledger
from ledger.tasks import URGENT_SECONDS, Task


class StoppedClock(Protocol):
    now: float


def owe(ledger: Ledger, key: str, *, to: str | None = "pacs", priority: int = 0, kind: str = "deliver") -> None:
    with ledger.transaction() as tx:
        queue = "delivery" if to else "analysis"
        tasks.owe(tx, kind, key, queue=queue, destination=to, priority=priority)


def claim(ledger: Ledger, connections: dict[str, int], rates: dict[str, int] | None = None) -> Task | None:
    with ledger.transaction() as tx:
        return tasks.claim(tx, "delivery", connections=connections, rates=rates)


def analyse(ledger: Ledger) -> str | None:
    with ledger.transaction() as tx:
        held = tasks.claim(tx, "analysis", connections={"pacs": 1})
    return held.key if held else None


def wait_for(ledger: Ledger, connections: dict[str, int], rates: dict[str, int] | None = None) -> float | None:
    with ledger.transaction() as tx:
        due = tasks.next_run_at(tx, "delivery", connections=connections, rates=rates)
        return None if due is None else due - tx.now


def test_one_slow_destination_delays_no_other(ledger: Ledger) -> None:
    limits = {"slow": 2, "fast": 2}
    for number in range(10):
        owe(ledger, f"s{number}", to="slow")
    owe(ledger, "f", to="fast")
    claimed = [claim(ledger, limits) for _ in range(4)]
    assert [task.destination for task in claimed if task] == ["slow", "slow", "fast"]
    assert wait_for(ledger, limits) is None  # only the end of one of them can make another


def test_the_breaker_pauses_a_destination_longer_each_time_and_probes_alone(ledger: Ledger, clock: StoppedClock) -> None:
    limits = {"pacs": 4}
    for number in range(4):
        owe(ledger, str(number))
    pauses = []
    for _ in range(10):
        probe = claim(ledger, limits)
        assert probe
        with ledger.transaction() as tx:
            pauses.append(peers.unavailable(tx, "pacs", error="no answer"))
            tasks.postpone(tx, probe, seconds=0.0)
        assert claim(ledger, limits) is None
        assert wait_for(ledger, limits) == pauses[-1]
        clock.now += pauses[-1]
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]
    assert claim(ledger, limits)
    assert claim(ledger, limits) is None  # one probe at a time
    with ledger.transaction() as tx:
        peers.answered(tx, "pacs")
    assert claim(ledger, limits)


def test_a_destination_that_is_down_is_one_alarm_since_it_went_down(ledger: Ledger, clock: StoppedClock) -> None:
    went_down = clock.now
    for _ in range(3):
        with ledger.transaction() as tx:
            clock.now += peers.unavailable(tx, "pacs", error="no answer")
    with ledger.transaction() as tx:
        (alarm,) = alarms.open_alarms(tx)
        assert (alarm.kind, alarm.key, alarm.since) == (AlarmKind.DESTINATION_DOWN, "pacs", went_down)
        peers.answered(tx, "pacs")
        assert alarms.open_alarms(tx) == []


def test_a_destination_that_left_the_settings_is_not_served(ledger: Ledger) -> None:
    owe(ledger, "x", to="gone")
    assert claim(ledger, {"other": 1}) is None


def test_documents_go_at_their_destinations_pace(ledger: Ledger, clock: StoppedClock) -> None:
    limits, rates = {"pacs": 4, "other": 4}, {"pacs": 6}
    for number in range(30):
        owe(ledger, str(number))
    owe(ledger, "o", to="other")
    gone = []
    while clock.now < 1_000_000 + 180:
        while held := claim(ledger, limits, rates):
            with ledger.transaction() as tx:
                tasks.finish(tx, held)
            if held.destination == "pacs":
                gone.append(clock.now)
        wait_seconds = wait_for(ledger, limits, rates)
        assert wait_seconds is not None
        assert 0 < wait_seconds <= 10
        clock.now += wait_seconds
    assert [later - earlier for earlier, later in pairwise(gone)] == [10.0] * (len(gone) - 1)
    assert len(gone) == 18
    assert wait_for(ledger, {"other": 4}) is None  # it never waited


def test_what_is_urgent_overtakes_and_starves_nobody(ledger: Ledger, clock: StoppedClock) -> None:
    owe(ledger, "routine", to=None, kind="image")
    clock.now += 60
    owe(ledger, "urgent", to=None, kind="image", priority=1)
    assert analyse(ledger) == "urgent"
    # And now nothing but urgent work comes, twice as fast as it can be done.
    done = []
    for number in range(30):
        clock.now += URGENT_SECONDS / 8
        owe(ledger, f"urgent {number}", to=None, kind="image", priority=1)
        owe(ledger, f"urgent too {number}", to=None, kind="image", priority=1)
        done.append(analyse(ledger))
    assert done.index("routine") == 14  # after what became urgent within URGENT_SECONDS of it, before all that came later


def test_work_that_is_owed_already_becomes_urgent(ledger: Ledger) -> None:
    for key in ("a", "b", "c"):
        owe(ledger, key, to=None, kind="image")
    owe(ledger, "b", to=None, kind="image", priority=1)
    owe(ledger, "b", to=None, kind="image")  # and stays so
    assert [analyse(ledger) for _ in range(4)] == ["b", "a", "c", None]


def test_tasks_over_one_connection_count_as_one_and_each_has_its_own_end(ledger: Ledger) -> None:
    limits = {"pacs": 2}
    for number in range(10):
        owe(ledger, str(number))
    first = claim(ledger, limits)
    assert first
    with ledger.transaction() as tx:
        more = tasks.claim_more(tx, first, limit=3)
    assert [task.key for task in more] == ["1", "2", "3"]
    second = claim(ledger, limits)
    assert second
    assert claim(ledger, limits) is None  # two connections
    with ledger.transaction() as tx:
        tasks.finish(tx, first)
        tasks.postpone(tx, more[0], seconds=0.0)
        tasks.bury(tx, more[1], error="it was refused")
    assert claim(ledger, limits) is None  # one of its documents is still under way
    with ledger.transaction() as tx:
        tasks.finish(tx, more[2])
    assert claim(ledger, limits)


def test_a_destination_that_does_not_answer_gets_no_second_document(ledger: Ledger, clock: StoppedClock) -> None:
    for number in range(3):
        owe(ledger, str(number))
    with ledger.transaction() as tx:
        clock.now += peers.unavailable(tx, "pacs", error="no answer")
    probe = claim(ledger, {"pacs": 4})
    assert probe
    with ledger.transaction() as tx:
        assert tasks.claim_more(tx, probe, limit=3) == []


def test_a_message_is_given_once(ledger: Ledger) -> None:
    owe(ledger, "1", to=None, kind="image")
    with ledger.transaction() as tx:
        assert messages.due_unsent(tx, "analysis", connections={}, limit=10) == [1]
        messages.sent(tx, [1])
        assert messages.due_unsent(tx, "analysis", connections={}, limit=10) == []


def test_a_lost_message_is_given_again_and_a_waiting_task_is_not_run_early(ledger: Ledger, clock: StoppedClock) -> None:
    with ledger.transaction() as tx:
        tasks.owe(tx, "study", "s", queue="analysis", run_at=tx.now + 3)
        assert messages.due_unsent(tx, "analysis", connections={}, limit=10) == []
        assert tasks.claim(tx, "analysis", connections={}) is None
    clock.now += 3
    with ledger.transaction() as tx:
        due = messages.due_unsent(tx, "analysis", connections={}, limit=10)
        assert due == [1]
        messages.sent(tx, due)
    clock.now += RESEND_SECONDS + 1
    with ledger.transaction() as tx:
        assert messages.due_unsent(tx, "analysis", connections={}, limit=10) == due


def test_no_more_messages_than_can_run(ledger: Ledger, clock: StoppedClock) -> None:
    """A broker's queue full of documents for a PACS that is down would only be thrown away again."""
    limits = {"pacs": 2, "down": 2}
    for number in range(5):
        owe(ledger, f"p{number}")
        owe(ledger, f"d{number}", to="down")
        owe(ledger, f"i{number}", to=None, kind="image")
    with ledger.transaction() as tx:
        peers.unavailable(tx, "down", error="no answer")
        given = messages.due_unsent(tx, "delivery", connections=limits, limit=3)
        assert len(given) == 2
        assert len(messages.due_unsent(tx, "analysis", connections=limits, limit=3)) == 3
        messages.sent(tx, given)
        assert messages.due_unsent(tx, "delivery", connections=limits, limit=3) == []
        held = tasks.claim(tx, "delivery", connections=limits)
        assert held
        assert messages.due_unsent(tx, "delivery", connections=limits, limit=3) == []
        tasks.finish(tx, held)
        assert len(messages.due_unsent(tx, "delivery", connections=limits, limit=3)) == 1


def test_a_postponed_task_is_given_to_the_broker_again(ledger: Ledger) -> None:
    owe(ledger, "1", to=None, kind="image")
    with ledger.transaction() as tx:
        messages.sent(tx, [1])
        held = tasks.claim(tx, "analysis", connections={})
        assert held
        tasks.postpone(tx, held, seconds=0.0)
        assert messages.due_unsent(tx, "analysis", connections={}, limit=1) == [1]
        assert tx.connection.scalar(sa.text("SELECT count(*) FROM task")) == 1


def test_a_person_has_a_destination_dialled_now_however_long_it_was_to_be_left_alone(
    ledger: Ledger, clock: StoppedClock
) -> None:
    limits = {"pacs": 4}
    owe(ledger, "1")
    owe(ledger, "2")
    probe = claim(ledger, limits)
    assert probe
    with ledger.transaction() as tx:
        tasks.postpone(tx, probe, seconds=peers.unavailable(tx, "pacs", error="no answer"))
        (row,) = peers.destinations(tx, ["pacs"])
        assert row.next_try_at == clock.now + 5
        assert status.owed_to(tx) == {"pacs": 2}
    assert claim(ledger, limits) is None
    with ledger.transaction() as tx:
        assert peers.probe(tx, "pacs") == 2
    assert claim(ledger, limits)
    assert claim(ledger, limits) is None  # it has not answered yet: one at a time


def test_what_left_the_settings_is_forgotten_with_its_breaker(ledger: Ledger) -> None:
    owe(ledger, "1", to="old")
    with ledger.transaction() as tx:
        peers.unavailable(tx, "old", error="no answer")
        (one,) = tasks.owed_to(tx, "old")
        tasks.cancel(tx, one)
        assert tasks.owed_to(tx, "old") == []
        peers.forget(tx, "old")
        assert alarms.open_alarms(tx) == []
        assert peers.destinations(tx, ["old"])[0].down_since is None


def test_whoever_was_told_of_an_alarm_is_told_of_its_end(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        alarms.raise_(tx, AlarmKind.DISK, "low", "little")
        (alarm,) = alarms.unsent(tx, "it")
        tasks.owe(tx, "notify", f"{alarm.id}>it", queue="upkeep", destination="notify it")
        alarms.sent(tx, alarm.id, "it")
        alarms.clear(tx, AlarmKind.DISK, "low")
        assert alarms.mended(tx, "it") == []  # it is being told still
        held = tasks.claim(tx, "upkeep", connections={"notify it": 1})
        assert held
        tasks.finish(tx, held)
        assert [row.id for row in alarms.mended(tx, "it")] == [alarm.id]
        assert alarms.mended(tx, "vet") == []
        alarms.not_sent(tx, alarm.id, "it")
        assert alarms.mended(tx, "it") == []
