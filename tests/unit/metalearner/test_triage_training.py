"""The triage network is taught what is known and nothing else, and what it exports adds up."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (extra `train`) is not installed")

from domain.types import View  # noqa: E402
from metalearner.triage.data import EXPORTED_VIEWS, ORIENTATIONS, SIDE, UNKNOWN, Shard, lying  # noqa: E402
from metalearner.triage.network import Answers, Exported, TriageNetwork, four_ways  # noqa: E402
from metalearner.triage.train import Batch, augment, draw, loss_of, train  # noqa: E402


def shard_of(n):
    """Squares whose upper end is bright: their orientation is visible, nothing else."""
    images = np.zeros((n, SIDE, SIDE), np.uint8)
    images[:, : SIDE // 4] = 220
    images[:, :, : SIDE // 8] = 120
    return Shard(
        images=images,
        regions=np.zeros(n, np.int64),
        views=np.zeros(n, np.int64),
        turns=np.ones(n, bool),
        mirrors=np.ones(n, bool),
        quality=np.zeros((n, 4), np.int8),
        seeds=np.arange(n),
    )


def test_what_is_drawn_lies_as_it_is_labelled():
    batch = draw(shard_of(40), np.arange(40), np.random.default_rng(2))
    for image, orientation in zip(batch.images[:, 0].numpy(), batch.orientations.tolist(), strict=True):
        edges = [image[0].mean(), image[:, -1].mean(), image[-1].mean(), image[:, 0].mean()]  # top, right, bottom, left
        turns, mirrored = orientation % 4, orientation >= 4
        assert lying(turns, mirrored, mirrors=True) == orientation
        upper = {0: 0, 1: 3, 2: 2, 3: 1}[turns]  # turned counterclockwise: the top goes left
        if mirrored and upper in (1, 3):
            upper = 4 - upper
        assert int(np.argmax(edges)) == upper
    assert len(set(batch.orientations.tolist())) >= 6


def test_unknown_truths_teach_nothing():
    n = 3
    unknown = torch.full((n,), UNKNOWN)
    batch = Batch(
        images=torch.zeros(n, 1, SIDE, SIDE),
        regions=unknown,
        views=unknown,
        orientations=unknown,
        quality=torch.full((n, 4), float(UNKNOWN)),
    )
    answers = Answers(*(torch.randn(n, k, requires_grad=True) for k in (6, 5, 8, 4)))
    loss = loss_of(answers, batch)
    assert float(loss.detach()) == 0
    loss.backward()
    assert all(float(part.grad.abs().sum()) == 0 for part in answers)


def test_augmentation_keeps_gray_images_of_their_size():
    images = torch.rand(6, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    after = augment(images, torch.Generator().manual_seed(2))
    assert after.shape == images.shape
    assert 0 <= float(after.min()) <= float(after.max()) <= 1
    assert not torch.equal(after, images)


def test_a_turned_image_gets_the_turned_answer():
    """However an image lies, its four turns are the same four pictures: region is the same, orientation moves along."""
    network = TriageNetwork().eval()
    upright = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(5))

    def asked(turns, mirrored):
        turned = torch.rot90(upright, turns, (2, 3))
        with torch.no_grad():
            return four_ways(network, turned.flip(3) if mirrored else turned)

    for mirrored in (False, True):
        first = asked(0, mirrored)
        for turns in (1, 2, 3):
            answer = asked(turns, mirrored)
            assert torch.allclose(answer.region, first.region, atol=1e-4)
            for was in range(4):
                for kind in (False, True):
                    moved = lying((was + turns) % 4, kind, mirrors=True) if kind == mirrored else None
                    if moved is not None:
                        before = first.orientation[0, lying(was, kind, mirrors=True)]
                        assert float(answer.orientation[0, moved]) == pytest.approx(float(before), abs=1e-4)


def test_exported_probabilities_add_up_and_twins_share_three_to_one():
    model = Exported(TriageNetwork(), (1.5, 2.0, 0.5)).eval()
    with torch.no_grad():
        region, view, orientation, quality = model(torch.rand(2, 1, SIDE, SIDE))
    for chances in (region, view, orientation):
        assert chances.sum(dim=1).tolist() == pytest.approx([1, 1], abs=1e-5)
    common, rare = (EXPORTED_VIEWS.index(one) for one in (View.VENTRODORSAL, View.DORSOVENTRAL))
    assert (view[:, common] / view[:, rare]).tolist() == pytest.approx([3, 3], rel=1e-4)
    assert orientation.shape[1] == len(ORIENTATIONS)
    assert ((quality > 0) & (quality < 1)).all()


def test_the_same_seed_trains_the_same_weights(tmp_path, capsys):
    torch.set_num_threads(1)
    shard = shard_of(12)
    one, other = (train(shard, steps=2, at_most_minutes=5, seed=3, out=tmp_path / name) for name in ("a.pt", "b.pt"))
    assert "12 phantoms" in capsys.readouterr().out
    kept = torch.load(tmp_path / "a.pt", weights_only=True)
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, other.state_dict()[name])
        assert torch.equal(weights, kept[name])
    torch.manual_seed(3)
    assert not torch.equal(TriageNetwork().stem[0].weight, one.stem[0].weight)
    assert (tmp_path / "a.json").exists()
