"""The network: a small U-Net that sees the film normalised as a whole and by neighbourhood, and answers with maps.

Outputs (n images, maps at a quarter of the input):
    points  (n, 5, 2)  column and row of long axis (2), short axis (2) and T4, pixels from the outer corner
    spine   (n, 1, h, w)  0..1 on the curve through the vertebral bodies, T1 … L1
    phase   (n, 2, h, w)  cosine and sine of 2π × vertebra index, whole numbers at cranial edges, T4 = 0
    heart   (n, 1, h, w)  0..1 within the cardiac silhouette
    views   (n, 4)  probabilities: complete lateral thorax, incomplete one, ventrodorsal, anything else
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from metalearner.heart.dataset import STRIDE
from metalearner.layers import Block, convolution, normalised

POINTS = 5
ENCODER = (16, 32, 64, 112, 176, 224)  # at /2 /4 /8 /16 /32 /64
DECODER = (32, 48, 72, 112, 144)  # at /4 … /64


class Maps(NamedTuple):
    """Before any activation."""

    points: Tensor
    spine: Tensor
    phase: Tensor
    heart: Tensor
    view: Tensor


class HeartNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(2, ENCODER[0], 2, 5)
        self.encoder = nn.ModuleList(Block(inputs, outputs, 2) for inputs, outputs in itertools.pairwise(ENCODER))
        self.lateral = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 1) for inputs, outputs in zip(ENCODER[1:], DECODER, strict=True)
        )
        self.up = nn.ModuleList(nn.Conv2d(DECODER[i + 1], DECODER[i], 1) for i in range(len(DECODER) - 1))
        self.decoder = nn.ModuleList(Block(DECODER[i], DECODER[i]) for i in range(len(DECODER) - 1))
        self.head = nn.Conv2d(DECODER[0], POINTS + 4, 1)
        self.view = nn.Sequential(nn.Linear(ENCODER[-1] + ENCODER[-2], 64), nn.ReLU(inplace=True), nn.Linear(64, 4))

    def forward(self, x: Tensor) -> Maps:
        x = self.stem(normalised(x))
        levels = []
        for block in self.encoder:
            x = block(x)
            levels.append(x)
        y = self.lateral[-1](levels[-1])
        for i in range(len(self.decoder) - 1, -1, -1):
            y = F.interpolate(self.up[i](y), size=levels[i].shape[-2:], mode="bilinear", align_corners=False)
            y = self.decoder[i](y + self.lateral[i](levels[i]))
        maps = self.head(y)
        pooled = torch.cat([levels[-1].mean(dim=(2, 3)), levels[-2].mean(dim=(2, 3))], dim=1)
        return Maps(
            points=maps[:, :POINTS],
            spine=maps[:, POINTS : POINTS + 1],
            phase=maps[:, POINTS + 1 : POINTS + 3],
            heart=maps[:, POINTS + 3 :],
            view=self.view(pooled),
        )


def soft_argmax(heatmaps: Tensor) -> Tensor:
    """(n, k, h, w) to (n, k, 2): the mean position of each map's softmax, in input pixels from the outer corner."""
    _, _, rows, columns = heatmaps.shape
    share = heatmaps.flatten(2).softmax(-1).view_as(heatmaps)
    column = (torch.arange(columns, device=heatmaps.device) + 0.5) * STRIDE
    row = (torch.arange(rows, device=heatmaps.device) + 0.5) * STRIDE
    return torch.stack([(share.sum(2) * column).sum(-1), (share.sum(3) * row).sum(-1)], dim=-1)


class Exported(nn.Module):
    """What goes into the package: activations included, names as the decoder expects them."""

    outputs = ("points", "spine", "phase", "heart", "views")

    def __init__(self, network: HeartNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps = self.network(image)
        return (
            soft_argmax(maps.points),
            maps.spine.sigmoid(),
            maps.phase,
            maps.heart.sigmoid(),
            maps.view.softmax(-1),
        )
