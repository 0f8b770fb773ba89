"""Reference intervals by measure, species and breed, each with its source.

Sources that print a mean and a standard deviation, or mean ± 1 SD as if it were an interval, are converted to the interval
of the middle 95 % (mean ± 1.96 SD) before anything is compared with it. A breed without figures of its own gets the species'
interval, and an unknown breed too; the population says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain import breeds, codes
from domain.breeds import BREEDS, Breed, breed_of
from domain.types import Code, Patient, ReferenceInterval, Source, Species, View

_SD = 1.96
_LATERALS = (View.LATERAL, View.RIGHT_LATERAL, View.LEFT_LATERAL)
_SAGITTALS = (View.VENTRODORSAL, View.DORSOVENTRAL)

_GROWN_YEARS = 1.0

BUCHANAN = "Buchanan 2000, PMID 10768239"
SHEET = "Vetmedin sheet (docslib 8969731), mean ± 1 SD converted to 95 %"
RIZZA = "Rizza et al., University of Liège (docsbay.net tracheal-diameter-in-puppies), mean ± 1.96 SD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """breed None: the species as a whole. views: empty for all."""

    concept: Code
    species: Species
    low: float
    high: float
    source: str
    breed: Breed | None = None
    views: tuple[View, ...] = ()


def _normal(mean: float, sd: float, *, decimals: int = 1) -> tuple[float, float]:
    """The middle 95 % of a normal distribution."""
    return round(mean - _SD * sd, decimals), round(mean + _SD * sd, decimals)


def _sheet(printed_low: float, printed_high: float) -> tuple[float, float]:
    """From mean ± 1 SD as printed."""
    return _normal((printed_low + printed_high) / 2, (printed_high - printed_low) / 2)


def _vhs(
    breed: Breed | None, interval: tuple[float, float], source: str, views: tuple[View, ...] = _LATERALS
) -> list[Reference]:
    """Both variants agree (ICC 0.999, Frontiers fvets.2021.764570): one interval serves them."""
    species = breed.species if breed else Species.DOG
    low, high = interval
    return [
        Reference(concept=concept, species=species, low=low, high=high, source=source, breed=breed, views=views)
        for concept in (codes.VHS, codes.VHS_EPIC)
    ]


# Left out because their spread is too narrow to be one between animals (probably a standard error): the Labrador's
# 10.39 ± 0.19, the Indian Spitz's 10.21 ± 0.13 and the mongrel's 9.82 ± 0.21 of PMC4864478. The Brittany's 10.6 ± 0.2 is as
# narrow: of its paper only the upper limit is used.
REFERENCES: tuple[Reference, ...] = (
    *_vhs(None, (8.5, 10.5), BUCHANAN),
    *_vhs(breeds.MINIATURE_SCHNAUZER, (8.5, 11.0), BUCHANAN),
    *_vhs(breeds.DACHSHUND, (8.5, 9.5), BUCHANAN),
    *_vhs(breeds.PUG, (10.1, 12.8), "PMC9439199, 95 % interval, right lateral", (View.RIGHT_LATERAL, View.LATERAL)),
    *_vhs(breeds.PUG, _normal(11.01, 0.70), "PMC9439199, mean ± 1.96 SD, left lateral", (View.LEFT_LATERAL,)),
    *_vhs(breeds.CAVALIER, _normal(10.08, 0.56), "PMC9299495, mean ± 1.96 SD"),  # an older source has 10.6 ± 0.5
    *_vhs(breeds.NORWICH_TERRIER, _normal(10.6, 0.6), "norwichterrierclub.org, mean ± 1.96 SD"),
    *_vhs(breeds.BRITTANY, (8.5, 11.1), f"upper limit: Vet. Sci. 2021, 8(12), 300; lower: {BUCHANAN}"),
    *_vhs(breeds.POMERANIAN, _sheet(9.6, 11.4), SHEET),
    *_vhs(breeds.BOSTON_TERRIER, _sheet(10.3, 13.1), SHEET),
    *_vhs(breeds.BULLDOG, _sheet(11.0, 14.4), SHEET),
    *_vhs(breeds.FRENCH_BULLDOG, _sheet(11.0, 14.4), SHEET),
    *_vhs(breeds.BOXER, _sheet(10.8, 12.4), SHEET),
    *_vhs(breeds.LABRADOR, _sheet(10.2, 11.4), SHEET),
    *_vhs(breeds.WHIPPET, _sheet(10.5, 11.8), SHEET),
    Reference(concept=codes.VHS, species=Species.CAT, low=6.7, high=8.1, source=BUCHANAN, views=_LATERALS),
    Reference(concept=codes.VLAS, species=Species.DOG, low=1.4, high=2.2, source="PMID 32621373", views=_LATERALS),
    *(
        Reference(
            concept=codes.CARDIOTHORACIC_RATIO,
            species=Species.DOG,
            low=low,
            high=high,
            source="two-dimensional, of German shepherds (scribd 253118494), mean ± 1.96 SD",
            breed=breeds.GERMAN_SHEPHERD,
            views=views,
        )
        for (low, high), views in ((_normal(27.6, 1.1), _LATERALS), (_normal(30.5, 1.4), _SAGITTALS))
    ),
    Reference(
        concept=codes.TRACHEAL_RATIO,
        species=Species.DOG,
        low=_normal(19, 2.9)[0],
        high=_normal(19, 2.9)[1],
        source=f"{RIZZA}, 12 months, not short-skulled",
        views=_LATERALS,
    ),
    *(
        Reference(
            concept=codes.TRACHEAL_RATIO,
            species=Species.DOG,
            low=_normal(18, 1.6)[0],
            high=_normal(18, 1.6)[1],
            source=f"{RIZZA}, 15 months, short-skulled without bulldogs",
            breed=breed,
            views=_LATERALS,
        )
        for breed in BREEDS
        if breed.short_skulled and breed not in (breeds.BULLDOG, breeds.FRENCH_BULLDOG)
    ),
    Reference(
        concept=codes.NORBERG_ANGLE,
        species=Species.DOG,
        low=102.2,
        high=180.0,  # there is no upper limit: the angle's own end
        source="cut-off with likelihood ratio 6.3, doi 10.1111/j.1748-5827.2011.01105.x",
    ),
)
# The species' interval would call these abnormal, and there is none of their own: observers do not agree on a bulldog's
# trachea (κ 0.27-0.70), and of Persian cats' hearts a mean, 8.16, is published without a spread.
_NO_GENERAL: frozenset[tuple[str, str]] = frozenset(
    (concept.value, breed.code)
    for concept, breed in (
        (codes.TRACHEAL_RATIO, breeds.BULLDOG),
        (codes.TRACHEAL_RATIO, breeds.FRENCH_BULLDOG),
        (codes.VHS, breeds.PERSIAN_CAT),
    )
)

_SPECIES_NAMES = {Species.DOG: ("dog", "개"), Species.CAT: ("cat", "고양이")}
_ASSUMED = (" (species assumed)", "(종은 가정)")
_WHOSE = {
    "own": ("{breed}", "{breed}"),
    "general": ("all breeds, none of its own", "전 품종 (품종별 자료 없음)"),
    "unknown": ("breed unknown, all breeds", "품종 불명, 전 품종"),
}


def reference_interval(concept: Code, patient: Patient, view: View | None) -> ReferenceInterval | None:
    """The animal's breed's, else its species'.

    None where nobody has published one, where the species is unknown, where the animal still grows, and where the view is
    unknown and the intervals differ between views.
    """
    if patient.species is None or (patient.age_years is not None and patient.age_years < _GROWN_YEARS):
        return None
    breed = breed_of(patient.breed)
    breed = breed if breed is not None and breed.species is patient.species else None
    known = [
        one
        for one in REFERENCES
        if (one.concept.value, one.concept.scheme) == (concept.value, concept.scheme) and one.species is patient.species
    ]
    own = [one for one in known if breed is not None and one.breed == breed]
    if not own and breed is not None and (concept.value, breed.code) in _NO_GENERAL:
        return None
    candidates = own or [one for one in known if one.breed is None]  # a breed's other views are no reason for the species'
    fitting = [one for one in candidates if not one.views or view is None or view in one.views]
    if len(fitting) != 1:
        return None
    chosen = fitting[0]
    whose = "own" if own else "general" if patient.breed else "unknown"
    assumed = patient.species_source is Source.ASSUMED
    return ReferenceInterval(
        low=chosen.low,
        high=chosen.high,
        population=_population(patient.species, whose, breed if own else None, assumed=assumed)[0],
        source=chosen.source,
    )


def populations() -> dict[str, tuple[str, str]]:
    """Every population that an interval can name, in English (which is also its key) and Korean."""
    found = [
        _population(species, whose, breed, assumed=assumed)
        for assumed in (False, True)
        for species in _SPECIES_NAMES
        for whose, breed in [("general", None), ("unknown", None), *(("own", b) for b in BREEDS if b.species is species)]
    ]
    return {english: (english, korean) for english, korean in found}


def _population(species: Species, whose: str, breed: Breed | None, *, assumed: bool) -> tuple[str, str]:
    """ "dog (species assumed), breed unknown, all breeds" in English and Korean."""
    english, korean = (f"{_SPECIES_NAMES[species][n]}{_ASSUMED[n] if assumed else ''}, {_WHOSE[whose][n]}" for n in range(2))
    return english.format(breed=breed.english if breed else ""), korean.format(breed=breed.korean if breed else "")
