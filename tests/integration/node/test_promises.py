"""Storage commitment at the node: only what lies here is promised, and only who was asked answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import dx_file
from pipelines import receive, rows

from config.settings import parse
from domain.types import DeliveryState, InstanceRef
from ledger import commitments, documents
from ledger.documents import DeliveryRow
from node.commitments import Promises
from node.parts import open_pipeline
from node.pipeline import Pipeline
from scp.commitment import NO_SUCH_INSTANCE, CommitmentReport


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    to = {"host": "127.0.0.1", "documents": ["original"], "verify": "commitment"}
    opened = open_pipeline(
        parse(
            {
                "node": {"data_dir": str(tmp_path / "data")},
                "modality": [{"name": "room-1", "ae_title": "DRROOM1"}],
                "destination": [
                    {"name": "other", "ae_title": "OTHER", **to},
                    {"name": "pacs", "ae_title": "PACS", **to},
                    {"name": "pacs-again", "ae_title": "PACS", "port": 105, **to},
                ],
            }
        )
    )
    yield opened
    opened.ledger.close()


def test_an_image_whose_file_is_gone_is_not_promised(pipeline: Pipeline, tmp_path: Path) -> None:
    promises = Promises(settings=pipeline.settings, ledger=pipeline.ledger)
    study = receive(pipeline, dx_file(tmp_path / "a.dcm"))
    receive(pipeline, dx_file(tmp_path / "b.dcm", PatientID="RIGHT"))
    first, second = rows(pipeline, study)
    ref = InstanceRef(sop_class_uid=first.sop_class_uid, sop_instance_uid=first.sop_instance_uid)
    assert promises.holds([ref]) == {}
    for row in (first, second):
        content = row.path.read_bytes()
        row.path.unlink()
        assert promises.holds([ref]) == {ref.sop_instance_uid: NO_SUCH_INSTANCE}
        row.path.write_bytes(content)


def test_only_the_archive_that_was_asked_answers_under_whichever_name_it_is_listed(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    promises = Promises(settings=pipeline.settings, ledger=pipeline.ledger)
    study = receive(pipeline, dx_file(tmp_path / "a.dcm"))

    def deliveries() -> dict[str, DeliveryRow]:
        with pipeline.ledger.reading() as tx:
            return {row.destination: row for row in documents.deliveries(tx, study)}

    filed = deliveries()["pacs-again"]
    uid = filed.document.ref.sop_instance_uid
    with pipeline.ledger.transaction() as tx:
        documents.delivered(tx, filed, DeliveryState.STORED, status="stored")
        commitments.ask(tx, "2.25.55", "pacs-again", [uid])

    def reports(name: str) -> DeliveryState:
        promises.committed(
            CommitmentReport(transaction_uid="2.25.55", destination=name, committed=frozenset([uid]), failed={})
        )
        return deliveries()["pacs-again"].state

    assert reports("other") is DeliveryState.STORED
    assert reports("pacs") is DeliveryState.VERIFIED
