"""From weights to ONNX: the proof that nothing changed on the way, how long one image takes, and 8-bit weights on trial."""

from __future__ import annotations

import copy
import logging
import math
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn

from metalearner import quality
from metalearner.examples import Examples
from metalearner.networks import Network, cells, soft_argmax
from metalearner.onnx_file import OPSET, PARITY, ParityLost, without_traces
from metalearner.quality import Answers
from metalearner.tasks import INPUT, STRIDE, Recipe, Task
from metalearner.training import as_answers

PARITY_IMAGES = 50
MOST_LOSS = 0.005  # of a concept's quality, for 8 bits
_PIXELS = 100.0  # places and sizes are in pixels, and may differ by a hundred times as much
_BATCH = 16
_WARM_UP, _RUNS = 3, 15

OutputShapes = dict[str, tuple[int, ...]]
Planes = npt.NDArray[np.uint8]


class Exported(nn.Module):
    """What goes into the package: logits, and boxes as centre and size."""

    def __init__(self, network: Network, task: Task) -> None:
        super().__init__()
        self.network = network
        self.outputs = outputs_of(task)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        found = self.network(image)
        if "centres" in found:
            found["boxes"], found["scores"] = cells(found)
        return tuple(found[name] for name in self.outputs)


@contextmanager
def quiet() -> Iterator[None]:
    """The exporter and the quantiser warn of what they bring about themselves; what counts is measured."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def outputs_of(task: Task) -> tuple[str, ...]:
    return {
        "classification": ("classes",),
        "findings": ("classes", "masks"),
        "masks": ("masks",),
        "landmarks": ("heatmaps",),
        "boxes": ("boxes", "scores"),
    }[task.kind]


def shapes_of(task: Task, recipe: Recipe) -> OutputShapes:
    rows, columns, count = recipe.rows // STRIDE, recipe.columns // STRIDE, len(task.values)
    shapes: OutputShapes = {
        "classes": (count,),
        "masks": (count, rows, columns),
        "heatmaps": (len(task.points), rows, columns),
        "boxes": (rows * columns, 4),
        "scores": (rows * columns, count),
    }
    return {name: shapes[name] for name in outputs_of(task)}


def export(network: Network, task: Task, recipe: Recipe, out: Path) -> None:
    """One file of opset 18 that takes any number of images."""
    model = Exported(network, task).eval()
    with quiet():
        program = torch.onnx.export(
            model,
            (torch.zeros(2, 1, recipe.rows, recipe.columns),),
            input_names=[INPUT],
            output_names=list(model.outputs),
            dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=64)}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # noqa: S101  dynamo=True always returns one
    stripped = without_traces(program.model_proto)
    onnx.checker.check_model(stripped)
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(stripped, out)


def require_parity(network: Network, task: Task, weights: Path, planes: Planes) -> float:
    """The largest difference of a probability, or of a hundredth of a pixel, on 50 images. ParityLost above 1e-4.

    The trained network answers in double precision: what its own rounding does is not held against the exported one.
    """
    model = Exported(copy.deepcopy(network).double(), task).eval()
    worst, session = 0.0, session_of(weights, threads=1)
    shown = np.resize(planes, (PARITY_IMAGES, *planes.shape[1:])) if len(planes) < PARITY_IMAGES else planes[:PARITY_IMAGES]
    for images in _batches(shown):
        with torch.no_grad():
            wanted = model(torch.from_numpy(images).double())
        for name, mine, other in zip(model.outputs, wanted, session.run(list(model.outputs), {INPUT: images}), strict=True):
            off = float((_as_seen(name, mine) - _as_seen(name, torch.from_numpy(other))).abs().max())
            worst = max(worst, off if off <= PARITY else math.inf if math.isnan(off) else off)
    if worst > PARITY:
        raise ParityLost(f"the exported network answers otherwise than the trained one, by {worst:.1e}: no package is made")
    return worst


def _as_seen(name: str, logits: Tensor) -> Tensor:
    if name == "boxes":
        return logits / _PIXELS
    if name == "heatmaps":
        places, _ = soft_argmax(logits)
        return torch.cat([logits.flatten(2).softmax(-1), places / _PIXELS], dim=-1)
    return logits.sigmoid()


def session_of(weights: Path, *, threads: int) -> Any:
    """As `inference.runtime` sets it up."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])


def latency_ms(weights: Path, recipe: Recipe, *, threads: int) -> float:
    """Of one image on this machine, the median of several."""
    session = session_of(weights, threads=threads)
    image = np.random.default_rng(0).random((1, 1, recipe.rows, recipe.columns), dtype=np.float32)
    taken = []
    for _ in range(_WARM_UP + _RUNS):
        begun = time.perf_counter()
        session.run(None, {INPUT: image})
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken[_WARM_UP:]) * 1000)


def latency_of(task: Task, recipe: Recipe, *, threads: int) -> float:
    """Before anything is taught: weights do not change how long it takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(Network(task, recipe).eval(), task, recipe, path)
        return latency_ms(path, recipe, threads=threads)


def onnx_answers(weights: Path, task: Task, planes: Planes) -> Answers:
    """As `training.answers`, of the file."""
    session, names = session_of(weights, threads=1), list(outputs_of(task))
    parts = []
    for images in _batches(planes):
        found = {name: torch.from_numpy(one) for name, one in zip(names, session.run(names, {INPUT: images}), strict=True)}
        parts.append(as_answers(found, task))
    return Answers(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in Answers.__dataclass_fields__}
    )


def _batches(planes: Planes) -> Iterator[npt.NDArray[np.float32]]:
    for at in range(0, len(planes), _BATCH):
        yield planes[at : at + _BATCH, None].astype(np.float32) / np.float32(255)


class _Calibration(CalibrationDataReader):
    def __init__(self, planes: Planes) -> None:
        self._images = iter(planes)

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT: image[None, None].astype(np.float32) / np.float32(255)}


def quantised(weights: Path, out: Path, planes: Planes) -> None:
    """Convolutions in 8 bits, their ranges seen on images of the training part; all else stays as it is."""
    with quiet():
        quantize_static(
            str(weights),
            str(out),
            _Calibration(planes),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=True,  # processors without VNNI overflow otherwise
            calibrate_method=CalibrationMethod.MinMax,
        )
    onnx.save(without_traces(onnx.load(out)), out)


def lost(task: Task, weights: Path, smaller: Path, judge: Examples) -> dict[str, float]:
    """How much quality each concept or point loses with the smaller weights, where it can be told."""
    before, after = (quality.by_name(task, onnx_answers(one, task, judge.planes), judge) for one in (weights, smaller))
    return {name: before[name] - after[name] for name in before if np.isfinite(before[name])}


def refusal(losses: dict[str, float]) -> str:
    """Why the smaller weights are not kept, empty where they are."""
    worse = {name: loss for name, loss in losses.items() if not loss <= MOST_LOSS}
    if not losses:
        return "8-bit weights were not kept: the validation part cannot tell what they lose"
    if not worse:
        return ""
    name, loss = max(worse.items(), key=lambda one: one[1])
    return f"8-bit weights were not kept: with them {name} loses {loss:.3f} on the validation part, {MOST_LOSS} is allowed"
