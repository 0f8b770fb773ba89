"""What a model says of the images of a collection: read from a run's answers, or asked of a package as the node asks it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from domain import codes, terms
from domain.errors import ImageUnreadable, ModelFailed, ModelInvalid, NotFound
from domain.types import Finding, Language, Radiograph
from inference.applicability import contradiction
from inference.engine import Engine
from inference.heads import read_head
from inference.manifest import BoxesHead, Calibration, Class, ClassificationHead, LandmarksHead, MasksHead
from inference.measuring import MEASURES
from inference.outline import outline, parts
from inference.package import ModelPackage, find_packages, load_package
from inference.plane import AS_IT_CAME, Plane, fit
from inference.reading import NotAnImage, read_radiograph
from inference.runtime import OnnxRuntime
from inference.tensors import sigmoid
from metalearner.calibration import logit, operating_points, platt
from metalearner.collection import Case, Collection, Part
from metalearner.fingerprint import read_fingerprint
from metalearner.planes import planes
from metalearner.tasks import RUN, load_run

FloatArray = npt.NDArray[np.float64]
_PARTS_OF_A_MASK = 5
_SURE = 0.5  # where nothing says from which probability on a finding is PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlined:
    """A region that was found: (n, 2) corners in source pixels, and how probable."""

    ring: FloatArray
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswers:
    """To n images; NaN where there is no answer. By concept, landmark or measure, as `Labels` names them.

    probabilities: as they are filed, calibrated; raw: before that. calibrated_by: in words, empty for not at all.
    regions: of each concept and image; drawn: whether they are boxes or outlines of masks.
    declined: how many images, by the reason. trained_on: `patient_mark` of the patients, where a package says them.
    """

    name: str
    version: str
    source: Literal["run", "package"]
    images: tuple[str, ...]
    declined: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)  # of concepts that `domain.codes` does not know
    probabilities: Mapping[str, FloatArray] = field(default_factory=dict)
    raw: Mapping[str, FloatArray] = field(default_factory=dict)
    calibrated_by: str = ""
    operating_points: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    points: Mapping[str, FloatArray] = field(default_factory=dict)
    measures: Mapping[str, FloatArray] = field(default_factory=dict)
    regions: Mapping[str, tuple[tuple[Outlined, ...], ...]] = field(default_factory=dict)
    drawn: Literal["boxes", "masks"] = "masks"
    trained_on: frozenset[str] = frozenset()

    def among(self, images: Sequence[str]) -> ModelAnswers:
        """To these images, which are among its own, in this order."""
        place = {image: number for number, image in enumerate(self.images)}
        chosen = np.array([place[image] for image in images], dtype=int)

        def cut(given: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
            return {name: values[chosen] for name, values in given.items()}

        return replace(
            self,
            images=tuple(images),
            probabilities=cut(self.probabilities),
            raw=cut(self.raw),
            points=cut(self.points),
            measures=cut(self.measures),
            regions={name: tuple(of[i] for i in chosen) for name, of in self.regions.items()},
        )


def is_run(path: Path) -> bool:
    return (path / RUN).is_file()


def from_run(run: Path, collection: Collection, part: Part) -> ModelAnswers:
    """NotFound where the run answered nothing of this part; it is calibrated by what it answered of the validation part."""
    task, recipe, _ = load_run(run)
    kept = _kept(run, part)
    images = tuple(str(image) for image in kept["images"])
    strangers = [image for image in images if image not in collection.by_image]
    if strangers:
        raise NotFound(f"{run.name}: {len(strangers)} of its images are not in the collection {collection.name}")
    raw = {value: kept["probabilities"][:, i].astype(np.float64) for i, value in enumerate(task.values)}
    probabilities, at, calibrated_by = _calibrated(run, collection, task.values, raw, part)
    points = {name: kept["points"][:, i].astype(np.float64) for i, name in enumerate(task.points)}
    names = [request.measure for request in task.measurement]
    cases = [collection.by_image[image] for image in images]
    regions: dict[str, tuple[tuple[Outlined, ...], ...]] = {}
    if "boxes" in kept:
        regions = {value: _boxes(kept["boxes"], i) for i, value in enumerate(task.values)}
    elif "masks" in kept:
        laid = planes(collection, images, task.input_of(recipe.rows, recipe.columns))
        regions = {
            value: tuple(_outlines(kept["masks"][n, i], laid.plane(n), float(raw[value][n])) for n in range(len(images)))
            for i, value in enumerate(task.values)
        }
    return ModelAnswers(
        name=run.name,
        version="",
        source="run",
        images=images,
        words={concept.value: concept.meaning for concept in task.concepts},
        probabilities=probabilities,
        raw=raw,
        calibrated_by=calibrated_by,
        operating_points=at,
        points=points,
        measures={measure_key(name): measured(name, points, cases) for name in names},
        regions=regions,
        drawn="boxes" if "boxes" in kept else "masks",
    )


def _kept(run: Path, part: Part) -> Mapping[str, npt.NDArray[Any]]:
    path = run / f"answers-{part.value}.npz"
    try:
        with np.load(path) as saved:
            return dict(saved)
    except FileNotFoundError:
        raise NotFound(f"the run {run.name} kept no answers to the part {part.value} ({path.name})") from None
    except (OSError, ValueError, zipfile.BadZipFile):
        raise NotFound(f"{path} cannot be read: run `learn train` again") from None


def _calibrated(
    run: Path, collection: Collection, values: Sequence[str], raw: Mapping[str, FloatArray], part: Part
) -> tuple[dict[str, FloatArray], dict[str, tuple[float, float]], str]:
    """Probabilities, operating points, and by what. Never by the cases that are judged."""
    found, at = dict(raw), dict.fromkeys(values, (_SURE, _SURE))
    if part is Part.VALIDATION or not values or not (run / f"answers-{Part.VALIDATION.value}.npz").is_file():
        return found, at, ""
    kept, calibrated_by = _kept(run, Part.VALIDATION), ""
    truths = [truth_of_classes(collection, str(image)) for image in kept["images"]]
    for number, value in enumerate(values):
        truth = np.array([said.get(value, -1) for said in truths])
        if (truth == 1).sum() < 2 or (truth == 0).sum() < 2:
            continue
        logits = logit(kept["probabilities"][:, number].astype(np.float64))
        slope, intercept = platt(logits, truth)
        if slope <= 0:  # worse than chance: turned round it would pretend to know
            slope, intercept = 1.0, 0.0
        found[value] = sigmoid(logit(raw[value]) * slope + intercept)
        at[value] = operating_points(sigmoid(logits * slope + intercept), truth, gap=True)
        calibrated_by = "Platt scaling on the validation part"
    return found, at, calibrated_by


def truth_of_classes(collection: Collection, image: str) -> dict[str, int]:
    """1 present, 0 absent; what is outlined is there."""
    truth = collection.truth(image)
    outlined = [mask.concept for mask in truth.masks] + [box.concept for box in truth.boxes]
    return {concept: int(value >= 0.5) for concept, value in truth.classes.items()} | dict.fromkeys(outlined, 1)


def _boxes(kept: FloatArray, number: int) -> tuple[tuple[Outlined, ...], ...]:
    """kept: (n, most, 6), class, score, left, top, right, bottom."""
    return tuple(
        tuple(
            Outlined(ring=np.array([(left, top), (right, top), (right, bottom), (left, bottom)]), probability=float(score))
            for _, score, left, top, right, bottom in of_image[of_image[:, 0] == number].astype(np.float64)
        )
        for of_image in kept
    )


def _outlines(mask: npt.NDArray[np.uint8], plane: Plane, probability: float) -> tuple[Outlined, ...]:
    stride = np.array(plane.values.shape[::-1]) / np.array(mask.shape[::-1])
    found = parts(mask > 0, least_pixels=1, most=_PARTS_OF_A_MASK)
    rings = [plane.to_source(outline(part, tolerance=1.0) * stride) for part in found]
    return tuple(Outlined(ring=ring, probability=probability) for ring in rings)


def measure_key(name: str) -> str:
    """As labels name it: a measure of one side has the side's name behind it."""
    measure = MEASURES[name]  # type: ignore[index]  # a name from a checked task
    return _key(measure.concept.value, "" if measure.laterality is None else measure.laterality.meaning)


