"""C-STORE: files to a peer, each data set as it is on disk wherever the peer takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from io import BytesIO
from pathlib import Path

from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext

from delivery.association import (
    MAX_CONTEXTS,
    Link,
    NothingAccepted,
    associate,
    contexts_for,
    knows_class,
    name_of,
)
from delivery.part10 import Part10, encodings, identify, reencode
from delivery.status import StatusClass, classify, describe
from domain.errors import DataSetUnusable
from domain.types import Peer

_MEDIUM_PRIORITY = 0


class StoreState(StrEnum):
    STORED = "STORED"  # the peer says that it keeps the object
    POSTPONED = "POSTPONED"  # it cannot take the object now: try again
    REFUSED = "REFUSED"  # trying again cannot help


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreResult:
    """What became of one file.

    reason: one plain sentence, "" when stored without any remark; safe to log.
    comment: the peer's own words (0000,0902); hidden from repr, because a peer may name the animal in it.
    sent_as_uid: the transfer syntax that was used, "" when nothing was sent.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    state: StoreState
    status: int | None = None
    reason: str = ""
    comment: str = field(default="", repr=False)
    sent_as_uid: str = ""
    converted: bool = False  # re-encoded for this peer; the pixels are unchanged


Stored = Callable[[Path, StoreResult], None]


def store(paths: Sequence[Path], peer: Peer, *, timeout_seconds: float, stored: Stored | None = None) -> list[StoreResult]:
    """Send the files in this order over one association, or as many as their encodings need.

    What becomes of an object is its result; `stored` hears of each at once, so that a later failure loses no answer.
    PeerUnavailable and PeerRefused: see `associate`; AssociationLost when it broke at the file after the last one heard of;
    OSError when this machine is out of something, such as file descriptors.
    """
    results: dict[int, StoreResult] = {}

    def note(index: int, result: StoreResult) -> None:
        results[index] = result
        if stored is not None:
            stored(result.path, result)

    for batch in _batches(paths, note):
        contexts = _contexts(file for _, file in batch)
        try:
            with associate(peer, contexts, timeout_seconds=timeout_seconds) as link:
                for index, file in batch:
                    note(index, _send(link, file))
        except NothingAccepted as refusal:
            for index, file in batch:
                note(index, _not_accepted(file, peer, knows=knows_class(refusal.rejected, file.sop_class_uid)))
    return [results[index] for index in sorted(results)]


def send_document(path: Path, peer: Peer, *, timeout_seconds: float) -> StoreResult:
    """`store` for one file."""
    return store([path], peer, timeout_seconds=timeout_seconds)[0]


def _batches(paths: Sequence[Path], note: Callable[[int, StoreResult], None]) -> Iterator[list[tuple[int, Part10]]]:
    """Runs of files whose contexts fit one association; files that are no objects are answered on the way."""
    batch: list[tuple[int, Part10]] = []
    wanted: set[tuple[str, str]] = set()
    for index, path in enumerate(paths):
        try:
            file = identify(path)
        except (DataSetUnusable, FileNotFoundError, PermissionError, IsADirectoryError) as error:
            reason = error.strerror or "cannot be read" if isinstance(error, OSError) else str(error)
            note(
                index,
                StoreResult(
                    path=path,
                    sop_class_uid="",
                    sop_instance_uid="",
                    state=StoreState.REFUSED,
                    reason=f"the file was not sent: {reason}",
                ),
            )
            continue
        more = {(file.sop_class_uid, uid) for uid in encodings(file)}
        if batch and len(wanted | more) > MAX_CONTEXTS:
            yield batch
            batch, wanted = [], set()
        batch.append((index, file))
        wanted |= more
    if batch:
        yield batch


def _contexts(files: Iterator[Part10]) -> list[PresentationContext]:
    """Each SOP class with the encodings its files have first, then those that they could be converted to."""
    wanted: dict[str, dict[str, None]] = {}
    fallbacks: dict[str, dict[str, None]] = {}
    for file in files:
        own, *others = encodings(file)
        wanted.setdefault(file.sop_class_uid, {})[own] = None
        fallbacks.setdefault(file.sop_class_uid, {}).update(dict.fromkeys(others))
    return [
        context
        for sop_class_uid, syntaxes in wanted.items()
        for context in contexts_for(sop_class_uid, list(syntaxes | fallbacks[sop_class_uid]))
    ]


