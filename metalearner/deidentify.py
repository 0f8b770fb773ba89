"""De-identified on the way in: PS3.15 annex E, Basic Application Level Confidentiality Profile, and stricter.

The profile's table is dicomanonymizer's. Two things are not left to it (2.1.0): its actions reach the data set's top level
alone, so they are called for every item of every sequence; and it keeps whatever it does not name, such as words typed into
other fields, so only what a reader of images needs comes that far. What was understood of the animal (species, breed, sex,
age) and of the exposure is written anew in coded or closed words (Retain Patient Characteristics Option).

UIDs and pseudonyms follow from a key that stays in the collection's folder: the same study is the same study in every
collection made with the key, and without it nobody can tell which study that was.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomanonymizer import anonymize_dataset
from dicomanonymizer.simpledicomanonymizer import initialize_actions_2024b, replace_UID
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.uid import UID

from domain.breeds import breed_of
from domain.codes import REGIONS, SPECIES, VIEWS
from domain.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from domain.types import Code, Patient, Region, Species, View
from inference import header, vocabulary
from metalearner.codestream import without_words
from metalearner.collection import CollectionInvalid
from metalearner.subgroups import BREED_GROUPS

KEY = "secret.key"
METHOD = "PS3.15 annex E basic profile, all levels; retains patient characteristics; all other text left out"

# What the reader of images asks a header for, and no more.
_WORDS = (
    *("Modality", "PresentationIntentType", "BurnedInAnnotation", "PhotometricInterpretation", "PresentationLUTShape"),
    *("PixelIntensityRelationship", "VOILUTFunction", "PixelSpacingCalibrationType", "AnatomicalOrientationType"),
    *("RescaleType", "LossyImageCompression"),
)
_NUMBERS = (
    *("WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope", "PixelSpacing", "ImagerPixelSpacing"),
    *("PixelAspectRatio", "EstimatedRadiographicMagnificationFactor", "NumberOfFrames", "KVP"),
    *("RepresentativeFrameNumber", "PixelIntensityRelationshipSign", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("SamplesPerPixel", "PlanarConfiguration", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    "PixelRepresentation",
)
_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_TABLES = ("ModalityLUTSequence", "VOILUTSequence")
_DEVICE = ("Manufacturer", "ManufacturerModelName")

_CLOSED_WORD = re.compile(r"[A-Z0-9_ ]{1,16}")
_DECIMAL = re.compile(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?")
_REGION_WORD = {Region.SPINE: "SPINE", Region.LIMB: "EXTREMITY"}
_VIEW_WORD = {View.LATERAL: "LAT", View.CRANIOCAUDAL: "CRCD"}
_OTHER_SPECIES = "horse bird rabbit"  # the reader takes any of them for another species than dog or cat
# Identifiers that forms are filled with when nobody knows one.
_NO_IDENTIFIER = frozenset(
    ("", "0", "00", "000", "0000", "1", "-", "none", "na", "n/a", "unknown", "anonymous", "test", "new")
)


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Who is who without saying who: a keyed hash, the same for the same."""

    key: bytes

    @classmethod
    def kept_in(cls, root: Path) -> Pseudonyms:
        """Those of a collection: its key is made when there is none, for its owner's eyes only."""
        path = root / KEY
        root.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32) + "\n")
        try:
            key = bytes.fromhex(path.read_text().strip())
        except ValueError:
            key = b""
        if len(key) < 16:
            raise CollectionInvalid(f"{path}: is no key; bring the one back that the collection was made with")
        return cls(key)

    def uid(self, given: str) -> str:
        return f"2.25.{uuid.UUID(bytes=self._hash('uid', given)[:16], version=4).int}"

    def of(self, kind: str, *words: str) -> str:
        """16 hexadecimal digits."""
        return self._hash(kind, *words).hex()[:16]

    def patient(self, ds: Dataset, clinic: str) -> str:
        """By the identifier, else by name and birth date, else each study is its own animal.

        clinic: where one says which, since clinics number their animals alike. Identifiers that two clinics share by chance
        become one patient, which costs nothing; one animal under two pseudonyms would spoil a split.
        """
        identifier = " ".join(header.text(ds, "PatientID").casefold().split())
        if identifier not in _NO_IDENTIFIER:
            return self.of("patient", clinic, identifier)
        name = " ".join(header.text(ds, "PatientName").casefold().replace("^", " ").split())
        if name not in _NO_IDENTIFIER:
            return self.of("patient by name", clinic, name, header.text(ds, "PatientBirthDate"))
        return self.of("patient of study", header.text(ds, "StudyInstanceUID"))

    def _hash(self, kind: str, *words: str) -> bytes:
        text = "\0".join((kind, *(word.strip() for word in words)))
        return hmac.new(self.key, text.encode("utf-8", "replace"), hashlib.sha256).digest()


