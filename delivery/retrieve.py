"""Images back from an archive: C-FIND for series, C-GET for their objects (PS3.4 C.4.1 and C.4.3), Study Root.

C-GET brings the objects over the association that asked for them: the archive need not know this node's address.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    XRayRadiofluoroscopicImageStorage,
)
from pynetdicom import build_role, evt
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from delivery.association import Link, NothingAccepted, associate, contexts_for, name_of
from delivery.status import describe
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import Peer

RADIOGRAPHS = ("DX", "CR", "DR", "RG", "RF")  # (0008,0060) of series that are fetched
REPORTS = "SR"
_PENDING = (0xFF00, 0xFF01)
_NO_ROOM = 0xA700
_IMAGES = (
    *(DigitalXRayImageStorageForPresentation, DigitalXRayImageStorageForProcessing, ComputedRadiographyImageStorage),
    XRayRadiofluoroscopicImageStorage,
)
_DOCUMENTS = (ComprehensiveSRStorage, Comprehensive3DSRStorage, EnhancedSRStorage)
_NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
_COMPRESSED = (*(JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless, JPEGBaseline8Bit, JPEGExtended12Bit),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    study_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """missing: objects that the archive named and could not send."""

    paths: tuple[Path, ...]
    missing: int


def query_of(keys: Mapping[str, str]) -> Dataset:
    """A query's keys by keyword, such as {"StudyDate": "20260101-"}. ValueError for a word that is no attribute."""
    query = Dataset()
    for keyword, value in keys.items():
        if tag_for_keyword(keyword) is None:
            raise ValueError(f"there is no attribute {keyword}; a query names such as StudyDate or StudyInstanceUID")
        setattr(query, keyword, value)
    return query


def find_series(keys: Mapping[str, str], peer: Peer, *, modalities: Sequence[str], timeout_seconds: float) -> list[Series]:
    """The series of these modalities in the studies that match. keys: of the STUDY level.

    PeerRefused when it answers no queries, PeerUnavailable as `associate`, or when an answer stays out.
    """
    context = build_context(StudyRootQueryRetrieveInformationModelFind)
    query = query_of({"StudyInstanceUID": "", **keys})
    query.QueryRetrieveLevel = "STUDY"
    found = []
    try:
        with associate(peer, [context], timeout_seconds=timeout_seconds) as link:
            for study in sorted({str(one.get("StudyInstanceUID", "")) for one in _answers(link, query)} - {""}):
                of_study = Dataset()
                of_study.QueryRetrieveLevel, of_study.StudyInstanceUID = "SERIES", study
                of_study.SeriesInstanceUID, of_study.Modality = "", ""
                found += [
                    Series(study_instance_uid=study, series_instance_uid=str(one.SeriesInstanceUID))
                    for one in _answers(link, of_study)
                    if one.get("SeriesInstanceUID") and str(one.get("Modality", "")) in modalities
                ]
    except NothingAccepted as error:
        raise PeerRefused(f"{name_of(peer)} does not answer queries (Study Root C-FIND); allow them there") from error
    return found


def get(
    series: Sequence[Series],
    peer: Peer,
    folder: Path,
    *,
    timeout_seconds: float,
    told: Callable[[int], None] | None = None,
) -> Fetched:
    """The objects of these series as files in `folder`, over one association. told: called with their number so far.

    PeerRefused when the peer offers no C-GET or fails it for good; PeerUnavailable as `associate`, or when it falls silent:
    what had come by then lies in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []

    def on_store(event: evt.Event) -> int:
        path = folder / f"{len(paths):06d}.dcm"
        try:
            path.write_bytes(event.encoded_dataset())
        except OSError:
            return _NO_ROOM
        paths.append(path)
        if told is not None:
            told(len(paths))
        return 0x0000

    missing = 0
    try:
        with associate(
            peer,
            [build_context(StudyRootQueryRetrieveInformationModelGet), *_storage()],
            timeout_seconds=timeout_seconds,
            handlers=[(evt.EVT_C_STORE, on_store)],
            roles=[build_role(UID(sop_class), scp_role=True) for sop_class in (*_IMAGES, *_DOCUMENTS)],
        ) as link:
            if not link.accepted(StudyRootQueryRetrieveInformationModelGet):
                raise PeerRefused(f"{name_of(peer)} does not send images back (Study Root C-GET); allow it there")
            for one in series:
                missing += _get_one(link, one)
    except NothingAccepted as error:
        raise PeerRefused(f"{name_of(peer)} does not send images back (Study Root C-GET); allow it there") from error
    return Fetched(paths=tuple(paths), missing=missing)


def _storage() -> list[PresentationContext]:
    return [
        context
        for sop_class in (*_IMAGES, *_DOCUMENTS)
        for context in contexts_for(sop_class, (*_NATIVE, *_COMPRESSED) if sop_class in _IMAGES else _NATIVE)
    ]


def _answers(link: Link, query: Dataset) -> Iterator[Dataset]:
    peer = name_of(link.peer)
    if not link.association.is_established:
        raise PeerUnavailable(f"{peer} closed the association between two queries")
    deadline = time.monotonic() + link.timeout_seconds
    link.association.dimse_timeout = link.timeout_seconds
    for status, identifier in link.association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind):
        code = status.get("Status")
        if code is None:
            raise PeerUnavailable(f"{peer} did not answer a query within {link.timeout_seconds:g} s, or broke it off")
        if code in _PENDING:
            deadline = time.monotonic() + link.timeout_seconds
            if identifier is not None:
                yield identifier
        elif code & 0xFF00 == 0xA700:
            raise PeerUnavailable(f"{peer} cannot answer queries now: status {describe(code)}")
        elif code != 0x0000:
            raise PeerRefused(f"{peer} failed a query with status {describe(code)}", status=code)
        if time.monotonic() > deadline:
            raise PeerUnavailable(f"{peer} did not end its answer to a query")


def _get_one(link: Link, series: Series) -> int:
    """Returns how many objects of the series did not come."""
    peer = name_of(link.peer)
    if not link.association.is_established:
        raise PeerUnavailable(f"{peer} closed the association between two series")
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID, query.SeriesInstanceUID = series.study_instance_uid, series.series_instance_uid
    link.association.dimse_timeout = link.timeout_seconds
    for status, _ in link.association.send_c_get(query, StudyRootQueryRetrieveInformationModelGet):
        code = status.get("Status")
        if code is None:
            raise PeerUnavailable(f"{peer} fell silent for {link.timeout_seconds:g} s while it sent images, or broke it off")
        if code in _PENDING:
            continue
        if code in (0x0000, 0xB000):  # all came; or some failed, as the numbers say
            return int(status.get("NumberOfFailedSuboperations") or 0)
        if code & 0xFF00 == 0xA700 and code != 0xA702:
            raise PeerUnavailable(f"{peer} cannot send images now: status {describe(code)}")
        if code == 0xA702:  # it could perform none of the sub-operations
            return int(status.get("NumberOfFailedSuboperations") or 1)
        raise PeerRefused(f"{peer} failed to send images with status {describe(code)}", status=code)
    return 0
