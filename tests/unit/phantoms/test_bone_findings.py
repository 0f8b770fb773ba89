"""Findings of hips, stifles and long bones: where their masks say, the graver the more; Norberg's angle as projected."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from domain.measures import norberg_angle
from domain.types import Region, Species, View
from phantoms import lesions
from phantoms.ailing import draw_ailing
from phantoms.hips import ANGLES, NORMAL
from phantoms.lesions import BONES, GRADES, Lesion, draw_findings, drawn_in
from phantoms.outlines import outlines
from phantoms.radiographs import FILMS, Wish, expose

ANIMALS = [Species.DOG, Species.CAT]
SMALL = {"variety": 0.0, "rows": 176, "columns": 160, "findings": ()}
PELVIS = Wish(region=Region.PELVIS, view=View.VENTRODORSAL, **SMALL)
FROM_SIDE = Wish(region=Region.LIMB, view=View.MEDIOLATERAL, part="stifle", **SMALL)
FROM_FRONT = replace(FROM_SIDE, view=View.CRANIOCAUDAL)
HUMERUS = replace(FROM_SIDE, part="humerus", species=Species.CAT)
SHOWN = [
    *((PELVIS, concept) for concept in drawn_in(Region.PELVIS, "stifle")),
    *((FROM_SIDE, concept) for concept in drawn_in(Region.LIMB, "stifle")),
    *((FROM_FRONT, concept) for concept in (lesions.PATELLA_LUXATION, lesions.FRACTURE)),
    *((HUMERUS, concept) for concept in drawn_in(Region.LIMB, "humerus")),
]
# What hangs on a bone moves with it; a gravely unstable tibia slides.
MOVES = (lesions.FRACTURE, lesions.LUXATION, lesions.PATELLA_LUXATION, lesions.HIP_DYSPLASIA)


@cache
def well(seed, wish):
    return expose(seed, wish).pixels


def change(seed, wish, concept, grade):
    film = expose(seed, replace(wish, findings=(Lesion(concept=concept, grade=grade),)))
    return film, np.abs(film.pixels - well(seed, wish))


@pytest.mark.parametrize(("wish", "concept"), SHOWN)
def test_a_finding_changes_the_film_where_its_mask_says(wish, concept):
    grade = 2 if concept == lesions.STIFLE_EFFUSION else 3
    film, changed = change(6, wish, concept, grade)
    (shown,) = film.findings
    assert (shown.concept, shown.grade) == (concept, grade)
    near = binary_dilation(shown.mask, iterations=6)
    if concept in MOVES:
        assert changed[shown.mask].mean() > 1.3 * changed.mean()
    else:
        assert changed[near].sum() > 0.5 * changed.sum()
        assert changed[shown.mask].mean() > 4 * changed[~near].mean()
    assert changed[shown.mask].mean() > 0.01


@pytest.mark.parametrize(("wish", "concept"), SHOWN)
def test_the_graver_the_more(wish, concept):
    totals = [sum(change(seed, wish, concept, grade)[1].sum() for seed in (6, 8)) for grade in GRADES]
    if concept == lesions.PATELLA_LUXATION and wish.view is View.MEDIOLATERAL:
        assert expose(6, replace(wish, findings=(Lesion(concept=concept, grade=1),))).findings == ()
        totals = totals[1:]
    assert sorted(totals) == totals
    assert totals[0] > 0
    assert totals[-1] > 1.2 * totals[0]


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), grade=st.integers(0, 3), species=st.sampled_from(ANIMALS))
def test_norbergs_angle_is_that_of_the_grade(seed, grade, species):
    """In the pelvis's own plane; on a film it is what is projected."""
    found = (Lesion(concept=lesions.HIP_DYSPLASIA, grade=grade),) if grade else ()
    scene = draw_ailing(seed, Region.PELVIS, View.VENTRODORSAL, species, "stifle", found)
    heads, rims = (scene.landmarks[name] @ scene.view.T for name in ("femoral-heads", "acetabular-rims"))
    angles = [norberg_angle(centre=heads[i], other_centre=heads[1 - i], rim=rims[i]) for i in (0, 1)]
    _, _, low, high = NORMAL[species]
    fits = [low - 0.1 <= angle <= high + 0.1 for angle in angles]
    if not grade:
        assert all(fits)
        return
    high, low = ANGLES[species][grade - 1]
    (mark,) = scene.ailing.marks
    affected = {"bilateral": (0, 1), "right": (0,), "left": (1,)}[mark.laterality]
    for i in (0, 1):
        assert (low - 0.1 <= angles[i] <= high + 0.1) if i in affected else fits[i]


