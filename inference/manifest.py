"""What `package.toml` may say: docs/model-package.md explains every key to the people who write one."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from domain.types import Code, QualityIssue, Region, Species, View
from inference.heart import Gates

MANIFEST = "package.toml"
WEIGHTS = "model.onnx"
CARD = "CARD.md"
SAMPLE = "sample.png"
EXPECTED = "expected.json"
SIGNATURE = "package.toml.sig"
FINGERPRINT = "fingerprint.json"

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=0)]  # 0: it varies from image to image
Percent = Annotated[float, Field(ge=0, le=100)]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Activation = Literal["sigmoid", "softmax", "none"]  # what is still to be done; "none": the output is probabilities
# How an image that came turned must be seen: mirrored left to right first, then turned clockwise by so many degrees.
Turned = Literal["0", "90", "180", "270", "mirrored-0", "mirrored-90", "mirrored-180", "mirrored-270"]
MeasureName = Literal["vhs", "vhs-epic", "vlas", "tracheal-ratio", "norberg-left", "norberg-right"]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Applicability(Section):
    """Where a model is valid; an empty tuple or None says nothing about its key."""

    modalities: tuple[Text, ...] = ()
    species: tuple[Species, ...] = ()
    regions: tuple[Region, ...] = ()
    views: tuple[View, ...] = ()
    preferred_views: tuple[View, ...] = ()  # of several images of a study, the first of these gives the study's answer
    least_rows: Count = 1
    least_columns: Count = 1
    least_age_years: Annotated[float, Field(ge=0)] | None = None
    most_age_years: Annotated[float, Field(ge=0)] | None = None


class Input(Section):
    """How the image is laid on the model's input (`inference.plane.fit`, `inference.tensors.prepared`)."""

    name: Text
    rows: Annotated[int, Field(ge=16, le=4096)]
    columns: Annotated[int, Field(ge=16, le=4096)]
    fit: Literal["letterbox", "crop", "squash"] = "letterbox"
    low_percent: Percent | None = None
    high_percent: Percent | None = None
    channels: Literal[1, 3] = 1
    layout: Literal["channels-first", "channels-last"] = "channels-first"
    white: Positive = 1.0
    mean: Annotated[tuple[Number, ...], Field(min_length=1, max_length=3)] = (0.0,)
    std: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=3)] = (1.0,)

    @model_validator(mode="after")
    def _consistent(self) -> Input:
        if (self.low_percent is None) != (self.high_percent is None):
            raise ValueError("low_percent and high_percent belong together")
        if self.low_percent is not None and self.high_percent is not None and self.low_percent >= self.high_percent:
            raise ValueError("low_percent must be below high_percent")
        for key in ("mean", "std"):
            if len(getattr(self, key)) not in (1, self.channels):
                raise ValueError(f"{key} needs one number, or one for each channel")
        return self


class Concept(Section):
    value: Text
    scheme: Text
    meaning: Text

    @property
    def code(self) -> Code:
        return Code(value=self.value, scheme=self.scheme, meaning=self.meaning)


class Calibration(Section):
    """Platt's: the logit of the probability, times slope, plus intercept."""

    slope: Number = 1.0
    intercept: Number = 0.0


class OperatingPoints(Section):
    """Below the first a finding is ABSENT, from the second on it is PRESENT, between them UNCERTAIN."""

    absent_below: Probability
    present_from: Probability

    @model_validator(mode="after")
    def _order(self) -> OperatingPoints:
        if self.absent_below > self.present_from:
            raise ValueError("absent_below must not be above present_from")
        return self


class Class(Section):
    """One class of an output, in the order of the output. Without a concept it is counted and never filed ("normal")."""

    concept: Concept | None = None
    operating_points: OperatingPoints | None = None
    calibration: Calibration = Calibration()
    site: Concept | None = None
    urgent: bool = False  # tell a person at once when it is PRESENT

    @model_validator(mode="after")
    def _filed_with_points(self) -> Class:
        if (self.concept is None) != (self.operating_points is None):
            raise ValueError("concept and operating_points belong together")
        return self


def _filed(classes: tuple[Class, ...]) -> tuple[Class, ...]:
    if all(known.concept is None for known in classes):
        raise ValueError("no class has a concept: nothing would be said of any image")
    return classes


Classes = Annotated[tuple[Class, ...], Field(min_length=1)]
FiledClasses = Annotated[Classes, AfterValidator(_filed)]


class _Head(Section):
    name: str = ""

    @property
    def key(self) -> str:
        """What `expected.json` calls it."""
        return self.name or str(getattr(self, "kind", ""))


