"""`analyse`: the same answers and documents from files, without network, ledger or clock.

A second run makes the same bytes: the UIDs' namespace is fixed, and the time of the analysis is the newest source image's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from domain.errors import ImageUnreadable
from domain.identity import Identity
from domain.types import Document, Evidence, Outcome, Reason, Report, Species
from inference.engine import Engine
from node.conclude import conclude, is_image, study_outcome, without_shadows
from node.writing import Before, Owed, Writing
from sr_writer import Header, read_header

NO_DATE = datetime(2000, 1, 1)
SHORT_UID = 16  # digits: among a million documents, a pair that shares them has odds of 1 to 20,000


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysedImage:
    evidence: Evidence
    header: Header
    study_instance_uid: str
    pixels: npt.NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysedStudy:
    study_instance_uid: str
    outcome: Outcome
    reason: Reason | None
    reports: tuple[Report, ...]
    documents: tuple[Document, ...]
    images: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A file that is no image to answer, and why in one sentence."""

    path: Path
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    studies: tuple[AnalysedStudy, ...]
    rejected: tuple[Rejected, ...]


def analyse_files(
    paths: Iterable[Path],
    engine: Engine,
    *,
    writing: Writing | None,
    assumed_species: Species,
    started: Callable[[Path], None] = lambda _path: None,
) -> Analysis:
    """Every path gets an answer: an image's, or why there is none. Documents are written when there is a `writing`."""
    studies: dict[str, list[AnalysedImage]] = {}
    rejected = []
    for path in _files(paths):
        started(path)
        image = _analyse(path, engine, assumed_species)
        if isinstance(image, Rejected):
            rejected.append(image)
        else:
            studies.setdefault(image.study_instance_uid, []).append(image)
    return Analysis(
        studies=tuple(_conclude(uid, images, writing) for uid, images in studies.items()),
        rejected=tuple(rejected),
    )


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]


def _analyse(path: Path, engine: Engine, assumed_species: Species) -> AnalysedImage | Rejected:
    try:
        seen = engine.look(path, assumed_species=assumed_species)
    except OSError as error:  # this machine is out of something, and nobody tries again later
        return Rejected(path=path, reason=ImageUnreadable("cannot_open", why=error.strerror or "unknown").reason)
    answer = seen.answer
    unread = answer.outcome is Outcome.FAILED and seen.radiograph is None
    if (unread or not answer.ref.sop_instance_uid) and answer.reason is not None:
        return Rejected(path=path, reason=answer.reason)
    evidence = Evidence(answer=without_shadows(answer), sha256=hashlib.sha256(path.read_bytes()).hexdigest(), path=path)
    if not is_image(evidence):
        return Rejected(path=path, reason=answer.reason or Reason(code="not_an_image"))
    header = read_header(path)
    # A file without a Study Instance UID is a study of its own.
    study = header.text("StudyInstanceUID") or Identity().uid("study of", evidence.sha256)
    return AnalysedImage(
        evidence=evidence,
        header=header,
        study_instance_uid=study,
        pixels=None if seen.radiograph is None else seen.radiograph.pixels,
    )


def _conclude(study_instance_uid: str, images: list[AnalysedImage], writing: Writing | None) -> AnalysedStudy:
    images = sorted(images, key=lambda image: image.evidence.answer.ref.sop_instance_uid)
    analysed_at = max(map(_taken_at, images))
    evidence = tuple(image.evidence for image in images)
    reports = conclude(study_instance_uid, evidence, revision=1, analysed_at=analysed_at)
    written: list[Owed] = []
    if writing is not None:
        for number, image in enumerate(images, start=1):
            written += writing.of_image(
                image.evidence,
                image.pixels,
                study_instance_uid=study_instance_uid,
                number=number,
                made_at=analysed_at,
            )
        of_images = [each.document for each in written]
        written += writing.of_study(reports, Before(newest=lambda _series: None, of_images=lambda _names: of_images))
    return AnalysedStudy(
        study_instance_uid=study_instance_uid,
        outcome=study_outcome(reports),
        reason=reports[0].reason,
        reports=tuple(reports),
        documents=tuple(_renamed(each.document) for each in written),
        images=evidence,
    )


def _renamed(document: Document) -> Document:
    """As a person looks for it in a folder: by kind, and by as much of its UID as keeps it apart."""
    kind, uid = document.kind.value.replace("_", "-"), document.ref.sop_instance_uid
    path = document.path.with_name(f"{kind}-{uid[-SHORT_UID:]}.dcm")
    document.path.replace(path)
    return replace(document, path=path)


def _taken_at(image: AnalysedImage) -> datetime:
    """When the image's study was made, as far as its header says."""
    date, time = image.header.text("StudyDate"), image.header.text("StudyTime")
    try:
        return datetime.strptime(date + (time[:6] if len(time) >= 6 else "000000"), "%Y%m%d%H%M%S")
    except ValueError:
        return NO_DATE
