"""The listener is killed at every seam between the first byte and the response: nothing acknowledged is ever lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from factories import dx_file
from nodes import write_settings
from peers import connects, free_port, wait_until
from storm import Backend, Consoles, Pacs, Parts, audit, backend, expire_leases, wait_for_all_work

from config.settings import load
from node.parts import open_ledger

SEAMS = ("write", "fsync", "rename", "folder", "commit", "committed", "response")
SMALL, LARGE = (120, 150), (1200, 1500)  # rows, columns: the spool hashes large images beside writing them
HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize(
    ("name", "size"), [("sqlite", SMALL), ("sqlite", LARGE), ("postgresql", LARGE), ("celery", SMALL)], ids=str
)
def test_a_listener_killed_at_any_seam_loses_nothing(tmp_path: Path, name: Backend, size: tuple[int, int]) -> None:
    port, seam = free_port(), tmp_path / "seam"
    with Pacs("pacs") as pacs, backend(name, tmp_path) as node_more:
        destinations = [(pacs.name, pacs.ae_title, pacs.port)]
        file = write_settings(tmp_path, port=port, destinations=destinations, node_more=node_more)
        settings = load(file)
        environment = {"HOUNDSFIELD_SEAM": str(seam), "PYTHONPATH": str(HERE / "seams")}
        acknowledged: dict[str, Path] = {}
        with Parts(file, ["scp"], environment=environment) as listener, Parts(file, ["worker"]):
            for number, where in enumerate(SEAMS, start=1):
                wait_until(lambda: connects(port), seconds=30, what="the listener to be back")
                before = listener.pids("scp")
                seam.write_text(where, encoding="ascii")
                rows, columns = size
                path = tmp_path / "in" / f"{number}.dcm"
                image = dx_file(path, study=number % 2 + 1, instance=number, rows=rows, columns=columns)
                console = Consoles([image], port, seed=number, count=1)
                console.start()
                wait_until(console.done, seconds=60, what=f"the image to be taken in spite of a death at {where}")
                assert not seam.exists(), f"nothing was killed at {where}"
                assert listener.pids("scp") != before
                acknowledged |= console.acknowledged
            ledger = open_ledger(settings.node)
            expire_leases(ledger)
            wait_for_all_work(ledger, seconds=60)
            ledger.close()
        tally = audit(settings, [pacs], acknowledged)
    assert tally.acknowledged == len(SEAMS)
    assert tally.faults == []