def _send(link: Link, file: Part10) -> StoreResult:
    accepted = {context.transfer_syntax_uid: context.context_id for context in link.accepted(file.sop_class_uid)}
    usable = next((uid for uid in encodings(file) if uid in accepted), None)
    if usable is None:
        return _not_accepted(file, link.peer, knows=link.knows(file.sop_class_uid))
    request = C_STORE()
    request.AffectedSOPClassUID = UID(file.sop_class_uid)
    request.AffectedSOPInstanceUID = UID(file.sop_instance_uid)
    request.Priority = _MEDIUM_PRIORITY
    converted = usable != file.transfer_syntax_uid
    size_bytes = file.size_bytes
    if converted:
        try:
            data_set = reencode(file, usable)
        except DataSetUnusable as error:
            return _refused(file, f"{name_of(link.peer)} does not take {UID(file.transfer_syntax_uid).name}, and {error}")
        request.DataSet = BytesIO(data_set)
        size_bytes = len(data_set)
    elif file.size_bytes % 2:
        # A truncated object, or a deflated one without its padding. A last fragment of odd length is against PS3.8 annex
        # E, and DCMTK aborts at it: one null is added, as PS3.5 A.5 has it for deflated data sets.
        request.DataSet = BytesIO(file.path.read_bytes()[file.offset :] + b"\0")
    else:
        # pynetdicom then reads the data set from the file, PDU by PDU, and decodes nothing (3.0.4; its public way to this
        # is the global STORE_SEND_CHUNKED_DATASET).
        request._dataset_path = (file.path, file.offset)
    response = link.c_store(request, accepted[usable], size_bytes=size_bytes)
    return _result(file, link.peer, response, sent_as_uid=usable, converted=converted)


def _result(file: Part10, peer: Peer, response: C_STORE, *, sent_as_uid: str, converted: bool) -> StoreResult:
    status = int(response.Status or 0)
    kind = classify(status)
    if kind is StatusClass.PERMANENT:
        state, reason = StoreState.REFUSED, f"{name_of(peer)} refused the object with status {describe(status)}"
    elif kind is StatusClass.TEMPORARY:
        state, reason = StoreState.POSTPONED, f"{name_of(peer)} cannot take the object now: status {describe(status)}"
    elif kind is StatusClass.WARNING:
        state, reason = StoreState.STORED, f"{name_of(peer)} keeps the object with status {describe(status)}"
    else:
        state, reason = StoreState.STORED, ""
    if converted and state is StoreState.STORED and not reason:
        source, target = UID(file.transfer_syntax_uid).name, UID(sent_as_uid).name
        reason = f"{name_of(peer)} does not take {source}: sent as {target}, its pixels unchanged"
    return StoreResult(
        path=file.path,
        sop_class_uid=file.sop_class_uid,
        sop_instance_uid=file.sop_instance_uid,
        state=state,
        status=status,
        reason=reason,
        comment=str(response.ErrorComment or ""),
        sent_as_uid=sent_as_uid,
        converted=converted,
    )


def _not_accepted(file: Part10, peer: Peer, *, knows: bool) -> StoreResult:
    sop_class, syntax = UID(file.sop_class_uid).name, UID(file.transfer_syntax_uid).name
    if knows:
        what = f"takes {sop_class}, but neither as {syntax} nor uncompressed"
    else:
        what = f"does not take {sop_class}; enable it there"
    return _refused(file, f"{name_of(peer)} {what}")


def _refused(file: Part10, reason: str) -> StoreResult:
    return StoreResult(
        path=file.path,
        sop_class_uid=file.sop_class_uid,
        sop_instance_uid=file.sop_instance_uid,
        state=StoreState.REFUSED,
        reason=reason,
    )
