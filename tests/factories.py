"""Builders of real DICOM for the tests: fictional animals, UIDs that follow from small numbers.

    dx_file(tmp_path / "a.dcm")                                         a dog's lateral thorax, 16 bit, MONOCHROME2
    dx_file(path, pixels=array, BitsStored=12, WindowCenter=None)       keywords set elements, None leaves one out
    dx_file(path, study=2, instance=3, transfer_syntax=JPEG2000Lossless)
    dx_file(path, charset="ISO 2022 IR 149")                            Korean names

The pixels are a body-shaped gradient and no anatomy: what reads anatomy takes `phantoms`.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

_NAMESPACE = uuid.UUID("6f1d7c52-7a55-5d0e-8f7e-1d7a4c0b9e11")
IMPLEMENTATION_UID = UID("2.25.305828488182831875890203105390285383140")

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
_NAMES = {
    None: ("Beispiel^Rex", "Beispiel^Anna", "Mixed breed"),
    "ISO_IR 100": ("Müller^Waldi", "Müller^Jörg", "Dackel"),
    "ISO 2022 IR 149": ("Hong^Choco=洪^초코=홍^초코", "Hong^Gildong=洪^吉洞=홍^길동", "말티즈"),
    "ISO_IR 192": ("Hong^Choco=洪^초코=홍^초코", "Hong^Gildong=洪^吉洞=홍^길동", "말티즈"),
}


def uid(*parts: str | int) -> UID:
    """The same parts, the same UID."""
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(map(str, parts))).int}")


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def gradient(rows: int, columns: int, *, bits: int = 16, seed: int = 1) -> npt.NDArray[np.uint16]:
    """A bright oval on a dark ground with a little noise: every level in 0 … 2**bits − 1 may occur."""
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    noise = np.random.default_rng(seed).normal(0, 0.01, (rows, columns))
    level = np.clip(1.0 - x * x - 0.7 * y * y + noise, 0, 1)
    return np.asarray(np.rint(level * (2**bits - 1)), dtype=np.uint16)


def dx_dataset(
    *,
    pixels: npt.NDArray[Any] | None = None,
    rows: int = 120,
    columns: int = 150,
    bits: int = 16,
    study: int = 1,
    series: int = 1,
    instance: int = 1,
    charset: str | None = None,
    transfer_syntax: str = ExplicitVRLittleEndian,
    **elements: Any,
) -> Dataset:
    """A veterinary DX For Presentation (PS3.3 A.26), a dog's right lateral thorax, with file meta information.

    pixels: (rows, columns) unsigned or signed integers of 8 or 16 bit; `bits` is Bits Stored.
    elements: by keyword, set last; None removes the element.
    """
    image = gradient(rows, columns, bits=bits, seed=instance) if pixels is None else pixels
    owner, animal, breed = _NAMES[charset][1], _NAMES[charset][0], _NAMES[charset][2]
    ds = Dataset()
    ds.preamble = b"\0" * 128
    if charset is not None:
        ds.SpecificCharacterSet = ["", charset] if charset.startswith("ISO 2022") else charset
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.SOPInstanceUID = uid("instance", study, series, instance)
    ds.StudyInstanceUID = uid("study", study)
    ds.SeriesInstanceUID = uid("series", study, series)
    _describe_animal(ds, animal=animal, owner=owner, breed=breed, study=study)
    _describe_acquisition(ds, series=series, instance=instance)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = image.shape
    ds.BitsAllocated = image.dtype.itemsize * 8
    ds.BitsStored = min(bits, ds.BitsAllocated)
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(image.dtype.kind == "i")
    ds.WindowCenter = "0" if ds.PixelRepresentation else str(2 ** (ds.BitsStored - 1))
    ds.WindowWidth = str(2**ds.BitsStored)
    for keyword, value in elements.items():
        if value is not None:
            setattr(ds, keyword, value)
        elif keyword in ds:
            delattr(ds, keyword)
    _put_pixels(ds, image, transfer_syntax)
    return ds


def dx_file(path: Path, **arguments: Any) -> Path:
    """`dx_dataset` written as a Part 10 file; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dx_dataset(**arguments).save_as(path, enforce_file_format=True)
    return path


