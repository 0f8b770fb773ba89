"""Leases, fences, debounce, retries and cancelled work, on an injected clock."""

from __future__ import annotations

import itertools
from typing import Protocol

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import NotFound
from domain.types import AlarmKind
from ledger import alarms, tasks
from ledger.store import Ledger
from ledger.tasks import LEASE_SECONDS, LeaseLost, Task


class StoppedClock(Protocol):
    now: float


def claim(ledger: Ledger, queue: str = "analysis", connections: dict[str, int] | None = None) -> Task | None:
    with ledger.transaction() as tx:
        return tasks.claim(tx, queue, connections=connections or {})


def owe(ledger: Ledger, kind: str = "image", key: str = "1", **more: object) -> None:
    with ledger.transaction() as tx:
        tasks.owe(tx, kind, key, **{"queue": "analysis", **more})  # type: ignore[arg-type]


def states(ledger: Ledger) -> list[str]:
    with ledger.transaction() as tx:
        return list(tx.connection.scalars(sa.text("select state from task order by id")))


def test_what_is_owed_twice_is_owed_once_until_it_runs(ledger: Ledger) -> None:
    owe(ledger)
    owe(ledger)
    assert states(ledger) == ["ready"]
    assert claim(ledger)
    owe(ledger)  # new work that came while it runs
    assert states(ledger) == ["running", "ready"]


def test_a_task_belongs_to_one_worker(ledger: Ledger) -> None:
    owe(ledger)
    assert claim(ledger)
    assert claim(ledger) is None


def test_a_dead_workers_task_is_taken_over_and_its_zombie_is_fenced(ledger: Ledger, clock: StoppedClock) -> None:
    owe(ledger)
    zombie = claim(ledger)
    assert zombie
    clock.now += LEASE_SECONDS + 1
    with ledger.transaction() as tx:
        assert tasks.reap(tx) == 1
    heir = claim(ledger)
    assert heir
    assert heir.started_at == zombie.started_at  # the analysis time, hence the document's bytes, are the same
    with pytest.raises(LeaseLost), ledger.transaction() as tx:
        tasks.owe(tx, "deliver", "chained", queue="delivery")
        tasks.finish(tx, zombie)
    with ledger.transaction() as tx:
        tasks.finish(tx, heir)
    assert states(ledger) == ["done"]  # nothing that the zombie chained


def test_a_heartbeat_keeps_the_lease(ledger: Ledger, clock: StoppedClock) -> None:
    owe(ledger)
    held = claim(ledger)
    assert held
    for _ in range(5):
        clock.now += LEASE_SECONDS - 1
        with ledger.transaction() as tx:
            tasks.renew(tx, [held])
            assert tasks.reap(tx) == 0


NUMBERS = itertools.count()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaps=st.lists(st.floats(min_value=0.0, max_value=4.0), min_size=1, max_size=10), urgent_from=st.integers(0, 10))
def test_debounce_waits_for_quiet_and_never_longer_than_the_limit(
    ledger: Ledger, clock: StoppedClock, gaps: list[float], urgent_from: int
) -> None:
    queue = f"analysis {next(NUMBERS)}"  # each example's own
    first_at = last_at = None
    for number, gap in enumerate(gaps):
        clock.now += gap
        with ledger.transaction() as tx:
            urgent = int(number >= urgent_from)
            tasks.debounce(tx, "study", queue, queue=queue, quiet_seconds=2.0, max_wait_seconds=5.0, priority=urgent)
        first_at, last_at = first_at or clock.now, clock.now
    assert first_at is not None and last_at is not None
    with ledger.transaction() as tx:
        due = tasks.next_run_at(tx, queue, connections={})
    assert due == pytest.approx(min(last_at + 2.0, first_at + 5.0))
    clock.now = due - 0.001
    assert claim(ledger, queue) is None
    clock.now = due
    held = claim(ledger, queue)
    assert held
    assert held.priority == int(urgent_from < len(gaps))


def test_work_that_was_owed_anew_while_it_broke_is_not_given_up(ledger: Ledger) -> None:
    owe(ledger)
    held = claim(ledger)
    assert held
    owe(ledger)
    with ledger.transaction() as tx:
        assert not tasks.bury(tx, held, error="it broke")
        assert alarms.open_alarms(tx) == []
    assert states(ledger) == ["done", "ready"]


def test_a_postponed_task_gives_way_to_newer_work(ledger: Ledger) -> None:
    owe(ledger)
    held = claim(ledger)
    assert held
    owe(ledger)
    with ledger.transaction() as tx:
        tasks.postpone(tx, held, seconds=100.0)
    assert states(ledger) == ["done", "ready"]


