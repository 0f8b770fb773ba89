"""Images come into a collection without whose they are, and what is not taken is said."""

from __future__ import annotations

import io
import stat
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from factories import code_item, dx_dataset, dx_file, gradient
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from domain.types import Region, Species, View
from inference.reading import read_radiograph
from metalearner.collecting import Gathered, Incoming, files_below, gather, opened
from metalearner.collection import Collection, CollectionInvalid
from metalearner.deidentify import KEY, Pseudonyms, known_breed
from metalearner.labelling import Labels
from metalearner.labels.said import Said

# Nobody's: the letters of each are found in no other text.
SECRETS = (
    "Zwiebelmann",
    "Knautschke",
    "Qualle-4711",
    "홍길동찾기",
    "Krötenweg 12",
    "0999-31337",
    "Pfotenklinik",
    "19871224",
)
OWNER, ANIMAL, NUMBER, KOREAN, STREET, PHONE, CLINIC, DAY = SECRETS
OTHER_UID = "1.2.276.0.31337.4711.99"


def named(path: Path, **more: object) -> Path:
    """A file that says in every way that consoles know whose it is."""
    ds = dx_dataset(charset="ISO_IR 192")
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = f"{ANIMAL}^{KOREAN}", NUMBER, DAY
    ds.ResponsiblePerson, ds.ResponsibleOrganization, ds.InstitutionName = OWNER, CLINIC, CLINIC
    ds.StudyDate, ds.AcquisitionDateTime, ds.PatientAddress, ds.PatientTelephoneNumbers = DAY, DAY, STREET, PHONE
    ds.StudyDescription = f"Thorax of {ANIMAL}"
    ds.SeriesDescription = ds.ProtocolName = ds.ImageComments = ds.DerivationDescription = f"{OWNER} {PHONE}"
    ds.PatientSpeciesDescription, ds.PatientBreedDescription = f"Dog of {OWNER}", f"Pug {OWNER}"
    ds.PatientBreedCodeSequence = [code_item(OWNER, "99X", OWNER)]
    ds.BodyPartExamined, ds.ViewPosition, ds.DetectorDescription = OWNER.upper(), "VD", CLINIC
    ds.BreedRegistrationSequence = [Dataset()]
    ds.BreedRegistrationSequence[0].BreedRegistrationNumber = NUMBER
    ds.ViewCodeSequence[0].CodeMeaning = f"Left-right lateral {OWNER}"
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = [code_item("1", "99X", ANIMAL)]
    ds.RequestAttributesSequence = [Dataset()]
    ds.RequestAttributesSequence[0].ScheduledProcedureStepDescription = OWNER
    ds.OriginalAttributesSequence = [Dataset()]
    ds.OriginalAttributesSequence[0].ModifiedAttributesSequence = [Dataset()]
    ds.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].PatientName = ANIMAL
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTExplanation = [4, 0, 16], OWNER
    lut.LUTData = np.array([0, 20000, 40000, 65535], "<u2").tobytes()
    ds.VOILUTSequence = [lut]
    ds.IrradiationEventUID = ds.FrameOfReferenceUID = OTHER_UID
    ds.private_block(0x0009, OWNER, create=True).add_new(1, "LO", ANIMAL)
    ds.add_new(0x60003000, "OW", f"{ANIMAL}{OWNER}".encode().ljust(40))
    ds.add_new(0xFFFCFFFC, "OB", OWNER.encode() + b"\0")
    ds.PixelData += f"{OWNER} {PHONE} ".encode()
    ds.preamble = OWNER.encode().ljust(128, b"\0")
    ds.file_meta.SourceApplicationEntityTitle = OWNER
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=False)
    return path


def collected(out: Path, folder: Path, *labels: tuple[str, list[Said]], **more: object) -> Gathered:
    collection = opened(out, name="test", made_at="2026-11-22T00:00:00+00:00")
    return gather(collection, files_below(folder, **more), origins=["a folder"], labels=labels)


