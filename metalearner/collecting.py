"""Radiographs into a collection: de-identified, described, declined with a reason, and joined with what was said of them."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from domain.errors import ImageUnreadable
from domain.types import Patient, Region, Species, View
from inference import header, signalment
from inference.reading import NotAnImage, read_radiograph
from metalearner.collection import DESCRIPTION, IMAGES, Case, Collection, Labels
from metalearner.deidentify import METHOD, Pseudonyms, deidentified, known_breed
from metalearner.labels.reports import is_report, labels_of
from metalearner.labels.said import Names, Said, by_spelling, matched, said_without_code

RADIOGRAPHS = frozenset(("CR", "DX", "DR", "RG", "RF", "XA", "IO", "PX", ""))  # (0008,0060); where it is silent, the pixels
# What pydicom 3.0.2 raises for broken files and values, and dicomanonymizer 2.1.0 for what it does not know.
_BROKEN = (
    *(ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError, EOFError, struct.error),
    *(BytesLengthException, InvalidDicomError),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A file, and what its header does not say. name: what labels may call it; it never leaves this process.

    clinic: where one knows. species: assumed where the header is silent.
    """

    path: Path
    name: str = field(default="", repr=False)
    clinic: str = field(default="", repr=False)
    species: Species | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """counts: of files, by what became of them. said: sentences for a person, without an identity."""

    collection: Collection
    counts: Counter[str]
    said: tuple[str, ...]