def test_only_dead_tasks_are_retried(ledger: Ledger) -> None:
    owe(ledger)
    held = claim(ledger)
    assert held
    with ledger.transaction() as tx:
        tasks.bury(tx, held, error="it broke")
        assert [row.error for row in tasks.owed(tx)] == ["it broke"]
    with ledger.transaction() as tx:
        tasks.retry(tx, held.id)
    assert states(ledger) == ["ready"]
    with pytest.raises(NotFound, match="is ready"), ledger.transaction() as tx:
        tasks.retry(tx, held.id)
    with pytest.raises(NotFound, match="no task 99"), ledger.transaction() as tx:
        tasks.retry(tx, 99)


def test_a_dead_task_is_an_alarm_until_its_work_is_done_after_all(ledger: Ledger) -> None:
    owe(ledger)
    held = claim(ledger)
    assert held
    with ledger.transaction() as tx:
        tasks.bury(tx, held, error="it broke")
        (alarm,) = alarms.open_alarms(tx)
    assert alarm.kind is AlarmKind.DEAD_TASK
    assert "it broke" in alarm.text
    owe(ledger)  # the same work, owed anew
    again = claim(ledger)
    assert again
    with ledger.transaction() as tx:
        tasks.finish(tx, again)
        assert alarms.open_alarms(tx) == []
        assert tasks.owed(tx) == []  # the dead one waits for nobody


def test_what_a_destination_does_not_take_for_one_reason_is_one_alarm(ledger: Ledger) -> None:
    def dies(key: str, error: str) -> None:
        with ledger.transaction() as tx:
            tasks.owe(tx, "deliver", key, queue="delivery", destination="pacs")
            held = tasks.claim(tx, "delivery", connections={"pacs": 9})
            assert held
            tasks.bury(tx, held, error=error)

    def said() -> list[str]:
        with ledger.reading() as tx:
            return [alarm.text for alarm in alarms.open_alarms(tx)]

    dies("a", "no space")
    assert said() == ["work for pacs was given up (deliver, 1×): no space"]
    with ledger.transaction() as tx:
        alarms.sent(tx, alarms.open_alarms(tx)[0].id, "mail")
    for key in ("b", "c"):
        dies(key, "no space")
    assert said() == ["work for pacs was given up (deliver, 3×): no space"]
    with ledger.reading() as tx:
        assert alarms.unsent(tx, "mail") == []  # told once
    dies("d", "no such SOP class")
    assert len(said()) == 2
    with ledger.transaction() as tx:
        tasks.cancel(tx, 1)
        tasks.retry(tx, 2)
    assert said()[0] == "work for pacs was given up (deliver, 1×): no space"
    with ledger.transaction() as tx:
        tasks.retry(tx, 3)
    assert said() == ["work for pacs was given up (deliver, 1×): no such SOP class"]
    with ledger.transaction() as tx:
        tasks.cancel(tx, 4)
    assert said() == []


@pytest.mark.parametrize("state", ["ready", "running", "dead"])
def test_what_is_cancelled_is_owed_no_longer_and_its_result_is_thrown_away(ledger: Ledger, state: str) -> None:
    owe(ledger)
    held = claim(ledger) if state != "ready" else None
    with ledger.transaction() as tx:
        if state == "dead":
            assert held
            tasks.bury(tx, held, error="it broke")
        task_id = tasks.owed(tx)[0].id
        tasks.cancel(tx, task_id)
    with ledger.transaction() as tx:
        assert tasks.owed(tx) == []
        assert alarms.open_alarms(tx) == []
    if held:
        with pytest.raises(LeaseLost), ledger.transaction() as tx:
            tasks.finish(tx, held)
    with pytest.raises(NotFound, match="is cancelled"), ledger.transaction() as tx:
        tasks.cancel(tx, task_id)


def test_a_reaped_task_gives_way_to_newer_work(ledger: Ledger, clock: StoppedClock) -> None:
    owe(ledger)
    assert claim(ledger)
    owe(ledger)
    clock.now += LEASE_SECONDS + 1
    with ledger.transaction() as tx:
        assert tasks.reap(tx) == 1
    assert states(ledger) == ["done", "ready"]


def test_the_next_revision_waits_for_the_one_that_is_written(ledger: Ledger) -> None:
    owe(ledger, "study", "s")
    first = claim(ledger)
    assert first
    owe(ledger, "study", "s")
    assert claim(ledger) is None
    with ledger.transaction() as tx:
        tasks.finish(tx, first)
    assert claim(ledger)


def test_a_postponed_task_that_has_been_cancelled_stays_so(ledger: Ledger) -> None:
    owe(ledger)
    held = claim(ledger)
    assert held
    with ledger.transaction() as tx:
        tasks.cancel(tx, held.id)
    with pytest.raises(LeaseLost), ledger.transaction() as tx:
        tasks.postpone(tx, held, seconds=1.0)
    assert states(ledger) == ["cancelled"]