def test_no_byte_says_whose_an_image_is(tmp_path: Path) -> None:
    source = named(tmp_path / "in" / f"{ANIMAL} {OWNER}.dcm")
    broken = tmp_path / "in" / f"{KOREAN}.dcm"
    broken.write_bytes(b"\0" * 128 + b"DICM" + ANIMAL.encode())
    stranger = Said(
        labels=Labels(image="", source="", reader=OWNER, classes={"X": 1.0}), place="line 2", image=f"{OWNER}.dcm"
    )
    known = replace(stranger, image=source.name)
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        found = collected(tmp_path / "out", tmp_path / "in", ("a table", [stranger, known]), clinic=CLINIC)
    assert found.counts == Counter({"added": 1, "no DICOM objects": 1})
    assert any("1 labels name no image of the collection (line 2)" in sentence for sentence in found.said)
    found.collection.save()
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) == 6
    texts = [printed.getvalue(), repr(found), "".join(map(str, files)), str(Collection.load(tmp_path / "out"))]
    original = dcmread(source)
    for secret in (*SECRETS, OTHER_UID, original.SOPInstanceUID, original.StudyInstanceUID, original.SeriesInstanceUID):
        for encoding in ("utf-8", "utf-16-le", "euc-kr"):
            needle = secret.encode(encoding, "ignore").lower()
            assert all(needle not in path.read_bytes().lower() for path in files)
        assert all(secret.lower() not in text.lower() for text in texts)


def test_what_is_known_of_the_animal_and_the_film_is_kept(tmp_path: Path) -> None:
    source = named(tmp_path / "in" / "a.dcm", PatientBreedDescription="Mops")
    found = collected(tmp_path / "out", tmp_path / "in")
    (case,) = found.collection.cases
    assert (case.species, case.breed, case.sex, case.age_years) == ("dog", "Pug", "FN", 8.0)
    assert (case.region, case.view, case.laterality) == ("thorax", "right-lateral", "U")
    assert (case.rows, case.columns, case.spacing_row_mm, case.spacing_source) == (120, 150, 0.15, "detector")
    assert case.device == "Example X-ray Test"
    before, after = (read_radiograph(path, assumed_species=None) for path in (source, tmp_path / "out" / case.file))
    np.testing.assert_array_equal(after.pixels, before.pixels)
    assert after.patient.species is Species.DOG
    assert after.patient.breed == "Pug"
    assert after.patient.age_years == 8
    assert (after.region, after.view, after.laterality) == (Region.THORAX, View.RIGHT_LATERAL, "U")
    assert after.spacing_mm == before.spacing_mm
    written = dcmread(tmp_path / "out" / case.file)
    assert written.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in written.DeidentificationMethodCodeSequence] == ["113100", "113108"]


@pytest.mark.parametrize(
    "elements",
    [
        {"transfer_syntax": ImplicitVRLittleEndian},
        {"transfer_syntax": ExplicitVRBigEndian},
        {"transfer_syntax": RLELossless},
        {"transfer_syntax": JPEG2000Lossless},
        {
            "bits": 12,
            "PhotometricInterpretation": "MONOCHROME1",
            "WindowCenter": ["2000", "1000"],
            "WindowWidth": ["4000", "9"],
        },
        {"pixels": np.arange(-3000, 3000, dtype=np.int16).reshape(60, 100), "PixelPaddingValue": -3000},
        {"WindowCenter": None, "WindowWidth": None, "RescaleSlope": "0.5", "RescaleIntercept": "-7.5"},
        {"SOPClassUID": DigitalXRayImageStorageForProcessing, "PixelIntensityRelationship": "LIN", "WindowCenter": None},
        {"pixels": np.arange(15, dtype=np.uint8).reshape(3, 5), "bits": 8, "PixelAspectRatio": ["2", "1"]},
    ],
)
def test_pixels_are_shown_as_before(tmp_path: Path, elements: dict[str, object]) -> None:
    source = dx_file(tmp_path / "in" / "a.dcm", **elements)
    (case,) = collected(tmp_path / "out", tmp_path / "in").collection.cases
    before, after = (read_radiograph(path, assumed_species=None) for path in (source, tmp_path / "out" / case.file))
    np.testing.assert_array_equal(after.pixels, before.pixels)
    assert after.spacing_mm == before.spacing_mm
    assert after.pixel_aspect == before.pixel_aspect


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless])
def test_what_stands_beside_compressed_pixels_is_left(tmp_path: Path, syntax: str) -> None:
    """Comments and application data of the code, and what lies behind its end."""
    pixels = gradient(90, 110, bits=8).astype(np.uint8)
    code, words = compressed(pixels, syntax), f"{OWNER} {PHONE} {ANIMAL}".encode()
    if syntax == JPEG2000Lossless:  # behind SIZ, which is the first segment
        at = 4 + int.from_bytes(code[4:6], "big")
        comment = b"\xff\x64" + (len(words) + 4).to_bytes(2, "big") + b"\0\1" + words
    else:
        at = 2
        comment = b"".join(marker + (len(words) + 2).to_bytes(2, "big") + words for marker in (b"\xff\xfe", b"\xff\xed"))
    code = code[:at] + comment + code[at:] + words
    ds = dx_dataset(pixels=pixels, bits=8)
    ds.PixelData = encapsulate([code + b"\0" * (len(code) % 2)])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = syntax
    source = tmp_path / "in" / "a.dcm"
    source.parent.mkdir()
    ds.save_as(source, enforce_file_format=True)
    (case,) = collected(tmp_path / "out", tmp_path / "in").collection.cases
    assert not case.declined
    kept = tmp_path / "out" / case.file
    before, after = (read_radiograph(path, assumed_species=None) for path in (source, kept))
    np.testing.assert_array_equal(after.pixels, before.pixels)
    assert all(secret.encode() not in kept.read_bytes() for secret in (OWNER, PHONE, ANIMAL))


