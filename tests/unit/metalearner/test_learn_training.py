"""Networks are taught what is known and nothing else; the same seed teaches the same; a kill changes nothing."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (extra `train`) is not installed")
pytest.importorskip("monai", reason="monai (extra `train`) is not installed")

from blobs import BLOB, task_text  # noqa: E402

from metalearner import quality  # noqa: E402
from metalearner.augmentation import Batch, augment  # noqa: E402
from metalearner.examples import Examples  # noqa: E402
from metalearner.networks import Network, cells, soft_argmax  # noqa: E402
from metalearner.objectives import centres, class_weights, classification, loss_of, overlap, places  # noqa: E402
from metalearner.tasks import Augmentation, Recipe, Task, TaskInvalid, load_task, write_json  # noqa: E402
from metalearner.training import Limits, Trained, answers, batch_of, monte_carlo, train  # noqa: E402

torch.set_num_threads(1)  # other tests run beside these: two threads would wait for each other
ROWS, COLUMNS = 64, 64
RECIPE = Recipe(family="unet", width="small", rows=ROWS, columns=COLUMNS, batch=8, rate=3e-3)
UNKNOWN = float("nan")


def task(folder: Path, kind: str = "findings") -> Task:
    (folder / "task.toml").write_text(task_text(kind).replace("[64, 96]", "[64, 64]"), encoding="utf-8")
    return load_task(folder / "task.toml")


def examples(count: int, seed: int = 0) -> Examples:
    """Of the first class a bright square where its mask is; of the second a bright left border."""
    rng = np.random.default_rng(seed)
    planes = rng.integers(0, 60, (count, ROWS, COLUMNS), dtype=np.uint8)
    masks = np.zeros((count, 2, ROWS // 4, COLUMNS // 4), np.uint8)
    classes = np.zeros((count, 2), np.float32)
    for number in range(count):
        if number % 2:
            top, left = rng.integers(2, 10, 2)
            masks[number, 0, top : top + 4, left : left + 4] = 255
            planes[number, 4 * top : 4 * top + 16, 4 * left : 4 * left + 16] += 150
        if number % 3 == 0:
            planes[number, :, :6] += 150
        classes[number] = number % 2, number % 3 == 0
    classes[0, 1] = UNKNOWN
    return Examples(
        images=tuple(str(number) for number in range(count)),
        planes=planes,
        classes=classes,
        points=np.zeros((count, 0, 2), np.float32),
        masks=masks,
        shown=np.array([[True, number % 3 != 0] for number in range(count)]),
        boxes=np.full((count, 1, 5), np.nan, np.float32),
        matrices=np.tile(np.eye(2), (count, 1, 1)),
        offsets=np.zeros((count, 2)),
    )


def taught(folder: Path, wanted: Task, *, steps: int = 60, seed: int = 4, **more: Any) -> Any:
    return train(
        wanted,
        RECIPE,
        learn=examples(48),
        judge=examples(24, seed=1),
        folder=folder,
        limits=Limits(steps=steps, seconds=1e9),
        seed=seed,
        **more,
    )


def weights(folder: Path) -> dict[str, Any]:
    return dict(torch.load(folder / "weights.pt", weights_only=True))


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("family", ["densenet", "efficientnet", "unet"])
@pytest.mark.parametrize("kind", ["findings", "landmarks", "boxes"])
def test_every_family_gives_every_head_what_it_needs(tmp_path: Path, family: Any, kind: str) -> None:
    wanted = task(tmp_path, kind)
    network = Network(wanted, replace(RECIPE, family=family, rows=64, columns=96)).eval()
    with torch.no_grad():
        found = {name: tuple(one.shape) for name, one in network(torch.zeros(2, 1, 64, 96)).items()}
    assert (
        found
        == {
            "findings": {"classes": (2, 2), "masks": (2, 2, 16, 24)},
            "landmarks": {"heatmaps": (2, 2, 16, 24)},
            "boxes": {"centres": (2, 1, 16, 24), "sizes": (2, 2, 16, 24)},
        }[kind]
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """A training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, taught(folder, task(folder))


def test_it_learns_says_so_and_is_not_taught_again(whole: tuple[Path, Trained]) -> None:
    folder, first = whole
    assert first.quality > 0.8
    assert set(first.by_name) == {BLOB, "27925004"}
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["ended_by"] == first.ended_by != ""
    assert [line["quality"] for line in lines] == [value for _, value in first.curve]
    assert taught(folder, task(folder)) == first


