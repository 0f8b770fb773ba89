"""docs/model-package.md done to the letter: its Python is run, then its commands, and the answers are PyTorch's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from domain.types import Species
from inference.plane import fit
from inference.reading import read_radiograph
from phantoms.study import make_study

torch = pytest.importorskip("torch", reason="torch (extra `train`) is not installed")
pytest.importorskip("monai", reason="monai (extra `train`) is not installed")

PAGE = (Path(__file__).parents[3] / "docs" / "model-package.md").read_text(encoding="utf-8")
HOUNDSFIELD = str(Path(sys.executable).with_name("houndsfield"))
SEEDED = "import torch\ntorch.manual_seed(7)\n"


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_from_a_monai_densenet_to_findings(tmp_path: Path) -> None:
    """Weights are random: what is tested is that the product says exactly what the network says."""
    (film,) = make_study(21, directory=tmp_path / "study", rows=512, columns=640, views=("lateral-right",))
    shutil.copy(film, tmp_path / "film.dcm")
    (tmp_path / "houndsfield.toml").write_text('[models]\ndir = "models"\n')
    script = block("python") + '\ntorch.save(network.state_dict(), "weights.pt")\n'
    run([sys.executable, "-c", SEEDED + script], tmp_path)
    for command in block("sh").splitlines():
        said = run([HOUNDSFIELD, *command.split()[1:]], tmp_path)
    assert "Cardiomegaly" in said
    answer = json.loads(run([HOUNDSFIELD, *command.split()[1:], "--json"], tmp_path))
    (report,) = [one for one in answer["studies"][0]["reports"] if one["model"] == "canine-thorax-findings"]
    probabilities = {one["concept"]["value"]: one["probability"] for one in report["findings"]}
    assert probabilities == pytest.approx(by_torch(tmp_path), abs=1e-3)


def by_torch(folder: Path) -> dict[str, float]:
    from monai.networks.nets import DenseNet121

    network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=2).eval()
    network.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    radiograph = read_radiograph(folder / "film.dcm", assumed_species=Species.DOG)
    plane = fit(radiograph.pixels, pixel_aspect=1.0, rows=224, columns=224, low_percent=0.5, high_percent=99.5)
    tensor: Any = torch.from_numpy((plane.values[None, None] - np.float32(0.5)) / np.float32(0.5))
    with torch.no_grad():
        first, second = network(tensor).sigmoid()[0].tolist()
    return {"CARDIOMEGALY": first, "60046008": second}


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout
