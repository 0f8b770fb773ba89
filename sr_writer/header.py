"""The source image's header as far as a result repeats it: patient, study, veterinary attributes, never pixels.

Consoles write what they like, and a result must be valid all the same. Each attribute is decoded on its own and checked
against its value representation (PS3.5 6.2); what breaks a rule is left out, and a file that cannot be parsed to its end
gives what was read until then. Identifiers that are too long or hold what does not belong in one are left out too: changed,
one may be another's. UIDs of study, series and instance are kept as they are, be they against the rules: they say where an
image belongs.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import config as pydicom_config
from pydicom import dcmread
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator, read_partial
from pydicom.multival import MultiValue
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pydicom.valuerep import DA, DT, PN_DELIMS, TEXT_VR_DELIMS, TM, validate_value

PATIENT = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientSexNeutered",
    "PatientAge",
    "PatientWeight",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
)
STUDY = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "StudyDescription",
    "ReferringPhysicianName",
)
IMAGE = (
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "InstanceNumber",
    "Modality",
    "BodyPartExamined",
    "AnatomicalOrientationType",
    "PatientOrientation",
    "ViewPosition",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "PixelAspectRatio",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
CODE_ITEM = ("CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning")
ITEMS = {  # what an item of each sequence may hold
    "PatientSpeciesCodeSequence": CODE_ITEM,
    "PatientBreedCodeSequence": CODE_ITEM,
    "BreedRegistrationSequence": ("BreedRegistrationNumber", "BreedRegistryCodeSequence"),
    "BreedRegistryCodeSequence": CODE_ITEM,
}
REQUIRED_IN_ITEM = {
    "CodeValue",
    "CodingSchemeDesignator",
    "CodeMeaning",
    "BreedRegistrationNumber",
    "BreedRegistryCodeSequence",
}
UIDS = {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}
IDENTIFIERS = {"PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID", "BreedRegistrationNumber", "CodeValue"}
ENUMERATED = {
    "PatientSexNeutered": ("ALTERED", "UNALTERED"),
    "AnatomicalOrientationType": ("BIPED", "QUADRUPED"),
    "LossyImageCompression": ("00", "01"),
}
PAIRS = {"PatientOrientation", "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"}
LISTS = {"LossyImageCompressionRatio", "LossyImageCompressionMethod"}
SPACINGS_MM = 1e-4, 100.0  # between pixels of any detector or film; other values are faults of the console
LONGEST = {"PN": 64 * 3 + 2, "LO": 64, "SH": 16}
TEXT_VRS = {"PN", "LO", "SH", "ST", "LT", "UT", "UC"}
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
KEYWORDS = (*PATIENT, *STUDY, *IMAGE)
LAST_TAG = max(tag for tag in map(tag_for_keyword, KEYWORDS) if tag is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What was kept of a source image's header; every value in it is valid. Hidden from repr: it names animal and owner.

    attributes: decoded, without a Specific Character Set of its own.
    character_set: the source's declaration, each term as written; empty where it declares none.
    """

    attributes: Dataset = field(repr=False)
    character_set: tuple[str, ...] = ()

    def text(self, keyword: str) -> str:
        return str(self.attributes.get(keyword, "") or "")

    def texts(self, keyword: str) -> list[str]:
        """Each value of an attribute that may have several."""
        value = self.attributes.get(keyword)
        return [str(part) for part in value] if isinstance(value, MultiValue) else [self.text(keyword)] if value else []

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """Between rows and between columns as the header says, be it at the detector; None where it is silent."""
        least, most = SPACINGS_MM
        for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
            pair = [float(part) for part in self.attributes.get(keyword, ())]
            if pair and least < min(pair) and max(pair) < most:
                return pair[0], pair[1]
        return None

    @property
    def pixel_aspect(self) -> float:
        """Height over width of one pixel, 1.0 where square or unknown (PS3.3 C.7.6.3.1.7)."""
        for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
            pair = self.attributes.get(keyword)
            if pair:
                height, width = float(pair[0]), float(pair[1])
                if height > 0 and width > 0 and 0.1 < height / width < 10:
                    return height / width
        return 1.0


@contextmanager
def tolerant() -> Iterator[None]:
    """Around what pydicom reads of a file that may be broken: the rest of the block is left out then.

    pydicom 3.0 has no error of its own for that. Damage shows as whatever the bytes provoke: struct.error, KeyError,
    NotImplementedError, OverflowError, zlib.error, RecursionError. No result may depend on it, so this is the one place
    that takes all of them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are about values that are checked here, and may quote them
        with suppress(Exception):  # see above; not logged, for it may quote a value
            yield


def read_header(path: Path) -> Header:
    """Nothing that the file holds is an error; OSError when it cannot be opened or read: a report must not be nobody's."""
    source = _parse(path)
    declared = _declared(source)
    attributes = Dataset()
    for keyword, value in _valid(source, KEYWORDS, declared):
        setattr(attributes, keyword, value)
    if "ResponsiblePerson" not in attributes and "ResponsiblePersonRole" in attributes:
        del attributes.ResponsiblePersonRole  # type 1C: only with a person
    return Header(attributes=attributes, character_set=declared)


def _parse(path: Path) -> Dataset:
    wanted = [tag for tag in map(tag_for_keyword, (*KEYWORDS, "SpecificCharacterSet")) if tag is not None]
    with path.open("rb") as opened, tolerant():
        return dcmread(opened, stop_before_pixels=True, force=True, specific_tags=wanted)
    return _parse_until_it_breaks(path.read_bytes(), wanted)


