"""From a collection to findings in the node, by the commands that a person types, with a kill in between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch (extra `train`) is not installed")
pytest.importorskip("monai", reason="monai (extra `train`) is not installed")
pytest.importorskip("optuna", reason="optuna (extra `train`) is not installed")

from blobs import BLOB, blobs, task_text

HOUNDSFIELD = str(Path(sys.executable).with_name("houndsfield"))
# A blob is no radiograph, and the triage model says so.
SETTINGS = '[models]\ndir = "models"\n[[model]]\nname = "radiograph-triage"\nenabled = false\n'
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}  # other tests run beside this one


def houndsfield(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [HOUNDSFIELD, *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_from_labelled_images_to_findings_in_the_node(tmp_path: Path) -> None:
    collection = blobs(tmp_path / "blobs", 60)
    (tmp_path / "task.toml").write_text(task_text("findings", steps=60), encoding="utf-8")
    train = ("learn", "train", "task.toml", "--collection", "blobs", "--minutes", "20", "--seed", "3")
    run = tmp_path / "blobs" / "runs" / "blobs"
    kill_in_the_middle(train, tmp_path, run)
    said = json.loads(houndsfield(*train, "--json", folder=tmp_path))
    assert said["quality"] > 0.7 and set(said["answers"]) == {"validation", "test"}
    log = (run / "log.txt").read_text(encoding="utf-8")
    assert [log.count(f" trial {number}: quality") for number in (0, 1)] == [1, 0]
    steps = [json.loads(line)["step"] for line in (run / "trials" / "0" / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))  # nothing was taught twice
    assert "http-equiv" not in (run / "live.html").read_text(encoding="utf-8")

    package = ("learn", "package", str(run), "--name", "blob-findings", "--version", "0.1.0", "--out", "made/blobs")
    houndsfield(*package, "--manufacturer", "Test", folder=tmp_path)
    assert not [path for path in (tmp_path / "made").iterdir() if path.name.startswith(".")]
    (tmp_path / "houndsfield.toml").write_text(SETTINGS, encoding="utf-8")
    houndsfield("models", "check", "made/blobs", folder=tmp_path)
    houndsfield("models", "add", "made/blobs", "-c", "houndsfield.toml", folder=tmp_path)
    assert shown(collection.path("1.2.3.0.28"), tmp_path) == "PRESENT"  # of the test part
    assert shown(collection.path("1.2.3.0.25"), tmp_path) == "ABSENT"


def kill_in_the_middle(command: tuple[str, ...], folder: Path, run: Path) -> None:
    checkpoint = run / "trials" / "0" / "checkpoint.pt"
    with subprocess.Popen([HOUNDSFIELD, *command], cwd=folder, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 180
        while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None, "it ended before it could be killed"
        process.kill()
    assert checkpoint.exists() and not (run / "run.json").exists()


def shown(image: Path, folder: Path) -> Any:
    """What the package says of the blob; its region lies where it should."""
    answer = json.loads(houndsfield("analyse", str(image), "-c", "houndsfield.toml", "--json", folder=folder))
    (report,) = [one for one in answer["studies"][0]["reports"] if one["model"] == "blob-findings"]
    (finding,) = [one for one in report["findings"] if one["concept"]["value"] == BLOB]
    assert bool(finding["regions"]) is (finding["outcome"] == "PRESENT")
    return finding["outcome"]
