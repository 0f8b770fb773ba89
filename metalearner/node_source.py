"""The node's own images and its veterinarians' answers, as a collection takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from domain.types import Species
from ledger import feedback, images
from ledger.images import ImageRow
from ledger.store import Ledger
from metalearner.collecting import Incoming
from metalearner.labels.answers import read_answers
from metalearner.labels.said import Said


def node_images(ledger: Ledger, senders: Mapping[str, tuple[str, Species]]) -> Iterator[Incoming]:
    """Every image that is still kept, of studies that were not withdrawn: of several contents of one the newest.

    senders: clinic and assumed species by the settings' name of the sender.
    """
    with ledger.reading() as tx:
        studies = images.studies(tx)
    for study in studies:
        with ledger.reading() as tx:
            row = images.get_study(tx, study)
            rows: Mapping[str, ImageRow] = {one.sop_instance_uid: one for one in images.of_study(tx, study)}
        if row.withdrawn_at is not None:
            continue
        for one in rows.values():
            clinic, species = senders.get(one.modality, ("", None))
            yield Incoming(path=one.path, clinic=clinic, species=row.species or species)


def node_answers(ledger: Ledger) -> list[Said]:
    """What veterinarians answered, of every study that the ledger remembers."""
    with ledger.reading() as tx:
        return read_answers(feedback.since(tx))
