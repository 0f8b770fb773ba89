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
ONE_VALUE = {"ST", "LT", "UT"}
# PS3.3 C.12.1.1.2: terms that stand alone, and those of code extensions, of which several stand together. Anything else
# that a console declares is not taken over.
ALONE = {
    *(f"ISO_IR {number}" for number in (13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 192)),
    "GB18030",
    "GBK",
}
EXTENSIONS = {f"ISO 2022 IR {n}" for n in (6, 13, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144, 148, 149, 159, 166)}
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
    terms = _sound(declared)
    if terms is not None and all(_holds(terms, text, delimiters) for text, delimiters in _texts(document)):
        return terms
    return UTF_8


def _sound(declared: tuple[str, ...]) -> tuple[str, ...] | None:
    """The declaration as the standard has it; None for one that it does not know."""
    if len(declared) == 1 and declared[0] in EXTENSIONS:  # consoles forget the first of two values
        return "", declared[0]
    if len(declared) < 2:
        return declared if ALONE.issuperset(declared) else None
    return declared if EXTENSIONS.issuperset(declared[1:]) and declared[0] in {"", *EXTENSIONS} else None


def declare(document: Dataset, terms: tuple[str, ...]) -> None:
    """Before any text is encoded: pydicom encodes when it writes, by what is declared then."""
    if terms:
        document.SpecificCharacterSet = list(terms) if len(terms) > 1 else terms[0]
    elif "SpecificCharacterSet" in document:
        del document.SpecificCharacterSet


def _texts(document: Dataset) -> Iterator[tuple[str, str]]:
    """The pieces that pydicom encodes one by one, each with the signs that divide its value again when it is read:
    components of a name, whole values of everything else."""
    for element in document:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR == "PN" and element.value:
            yield from ((part, "\\=") for part in re.split("[=^]", str(element.value)))
        elif element.VR in TEXT_VRS and element.value:
            yield str(element.value), "" if element.VR in ONE_VALUE else "\\"


def _holds(terms: tuple[str, ...], text: str, delimiters: str) -> bool:
    if text.isascii():
        return True
    if not terms:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns and writes "?" where a set lacks a letter: compared below
        encodings = convert_encodings(list(terms))
        if "euc_kr" in encodings and any(_is_composed(letter) for letter in text):
            return False
        encoded = encode_string(text, encodings)
        # the second byte of a Chinese or Japanese letter may be a delimiter's, at which toolkits would cut it
        if any(encoded.count(sign.encode()) != text.count(sign) for sign in delimiters):
            return False
        # line breaks end an escape sequence, and pydicom 3.0.2 writes no new one after them: such a text is not held
        return decode_bytes(encoded, encodings, set(PN_DELIMS) | set(TEXT_VR_DELIMS)) == text


def _is_composed(letter: str) -> bool:
    """A syllable outside KS X 1001: Python spells it as eight bytes of letters, which other toolkits don't put together."""
    try:
        return len(letter.encode("euc_kr")) > 2
    except UnicodeEncodeError:
        return False  # the round trip below shows it
