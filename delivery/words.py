"""A peer's own words, fit for the log: PACS name the animal in their error comments."""

from __future__ import annotations

import re
from pathlib import Path

from pydicom import dcmread
from pydicom.tag import BaseTag, Tag

_MOST_LETTERS = 200
_MASK = "…"
# Beside all of group 0010: who else is named, and the numbers under which a clinic knows the visit.
_NAMING = frozenset(
    Tag(keyword)
    for keyword in (
        "AccessionNumber",
        "InstitutionName",
        "InstitutionAddress",
        "ReferringPhysicianName",
        "PerformingPhysicianName",
        "OperatorsName",
        "PhysiciansOfRecord",
        "StudyID",
        "AdmissionID",
        "RequestingPhysician",
    )
)
_WORD = re.compile(r"\w+")
_QUOTED = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'|“[^”]*”|\[[^\]]*\]")
_PERSON_NAME = re.compile(r"\S*\^\S*")
_FOREIGN = re.compile(r"[^\x20-\x7e…]+")
_UID = re.compile(r"\d+(?:\.\d+){3,}")
_NUMBER = re.compile(r"\d{5,}")


def without_identity(comment: str, path: Path) -> str:
    """The comment with everything masked that could be an identity; `path` is the object it speaks of.

    Masked: the words of the object's own patient module, whatever stands in quotation marks, names written with carets,
    letters beyond ASCII, and long numbers that are no UID.
    """
    said = " ".join(comment.split())
    for pattern in (_QUOTED, _PERSON_NAME, _FOREIGN):
        said = pattern.sub(_MASK, said)
    uids = _UID.findall(said)
    naming = _naming_words(path)
    said = _WORD.sub(lambda found: _MASK if found[0].casefold() in naming else found[0], said)
    said = _NUMBER.sub(lambda found: found[0] if any(found[0] in uid for uid in uids) else _MASK, said)
    return said[:_MOST_LETTERS]


def _naming_words(path: Path) -> frozenset[str]:
    try:
        header = dcmread(path, stop_before_pixels=True, force=True, specific_tags=None)
    except Exception:  # noqa: BLE001  pydicom raises many kinds for broken files; such a file names nobody that we could read
        return frozenset()
    texts = [str(element.value) for element in header if _names_somebody(element.tag)]
    return frozenset(word.casefold() for text in texts for word in _WORD.findall(text) if len(word) > 1)


def _names_somebody(tag: BaseTag) -> bool:
    return tag.group == 0x0010 or tag in _NAMING
