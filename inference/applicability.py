"""Whether a model is valid for an image. Unknown is not invalid: only what the header contradicts is declined."""

from __future__ import annotations

from collections.abc import Callable

from domain.types import Radiograph, Reason
from inference.manifest import Applicability
from inference.triage import same_view


def contradiction(applicability: Applicability, radiograph: Radiograph) -> Reason | None:
    """The first rule that the image breaks, None when the model may speak."""
    return next((reason for rule in _RULES if (reason := rule(applicability, radiograph)) is not None), None)


def nearest(reasons: list[Reason]) -> Reason:
    """Of several models' reasons, that of the one that came closest: it passed the most rules."""
    return max(reasons, key=lambda reason: _ORDER.index(reason.code))


def view_rank(applicability: Applicability, radiograph: Radiograph) -> int:
    """Place of the image's view among the preferred ones, from 0; behind them all for another one or an unknown one."""
    preferred = applicability.preferred_views
    ranks = (n for n, one in enumerate(preferred) if radiograph.view is not None and same_view(radiograph.view, one))
    return next(ranks, len(preferred))


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
    if given is None or not valid or any(same_view(given, one) for one in valid):
        return None
    return Reason(code="no_model_for_view", details={"view": given.value})


def _age(applicability: Applicability, radiograph: Radiograph) -> Reason | None:
    given, least, most = radiograph.patient.age_years, applicability.least_age_years, applicability.most_age_years
    if given is None or ((least is None or given >= least) and (most is None or given <= most)):
        return None
    valid = f"{'' if least is None else f'{least:g}'}–{'' if most is None else f'{most:g}'}"
    return Reason(code="no_model_for_age", details={"age": f"{given:.1f}", "valid": valid})


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
    _age,
    _resolution,
)
_ORDER = (
    "no_model_for_modality",
    "no_model_for_species",
    "no_model_for_region",
    "no_model_for_view",
    "no_model_for_age",
    "resolution_too_low",
)
