"""Train the heart network on rendered phantoms. The same seed, steps and threads give the same weights on one machine."""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor

from metalearner.heart.augment import Batch, augment
from metalearner.heart.dataset import COMPLETE_LATERAL, INCOMPLETE_LATERAL, OTHER, VENTRODORSAL, Shard, load
from metalearner.heart.network import HeartNetwork
from metalearner.heart.objective import grid, measure

PEAK_RATE, WEIGHT_DECAY, WARM_UP_STEPS = 2.5e-3, 1e-2, 100
EMA_DECAY = 0.997
# How a batch of 16 is made up.
PORTIONS = {COMPLETE_LATERAL: 12, INCOMPLETE_LATERAL: 1, VENTRODORSAL: 2, OTHER: 1}


def draw(shard: Shard, groups: dict[int, Tensor], generator: torch.Generator) -> Batch:
    chosen = torch.cat(
        [groups[kind][torch.randint(0, len(groups[kind]), (n,), generator=generator)] for kind, n in PORTIONS.items()]
    ).numpy()
    return Batch(
        images=torch.from_numpy(shard.images[chosen]).float()[:, None] / 255,
        kinds=torch.from_numpy(shard.kinds[chosen]),
        axes=torch.from_numpy(shard.axes[chosen]),
        spine=torch.from_numpy(shard.spine[chosen]),
        heart=torch.from_numpy(shard.heart[chosen]).float()[:, None] / 255,
    )


def follow(average: HeartNetwork, network: HeartNetwork, step: int) -> None:
    """The exponential moving average that is exported; quicker at first."""
    decay = min(EMA_DECAY, step / (step + 20))
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def train(shard: Shard, *, steps: int, at_most_minutes: float, seed: int, out: Path) -> HeartNetwork:
    """The rate falls by a cosine over the steps, or over the minutes where those run out first."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.from_numpy(shard.kinds)
    groups = {kind: torch.nonzero(kinds == kind).flatten() for kind in PORTIONS}
    network = HeartNetwork()
    network = network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    where = grid()
    print(f"{sum(p.numel() for p in network.parameters())} parameters, {len(kinds)} phantoms", flush=True)
    begun = time.monotonic()
    seen: dict[str, float] = {}
    step = 0
    while True:
        done = max(step / steps, (time.monotonic() - begun) / (60 * at_most_minutes))
        if done >= 1:
            break
        rate = PEAK_RATE * min(1, (step + 1) / WARM_UP_STEPS) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-6
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = augment(draw(shard, groups, generator), generator)
        maps = network(batch.images.contiguous(memory_format=torch.channels_last))
        loss = measure(maps, batch, where, sigma_pixels=5 + 5 * (1 - done))
        optimiser.zero_grad()
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        step += 1
        follow(average, network, step)
        now = {"pixels": loss.point_pixels, "phase": loss.phase, "view": loss.view_accuracy}
        seen = {key: 0.97 * seen.get(key, value) + 0.03 * value for key, value in now.items()}
        if step in (5, 20) or step % 50 == 0:
            figures = " ".join(f"{key} {value:.3f}" for key, value in seen.items())
            print(f"{step} {time.monotonic() - begun:.0f} s loss {float(loss.total.detach()):.3f} {figures}", flush=True)
        if step % 250 == 0:
            torch.save(average.state_dict(), out)
    torch.save(average.state_dict(), out)
    record = {"steps": step, "minutes": (time.monotonic() - begun) / 60, "seed": seed, "phantoms": len(kinds), **seen}
    out.with_suffix(".json").write_text(json.dumps(record, indent=1))
    print(record, flush=True)
    return average


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the heart network.")
    parser.add_argument("--phantoms", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="weights, .pt")
    parser.add_argument("--steps", type=int, default=6500)
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
    )


if __name__ == "__main__":
    main()
