"""What may happen to a film between the dog and the model, on whole batches; the truth moves along."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from metalearner.heart.dataset import COLUMNS, COMPLETE_LATERAL, INCOMPLETE_LATERAL, OTHER, ROWS

UNKNOWN = -100  # cross entropy's "no label": neither complete nor clearly incomplete
T4, T11 = 7, 14  # rows of `spine`


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """images: (n, 1, rows, columns) in 0..1; kinds: (n,), UNKNOWN allowed; axes: (n, 4, 2); spine: (n, 22, 2), NaN where
    there is none; heart: (n, 1, rows/4, columns/4) in 0..1."""

    images: Tensor
    kinds: Tensor
    axes: Tensor
    spine: Tensor
    heart: Tensor


def augment(batch: Batch, generator: torch.Generator) -> Batch:
    batch = _moved(batch, generator)
    images = _regraded(batch.images, generator)
    images, kinds = _spoilt(images, batch.kinds, generator)
    return Batch(images=images, kinds=kinds, axes=batch.axes, spine=batch.spine, heart=batch.heart)


def _between(low: float, high: float, n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def _chance(share: float, n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator) < share


def _moved(batch: Batch, generator: torch.Generator) -> Batch:
    """Turned, scaled, shifted, mirrored. One in eight is shifted so far that landmarks may leave the film."""
    n = len(batch.images)
    turn = _between(-0.16, 0.16, n, generator)
    scale = torch.exp(_between(-0.2, 0.16, n, generator))
    far = _chance(0.12, n, generator)
    scale = torch.where(far, scale * 0.8, scale)
    reach = torch.where(far, 6.0, 1.0)
    shift = torch.stack([_between(-15, 15, n, generator) * reach, _between(-12, 12, n, generator) * reach], dim=-1)
    mirror = torch.where(_chance(0.5, n, generator), -1.0, 1.0)
    cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
    # From output pixels to input pixels, about the middle.
    matrix = torch.stack([torch.stack([mirror * cos, -sin], -1), torch.stack([mirror * sin, cos], -1)], 1)
    half = torch.tensor([COLUMNS / 2, ROWS / 2])
    grid = torch.zeros(n, 2, 3)
    grid[:, :, :2] = matrix * half[None, None, :] / half[None, :, None]
    grid[:, :, 2] = shift / half

    def resampled(planes: Tensor) -> Tensor:
        where = F.affine_grid(grid, list(planes.shape), align_corners=False)
        return F.grid_sample(planes, where, padding_mode="zeros", align_corners=False)

    def at(points: Tensor) -> Tensor:
        return torch.einsum("bij,bkj->bki", torch.linalg.inv(matrix), points - half - shift[:, None]) + half

    axes, spine = at(batch.axes), at(batch.spine)
    needed = torch.cat([axes, spine[:, T4 : T11 + 1]], dim=1)
    kinds = batch.kinds.clone()
    lateral = kinds == COMPLETE_LATERAL
    kinds[lateral & (_clearance(needed) < 3)] = UNKNOWN
    pitch = (spine[:, T4 + 1] - spine[:, T4]).norm(dim=-1)
    for missing in (axes[:, 1:2], spine[:, T4 : T4 + 1]):  # apex, T4
        kinds[lateral & (_clearance(missing) < -0.3 * pitch)] = INCOMPLETE_LATERAL
    return Batch(images=resampled(batch.images), kinds=kinds, axes=axes, spine=spine, heart=resampled(batch.heart))


def _clearance(points: Tensor) -> Tensor:
    """(n, k, 2) to (n,): pixels from the nearest border of the outermost point, negative outside."""
    far = torch.tensor([COLUMNS, ROWS])
    return torch.minimum(points, far - points).amin(dim=(1, 2))


def _regraded(images: Tensor, generator: torch.Generator) -> Tensor:
    """Gamma, contrast, shading, local contrast, blur, coarser pixels, noise, and things laid on the plate."""
    n = len(images)

    def each(low: float, high: float) -> Tensor:
        return _between(low, high, n, generator).view(n, 1, 1, 1)

    x = images.clamp(1e-4, 1) ** torch.exp(each(-0.45, 0.45))
    covered = images <= 0
    # Consoles equalise: a share of the picture against its neighbourhood, as CLAHE does.
    small = F.avg_pool2d(x, 4)
    wide = 2 * int(torch.randint(4, 13, (1,), generator=generator)) + 1
    mean = F.avg_pool2d(small, wide, 1, wide // 2, count_include_pad=False)
    spread = (F.avg_pool2d(small * small, wide, 1, wide // 2, count_include_pad=False) - mean * mean).clamp(min=0)
    mean = F.interpolate(mean, scale_factor=4.0, mode="bilinear", align_corners=False)
    spread = F.interpolate(spread.sqrt(), scale_factor=4.0, mode="bilinear", align_corners=False)
    equalised = (0.45 + (x - mean) / (spread + 0.08) * 0.2).clamp(0, 1)
    share = each(-0.6, 0.8).clamp(min=0)
    x = x * (1 - share) + equalised * share
    x = (x - 0.5) * torch.exp(each(-0.35, 0.3)) + 0.5 + each(-0.12, 0.12)
    waves = torch.randn(n, 1, 4, 5, generator=generator)
    x = x + F.interpolate(waves, size=(ROWS, COLUMNS), mode="bicubic") * each(0, 0.1)
    x = torch.where(covered & (each(0, 1) < 0.8), torch.zeros(()), x)  # what no ray reached stays black, mostly
    softer = F.avg_pool2d(x, 3, 1, 1)
    x = torch.where(each(0, 1) < 0.25, softer, x)
    coarser = F.interpolate(F.avg_pool2d(x, 2), size=(ROWS, COLUMNS), mode="bilinear", align_corners=False)
    x = torch.where(each(0, 1) < 0.2, coarser, x)
    x = x + torch.randn(x.shape, generator=generator) * each(0, 0.035)
    for i in range(n):
        for _ in range(int(torch.randint(0, 3, (1,), generator=generator))):
            height, width = torch.randint(4, 32, (2,), generator=generator).tolist()
            top = int(torch.randint(0, ROWS - height, (1,), generator=generator))
            left = int(torch.randint(0, COLUMNS - width, (1,), generator=generator))
            gain, lift = torch.rand(2, generator=generator).tolist()
            part = x[i, :, top : top + height, left : left + width]
            part.mul_(gain).add_(0.6 * lift)
    return x.clamp(0, 1)


def _spoilt(images: Tensor, kinds: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One in twelve becomes a film that must be refused: inverted, upside down, or turned by a right angle."""
    images, kinds = images.clone(), kinds.clone()
    for i in torch.nonzero(_chance(0.085, len(images), generator)).flatten().tolist():
        way = int(torch.randint(0, 3, (1,), generator=generator))
        if way == 0:
            images[i] = 1 - images[i]
        elif way == 1:
            images[i] = images[i].flip(1)
        else:
            square = F.interpolate(images[i : i + 1].transpose(2, 3), size=(ROWS, ROWS * ROWS // COLUMNS), mode="area")
            images[i] = 0
            left = (COLUMNS - square.shape[3]) // 2
            images[i, :, :, left : left + square.shape[3]] = square[0]
        kinds[i] = OTHER
    return images, kinds
