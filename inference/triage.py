"""What an image shows, before any other model sees it: region, view, how it lies, and how well it was taken.

The header is a prior: what it claims is taken as `header_weight` times as probable as the rest before the pixels are seen.
Where the pixels are not sure enough, the header's claim stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from domain.types import Orientation, Quality, Radiograph, Region, Source, View
from inference.findings import judged
from inference.manifest import OrientationChoice, QualityChoice, RegionChoice, TriageHead, Turned, ViewChoice
from inference.tensors import Tensor, calibrated, probabilities

FloatArray = npt.NDArray[np.float64]
_Fact = TypeVar("_Fact", Region, View)
_SIDES = (View.RIGHT_LATERAL, View.LEFT_LATERAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Triaged:
    """orientation: None where the pixels are not sure of it, so that nothing is turned."""

    region: Region | None
    region_source: Source
    view: View | None
    view_source: Source
    orientation: Orientation | None = None
    quality: tuple[Quality, ...] = ()
    values: Mapping[str, float]


def by_header(radiograph: Radiograph) -> Triaged:
    """Without such a model the header's claims stand."""
    return Triaged(
        region=radiograph.region,
        region_source=_claimed(radiograph.region),
        view=radiograph.view,
        view_source=_claimed(radiograph.view),
        values={},
    )


def read_triage(head: TriageHead, outputs: Mapping[str, Tensor], radiograph: Radiograph) -> Triaged:
    """outputs: of one image. ValueError where an output that should hold probabilities does not."""
    values: dict[str, float] = {}

    def chances(name: str, choice: RegionChoice | ViewChoice | OrientationChoice) -> FloatArray:
        found = probabilities(outputs[choice.output], head.activation)
        values.update({f"{name}.{value}": float(p) for value, p in zip(choice.values, found, strict=True)})
        return found

    region, region_source = radiograph.region, _claimed(radiograph.region)
    if head.region is not None:
        region, region_source = _decide(
            head.region.values,
            chances("region", head.region),
            claimed=radiograph.region,
            same=lambda one, other: one is other,
            weight=head.header_weight,
            least=head.region.least_probability,
        )
    view, view_source = radiograph.view, _claimed(radiograph.view)
    if head.view is not None:
        view, view_source = _decide(
            head.view.values,
            chances("view", head.view),
            claimed=radiograph.view,
            same=same_view,
            weight=head.header_weight,
            least=head.view.least_probability,
        )
    orientation = None
    if head.orientation is not None:
        found = chances("orientation", head.orientation)
        best = int(np.argmax(found))
        if found[best] >= head.orientation.least_probability:
            orientation = orientation_of(head.orientation.values[best])
    quality = _quality(head.quality, outputs) if head.quality is not None else ()
    values.update({f"quality.{one.issue}": one.probability for one in quality})
    return Triaged(
        region=region,
        region_source=region_source,
        view=view,
        view_source=view_source,
        orientation=orientation,
        quality=quality,
        values=values,
    )


def same_view(one: View, other: View) -> bool:
    """A lateral of unknown side is the same as either side."""
    return one is other or {one, other} in ({View.LATERAL, side} for side in _SIDES)


def orientation_of(turned: Turned) -> Orientation:
    degrees = int(turned.removeprefix("mirrored-"))
    return Orientation(quarter_turns=degrees // 90, mirrored=turned.startswith("mirrored-"))


def _decide(
    known: Sequence[_Fact],
    chances: FloatArray,
    *,
    claimed: _Fact | None,
    same: Callable[[_Fact, _Fact], bool],
    weight: float,
    least: float,
) -> tuple[_Fact | None, Source]:
    """Bayes with the header as prior. A claim that agrees stays as it is: it may know the side of a lateral. One that the
    network has no word for stays too: it cannot tell it from what it knows."""
    if claimed is not None and not any(same(one, claimed) for one in known):
        return claimed, Source.HEADER
    prior = np.array([weight if claimed is not None and same(one, claimed) else 1.0 for one in known])
    weighed = chances * prior
    best = int(np.argmax(weighed))
    if weighed.sum() <= 0 or weighed[best] / weighed.sum() < least:
        return claimed, _claimed(claimed)
    if claimed is not None and same(known[best], claimed):
        return claimed, Source.HEADER
    return known[best], Source.PIXELS


def _claimed(fact: object) -> Source:
    return Source.UNKNOWN if fact is None else Source.HEADER


def _quality(choice: QualityChoice, outputs: Mapping[str, Tensor]) -> tuple[Quality, ...]:
    found = probabilities(outputs[choice.output], choice.activation)
    judgements = []
    for known, p in zip(choice.issues, found, strict=True):
        sure = round(calibrated(float(p), known.calibration), 4)
        judgements.append(Quality(issue=known.issue, outcome=judged(sure, known), probability=sure))
    return tuple(judgements)
