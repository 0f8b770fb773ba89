"""Images back from a DICOMweb server: QIDO-RS for instances, WADO-RS for their files (PS3.18 10.6 and 10.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from config.settings import Destination
from delivery.dicomweb import JSON, PART10, answer_of, first_part, value_of
from delivery.http import ask, set_up, where
from delivery.retrieve import Fetched, query_of
from domain.errors import DataSetUnusable, PeerRefused

_STUDY, _SERIES, _INSTANCE, _MODALITY = "0020000D", "0020000E", "00080018", "00080060"
_PAGE = 500  # answers at a time: servers cap them, and some say so nowhere


def fetch(
    to: Destination,
    keys: Mapping[str, str],
    folder: Path,
    *,
    modalities: Sequence[str],
    told: Callable[[int], None] | None = None,
) -> Fetched:
    """The objects of these modalities in the studies that match, as files in `folder`. Errors as for `delivery.retrieve`.

    keys: of the study, by keyword. told: called with the number of objects so far.
    """
    query_of(keys)  # ValueError for a word that is no attribute
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    missing = 0
    with requests.Session() as session:
        set_up(session, to)
        for place in _instances(session, to, keys, modalities):
            answer = ask(session, to, "GET", place, headers={"Accept": PART10}, missing=True)
            try:
                content = first_part(answer) if answer.status_code == 200 else None
            except DataSetUnusable:
                content = None
            if content is None:
                missing += 1
                continue
            path = folder / f"{len(paths):06d}.dcm"
            path.write_bytes(content)
            paths.append(path)
            if told is not None:
                told(len(paths))
    return Fetched(paths=tuple(paths), missing=missing)


def _instances(
    session: requests.Session, to: Destination, keys: Mapping[str, str], modalities: Sequence[str]
) -> Iterator[str]:
    for study in _all(session, to, "studies", keys):
        in_study = f"studies/{value_of(study, _STUDY)}/series"
        for series in _all(session, to, in_study, {}):
            if value_of(series, _MODALITY) not in modalities:
                continue
            in_series = f"{in_study}/{value_of(series, _SERIES)}/instances"
            for instance in _all(session, to, in_series, {}):
                yield f"{in_series}/{value_of(instance, _INSTANCE)}"


def _all(session: requests.Session, to: Destination, path: str, keys: Mapping[str, str]) -> list[dict[str, Any]]:
    """Page by page, until one brings nothing new: servers exist that ignore the offset."""
    found: dict[str, dict[str, Any]] = {}
    while True:
        parameters = {**keys, "limit": str(_PAGE), "offset": str(len(found))}
        answer = ask(session, to, "GET", path, params=parameters, headers={"Accept": JSON})
        page = [] if answer.status_code == 204 else answer_of(answer)
        if answer.status_code not in (200, 204) or not isinstance(page, list):
            said = f"does not answer queries (QIDO-RS, {answer.status_code}); allow them there"
            raise PeerRefused(f"{where(to)} {said}", status=answer.status_code)
        before = len(found)
        for one in page:
            found.setdefault(str([value_of(one, tag) for tag in (_STUDY, _SERIES, _INSTANCE)]), one)
        if len(page) < _PAGE or len(found) == before:
            return list(found.values())
