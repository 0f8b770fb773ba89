"""A phantom as a DICOM object: Digital X-Ray Image Storage - For Presentation, with the attributes of an animal.

Everything follows from the seed: names that say PHANTOM, dates, UIDs, bit depth and window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from domain.codes import REGIONS, SPECIES, STIFLE, VIEWS
from domain.identity import Identity
from domain.types import Code, Region, Species, View
from phantoms.radiographs import Film, Wish
from phantoms.views import Phantom

IMPLEMENTATION_UID = Identity().uid("phantoms", "implementation")

# Breeds by size, CID 7480 and 7486.
SMALL, LARGE = 14.0, 20.0  # millimetres a vertebra
BREEDS = {
    "small": (
        Code(value="39348004", scheme="SCT", meaning="Maltese dog"),
        Code(value="132619000", scheme="SCT", meaning="Mixed breed dog"),
    ),
    "medium": (Code(value="132619000", scheme="SCT", meaning="Mixed breed dog"),),
    "large": (
        Code(value="62137007", scheme="SCT", meaning="Labrador retriever dog breed"),
        Code(value="132619000", scheme="SCT", meaning="Mixed breed dog"),
    ),
}

CAT_BREED = Code(value="15020009", scheme="SCT", meaning="Domestic shorthaired cat")

# How each view of a thorax is named: coded view, and a description as a technician would choose it.
NAMES = {
    "lateral-right": (View.RIGHT_LATERAL, "THORAX RIGHT LATERAL"),
    "lateral-left": (View.LEFT_LATERAL, "THORAX LEFT LATERAL"),
    "ventrodorsal": (View.VENTRODORSAL, "THORAX VD"),
}
BODY_PARTS = {
    Region.THORAX: "CHEST",
    Region.ABDOMEN: "ABDOMEN",
    Region.PELVIS: "PELVIS",
    Region.HEAD: "SKULL",
    Region.LIMB: "EXTREMITY",
}
# Joints and bones of a limb's film: CID 7483.
PARTS = {
    "stifle": STIFLE,
    "femur": Code(value="71341001", scheme="SCT", meaning="Femur"),
    "tibia": Code(value="110536004", scheme="SCT", meaning="Tibia and fibula"),
    "tarsus": Code(value="108371006", scheme="SCT", meaning="Tarsus"),
    "humerus": Code(value="85050009", scheme="SCT", meaning="Humerus"),
    "elbow": Code(value="16953009", scheme="SCT", meaning="Elbow joint"),
    "radius": Code(value="110535000", scheme="SCT", meaning="Radius and ulna"),
    "carpus": Code(value="8205005", scheme="SCT", meaning="Carpus"),
    "hindpaw": Code(value="416804009", scheme="SCT", meaning="Hindfoot"),
}
CRANIOCAUDAL = Code(value="399162004", scheme="SCT", meaning="cranio-caudal")  # CID 4010: veterinary CID 7484 has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is written. key: distinguishes the images of one animal; orientation: PS3.3 C.7.6.1.1.1; None where not coded."""

    pixels: npt.NDArray[np.float32] = field(repr=False)
    key: str
    spacing_mm: float
    orientation: tuple[str, str]
    study: str
    series: str
    body_part: str
    protocol: str = ""
    region: Code | None = None
    view: Code | None = None


def picture_of(phantom: Phantom) -> Picture:
    truth = phantom.truth
    view, protocol = NAMES.get(truth.view, (None, ""))
    return Picture(
        pixels=phantom.pixels,
        key=truth.view,
        spacing_mm=truth.spacing_mm,
        orientation=truth.orientation,
        study="PHANTOM THORAX",
        series=f"PHANTOM {'THORAX' if view else truth.view.upper()}",
        body_part="CHEST" if view else "EXTREMITY" if truth.view == "limb" else "PHANTOM",
        protocol=protocol,
        region=REGIONS[Region.THORAX] if view else None,
        view=VIEWS[view] if view else None,
    )