def deidentified(
    ds: Dataset, names: Pseudonyms, *, patient: str, animal: Patient, view: View | None, region: Region | None
) -> Dataset:
    """A new data set with its file meta information. patient: pseudonym; the others: what was understood of the header."""
    new = Dataset()
    for keyword, value in _kept(ds):
        setattr(new, keyword, value)
    if "PixelData" in ds:
        _put_pixels(new, ds)
    for level in _levels(new):
        anonymize_dataset(level, base_rules_gen=lambda: _rules(names.uid))
    _describe(new, patient=patient, animal=animal, view=view, region=region, part=header.text(ds, "BodyPartExamined"))
    laterality = header.laterality_of(ds)
    if laterality is not None:
        new.ImageLaterality = laterality
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = new.SOPClassUID, new.SOPInstanceUID
    meta.TransferSyntaxUID = ds.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    new.file_meta, new.preamble = meta, b"\0" * 128
    return new


def _kept(ds: Dataset) -> Iterator[tuple[str, Any]]:
    yield "SOPClassUID", header.text(ds, "SOPClassUID")
    for keyword in _UIDS:
        yield keyword, header.text(ds, keyword)
    for keyword in _WORDS:
        word = header.text(ds, keyword)
        if _CLOSED_WORD.fullmatch(word):
            yield keyword, word
    for keyword in _NUMBERS:
        numbers = header.numbers(ds, keyword)
        if numbers:
            said = [str(value).replace(",", ".").strip() for value in header.values(ds, keyword)]
            exact = all(_DECIMAL.fullmatch(one) for one in said)
            given = ds[keyword].VR in ("DS", "IS") and exact
            values = said if given else [int(one) if one.is_integer() else one for one in numbers]
            yield keyword, values if len(values) > 1 else values[0]
    for keyword in _TABLES:
        tables = [table for table in map(_table, header.items(ds, keyword)[:1]) if table is not None]
        if tables:
            yield keyword, tables
    for keyword in _DEVICE:
        yield keyword, header.text(ds, keyword)[:64]


def _table(item: Dataset) -> Dataset | None:
    """A look-up table without its explanation."""
    if "LUTDescriptor" not in item or "LUTData" not in item:
        return None
    new = Dataset()
    new.add(item["LUTDescriptor"])
    new.add(item["LUTData"])
    if "ModalityLUTType" in item:
        new.ModalityLUTType = "US"
    return new