def _key(value: str, side: str) -> str:
    return f"{value}_{side.upper()}" if side else value


def measured(name: str, points: Mapping[str, FloatArray], cases: Sequence[Case]) -> FloatArray:
    """(n,) from landmarks in source pixels; NaN where they make no such measure."""
    measure = MEASURES[name]  # type: ignore[index]  # as above
    found = np.full(len(cases), np.nan)
    for number, case in enumerate(cases):
        square = np.array([1.0, aspect_of(case)])
        given = {known: at[number] * square for known, at in points.items() if np.isfinite(at[number]).all()}
        if all(known in given for known in measure.required):
            try:
                found[number] = measure.of(given).value if measure.refusal(given) is None else np.nan
            except ValueError:
                continue
    return found


def aspect_of(case: Case) -> float:
    """Height over width of a source pixel."""
    if not case.spacing_row_mm or not case.spacing_column_mm:
        return 1.0
    return case.spacing_row_mm / case.spacing_column_mm


def from_package(
    directory: Path,
    collection: Collection,
    images: Sequence[str],
    *,
    threads: int = 2,
    told: Callable[[int], None] = lambda _: None,
) -> ModelAnswers:
    """As the node asks: the triage that is shipped looks first and turns the image upright.

    told: called with the number of images done. ModelInvalid for a folder that is no such package.
    """
    package = load_package(directory)
    if package.manifest.is_triage:
        raise ModelInvalid(f"model {package.name} is for triage: `python -m metalearner.triage.evaluation` measures it")
    asked = _Asked(package)
    runtime = OnnxRuntime(package, threads=threads)
    triage = Engine([one for one in find_packages() if one.manifest.is_triage], threads=threads)
    for number, image in enumerate(images):
        asked.ask(image, collection.path(image), runtime, triage)
        told(number + 1)
    return asked.answers()