def _parse_until_it_breaks(data: bytes, wanted: list[int]) -> Dataset:
    """Element by element; the first that cannot be read ends it, with what was read before it kept."""
    kept = Dataset()
    with tolerant():
        meta = read_partial(io.BytesIO(data), stop_when=lambda _tag, _vr, _length: True, force=True).file_meta
        syntax = str(meta.get("TransferSyntaxUID", ImplicitVRLittleEndian))
        if syntax == DeflatedExplicitVRLittleEndian:
            return kept
        start = _data_set_start(data)
        elements = data_element_generator(
            io.BytesIO(data[start:]),
            is_implicit_VR=syntax == ImplicitVRLittleEndian,
            is_little_endian=syntax != ExplicitVRBigEndian,
            stop_when=lambda tag, _vr, _length: int(tag) > LAST_TAG,
        )
        for element in elements:
            if int(element.tag) in wanted:
                kept[element.tag] = element
    return kept


def _data_set_start(data: bytes) -> int:
    """Where the data set of a Part 10 file begins: after the group length's count (PS3.10 7.1)."""
    at = data.find(b"\x02\x00\x00\x00UL\x04\x00", 132, 160)
    return at + 12 + int.from_bytes(data[at + 8 : at + 12], "little") if at >= 0 else 0


def _declared(source: Dataset) -> tuple[str, ...]:
    try:
        raw = source.get_item("SpecificCharacterSet")
    except KeyError:
        return ()
    value = raw.value if raw is not None else None
    if isinstance(value, bytes):
        terms = [term.strip(" \0") for term in value.decode("ascii", "replace").split("\\")]
    elif isinstance(value, str):
        terms = [value]
    else:
        terms = [str(term) for term in value or ()]
    return tuple(terms) if any(terms) else ()


def _valid(source: Dataset, keywords: tuple[str, ...], declared: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    for keyword in keywords:
        value: object = None
        if keyword in source:
            with tolerant():
                value = _value(source, keyword, declared)
        if value not in (None, "", []):
            yield keyword, value


def _value(source: Dataset, keyword: str, declared: tuple[str, ...]) -> object:
    vr = dictionary_VR(keyword)
    if vr == "SQ":
        return _items(source, keyword, declared)
    raw = source.get_item(keyword)
    if vr in ("US", "SS"):
        return int(source[keyword].value)
    value = raw.value if isinstance(raw, RawDataElement) else str(source[keyword].value or "")
    text = _decode(value, vr, declared) if isinstance(value, bytes) else str(value or "")
    if keyword in PAIRS:
        parts = [_checked(keyword, vr, part.strip(" \0")) for part in text.split("\\")]
        return parts if len(parts) == 2 and all(parts) else None
    if keyword in LISTS:
        return [_checked(keyword, vr, part.strip(" \0")) for part in text.split("\\")]
    if vr in TEXT_VRS:
        return _text(keyword, vr, text)
    return _checked(keyword, vr, text.strip(" \0"))


def _items(source: Dataset, keyword: str, declared: tuple[str, ...]) -> list[Dataset]:
    kept = []
    for item in source[keyword].value or ():
        clean = Dataset()
        for inner, value in _valid(item, ITEMS[keyword], _declared(item) or declared):
            setattr(clean, inner, value)
        if all(inner in clean for inner in REQUIRED_IN_ITEM.intersection(ITEMS[keyword])):
            kept.append(clean)
    return kept


def _decode(value: bytes, vr: str, declared: tuple[str, ...]) -> str:
    if vr not in TEXT_VRS or value.isascii():
        return value.decode("ascii") if b"\x1b" not in value else _decode_declared(value, vr, declared)
    if any(declared):
        return _decode_declared(value, vr, declared)
    for guess in ("utf-8", "euc_kr"):  # nothing declared, yet not ASCII: Korean consoles do that
        try:
            return value.decode(guess)
        except UnicodeDecodeError:
            continue
    return value.decode("ascii", "replace").replace("�", "?")


def _decode_declared(value: bytes, vr: str, declared: tuple[str, ...]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encodings = convert_encodings(list(declared))
        if vr != "PN":
            return decode_bytes(value, encodings, set(TEXT_VR_DELIMS))
        return "=".join(decode_bytes(group, encodings, set(PN_DELIMS)) for group in value.split(b"="))


def _text(keyword: str, vr: str, text: str) -> str:
    text = text.strip(" \0")
    clean = CONTROL.sub("", text).strip(" ")
    if vr == "PN":
        groups = ["^".join(group.split("^")[:5])[:64].strip(" ") for group in clean.split("=")[:3]]
        return "=".join(groups).rstrip("=")
    if keyword in IDENTIFIERS and (clean != text or len(clean) > LONGEST.get(vr, 64)):
        raise ValueError(keyword)
    return clean[: LONGEST.get(vr, 1024)].strip(" ")


def _checked(keyword: str, vr: str, text: str) -> str:
    """ValueError for what the value representation or the attribute's enumeration does not allow."""
    if not text:
        return ""
    if keyword in UIDS:
        if not re.fullmatch(r"[0-9.]{1,64}", text):
            raise ValueError(keyword)
        return text
    validate_value(vr, text, pydicom_config.RAISE)
    if keyword in ENUMERATED and text not in ENUMERATED[keyword]:
        raise ValueError(keyword)
    if vr in ("DS", "IS"):
        float(text)
    elif vr == "DA":
        DA(text)
    elif vr == "TM":
        TM(text)
    elif vr == "DT":
        DT(text)
    return text
