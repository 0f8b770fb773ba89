"""Findings of the thorax: each changes the film where its mask says, the graver the more, and nothing else."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from domain.codes import FINDINGS
from domain.types import Region, Species, View
from phantoms import lesions
from phantoms.cardiac import SCORES
from phantoms.lesions import GRADES, SKELETON, THORAX, Lesion, draw_findings, shows
from phantoms.radiographs import Wish, expose

ANIMALS = ((View.RIGHT_LATERAL, Species.DOG), (View.DORSOVENTRAL, Species.CAT))
WISH = Wish(region=Region.THORAX, view=View.RIGHT_LATERAL, variety=0.0, rows=192, columns=208, findings=())


def filmed(seed, concept, grade, **more):
    return expose(seed, replace(WISH, findings=(Lesion(concept=concept, grade=grade),), **more))


@cache
def well(seed, wish):
    return expose(seed, wish).pixels


def change(seed, concept, grade, **more):
    film = filmed(seed, concept, grade, **more)
    return film, np.abs(film.pixels - well(seed, replace(WISH, **more)))


@pytest.mark.parametrize(("view", "species"), ANIMALS)
@pytest.mark.parametrize("concept", THORAX)
def test_a_finding_changes_the_film_where_its_mask_says_and_nearly_nowhere_else(concept, view, species):
    film, changed = change(4, concept, 3, view=view, species=species)
    if not shows(Lesion(concept=concept, grade=3), view):
        assert film.findings == ()
        assert [lesion.concept for lesion in film.facts.hidden] == [concept]
        assert changed.max() == 0
        return
    (shown,) = film.findings
    assert (shown.concept, shown.grade) == (concept, 3)
    assert shown.mask.shape == film.pixels.shape
    assert film.facts.hidden == ()
    near = binary_dilation(shown.mask, iterations=6)
    assert changed[near].sum() > 0.75 * changed.sum()
    assert changed[shown.mask].mean() > 4 * changed[~near].mean()
    assert changed[shown.mask].mean() > 0.008


@pytest.mark.parametrize("concept", THORAX)
def test_the_graver_the_more(concept):
    totals = []
    for grade in GRADES:
        totals.append(sum(change(seed, concept, grade)[1].sum() for seed in (2, 5)))
    assert totals[0] < totals[1] < totals[2]
    assert totals[0] > 0


@pytest.mark.parametrize("species", [Species.DOG, Species.CAT])
def test_hearts_have_the_score_of_their_grade(species):
    for seed in (1, 2, 3):
        normal = expose(seed, replace(WISH, species=species)).facts.measures["VHS"]
        assert normal < SCORES[species][0][0]
        for grade in GRADES:
            facts = filmed(seed, lesions.CARDIOMEGALY, grade, species=species).facts
            low, high = SCORES[species][grade - 1]
            assert low - 0.1 < facts.measures["VHS"] < high + 0.1
            axes = [facts.landmarks[name] for name in ("heart-long-axis", "heart-short-axis")]
            lengths = [np.linalg.norm(axis[1] - axis[0]) for axis in axes]
            t4, t9 = facts.landmarks["vertebrae"][[3, 8]]
            assert sum(lengths) / (np.linalg.norm(t9 - t4) / 5) == pytest.approx(facts.measures["VHS"], rel=0.06)


def test_the_silhouette_is_as_long_and_wide_as_the_axes_say():
    film = filmed(7, lesions.CARDIOMEGALY, 2, rows=384, columns=416)
    ends = np.concatenate([film.facts.landmarks[f"heart-{name}-axis"] for name in ("long", "short")])
    rows, columns = np.nonzero(film.findings[0].mask)
    pixels = np.stack([columns, rows], axis=1) + 0.5
    for end in ends:
        assert np.linalg.norm(pixels - end, axis=1).min() < 6
    assert np.array_equal(film.findings[0].mask, film.heart)


def test_no_finding_means_none():
    film = expose(9, WISH)
    assert film.findings == ()
    assert film.facts.hidden == ()


def test_findings_come_together_and_the_same_wish_gives_the_same_pixels():
    found = tuple(Lesion(concept=concept, grade=2) for concept in (lesions.CARDIOMEGALY, lesions.EFFUSION, lesions.NODULE))
    wish = replace(WISH, variety=1.0, findings=found)
    first, again = expose(3, wish), expose(3, wish)
    assert np.array_equal(first.pixels, again.pixels)
    assert {one.concept for one in first.findings} | {one.concept for one in first.facts.hidden} == {
        one.concept for one in found
    }


def test_boxes_and_polygons_hold_the_mask():
    (shown,) = filmed(5, lesions.NODULE, 3).findings
    left, top, right, bottom = shown.box
    rows, columns = np.nonzero(shown.mask)
    assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    largest = np.array(shown.polygons[0])
    assert largest.min(axis=0) == pytest.approx((left, top))
    x, y = largest.T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    assert area == pytest.approx(shown.mask.sum(), rel=0.1)


def test_what_is_not_drawn_there_is_refused():
    with pytest.raises(ValueError, match="thorax shows no FRACTURE"):
        expose(1, replace(WISH, findings=(Lesion(concept=lesions.FRACTURE, grade=1),)))
    with pytest.raises(ValueError, match="no phantom has HICCUPS"):
        Lesion(concept="HICCUPS", grade=1)
    with pytest.raises(ValueError, match="1, 2 or 3"):
        Lesion(concept=lesions.NODULE, grade=4)
    with pytest.raises(ValueError, match="each finding once"):
        expose(1, replace(WISH, findings=(Lesion(concept=lesions.NODULE, grade=1),) * 2))


def test_concepts_are_those_of_the_domain():
    known = {term.code.value for term in FINDINGS}
    assert {*THORAX, *SKELETON} <= known


def test_a_third_of_films_shows_nothing_and_each_finding_comes_in_some():
    drawn = [draw_findings(seed, Region.THORAX, "stifle", Species.DOG) for seed in range(1500)]
    assert 0.28 < np.mean([not found for found in drawn]) < 0.42
    for concept in THORAX:
        share = np.mean([any(lesion.concept == concept for lesion in found) for found in drawn])
        assert 0.08 < share < 0.24, (concept, share)
    assert {lesion.grade for found in drawn for lesion in found} == set(GRADES)
