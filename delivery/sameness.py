"""Whether an object that a destination holds under a UID is the one that this node would send there."""

from __future__ import annotations

from enum import StrEnum
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from delivery.part10 import identify
from domain.errors import DataSetUnusable

_CONTENT_SEQUENCE = 0x0040A730
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
# Archives rewrite these on their way in: identification, patient, study, scheduling and procedure.
_COERCED_GROUPS = (0x0002, 0x0008, 0x0010, 0x0012, 0x0020, 0x0032, 0x0038, 0x0040)


class Sameness(StrEnum):
    SAME = "same"  # byte for byte, but for the file meta information
    COERCED = "coerced"  # the same content under header values, or in an encoding, of the archive's own
    OTHER = "other"


def compare(ours: Path, theirs: bytes) -> Sameness:
    """`theirs` is a Part 10 file. OSError when our own file cannot be read, DataSetUnusable when it is none."""
    file = identify(ours)
    own = ours.read_bytes()
    if theirs.endswith(own[file.offset :]) and _data_set_offset(theirs) == len(theirs) - file.size_bytes:
        return Sameness.SAME
    try:
        there = dcmread(BytesIO(theirs))
        here = dcmread(BytesIO(own), force=True)
        if there.SOPClassUID != file.sop_class_uid or there.SOPInstanceUID != file.sop_instance_uid:
            return Sameness.OTHER
        reencoded = there.file_meta.TransferSyntaxUID != file.transfer_syntax_uid
        return Sameness.COERCED if _content(there, reencoded) == _content(here, reencoded) else Sameness.OTHER
    except Exception as error:  # pydicom raises many kinds for broken files
        raise DataSetUnusable(f"the object there cannot be compared ({type(error).__name__})") from error


def _data_set_offset(part10: bytes) -> int:
    """Where the data set starts: after the preamble, DICM, and a group of the length that its first element tells."""
    return 144 + int.from_bytes(part10[140:144], "little")


def _content(dataset: Dataset, reencoded: bool) -> Dataset:
    """What an archive leaves alone. Two encodings of the same pixels are not compared."""
    kept = Dataset()
    for element in dataset:
        if not _may_differ(element.tag, reencoded):
            kept.add(element)
    return kept


def _may_differ(tag: BaseTag, reencoded: bool) -> bool:
    if tag == _CONTENT_SEQUENCE:
        return False
    coerced = tag.group in _COERCED_GROUPS or tag.is_private
    return coerced or (reencoded and (tag in _PIXELS or tag.group == 0x0028))
