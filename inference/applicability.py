"""Whether a model is valid for an image. Unknown is not invalid: only what the header contradicts is declined."""

from __future__ import annotations

from collections.abc import Callable

from domain.types import Radiograph, Reason, View
from inference.manifest import Applicability

_SIDES = (View.RIGHT_LATERAL, View.LEFT_LATERAL)


def contradiction(applicability: Applicability, radiograph: Radiograph) -> Reason | None:
    """The first rule that the image breaks, None when the model may speak."""
    return next((reason for rule in _RULES if (reason := rule(applicability, radiograph)) is not None), None)


def nearest(reasons: list[Reason]) -> Reason:
    """Of several models' reasons, that of the one that came closest: it passed the most rules."""
    return max(reasons, key=lambda reason: _ORDER.index(reason.code))


def _modality(applicability: Applicability, radiograph: Radiograph) -> Reason | None:
    given = radiograph.modality
    if not given or not applicability.modalities or given in applicability.modalities:
        return None
    return Reason(code="no_model_for_modality", details={"modality": given})


def _species(applicability: Applicability, radiograph: Radiograph) -> Reason | None:
    given = radiograph.patient.species
    if given is None or not applicability.species or given in applicability.species:
        return None
    return Reason(code="no_model_for_species", details={"species": given.value})


def _region(applicability: Applicability, radiograph: Radiograph) -> Reason | None:
    given = radiograph.region
    if given is None or not applicability.regions or given in applicability.regions:
        return None
    return Reason(code="no_model_for_region", details={"region": given.value})


def _view(applicability: Applicability, radiograph: Radiograph) -> Reason | None:
    """A lateral of unknown side fits a model for either side, and a model for laterals takes both sides."""
    given, valid = radiograph.view, applicability.views
    if given is None or not valid or given in valid:
        return None
    if (given in _SIDES and View.LATERAL in valid) or (given is View.LATERAL and any(side in valid for side in _SIDES)):
        return None
    return Reason(code="no_model_for_view", details={"view": given.value})


def _resolution(applicability: Applicability, radiograph: Radiograph) -> Reason | None:
    rows, columns = radiograph.rows, radiograph.columns
    if rows >= applicability.least_rows and columns >= applicability.least_columns:
        return None
    least = f"{applicability.least_columns} × {applicability.least_rows}"
    return Reason(code="resolution_too_low", details={"rows": str(rows), "columns": str(columns), "least": least})


_RULES: tuple[Callable[[Applicability, Radiograph], Reason | None], ...] = (
    _modality,
    _species,
    _region,
    _view,
    _resolution,
)
_ORDER = (
    "no_model_for_modality",
    "no_model_for_species",
    "no_model_for_region",
    "no_model_for_view",
    "resolution_too_low",
)
