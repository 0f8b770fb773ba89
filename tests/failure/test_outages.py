"""Archives that are away for a day, each in its own way, beside one that is well."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest
import sqlalchemy as sa
from factories import dx_file
from nodes import write_settings
from peers import free_port, wait_until
from storm import BACKENDS, Backend, Consoles, Mode, Pacs, Parts, age, audit, backend, wait_for_all_work

from config.settings import load
from ledger import schema
from ledger.store import Ledger
from node.parts import open_ledger

HOUR_SECONDS = 3600.0
HOURS_AT_A_TIME = 2
TIMEOUT_SECONDS = 2.0  # of the node's patience with a PACS
STUDIES = 3
HOW: tuple[Mode | None, ...] = (None, "busy", "hangs", "cuts")  # None: nobody listens


def seconds_until_stored(ledger: Ledger, destination: str) -> list[float]:
    """Of what is stored."""
    with ledger.reading() as tx:
        rows = tx.connection.execute(sa.select(schema.delivery).where(schema.delivery.c.destination == destination)).all()
    return [row.stored_at - row.owed_at for row in rows if row.stored_at is not None]


def failures(ledger: Ledger, destination: str) -> int:
    """In a row."""
    with ledger.reading() as tx:
        found = sa.select(schema.destination.c.failures).where(schema.destination.c.name == destination)
        return tx.connection.scalar(found) or 0


@pytest.mark.parametrize("name", BACKENDS)
def test_archives_that_are_away_for_a_day_get_everything_and_delay_nobody(tmp_path: Path, name: Backend) -> None:
    port = free_port()
    with ExitStack() as stack:
        sick = {how: stack.enter_context(Pacs(f"sick-{how or 'away'}")) for how in HOW}
        well = stack.enter_context(Pacs("well"))
        node_more = stack.enter_context(backend(name, tmp_path))
        destinations = [(each.name, each.ae_title, each.port) for each in (*sick.values(), well)]
        more = f"timeout_seconds = {TIMEOUT_SECONDS}\nper_minute = 600"
        file = write_settings(tmp_path, port=port, destinations=destinations, node_more=node_more, destination_more=more)
        settings = load(file)
        for how, archive in sick.items():
            if how is None:
                archive.away()
            else:
                archive.behave(how)
        files = [dx_file(tmp_path / "in" / f"{n}.dcm", study=n, instance=n) for n in range(1, STUDIES + 1)]
        consoles = Consoles(files, port, seed=1, count=2)
        with Parts(file, ["scp", "worker"]):
            consoles.start()
            wait_until(consoles.done, seconds=60, what="the images to be taken")
            ledger = open_ledger(settings.node)
            wait_until(
                lambda: len(seconds_until_stored(ledger, well.name)) == 2 * STUDIES,
                seconds=60,
                what="the one that is well to have everything",
            )
            waited_seconds = seconds_until_stored(ledger, well.name)
            for _ in range(24 // HOURS_AT_A_TIME):  # little by little, so that breakers open and close as they would
                before = failures(ledger, sick["hangs"].name)
                age(ledger, HOURS_AT_A_TIME * HOUR_SECONDS)
                wait_until(lambda n=before: failures(ledger, sick["hangs"].name) > n, seconds=30, what="a probe to fail")
            dialled = {how: archive.dialled for how, archive in sick.items()}
            for how, archive in sick.items():
                archive.behave("well")
                if how is None:
                    archive.back()
            wait_for_all_work(ledger, seconds=90, hurry=True)
            ledger.close()
        tally = audit(settings, [*sick.values(), well], consoles.acknowledged)
    assert tally.faults == []
    assert median(waited_seconds) < TIMEOUT_SECONDS, "the one that is well waited for a sick one"
    # One probe at a time: each pause ends with a probe or two, not with one for each document.
    assert dialled["hangs"] < 3 * 24