def test_the_stated_angle_is_that_of_the_landmarks_on_the_film():
    for rotated in (False, True):
        facts = expose(3, replace(PELVIS, variety=1.0, rotated=rotated)).facts
        centres, rims = facts.landmarks["femoral-heads"], facts.landmarks["acetabular-rims"]
        for i, name in enumerate(("NORBERG_RIGHT", "NORBERG_LEFT")):
            assert facts.measures[name] == norberg_angle(centre=centres[i], other_centre=centres[1 - i], rim=rims[i])
        assert centres[0, 0] < centres[1, 0]  # the animal's right is the picture's left
        assert rims[0, 0] < centres[0, 0]
        assert rims[1, 0] > centres[1, 0]


def test_a_hip_that_is_out_has_no_angle_and_a_lateral_none():
    luxated = expose(3, replace(PELVIS, findings=(Lesion(concept=lesions.LUXATION, grade=2),)))
    assert len(luxated.facts.measures) == 1
    side = luxated.findings[0].laterality
    assert f"NORBERG_{side.upper()}" not in luxated.facts.measures
    lateral = replace(PELVIS, view=View.RIGHT_LATERAL, findings=(Lesion(concept=lesions.HIP_DYSPLASIA, grade=2),))
    assert expose(3, lateral).facts.measures == {}
    assert expose(3, lateral).findings == ()


def test_what_lies_outside_the_film_is_not_measured():
    said = [expose(seed, replace(PELVIS, cropped=True)).facts for seed in range(30, 42)]
    for facts in said:
        on_film = all(
            (0 <= column <= 160) and (0 <= row <= 176)
            for name in ("femoral-heads", "acetabular-rims")
            for column, row in facts.landmarks[name]
        )
        assert not on_film or set(facts.measures) == {"NORBERG_LEFT", "NORBERG_RIGHT"}
    assert {len(facts.measures) for facts in said} >= {0, 2}


PLACES = [(Region.THORAX, "stifle"), (Region.PELVIS, "stifle"), *((Region.LIMB, part) for part in ("stifle", *BONES))]


@settings(max_examples=25)
@given(seed=st.integers(0, 10**8), place=st.sampled_from(PLACES), number=st.integers(0, 3), species=st.sampled_from(ANIMALS))
def test_every_drawn_finding_is_either_shown_within_the_film_or_hidden(seed, place, number, species):
    region, part = place
    view = FILMS[region][number % len(FILMS[region])]
    found = draw_findings(seed, region, part, species)
    wish = Wish(
        region=region, view=view, part=part, species=species, rows=80, columns=90, findings=found, cropped=seed % 7 == 0
    )
    film = expose(seed, wish)
    told = [(one.concept, one.grade) for one in (*film.findings, *film.facts.hidden)]
    assert sorted(told) == sorted((lesion.concept, lesion.grade) for lesion in found)
    for shown in film.findings:
        left, top, right, bottom = shown.box
        assert 0 <= left < right <= 90
        assert 0 <= top < bottom <= 80
        assert shown.polygons


def test_no_finding_means_none_and_the_same_wish_gives_the_same_pixels():
    for wish in (PELVIS, FROM_SIDE, HUMERUS):
        first = expose(12, replace(wish, variety=1.0))
        assert first.findings == ()
        assert np.array_equal(first.pixels, expose(12, replace(wish, variety=1.0)).pixels)


def test_every_finding_of_the_skeleton_comes_in_some_films():
    for region, part in ((Region.PELVIS, "stifle"), (Region.LIMB, "stifle"), (Region.LIMB, "femur")):
        drawn = [draw_findings(seed, region, part, Species.DOG) for seed in range(600)]
        assert 0.27 < np.mean([not found for found in drawn]) < 0.43
        for concept in drawn_in(region, part):
            assert np.mean([any(lesion.concept == concept for lesion in found) for found in drawn]) > 0.05, concept
    assert draw_findings(1, Region.ABDOMEN, "stifle", Species.DOG) == ()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_outlines_go_round_every_part_that_is_more_than_a_speck(seed):
    rng = np.random.default_rng(seed)
    mask = binary_dilation(rng.random((20, 24)) < 0.03, iterations=2)
    area = 0.0
    for polygon in outlines(mask):
        x, y = np.array(polygon).T
        signed = 0.5 * (np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
        assert signed > 0  # clockwise where rows go down
        assert len(set(polygon)) >= 4
        area += signed
    assert area >= 0.9 * mask.sum()
