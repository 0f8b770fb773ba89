"""The shipped triage package: on a small part of the phantoms that its card measures, and on every radiograph at hand.

The bars on phantoms are wider than the card's figures, as sixty say less than a thousand; a broken model, a lost turn or a
swapped class still fails them.
"""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domain.types import Region, View
from inference.checking import check_package
from inference.manifest import TriageHead
from inference.package import load_package
from inference.reading import read_radiograph
from metalearner.triage.data import EVALUATION_SEED, ORIENTATIONS, REGIONS, VIEWS, as_seen, laid, lying, render_shard
from metalearner.triage.evaluation import evaluate, folded_views, run

SHIPPED = Path(str(resources.files("models"))) / "radiograph-triage"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
OUTPUTS = ("region", "view", "orientation", "quality")
LATERAL, FRONTAL, LIMB_VIEWS = {View.LATERAL}, {View.VENTRODORSAL}, {View.CRANIOCAUDAL, View.MEDIOLATERAL}

# What a person sees on each: region and view. All stand upright, dogs' laterals with the head at the left but for one. The
# limbs are human. Human chests are not here: CARD.md says how the model fails on them.
FILMS = {
    "rad01_dog_thorax_lat_fuji_dx_mono1.dcm": (Region.THORAX, LATERAL),
    "rad03_cr_extremity_fuji_j2k.dcm": (Region.LIMB, LIMB_VIEWS),
    "rad05_cr_extremity_fuji_jpeg_sv1.dcm": (Region.LIMB, LIMB_VIEWS),
    "rad08_dx_elbow_14bit_unvr.dcm": (Region.LIMB, LIMB_VIEWS),
    "der_A01_vet_dx_korean_ir149_mono1_14bit.dcm": (Region.THORAX, LATERAL),
    "der_A02_vet_cr_implicit_10bit_no_window_no_spacing.dcm": (Region.THORAX, FRONTAL),
    "der_A15_vet_dx_same_sopuid_as_A01_other_pixels.dcm": (Region.THORAX, LATERAL),
    "der_A16_vet_dx_cyrillic_breed_in_species_voilut.dcm": (Region.THORAX, LATERAL),
    "vet_png/LM.png": (Region.THORAX, LATERAL),
    "vet_png/VD.png": (Region.THORAX, FRONTAL),
}
MIRRORED = {"der_A15_vet_dx_same_sopuid_as_A01_other_pixels.dcm"}


@pytest.fixture(scope="module")
def head():
    (one,) = load_package(SHIPPED).manifest.head
    assert isinstance(one, TriageHead)
    return one


def test_the_package_holds_what_its_manifest_promises():
    assert [check for check in check_package(SHIPPED) if check.fault is not None] == []
    assert (SHIPPED / "model.onnx").stat().st_size < 6_000_000


def test_unseen_phantoms_are_told_apart():
    figures = evaluate(SHIPPED, render_shard(EVALUATION_SEED + 500_000, 60), seed=5, threads=1)
    assert figures["region"]["overall"] >= 0.88
    assert figures["view"]["overall"] >= 0.88
    assert figures["quarter turn"] >= 0.8


def film(name):
    path = SHARED / name
    if path.suffix == ".png":
        return np.asarray(Image.open(path).convert("L"), dtype=np.float32) / np.float32(255)
    return read_radiograph(path, assumed_species=None).pixels


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize(("turns", "mirrored"), [(0, False), (1, False), (2, False), (3, True)])
def test_real_films_are_told_apart_however_they_lie(name, turns, mirrored, head):
    """By the pixels alone. Where the network is sure enough to have an image turned, it is turned rightly."""
    if not SHARED.is_dir():
        pytest.skip("the shared radiographs are not here")
    region, views = FILMS[name]
    image = np.round(as_seen(np.ascontiguousarray(laid(film(name), turns, mirrored))) * 255).astype(np.uint8)
    answers = run(SHIPPED / "model.onnx", image[None], OUTPUTS, threads=1)
    assert REGIONS[int(answers["region"][0].argmax())] is region
    assert VIEWS[int(folded_views(answers["view"])[0].argmax())] in views
    lies = answers["orientation"][0]
    if lies.max() >= head.orientation.least_probability:
        # A mirror image that is turned is the mirror image of one turned the other way.
        turned, was_mirrored = (-turns % 4, not mirrored) if name in MIRRORED else (turns, mirrored)
        wanted = lying(turned, was_mirrored, mirrors=region is Region.THORAX)
        assert ORIENTATIONS[int(lies.argmax())] == ORIENTATIONS[wanted]


def test_the_card_says_first_what_the_model_is():
    first = (SHIPPED / "CARD.md").read_text(encoding="utf-8").splitlines()[0]
    assert "emonstration" in first
    assert "phantoms are easier than films" in first


def test_no_path_of_the_training_machine_is_in_the_weights():
    weights = (SHIPPED / "model.onnx").read_bytes()
    assert str(Path(__file__).resolve().parents[3]).encode() not in weights
    assert b"site-packages" not in weights
