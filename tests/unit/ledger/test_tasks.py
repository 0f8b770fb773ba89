"""Leases, fences, debounce and breakers, on an injected clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import NotFound, StorageUnavailable
from ledger import peers, tasks
from ledger.store import Ledger
from ledger.tasks import LEASE_SECONDS, LeaseLost, Task


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    opened = Ledger(tmp_path, clock=clock)
    yield opened
    opened.close()


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


def test_a_dead_workers_task_is_taken_over_and_its_zombie_is_fenced(ledger: Ledger, clock: Clock) -> None:
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


def test_a_heartbeat_keeps_the_lease(ledger: Ledger, clock: Clock) -> None:
    owe(ledger)
    held = claim(ledger)
    assert held
    for _ in range(5):
        clock.now += LEASE_SECONDS - 1
        with ledger.transaction() as tx:
            tasks.renew(tx, [held])
            assert tasks.reap(tx) == 0


@settings(max_examples=30, deadline=None)
@given(gaps=st.lists(st.floats(min_value=0.0, max_value=4.0), min_size=1, max_size=20))
def test_debounce_waits_for_quiet_and_never_longer_than_the_limit(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[float]
) -> None:
    clock = Clock()
    ledger = Ledger(tmp_path_factory.mktemp("ledger"), clock=clock)
    first_at = last_at = None
    for gap in gaps:
        clock.now += gap
        with ledger.transaction() as tx:
            tasks.debounce(tx, "study", "s", queue="analysis", quiet_seconds=2.0, max_wait_seconds=5.0)
        first_at, last_at = first_at or clock.now, clock.now
    assert first_at is not None and last_at is not None
    with ledger.transaction() as tx:
        due = tasks.next_run_at(tx, "analysis")
    assert due == pytest.approx(min(last_at + 2.0, first_at + 5.0))
    ledger.close()


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


def test_one_slow_destination_delays_no_other(ledger: Ledger, clock: Clock) -> None:
    limits = {"slow": 2, "fast": 2}
    for number in range(10):
        owe(ledger, "deliver", f"s{number}", queue="delivery", destination="slow")
    owe(ledger, "deliver", "f", queue="delivery", destination="fast")
    claimed = [claim(ledger, "delivery", limits) for _ in range(4)]
    assert [task.destination for task in claimed if task] == ["slow", "slow", "fast"]


def test_the_breaker_pauses_a_destination_longer_each_time_and_probes_alone(ledger: Ledger, clock: Clock) -> None:
    limits = {"pacs": 4}
    for number in range(4):
        owe(ledger, "deliver", str(number), queue="delivery", destination="pacs")
    pauses = []
    for _ in range(10):
        probe = claim(ledger, "delivery", limits)
        assert probe
        with ledger.transaction() as tx:
            pauses.append(peers.unavailable(tx, "pacs", error="no answer"))
            tasks.postpone(tx, probe, seconds=0.0)
        assert claim(ledger, "delivery", limits) is None
        clock.now += pauses[-1]
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]
    assert claim(ledger, "delivery", limits)
    assert claim(ledger, "delivery", limits) is None  # one probe at a time
    with ledger.transaction() as tx:
        peers.answered(tx, "pacs")
    assert claim(ledger, "delivery", limits)


def test_a_destination_that_left_the_settings_is_not_served(ledger: Ledger) -> None:
    owe(ledger, "deliver", "x", queue="delivery", destination="gone")
    assert claim(ledger, "delivery", {"other": 1}) is None


def test_a_held_write_lock_is_an_error_and_not_a_hang(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ledger.databases.LOCK_WAIT_SECONDS", 0.05)
    second = Ledger(tmp_path)
    with ledger.transaction(), pytest.raises(StorageUnavailable, match="locked"), second.transaction():
        pass
    second.close()


def test_claims_use_the_partial_index(ledger: Ledger) -> None:
    """300,000 finished tasks must not slow the start of the next one."""
    seen: list[tuple[str, object]] = []

    @sa.event.listens_for(ledger._engine, "before_cursor_execute")
    def record(_c: object, _cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        seen.append((statement, parameters))

    claim(ledger)
    statement, parameters = next(item for item in seen if "FROM task" in item[0])
    with ledger.transaction() as tx:
        plan = tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()  # type: ignore[arg-type]
    assert any("USING INDEX task_claim" in row[3] for row in plan), plan
