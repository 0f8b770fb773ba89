"""An image that is urgent makes its whole study so."""

from __future__ import annotations

from pathlib import Path

from factories import dx_file
from pipelines import receive

from config.settings import parse
from ledger import tasks
from node.parts import open_pipeline


def test_what_waits_of_a_study_that_becomes_urgent_overtakes(tmp_path: Path) -> None:
    to = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "documents": ["original"]}
    pipeline = open_pipeline(parse({"node": {"data_dir": str(tmp_path / "data")}, "destination": [to]}))
    for study in (1, 2):
        receive(pipeline, dx_file(tmp_path / f"{study}.dcm", study=study, instance=study))
    with pipeline.ledger.reading() as tx:
        assert {row.priority for row in tasks.owed(tx)} == {0}
    receive(pipeline, dx_file(tmp_path / "urgent.dcm", study=2, instance=3), urgent=True)
    with pipeline.ledger.transaction() as tx:
        raised = [(row.kind, row.priority) for row in tasks.owed(tx)]
        first = tasks.claim(tx, "analysis", connections={})
    assert sorted(raised) == [
        *[("deliver", 0), ("deliver", 1), ("deliver", 1)],
        *[("image", 0), ("image", 1), ("image", 1)],
        *[("study", 0), ("study", 1)],
    ]
    assert first is not None and first.key == "2"  # the urgent study's first image, which came before
    pipeline.ledger.close()
