"""The triage network: a small residual network with four answers about one image.

Outputs (n images, probabilities):
    region       (n, 6)  `triage_data.REGIONS`
    view         (n, 8)  `triage_data.EXPORTED_VIEWS`
    orientation  (n, 8)  `triage_data.ORIENTATIONS`
    quality      (n, 4)  `triage_data.ISSUES`, each on its own
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from metalearner.layers import Block, convolution, normalised
from metalearner.triage.data import COMMONER, ISSUES, ORIENTATIONS, REGIONS, TWINS, VIEWS

WIDTHS = (16, 32, 64, 128, 192)  # at /2 /4 /8 /16 /32; multiples of 16, as processors like them


class Answers(NamedTuple):
    """Logits."""

    region: Tensor
    view: Tensor
    orientation: Tensor
    quality: Tensor


class TriageNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(2, WIDTHS[0], 2, 5)
        self.blocks = nn.ModuleList(Block(inputs, outputs, 2) for inputs, outputs in itertools.pairwise(WIDTHS))
        self.drop = nn.Dropout(0.15)
        self.hidden = nn.Linear(2 * WIDTHS[-1], 128)
        self.heads = nn.ModuleList(nn.Linear(128, n) for n in (len(REGIONS), len(VIEWS), len(ORIENTATIONS), len(ISSUES)))

    def forward(self, x: Tensor) -> Answers:
        x = self.stem(normalised(x))
        for block in self.blocks:
            x = block(x)
        pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        hidden = F.relu(self.hidden(self.drop(pooled)))
        return Answers(*(head(hidden) for head in self.heads))


def four_ways(network: TriageNetwork, image: Tensor) -> Answers:
    """The mean answer to an image and its three quarter turns, each turned back: steadier, for four times the work."""
    seen = [network(torch.rot90(image, k, (2, 3))) for k in range(4)]
    # One more counterclockwise turn is one more to undo; of a mirror image one fewer, as its turn came first.
    back = [[(t + k) % 4 for t in range(4)] + [4 + (t - k) % 4 for t in range(4)] for k in range(4)]
    return Answers(
        region=torch.stack([one.region for one in seen]).mean(dim=0),
        view=torch.stack([one.view for one in seen]).mean(dim=0),
        orientation=torch.stack([one.orientation[:, back[k]] for k, one in enumerate(seen)]).mean(dim=0),
        quality=torch.stack([one.quality for one in seen]).mean(dim=0),
    )


class Exported(nn.Module):
    """What goes into the package. temperatures: of region, view and orientation, see `triage_packaging.calibrate`."""

    outputs = ("region", "view", "orientation", "quality")

    def __init__(self, network: TriageNetwork, temperatures: tuple[float, float, float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("temperatures", torch.tensor(temperatures))
        self.register_buffer("kept", torch.tensor([COMMONER if view in TWINS else 1.0 for view in VIEWS]))
        self.twins = [VIEWS.index(view) for view in TWINS]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        answers = four_ways(self.network, image)
        region, view, orientation = (
            (logits / self.temperatures[i]).softmax(-1)
            for i, logits in enumerate((answers.region, answers.view, answers.orientation))
        )
        rarer = torch.stack([view[:, i] * (1 - COMMONER) for i in self.twins], dim=1)
        return region, torch.cat([view * self.kept, rarer], dim=1), orientation, answers.quality.sigmoid()