class _Asked:
    """A package's answers, gathered image by image."""

    def __init__(self, package: ModelPackage) -> None:
        self._package = package
        self._images: list[str] = []
        self._declined: dict[str, int] = {}
        self._rows: list[dict[str, Any]] = []
        self._classes: dict[str, Class] = {}
        for head in package.manifest.head:
            if isinstance(head, ClassificationHead | MasksHead | BoxesHead):
                for known in head.classes:
                    if known.concept is not None:
                        self._classes.setdefault(known.concept.value, known)

    def ask(self, image: str, path: Path, runtime: OnnxRuntime, triage: Engine) -> None:
        try:
            radiograph = read_radiograph(path, assumed_species=None)
        except (ImageUnreadable, NotAnImage):
            self._decline("the image cannot be read")
            return
        manifest, first = self._package.manifest, triage.analyse(radiograph)
        seen = replace(radiograph, view=first.view, region=first.region)
        reason = contradiction(manifest.applicability, seen)
        if reason is not None:
            self._decline(terms.reason(reason, Language.ENGLISH))
            return
        wanted = manifest.input
        plane = fit(
            seen.pixels,
            pixel_aspect=seen.pixel_aspect,
            rows=wanted.rows,
            columns=wanted.columns,
            low_percent=wanted.low_percent,
            high_percent=wanted.high_percent,
            how=wanted.fit,
            orientation=first.orientation or AS_IT_CAME,
        )
        try:
            row = self._row(plane, runtime, seen)
        except ModelFailed:
            self._decline("the model broke on the image")
            return
        self._images.append(image)
        self._rows.append(row)

    def _decline(self, reason: str) -> None:
        self._declined[reason] = self._declined.get(reason, 0) + 1

    def _row(self, plane: Plane, runtime: OnnxRuntime, radiograph: Radiograph) -> dict[str, Any]:
        """By "probability X", "point X", "measure X" and "regions X": the first head that speaks of X counts."""
        row: dict[str, Any] = {}
        for head in self._package.manifest.head:
            said = read_head(head, plane=plane, predict=runtime.predict, radiograph=radiograph)
            if isinstance(head, LandmarksHead):
                for name in head.names:
                    at = plane.to_source([said.values[f"{name}.column"], said.values[f"{name}.row"]])
                    row.setdefault(f"point {name}", at)
            for value in self._classes:
                p = said.values.get(value, said.values.get(f"{value}.probability"))
                if p is not None:
                    row.setdefault(f"probability {value}", p)
            for finding in said.findings:
                _take(row, finding)
        return row

    def answers(self) -> ModelAnswers:
        manifest, nan = self._package.manifest, float("nan")
        names = {name for row in self._rows for name in row}

        def column(kind: str, name: str, none: Any = nan) -> FloatArray:
            return np.array([row.get(f"{kind} {name}", none) for row in self._rows], dtype=np.float64)

        def of(kind: str) -> list[str]:
            return sorted(name.removeprefix(f"{kind} ") for name in names if name.startswith(f"{kind} "))

        probabilities = {value: column("probability", value) for value in self._classes if f"probability {value}" in names}
        calibrations = {value: self._classes[value].calibration for value in probabilities}
        changed = any(one != Calibration() for one in calibrations.values())
        points = [name for head in manifest.head if isinstance(head, LandmarksHead) for name in head.names]
        return ModelAnswers(
            name=manifest.name,
            version=manifest.version,
            source="package",
            images=tuple(self._images),
            declined=self._declined,
            words={value: known.concept.meaning for value, known in self._classes.items() if known.concept},
            probabilities=probabilities,
            raw={value: _uncalibrated(p, calibrations[value]) for value, p in probabilities.items()},
            calibrated_by="Platt scaling in the package" if changed else "",
            operating_points={
                value: (known.operating_points.absent_below, known.operating_points.present_from)
                for value, known in self._classes.items()
                if known.operating_points
            },
            points={name: column("point", name, (nan, nan)) for name in points if self._rows},
            measures={name: column("measure", name) for name in of("measure")},
            regions={value: tuple(tuple(row.get(f"regions {value}", ())) for row in self._rows) for value in of("regions")},
            drawn="boxes" if any(isinstance(head, BoxesHead) for head in manifest.head) else "masks",
            trained_on=_trained_on(self._package.directory),
        )


def _take(row: dict[str, Any], finding: Finding) -> None:
    side = finding.laterality.meaning if finding.laterality in (codes.LEFT, codes.RIGHT) else ""
    if finding.measurements:
        row.setdefault(f"measure {_key(finding.concept.value, side)}", finding.measurements[0].value)
    elif finding.probability is not None:
        rings = [np.array(shape.points[:-1]) for shape in finding.regions if shape.graphic_type == "POLYLINE"]
        found = row.setdefault(f"regions {finding.concept.value}", []) if rings else []
        found += [Outlined(ring=ring, probability=finding.probability) for ring in rings]


def _uncalibrated(p: FloatArray, calibration: Calibration) -> FloatArray:
    if calibration == Calibration() or calibration.slope == 0:
        return p
    return sigmoid((logit(p) - calibration.intercept) / calibration.slope)


def _trained_on(directory: Path) -> frozenset[str]:
    """Empty where the package does not say."""
    said = read_fingerprint(directory) or {}
    return frozenset(said.get("patients", ()))
