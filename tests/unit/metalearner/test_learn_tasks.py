"""What is to be learnt, what it is learnt from, and how good an answer is: all of it without torch."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from blobs import BLOB, COLUMNS, PLATE, ROWS, blobs, task_text

from domain.types import View
from metalearner import quality
from metalearner.collection import Case, Collection, Part
from metalearner.examples import Examples, gather
from metalearner.live import Line, Told, page
from metalearner.quality import Answers
from metalearner.tasks import Recipe, Task, TaskInvalid, as_kind, draft, first_recipe, load_task

RECIPE = Recipe(rows=64, columns=96)


def task(folder: Path, kind: str = "findings", old: str = "", new: str = "") -> Task:
    path = folder / "task.toml"
    text = task_text(kind)
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return load_task(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"CARDIOMEGALY"', '"BIGHEART"', "BIGHEART is no finding that Houndsfield knows"),
        ("[[64, 96]]", "[[64, 100]]", "input.sizes.1.2: Input should be a multiple of 32"),
        ("trials = 1", "trails = 1", "search.trails: there is no such key"),
        ('kind = "findings"', 'kind = "landmarks"', "a task of landmarks names points"),
        ('"27925004"', '"CARDIOMEGALY"', "CARDIOMEGALY is named twice"),
        ("format = 1", "format = [", "is not TOML"),
    ],
)
def test_a_faulty_task_is_told_by_its_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(TaskInvalid, match=r"task\.toml") as raised:
        task(tmp_path, "findings", old, new)
    assert said in str(raised.value)


def test_a_measure_needs_its_landmarks(tmp_path: Path) -> None:
    old = 'concept = { value = "ENDS", scheme = "99HNDSFLD", meaning = "Ends" }'
    with pytest.raises(TaskInvalid, match="measure norberg-left needs the landmark left_femoral_head"):
        task(tmp_path, "landmarks", old, 'measurement = [{ measure = "norberg-left" }]')


def test_a_code_alone_is_enough_for_what_is_known_and_a_recipe_comes_back_from_json(tmp_path: Path) -> None:
    known = task(tmp_path).concepts[0]
    assert (known.value, known.scheme, known.meaning) == (BLOB, "99HNDSFLD", "Cardiomegaly")
    recipe = first_recipe(task(tmp_path))
    assert (recipe.family, recipe.rows, recipe.columns, recipe.batch) == ("unet", 64, 96, 8)
    assert Recipe.from_json(recipe.as_json()) == recipe


@pytest.mark.parametrize(
    ("facts", "fits"),
    [
        ({"region": "thorax", "view": "right-lateral", "species": "dog"}, True),
        ({"region": "thorax", "view": "lateral", "species": ""}, True),
        ({}, True),
        ({"view": "ventrodorsal"}, False),
        ({"region": "pelvis"}, False),
        ({"species": "cat"}, False),
        ({"declined": "cannot be read"}, False),
    ],
)
def test_a_task_takes_what_its_model_would_read_in_the_node(tmp_path: Path, facts: dict[str, str], fits: bool) -> None:
    wanted = task(tmp_path)
    assert wanted.views == (View.LATERAL,)
    assert wanted.is_for(Case(image="1", file="x", patient="p", study="s", **facts)) is fits


def test_a_drafted_task_loads_and_names_what_the_collection_holds(tmp_path: Path) -> None:
    collection = blobs(tmp_path / "c", 30)
    for kind in ("", "boxes", "landmarks", "masks", "classification"):
        path = tmp_path / f"{kind}.toml"
        path.write_text(draft(collection, kind=as_kind(kind), least=5), encoding="utf-8")
        drafted = load_task(path)
        assert drafted.kind == (kind or "findings")
        assert BLOB in drafted.values or drafted.points == ("centre", "right")
        assert (drafted.regions, drafted.views, drafted.species) == (("thorax",), ("right-lateral",), ("dog",))
    with pytest.raises(TaskInvalid, match="a kind of task is classification"):
        as_kind("guess")
    with pytest.raises(TaskInvalid, match="no concept has 40 images"):
        draft(collection, least=40)
    empty = Collection(root=tmp_path, name="empty", made_at="2026-01-01T00:00:00+00:00")
    with pytest.raises(TaskInvalid, match="holds no labels"):
        draft(empty)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return blobs(tmp_path_factory.mktemp("blobs") / "c", 30)


def test_truth_is_laid_where_the_plane_shows_it(collection: Collection, tmp_path: Path) -> None:
    wanted = task(tmp_path)
    examples = gather(collection, wanted, RECIPE, Part.TRAIN)
    assert examples.planes.shape == (18, 64, 96)
    assert math.isnan(examples.classes[list(examples.images).index("1.2.3.0.9"), 1])  # nobody has said
    for number, image in enumerate(examples.images):
        truth = collection.truth(image)
        assert examples.classes[number, 0] == truth.classes[BLOB]
        mask = examples.masks[number, 0] / 255
        assert examples.shown[number].tolist() == [True, truth.classes.get(PLATE) == 0]
        if not truth.classes[BLOB]:
            assert not mask.any()
            continue
        row, column = (np.average(one, weights=mask) for one in np.mgrid[0.5:16, 0.5:24] * 4)
        scale = 64 / ROWS
        x, y = truth.points["centre"]
        assert (column, row) == pytest.approx((x * scale + (96 - COLUMNS * scale) / 2, y * scale), abs=0.4)
    landmarks = gather(collection, task(tmp_path, "landmarks"), RECIPE, Part.TRAIN)
    assert len(landmarks) == 9  # those that have the points
    back = landmarks.to_source(landmarks.points)
    assert back[:, 0] == pytest.approx(np.array([collection.truth(image).points["centre"] for image in landmarks.images]))
    boxes = gather(collection, task(tmp_path, "boxes"), RECIPE, Part.TRAIN)
    assert np.isfinite(boxes.boxes[:, 0, 0]).sum() == 9
    with pytest.raises(TaskInvalid, match="has no labelled image"):
        gather(collection, task(tmp_path, "boxes", '"dog"', '"cat"'), RECIPE, Part.TEST)


def answers(examples: Examples, **given: np.ndarray) -> Answers:
    count, classes = examples.classes.shape
    empty = {
        "logits": np.zeros((count, classes), np.float32),
        "points": np.zeros((count, examples.points.shape[1], 2), np.float32),
        "spreads": np.zeros((count, examples.points.shape[1]), np.float32),
        "masks": np.zeros((count, 0, 0, 0), np.uint8),
        "boxes": np.zeros((count, 0, 4), np.float32),
        "scores": np.zeros((count, 0, classes), np.float32),
    }
    return Answers(**{**empty, **given})


def test_quality_is_one_for_the_truth_and_less_for_everything_else(collection: Collection, tmp_path: Path) -> None:
    findings = task(tmp_path)
    examples = gather(collection, findings, RECIPE, Part.TRAIN)
    right = np.nan_to_num(examples.classes * 2 - 1)
    best = quality.by_name(findings, answers(examples, logits=right, masks=examples.masks), examples)
    assert best == {BLOB: 1.0, PLATE: 1.0}
    blind = quality.by_name(findings, answers(examples, logits=right, masks=examples.masks * 0), examples)
    assert blind[BLOB] == 0.75
    assert quality.overall({"a": 0.5, "b": math.nan, "c": 1.0}) == 0.75
    assert quality.overall({"a": math.nan}) == 0
    landmarks = task(tmp_path, "landmarks")
    examples = gather(collection, landmarks, RECIPE, Part.TRAIN)
    off = examples.points + np.array([0.05 * math.hypot(64, 96), 0], np.float32)
    assert quality.by_name(landmarks, answers(examples, points=off), examples) == pytest.approx(
        {"centre": 0.5, "right": 0.5}
    )


def test_of_boxes_the_right_ones_count_once_and_false_ones_cost(collection: Collection, tmp_path: Path) -> None:
    wanted = task(tmp_path, "boxes")
    examples = gather(collection, wanted, RECIPE, Part.TRAIN)
    truth = np.nan_to_num(examples.boxes[:, 0, 1:])
    far = np.tile(np.array([0, 0, 4, 4], np.float32), (len(examples), 1))
    found = np.stack([truth, truth + 1, far], axis=1)
    has = np.isfinite(examples.boxes[:, 0, 0])
    scores = np.stack([has * 0.9, has * 0.8, np.full(len(examples), 0.1)], axis=1)[:, :, None].astype(np.float32)
    assert quality.by_name(wanted, answers(examples, boxes=found, scores=scores), examples)[BLOB] == pytest.approx(1.0)
    scores[:, 2] = 0.95  # what is wrong is surer than what is right
    assert quality.by_name(wanted, answers(examples, boxes=found, scores=scores), examples)[BLOB] < 0.5


def test_answers_are_kept_in_source_pixels(collection: Collection, tmp_path: Path) -> None:
    wanted = task(tmp_path, "boxes")
    examples = gather(collection, wanted, RECIPE, Part.TRAIN)
    boxes = np.nan_to_num(examples.boxes[:, :1, 1:])
    given = answers(examples, boxes=boxes, scores=np.full((len(examples), 1, 1), 0.9, np.float32))
    quality.save(tmp_path / "answers-train.npz", given, examples, wanted)
    with np.load(tmp_path / "answers-train.npz") as kept:
        assert kept["images"].tolist() == list(examples.images)
        assert kept["probabilities"] == pytest.approx(np.full((len(examples), 1), 0.5))
        number = int(np.flatnonzero(np.isfinite(examples.boxes[:, 0, 0]))[0])
        (true,) = collection.truth(examples.images[number]).boxes
        assert kept["boxes"][number, 0] == pytest.approx([0, 0.9, true.left, true.top, true.right, true.bottom], abs=0.01)
        assert np.isnan(kept["boxes"][number, 1]).all()


def test_the_live_page_shows_trials_and_front_and_rests_when_it_is_done() -> None:
    line = Line(
        number=3,
        recipe=RECIPE,
        quality=0.91,
        latency_ms=4.2,
        seconds=12.0,
        stopped=False,
        curve=((0.5, 0.8), (1.0, 0.91)),
    )
    told = Told(
        stage="search",
        name="run <1>",
        task="blobs",
        trial=4,
        trials=8,
        ended=1,
        done=0.5,
        step=100,
        loss=0.3,
        quality=0.8,
        latency_ms=3.0,
        spent_seconds=60.0,
        budget_seconds=600.0,
        lines=(line,),
        front=(3,),
    )
    text = page(told)
    assert 'http-equiv="refresh"' in text and "run &lt;1&gt;" in text and 'name="viewport"' in text
    assert '<tr class="front"><td>3<td>0.910<td>4.2<td>densenet small<td>64 × 96<td>bce<td>12</tr>' in text
    assert "Trial 4: 50% of its way, step 100, quality 0.800" in text
    nothing = Told(
        **{name: getattr(told, name) for name in told.__slots__} | {"lines": (), "front": (), "stage": "finished"}
    )
    assert "refresh" not in page(nothing) and "None has ended yet" in page(nothing)