def picture_of_film(film: Film) -> Picture:
    wish = film.facts.wish
    limb = wish.region is Region.LIMB
    shown = wish.part if limb else wish.region.value
    return Picture(
        pixels=film.pixels,
        key=f"{shown} {wish.view.value} {wish.variety:g}{_found(wish)}",
        spacing_mm=film.facts.spacing_mm,
        orientation=film.facts.orientation,
        study=f"PHANTOM {wish.region.value.upper()}",
        series=f"PHANTOM {shown.upper()}",
        body_part=BODY_PARTS[wish.region],
        protocol=f"{shown.upper()} {wish.view.value.upper().replace('-', ' ')}",
        region=PARTS[wish.part] if limb else REGIONS[wish.region],
        view=CRANIOCAUDAL if wish.view is View.CRANIOCAUDAL else VIEWS[wish.view],
    )


def _found(wish: Wish) -> str:
    """Films with findings, or of an animal that could have had some, are other images."""
    if wish.findings is None:
        return ""
    return " with " + " ".join(f"{lesion.concept}-{lesion.grade}" for lesion in wish.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Animal:
    """Who a study is of: nobody. unit_mm: length of a thoracic vertebra."""

    seed: int
    unit_mm: float
    species: Species = Species.DOG

    @property
    def _rng(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, 7])

    @property
    def breed(self) -> Code:
        if self.species is Species.CAT:
            return CAT_BREED
        size = "small" if self.unit_mm < SMALL else "large" if self.unit_mm > LARGE else "medium"
        breeds = BREEDS[size]
        return breeds[int(self._rng.integers(len(breeds)))]

    @property
    def sex(self) -> str:
        return "F" if self.seed % 2 else "M"

    @property
    def neutered(self) -> str:
        return "UNALTERED" if self.seed % 3 == 0 else "ALTERED"

    @property
    def study_date(self) -> date:
        return date(2024, 1, 1) + timedelta(days=self.seed % 365)

    @property
    def birth_date(self) -> date:
        return self.study_date - timedelta(days=int(self._rng.integers(200, 5000)))


def write_dx(picture: Picture, *, animal: Animal, number: int, path: Path) -> None:
    """One image of the study of this animal; number: from 1, within its series."""
    data_set = dx_data_set(picture, animal=animal, number=number)
    data_set.save_as(path, enforce_file_format=True)


def dx_data_set(picture: Picture, *, animal: Animal, number: int) -> FileDataset:
    identity = Identity()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    # Another species or size is another image. Dogs came first, so that their identifiers name no species.
    whose = ("phantom", animal.seed) if animal.species is Species.DOG else ("phantom", animal.species.value, animal.seed)
    size = "x".join(str(n) for n in picture.pixels.shape)
    meta.MediaStorageSOPInstanceUID = UID(identity.uid(*whose, "image", picture.key, size))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "PHANTOM"
    data_set = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.SOPClassUID = meta.MediaStorageSOPClassUID
    data_set.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data_set.StudyInstanceUID = identity.uid(*whose, "study")
    data_set.SeriesInstanceUID = identity.uid(*whose, "series")
    _describe_patient(data_set, animal)
    _describe_study(data_set, animal, number, picture.study)
    _describe_view(data_set, picture)
    _describe_detector(data_set, picture)
    _store_pixels(data_set, picture, bits=12 + 2 * (animal.seed % 2))
    return data_set


def _describe_patient(data_set: Dataset, animal: Animal) -> None:
    cat = animal.species is Species.CAT
    data_set.PatientName = f"Phantom^{'Cat' if cat else 'Dog'} {animal.seed:06d}"
    data_set.PatientID = f"PHANTOM-{'C' if cat else ''}{animal.seed:06d}"
    data_set.PatientBirthDate = animal.birth_date.strftime("%Y%m%d")
    data_set.PatientSex = animal.sex
    data_set.PatientSexNeutered = animal.neutered
    data_set.PatientSpeciesDescription = "Feline" if cat else "Canine"
    data_set.PatientSpeciesCodeSequence = [coded(SPECIES[animal.species])]
    data_set.PatientBreedDescription = animal.breed.meaning
    data_set.PatientBreedCodeSequence = [coded(animal.breed)]
    data_set.BreedRegistrationSequence = []
    data_set.ResponsiblePerson = "Phantom^Owner"
    data_set.ResponsiblePersonRole = "OWNER"
    data_set.ResponsibleOrganization = "Houndsfield phantoms"


