"""How good a heart model is on phantoms that nobody has trained on.

The generator is frozen while measuring: easier phantoms pass anything. Phantoms are easier than films, so that every figure
from here is a figure about phantoms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from domain.types import FindingOutcome, InstanceRef, Outcome, Patient, Radiograph, Source, SpacingSource, Species
from inference.engine import Engine
from inference.package import load_package
from phantoms.views import CropName, Phantom, Unframeable, render

FloatArray = npt.NDArray[np.float64]

FIRST_SEED = 9_000_000  # of evaluation; training begins at metalearner.heart.dataset.FIRST_SEED
ROWS, COLUMNS = 768, 960


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the product says of one picture. vhs None: not assessable, for `reason`; the rest is in source pixels."""

    vhs: float | None
    reason: str = ""
    long_axis: FloatArray | None = None
    short_axis: FloatArray | None = None
    vertebral_edges: FloatArray | None = None


Read = Callable[[npt.NDArray[np.float32]], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One picture and what became of it. kind: lateral, ventrodorsal, cropped, limb, noise, text."""

    kind: str
    seed: int
    phantom: Phantom
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Lengths in vertebrae. `mean_answer_error`: of always answering the mean of the true scores.

    slope: of the regression of answers on truth; pitch_percent: mean absolute error of a vertebra's length;
    false_scores: pictures without a measurable thorax that were given a score all the same.
    """

    laterals: int
    measured: int
    mean_absolute_error: float
    mean_answer_error: float
    bias: float
    slope: float
    p95: float
    worst: float
    within_half: float
    within_eight_tenths: float
    pitch_percent: float
    others: int
    false_scores: int

    @property
    def measured_share(self) -> float:
        return self.measured / max(self.laterals, 1)

    def as_json(self) -> dict[str, Any]:
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


def lateral_phantoms(count: int, first_seed: int = FIRST_SEED) -> Iterator[tuple[int, Phantom]]:
    """Right and left laterals in turn; a body that no film can hold is passed over."""
    seed = first_seed
    for number in range(count):
        while True:
            seed += 1
            view = "lateral-left" if number % 2 else "lateral-right"
            try:
                yield seed, render(seed, view=view, rows=ROWS, columns=COLUMNS)
            except Unframeable:
                continue
            break


def other_phantoms(share: float = 1.0, first_seed: int = FIRST_SEED) -> Iterator[tuple[str, int, Phantom]]:
    """Fifty pictures without a measurable thorax, or a share of each kind: 20 ventrodorsal views of the same bodies as the
    laterals, 10 laterals without apex or T4, 10 limbs, 5 of noise, 5 of text."""

    def portion(count: int) -> int:
        return max(1, round(count * share))

    for number in range(1, portion(20) + 1):
        yield "ventrodorsal", first_seed + number, _others(first_seed + number, "ventrodorsal")
    number, seed = 0, first_seed
    while number < portion(10):
        seed += 1
        crop: CropName = "t4" if number % 2 else "apex"
        try:
            phantom = _others(seed, "lateral-right", crop)
        except Unframeable:
            continue
        number += 1
        yield "cropped", seed, phantom
    for kind, count in (("limb", 10), ("noise", 5), ("text", 5)):
        for number in range(1, portion(count) + 1):
            yield kind, first_seed + number, _others(first_seed + number, kind)


def _others(seed: int, view: str, crop: CropName | None = None) -> Phantom:
    return render(seed, view=view, rows=ROWS, columns=COLUMNS, crop=crop)


def run(read: Read, *, laterals: int = 200, share_of_others: float = 1.0, first_seed: int = FIRST_SEED) -> list[Case]:
    cases = [
        Case(kind="lateral", seed=seed, phantom=phantom, answer=read(phantom.pixels))
        for seed, phantom in lateral_phantoms(laterals, first_seed)
    ]
    cases += [
        Case(kind=kind, seed=seed, phantom=phantom, answer=read(phantom.pixels))
        for kind, seed, phantom in other_phantoms(share_of_others, first_seed)
    ]
    return cases


def summarise(cases: list[Case]) -> Figures:
    laterals = [case for case in cases if case.kind == "lateral"]
    others = [case for case in cases if case.kind != "lateral"]
    measured = [case for case in laterals if case.answer.vhs is not None]
    all_true = np.array([case.phantom.truth.vhs for case in laterals], dtype=np.float64)
    true = np.array([case.phantom.truth.vhs for case in measured], dtype=np.float64)
    said = np.array([case.answer.vhs for case in measured], dtype=np.float64)
    error = said - true
    away = np.abs(error)
    pitch = np.array([_pitch_error(case) for case in measured], dtype=np.float64)
    return Figures(
        laterals=len(laterals),
        measured=len(measured),
        mean_absolute_error=float(away.mean()),
        mean_answer_error=float(np.abs(all_true - all_true.mean()).mean()),
        bias=float(error.mean()),
        slope=float(np.polyfit(true, said, 1)[0]),
        p95=float(np.percentile(away, 95)),
        worst=float(away.max()),
        within_half=float((away <= 0.5).mean()),
        within_eight_tenths=float((away <= 0.8).mean()),
        pitch_percent=float(100 * np.nanmean(np.abs(pitch))),
        others=len(others),
        false_scores=sum(case.answer.vhs is not None for case in others),
    )


def _pitch_error(case: Case) -> float:
    """Relative error of the mean length of a vertebra, from T4 to the last edge that both have."""
    true, said = case.phantom.truth.vertebral_edges, case.answer.vertebral_edges
    if true is None or said is None or min(len(said), len(true)) < 4:
        return float("nan")
    n = min(len(said), len(true))
    return _mean_length(said[:n]) / _mean_length(true[:n]) - 1


def _mean_length(edges: FloatArray) -> float:
    return float(np.linalg.norm(np.diff(edges, axis=0), axis=1).mean())


def read_by(engine: Engine, pixels: npt.NDArray[np.float32]) -> Answer:
    """What is filed for this picture. A film whose header names neither view nor spacing, so that the pixels decide."""
    radiograph = Radiograph(
        ref=InstanceRef(sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1", sop_instance_uid="2.25.1"),
        pixels=pixels,
        spacing_mm=None,
        spacing_source=SpacingSource.UNKNOWN,
        modality="DX",
        patient=Patient(species=Species.DOG, species_source=Source.HEADER),
    )
    (model,) = engine.analyse(radiograph).models
    if model.outcome is not Outcome.ANALYSED or len(model.findings) != 1:
        return Answer(vhs=None, reason=model.outcome)
    (finding,) = model.findings
    if finding.outcome is FindingOutcome.NOT_ASSESSABLE:
        return Answer(vhs=None, reason="" if finding.reason is None else finding.reason.code)
    score = finding.measurements[0]
    lines = {name: np.array(line) for measurement in finding.measurements for name, line in measurement.lines.items()}
    return Answer(
        vhs=score.value,
        long_axis=lines["long_axis"],
        short_axis=lines["short_axis"],
        vertebral_edges=np.array(finding.guides[0].points),
    )


def accuracy(package: Path, *, laterals: int = 200, share_of_others: float = 1.0, threads: int = 2) -> list[Case]:
    engine = Engine([load_package(package)], threads=threads)
    return run(lambda pixels: read_by(engine, pixels), laterals=laterals, share_of_others=share_of_others)