def test_the_same_seed_goes_the_same_way(whole: tuple[Path, Trained], tmp_path: Path) -> None:
    ways = [
        taught(tmp_path / str(seed), task(tmp_path), seed=seed, watch=lambda moment: moment.step >= 9) for seed in (4, 5)
    ]
    assert ways[0].curve == whole[1].curve[:3]
    assert ways[1].curve != ways[0].curve


KILLED = """
import sys, time
from pathlib import Path
sys.path[:0] = {paths!r}
import test_learn_training as here
wanted = here.task(Path({folder!r}))
def watch(moment):
    print(moment.step, flush=True)
    if moment.step >= {step}:
        time.sleep(60)
    return False
here.taught(Path({folder!r}) / "run", wanted, watch=watch)
"""


def test_killed_in_the_middle_and_taken_up_again_it_ends_with_the_same_weights(
    whole: tuple[Path, Trained], tmp_path: Path
) -> None:
    wanted = task(tmp_path)
    code = KILLED.format(paths=[str(Path(__file__).parent), *sys.path], folder=str(tmp_path), step=14)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 14:
                break
        process.send_signal(signal.SIGKILL)
    kept = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert 9 <= kept["step"] <= 15 and not kept["ended_by"]
    resumed = taught(tmp_path / "run", wanted)
    assert (resumed.curve, resumed.steps) == (whole[1].curve, whole[1].steps)
    assert same(weights(tmp_path / "run"), weights(whole[0]))


def test_it_ends_when_it_is_told_to_or_its_time_is_over(tmp_path: Path) -> None:
    wanted = task(tmp_path)
    stopped = taught(tmp_path / "stopped", wanted, watch=lambda moment: moment.step >= 3)
    assert (stopped.ended_by, stopped.steps) == ("stopped", 3)
    over = train(
        wanted,
        RECIPE,
        learn=examples(16),
        judge=examples(16),
        folder=tmp_path / "over",
        limits=Limits(steps=10**9, seconds=0.5),
        seed=1,
    )
    assert over.ended_by in ("seconds", "no improvement") and over.steps < 10**4


def test_monte_carlo_doubts_and_repeats(tmp_path: Path) -> None:
    wanted = task(tmp_path)
    taught(tmp_path, wanted, steps=4)
    said = {"task": wanted.model_dump(mode="json"), "recipe": RECIPE.as_json(), "weights": "weights.pt"}
    write_json(tmp_path / "run.json", said)
    shown = examples(6).planes
    found = monte_carlo(tmp_path, shown, 5)
    assert found.shape == (5, 6, 2)
    assert (found.std(axis=0) > 0).all()
    assert np.array_equal(found, monte_carlo(tmp_path, shown, 5))
    write_json(tmp_path / "run.json", said | {"task": task(tmp_path, "landmarks").model_dump(mode="json")})
    with pytest.raises(TaskInvalid, match="finds landmarks"):
        monte_carlo(tmp_path, shown, 5)


@pytest.mark.parametrize("loss", ["bce", "focal", "asymmetric"])
def test_what_is_unknown_teaches_nothing(loss: Any) -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    truth = torch.tensor([[1.0, UNKNOWN], [UNKNOWN, 0.0]])
    classification(logits, truth, loss, torch.ones(2)).backward()
    assert (logits.grad != 0).tolist() == [[True, False], [False, True]]
    assert logits.grad[0, 0] < 0 < logits.grad[1, 1]
    logits.grad = None
    classification(logits, torch.full((2, 2), UNKNOWN), loss, torch.ones(2)).backward()
    assert not logits.grad.any()
    maps = torch.zeros(2, 2, 4, 4, requires_grad=True)
    shown = torch.tensor([[True, False], [False, False]])
    overlap(maps, torch.ones(2, 2, 4, 4), shown).backward()
    assert maps.grad[0, 0].all() and not maps.grad[0, 1].any() and not maps.grad[1].any()


def test_rare_findings_weigh_more() -> None:
    truth = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [0.0, UNKNOWN], [0.0, 0.0]])
    assert class_weights(truth) == pytest.approx([2.0, 1.0])


