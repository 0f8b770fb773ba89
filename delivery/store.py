"""C-STORE: files to a peer, each data set as it is on disk wherever the peer takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from delivery.part10 import Part10, encodings, reencode
from delivery.result import StoreResult as StoreResult
from delivery.result import StoreState as StoreState
from delivery.result import readable, refused
from delivery.status import StatusClass, classify, describe
from delivery.words import without_identity
from domain.errors import DataSetUnusable
from domain.types import Peer

_MEDIUM_PRIORITY = 0


Wanted = Callable[[Path], bool]
Stored = Callable[[Path, StoreResult], None]


def store(
    paths: Sequence[Path],
    peer: Peer,
    *,
    timeout_seconds: float,
    wanted: Wanted | None = None,
    stored: Stored | None = None,
) -> list[StoreResult]:
    """Send the files in this order over one association, or as many as their encodings need.

    What becomes of an object is its result; `stored` hears of each at once, so that a later failure loses no answer.
    `wanted` is asked just before each, and one that is not wanted is passed over.
    PeerUnavailable and PeerRefused: see `associate`; AssociationLost when it broke at the file after the last one heard of;
    OSError when this machine is out of something, such as file descriptors.
    """
    results: dict[int, StoreResult] = {}

    def note(index: int, result: StoreResult) -> None:
        results[index] = result
        if stored is not None:
            stored(result.path, result)

    def is_wanted(path: Path) -> bool:
        return wanted is None or wanted(path)

    for batch in _batches(paths):
        if isinstance(batch, _Unsent):
            if is_wanted(batch.result.path):
                note(batch.index, batch.result)
            continue
        try:
            with associate(peer, _contexts(file for _, file in batch), timeout_seconds=timeout_seconds) as link:
                for index, file in batch:
                    if is_wanted(file.path):
                        note(index, _send(link, file))
        except NothingAccepted as refusal:
            for index, file in batch:
                if is_wanted(file.path):
                    note(index, _not_accepted(file, peer, knows=knows_class(refusal.rejected, file.sop_class_uid)))
    return [results[index] for index in sorted(results)]


def send_document(path: Path, peer: Peer, *, timeout_seconds: float) -> StoreResult:
    """`store` for one file."""
    return store([path], peer, timeout_seconds=timeout_seconds)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unsent:
    """A file that is no object."""

    index: int
    result: StoreResult


def _batches(paths: Sequence[Path]) -> Iterator[list[tuple[int, Part10]] | _Unsent]:
    """Runs of files whose contexts fit one association, and between them the files that are no objects."""
    batch: list[tuple[int, Part10]] = []
    offered: set[tuple[str, str]] = set()
    for index, path in enumerate(paths):
        file = readable(path)
        more = set[tuple[str, str]]()
        if isinstance(file, Part10):
            more = {(file.sop_class_uid, uid) for uid in encodings(file)}
        if batch and (not more or len(offered | more) > MAX_CONTEXTS):
            yield batch
            batch, offered = [], set()
        if isinstance(file, StoreResult):
            yield _Unsent(index=index, result=file)
        else:
            batch.append((index, file))
            offered |= more
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
            return refused(file, f"{name_of(link.peer)} does not take {UID(file.transfer_syntax_uid).name}, and {error}")
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
    comment = str(response.ErrorComment or "")
    kind = classify(status)
    said = describe(status) + (f": {without_identity(comment)}" if comment else "")
    if kind is StatusClass.PERMANENT:
        state, reason = StoreState.REFUSED, f"{name_of(peer)} refused the object with status {said}"
    elif kind is StatusClass.TEMPORARY:
        state, reason = StoreState.POSTPONED, f"{name_of(peer)} cannot take the object now: status {said}"
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
        comment=comment,
        sent_as_uid=sent_as_uid,
        converted=converted,
    )


def _not_accepted(file: Part10, peer: Peer, *, knows: bool) -> StoreResult:
    sop_class, syntax = UID(file.sop_class_uid).name, UID(file.transfer_syntax_uid).name
    if knows:
        what = f"takes {sop_class}, but neither as {syntax} nor uncompressed"
    else:
        what = f"does not take {sop_class}; enable it there"
    return refused(file, f"{name_of(peer)} {what}")
