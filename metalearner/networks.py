"""MONAI's networks in sizes that two processor cores train and run, with heads for what a task asks.

An encoder of the DenseNet, EfficientNet or U-Net family gives features at 1/4, 1/8, 1/16 and 1/32 of the input. Classes are
read from the last; maps from a U-Net decoder back to a quarter, as MONAI's FlexibleUNet has it behind any encoder.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812
from monai.networks.blocks import Convolution
from monai.networks.nets import DenseNet, EfficientNet
from monai.networks.nets.basic_unet import Down, TwoConv, UpCat
from torch import Tensor, nn

from metalearner.tasks import STRIDE, Recipe, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANNELS = 2  # what `normalised` makes of a gray image
_NEIGHBOURHOOD = 9  # of the quarter's pixels, averaged twice
NORM = ("batch", {"eps": 1e-3, "momentum": 0.1})  # MONAI's EfficientNet follows its means a hundred times slower
DENSENETS = {  # channels of the stem, growth, layers of each block
    "small": (16, 12, (2, 4, 6, 4)),
    "medium": (24, 16, (3, 6, 10, 8)),
    "large": (48, 24, (4, 8, 16, 12)),
}
EFFICIENTNETS = {"small": (0.5, 0.5), "medium": (0.75, 0.75), "large": (1.0, 1.0)}  # width and depth against B0
UNETS = {"small": (16, 24, 40, 64, 96), "medium": (16, 32, 64, 112, 176), "large": (32, 64, 112, 176, 256)}
DECODERS = {"small": 24, "medium": 32, "large": 48}  # channels of the maps; twice, four times as many below
EFFICIENTNET_BLOCKS = (  # B0's: repeats, kernel, stride, expansion, inputs, outputs, squeeze
    "r1_k3_s11_e1_i32_o16_se0.25",
    "r2_k3_s22_e6_i16_o24_se0.25",
    "r2_k5_s22_e6_i24_o40_se0.25",
    "r3_k3_s22_e6_i40_o80_se0.25",
    "r3_k5_s11_e6_i80_o112_se0.25",
    "r4_k5_s22_e6_i112_o192_se0.25",
    "r1_k3_s11_e6_i192_o320_se0.25",
)
_EFFICIENTNET_TAPS = (1, 2, 4, 6)  # the last stacks at 1/4, 1/8, 1/16, 1/32
_SELDOM = -4.6  # logit of 1 %: a centre is rare among the cells of a map


class _DenseEncoder(nn.Module):
    def __init__(self, width: str) -> None:
        super().__init__()
        stem, growth, layers = DENSENETS[width]
        net = DenseNet(
            spatial_dims=2, in_channels=CHANNELS, out_channels=1, init_features=stem, growth_rate=growth, block_config=layers
        )
        self.features = net.features
        self.channels: list[int] = []
        at = stem
        for count in layers:
            self.channels.append(at + count * growth)
            at = self.channels[-1] // 2

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for name, layer in self.features.named_children():
            x = layer(x)
            if name.startswith("denseblock"):
                found.append(x)
        found[-1] = F.relu(x)  # the norm after the last block is without an activation
        return found


class _EfficientEncoder(nn.Module):
    def __init__(self, width: str, rows: int) -> None:
        super().__init__()
        wide, deep = EFFICIENTNETS[width]
        net = EfficientNet(
            list(EFFICIENTNET_BLOCKS),
            in_channels=CHANNELS,
            num_classes=1,
            width_coefficient=wide,
            depth_coefficient=deep,
            image_size=rows,  # its padding is that of every even size
            norm=NORM,
            drop_connect_rate=0.1,
        )
        net.set_swish(memory_efficient=False)  # the other cannot be exported
        self.padding, self.stem, self.norm = net._conv_stem_padding, net._conv_stem, net._bn0
        self.stacks = net._blocks
        self.channels = [net._blocks_args[tap].output_filters for tap in _EFFICIENTNET_TAPS]

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.silu(self.norm(self.stem(self.padding(x))))
        found = []
        for number, stack in enumerate(self.stacks):
            x = stack(x)
            if number in _EFFICIENTNET_TAPS:
                found.append(x)
        return found


class _UnetEncoder(nn.Module):
    """BasicUNet's way down, behind a stem that halves the image."""

    def __init__(self, width: str) -> None:
        super().__init__()
        self.channels = list(UNETS[width][1:])
        sizes = UNETS[width]
        self.stem = nn.Sequential(
            Convolution(2, CHANNELS, sizes[0], strides=2, kernel_size=5, act="relu", norm=NORM, bias=False),
            TwoConv(2, sizes[0], sizes[0], act="relu", norm=NORM, bias=False),
        )
        self.down = nn.ModuleList(
            Down(2, sizes[i], sizes[i + 1], act="relu", norm=NORM, bias=False) for i in range(len(sizes) - 1)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        found = []
        for block in self.down:
            x = block(x)
            found.append(x)
        return found


class _Decoder(nn.Module):
    """From 1/32 up to 1/4."""

    def __init__(self, channels: Sequence[int], out: int) -> None:
        super().__init__()
        sizes = [channels[-1], 4 * out, 2 * out, out]
        skips = list(channels[-2::-1])
        self.blocks = nn.ModuleList(
            UpCat(
                2,
                sizes[i],
                skips[i],
                sizes[i + 1],
                act="relu",
                norm=NORM,
                bias=False,
                upsample="nontrainable",
                interp_mode="nearest",
                align_corners=None,
                is_pad=False,
            )
            for i in range(len(skips))
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        x = features[-1]
        for block, skip in zip(self.blocks, features[-2::-1], strict=True):
            x = block(x, skip)
        return x


class Network(nn.Module):
    """(n, 1, rows, columns) in 0..1 to logits by name: "classes" (n, c); at a quarter "masks" (n, c, h, w), "heatmaps"
    (n, k, h, w), "centres" (n, c, h, w) with "sizes" (n, 2, h, w), the logarithm of width and height in input pixels.
    """

    def __init__(self, task: Task, recipe: Recipe) -> None:
        super().__init__()
        self.encoder = encoder_of(recipe)
        channels: Sequence[int] = self.encoder.channels
        count = len(task.values)
        self.drop, self.drop_maps = nn.Dropout(recipe.dropout), nn.Dropout2d(recipe.dropout)
        self.classes: nn.Linear | None = None
        if task.kind in ("classification", "findings"):
            self.classes = nn.Linear(2 * channels[-1], count)
        planes = {
            "classification": {},
            "findings": {"masks": count},
            "masks": {"masks": count},
            "landmarks": {"heatmaps": len(task.points)},
            "boxes": {"centres": count, "sizes": 2},
        }[task.kind]
        self.decoder = _Decoder(channels, DECODERS[recipe.width]) if planes else None
        self.maps = nn.ModuleDict({name: nn.Conv2d(DECODERS[recipe.width], size, 1) for name, size in planes.items()})
        if "centres" in planes:
            nn.init.constant_(self.maps["centres"].bias, _SELDOM)
            nn.init.constant_(self.maps["sizes"].bias, math.log(min(recipe.rows, recipe.columns) / 8))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.encoder(normalised(image))
        found: dict[str, Tensor] = {}
        if self.classes is not None:
            last = features[-1]
            pooled = torch.cat([last.mean(dim=(2, 3)), last.amax(dim=(2, 3))], dim=1)  # the highest finds what is small
            found["classes"] = self.classes(self.drop(pooled))
        if self.decoder is not None:
            shared = self.drop_maps(self.decoder(features))
            found |= {name: head(shared) for name, head in self.maps.items()}
        return found


def normalised(x: Tensor) -> Tensor:
    """(n, 1, h, w) in 0..1 to two channels: as it is, and against the mean and spread of its neighbourhood.

    The spread is that of the deviations: a mean of squares less a squared mean loses four digits where an image is flat, and
    PyTorch and ONNX Runtime would lose different ones.
    """

    def around(t: Tensor) -> Tensor:
        t = F.avg_pool2d(t, STRIDE)
        for _ in range(2):
            t = F.avg_pool2d(t, _NEIGHBOURHOOD, 1, _NEIGHBOURHOOD // 2, count_include_pad=False)
        return F.interpolate(t, scale_factor=float(STRIDE), mode="bilinear", align_corners=False)

    deviation = x - around(x)
    local = (deviation / ((around(deviation * deviation) + 1e-6).sqrt() + 0.03)).clamp(-3, 3) / 1.5
    return torch.cat([x * 2 - 1, local], dim=1)


def encoder_of(recipe: Recipe) -> nn.Module:
    if recipe.family == "densenet":
        return _DenseEncoder(recipe.width)
    if recipe.family == "efficientnet":
        return _EfficientEncoder(recipe.width, recipe.rows)
    return _UnetEncoder(recipe.width)


def soft_argmax(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """(n, k, h, w) logits to (n, k, 2) mean places and (n, k) standard deviations, input pixels from the outer corner."""
    _, _, rows, columns = heatmaps.shape
    share = heatmaps.flatten(2).softmax(-1).view_as(heatmaps)
    column = (torch.arange(columns, device=heatmaps.device) + 0.5) * STRIDE
    row = (torch.arange(rows, device=heatmaps.device) + 0.5) * STRIDE
    across, down = share.sum(2), share.sum(3)
    places = torch.stack([(across * column).sum(-1), (down * row).sum(-1)], dim=-1)
    squares = torch.stack([(across * column**2).sum(-1), (down * row**2).sum(-1)], dim=-1)
    return places, (squares - places**2).clamp(min=0).mean(-1).sqrt()


def cells(found: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Each cell of the centres' map as a box: (n, h·w, 4) centre and size in input pixels, (n, h·w, c) logits."""
    centres, sizes = found["centres"], found["sizes"]
    count, _, rows, columns = centres.shape
    row, column = torch.meshgrid(
        (torch.arange(rows, device=centres.device) + 0.5) * STRIDE,
        (torch.arange(columns, device=centres.device) + 0.5) * STRIDE,
        indexing="ij",
    )
    places = torch.stack([column, row]).flatten(1).T.expand(count, -1, -1)
    spans = sizes.flatten(2).transpose(1, 2).clamp(max=math.log(4096.0)).exp()
    return torch.cat([places, spans], dim=-1), centres.flatten(2).transpose(1, 2)


def in_doubt(network: nn.Module) -> None:
    """Dropout on, all else as in use: for Monte Carlo."""
    network.eval()
    for layer in network.modules():
        if isinstance(layer, nn.Dropout | nn.Dropout2d):
            layer.train()
