"""Every kind of head from file to documents; a shadow that is kept and never filed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from factories import dx_file
from model_factory import MANIFEST, constant_package, heart_package
from peers import wait_until
from pipelines import Running, idle, receive, reports, rows
from pydicom import dcmread
from typer.testing import CliRunner

import node.worker
from cli.main import app
from config.settings import Settings, load, parse
from domain.errors import PeerUnavailable
from domain.identity import Identity
from domain.types import DocumentKind, Outcome, Species, View
from inference.engine import Engine
from inference.package import ModelPackage, load_package
from node.models import used_packages
from node.offline import AnalysedStudy, analyse_files
from node.parts import open_pipeline
from node.writing import Writing

KINDS = ["sr", "text_sr", "sc", "gsps", "kos", "pdf"]
CLASS = """[[head.class]]
concept = { value = "CARDIOMEGALY", scheme = "99HNDSFLD", meaning = "Cardiomegaly" }
operating_points = { absent_below = 0.2, present_from = 0.6 }
[[head.class]]
concept = { value = "60046008", scheme = "SCT", meaning = "Pleural effusion" }
operating_points = { absent_below = 0.2, present_from = 0.6 }
"""
HEADS = {
    "classification": (
        {"findings": np.array([2.0, -3.0])},
        '[[head]]\nkind = "classification"\noutput = "findings"\nactivation = "sigmoid"\n' + CLASS,
    ),
    "boxes": (
        {"boxes": np.array([(20.0, 20, 40, 40), (50, 30, 60, 50)]), "scores": np.array([(0.9, 0.1), (0.4, 0.0)])},
        '[[head]]\nkind = "boxes"\nboxes = "boxes"\nscores = "scores"\nform = "corners"\nactivation = "none"\n' + CLASS,
    ),
    "masks": (
        {
            "masks": np.stack([np.pad(np.full((20, 20), 0.9), ((20, 24), (30, 30))), np.full((64, 80), 0.95)]),
        },
        '[[head]]\nkind = "masks"\noutput = "masks"\nactivation = "none"\n'
        'ratio = { measure = "cardiothoracic-ratio", part = 1, whole = 2 }\n' + CLASS,
    ),
    "landmarks": (
        {"points": np.array([(60.0, 40), (20, 40), (62, 30), (18, 30)]), "sigmas": np.full(4, 0.5)},
        '[[head]]\nkind = "landmarks"\noutput = "points"\nform = "points"\nspread = "sigmas"\nmost_spread = 5.0\n'
        'names = ["left_femoral_head", "right_femoral_head", "left_acetabular_rim", "right_acetabular_rim"]\n'
        '[[head.measurement]]\nmeasure = "norberg-left"\n[[head.measurement]]\nmeasure = "norberg-right"\n',
    ),
}


def package(directory: Path, kind: str) -> ModelPackage:
    outputs, heads = HEADS[kind]
    arrays = {name: value.astype(np.float32) for name, value in outputs.items()}
    return load_package(constant_package(directory / kind, arrays, heads, name=kind))


def settings(folder: Path, models: str = "") -> Settings:
    return parse(
        {
            "node": {"data_dir": str(folder / "data"), "language": "en"},
            "destination": [{"name": "here", "kind": "folder", "path": str(folder / "out"), "documents": KINDS}],
            "models": {"dir": models},
        }
    )


def analysed(folder: Path, packages: list[ModelPackage]) -> AnalysedStudy:
    folder.mkdir(exist_ok=True)
    films = [
        dx_file(folder / f"{n}.dcm", rows=256, columns=320, instance=n, ViewPosition=view, ViewCodeSequence=None)
        for n, view in ((1, "VD"), (2, "RL"))
    ]
    writing = Writing(settings=settings(folder), identity=Identity(), results=folder)
    found = analyse_files(films, Engine(packages, threads=1), writing=writing, assumed_species=Species.DOG)
    (study,) = found.studies
    return study


@pytest.mark.parametrize("kind", HEADS)
def test_every_kind_of_head_becomes_documents(tmp_path: Path, kind: str) -> None:
    study = analysed(tmp_path, [package(tmp_path, kind)])
    assert study.outcome is Outcome.ANALYSED
    without = {"gsps"} if kind == "classification" else set()  # nothing to draw
    assert {document.kind.value for document in study.documents} == set(KINDS) - without
    (report,) = study.reports
    assert len({one.concept for one in report.conclusions}) == len({one.concept for one in report.findings})
    text = next(document for document in study.documents if document.kind is DocumentKind.TEXT_SR)
    said = " ".join(str(element.value) for element in dcmread(text.path).iterall() if element.VR == "UT")
    for concept in {"Cardiomegaly", "Pleural effusion"} if kind != "landmarks" else {"Norberg angle"}:
        assert concept in said
    if kind == "masks":
        assert "Cardiothoracic area ratio" in said


def test_the_preferred_view_gives_the_study_s_answer(tmp_path: Path) -> None:
    outputs, heads = HEADS["landmarks"]
    arrays = {name: value.astype(np.float32) for name, value in outputs.items()}
    hips = constant_package(tmp_path / "hips", arrays, heads, applicability='preferred_views = ["ventrodorsal"]')
    study = analysed(tmp_path, [load_package(hips)])
    (ventrodorsal,) = (item.answer for item in study.images if item.answer.view is View.VENTRODORSAL)
    for one in study.reports[0].conclusions:
        assert (one.sop_instance_uid, one.reason.code) == (ventrodorsal.ref.sop_instance_uid, "preferred_view")


def test_a_shadow_decides_no_document(tmp_path: Path) -> None:
    filed = package(tmp_path, "classification")
    shadow = replace(package(tmp_path, "boxes"), shadow=True)
    alone, shadowed = analysed(tmp_path / "a", [filed]), analysed(tmp_path / "a", [filed, shadow])
    assert [one.ref for one in alone.documents] == [one.ref for one in shadowed.documents]
    assert [one.sha256 for one in alone.documents] == [one.sha256 for one in shadowed.documents]


SHADOWED = """[node]
data_dir = "data"
language = "en"
[study]
quiet_seconds = 0.1
[[destination]]
name = "here"
kind = "folder"
path = "out"
documents = ["sr"]
[models]
dir = "models"
[[model]]
name = "heart"
version = "2.0.0"
shadow = true
[[model]]
name = "radiograph-triage"    # the films show no anatomy
enabled = false
"""


def test_a_shadow_runs_in_the_node_is_never_filed_and_is_compared(tmp_path: Path) -> None:
    """From the settings to `models compare`: the images come as the listener hands them on, the worker answers them."""
    file = tmp_path / "node.toml"
    file.write_text(SHADOWED)
    heart_package(tmp_path / "models" / "1", name="heart")
    refusing = MANIFEST.replace('"vertebral-heart-score"', '"vertebral-heart-score"\noperating_points = { coherence = 2.0 }')
    heart_package(tmp_path / "models" / "2", name="heart", version="2.0.0", manifest=refusing)
    heart_package(tmp_path / "models" / "3", name="same", version="3.0.0")
    pipeline = open_pipeline(load(file))
    engine = Engine(used_packages(pipeline.settings), threads=1)
    films = [dx_file(tmp_path / f"{n}.dcm", rows=512, columns=640, study=n, instance=n) for n in (1, 2)]
    with Running(pipeline, engine):
        studies = [receive(pipeline, film) for film in films]
        wait_until(lambda: all(reports(pipeline, study) for study in studies), seconds=60, what="both studies' reports")
        wait_until(idle(pipeline), seconds=60, what="the end of the analysis")
    for study in studies:
        (row,) = rows(pipeline, study)
        assert row.answer is not None
        assert [one.model.version for one in row.answer.shadow] == ["2.0.0"]
        filed = " ".join(str(dcmread(document.path)) for document in reports(pipeline, study))
        assert "1.0.0" in filed
        assert "2.0.0" not in filed
    pipeline.ledger.close()

    def compared(first: str, second: str, *more: str) -> Result:
        return CliRunner().invoke(app, ["models", "compare", first, second, "-c", str(file), *more])

    other = json.loads(compared("heart@1.0.0", "heart@2.0.0", "--json").stdout)
    (score,) = other["concepts"]
    assert (other["both"], score["agreement"]) == (2, 0.0)
    assert score["outcomes"] == [{"first": "PRESENT", "second": "NOT_ASSESSABLE", "images": 2}]
    same = json.loads(compared("heart@1.0.0", "same", "--json").stdout)
    assert (same["both"], same["concepts"][0]["agreement"]) == (2, 1.0)
    for numbers in same["concepts"][0]["measurements"].values():
        assert numbers == {"pairs": 2, "mean": 0.0, "deviation": 0.0, "largest": 0.0}
    words = compared("heart@1.0.0", "heart@2.0.0").output
    assert "2 images that both analysed" in words
    assert "PRESENT → NOT_ASSESSABLE: 2" in " ".join(words.split())
    assert compared("heart@1.0.0", "other").exit_code != 0


def test_an_inference_server_that_is_away_costs_no_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.worker, "STORAGE_RETRY_SECONDS", 0.02)
    pipeline = open_pipeline(
        parse({"node": {"data_dir": str(tmp_path / "data")}, "study": {"quiet_seconds": 0.1, "max_wait_seconds": 60}})
    )
    engine = Engine([load_package(heart_package(tmp_path / "heart"))], threads=1)
    whole, asked = engine.look, 0

    def away(*arguments: Any, **more: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked <= node.worker.ATTEMPTS + 2:
            raise PeerUnavailable("the inference server of model heart does not answer")
        return whole(*arguments, **more)

    monkeypatch.setattr(engine, "look", away)
    with Running(pipeline, engine):
        study = receive(pipeline, dx_file(tmp_path / "a.dcm", rows=512, columns=640))
        wait_until(
            lambda: rows(pipeline, study)[0].answer is not None, seconds=60, what="the answer, once the server is back"
        )
    answer = rows(pipeline, study)[0].answer
    assert answer is not None
    assert answer.outcome is Outcome.ANALYSED
    pipeline.ledger.close()