def files_below(path: Path, *, clinic: str = "", species: Species | None = None) -> Iterator[Incoming]:
    """Every file of a folder, or one file."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    for one in found:
        hidden = any(part.startswith(".") for part in one.relative_to(path).parts)
        if one.is_file() and not hidden and one.suffix.lower() not in _NO_IMAGES:
            yield Incoming(path=one, name=one.resolve().as_posix(), clinic=clinic, species=species)


_NO_IMAGES = (".json", ".csv", ".txt", ".xml", ".zip", ".toml", ".md", ".html", ".key")


def opened(root: Path, *, name: str, made_at: str) -> Collection:
    """The collection of a folder, or an empty one that is not saved yet."""
    if (root / DESCRIPTION).exists():
        return Collection.load(root)
    return Collection(root=root, name=name, made_at=made_at, deidentified=METHOD)


def gather(
    collection: Collection,
    incoming: Iterable[Incoming],
    *,
    origins: Sequence[str],
    labels: Sequence[tuple[str, Sequence[Said]]] = (),
    reports_are_labels: bool = False,
    told: Callable[[Counter[str]], None] | None = None,
) -> Gathered:
    """The collection with these files and labels, not saved yet; it has no part for new patients yet either.

    origins: in words, for collection.toml. labels: of each source, by its name. reports_are_labels: Structured Reports among
    the files. told: called after each file with what became of them so far.
    """
    names = Pseudonyms.kept_in(collection.root)
    cases = dict(collection.by_image)
    spelt: list[tuple[str, str]] = []
    reported: list[Said] = []
    counts: Counter[str] = Counter()
    for one in incoming:
        what, case, said = _taken(one, names, collection.root, cases, reports_are_labels)
        counts[what] += 1
        reported += said
        if case is not None:
            cases.setdefault(case.image, case)
            if one.name:
                spelt.append((one.name, case.image))
        if told is not None:
            told(counts)
    made_from = tuple(dict.fromkeys((*collection.made_from, *origins)))
    grown = replace(collection, cases=tuple(cases.values()), made_from=made_from)
    known = Names(grown, names, by_spelling(spelt))
    faults: list[str] = []
    new: list[Labels] = []
    for source, given in (*labels, *([("reports", reported)] if reported else [])):
        found = matched(given, known, source)
        new += found.labels
        faults += found.faults
    return Gathered(collection=_labelled(grown, new), counts=counts, said=(*faults, *_remarks(grown, collection, new)))


def _labelled(collection: Collection, new: Sequence[Labels]) -> Collection:
    """What a source says again of an image takes the place of what it said."""
    labels = {(one.image, one.source, one.reader): one for one in (*collection.labels, *new)}
    return replace(collection, labels=tuple(labels.values()))


def _remarks(grown: Collection, before: Collection, labels: Sequence[Labels]) -> Iterator[str]:
    declined = Counter(case.declined for case in grown.cases if case.declined and case.image not in before.by_image)
    for reason, count in declined.most_common():
        yield f"{count} images declined: {reason}"
    unknown = said_without_code(labels)
    if unknown:
        yield f"{len(unknown)} concepts have no code here and keep their words: {', '.join(unknown[:10])}"


_Taken = tuple[str, Case | None, list[Said]]


def _taken(one: Incoming, names: Pseudonyms, root: Path, known: dict[str, Case], reports: bool) -> _Taken:
    """What became of a file, its case where it is an image, and what it says where it is a report."""
    try:
        ds = dcmread(one.path, force=True)
    except _BROKEN:
        return "broken files", None, []
    except OSError as error:  # pydicom (3.0.2) raises one without a number for a file that ends early
        return ("broken files" if error.errno is None else "files that cannot be opened"), None, []
    try:
        uid = header.text(ds, "SOPInstanceUID")
        if not uid or not header.text(ds, "SOPClassUID"):
            return "no DICOM objects", None, []
        if is_report(ds):
            said = [Said(labels=labels, place="a report", image=image) for image, labels in labels_of(ds)] if reports else []
            return "reports", None, said
        if "PixelData" not in ds:
            return "objects without an image", None, []
        image = uid if uid in known else names.uid(uid)  # the collection's own file
        if image in known:
            return "known already", known[image], []
        case = _case(ds, one, names, image)
        if not case.declined:
            case = _kept(case, ds, one, names, root)
    except _BROKEN:
        return "broken files", None, []
    except OSError as error:
        if (
            error.errno is not None
        ):  # of this machine; pydicom (3.0.2) raises one without a number for a file that ends early
            raise
        return "broken files", None, []
    return ("declined" if case.declined else "added"), case, []


def _case(ds: Dataset, one: Incoming, names: Pseudonyms, image: str) -> Case:
    """What the header says, before anything is left out of it."""
    animal, region = signalment.patient_of(ds, one.species), header.region_of(ds)
    view = header.view_of(ds, region)
    clinic = one.clinic or header.text(ds, "InstitutionName")
    device = " ".join(dict.fromkeys(header.text(ds, keyword)[:64] for keyword in ("Manufacturer", "ManufacturerModelName")))
    return Case(
        image=image,
        file="",
        patient=names.patient(ds, one.clinic),
        study=names.uid(header.text(ds, "StudyInstanceUID") or header.text(ds, "SOPInstanceUID")),
        clinic=names.of("clinic", " ".join(clinic.casefold().split()))[:8] if clinic else "",
        species=animal.species.value if animal.species else "",
        breed=known_breed(animal.breed),
        sex=_sex(animal),
        age_years=None if animal.age_years is None else round(animal.age_years, 1),
        view=view.value if view else "",
        region=region.value if region else "",
        laterality=header.laterality_of(ds) or "",
        device=device.strip(),
        declined=_declined(ds),
    )


def _sex(animal: Patient) -> str:
    """ "F", "M", and an N behind it where the animal is neutered."""
    return f"{animal.sex or ''}{'N' if animal.sex and animal.neutered else ''}"


def _declined(ds: Dataset) -> str:
    """Why the image cannot be kept without being looked at; empty where it can."""
    modality = header.text(ds, "Modality").upper()
    if header.text(ds, "BurnedInAnnotation").upper() == "YES":
        return "text is burned into the pixels"
    if "Secondary Capture" in UID(header.text(ds, "SOPClassUID")).name or header.is_capture(ds):
        return "a screen or film capture, which may show names"
    if (header.whole(ds, "SamplesPerPixel") or 1) > 1 or header.text(ds, "PhotometricInterpretation") == "PALETTE COLOR":
        return "a colour image, which may be a capture that shows names"
    if modality not in RADIOGRAPHS:
        return f"modality {modality[:16]} is no radiograph"
    return ""


def _kept(case: Case, ds: Dataset, one: Incoming, names: Pseudonyms, root: Path) -> Case:
    """The image in the collection, if the reader takes it."""
    file = f"{IMAGES}/{case.image}.dcm"
    beside = root / IMAGES / f".{case.image}.new"
    beside.parent.mkdir(parents=True, exist_ok=True)
    try:
        new = deidentified(
            _with_syntax(ds),
            names,
            patient=case.patient,
            animal=signalment.patient_of(ds, one.species),
            view=View(case.view) if case.view else None,
            region=Region(case.region) if case.region else None,
        )
        new.save_as(beside, enforce_file_format=True)
        radiograph = read_radiograph(beside, assumed_species=None)
        beside.replace(root / file)
    except (ImageUnreadable, NotAnImage) as refusal:
        return replace(case, declined=str(refusal))
    finally:
        beside.unlink(missing_ok=True)
    row, column = radiograph.spacing_mm or (None, None)
    return replace(
        case,
        file=file,
        rows=radiograph.rows,
        columns=radiograph.columns,
        spacing_row_mm=row,
        spacing_column_mm=column,
        spacing_source="" if row is None else radiograph.spacing_source.value,
    )


def _with_syntax(ds: Dataset) -> Dataset:
    """With the transfer syntax that it was read in, for a file that does not name it."""
    if "TransferSyntaxUID" not in getattr(ds, "file_meta", ()):
        implicit, little = ds.original_encoding
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        )
    return ds
