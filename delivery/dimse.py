"""An application entity: C-STORE, C-FIND, C-ECHO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from config.settings import Destination
from delivery.echo import capabilities, echo
from delivery.find import Whereabouts, find_filed
from delivery.result import StoreResult
from delivery.sender import Answered, Check, Wanted
from delivery.store import store
from domain.types import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class DimseSender:
    to: Destination
    calling_ae: str

    @property
    def read_back_by(self) -> str:
        return "C-FIND"

    def send(self, documents: Sequence[Document], *, wanted: Wanted, answered: Answered) -> None:
        by_path = {document.path: document for document in documents}

        def stored(path: Path, result: StoreResult) -> None:
            answered(by_path[path], result)

        store(
            list(by_path),
            self.to.peer(self.calling_ae),
            timeout_seconds=self.to.timeout_seconds,
            wanted=lambda path: wanted(by_path[path]),
            stored=stored,
        )

    def found(self, documents: Sequence[Document]) -> frozenset[str]:
        objects = [
            Whereabouts(
                study_instance_uid=document.study_instance_uid,
                series_instance_uid=document.series_instance_uid,
                sop_instance_uid=document.ref.sop_instance_uid,
            )
            for document in documents
        ]
        return find_filed(objects, self.to.peer(self.calling_ae), timeout_seconds=self.to.timeout_seconds)

    def check(self) -> Check:
        peer = self.to.peer(self.calling_ae)
        echo(peer, timeout_seconds=self.to.timeout_seconds)
        services = capabilities(peer, timeout_seconds=self.to.timeout_seconds)
        accepted = sum(service.accepted for service in services)
        return Check(says=f"accepts {accepted} of {len(services)} SOP classes", capabilities=tuple(services))