def _put_pixels(new: Dataset, ds: Dataset) -> None:
    """The pixels as they are, without what lies beside or behind them. ValueError for frames that cannot be told apart."""
    element = ds["PixelData"]
    frames = header.whole(ds, "NumberOfFrames") or 1
    if UID(ds.file_meta.TransferSyntaxUID).is_encapsulated:
        codes = [without_words(code) for code in generate_frames(element.value, number_of_frames=frames)]
        content = encapsulate(codes, has_bot=False)
    else:
        rows, columns, samples = (header.whole(ds, keyword) or 1 for keyword in ("Rows", "Columns", "SamplesPerPixel"))
        bits = (header.whole(ds, "BitsAllocated") or 8) * rows * columns * samples * frames
        content = element.value[: -(-bits // 8)]
        content += b"\0" * (len(content) % 2)
    new.add_new("PixelData", element.VR, content)
    new["PixelData"].is_undefined_length = element.is_undefined_length


def _levels(ds: Dataset) -> Iterator[Dataset]:
    """A data set and, below it, every item of every sequence."""
    yield ds
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield from _levels(item)


def _rules(uid: Callable[[str], str]) -> dict[Any, Callable[[Dataset, Any], None]]:
    """The profile's, with UIDs replaced by ours."""

    def replaced(ds: Dataset, tag: Any) -> None:
        element = ds.get(tag)
        if element is not None and element.VM == 1:
            element.value = uid(str(element.value))
        elif element is not None and element.VM > 1:
            element.value = [uid(str(one)) for one in element.value]

    return {tag: replaced if action is replace_UID else action for tag, action in initialize_actions_2024b().items()}


def _describe(new: Dataset, *, patient: str, animal: Patient, view: View | None, region: Region | None, part: str) -> None:
    new.SpecificCharacterSet = "ISO_IR 192"
    new.PatientID, new.PatientName, new.PatientBirthDate = patient, "", ""
    new.StudyDate, new.StudyTime, new.AccessionNumber, new.StudyID, new.ReferringPhysicianName = "", "", "", "", ""
    new.PatientIdentityRemoved = "YES"
    new.DeidentificationMethod = METHOD[:64]
    new.DeidentificationMethodCodeSequence = [
        _coded(Code(value="113100", scheme="DCM", meaning="Basic Application Confidentiality Profile")),
        _coded(Code(value="113108", scheme="DCM", meaning="Retain Patient Characteristics Option")),
    ]
    new.PatientSex = animal.sex or ""
    if animal.neutered is not None:
        new.PatientSexNeutered = "ALTERED" if animal.neutered else "UNALTERED"
    if animal.age_years is not None:
        years = animal.age_years
        new.PatientAge = f"{round(years):03d}Y" if years >= 2 else f"{max(round(years * 12), 1):03d}M"
    if animal.species is not None:
        new.PatientSpeciesDescription = _OTHER_SPECIES if animal.species is Species.OTHER else animal.species.value
        if animal.species in SPECIES:
            new.PatientSpeciesCodeSequence = [_coded(SPECIES[animal.species])]
    new.PatientBreedDescription = known_breed(animal.breed)
    if region in REGIONS:
        new.AnatomicRegionSequence = [_coded(REGIONS[region])]
    new.BodyPartExamined = part if _names_a_part(part) else _REGION_WORD.get(region, "") if region else ""
    if view in VIEWS:
        new.ViewCodeSequence = [_coded(VIEWS[view])]
    elif view in _VIEW_WORD:
        new.ViewPosition = _VIEW_WORD[view]


def known_breed(given: str | None) -> str:
    """The breed's name; empty for words of which one is no breed's: a form's field takes any text, owners' names too."""
    if not given:
        return ""
    known = breed_of(given)
    if known is not None:
        return known.english
    letters = _letters(given)
    if letters in _cid_7480():
        return _cid_7480()[letters]
    words = re.findall(r"[^\W\d_]+", given)
    return " ".join(words) if words and all(vocabulary.species_of_breed(word) for word in words) else ""


def _cid_7480() -> dict[str, str]:
    if not _BREEDS:
        short = {one.meaning: _END.sub("", one.meaning) for one in dicom_codes.cid7480.concepts.values()}
        named = [(words, name) for meaning, name in short.items() for words in (meaning, name)]
        guessed = [(f"{name} {kind}", name) for name in short.values() for kind in ("dog", "cat")]  # a sheep dog is no sheep
        for words, name in (*named, *guessed):
            _BREEDS.setdefault(_letters(words), name)
        for names in BREED_GROUPS.values():
            for name in names:
                _BREEDS.setdefault(_letters(name), name)
    return _BREEDS


_BREEDS: dict[str, str] = {}
_END = re.compile(r"\s+(dog|cat)?\s*(breed)?$")


def _letters(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", text.casefold())


def _names_a_part(given: str) -> bool:
    words = re.findall(r"[^\W\d_]+", given)
    return bool(words) and len(given) <= 16 and all(vocabulary.region_of_text(word) for word in words)


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item