def test_losses_of_places_are_least_at_the_truth() -> None:
    point = torch.tensor([[[30.0, 18.0]]])
    row, column = torch.meshgrid(torch.arange(16) * 4 + 2.0, torch.arange(16) * 4 + 2.0, indexing="ij")

    def peak(x: float, y: float) -> Any:
        return (-((column - x) ** 2 + (row - y) ** 2) / 16)[None, None]

    at, far = (float(places(peak(x, 18.0), point)) for x in (30.0, 50.0))
    assert at < far
    assert soft_argmax(peak(30.0, 18.0))[0][0, 0].tolist() == pytest.approx([30, 18], abs=0.1)
    outside = torch.tensor([[[UNKNOWN, UNKNOWN]]])
    assert float(places(peak(30.0, 18.0), outside)) == 0


def test_a_centre_is_taught_with_its_size_and_read_back() -> None:
    box = torch.tensor([[[0.0, 20.0, 12.0, 40.0, 20.0], [UNKNOWN] * 5]])
    shown = torch.tensor([[True]])
    logits = torch.full((1, 1, 16, 16), -4.0)
    sizes = torch.full((1, 2, 16, 16), math.log(8.0))
    blind = float(centres(logits, sizes, box, shown))
    logits[0, 0, 4, 7] = 4.0
    sizes[0, 0], sizes[0, 1] = math.log(20.0), math.log(8.0)
    assert float(centres(logits, sizes, box, shown)) < blind
    where, scores = cells({"centres": logits, "sizes": sizes})
    assert where[0, int(scores[0, :, 0].argmax())].tolist() == pytest.approx([30, 18, 20, 8])


@pytest.mark.parametrize("mirror", [False, True])
def test_truth_moves_with_the_image(mirror: bool) -> None:
    count, at = 16, np.array([14.0, 38.0], np.float32)
    images = torch.zeros(count, 1, ROWS, COLUMNS)
    images[:, :, 36:40, 12:16] = 1.0
    masks = torch.nn.functional.avg_pool2d(images, 4)
    batch = Batch(
        images=images,
        classes=torch.zeros(count, 1),
        points=torch.from_numpy(np.tile(at, (count, 1, 1))),
        masks=masks,
        shown=torch.ones(count, 1, dtype=torch.bool),
        boxes=torch.tensor([[[0.0, 12.0, 36.0, 16.0, 40.0]]]).repeat(count, 1, 1),
    )
    wanted = Augmentation(turn_degrees=15, zoom=0.1, shift=0.1, mirror=mirror)
    moved = augment(batch, wanted, replace(RECIPE, geometry=1.0, grays=0.0), torch.Generator().manual_seed(3))
    row, column = torch.meshgrid(torch.arange(ROWS) + 0.5, torch.arange(COLUMNS) + 0.5, indexing="ij")
    for image, point, mask, box in zip(moved.images, moved.points, moved.masks, moved.boxes, strict=True):
        mass = image[0].sum()
        seen = torch.stack([(image[0] * column).sum() / mass, (image[0] * row).sum() / mass])
        assert seen.tolist() == pytest.approx(point[0].tolist(), abs=0.3)
        _, left, top, right, bottom = box[0].tolist()
        assert left < seen[0] < right and top < seen[1] < bottom
        assert float(mask.sum()) > 0.3
    mirrored = (moved.points[:, 0, 0] > 32).float().mean()
    assert (0.2 < mirrored < 0.8) if mirror else mirrored == 0  # a side keeps its meaning unless the task says otherwise


def test_grays_stay_grays_and_a_batch_repeats(tmp_path: Path) -> None:
    batch = batch_of(examples(8), np.arange(8))
    recipe = replace(RECIPE, geometry=1.0, grays=1.0)
    one, other = (augment(batch, Augmentation(), recipe, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one.images, other.images)
    assert float(one.images.min()) >= 0 and float(one.images.max()) <= 1
    assert not torch.equal(one.images, batch.images)
    wanted = task(tmp_path)
    network = Network(wanted, RECIPE)
    loss = loss_of(network(one.images), one, RECIPE, torch.ones(2))
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    judged = quality.by_name(wanted, answers(network.eval(), wanted, examples(8).planes), examples(8))
    assert set(judged) == {BLOB, "27925004"}
