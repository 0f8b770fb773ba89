"""From weights to ONNX, and the proof that nothing changed on the way."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from metalearner.heart.dataset import COLUMNS, ROWS, render_one
from metalearner.heart.network import Exported, HeartNetwork
from metalearner.onnx_file import INPUT, OPSET, PARITY, ParityLost, without_traces

CHECK_SEED = 8_000_000


def export(weights: Path, out: Path) -> None:
    network = HeartNetwork()
    network.load_state_dict(torch.load(weights, weights_only=True))
    model = Exported(network).eval()
    example = torch.zeros(2, 1, ROWS, COLUMNS)
    program = torch.onnx.export(
        model,
        (example,),
        input_names=[INPUT],
        output_names=list(Exported.outputs),
        dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=64)}},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # noqa: S101  # dynamo=True always returns one
    out.parent.mkdir(parents=True, exist_ok=True)
    stripped = without_traces(program.model_proto)
    onnx.checker.check_model(stripped)
    onnx.save(stripped, out)
    worst = parity(model, out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, opset {OPSET}, differs from PyTorch by at most {worst:.1e}")
    if worst > PARITY:
        raise ParityLost(f"{worst:.1e} exceeds {PARITY:.0e}")


def parity(model: Exported, path: Path) -> float:
    """Largest difference between the two runtimes on five phantoms, points counted in hundreds of pixels."""
    images = np.stack([render_one(CHECK_SEED + i)[0].pixels for i in range(5)])[:, None]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    answers = session.run(list(Exported.outputs), {INPUT: images})
    with torch.no_grad():
        wanted = model(torch.from_numpy(images))
    return max(
        float(np.abs(one - other.numpy()).max()) / (100 if name == "points" else 1)
        for name, one, other in zip(Exported.outputs, answers, wanted, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Export the heart network.")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    export(arguments.weights, arguments.out)


if __name__ == "__main__":
    main()
