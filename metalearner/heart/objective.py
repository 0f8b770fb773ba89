"""What the network is asked for: targets drawn from the truth, and how far off it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from metalearner.heart.augment import T4, UNKNOWN, Batch
from metalearner.heart.dataset import COLUMNS, COMPLETE_LATERAL, INCOMPLETE_LATERAL, ROWS, STRIDE, VENTRODORSAL
from metalearner.heart.network import Maps, soft_argmax

# Vertebra index relative to T4: where the phase is taught, and where the spine curve is.
PHASE_FROM, PHASE_TO = -2.0, 10.0
SPINE_FROM, SPINE_TO = -3, 10
PHASE_REACH, SPINE_WIDTH = 0.3, 0.22  # vertebrae off the curve
POINT_WEIGHT, PHASE_WEIGHT, SPINE_WEIGHT, HEART_WEIGHT, VIEW_WEIGHT = 0.12, 5.0, 4.0, 1.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    total: Tensor
    point_pixels: float
    phase: float
    view_accuracy: float


def grid() -> Tensor:
    """(h, w, 2) middles of the maps' pixels, in input pixels from the outer corner."""
    row, column = torch.meshgrid(
        (torch.arange(ROWS // STRIDE) + 0.5) * STRIDE, (torch.arange(COLUMNS // STRIDE) + 0.5) * STRIDE, indexing="ij"
    )
    return torch.stack([column, row], dim=-1)


def measure(maps: Maps, batch: Batch, where: Tensor, sigma_pixels: float) -> Loss:
    kinds = batch.kinds
    lateral = (kinds == COMPLETE_LATERAL) | (kinds == INCOMPLETE_LATERAL) | (kinds == UNKNOWN)
    has_truth = lateral & torch.isfinite(batch.spine).all(dim=(1, 2))
    points, pixels_off = _points(maps, batch, has_truth, where, sigma_pixels)
    phase, spine = _column(maps, batch.spine, has_truth, where)
    nothing = ~lateral & (kinds != VENTRODORSAL)
    spine_target = torch.where(has_truth[:, None, None], spine, torch.zeros(()))
    taught = has_truth | ~lateral
    spine_loss = F.binary_cross_entropy_with_logits(maps.spine[:, 0][taught], spine_target[taught])
    heart_target = torch.where(nothing[:, None, None, None], torch.zeros(()), batch.heart)
    taught = has_truth | nothing
    heart_loss = F.binary_cross_entropy_with_logits(maps.heart[taught], heart_target[taught])
    view_loss = F.cross_entropy(maps.view, kinds, ignore_index=UNKNOWN)
    known = kinds != UNKNOWN
    right = (maps.view.argmax(-1) == kinds)[known].float().mean()
    total = points + PHASE_WEIGHT * phase + SPINE_WEIGHT * spine_loss + HEART_WEIGHT * heart_loss + VIEW_WEIGHT * view_loss
    return Loss(total=total, point_pixels=pixels_off, phase=float(phase.detach()), view_accuracy=float(right))


def _points(maps: Maps, batch: Batch, has_truth: Tensor, where: Tensor, sigma_pixels: float) -> tuple[Tensor, float]:
    wanted = torch.cat([batch.axes, batch.spine[:, T4 : T4 + 1]], dim=1)
    inside = ((wanted > 0) & (wanted < torch.tensor([COLUMNS, ROWS]))).all(-1) & has_truth[:, None]
    wanted = torch.nan_to_num(wanted)
    away = ((where[None, None] - wanted[:, :, None, None]) ** 2).sum(-1)
    target = (-away / (2 * sigma_pixels**2)).flatten(2).softmax(-1)
    crossed = -(target * maps.points.flatten(2).log_softmax(-1)).sum(-1)
    off = (soft_argmax(maps.points) - wanted).abs().sum(-1)
    weight = inside.float() / inside.sum().clamp(min=1)
    loss = ((crossed + POINT_WEIGHT * off.clamp(max=60)) * weight).sum()
    return loss, float((off.detach() * weight).sum())


def _column(maps: Maps, spine: Tensor, has_truth: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Loss of the phase near the spine, and the spine's own map, (n, h, w)."""
    edges = torch.nan_to_num(spine[:, T4 + SPINE_FROM : T4 + SPINE_TO + 1])
    start = edges[:, :-1, None, None]
    step = (edges[:, 1:] - edges[:, :-1])[:, :, None, None]
    squared = (step * step).sum(-1).clamp(min=1e-3)
    share = (((where[None, None] - start) * step).sum(-1) / squared).clamp(0, 1)
    away = ((where[None, None] - start - share[..., None] * step) ** 2).sum(-1) / squared
    nearest, segment = away.min(dim=1)
    index = SPINE_FROM + segment + share.gather(1, segment[:, None])[:, 0]
    curve = torch.exp(-nearest / (2 * SPINE_WIDTH**2))
    near = (nearest < PHASE_REACH**2) & (index > PHASE_FROM) & (index < PHASE_TO) & has_truth[:, None, None]
    angle = 2 * math.pi * index
    off = ((maps.phase - torch.stack([angle.cos(), angle.sin()], dim=1)) ** 2).sum(1)
    return (off * near).sum() / near.sum().clamp(min=1), curve
