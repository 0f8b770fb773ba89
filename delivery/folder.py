"""A folder: `PATH/STUDY/UID.dcm`, written so that a reader finds each file whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from config.settings import Destination
from delivery.faults import AnswerLost
from delivery.part10 import Part10
from delivery.result import StoreResult, already_there, readable, stored
from delivery.sameness import Sameness, compare
from delivery.sender import Answered, Check, Wanted
from domain.errors import DataSetUnusable, PeerRefused
from domain.types import Document
from spool.files import durable_write, fsync_folder

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSender:
    to: Destination

    @property
    def read_back_by(self) -> str:
        return "reading the file"

    def send(self, documents: Sequence[Document], *, wanted: Wanted, answered: Answered) -> None:
        for document in documents:
            if wanted(document):
                file = readable(document.path)
                answered(document, file if isinstance(file, StoreResult) else self._send(document, file))

    def found(self, documents: Sequence[Document]) -> frozenset[str]:
        found = set()
        for document in documents:
            target = self._target(document)
            try:
                if target.is_file() and _sha256(target) == _sha256(document.path):
                    found.add(document.ref.sop_instance_uid)
            except OSError as error:
                raise self._fault(error) from error
        return frozenset(found)

    def check(self) -> Check:
        root = self._root()
        probe = root / ".houndsfield-check"
        try:
            durable_write(probe, [b"written to see that it can be written"])
            probe.unlink()
        except OSError as error:
            raise self._fault(error) from error
        return Check(says="the folder is there and can be written to")

    def _send(self, document: Document, file: Part10) -> StoreResult:
        self._root()
        target = self._target(document)
        try:
            if target.exists():
                return already_there(file, f"{self.to.name} (folder)", _compare(document.path, target))
            if not target.parent.is_dir():
                target.parent.mkdir(exist_ok=True)
                fsync_folder(target.parent.parent)
            with document.path.open("rb") as source:
                durable_write(target, iter(lambda: source.read(_CHUNK_BYTES), b""))
        except OSError as error:
            raise self._fault(error) from error
        return stored(file)

    def _root(self) -> Path:
        """The folder, which is never made here: under the mount point of a share that is away, files would be lost."""
        root = self.to.path
        if root is None or not root.is_dir():
            raise PeerRefused(f"{self.to.name}: the folder {root} is not there; make it, or mount its share")
        return root

    def _target(self, document: Document) -> Path:
        return self._root() / document.study_instance_uid / f"{document.ref.sop_instance_uid}.dcm"

    def _fault(self, error: OSError) -> PeerRefused | AnswerLost:
        if isinstance(error, PermissionError):
            return PeerRefused(f"{self.to.name}: the folder {self.to.path} may not be written to; allow it to this user")
        return AnswerLost(f"{self.to.name}: the folder {self.to.path} cannot be used now ({error.strerror})")


def _compare(ours: Path, theirs: Path) -> Sameness:
    try:
        return compare(ours, theirs.read_bytes())
    except DataSetUnusable:
        return Sameness.OTHER


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