def compressed(pixels: np.ndarray, syntax: str) -> bytes:
    if syntax == JPEGBaseline8Bit:
        held = io.BytesIO()
        Image.fromarray(pixels).save(held, "JPEG", quality=90)
        return held.getvalue()
    if syntax == JPEGLosslessSV1:
        return bytes(imagecodecs.ljpeg_encode(pixels))
    if syntax == JPEGLSLossless:
        return bytes(imagecodecs.jpegls_encode(pixels))
    return bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, level=0))


@pytest.mark.parametrize("view", [view for view in View if view is not View.OTHER])
@pytest.mark.parametrize("region", [Region.THORAX, Region.LIMB])
def test_every_view_is_read_back(tmp_path: Path, view: View, region: Region) -> None:
    words = {
        View.RIGHT_LATERAL: "RLAT",
        View.LEFT_LATERAL: "LLAT",
        View.LATERAL: "LAT",
        View.VENTRODORSAL: "VD",
        View.DORSOVENTRAL: "DV",
        View.CRANIOCAUDAL: "CRCD",
        View.CAUDOCRANIAL: "CDCR",
        View.MEDIOLATERAL: "ML",
        View.LATEROMEDIAL: "LM",
    }
    part = "STIFLE" if region is Region.LIMB else "CHEST"
    silent = {"ViewCodeSequence": None, "AnatomicRegionSequence": None}
    dx_file(tmp_path / "in" / "a.dcm", ViewPosition=words[view], BodyPartExamined=part, **silent)
    (case,) = collected(tmp_path / "out", tmp_path / "in").collection.cases
    after = read_radiograph(tmp_path / "out" / case.file, assumed_species=None)
    assert (case.view, case.region) == (view.value, region.value)
    assert (after.view, after.region) == (view, region)
    assert dcmread(tmp_path / "out" / case.file).BodyPartExamined == part


