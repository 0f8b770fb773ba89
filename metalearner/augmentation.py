"""What may happen to a film between the animal and the model, on whole batches; the truth moves along."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from metalearner.tasks import Augmentation, Recipe

_COVERED_SHARE = 0.15  # of images get a patch laid over them: a hand, a tube, a marker


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """As `Examples`, as tensors: images (n, 1, rows, columns) and masks (n, c, h, w) in 0..1; NaN is unknown.

    boxes: (n, most, 5), the class's number, then left, top, right, bottom in input pixels.
    """

    images: Tensor
    classes: Tensor
    points: Tensor
    masks: Tensor
    shown: Tensor
    boxes: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(**{name: getattr(self, name).to(device) for name in self.__slots__})


def augment(batch: Batch, wanted: Augmentation, recipe: Recipe, generator: torch.Generator) -> Batch:
    moved = _moved(batch, wanted, recipe.geometry, generator) if recipe.geometry > 0 or wanted.mirror else batch
    return replace(moved, images=_regraded(moved.images, recipe.grays, generator)) if recipe.grays > 0 else moved


def _moved(batch: Batch, wanted: Augmentation, strength: float, generator: torch.Generator) -> Batch:
    """Turned, zoomed, shifted and, where no side matters, mirrored, about the middle."""
    count, _, rows, columns = batch.images.shape

    def each(most: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * most * strength

    turn, scale = each(math.radians(wanted.turn_degrees)), torch.exp(each(wanted.zoom))
    shift = torch.stack([each(wanted.shift) * columns, each(wanted.shift) * rows], dim=-1)
    mirror = torch.ones(count)
    if wanted.mirror:
        mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
    # From the new image's pixels to the old one's, about the middle.
    matrix = torch.stack([torch.stack([mirror * cos, -mirror * sin], -1), torch.stack([sin, cos], -1)], 1)
    half = torch.tensor([columns / 2, rows / 2])
    grid = torch.zeros(count, 2, 3)
    grid[:, :, :2] = matrix * half[None, None, :] / half[None, :, None]
    grid[:, :, 2] = shift / half

    def resampled(planes: Tensor) -> Tensor:
        if not planes.shape[1]:
            return planes
        where = F.affine_grid(grid, list(planes.shape), align_corners=False)
        return F.grid_sample(planes, where, padding_mode="zeros", align_corners=False)

    inverse = torch.linalg.inv(matrix)

    def at(points: Tensor) -> Tensor:
        return torch.einsum("nij,nkj->nki", inverse, points - half - shift[:, None]) + half

    return replace(
        batch,
        images=resampled(batch.images),
        points=at(batch.points),
        masks=resampled(batch.masks),
        boxes=_boxes_at(batch.boxes, at),
    )


def _boxes_at(boxes: Tensor, at: object) -> Tensor:
    """Around the moved corners."""
    count, most, _ = boxes.shape
    left, top, right, bottom = boxes[..., 1:].unbind(-1)
    corners = torch.stack([left, top, right, top, right, bottom, left, bottom], dim=-1).view(count, most * 4, 2)
    moved = at(corners).view(count, most, 4, 2)  # type: ignore[operator]  # a function of tensors, which mypy skips
    return torch.cat([boxes[..., :1], moved.amin(2), moved.amax(2)], dim=-1)


def _regraded(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Gamma, contrast, local equalisation, shading, blur, grain, and now and then a part covered."""
    count, _, rows, columns = images.shape

    def each(low: float, high: float) -> Tensor:
        return (torch.rand(count, generator=generator) * (high - low) + low).view(count, 1, 1, 1)

    x = images.clamp(1e-4, 1) ** torch.exp(each(-0.45, 0.45) * strength)
    dark = images <= 0
    # Consoles equalise: a share of the picture against its neighbourhood.
    small = F.avg_pool2d(x, 4)
    mean, square = (F.avg_pool2d(one, 15, 1, 7, count_include_pad=False) for one in (small, small * small))
    spread = (square - mean * mean).clamp(min=0).sqrt()
    mean, spread = (F.interpolate(one, size=(rows, columns), mode="bilinear") for one in (mean, spread))
    share = (each(-0.6, 0.7) * strength).clamp(0, 0.9)
    x = x * (1 - share) + (0.45 + (x - mean) / (spread + 0.08) * 0.2).clamp(0, 1) * share
    x = (x - 0.5) * torch.exp(each(-0.35, 0.3) * strength) + 0.5 + each(-0.1, 0.1) * strength
    waves = torch.randn(count, 1, 4, 5, generator=generator)
    x = x + F.interpolate(waves, size=(rows, columns), mode="bicubic") * each(0, 0.08) * strength
    x = torch.where(dark & (each(0, 1) < 0.8), torch.zeros(()), x)  # what no ray reached stays black, mostly
    x = torch.where(each(0, 1) < 0.25 * strength, F.avg_pool2d(x, 3, 1, 1), x)
    x = x + torch.randn(x.shape, generator=generator) * each(0, 0.035) * strength
    for i in torch.nonzero(torch.rand(count, generator=generator) < _COVERED_SHARE * strength).flatten().tolist():
        height, width = (int(torch.randint(4, side // 5, (1,), generator=generator)) for side in (rows, columns))
        top = int(torch.randint(0, rows - height, (1,), generator=generator))
        left = int(torch.randint(0, columns - width, (1,), generator=generator))
        x[i, :, top : top + height, left : left + width] = torch.rand((), generator=generator)
    return x.clamp(0, 1)
