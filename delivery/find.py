"""Is the object really there: C-FIND at IMAGE level, Study Root (PS3.4 C.6.2)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from delivery.association import Link, NothingAccepted, associate, name_of
from delivery.status import describe
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import Peer

_PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """An object and its parents: archives exist that answer 0xA900 to an IMAGE query without them (pynetdicom's qrscp)."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


def find_filed(objects: Iterable[Whereabouts], peer: Peer, *, timeout_seconds: float) -> frozenset[str]:
    """The SOP Instance UIDs among these that the peer finds, asked over one association.

    PeerRefused when it offers no C-FIND or fails the query for good; PeerUnavailable as `associate`, and when the peer is
    out of resources.
    """
    context = build_context(StudyRootQueryRetrieveInformationModelFind)
    try:
        with associate(peer, [context], timeout_seconds=timeout_seconds) as link:
            return frozenset(item.sop_instance_uid for item in objects if _is_there(link, item))
    except NothingAccepted as error:
        raise PeerRefused(
            f"{name_of(peer)} does not answer queries (Study Root C-FIND); allow them there, or set verify to none"
        ) from error


def _is_there(link: Link, item: Whereabouts) -> bool:
    """Only an answer that names the very object counts: archives exist that ignore a key and list the whole study."""
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = item.study_instance_uid
    query.SeriesInstanceUID = item.series_instance_uid
    query.SOPInstanceUID = item.sop_instance_uid
    peer = name_of(link.peer)
    if not link.association.is_established:
        raise PeerUnavailable(f"{peer} closed the association between two queries")
    found = False
    deadline = time.monotonic() + link.timeout_seconds
    link.association.dimse_timeout = link.timeout_seconds
    for status, identifier in link.association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind):
        code = status.get("Status")
        if code is None:
            raise PeerUnavailable(f"{peer} did not answer a query within {link.timeout_seconds:g} s, or broke it off")
        if code in _PENDING:
            found = found or (identifier is not None and identifier.get("SOPInstanceUID") == item.sop_instance_uid)
            if time.monotonic() > deadline:
                raise PeerUnavailable(f"{peer} did not end its answer to a query within {link.timeout_seconds:g} s")
        elif code & 0xFF00 == 0xA700:
            raise PeerUnavailable(f"{peer} cannot answer queries now: status {describe(code)}")
        elif code != 0x0000:
            raise PeerRefused(f"{peer} failed a query with status {describe(code)}", status=code)
    return found
