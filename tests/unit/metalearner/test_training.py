"""What the network is taught is what is true: points, phase and spine stay on the film through every augmentation."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (extra `train`) is not installed")

from metalearner.heart.augment import UNKNOWN, Batch, _moved, augment  # noqa: E402
from metalearner.heart.dataset import (  # noqa: E402
    COLUMNS,
    COMPLETE_LATERAL,
    FIRST_SEED,
    INCOMPLETE_LATERAL,
    OTHER,
    ROWS,
    STRIDE,
    render_shard,
)
from metalearner.heart.evaluation import FIRST_SEED as EVALUATION_SEED  # noqa: E402
from metalearner.heart.network import Exported, HeartNetwork, Maps, normalised, soft_argmax  # noqa: E402
from metalearner.heart.objective import grid, measure  # noqa: E402


@pytest.fixture(scope="module")
def shard():
    return render_shard(FIRST_SEED, 40)


def batch_of(shard, kind=COMPLETE_LATERAL):
    chosen = np.flatnonzero(shard.kinds == kind)
    return Batch(
        images=torch.from_numpy(shard.images[chosen]).float()[:, None] / 255,
        kinds=torch.from_numpy(shard.kinds[chosen]),
        axes=torch.from_numpy(shard.axes[chosen]),
        spine=torch.from_numpy(shard.spine[chosen]),
        heart=torch.from_numpy(shard.heart[chosen]).float()[:, None] / 255,
    )


def test_landmarks_move_with_the_picture(shard):
    """A dot painted on the apex before is found where the apex is said to be after."""
    batch = batch_of(shard)
    n = len(batch.images)
    assert n >= 10
    dots = torch.zeros_like(batch.images)
    for i in range(n):
        column, row = batch.axes[i, 1].int().tolist()
        dots[i, 0, row - 1 : row + 2, column - 1 : column + 2] = 1
    after = _moved(
        Batch(images=dots, kinds=batch.kinds, axes=batch.axes, spine=batch.spine, heart=batch.heart),
        torch.Generator().manual_seed(4),
    )
    checked = 0
    for i in range(n):
        where = torch.nonzero(after.images[i, 0] > 0.3).float()
        if len(where):
            found = where.mean(dim=0).flip(0) + 0.5
            if after.kinds[i] == COMPLETE_LATERAL:
                assert (found - after.axes[i, 1]).norm() < 2.5
                checked += 1
    assert checked >= 5


def test_a_film_that_loses_its_apex_or_t4_is_no_longer_complete(shard):
    batch = batch_of(shard)
    seen = set()
    for seed in range(8):
        after = augment(batch, torch.Generator().manual_seed(seed))
        for kind, axes, spine in zip(after.kinds.tolist(), after.axes, after.spine, strict=True):
            seen.add(kind)
            if kind == COMPLETE_LATERAL:
                needed = torch.cat([axes, spine[7:15]])
                assert (needed > 0).all()
                assert (needed < torch.tensor([COLUMNS, ROWS])).all()
    assert seen >= {COMPLETE_LATERAL, INCOMPLETE_LATERAL, OTHER, UNKNOWN}


def test_augmentation_follows_its_generator(shard):
    first = augment(batch_of(shard), torch.Generator().manual_seed(1))
    second = augment(batch_of(shard), torch.Generator().manual_seed(1))
    assert torch.equal(first.images, second.images)
    assert 0 <= float(first.images.min()) <= float(first.images.max()) <= 1


def perfect_maps(batch):
    """What a network would say that knew the truth."""
    where = grid()
    wanted = torch.cat([batch.axes, batch.spine[:, 7:8]], dim=1)
    away = ((where[None, None] - wanted[:, :, None, None]) ** 2).sum(-1)
    start, step = batch.spine[:, :-1, None, None], (batch.spine[:, 1:] - batch.spine[:, :-1])[:, :, None, None]
    share = (((where - start) * step).sum(-1) / (step * step).sum(-1)).clamp(0, 1)
    distance = ((where - start - share[..., None] * step) ** 2).sum(-1)
    _, segment = distance.min(dim=1)
    index = segment - 7 + share.gather(1, segment[:, None])[:, 0]
    angle = 2 * np.pi * index
    return Maps(
        points=-away / 8,
        spine=torch.zeros(len(wanted), 1, ROWS // STRIDE, COLUMNS // STRIDE),
        phase=torch.stack([angle.cos(), angle.sin()], dim=1),
        heart=torch.logit(batch.heart, eps=1e-4),
        view=torch.nn.functional.one_hot(batch.kinds, 4).float() * 20,
    )


def test_the_truth_has_no_loss_in_points_phase_and_view(shard):
    batch = batch_of(shard)
    loss = measure(perfect_maps(batch), batch, grid(), sigma_pixels=5.0)
    assert loss.point_pixels < 0.5
    assert loss.phase < 5e-3
    assert loss.view_accuracy == 1


def test_pictures_without_a_thorax_teach_nothing_about_points(shard):
    batch = batch_of(shard, OTHER)
    maps = perfect_maps(batch_of(shard))
    maps = Maps(*(part[: len(batch.images)] for part in maps))
    assert len(batch.images) >= 1
    assert measure(maps, batch, grid(), sigma_pixels=5.0).point_pixels == 0


def test_soft_argmax_counts_from_the_outer_corner():
    heat = torch.full((1, 1, 8, 10), -50.0)
    heat[0, 0, 3, 6] = 50
    assert soft_argmax(heat)[0, 0].tolist() == pytest.approx([(6 + 0.5) * STRIDE, (3 + 0.5) * STRIDE])


def test_local_normalisation_forgets_exposure():
    image = torch.rand(1, 1, 64, 80, generator=torch.Generator().manual_seed(0))
    local = normalised(image * 0.5 + 0.3)[:, 1]
    assert (local - normalised(image)[:, 1]).abs().mean() < 0.15


def test_outputs_have_the_shapes_that_the_manifest_names():
    with torch.no_grad():
        outputs = Exported(HeartNetwork()).eval()(torch.zeros(2, 1, ROWS, COLUMNS))
    shapes = {name: tuple(output.shape) for name, output in zip(Exported.outputs, outputs, strict=True)}
    assert shapes == {
        "points": (2, 5, 2),
        "spine": (2, 1, 64, 80),
        "phase": (2, 2, 64, 80),
        "heart": (2, 1, 64, 80),
        "views": (2, 4),
    }
    assert outputs[4].sum(dim=1).tolist() == pytest.approx([1, 1])


def test_training_and_evaluation_share_no_seed():
    assert FIRST_SEED + 1_000_000 < EVALUATION_SEED
