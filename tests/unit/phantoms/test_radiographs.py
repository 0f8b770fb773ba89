"""Films of every region: the same seed is the same animal, and what is said of a film is true of its pixels."""

from dataclasses import replace

import numpy as np
import pytest

from domain.types import Region, Species, View
from phantoms.build import draw_build
from phantoms.radiographs import CROPPED_SHARE, FILMS, ROTATED_RADIANS, Wish, expose
from phantoms.scenes import PARTS
from phantoms.strangers import stranger

EVERY = [(region, view) for region, views in FILMS.items() for view in views]
SMALL = {"rows": 120, "columns": 140}


def textbook(region, view, **more):
    return Wish(region=region, view=view, variety=0.0, **{"rows": 256, "columns": 256, **more})


@pytest.mark.parametrize(("region", "view"), EVERY)
def test_same_seed_gives_the_same_pixels_of_the_size_asked_for(region, view):
    wish = Wish(region=region, view=view, **SMALL)
    first, again = expose(5, wish), expose(5, wish)
    assert np.array_equal(first.pixels, again.pixels)
    assert first.pixels.shape == (120, 140)
    assert first.pixels.dtype == np.float32
    assert 0 <= first.pixels.min() < first.pixels.max() <= 1
    assert not np.array_equal(first.pixels, expose(6, wish).pixels)
    assert not np.array_equal(first.pixels, expose(5, replace(wish, species=Species.CAT)).pixels)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_a_limb_is_bone_in_flesh(part):
    pixels = expose(7, textbook(Region.LIMB, View.MEDIOLATERAL, part=part, **SMALL)).pixels
    assert (pixels < 0.05).mean() > 0.1  # air beside it
    assert (pixels > 0.5).mean() > 0.01


def test_millimetres_are_those_of_the_animal_from_every_side():
    """A mean thoracic vertebra, T4 to T13, is as long as the build says, in the lateral and in the ventrodorsal film."""
    for species in (Species.DOG, Species.CAT):
        unit_mm = draw_build(11, species).unit_mm
        for view in (View.RIGHT_LATERAL, View.VENTRODORSAL):
            facts = expose(11, textbook(Region.THORAX, view, species=species)).facts
            t4, t12 = facts.landmarks["vertebrae"][[3, 11]]
            assert np.linalg.norm(t12 - t4) * facts.spacing_mm / 8 == pytest.approx(unit_mm, rel=0.04)


def test_the_heart_points_to_the_animals_left_which_is_the_pictures_right():
    for seed in range(20, 26):
        marks = expose(seed, textbook(Region.THORAX, View.VENTRODORSAL)).facts.landmarks
        assert marks["apex"][0, 0] > marks["carina"][0, 0]
        assert marks["vertebrae"][0, 1] < marks["vertebrae"][-1, 1]  # head up


def test_a_lateral_has_its_head_at_the_left_and_its_spine_above():
    for region in (Region.THORAX, Region.ABDOMEN, Region.PELVIS):
        marks = expose(31, textbook(region, View.LEFT_LATERAL)).facts.landmarks
        assert marks["vertebrae"][0, 0] < marks["vertebrae"][-1, 0]
        assert marks["vertebrae"][5, 1] < marks["apex"][0, 1]


def test_the_hearts_silhouette_is_where_the_heart_is_and_lighter_than_lung():
    for seed in range(40, 44):
        film = expose(seed, textbook(Region.THORAX, View.RIGHT_LATERAL))
        inside = film.heart
        assert inside.any()
        marks = film.facts.landmarks
        column, row = ((marks["apex"][0] + marks["carina"][0]) / 2).astype(int)
        assert inside[row, column]
        beside = np.array([marks["vertebrae"][9][0] - 12, marks["carina"][0][1]]).astype(int)  # lung behind the heart
        assert film.pixels[row, column] > film.pixels[beside[1], beside[0]]


def test_femoral_heads_and_stifle_are_bone():
    film = expose(51, textbook(Region.PELVIS, View.VENTRODORSAL))
    for column, row in film.facts.landmarks["femoral-heads"].astype(int):
        assert film.pixels[row, column] > np.median(film.pixels[film.pixels > 0.05])
    stifle = expose(51, textbook(Region.LIMB, View.MEDIOLATERAL, part="stifle"))
    column, row = stifle.facts.landmarks["stifle"][0].astype(int)
    assert stifle.pixels[row - 6 : row + 7, column - 6 : column + 7].max() > 0.6


def test_what_is_cropped_or_rotated_is_so_and_what_is_not_is_whole_and_straight():
    for seed in range(60, 66):
        wish = Wish(region=Region.THORAX, view=View.VENTRODORSAL, **SMALL)
        cropped = expose(seed, replace(wish, cropped=True)).facts
        assert cropped.cropped
        assert cropped.outside > CROPPED_SHARE
        rotated = expose(seed, replace(wish, rotated=True)).facts
        assert rotated.rotated
        assert abs(rotated.roll) > ROTATED_RADIANS
        assert expose(seed, wish).facts.cropped is False


def test_exposure_faults_show():
    wish = textbook(Region.THORAX, View.RIGHT_LATERAL)
    normal = expose(71, wish).pixels
    pale = expose(71, replace(wish, exposure="under")).pixels
    burnt = expose(71, replace(wish, exposure="over")).pixels
    body = normal > 0.1
    assert np.abs(np.diff(pale, axis=1)).mean() > 2 * np.abs(np.diff(normal, axis=1)).mean()
    assert (burnt[body] < 0.02).mean() > 0.2 > (normal[body] < 0.02).mean()


def test_a_view_that_is_not_taken_is_refused():
    with pytest.raises(ValueError, match="no phantom shows pelvis, craniocaudal"):
        expose(1, Wish(region=Region.PELVIS, view=View.CRANIOCAUDAL))
    with pytest.raises(ValueError, match="no phantom shows other"):
        expose(1, Wish(region=Region.OTHER, view=View.OTHER))


def test_strangers_are_grays_and_follow_from_the_seed():
    pictures = [stranger(seed, 70, 90) for seed in range(30)]
    for seed, picture in enumerate(pictures):
        assert picture.shape == (70, 90)
        assert picture.dtype == np.float32
        assert 0 <= picture.min() <= picture.max() <= 1
        if seed < 8:
            assert np.array_equal(picture, stranger(seed, 70, 90))
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