def _describe_study(data_set: Dataset, animal: Animal, number: int, description: str) -> None:
    day = animal.study_date.strftime("%Y%m%d")
    time = f"10{number % 60:02d}00"
    data_set.StudyDate = data_set.SeriesDate = data_set.AcquisitionDate = data_set.ContentDate = day
    data_set.StudyTime = "100000"
    data_set.SeriesTime = data_set.AcquisitionTime = data_set.ContentTime = time
    data_set.AccessionNumber = f"P{animal.seed:08d}"
    data_set.ReferringPhysicianName = "Phantom^Vet"
    data_set.StudyID = f"{animal.seed % 10**8}"
    data_set.StudyDescription = description
    data_set.Modality = "DX"
    data_set.PresentationIntentType = "FOR PRESENTATION"
    data_set.SeriesNumber = 1
    data_set.InstanceNumber = number
    data_set.Manufacturer = "Houndsfield"
    data_set.ManufacturerModelName = "Phantom"
    data_set.DeviceSerialNumber = "0"
    data_set.SoftwareVersions = "1"
    data_set.InstitutionName = "Houndsfield phantom clinic"
    data_set.BurnedInAnnotation = "NO"
    data_set.ImageType = ["DERIVED", "PRIMARY"]
    data_set.DerivationDescription = "Synthetic radiograph: rays through an invented body. No animal was exposed."
    data_set.AcquisitionContextSequence = []


def _describe_view(data_set: Dataset, picture: Picture) -> None:
    data_set.AnatomicalOrientationType = "QUADRUPED"
    data_set.PatientOrientation = list(picture.orientation)
    data_set.ImageLaterality = "U"
    data_set.SeriesDescription = picture.series
    data_set.BodyPartExamined = picture.body_part
    if picture.protocol:
        data_set.ProtocolName = picture.protocol
    data_set.AnatomicRegionSequence = [] if picture.region is None else [coded(picture.region)]
    data_set.ViewCodeSequence = []
    if picture.view is not None:
        item = coded(picture.view)
        item.ViewModifierCodeSequence = []
        data_set.ViewCodeSequence = [item]


def _describe_detector(data_set: Dataset, picture: Picture) -> None:
    spacing = f"{picture.spacing_mm:.6f}"
    data_set.DetectorType = "DIRECT"
    data_set.DetectorID = "PHANTOM"
    data_set.ImagerPixelSpacing = [spacing, spacing]
    data_set.PixelSpacing = [spacing, spacing]  # a parallel beam magnifies nothing
    data_set.PixelSpacingCalibrationType = "GEOMETRY"
    data_set.PixelSpacingCalibrationDescription = "parallel beam"
    data_set.PositionerType = "NONE"


def _store_pixels(data_set: Dataset, picture: Picture, *, bits: int) -> None:
    """Stored so that the window, and nothing else, gives the phantom's grey values back: PS3.3 C.11.2.1.2.1."""
    low, high = 2**bits // 16, 2**bits - 2**bits // 8
    stored = np.round(low + picture.pixels * np.float32(high - low)).astype("<u2")
    data_set.SamplesPerPixel = 1
    data_set.PhotometricInterpretation = "MONOCHROME2"
    data_set.Rows, data_set.Columns = picture.pixels.shape
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 16, bits, bits - 1
    data_set.PixelRepresentation = 0
    data_set.PixelIntensityRelationship = "LOG"
    data_set.PixelIntensityRelationshipSign = -1
    data_set.RescaleIntercept, data_set.RescaleSlope, data_set.RescaleType = "0", "1", "US"
    data_set.PresentationLUTShape = "IDENTITY"
    data_set.LossyImageCompression = "00"
    data_set.WindowCenter = f"{(low + high) / 2 + 0.5:g}"
    data_set.WindowWidth = f"{high - low + 1:g}"
    data_set.VOILUTFunction = "LINEAR"
    data_set.PixelData = stored.tobytes()


def coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item