def _comparable(gates: Gates) -> Gates:
    numbers = [number for gate in astuple(gates) for number in (gate if isinstance(gate, tuple) else (gate,))]
    if any(math.isnan(number) for number in numbers):
        raise ValueError("a gate that is no number lets everything pass")
    return gates


class HeartHead(_Head):
    kind: Literal["vertebral-heart-score"]
    concept: Concept
    operating_points: Annotated[Gates, AfterValidator(_comparable)] = Gates()

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"points", "views", "spine", "phase"})


class ClassificationHead(_Head):
    """output: (classes,). Several findings may be PRESENT at once (sigmoid), or the classes exclude each other (softmax).

    regions: optional, (classes, h, w) with the same activation: where each class is, for a finding that is not ABSENT.
    """

    kind: Literal["classification"]
    output: Text
    activation: Activation
    regions: Text | None = None
    threshold: Probability = 0.5  # of a pixel, to belong to a region
    least_area: Probability = 0.0  # share of the input: smaller regions are none
    classes: FiledClasses = Field(alias="class")

    @property
    def reads(self) -> frozenset[str]:
        return frozenset(name for name in (self.output, self.regions) if name)


class MeasureRequest(Section):
    """A measurement of `domain.measures`, made from the head's landmarks by their names."""

    measure: MeasureName
    most_deviation: Positive | None = None  # in the measure's unit: one that is less certain is NOT_ASSESSABLE


class LandmarksHead(_Head):
    """form "points": (n, 2) column and row in input pixels from the outer corner; spread: (n,) standard deviations.
    form "heatmaps": (n, h, w), logits; place and spread are those of the softmax.
    """

    kind: Literal["landmarks"]
    concept: Concept | None = None  # of the bare points, where nothing is measured
    output: Text
    form: Literal["points", "heatmaps"]
    spread: Text | None = None
    names: Annotated[tuple[Text, ...], Field(min_length=1)]
    most_spread: Positive  # input pixels: a landmark that is less certain makes the head's answer NOT_ASSESSABLE
    measurement: tuple[MeasureRequest, ...] = ()

    @model_validator(mode="after")
    def _spread_of_points(self) -> LandmarksHead:
        if (self.form == "points") != (self.spread is not None):
            raise ValueError('form = "points" needs spread, the output with their standard deviations; heatmaps do not')
        if len(set(self.names)) < len(self.names):
            raise ValueError("names: each landmark once")
        if (self.concept is None) == (not self.measurement):
            raise ValueError("either a concept or a measurement says what the landmarks are for")
        return self

    @property
    def reads(self) -> frozenset[str]:
        return frozenset(name for name in (self.output, self.spread) if name)


class BoxesHead(_Head):
    """boxes: (n, 4) in input pixels; scores: (n, classes). n may vary (shape [0, 4])."""

    kind: Literal["boxes"]
    boxes: Text
    scores: Text
    form: Literal["corners", "centre"]  # column and row of two corners, or of the centre with width and height
    activation: Activation
    most_overlap: Probability = 0.5  # intersection over union, above which the weaker of two boxes is the same thing
    most_boxes: Count = 20
    classes: FiledClasses = Field(alias="class")

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({self.boxes, self.scores})


class MaskRatio(Section):
    """The cardiothoracic ratio: area of one class's mask over another's; classes counted from 1."""

    measure: Literal["cardiothoracic-ratio"]
    part: Count
    whole: Count


class MasksHead(_Head):
    """output: (classes, h, w), a share of the input's size; a class's probability is the highest within its mask."""

    kind: Literal["masks"]
    output: Text
    activation: Activation
    threshold: Probability = 0.5  # of a pixel, to belong to the mask
    least_area: Probability = 0.0  # share of the input: smaller masks are none
    classes: Classes = Field(alias="class")
    ratio: MaskRatio | None = None

    @model_validator(mode="after")
    def _says_something(self) -> MasksHead:
        if self.ratio is None:
            _filed(self.classes)
        return self

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({self.output})


class RegionChoice(Section):
    output: Text
    values: Annotated[tuple[Region, ...], Field(min_length=2)]
    least_probability: Probability = 0.8


class ViewChoice(Section):
    output: Text
    values: Annotated[tuple[View, ...], Field(min_length=2)]
    least_probability: Probability = 0.8


class OrientationChoice(Section):
    """Upright is: laterals with the head at the left and the spine above; ventrodorsal and dorsoventral views with the
    head above and the animal's right at the left; limbs with their upper end above.
    """

    output: Text
    values: Annotated[tuple[Turned, ...], Field(min_length=2)]
    least_probability: Probability = 0.9


