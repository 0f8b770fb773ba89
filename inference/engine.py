"""A file in, an `ImageAnswer` out, whatever the file is: the one way from pixels to findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from domain.errors import ImageUnreadable, ModelFailed, ModelInvalid
from domain.types import (
    ImageAnswer,
    ModelAnswer,
    Orientation,
    Outcome,
    Radiograph,
    Reason,
    Region,
    Source,
    Species,
    View,
)
from inference.applicability import contradiction, nearest, view_rank
from inference.findings import HeadAnswer
from inference.heads import read_head
from inference.manifest import TriageHead
from inference.package import ModelPackage
from inference.plane import AS_IT_CAME, Plane, fit
from inference.reading import NotAnImage, read_radiograph, read_ref, warm
from inference.remote import RemoteRuntime
from inference.runtime import OnnxRuntime, Runtime
from inference.triage import Triaged, by_header, read_triage

_Fact = TypeVar("_Fact", View, Region)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """radiograph: for who draws on it; None where the file could not be read."""

    answer: ImageAnswer
    radiograph: Radiograph | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    package: ModelPackage
    runtime: Runtime


class Engine:
    """The loaded models. `answer` may be called from several threads.

    Triage comes first: its view and region decide which models are valid, and how the image lies turns it upright for them.
    """

    def __init__(self, packages: Sequence[ModelPackage], *, threads: int) -> None:
        """threads: for one run of one model. ModelInvalid when a model does not load."""
        for package in packages:
            if package.manifest.is_triage and package.shadow:
                said = f"model {package.name} is for triage, whose answers are not compared: it cannot be a shadow"
                raise ModelInvalid(f"{said}; say enabled = false in its [[model]]")
        warm()  # while the models load
        models = [_Model(package=package, runtime=_runtime(package, threads)) for package in packages]
        triages = [model for model in models if model.package.manifest.is_triage]
        if len(triages) > 1:
            names = " and ".join(model.package.name for model in triages)
            raise ModelInvalid(f"two triage models are installed, {names}: switch one off with enabled = false in [[model]]")
        self._triage = triages[0] if triages else None
        self._models = [model for model in models if not model.package.manifest.is_triage and not model.package.shadow]
        self._shadows = [model for model in models if not model.package.manifest.is_triage and model.package.shadow]

    def answer(self, path: Path, *, assumed_species: Species | None) -> ImageAnswer:
        return self.look(path, assumed_species=assumed_species).answer

    def look(self, path: Path, *, assumed_species: Species | None, corrected_species: Species | None = None) -> Answered:
        """Every file gets an answer: what cannot be read is FAILED with its reason, what holds no image is DECLINED.

        assumed_species: where the header is silent; corrected_species: what a person said, whatever the header says.
        PeerUnavailable: a model runs elsewhere, cannot be asked now, and the settings say to wait for it.
        """
        try:
            radiograph = read_radiograph(path, assumed_species=assumed_species)
        except NotAnImage:
            reason = Reason(code="not_an_image")
            return Answered(answer=ImageAnswer(ref=read_ref(path), outcome=Outcome.DECLINED, reason=reason), radiograph=None)
        except ImageUnreadable as error:
            return Answered(
                answer=ImageAnswer(ref=read_ref(path), outcome=Outcome.FAILED, reason=error.reason), radiograph=None
            )
        if corrected_species is not None:
            patient = replace(radiograph.patient, species=corrected_species, species_source=Source.USER)
            radiograph = replace(radiograph, patient=patient)
        return Answered(answer=self.analyse(radiograph), radiograph=radiograph)

    def analyse(self, radiograph: Radiograph) -> ImageAnswer:
        """Let every model speak that neither the pixels' triage nor the header contradicts."""
        broken, triaged = self._look_first(radiograph)
        seen = replace(radiograph, view=triaged.view, region=triaged.region)
        answers: list[ModelAnswer] = [*broken]
        heads: list[HeadAnswer] = []
        for model in self._models:
            answer, said = _ask(model, seen, triaged.orientation)
            answers.append(answer)
            heads += said
        shadows = [_ask(model, seen, triaged.orientation)[0] for model in self._shadows]
        outcome, reason = _sum_up(answers)
        view, view_source = _first(triaged.view, triaged.view_source, [head.view for head in heads])
        region, region_source = _first(triaged.region, triaged.region_source, [head.region for head in heads])
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
            decoder=radiograph.decoder,
            spacing_source=None if radiograph.spacing_mm is None else radiograph.spacing_source,
            burned_in=radiograph.burned_in,
            frames=radiograph.frames,
            models=tuple(answers),
            triage=self._triage.package.identity if self._triage and not broken else None,
            orientation=triaged.orientation,
            quality=triaged.quality,
            shadow=tuple(shadows),
        )

    def _look_first(self, radiograph: Radiograph) -> tuple[list[ModelAnswer], Triaged]:
        """A broken triage model is said to be broken, and the header stands alone."""
        if self._triage is None or contradiction(self._triage.package.manifest.applicability, radiograph) is not None:
            return [], by_header(radiograph)
        head = self._triage.package.manifest.head[0]
        assert isinstance(head, TriageHead)  # noqa: S101  the manifest has checked it
        plane = _plane(self._triage.package, radiograph, None)
        try:
            outputs = self._triage.runtime.predict(plane.values[None, None])
            return [], read_triage(head, {name: tensor[0] for name, tensor in outputs.items()}, radiograph)
        except (ModelFailed, ValueError, LookupError):
            reason = Reason(code="model_failed")
            answer = ModelAnswer(model=self._triage.package.identity, outcome=Outcome.FAILED, reason=reason)
            return [answer], by_header(radiograph)