def _describe_animal(ds: Dataset, *, animal: str, owner: str, breed: str, study: int) -> None:
    ds.PatientName = animal
    ds.PatientID = f"TEST-{study:04d}"
    ds.PatientBirthDate = "20170312"
    ds.PatientSex = "F"
    ds.PatientSexNeutered = "ALTERED"
    ds.PatientAge = "008Y"
    ds.PatientWeight = "8.2"
    ds.PatientSpeciesDescription = "Canine"
    ds.PatientSpeciesCodeSequence = [code_item("448771007", "SCT", "Canis lupus familiaris")]
    ds.PatientBreedDescription = breed
    ds.PatientBreedCodeSequence = [code_item("132619000", "SCT", "Mixed breed dog")]
    ds.BreedRegistrationSequence = []
    ds.ResponsiblePerson = owner
    ds.ResponsiblePersonRole = "OWNER"
    ds.ResponsibleOrganization = "Example Animal Hospital"


def _describe_acquisition(ds: Dataset, *, series: int, instance: int) -> None:
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20251120"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101010"
    ds.AccessionNumber = "ACC1"
    ds.StudyID = "1"
    ds.ReferringPhysicianName = "Example^Vet"
    ds.StudyDescription = "Thorax"
    ds.SeriesDescription = "Thorax lateral"
    ds.Modality = "DX"
    ds.SeriesNumber = series
    ds.InstanceNumber = instance
    ds.AcquisitionNumber = instance
    ds.Manufacturer = "Example X-ray"
    ds.ManufacturerModelName = "Test"
    ds.DeviceSerialNumber = "0001"
    ds.SoftwareVersions = "1.0"
    ds.InstitutionName = "Example Animal Hospital"
    ds.StationName = "DR1"
    ds.BodyPartExamined = "CHEST"
    ds.AnatomicRegionSequence = [code_item("816094009", "SCT", "Chest")]
    ds.ViewCodeSequence = [code_item("399198007", "SCT", "Left-right lateral")]
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = []
    ds.AnatomicalOrientationType = "QUADRUPED"
    ds.PatientOrientation = ["CD", "V"]
    ds.ImageLaterality = "U"
    ds.PositionerType = "NONE"
    ds.AcquisitionContextSequence = []
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.KVP = "60"
    ds.DetectorType = "SCINTILLATOR"
    ds.DetectorConfiguration = "AREA"
    ds.ImagerPixelSpacing = ["0.15", "0.15"]
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1
    ds.RescaleIntercept = "0"
    ds.RescaleSlope = "1"
    ds.RescaleType = "US"
    ds.PresentationLUTShape = "IDENTITY"
    ds.LossyImageCompression = "00"
    ds.BurnedInAnnotation = "NO"


def _put_pixels(ds: Dataset, image: npt.NDArray[Any], transfer_syntax: str) -> None:
    native = transfer_syntax in _NATIVE
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", DigitalXRayImageStorageForPresentation)
    meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", uid("no instance"))
    meta.TransferSyntaxUID = UID(transfer_syntax) if native else ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "TESTFACTORY"
    ds.file_meta = meta
    stored = np.ascontiguousarray(
        image, dtype=image.dtype.newbyteorder(">" if transfer_syntax == ExplicitVRBigEndian else "<")
    )
    content = stored.tobytes()
    ds.PixelData = content + b"\0" * (len(content) % 2)
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 and transfer_syntax != ImplicitVRLittleEndian else "OW"
    if not native:
        # GDCM, which pydicom would ask first for RLE, aborts the process on small images (python-gdcm 3.2.6).
        plugin = "pydicom" if transfer_syntax == RLELossless else ""
        ds.compress(transfer_syntax, encoding_plugin=plugin, generate_instance_uid=False)