class QualityClass(OperatingPoints):
    issue: QualityIssue
    calibration: Calibration = Calibration()


class QualityChoice(Section):
    output: Text
    activation: Literal["sigmoid", "none"]
    issues: Annotated[tuple[QualityClass, ...], Field(min_length=1)] = Field(alias="issue")


class TriageHead(_Head):
    """Region, view, orientation and quality of an image, before any other model sees it; each may be left out.

    Outputs are (values,). The header is a prior: what it claims is taken as `header_weight` times as probable beforehand.
    """

    kind: Literal["triage"]
    activation: Literal["softmax", "none"]  # of region, view and orientation
    header_weight: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 4.0
    region: RegionChoice | None = None
    view: ViewChoice | None = None
    orientation: OrientationChoice | None = None
    quality: QualityChoice | None = None

    @model_validator(mode="after")
    def _says_something(self) -> TriageHead:
        if not self.reads:
            raise ValueError("at least one of region, view, orientation and quality says what the image shows")
        return self

    @property
    def reads(self) -> frozenset[str]:
        return frozenset(part.output for part in (self.region, self.view, self.orientation, self.quality) if part)


Head = Annotated[
    HeartHead | ClassificationHead | LandmarksHead | BoxesHead | MasksHead | TriageHead, Field(discriminator="kind")
]
HEAD_KINDS = ("vertebral-heart-score", "classification", "landmarks", "boxes", "masks", "triage")


class Figure(Section):
    measure: Text
    value: float
    unit: Text
    n: Count
    data_set: Text


class Performance(Section):
    sentence: Text
    figure: Annotated[tuple[Figure, ...], Field(min_length=1)]


class Manifest(Section):
    format: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    manufacturer: Text
    intended_use: Text
    clinical_status: Literal["demonstration", "research", "validated"]
    onnx_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    opset: Count
    applicability: Applicability
    input: Input
    outputs: Annotated[dict[str, tuple[Size, ...]], Field(min_length=1)]
    head: Annotated[tuple[Head, ...], Field(min_length=1)]
    performance: Performance

    @model_validator(mode="after")
    def _heads_have_outputs(self) -> Manifest:
        for head in self.head:
            missing = sorted(head.reads - self.outputs.keys())
            if missing:
                raise ValueError(f"outputs.{missing[0]} is missing: head {head.kind} reads it")
            for fault in _shape_faults(head, self.outputs):
                raise ValueError(fault)
        keys = [head.key for head in self.head]
        if len(set(keys)) < len(keys):
            raise ValueError("two heads of one kind need a name each")
        if any(head.kind == "triage" for head in self.head) and len(self.head) > 1:
            raise ValueError("a triage head is the only head of its package")
        return self

    @property
    def batch(self) -> int:
        """Images in one run: the heart's reader asks with an image and its mirror image."""
        return 2 if any(head.kind == "vertebral-heart-score" for head in self.head) else 1

    @property
    def is_triage(self) -> bool:
        return self.head[0].kind == "triage"


def _shape_faults(head: Head, outputs: dict[str, tuple[int, ...]]) -> list[str]:
    """Where a head's classes, names or values do not fit the shape that is declared for its output."""
    wanted: list[tuple[str, tuple[int | None, ...]]] = []
    if isinstance(head, ClassificationHead):
        wanted = [(head.output, (len(head.classes),))]
        wanted += [(head.regions, (len(head.classes), None, None))] if head.regions else []
    elif isinstance(head, LandmarksHead):
        points = head.form == "points"
        wanted = [(head.output, (len(head.names), 2) if points else (len(head.names), None, None))]
        wanted += [(head.spread, (len(head.names),))] if head.spread else []
    elif isinstance(head, BoxesHead):
        wanted = [(head.boxes, (None, 4)), (head.scores, (None, len(head.classes)))]
    elif isinstance(head, MasksHead):
        wanted = [(head.output, (len(head.classes), None, None))]
        if head.ratio and max(head.ratio.part, head.ratio.whole) > len(head.classes):
            return [f"head {head.kind}: ratio names a class that there is not"]
    elif isinstance(head, TriageHead):
        choices = (head.region, head.view, head.orientation)
        wanted = [(choice.output, (len(choice.values),)) for choice in choices if choice]
        wanted += [(head.quality.output, (len(head.quality.issues),))] if head.quality else []
    return [
        f"outputs.{name} is {list(outputs[name])}, but head {head.kind} needs {[size or 'any' for size in shape]}"
        for name, shape in wanted
        if not _fits(outputs[name], shape)
    ]


def _fits(given: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(given) == len(wanted) and all(b is None or a == b for a, b in zip(given, wanted, strict=True))
