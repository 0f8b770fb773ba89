"""What is exported answers as what was trained, or no package is made; smaller weights are kept where they lose nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (extra `train`) is not installed")
pytest.importorskip("monai", reason="monai (extra `train`) is not installed")

from blobs import BLOB, PLATE, blobs, task_text  # noqa: E402

from inference.onnx_file import read_onnx  # noqa: E402
from metalearner import export, packaging  # noqa: E402
from metalearner.collection import Collection, Part  # noqa: E402
from metalearner.examples import gather  # noqa: E402
from metalearner.networks import Network  # noqa: E402
from metalearner.onnx_file import ParityLost  # noqa: E402
from metalearner.package_text import Wanted  # noqa: E402
from metalearner.search import Plan, Search  # noqa: E402
from metalearner.tasks import Recipe, TaskInvalid, load_task  # noqa: E402
from metalearner.training import answers, load_network  # noqa: E402

torch.set_num_threads(1)
WANTED = Wanted(name="blob-findings", version="0.1.0", manufacturer="Test")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Collection]:
    """A network that tells blobs, in seconds."""
    root = tmp_path_factory.mktemp("blobs") / "c"
    collection = blobs(root, 60)
    (root / "task.toml").write_text(task_text("classification", steps=90), encoding="utf-8")
    plan = Plan(task=load_task(root / "task.toml"), seed=1, minutes=10, trials=1, threads=1)
    return Search(collection, plan, name="first").run("knee"), collection


def other_network(_network: Any, task: Any, recipe: Recipe, out: Path) -> None:
    torch.manual_seed(99)
    REAL_EXPORT(Network(task, recipe).eval(), task, recipe, out)


REAL_EXPORT = export.export


def test_what_is_exported_answers_alike_and_another_network_does_not(run: tuple[Path, Collection], tmp_path: Path) -> None:
    folder, collection = run
    task, recipe, weights = packaging.load_run(folder)
    network = load_network(task, recipe, weights)
    model = tmp_path / "model.onnx"
    export.export(network, task, recipe, model)
    said = read_onnx(model.read_bytes())
    assert (said.opset, said.external_data, said.unknown_operators) == (18, False, [])
    planes = gather(collection, task, recipe, Part.VALIDATION).planes
    assert export.require_parity(network, task, model, planes) <= 1e-4
    found, wanted = export.onnx_answers(model, task, planes), answers(network, task, planes)
    assert np.allclose(found.logits, wanted.logits, atol=1e-4)
    with torch.no_grad():
        network.classes.bias += 0.01
    with pytest.raises(ParityLost, match="no package is made"):
        export.require_parity(network, task, model, planes)


def test_without_parity_no_package_is_left(
    run: tuple[Path, Collection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "export", other_network)
    with pytest.raises(ParityLost):
        packaging.package(run[0], WANTED, tmp_path / "out" / "blobs", collection=run[1])
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("spoilt", [False, True])
def test_8_bits_are_kept_where_nothing_is_lost(
    run: tuple[Path, Collection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: bool
) -> None:
    if spoilt:
        task, recipe, _ = packaging.load_run(run[0])
        monkeypatch.setattr(export, "quantised", lambda _weights, out, _planes: other_network(None, task, recipe, out))
    wanted = Wanted(name="blob-findings", version="0.1.0", manufacturer="Test", int8=True)
    made = packaging.package(run[0], wanted, tmp_path / "blobs", collection=run[1])
    operators = {name for _, name in read_onnx((made.directory / "model.onnx").read_bytes()).operators}
    assert ("QuantizeLinear" in operators) is not spoilt
    note, card = made.notes[-1], (made.directory / "CARD.md").read_text(encoding="utf-8")
    assert note in card
    assert note.startswith("8-bit weights were not kept: with them") if spoilt else note.startswith("8-bit weights: ")
    assert "0.005 is allowed" in note if spoilt else "no concept loses more than 0.00" in note
    with pytest.raises(TaskInvalid, match="exists already"):
        packaging.package(run[0], wanted, tmp_path / "blobs", collection=run[1])


def test_a_loss_of_any_concept_refuses_and_nothing_known_refuses_too() -> None:
    assert export.refusal({BLOB: 0.005, PLATE: -0.1}) == ""
    assert "CARDIOMEGALY loses 0.006" in export.refusal({BLOB: 0.006, PLATE: -0.1})
    assert "cannot tell" in export.refusal({})
    assert "loses nan" in export.refusal({BLOB: float("nan")})


@pytest.mark.parametrize(
    ("with_it", "without", "low", "high"),
    [
        (np.linspace(0.6, 0.9, 100), np.linspace(0.05, 0.3, 100), 0.295, 0.615),  # the gap between them is UNCERTAIN
        (np.linspace(0.3, 0.9, 100), np.linspace(0.05, 0.7, 100), 0.33, 0.687),
        (np.ones(10), np.zeros(10), 0.02, 0.98),
    ],
)
def test_operating_points_miss_few_and_alarm_seldom(with_it: Any, without: Any, low: float, high: float) -> None:
    p = np.concatenate([with_it, without])
    truth = np.array([1] * len(with_it) + [0] * len(without), dtype=np.int8)
    absent_below, present_from = packaging.operating_points(p, truth)
    assert (absent_below, present_from) == pytest.approx((low, high), abs=0.003)
    assert (with_it < absent_below).mean() <= 0.05
    assert (without >= present_from).mean() <= 0.02
