"""What to label next: the mathematics by hand, no two alike, and a task whose guesses never come back as labels."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from defusedxml import ElementTree
from factories import dx_file
from model_factory import constant_package, heart_package
from PIL import Image

from domain.codes import FINDINGS
from domain.types import Finding, FindingOutcome, Shape
from metalearner.collecting import files_below, gather, opened
from metalearner.collection import Collection, Labels, Mask
from metalearner.cvat_task import name_of, write_task
from metalearner.labels.cvat import read_cvat
from metalearner.labels.said import concept_of
from metalearner.likeness import features_of, pairs_alike
from metalearner.suggesting import (
    Guess,
    NothingToSuggest,
    balds,
    chosen,
    doubt_of,
    doubts_of_package,
    doubts_of_passes,
    entropies,
    margins,
    unlabelled,
)


def test_margin_entropy_and_bald_by_hand() -> None:
    np.testing.assert_allclose(margins([0.5, 0.9, 0.0, 1.0]), [1.0, 0.2, 0.0, 0.0])
    # H(1/4) = 1/4 log2 4 + 3/4 log2 4/3 = 0.5 + 0.311278
    np.testing.assert_allclose(entropies([0.5, 0.25, 0.0, 1.0]), [1.0, 0.811278, 0.0, 0.0], atol=1e-6)
    # Passes that are sure of opposites disagree by one bit; passes that all find it even disagree by none.
    np.testing.assert_allclose(balds([[0.0, 0.5, 0.9], [1.0, 0.5, 0.9]]), [1.0, 0.0, 0.0], atol=1e-12)
    # H(0.5) - (H(1/4) + H(3/4)) / 2 = 1 - 0.811278
    np.testing.assert_allclose(balds([[0.25], [0.75]]), [0.188722], atol=1e-6)


def test_an_images_doubt_is_the_mean_over_its_concepts() -> None:
    passes = np.array([[[0.25, 0.0]], [[0.75, 0.0]]])  # two passes, one image, two concepts
    (doubt,) = doubts_of_passes(["1.2"], ["A", "B"], passes)
    assert doubt.guess.probabilities == {"A": 0.5, "B": 0.0}
    assert (doubt.margin, doubt.entropy) == (0.5, 0.5)
    assert doubt.by("bald") == pytest.approx(0.188722 / 2, abs=1e-6)
    once = doubt_of(Guess(image="1.2", probabilities={"A": 0.5, "B": 0.9}))
    assert once.by("margin") == pytest.approx(0.6)
    with pytest.raises(NothingToSuggest, match="bald needs a run"):
        once.by("bald")


def test_the_most_doubtful_come_first_and_their_likes_last() -> None:
    doubts = [doubt_of(Guess(image=str(i), probabilities={"A": p})) for i, p in enumerate((0.5, 0.51, 0.6, 0.99))]
    apart = np.eye(4, dtype=np.float32)
    assert [one.guess.image for one in chosen(doubts, apart, by="entropy", count=2)] == ["0", "1"]
    twins = apart.copy()
    twins[1] = twins[0]
    assert [one.guess.image for one in chosen(doubts, twins, by="entropy", count=2)] == ["0", "2"]
    assert [one.guess.image for one in chosen(doubts, twins, by="margin", count=9)] == ["0", "2", "3", "1"]


def test_likeness_is_of_fine_structure() -> None:
    rng = np.random.default_rng(1)
    shade = np.linspace(0, 120, 64)[None, :] + np.linspace(0, 60, 64)[:, None]
    texture = rng.normal(0, 20, (2, 64, 64))
    noisy = texture[0] + rng.normal(0, 4, (64, 64))
    grays = np.clip(np.stack([shade + texture[0], shade + noisy, shade + texture[1], np.full((64, 64), 9.0)]), 0, 255)
    of = features_of(grays.astype(np.uint8))
    (pair,) = pairs_alike(of)
    assert (pair.first, pair.second) == (0, 1)
    assert pair.correlation > 0.95
    assert (of[0] @ of[2]) < 0.2
    assert not of[3].any()


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    for number in (1, 2):
        dx_file(tmp_path / "in" / f"{number}.dcm", instance=number, rows=300, columns=400)
    empty = opened(tmp_path / "out", name="test", made_at="now")
    return gather(empty, files_below(tmp_path / "in"), origins=["a folder"]).collection


def test_every_findings_name_is_known_again() -> None:
    for term in FINDINGS:
        assert concept_of(name_of(term.code.value)) == term.code.value
    assert concept_of(name_of("OWN")) == "OWN"


def guess(image: str) -> Guess:
    ring = tuple((column * 4.0, row * 4.0) for column, row in ((10, 10), (50, 12), (30, 40), (10, 10)))
    outline = Shape(graphic_type="POLYLINE", points=ring)
    code = next(term.code for term in FINDINGS if term.code.value == "CARDIOMEGALY")
    finding = Finding(tracking="x", concept=code, outcome=FindingOutcome.PRESENT, sop_instance_uid=image, regions=(outline,))
    return Guess(image=image, probabilities={"CARDIOMEGALY": 0.83, "60046008": 0.1}, findings=(finding,))


def test_a_task_comes_back_with_what_a_person_answered(
    tmp_path: Path, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metalearner.cvat_task.LONGEST_SIDE", 200)
    image = collection.cases[0].image
    write_task(tmp_path / "task.zip", collection, [guess(image)])
    with zipfile.ZipFile(tmp_path / "task.zip") as archive:
        assert sorted(archive.namelist()) == ["annotations.xml", f"images/{image}.png", "labels.json"]
        assert Image.open(BytesIO(archive.read(f"images/{image}.png"))).size == (200, 150)
        text = archive.read("annotations.xml").decode()
        labels = json.loads(archive.read("labels.json"))
    assert [label["name"] for label in labels] == ["Cardiomegaly", "Pleural effusion"]
    assert "83%" in text
    # As it was written nobody has answered anything: a guess is not a label.
    assert read_cvat(tmp_path / "task.zip", unmarked_is_absent=False) == []
    answered = tmp_path / "annotations.xml"
    root = ElementTree.fromstring(text)
    tags = {tag.get("label"): tag for tag in root.iter("tag")}
    tags["Cardiomegaly"].find("attribute").text = "present"
    tags["Pleural effusion"].find("attribute").text = "absent"
    answered.write_bytes(ElementTree.tostring(root))
    (said,) = read_cvat(answered, unmarked_is_absent=False)
    again = gather(collection, [], origins=[], labels=[("cvat", [said])]).collection
    (known,) = again.of(image)
    assert known.classes == {"CARDIOMEGALY": 1.0, "60046008": 0.0}
    assert known.masks == (Mask(concept="CARDIOMEGALY", polygons=(((40, 40), (200, 48), (120, 160)),)),)
    assert unlabelled(again, frozenset({"60046008"})) == [collection.cases[1].image]


def test_what_counts_as_labelled(collection: Collection) -> None:
    image, other = (case.image for case in collection.cases)
    labels = (Labels(image=image, source="x", classes={"A": 1.0}),)
    labelled = replace(collection, labels=labels)
    assert unlabelled(labelled, frozenset({"A"})) == [other]
    assert unlabelled(labelled, frozenset({"B"})) == [image, other]


CLASSES = """
[[head]]
kind = "classification"
output = "findings"
activation = "none"
[[head.class]]
concept = { value = "CARDIOMEGALY", scheme = "99HNDSFLD", meaning = "Cardiomegaly" }
operating_points = { absent_below = 0.2, present_from = 0.6 }
[[head.class]]
concept = { value = "60046008", scheme = "SCT", meaning = "Pleural effusion" }
operating_points = { absent_below = 0.3, present_from = 0.5 }
"""


def test_a_package_is_asked_once(tmp_path: Path, collection: Collection) -> None:
    directory = constant_package(tmp_path / "fixed", {"findings": np.array([0.75, 0.0], dtype=np.float32)}, CLASSES)
    images = [case.image for case in collection.usable]
    doubts = doubts_of_package(collection, directory)
    assert [doubt.guess.image for doubt in doubts] == images
    assert doubts[0].guess.probabilities == {"CARDIOMEGALY": 0.75, "60046008": 0.0}
    assert doubts[0].entropy == pytest.approx(0.811278 / 2, abs=1e-4)
    assert doubts[0].bald is None


def test_a_model_without_probabilities_suggests_nothing(tmp_path: Path, collection: Collection) -> None:
    with pytest.raises(NothingToSuggest, match="gives no probability of any finding"):
        doubts_of_package(collection, heart_package(tmp_path / "heart"))
    cats = constant_package(
        tmp_path / "cats", {"findings": np.zeros(2, dtype=np.float32)}, CLASSES, applicability='species = ["cat"]'
    )
    with pytest.raises(NothingToSuggest, match="gives no probability for any of the 2 unlabelled images"):
        doubts_of_package(collection, cats)


def test_a_runs_network_is_asked_with_its_dropout_on(tmp_path: Path, collection: Collection) -> None:
    torch = pytest.importorskip("torch")
    from metalearner.networks import Network
    from metalearner.suggesting import doubts_of_run
    from metalearner.tasks import RUN, draft, first_recipe, load_task, write_json

    images = [case.image for case in collection.usable]
    taught = replace(
        collection, labels=tuple(Labels(image=one, source="x", classes={"CARDIOMEGALY": 1.0}) for one in images)
    )
    (tmp_path / "task.toml").write_text(draft(taught, kind="classification", name="test", least=0), encoding="utf-8")
    task = load_task(tmp_path / "task.toml")
    recipe = replace(first_recipe(task), rows=64, columns=64, dropout=0.5)
    torch.manual_seed(1)
    torch.save(Network(task, recipe).state_dict(), tmp_path / "weights.pt")
    said = {"task": task.model_dump(mode="json"), "recipe": recipe.as_json(), "weights": "weights.pt"}
    write_json(tmp_path / RUN, said)
    doubts = doubts_of_run(collection, tmp_path, passes=4)
    assert [doubt.guess.image for doubt in doubts] == images
    assert all(set(doubt.guess.probabilities) == {"CARDIOMEGALY"} for doubt in doubts)
    assert all(doubt.by("bald") > 0 for doubt in doubts)
    with pytest.raises(NothingToSuggest, match="every image is labelled"):
        doubts_of_run(taught, tmp_path)