def test_images_that_may_show_names_are_declined_and_not_kept(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    dx_file(folder / "1.dcm", instance=1, BurnedInAnnotation="YES")
    dx_file(folder / "2.dcm", instance=2, SOPClassUID=SecondaryCaptureImageStorage)
    dx_file(folder / "3.dcm", instance=3, BurnedInAnnotation=None, ConversionType="SI")
    dx_file(folder / "4.dcm", instance=4, Modality="CT")
    dx_file(folder / "5.dcm", instance=5, Rows=7000)
    found = collected(tmp_path / "out", folder)
    assert found.counts == Counter({"declined": 5})
    assert [case.declined for case in found.collection.cases][:4] == [
        "text is burned into the pixels",
        "a screen or film capture, which may show names",
        "a screen or film capture, which may show names",
        "modality CT is no radiograph",
    ]
    assert found.collection.usable == ()
    assert not list((tmp_path / "out").rglob("*.dcm"))
    assert "2 images declined: a screen or film capture, which may show names" in found.said


def test_what_is_collected_again_is_known_and_new_labels_take_the_place_of_old(tmp_path: Path) -> None:
    dx_file(tmp_path / "in" / "a.dcm", instance=1)

    def said(value: float) -> tuple[str, list[Said]]:
        return "x.csv", [Said(labels=Labels(image="", source="", classes={"X": value}), place="line 2", image="a.dcm")]

    collected(tmp_path / "out", tmp_path / "in", said(1.0)).collection.save()
    dx_file(tmp_path / "in" / "b.dcm", instance=2)
    again = collected(tmp_path / "out", tmp_path / "in", said(0.0))
    assert again.counts == Counter({"known already": 1, "added": 1})
    (labels,) = again.collection.labels
    assert labels.classes == {"X": 0.0}
    assert len({case.patient for case in again.collection.cases}) == 1
    assert len({case.study for case in again.collection.cases}) == 1
    other = collected(tmp_path / "other", tmp_path / "in").collection
    assert {case.image for case in other.cases}.isdisjoint({case.image for case in again.collection.cases})


def test_patients_are_told_apart_by_what_there_is(tmp_path: Path) -> None:
    names = Pseudonyms(b"0" * 32)

    def patient(clinic: str = "", **elements: object) -> str:
        return names.patient(dx_dataset(**elements), clinic)

    same = patient(PatientID="A-12", PatientName="X")
    assert same == patient(PatientID=" a-12 ", PatientName="Y", study=2)
    assert same != patient(PatientID="A-12", clinic="other")
    assert patient(PatientID="", PatientName="Rex^Meier") == patient(PatientID="0", PatientName="rex meier")
    assert patient(PatientID=None, PatientName="Rex") != patient(PatientID=None, PatientName="Max")
    unknown = {"PatientID": None, "PatientName": None}
    assert patient(**unknown, study=1) == patient(**unknown, study=1, instance=2) != patient(**unknown, study=2)


def test_the_key_is_for_its_owner_alone_and_is_never_made_twice(tmp_path: Path) -> None:
    names = Pseudonyms.kept_in(tmp_path)
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600
    assert Pseudonyms.kept_in(tmp_path) == names
    assert len(names.uid("1.2.3")) <= 64
    (tmp_path / KEY).write_text("lost")
    with pytest.raises(CollectionInvalid, match="is no key"):
        Pseudonyms.kept_in(tmp_path)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Mops", "Pug"),
        ("border collie", "Border Collie"),
        ("Border Collie (dog)", "Border Collie"),
        ("말티즈", "말티즈"),
        ("골든 리트리버", "골든 리트리버"),
        ("DOMESTIC SHORT-HAIR 12345", "domestic shorthair"),
        ("Pug Zwiebelmann", ""),
        ("Zwiebelmann", ""),
        (None, ""),
    ],
)
def test_a_breed_is_kept_when_it_is_one(given: str | None, kept: str) -> None:
    assert known_breed(given) == kept


@pytest.mark.filterwarnings("ignore:Expected implicit VR")
def test_a_broken_value_spoils_one_image(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    dx_file(folder / "good.dcm", instance=2)
    content = dx_file(folder / "cut.dcm", instance=1).read_bytes()
    (folder / "cut.dcm").write_bytes(content[:700])
    (folder / "ends.dcm").write_bytes(content[: content.index(b"Canine") + 3])
    (folder / "words.dcm").write_text("no DICOM")
    (folder / "empty.dcm").touch()
    found = collected(tmp_path / "out", folder)
    assert found.counts["added"] == 1
    assert sum(found.counts.values()) == 5


def test_the_senders_species_fills_a_silent_header(tmp_path: Path) -> None:
    silent = dict.fromkeys(("PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription"))
    dx_file(tmp_path / "in" / "a.dcm", **silent, PatientBreedCodeSequence=None)
    (case,) = collected(tmp_path / "out", tmp_path / "in", species=Species.CAT).collection.cases
    assert case.species == "cat"
    assert read_radiograph(tmp_path / "out" / case.file, assumed_species=None).patient.species is Species.CAT


def test_a_file_that_is_gone_costs_itself(tmp_path: Path) -> None:
    """Retention may delete what the node's ledger has just named."""
    incoming = [Incoming(path=tmp_path / "gone.dcm"), Incoming(path=dx_file(tmp_path / "1.dcm"))]
    found = gather(opened(tmp_path / "out", name="test", made_at="now"), incoming, origins=["a folder"])
    assert found.counts == Counter({"files that cannot be opened": 1, "added": 1})
