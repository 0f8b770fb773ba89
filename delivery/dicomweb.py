"""DICOMweb (PS3.18): STOW-RS to store, QIDO-RS to look for what was stored, WADO-RS to compare what is there already."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import requests

from config.settings import Destination
from delivery.http import ask, plain, set_up, where
from delivery.part10 import Part10
from delivery.result import StoreResult, already_there, postponed, readable, refused, stored
from delivery.sameness import Sameness, compare
from delivery.sender import Answered, Check, Wanted
from delivery.status import StatusClass, classify, describe
from delivery.words import without_identity
from domain.errors import DataSetUnusable, PeerRefused
from domain.types import Document

JSON = "application/dicom+json"
PART10 = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_CHUNK_BYTES = 1 << 20
# DICOM JSON (PS3.18 F): SOP Instance UID, and of a STOW-RS response (PS3.18 I.2) Failed SOP Sequence, Referenced SOP
# Sequence, Failure Reason, Warning Reason
_SOP_INSTANCE, _FAILED, _REFERENCED, _FAILURE, _WARNING = "00080018", "00081198", "00081199", "00081197", "00081196"
_REFERENCED_INSTANCE = "00081155"


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomwebSender:
    to: Destination

    @property
    def read_back_by(self) -> str:
        return "QIDO-RS"

    def send(self, documents: Sequence[Document], *, wanted: Wanted, answered: Answered) -> None:
        with self._session() as session:
            for document in documents:
                if not wanted(document):
                    continue
                file = readable(document.path)
                answered(document, file if isinstance(file, StoreResult) else self._send(session, document, file))

    def found(self, documents: Sequence[Document]) -> frozenset[str]:
        with self._session() as session:
            return frozenset(item.ref.sop_instance_uid for item in documents if self._is_listed(session, item))

    def check(self) -> Check:
        with self._session() as session:
            answer = self._ask(session, "GET", "studies", params={"limit": "1"}, headers={"Accept": JSON})
        if answer.status_code not in (200, 204) or (answer.content and JSON not in answer.headers.get("Content-Type", "")):
            raise PeerRefused(f"{where(self.to)} does not answer as DICOMweb ({answer.status_code}); check url")
        return Check(says="queries are allowed (QIDO-RS); what is taken by STOW-RS shows only when a document is sent")

    def _send(self, session: requests.Session, document: Document, file: Part10) -> StoreResult:
        """Looked for first: PS3.18 leaves it to the server whether an object that it has is replaced."""
        if self._is_there(session, document):
            return already_there(file, where(self.to), self._compare(session, document))
        boundary = uuid.uuid4().hex
        answer = self._ask(
            session,
            "POST",
            "studies",
            data=_Multipart(file.path, boundary),
            headers={
                "Accept": JSON,
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            },
        )
        return self._result(file, answer)

    def _result(self, file: Part10, answer: requests.Response) -> StoreResult:
        """PS3.18 10.5.3: the response says what became of each object, whatever its own status is."""
        name, status = where(self.to), answer.status_code
        said = answer_of(answer)
        failure = _reason(said, _FAILED, file.sop_instance_uid, _FAILURE)
        if failure is not None and classify(failure) is StatusClass.TEMPORARY:
            return postponed(file, f"{name} cannot take the object now: {describe(failure)}", status=failure)
        if failure is not None and classify(failure) is StatusClass.PERMANENT:
            return refused(file, f"{name} refused the object: {describe(failure)}", status=failure)
        if failure is not None:
            return stored(file, f"{name} keeps the object: {describe(failure)}", status=failure)
        if not 200 <= status < 300:
            comment = plain(answer)
            words = without_identity(comment)
            return refused(
                file, f"{name} refused the object ({status}{': ' if words else ''}{words})", status=status, comment=comment
            )
        warning = _reason(said, _REFERENCED, file.sop_instance_uid, _WARNING)
        return stored(file, f"{name} keeps the object: {describe(warning)}" if warning else "")

    def _is_there(self, session: requests.Session, document: Document) -> bool:
        """False, too, of a server that stores and answers no queries."""
        try:
            return self._is_listed(session, document)
        except PeerRefused as error:
            if error.status in (404, 405, 501):
                return False
            raise

    def _is_listed(self, session: requests.Session, document: Document) -> bool:
        """Only an answer that names the very object counts: servers exist that ignore a key and list the whole series."""
        uid = document.ref.sop_instance_uid
        path = f"studies/{document.study_instance_uid}/series/{document.series_instance_uid}/instances"
        answer = self._ask(session, "GET", path, params={"SOPInstanceUID": uid}, headers={"Accept": JSON}, missing=True)
        if answer.status_code in (204, 404):
            return False
        found = answer_of(answer)
        if answer.status_code != 200 or not isinstance(found, list):
            said = f"does not answer queries (QIDO-RS, {answer.status_code}); allow them there, or set verify to none"
            raise PeerRefused(f"{where(self.to)} {said}", status=answer.status_code)
        return any(value_of(item, _SOP_INSTANCE) == uid for item in found)

    def _compare(self, session: requests.Session, document: Document) -> Sameness | None:
        """None when the server does not hand it out."""
        uid = document.ref.sop_instance_uid
        path = f"studies/{document.study_instance_uid}/series/{document.series_instance_uid}/instances/{uid}"
        try:
            answer = self._ask(session, "GET", path, headers={"Accept": PART10})
            return compare(document.path, first_part(answer)) if answer.status_code == 200 else None
        except PeerRefused as error:
            if error.status in (404, 405, 501):
                return None
            raise
        except DataSetUnusable:
            return None

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        with requests.Session() as session:
            set_up(session, self.to)
            yield session

    def _ask(
        self, session: requests.Session, method: str, path: str, *, missing: bool = False, **more: Any
    ) -> requests.Response:
        """One request; its answer unless the status speaks of the destination. `missing`: 404 is an answer."""
        return ask(session, self.to, method, path, missing=missing, **more)


class _Multipart:
    """One Part 10 file as a multipart/related body of known length: some servers take no chunked one."""

    def __init__(self, path: Path, boundary: str) -> None:
        self._path = path
        self._head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + self._path.stat().st_size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        with self._path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
        yield self._tail


def first_part(answer: requests.Response) -> bytes:
    """The Part 10 file of an answer. DataSetUnusable when it holds none."""
    kind = Message()
    kind["Content-Type"] = answer.headers.get("Content-Type", "")
    if kind.get_content_type() == "application/dicom":
        return answer.content
    boundary = kind.get_boundary()
    if boundary is None:
        raise DataSetUnusable("the answer holds no object")
    marker = f"--{boundary}".encode()
    start = answer.content.find(b"\r\n\r\n", answer.content.find(marker))
    end = answer.content.find(b"\r\n" + marker, start + 4)
    if start < 0 or end < 0:
        raise DataSetUnusable("the answer holds no object")
    return answer.content[start + 4 : end]


def answer_of(answer: requests.Response) -> Any:
    """Its DICOM JSON; None when it is none."""
    if "json" not in answer.headers.get("Content-Type", ""):
        return None
    try:
        return answer.json()
    except requests.exceptions.JSONDecodeError:
        return None


def _reason(said: Any, sequence: str, sop_instance_uid: str, tag: str) -> int | None:
    """What a STOW-RS response says of this object in one of its sequences."""
    items = said.get(sequence, {}).get("Value", []) if isinstance(said, dict) else []
    for item in items:
        # A server that could not parse the object names no instance; only one was sent.
        if value_of(item, _REFERENCED_INSTANCE) in (sop_instance_uid, None):
            value = value_of(item, tag)
            return int(value) if isinstance(value, int) else None
    return None


def value_of(item: Any, tag: str) -> Any:
    values = item.get(tag, {}).get("Value") if isinstance(item, dict) else None
    return values[0] if values else None
