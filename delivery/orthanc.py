"""Orthanc by its own REST interface: no association, the file arrives byte for byte, and can be compared there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from orthanc_api_client import OrthancApiClient
from orthanc_api_client.exceptions import HttpError, OrthancApiException

from config.settings import Destination
from delivery.http import fault_of, plain, set_up, unreachable, where
from delivery.part10 import Part10
from delivery.result import StoreResult, already_there, readable, refused, stored
from delivery.sameness import Sameness, compare
from delivery.sender import Answered, Check, Wanted
from delivery.words import without_identity
from domain.errors import DataSetUnusable, PeerRefused, PeerUnavailable
from domain.types import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthancSender:
    to: Destination

    @property
    def read_back_by(self) -> str:
        return "its REST interface"

    def send(self, documents: Sequence[Document], *, wanted: Wanted, answered: Answered) -> None:
        with self._client() as client:
            for document in documents:
                if not wanted(document):
                    continue
                file = readable(document.path)
                answered(document, file if isinstance(file, StoreResult) else self._send(client, file))

    def found(self, documents: Sequence[Document]) -> frozenset[str]:
        with self._client() as client:
            there = {
                item.ref.sop_instance_uid: self._there(client, item.path, item.ref.sop_instance_uid) for item in documents
            }
        return frozenset(uid for uid, same in there.items() if same in (Sameness.SAME, Sameness.COERCED))

    def check(self) -> Check:
        with self._client() as client:
            system = self._json(lambda: client.get("system", allow_redirects=False))
        if not isinstance(system, dict) or "ApiVersion" not in system:
            raise PeerRefused(f"{where(self.to)} is no Orthanc; check url")
        return Check(says=f"Orthanc {system.get('Version', '')} takes every DICOM object")

    def _send(self, client: OrthancApiClient, file: Part10) -> StoreResult:
        """Looked for first: an Orthanc with OverwriteInstances would replace what it has, one without answers as if it kept
        ours."""
        there = self._there(client, file.path, file.sop_instance_uid)
        if there is None:
            try:
                with file.path.open("rb") as body:
                    answer = self._json(lambda: client.post("instances", data=body, allow_redirects=False))
            except _Refusal as refusal:
                words = without_identity(refusal.words)
                said = f"{where(self.to)} refused the object ({refusal.status}" + (f": {words})" if words else ")")
                return refused(file, said, status=refusal.status, comment=refusal.words)
            status = answer.get("Status") if isinstance(answer, dict) else None
            if status == "Success":
                return stored(file)
            if status != "AlreadyStored":
                said = without_identity(str(status)) if status else "it does not say why"
                return refused(file, f"{where(self.to)} did not keep the object: {said}")
            there = self._there(client, file.path, file.sop_instance_uid)
        return already_there(file, where(self.to), there)

    def _there(self, client: OrthancApiClient, ours: Path, sop_instance_uid: str) -> Sameness | None:
        """How what it holds under the UID compares to our file; None when it holds nothing."""
        found = self._json(lambda: client.post("tools/lookup", data=sop_instance_uid, allow_redirects=False))
        best = None
        for item in found if isinstance(found, list) else []:
            if item.get("Type") != "Instance":
                continue
            same = self._compare(client, ours, item["ID"])
            if same is Sameness.SAME:
                return same
            best = same if best is not Sameness.COERCED else best
        return best

    def _compare(self, client: OrthancApiClient, ours: Path, orthanc_id: str) -> Sameness:
        path = f"instances/{orthanc_id}"
        md5 = self._ask(lambda: client.get(f"{path}/attachments/dicom/md5", allow_redirects=False)).text
        with ours.open("rb") as file:
            if md5 == hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest():
                return Sameness.SAME
        theirs = self._ask(lambda: client.get(f"{path}/file", allow_redirects=False)).content
        try:
            return compare(ours, theirs)
        except DataSetUnusable:
            return Sameness.OTHER

    def _client(self) -> closing[OrthancApiClient]:
        client = OrthancApiClient(self.to.url.rstrip("/") + "/")  # it joins paths to the address as a browser would
        # The client (0.25) has no public way to set time-outs, certificates and retries for all of its requests.
        set_up(client._http_session, self.to)
        return closing(client)

    def _json(self, request: Callable[[], Any]) -> Any:
        try:
            return self._ask(request).json()
        except requests.exceptions.JSONDecodeError:
            raise PeerRefused(f"{where(self.to)} is no Orthanc; check url") from None

    def _ask(self, request: Callable[[], Any]) -> requests.Response:
        """One request; _Refusal when its status speaks of what was asked and not of the destination."""
        try:
            response: requests.Response | None = request()
        except HttpError as error:
            # Its own text quotes the answer, which may name the animal.
            answer = error.request_response
            fault = fault_of(self.to, error.http_status_code, {} if answer is None else answer.headers)
            if fault is None:
                words = (error.msg or "") if answer is None else plain(answer)
                fault = _Refusal(f"{where(self.to)} refused a request", status=error.http_status_code, words=words)
            raise fault from None
        except OrthancApiException as error:
            raise unreachable(self.to, _met(error)) from None
        except OSError as error:  # a RequestException, or the system's own when `ca_file` cannot be read
            raise unreachable(self.to, error) from None
        if response is None:  # the client (0.25) swallows what is neither a broken connection nor a time-out
            raise PeerUnavailable(f"{where(self.to)} broke off its answer")
        return response


class _Refusal(PeerRefused):
    def __init__(self, message: str, *, status: int, words: str) -> None:
        super().__init__(f"{message} ({status})", status=status)
        self.words = words


def _met(error: OrthancApiException) -> Exception:
    """The client raises its own while it handles the one that tells more."""
    return error.__context__ if isinstance(error.__context__, Exception) else error
