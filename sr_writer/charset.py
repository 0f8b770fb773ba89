"""Which Specific Character Set a result is written in (PS3.5 6.1): the source's where it can hold the result's text, so
that a study stays in one, and UTF-8 otherwise."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterator

from pydicom.charset import convert_encodings, decode_bytes, encode_string
from pydicom.dataset import Dataset
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

UTF_8 = ("ISO_IR 192",)
TEXT_VRS = {"PN", "LO", "SH", "ST", "LT", "UT", "UC"}
# Terms that stand alone or lead; anything else that a console declares is not taken over.
KNOWN = {
    (),
    ("ISO_IR 100",),
    UTF_8,
    ("", "ISO 2022 IR 149"),
    ("ISO 2022 IR 6", "ISO 2022 IR 149"),
}
# Signs that Korean and ASCII sets lack; a document is not moved to another set for a dash.
PLAIN_SIGNS = str.maketrans({"–": "-", "—": "-", "×": "x", "≥": ">=", "≤": "<=", "…": "...", "’": "'", "“": '"', "”": '"'})


def plain(text: str) -> str:
    """The product's own text with signs that every set holds: "-" for a dash, "u" for "ü". Names are never changed."""
    return "".join(_base(letter) for letter in text.translate(PLAIN_SIGNS))


def _base(letter: str) -> str:
    if not "\u00c0" <= letter <= "\u024f":
        return letter
    return unicodedata.normalize("NFD", letter)[0]


def choose(declared: tuple[str, ...], document: Dataset) -> tuple[str, ...]:
    """The terms to write; empty for the default repertoire."""
    if declared in KNOWN and all(_holds(declared, text) for text in _texts(document)):
        return declared
    return UTF_8


def declare(document: Dataset, terms: tuple[str, ...]) -> None:
    """Before any text is encoded: pydicom encodes when it writes, by what is declared then."""
    if terms:
        document.SpecificCharacterSet = list(terms) if len(terms) > 1 else terms[0]
    elif "SpecificCharacterSet" in document:
        del document.SpecificCharacterSet


def _texts(document: Dataset) -> Iterator[str]:
    """The pieces that pydicom encodes one by one: components of a name, whole values of everything else."""
    for element in document:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR == "PN" and element.value:
            yield from re.split("[=^]", str(element.value))
        elif element.VR in TEXT_VRS and element.value:
            yield str(element.value)


def _holds(terms: tuple[str, ...], text: str) -> bool:
    if text.isascii():
        return True
    if not terms:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns and writes "?" where a set lacks a letter: compared below
        encodings = convert_encodings(list(terms))
        if "euc_kr" in encodings and any(_is_composed(letter) for letter in text):
            return False
        # line breaks end an escape sequence, and pydicom 3.0.2 writes no new one after them: such a text is not held
        return decode_bytes(encode_string(text, encodings), encodings, set(PN_DELIMS) | set(TEXT_VR_DELIMS)) == text


def _is_composed(letter: str) -> bool:
    """A syllable outside KS X 1001: Python spells it as eight bytes of letters, which other toolkits don't put together."""
    try:
        return len(letter.encode("euc_kr")) > 2
    except UnicodeEncodeError:
        return False  # the round trip below shows it
