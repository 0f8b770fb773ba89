"""Train the triage network on rendered phantoms. The same seed, steps and threads give the same weights on one machine."""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from metalearner.triage.data import SIDE, UNKNOWN, VIEWS, Shard, load, lying
from metalearner.triage.network import Answers, TriageNetwork

BATCH = 48
PEAK_RATE, WEIGHT_DECAY, WARM_UP_STEPS, EMA_DECAY = 2.5e-3, 2e-2, 100, 0.995
# Small pictures first: what a region is shows on them, at a third of the work.
SIZES = ((0.0, 64), (0.45, SIDE))  # from this share of the way on
SMOOTHING = 0.02  # of labels: a phantom that hides everything should not teach certainty


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """images: (n, 1, SIDE, SIDE) in 0..1; regions, views, orientations: (n,), UNKNOWN allowed; quality: (n, 4)."""

    images: Tensor
    regions: Tensor
    views: Tensor
    orientations: Tensor
    quality: Tensor


def draw(shard: Shard, chosen: np.ndarray[tuple[int], np.dtype[np.int64]], rng: np.random.Generator) -> Batch:
    """Images of these numbers, each lying in one of eight ways."""
    images = np.empty((len(chosen), SIDE, SIDE), np.uint8)
    orientations = np.full(len(chosen), UNKNOWN)
    for row, i in enumerate(chosen):
        turns, mirrored = int(rng.integers(4)) if rng.random() < 0.75 else 0, bool(rng.random() < 0.5)
        image = np.rot90(shard.images[i], turns)
        images[row] = image[:, ::-1] if mirrored else image
        if shard.turns[i]:
            orientations[row] = lying(turns, mirrored, mirrors=bool(shard.mirrors[i]))
    return Batch(
        images=torch.from_numpy(images).float()[:, None] / 255,
        regions=torch.from_numpy(shard.regions[chosen]),
        views=torch.from_numpy(shard.views[chosen]),
        orientations=torch.from_numpy(orientations),
        quality=torch.from_numpy(shard.quality[chosen]).float(),
    )


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """A few degrees and a little zoom, gamma, contrast, blur, grain, and now and then a part covered."""
    n = len(images)

    def each(low: float, high: float) -> Tensor:
        return (torch.rand(n, generator=generator) * (high - low) + low).view(n, 1, 1, 1)

    turn, zoom = each(-0.12, 0.12).flatten(), torch.exp(each(-0.12, 0.12)).flatten()
    cos, sin = torch.cos(turn) * zoom, torch.sin(turn) * zoom
    shift = each(-0.06, 0.06).flatten(), each(-0.06, 0.06).flatten()
    grid = torch.stack([torch.stack([cos, -sin, shift[0]], -1), torch.stack([sin, cos, shift[1]], -1)], 1)
    x = F.grid_sample(images, F.affine_grid(grid, list(images.shape), align_corners=False), align_corners=False)
    x = x.clamp(1e-4, 1) ** torch.exp(each(-0.4, 0.4))
    x = (x - 0.5) * torch.exp(each(-0.4, 0.25)) + 0.5 + each(-0.1, 0.1)
    x = torch.where(each(0, 1) < 0.3, F.avg_pool2d(x, 3, 1, 1), x)
    x = x + torch.randn(x.shape, generator=generator) * each(-0.02, 0.02).clamp(min=0)
    for i in torch.nonzero(torch.rand(n, generator=generator) < 0.15).flatten().tolist():
        height, width = torch.randint(6, images.shape[-1] // 3, (2,), generator=generator).tolist()
        top, left = torch.randint(0, images.shape[-1] - 6, (2,), generator=generator).tolist()
        x[i, :, top : top + height, left : left + width] = torch.rand((), generator=generator)
    return x.clamp(0, 1)


def at_size(images: Tensor, done: float) -> Tensor:
    """done: share of the training that is over."""
    side = max(size for start, size in SIZES if done >= start)
    if side == images.shape[-1]:
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)


