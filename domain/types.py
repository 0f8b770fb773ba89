"""The nouns that travel between the rooms: frozen, slotted, keyword-only, units in the names.

Points are (column, row) in source pixels counted from the outer corner of the first pixel, as in an SR's SCOORD: the
centre of the first pixel is (0.5, 0.5). pydicom data sets stay in the rooms that read or write DICOM.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

# Whoever needs a noun needs its vocabularies: they are imported from here.
from domain.kinds import AlarmKind as AlarmKind
from domain.kinds import DeliveryState as DeliveryState
from domain.kinds import DocumentKind as DocumentKind
from domain.kinds import FindingOutcome as FindingOutcome
from domain.kinds import Language as Language
from domain.kinds import Outcome as Outcome
from domain.kinds import QualityIssue as QualityIssue
from domain.kinds import Region as Region
from domain.kinds import Source as Source
from domain.kinds import SpacingSource as SpacingSource
from domain.kinds import Species as Species
from domain.kinds import SrGeometry as SrGeometry
from domain.kinds import View as View

Point = tuple[float, float]

POINTS_OF = {  # PS3.3 C.18.6.1.2: least and most
    "POINT": (1, 1),
    "MULTIPOINT": (1, 100_000),
    "POLYLINE": (2, 100_000),
    "CIRCLE": (2, 2),  # centre, a point on it
    "ELLIPSE": (4, 4),  # ends of the major axis, then of the minor
}
FARTHEST_POINT = 100_000  # pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded concept: PS3.3 8.8. `meaning` is English and belongs to the context group it was chosen from."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why an answer is not a finding: a code that `domain.terms` says in Korean or English, and what fills its blanks."""

    code: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRef:
    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None  # from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One received SOP Instance, as it lies in the spool."""

    ref: InstanceRef
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    path: Path
    size_bytes: int
    sha256: str  # of the data set's bytes as they came, without the file meta information
    calling_ae: str
    called_ae: str
    peer_host: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What the models and the reference intervals need to know of the animal. Hidden from repr: identity stays private."""

    species: Species | None = field(default=None, repr=False)
    species_source: Source = Source.UNKNOWN
    breed: str | None = field(default=None, repr=False)
    sex: str | None = field(default=None, repr=False)
    neutered: bool | None = field(default=None, repr=False)
    age_years: float | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Radiograph:
    """An image as a viewer displays it.

    pixels: float32 (rows, columns), 0 black to 1 white, at the source's size and orientation, bone bright.
    spacing_mm: (between rows, between columns), or None where the header is silent.
    pixel_aspect: height over width of one pixel (PS3.3 C.7.6.3.1.7), 1.0 where square or unknown.
    view and region are the header's claims; None where it is silent, so that the pixels decide.
    """

    ref: InstanceRef
    pixels: npt.NDArray[np.float32] = field(repr=False)
    spacing_mm: tuple[float, float] | None
    spacing_source: SpacingSource
    pixel_aspect: float = 1.0
    modality: str = ""
    view: View | None = None
    region: Region | None = None
    laterality: str | None = None
    patient: Patient = Patient()
    decoder: str = ""  # what turned the stored bytes into pixel values
    burned_in: bool = False  # a screen or film capture: text and marks may be part of the pixels
    frames: int = 1  # that the object holds; ref.frame_number says which of several this is

    @property
    def rows(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def columns(self) -> int:
        return int(self.pixels.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What a model says of one issue: PRESENT means that the image has it."""

    issue: QualityIssue
    outcome: FindingOutcome
    probability: float  # 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """How the image as it came is made upright: mirrored left to right first, then turned clockwise by quarter turns."""

    quarter_turns: int = 0  # 0..3
    mirrored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model spoke: what every report names, so that a number can be traced to its weights."""

    name: str
    version: str
    manufacturer: str
    device_uid: str
    onnx_sha256: str
    clinical_status: str  # "demonstration" until somebody has shown more
    performance: str = ""  # one published sentence, with n and data set


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A region in the image: PS3.3 C.18.6 graphic type and its points in source pixels."""

    graphic_type: str  # POINT | MULTIPOINT | POLYLINE | CIRCLE | ELLIPSE
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        """ValueError for what nothing could draw: another number of points than the type has, or a point nowhere."""
        least, most = POINTS_OF.get(self.graphic_type, (1, 0))
        if not least <= len(self.points) <= most:
            raise ValueError(f"{len(self.points)} points are no {self.graphic_type}")
        if not all(abs(part) <= FARTHEST_POINT for point in self.points for part in point):  # NaN is none either
            raise ValueError(f"a point lies farther than {FARTHEST_POINT} pixels away")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceInterval:
    low: float
    high: float
    population: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A number that can be checked: `lines` are what it was measured from, by name."""

    concept: Code
    value: float
    unit: Code  # UCUM
    lines: Mapping[str, tuple[Point, Point]]
    interval: ReferenceInterval | None = None
    spacing_source: SpacingSource | None = None  # for lengths: what its millimetres mean
    deviation: float | None = None  # standard deviation in `unit`, from how sure the model is of its landmarks


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One answer of a model about one image.

    tracking: the stable name of the thing (a landmark, a measurement) or, for a detection, of this very answer; with the
    study's lineage it becomes the tracking unique identifier.
    """

    tracking: str
    concept: Code
    outcome: FindingOutcome
    sop_instance_uid: str
    probability: float | None = None  # 0..1
    reason: Reason | None = None  # for NOT_ASSESSABLE
    site: Code | None = None
    laterality: Code | None = None  # CID 244
    severity: Code | None = None  # CID 3716
    regions: tuple[Shape, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    guides: tuple[Shape, ...] = ()  # what an overlay draws beside the measured lines, such as the counted vertebrae
    by_person: bool = False  # entered or corrected by a person: no model is named for it
    urgent: bool = False  # its model package asks that a person be told at once


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """What one model said of one image: findings, or the reason why there are none."""

    model: ModelIdentity
    outcome: Outcome
    reason: Reason | None = None
    findings: tuple[Finding, ...] = ()
    view_rank: int = 0  # place of the image's view among those that the model prefers, from 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAnswer:
    """What became of one image. Every image that was received gets one."""

    ref: InstanceRef
    outcome: Outcome
    reason: Reason | None = None
    rows: int = 0
    columns: int = 0
    view: View | None = None
    view_source: Source = Source.UNKNOWN
    region: Region | None = None
    region_source: Source = Source.UNKNOWN
    species: Species | None = None
    species_source: Source = Source.UNKNOWN
    models: tuple[ModelAnswer, ...] = ()
    triage: ModelIdentity | None = None  # the model that looked at the image first
    orientation: Orientation | None = None  # None where nobody judged it
    quality: tuple[Quality, ...] = ()  # empty where nobody judged it
    shadow: tuple[ModelAnswer, ...] = ()  # kept for comparison, never filed
    decoder: str = ""  # what turned the stored bytes into pixel values; empty where nothing did
    spacing_source: SpacingSource | None = None  # what the image's millimetres mean; None where it has none
    burned_in: bool = False  # a screen or film capture: text and marks may be part of the pixels
    frames: int = 1  # that the object holds; ref.frame_number says which of several was read


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A source image of a report: what it is, the hash of what it held, and what became of it."""

    answer: ImageAnswer
    sha256: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFinding:
    """What a model says of one concept for the whole study: the answer of the image that shows it best, and why that one."""

    concept: Code
    laterality: Code | None
    outcome: FindingOutcome
    probability: float | None
    sop_instance_uid: str
    reason: Reason
    images: int  # that the concept was looked for in


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One model's answer for a study; with `model` None, why no model could answer."""

    study_instance_uid: str
    model: ModelIdentity | None
    outcome: Outcome
    reason: Reason | None
    evidence: tuple[Evidence, ...]
    findings: tuple[Finding, ...]
    revision: int  # from 1
    analysed_at: datetime
    conclusions: tuple[StudyFinding, ...] = ()  # one per concept


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """The veterinarian who answers for a report. Hidden from repr.

    name: a person name as DICOM spells it, FAMILY^GIVEN, up to three component groups (PS3.5 6.2).
    """

    name: str = field(repr=False)
    organization: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A DICOM file that the node wrote. The same inputs give the same UID and the same bytes."""

    kind: DocumentKind
    ref: InstanceRef
    study_instance_uid: str
    series_instance_uid: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What may differ between the documents of two destinations; all of it decides their UIDs.

    comprehensive_3d: the SR as Comprehensive 3D SR Storage. overlay_longest_side: of the radiograph in an overlay, in
    pixels, 0 for its own size. overlay_jpeg: JPEG baseline, otherwise uncompressed.
    """

    language: Language = Language.KOREAN
    sr_geometry: SrGeometry = SrGeometry.MEASURED
    comprehensive_3d: bool = False
    overlay_longest_side: int = 1600
    overlay_jpeg: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An application entity to talk to."""

    ae_title: str
    host: str
    port: int
    calling_ae: str = "HOUNDSFIELD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What a C-STORE brought, before it is durable: its identity, and its bytes untouched.

    part10_header: preamble, prefix and file meta information that make `data_set` a Part 10 file (PS3.10 7.1).
    """

    ref: InstanceRef
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    called_ae: str
    peer_host: str
    modality: str  # the settings' name of the sender
    part10_header: bytes = field(repr=False)
    data_set: bytes | bytearray | memoryview = field(repr=False)
    urgent: bool = False  # the console says so: Requested Procedure Priority (0040,1003)
