"""What a network is asked for: how far its maps and classes are off the truth, the unknown left out."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from metalearner.augmentation import Batch
from metalearner.networks import soft_argmax
from metalearner.tasks import STRIDE, Loss, Recipe

_FOCUS = 2.0  # Lin et al. 2017, Focal loss for dense object detection
_EASY, _MARGIN = 4.0, 0.05  # Ridnik et al. 2021, Asymmetric loss for multi-label classification
_CENTRE_FALLOFF = 4.0  # Zhou et al. 2019, Objects as points
_SIZE_WEIGHT, _POINT_WEIGHT = 0.5, 4.0
_NARROW = 0.012  # of the diagonal: a heatmap's spread around the true point
_MOST_WEIGHT = 10.0  # of a rare finding's images against the others


def class_weights(classes: Tensor) -> Tensor:
    """(n, c) with NaN to (c,): how much more an image with the finding counts, the root of how much rarer it is."""
    known = torch.isfinite(classes)
    present = (torch.nan_to_num(classes) >= 0.5) & known
    absent = known.sum(0) - present.sum(0)
    return (absent.clamp(min=1) / present.sum(0).clamp(min=1)).sqrt().clamp(1 / _MOST_WEIGHT, _MOST_WEIGHT)


def loss_of(found: dict[str, Tensor], batch: Batch, recipe: Recipe, weights: Tensor) -> Tensor:
    parts = []
    if "classes" in found:
        parts.append(classification(found["classes"], batch.classes, recipe.loss, weights))
    if "masks" in found:
        parts.append(overlap(found["masks"], batch.masks, batch.shown))
    if "heatmaps" in found:
        parts.append(places(found["heatmaps"], batch.points))
    if "centres" in found:
        parts.append(centres(found["centres"], found["sizes"], batch.boxes, batch.shown))
    return torch.stack(parts).sum()


def classification(logits: Tensor, truth: Tensor, kind: Loss, weights: Tensor) -> Tensor:
    """The mean over what is known; 0, and nothing taught, where nothing is."""
    known = torch.isfinite(truth)
    wanted = torch.nan_to_num(truth)
    plain = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    p = logits.sigmoid()
    if kind == "focal":
        plain = plain * (p - wanted).abs() ** _FOCUS * 4  # about as large as the others at the beginning
    elif kind == "asymmetric":
        shifted = (p - _MARGIN).clamp(min=0)
        without = -((1 - shifted).clamp(min=1e-6).log()) * shifted**_EASY
        plain = wanted * -(p.clamp(min=1e-6).log()) + (1 - wanted) * without * 4
    plain = plain * torch.where(wanted >= 0.5, weights, torch.ones_like(weights))
    return (plain * known).sum() / known.sum().clamp(min=1)


def overlap(logits: Tensor, masks: Tensor, shown: Tensor) -> Tensor:
    """Cross entropy of each pixel and Dice's coefficient of each class over the batch, where it is known."""
    known = shown.float()[:, :, None, None]
    crossed = F.binary_cross_entropy_with_logits(logits, masks, reduction="none") * known
    crossed = crossed.sum() / (known.sum() * masks.shape[2] * masks.shape[3]).clamp(min=1)
    p, truth = logits.sigmoid() * known, masks * known
    common, size = (p * truth).sum(dim=(0, 2, 3)), (p + truth).sum(dim=(0, 2, 3))
    there = truth.sum(dim=(0, 2, 3)) > 1
    dice = 1 - (2 * common + 1) / (size + 1)
    return 2 * crossed + (dice * there).sum() / there.sum().clamp(min=1)


def places(heatmaps: Tensor, points: Tensor) -> Tensor:
    """Cross entropy against a Gaussian on the true point, and the distance of the mean place in shares of the diagonal."""
    _, _, rows, columns = heatmaps.shape
    device = heatmaps.device
    size = torch.tensor([columns * STRIDE, rows * STRIDE], device=device)
    diagonal = float(size.float().norm())
    inside = (torch.nan_to_num(points, nan=-1.0) > 0).all(-1) & (torch.nan_to_num(points, nan=1e9) < size).all(-1)
    wanted = torch.nan_to_num(points)
    column = (torch.arange(columns, device=device) + 0.5) * STRIDE
    row = (torch.arange(rows, device=device) + 0.5) * STRIDE
    away = (column - wanted[..., 0:1]).square()[:, :, None, :] + (row - wanted[..., 1:2]).square()[:, :, :, None]
    sigma = max(_NARROW * diagonal, 1.0 * STRIDE)
    target = (-away / (2 * sigma**2)).flatten(2).softmax(-1)
    crossed = -(target * heatmaps.flatten(2).log_softmax(-1)).sum(-1)
    off = (soft_argmax(heatmaps)[0] - wanted).norm(dim=-1) / diagonal
    weight = inside.float() / inside.sum().clamp(min=1)
    return ((crossed + _POINT_WEIGHT * off) * weight).sum()


def centres(logits: Tensor, sizes: Tensor, boxes: Tensor, shown: Tensor) -> Tensor:
    """Centres as peaks of a map, each with its size; cells beside a centre are blamed less."""
    _, _, rows, columns = logits.shape
    device = logits.device
    target = torch.zeros_like(logits)
    crossed = torch.zeros((), device=device)
    row = (torch.arange(rows, device=device) + 0.5) * STRIDE
    column = (torch.arange(columns, device=device) + 0.5) * STRIDE
    found = 0
    for image, number in torch.nonzero(torch.isfinite(boxes[..., 0])).tolist():
        which = int(boxes[image, number, 0])
        left, top, right, bottom = boxes[image, number, 1:]
        x, y, wide, high = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        if not (0 < x < columns * STRIDE and 0 < y < rows * STRIDE):
            continue  # moved out of the image
        spread_x, spread_y = (side.clamp(min=2 * STRIDE) / 6 for side in (wide, high))
        peak = torch.exp(-((column - x) / spread_x).square()[None] / 2 - ((row - y) / spread_y).square()[:, None] / 2)
        at_row, at_column = min(int(y / STRIDE), rows - 1), min(int(x / STRIDE), columns - 1)
        peak[at_row, at_column] = 1.0
        target[image, which] = torch.maximum(target[image, which], peak)
        near = torch.nonzero(peak > 0.6)
        wanted = torch.stack([wide.clamp(min=1.0).log(), high.clamp(min=1.0).log()])
        crossed = crossed + (sizes[image][:, near[:, 0], near[:, 1]] - wanted[:, None]).abs().mean()
        found += 1
    p = logits.sigmoid().clamp(1e-6, 1 - 1e-6)
    peaks = target >= 1
    hit = -(p.log()) * (1 - p) ** _FOCUS
    miss = -((1 - p).log()) * p**_FOCUS * (1 - target) ** _CENTRE_FALLOFF
    each = torch.where(peaks, hit, miss) * shown.float()[:, :, None, None]
    return (each.sum() + _SIZE_WEIGHT * crossed) / max(found, 1)