def balanced(shard: Shard) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How often each phantom is drawn: rare regions and views more often than they occur."""
    kind = shard.regions * len(VIEWS) + shard.views
    weights = 1 / np.sqrt(np.bincount(kind)[kind])
    return np.asarray(weights / weights.sum())


def loss_of(answers: Answers, batch: Batch) -> Tensor:
    known = batch.quality >= 0
    quality = F.binary_cross_entropy_with_logits(answers.quality, batch.quality.clamp(min=0), reduction="none")

    def choice(logits: Tensor, truth: Tensor) -> Tensor:
        if bool((truth == UNKNOWN).all()):
            return logits.sum() * 0
        return F.cross_entropy(logits, truth, ignore_index=UNKNOWN, label_smoothing=SMOOTHING)

    return (
        choice(answers.region, batch.regions)
        + choice(answers.view, batch.views)
        + choice(answers.orientation, batch.orientations)
        + 0.7 * (quality * known).sum() / known.sum().clamp(min=1)
    )


def hits(answers: Answers, batch: Batch) -> dict[str, float]:
    def share(logits: Tensor, truth: Tensor) -> float:
        known = truth != UNKNOWN
        return float((logits.argmax(-1) == truth)[known].float().mean())

    return {
        "region": share(answers.region, batch.regions),
        "view": share(answers.view, batch.views),
        "orientation": share(answers.orientation, batch.orientations),
    }


def follow(average: TriageNetwork, network: TriageNetwork, step: int) -> None:
    """The exponential moving average that is exported; quicker at first."""
    decay = min(EMA_DECAY, step / (step + 20))
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def train(
    shard: Shard, *, steps: int, at_most_minutes: float, seed: int, out: Path, begin: Path | None = None
) -> TriageNetwork:
    """The rate falls by a cosine over the steps, or over the minutes if those end first. begin: weights to go on from."""
    torch.manual_seed(seed)
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    network = TriageNetwork()
    if begin is not None:
        network.load_state_dict(torch.load(begin, weights_only=True))
    network = network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    print(f"{sum(p.numel() for p in network.parameters())} parameters, {len(shard.images)} phantoms", flush=True)
    weights = balanced(shard)
    begun, step, seen = time.monotonic(), 0, dict[str, float]()
    while (done := max(step / steps, (time.monotonic() - begun) / (60 * at_most_minutes))) < 1:
        rate = PEAK_RATE * min(1, (step + 1) / WARM_UP_STEPS) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-6
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = draw(shard, rng.choice(len(shard.images), size=BATCH, p=weights), rng)
        images = augment(at_size(batch.images, done), generator).contiguous(memory_format=torch.channels_last)
        answers = network(images)
        loss = loss_of(answers, batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        step += 1
        follow(average, network, step)
        now = {"loss": float(loss.detach()), **hits(answers, batch)}
        seen = {key: 0.97 * seen.get(key, value) + 0.03 * value for key, value in now.items()}
        if step in (5, 20) or step % 100 == 0:
            print(
                f"{step} {time.monotonic() - begun:.0f} s " + " ".join(f"{k} {v:.3f}" for k, v in seen.items()), flush=True
            )
        if step % 500 == 0:
            torch.save(average.state_dict(), out)
    torch.save(average.state_dict(), out)
    record = {"steps": step, "minutes": (time.monotonic() - begun) / 60, "seed": seed, "phantoms": len(shard.images), **seen}
    out.with_suffix(".json").write_text(json.dumps(record, indent=1))
    return average


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the triage network.")
    parser.add_argument("--phantoms", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="weights, .pt")
    parser.add_argument("--begin", type=Path, help="weights to go on from")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--at-most-minutes", type=float, default=1e9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(
        load(arguments.phantoms),
        steps=arguments.steps,
        at_most_minutes=arguments.at_most_minutes,
        seed=arguments.seed,
        out=arguments.out,
        begin=arguments.begin,
    )


if __name__ == "__main__":
    main()