def _runtime(package: ModelPackage, threads: int) -> Runtime:
    """Where the package's settings say that it runs; here too, when it falls back to this machine."""
    if package.remote is None:
        return OnnxRuntime(package, threads=threads)
    here = OnnxRuntime(package, threads=threads) if package.remote.when_away == "local" else None
    return RemoteRuntime(package.manifest, package.remote, fallback=here)


def _ask(model: _Model, radiograph: Radiograph, orientation: Orientation | None) -> tuple[ModelAnswer, list[HeadAnswer]]:
    manifest, identity = model.package.manifest, model.package.identity
    reason = contradiction(manifest.applicability, radiograph)
    if reason is not None:
        return ModelAnswer(model=identity, outcome=Outcome.DECLINED, reason=reason), []
    plane = _plane(model.package, radiograph, orientation)
    try:
        heads = [
            read_head(head, plane=plane, predict=model.runtime.predict, radiograph=radiograph) for head in manifest.head
        ]
    except ModelFailed:
        return ModelAnswer(model=identity, outcome=Outcome.FAILED, reason=Reason(code="model_failed")), []
    answer = ModelAnswer(
        model=identity,
        outcome=Outcome.ANALYSED,
        findings=tuple(finding for head in heads for finding in head.findings),
        view_rank=view_rank(manifest.applicability, radiograph),
    )
    return answer, heads


def _plane(package: ModelPackage, radiograph: Radiograph, orientation: Orientation | None) -> Plane:
    wanted = package.manifest.input
    return fit(
        radiograph.pixels,
        pixel_aspect=radiograph.pixel_aspect,
        rows=wanted.rows,
        columns=wanted.columns,
        low_percent=wanted.low_percent,
        high_percent=wanted.high_percent,
        how=wanted.fit,
        orientation=orientation or AS_IT_CAME,
    )


def _sum_up(answers: list[ModelAnswer]) -> tuple[Outcome, Reason | None]:
    """One model that analysed makes the image analysed; a broken one weighs more than those that declined."""
    outcomes = {answer.outcome for answer in answers}
    if Outcome.ANALYSED in outcomes:
        return Outcome.ANALYSED, None
    if Outcome.FAILED in outcomes:
        return Outcome.FAILED, Reason(code="model_failed")
    reasons = [answer.reason for answer in answers if answer.reason is not None]
    return Outcome.DECLINED, nearest(reasons) if reasons else Reason(code="no_model")


def _first(known: _Fact | None, source: Source, seen: list[_Fact | None]) -> tuple[_Fact | None, Source]:
    """What triage or the header says, else what a model saw."""
    if known is not None:
        return known, source
    found = next((fact for fact in seen if fact is not None), None)
    return found, Source.UNKNOWN if found is None else Source.PIXELS
