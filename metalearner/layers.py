"""Layers that several networks are built of."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Block(nn.Module):
    """Two 3 × 3 convolutions around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


def convolution(inputs: int, outputs: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def normalised(x: Tensor) -> Tensor:
    """(n, 1, h, w) in 0..1 to two channels: as it is, and against the mean and spread of its neighbourhood."""

    def blurred(t: Tensor) -> Tensor:
        for _ in range(2):
            t = F.avg_pool2d(t, 9, 1, 4, count_include_pad=False)
        return t

    small = F.avg_pool2d(x, 4)
    mean = blurred(small)
    variance = (blurred(F.avg_pool2d(x * x, 4)) - mean * mean).clamp(min=0)
    mean = F.interpolate(mean, scale_factor=4.0, mode="bilinear", align_corners=False)
    variance = F.interpolate(variance, scale_factor=4.0, mode="bilinear", align_corners=False)
    local = ((x - mean) / (variance.sqrt() + 0.03)).clamp(-3, 3) / 1.5
    return torch.cat([x * 2 - 1, local], dim=1)
