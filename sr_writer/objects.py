"""What every result object shares: patient and study from the source, the node as equipment, pinned times, and a SOP
Instance UID that follows from all that decides its bytes.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import uuid
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, Identity, digest
from domain.types import Document, DocumentKind, InstanceRef, Style
from sr_writer import charset
from sr_writer.header import PATIENT, STUDY, Header

DEFAULT_STYLE = Style()
MANUFACTURER = "Houndsfield"
MODEL_NAME = "HOUNDSFIELD"
PRODUCT_VERSION = version("houndsfield")
WRITER_VERSION = "1"  # counted up when the same answer is to be written differently
TYPE_2 = (  # empty where the source is silent
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "ReferringPhysicianName",
)
# PS3.3 C.7.1.1: any of these is an animal's
OF_ANIMALS = tuple(keyword for keyword in PATIENT if re.search("Species|Breed|Neutered|Responsible", keyword))
SPECIES = ("PatientSpeciesDescription", "PatientSpeciesCodeSequence")
# type 2C for one: present, if empty
ANIMAL_2C = ("PatientBreedDescription", "PatientSexNeutered", "ResponsiblePerson", "ResponsibleOrganization")
ANIMAL_2C_SEQUENCES = ("PatientBreedCodeSequence", "BreedRegistrationSequence")


def result(
    header: Header,
    *,
    sop_class_uid: str,
    study_instance_uid: str,
    series_instance_uid: str,
    series_number: int,
    series_description: str,
    instance_number: int,
    made_at: datetime,
) -> Dataset:
    """Patient, study, series, equipment and SOP common modules; the caller adds what its own IOD wants.

    made_at: its wall clock is written, as the source's times are. Series Date and Time are not (type 3): a series holds
    documents of different times.
    """
    ds = Dataset()
    for keyword in TYPE_2:
        setattr(ds, keyword, "")
    for keyword in (*PATIENT, *STUDY):
        if keyword in header.attributes:
            setattr(ds, keyword, deepcopy(header.attributes[keyword].value))
    if any(keyword in ds for keyword in OF_ANIMALS):
        if not any(keyword in ds for keyword in SPECIES):  # type 1C
            ds.PatientSpeciesDescription = "UNKNOWN"
        for keyword in (*ANIMAL_2C, *ANIMAL_2C_SEQUENCES):
            if keyword not in ds:
                setattr(ds, keyword, [] if keyword in ANIMAL_2C_SEQUENCES else "")
    ds.SOPClassUID = sop_class_uid
    ds.StudyInstanceUID = study_instance_uid
    ds.SeriesInstanceUID = series_instance_uid
    ds.SeriesNumber = series_number
    ds.SeriesDescription = series_description
    ds.InstanceNumber = instance_number
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = MODEL_NAME
    ds.SoftwareVersions = PRODUCT_VERSION
    ds.InstanceCreationDate = ds.ContentDate = made_at.strftime("%Y%m%d")
    ds.InstanceCreationTime = ds.ContentTime = made_at.strftime("%H%M%S")
    return ds


def write(
    ds: Dataset,
    *,
    kind: DocumentKind,
    header: Header,
    inputs: Mapping[str, Any],
    identity: Identity,
    directory: Path,
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
) -> Document:
    """Choose the character set, derive the UID, write durably (temporary file, fsync, rename).

    inputs: what the document was made from. They and the document's own bytes decide its UID, so that neither another
    source nor another version of a library or a font can put other content under a UID that is out already.
    """
    charset.declare(ds, charset.choose(header.character_set, ds))
    content = hashlib.sha256(_encode(ds, transfer_syntax_uid)).hexdigest()
    key = digest({"kind": kind.value, "writer": WRITER_VERSION, "content": content, "inputs": canonical(inputs)})
    ds.SOPInstanceUID = identity.uid(key, kind.value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    ds.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    ds.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = io.BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    path = directory / f"{ds.SOPInstanceUID}.dcm"
    save(path, buffer.getvalue())
    return Document(
        kind=kind,
        ref=InstanceRef(sop_class_uid=ds.SOPClassUID, sop_instance_uid=ds.SOPInstanceUID),
        study_instance_uid=ds.StudyInstanceUID,
        series_instance_uid=ds.SeriesInstanceUID,
        path=path,
        sha256=hashlib.sha256(buffer.getbuffer()).hexdigest(),
    )


def _encode(ds: Dataset, transfer_syntax_uid: str) -> bytes:
    buffer = io.BytesIO()
    implicit = False  # every result is written with explicit VRs
    dcmwrite(buffer, ds, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    return transfer_syntax_uid.encode() + buffer.getvalue()


def reference(ref: InstanceRef) -> Dataset:
    """An item of a sequence that names instances (PS3.3 table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = ref.sop_class_uid
    item.ReferencedSOPInstanceUID = ref.sop_instance_uid
    if ref.frame_number is not None:
        item.ReferencedFrameNumber = ref.frame_number
    return item


def references(study_instance_uid: str, instances: Iterable[tuple[str, InstanceRef]]) -> Dataset:
    """A study's instances below their series (PS3.3 C.17.2.1). instances: each with its Series Instance UID, in order."""
    by_series: dict[str, list[Dataset]] = {}
    for series, ref in instances:
        by_series.setdefault(series, []).append(reference(ref))
    study = Dataset()
    study.StudyInstanceUID = study_instance_uid
    study.ReferencedSeriesSequence = []
    for series, items in by_series.items():
        item = Dataset()
        item.SeriesInstanceUID = series
        item.ReferencedSOPSequence = items
        study.ReferencedSeriesSequence.append(item)
    return study


def predecessor(document: Document) -> Dataset:
    """An item of Predecessor Documents Sequence."""
    return references(document.study_instance_uid, [(document.series_instance_uid, document.ref)])


def variant(style: Style) -> list[str]:
    """What tells the series of another style from the default one's: two languages may meet in one PACS."""
    return [] if style == DEFAULT_STYLE else [digest(canonical(style))]


def canonical(value: Any) -> Any:
    """Domain objects as plain JSON values; where a file lies is no part of what it holds."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: canonical(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Path):
        return None
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): canonical(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(inner) for inner in value]
    return value


def save(path: Path, content: bytes) -> None:
    """Durable when it returns; an interrupted call leaves no half file under the name. OSError when it cannot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by process number: containers that share the folder share the numbers too.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with temporary.open("wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
