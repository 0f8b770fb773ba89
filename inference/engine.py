"""A file in, an `ImageAnswer` out, whatever the file is: the one way from pixels to findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from domain.errors import ImageUnreadable, ModelFailed
from domain.types import ImageAnswer, ModelAnswer, Outcome, Radiograph, Reason, Region, Source, Species, View
from inference.applicability import contradiction, nearest
from inference.findings import HeadAnswer, read_head
from inference.package import ModelPackage
from inference.plane import fit
from inference.reading import NotAnImage, read_radiograph, read_ref
from inference.runtime import Runtime

_Fact = TypeVar("_Fact", View, Region)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """radiograph: for who draws on it; None where the file could not be read."""

    answer: ImageAnswer
    radiograph: Radiograph | None


class Engine:
    """The loaded models. `answer` may be called from several threads."""

    def __init__(self, packages: Sequence[ModelPackage], *, threads: int) -> None:
        """threads: for one run of one model. ModelInvalid when a model does not load."""
        self._models = tuple((package, Runtime(package, threads=threads)) for package in packages)

    def answer(self, path: Path, *, assumed_species: Species | None) -> ImageAnswer:
        return self.look(path, assumed_species=assumed_species).answer

    def look(self, path: Path, *, assumed_species: Species | None) -> Answered:
        """Every file gets an answer: what cannot be read is FAILED with its reason, what holds no image is DECLINED."""
        try:
            radiograph = read_radiograph(path, assumed_species=assumed_species)
        except NotAnImage:
            reason = Reason(code="not_an_image")
            return Answered(answer=ImageAnswer(ref=read_ref(path), outcome=Outcome.DECLINED, reason=reason), radiograph=None)
        except ImageUnreadable as error:
            reason = Reason(code="unreadable", details={"error": str(error)})
            return Answered(answer=ImageAnswer(ref=read_ref(path), outcome=Outcome.FAILED, reason=reason), radiograph=None)
        return Answered(answer=self.analyse(radiograph), radiograph=radiograph)

    def analyse(self, radiograph: Radiograph) -> ImageAnswer:
        """Let every model speak that nothing in the header contradicts."""
        answers: list[ModelAnswer] = []
        heads: list[HeadAnswer] = []
        for package, runtime in self._models:
            answer, said = _ask(package, runtime, radiograph)
            answers.append(answer)
            heads += said
        outcome, reason = _sum_up(answers)
        view, view_source = _first(radiograph.view, [head.view for head in heads])
        region, region_source = _first(radiograph.region, [head.region for head in heads])
        return ImageAnswer(
            ref=radiograph.ref,
            outcome=outcome,
            reason=reason,
            rows=radiograph.rows,
            columns=radiograph.columns,
            view=view,
            view_source=view_source,
            region=region,
            region_source=region_source,
            species=radiograph.patient.species,
            species_source=radiograph.patient.species_source,
            models=tuple(answers),
        )


def _ask(package: ModelPackage, runtime: Runtime, radiograph: Radiograph) -> tuple[ModelAnswer, list[HeadAnswer]]:
    manifest, model = package.manifest, package.identity
    reason = contradiction(manifest.applicability, radiograph)
    if reason is not None:
        return ModelAnswer(model=model, outcome=Outcome.DECLINED, reason=reason), []
    plane = fit(
        radiograph.pixels,
        pixel_aspect=radiograph.pixel_aspect,
        rows=manifest.input.rows,
        columns=manifest.input.columns,
        low_percent=manifest.input.low_percent,
        high_percent=manifest.input.high_percent,
    )
    try:
        heads = [read_head(head, plane=plane, predict=runtime.predict, radiograph=radiograph) for head in manifest.head]
    except ModelFailed:
        return ModelAnswer(model=model, outcome=Outcome.FAILED, reason=Reason(code="model_failed")), []
    findings = tuple(head.finding for head in heads)
    return ModelAnswer(model=model, outcome=Outcome.ANALYSED, findings=findings), heads


def _sum_up(answers: list[ModelAnswer]) -> tuple[Outcome, Reason | None]:
    """One model that analysed makes the image analysed; a broken one weighs more than those that declined."""
    outcomes = {answer.outcome for answer in answers}
    if Outcome.ANALYSED in outcomes:
        return Outcome.ANALYSED, None
    if Outcome.FAILED in outcomes:
        return Outcome.FAILED, Reason(code="model_failed")
    reasons = [answer.reason for answer in answers if answer.reason is not None]
    return Outcome.DECLINED, nearest(reasons) if reasons else Reason(code="no_model")


def _first(claimed: _Fact | None, seen: list[_Fact | None]) -> tuple[_Fact | None, Source]:
    """The header's claim, else what a model saw."""
    if claimed is not None:
        return claimed, Source.HEADER
    found = next((fact for fact in seen if fact is not None), None)
    return found, Source.UNKNOWN if found is None else Source.PIXELS
