"""A DICOM file on its way out: what it is, and its data set's bytes, untouched or re-encoded for a peer that needs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode, split_dataset

from domain.errors import DataSetUnusable

_PREAMBLE_BYTES = 128
_PREFIX = b"DICM"
_IDENTITY = ["SOPClassUID", "SOPInstanceUID"]
_LONGEST_UID = 64  # PS3.5 9.1; a longer one cannot be written into an association request
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
# Bytes per word of the VRs whose values are byte-swapped in a big-endian data set and that pydicom leaves as bytes.
_WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}

NATIVE = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part10:
    """A file whose data set starts at `offset`, as its file meta information describes it."""

    path: Path
    offset: int
    size_bytes: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def identify(path: Path) -> Part10:
    """Read only as far as a C-STORE needs. DataSetUnusable says why the file cannot be sent; OSError passes.

    A data set without file meta information, as old consoles and exports write it, is taken too when it names itself.
    """
    with path.open("rb") as file:
        start = file.read(_PREAMBLE_BYTES + len(_PREFIX))
    try:
        found = _with_meta(path) if start[_PREAMBLE_BYTES:] == _PREFIX else _bare(path)
    except (OSError, DataSetUnusable):
        raise
    except Exception as error:  # pydicom raises many kinds for broken files
        raise DataSetUnusable(f"its header cannot be read ({type(error).__name__})") from error
    if found.sop_class_uid == _MEDIA_DIRECTORY:
        raise DataSetUnusable("a directory of DICOM files (DICOMDIR), not an object")
    for name, value in (
        ("SOP Class UID", found.sop_class_uid),
        ("SOP Instance UID", found.sop_instance_uid),
        ("Transfer Syntax UID", found.transfer_syntax_uid),
    ):
        if not value:
            raise DataSetUnusable(f"it has no {name}")
        if len(value) > _LONGEST_UID:
            raise DataSetUnusable(f"its {name} is longer than {_LONGEST_UID} characters")
    if found.size_bytes <= 0:
        raise DataSetUnusable("its data set is empty")
    return found


def _with_meta(path: Path) -> Part10:
    meta, offset = split_dataset(path)
    transfer_syntax = _uid(meta, "TransferSyntaxUID")
    sop_class, sop_instance = _uid(meta, "MediaStorageSOPClassUID"), _uid(meta, "MediaStorageSOPInstanceUID")
    if transfer_syntax and not (sop_class and sop_instance):
        header = dcmread(path, stop_before_pixels=True, specific_tags=_IDENTITY)
        sop_class = sop_class or _uid(header, "SOPClassUID")
        sop_instance = sop_instance or _uid(header, "SOPInstanceUID")
    return Part10(
        path=path,
        offset=offset,
        size_bytes=path.stat().st_size - offset,
        sop_class_uid=sop_class,
        sop_instance_uid=sop_instance,
        transfer_syntax_uid=transfer_syntax,
    )


def _bare(path: Path) -> Part10:
    """A data set from the first byte on; its encoding shows in the bytes, compression cannot."""
    try:
        header = dcmread(path, force=True, stop_before_pixels=True, specific_tags=_IDENTITY)
        sop_class, sop_instance = _uid(header, "SOPClassUID"), _uid(header, "SOPInstanceUID")
    except OSError:
        raise
    except Exception as error:  # pydicom raises many kinds for what is no data set
        raise DataSetUnusable("not a DICOM file") from error
    if not (sop_class and sop_instance and UID(sop_instance).is_valid) or header.file_meta:
        raise DataSetUnusable("not a DICOM file")
    implicit, little_endian = header.original_encoding
    native = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return Part10(
        path=path,
        offset=0,
        size_bytes=path.stat().st_size,
        sop_class_uid=sop_class,
        sop_instance_uid=sop_instance,
        transfer_syntax_uid=str(native if little_endian else ExplicitVRBigEndian),
    )


def _uid(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword, "") or "")


def encodings(file: Part10) -> tuple[str, ...]:
    """Transfer syntaxes in which the object could leave, its own first."""
    own = file.transfer_syntax_uid
    return (own, *(uid for uid in NATIVE if uid != own))


def reencode(file: Part10, transfer_syntax_uid: str) -> bytes:
    """The data set in Explicit or Implicit VR Little Endian, its pixels unchanged and its SOP Instance UID kept
    (PS3.3 C.7.6.1.1.5 asks for a new one after lossy compression only).

    DataSetUnusable when it cannot be decoded, such as for want of a decoder.
    """
    source = UID(file.transfer_syntax_uid)
    try:
        dataset = dcmread(file.path, force=True)  # force: it may be a bare data set
        if source.is_encapsulated:
            dataset.decompress(generate_instance_uid=False)
        elif not source.is_little_endian:
            dataset.walk(_swap_words)
        encoded = encode(dataset, UID(transfer_syntax_uid).is_implicit_VR, True)
    except Exception as error:  # codecs and pydicom raise many kinds
        raise DataSetUnusable(f"it cannot be converted from {source.name} ({type(error).__name__})") from error
    if encoded is None:
        raise DataSetUnusable(f"it cannot be converted from {source.name}")
    return encoded


def _swap_words(_dataset: Dataset, element: DataElement) -> None:
    width = _WORD_BYTES.get(element.VR)
    if width and isinstance(element.value, bytes):
        words = np.frombuffer(element.value[: len(element.value) // width * width], dtype=f"u{width}")
        element.value = words.byteswap().tobytes()
