"""`learn collect`, `inspect`, `suggest` as a person meets them: from a folder, the node's ledger, an archive."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commandline import Houndsfield, in_process, one_sentence
from factories import dx_file, uid
from model_factory import constant_package
from nodes import write_settings
from peers import Archive, free_port, qrscp
from pipelines import receive
from pydicom import dcmread

from config.settings import load
from delivery.store import store
from domain.types import FindingOutcome, Peer
from ledger import feedback, images
from ledger.feedback import Answer, Feedback
from metalearner.collection import Collection, Part
from metalearner.splits import leaks
from node.parts import open_pipeline
from phantoms.study import make_study


@pytest.fixture
def houndsfield(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Houndsfield:
    monkeypatch.chdir(tmp_path)
    return in_process(monkeypatch, capsys)


def test_from_a_folder_of_phantoms_to_a_task(houndsfield: Houndsfield, tmp_path: Path) -> None:
    for seed in range(4):
        make_study(seed, directory=tmp_path / "in" / f"study-{seed}", rows=120, columns=150, views=("lateral-right",))
    done = houndsfield("learn", "collect", "out", "--from", "in", "--json")
    assert done.status == 0, done.err
    assert done.json["files"] == {"added": 4}
    assert done.json["labelled"] == 0
    package = constant_package(tmp_path / "fixed", {"findings": FIXED}, CLASSES)
    suggested = houndsfield("learn", "suggest", "out", "--out", "task.zip", "--model", package, "--count", "2", "--json")
    assert suggested.status == 0, suggested.err
    assert [one["probabilities"] for one in suggested.json] == [{"CARDIOMEGALY": 0.75}] * 2
    again = houndsfield("learn", "collect", "out", "--labels", "task.zip", "--json")
    assert again.json["labelled"] == 0  # nobody has answered anything
    labelled = houndsfield("learn", "collect", "out", "--from", "in", "--labels", "in", "--json")
    assert labelled.status == 0, labelled.err
    assert labelled.json["files"] == {"known already": 4}
    assert labelled.json["labelled"] == 4
    assert labelled.json["parts"] == done.json["parts"]
    inspected = houndsfield("learn", "inspect", "out", "--json")
    assert inspected.status == 0, inspected.err
    assert inspected.json == json.loads((tmp_path / "out" / "inspection.json").read_text())
    assert (tmp_path / "out" / "inspection.html").read_text().startswith("<!doctype html>")
    images = [case.image for case in Collection.load(tmp_path / "out").cases]
    (tmp_path / "all.csv").write_text("image,Cardiomegaly\n" + "".join(f"{image},1\n" for image in images))
    assert houndsfield("learn", "collect", "out", "--labels", "all.csv").status == 0
    every = houndsfield("learn", "suggest", "out", "--out", "task.zip", "--model", package)
    assert one_sentence(every)
    assert "every image is labelled" in every.err


FIXED = np.array([0.75], dtype=np.float32)
CLASSES = """
[[head]]
kind = "classification"
output = "findings"
activation = "none"
[[head.class]]
concept = { value = "CARDIOMEGALY", scheme = "99HNDSFLD", meaning = "Cardiomegaly" }
operating_points = { absent_below = 0.2, present_from = 0.6 }
"""


def test_a_patient_on_both_sides_fails(houndsfield: Houndsfield, tmp_path: Path) -> None:
    """The same study came once with the clinic's name for the animal and once with another."""
    dx_file(tmp_path / "one" / "1.dcm", instance=1, PatientID="A")
    dx_file(tmp_path / "two" / "2.dcm", instance=2, PatientID="B")
    assert houndsfield("learn", "collect", "out", "--from", "one").status == 0
    leak = houndsfield("learn", "collect", "out", "--from", "two")
    assert one_sentence(leak)
    assert "belongs to 2 patients" in leak.err
    (patient,) = Collection.load(tmp_path / "out").split
    (tmp_path / "out" / "split.csv").write_text(f"patient,part\n{patient},train\n{patient},test\n")
    inspected = houndsfield("learn", "inspect", "out")
    assert one_sentence(inspected)
    assert f"split.csv, line 3: patient {patient} is in two parts" in inspected.err
    (tmp_path / "out" / "split.csv").write_text("patient,part\n")
    inspected = houndsfield("learn", "inspect", "out")
    assert one_sentence(inspected)
    assert "1 patients are in no part" in inspected.err


def test_from_the_nodes_own_studies_with_the_vets_answers(
    houndsfield: Houndsfield, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load(write_settings(tmp_path, port=free_port()))
    pipeline = open_pipeline(settings)
    for study in (1, 2, 3):
        receive(pipeline, dx_file(tmp_path / "sent" / f"{study}.dcm", study=study, instance=study))
    with pipeline.ledger.transaction() as tx:
        for study, answer in ((1, Answer.AGREE), (2, Answer.DISAGREE)):
            given = Feedback(
                study_instance_uid=uid("study", study),
                sop_instance_uid=uid("instance", study, 1, study),
                finding=f"2.25.{study}",
                concept="CARDIOMEGALY",
                shown=FindingOutcome.PRESENT,
                answer=answer,
                reader="vet-1",
            )
            feedback.record(tx, given)
        images.withdrawn(tx, uid("study", 3))
    pipeline.ledger.close()
    capsys.readouterr()  # the node's log
    done = houndsfield("learn", "collect", "out", "--from", "node", "--config", "houndsfield.toml", "--json")
    assert done.status == 0, done.err
    assert (done.json["images"], done.json["labelled"]) == (2, 2)
    collection = Collection.load(tmp_path / "out")
    assert collection.made_from == ("this node's studies",)
    assert sorted(labels.classes["CARDIOMEGALY"] for labels in collection.labels) == [0.0, 1.0]
    assert {labels.source for labels in collection.labels} == {"veterinarians"}
    assert {case.clinic for case in collection.cases} != {""}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with qrscp(tmp_path / "archive") as running:
        peer = Peer(ae_title=running.ae_title, host="127.0.0.1", port=running.port)
        paths = [
            dx_file(tmp_path / "sent" / f"{study}.dcm", study=study, instance=study, StudyDate=f"2026010{study}")
            for study in (1, 2, 3)
        ]
        assert all(not result.reason for result in store(paths, peer, timeout_seconds=10))
        yield running


def test_from_an_archive_by_address_and_by_name(houndsfield: Houndsfield, tmp_path: Path, archive: Archive) -> None:
    address = f"{archive.ae_title}@127.0.0.1:{archive.port}"
    one = houndsfield("learn", "collect", "out", "--from", address, "--query", "StudyDate=20260102", "--json")
    assert one.status == 0, one.err
    assert one.json["images"] == 1
    write_settings(tmp_path, port=free_port(), destinations=[("clinic-pacs", archive.ae_title, archive.port)])
    every = houndsfield("learn", "collect", "out", "--from", "clinic-pacs", "--split-by", "patient", "--json")
    assert every.status == 0, every.err
    assert every.json["files"] == {"added": 2, "known already": 1}
    collection = Collection.load(tmp_path / "out")
    assert collection.made_from == ("an archive", "destination clinic-pacs")
    assert leaks(collection) == ()
    # What was fetched lies nowhere but de-identified.
    kept = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.suffix == ".dcm"]
    assert len(kept) == 3
    assert all(dcmread(path).PatientName == "" for path in kept)
    assert not list((tmp_path / "out").glob(".fetched-*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "nowhere"), "is none of a folder, a file, node, AE@HOST:PORT"),
        (("--from", "empty"), "no image was found (no files)"),
        (("--from", "PACS@127.0.0.1:1", "--query", "StudyDate=20260101"), "PACS at 127.0.0.1:1"),
        (("--from", "PACS@127.0.0.1:1", "--query", "Day=20260101"), "--query: there is no attribute Day"),
        (("--from", "in", "--labels", "gone.csv"), "gone.csv: there is no such file of labels"),
        (("--from", "PACS@127.0.0.1:99999"), "--from: 'PACS@127.0.0.1:99999' is not AE@HOST:PORT"),
        (("--from", "node"), "there is no such settings file"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    houndsfield: Houndsfield, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    dx_file(tmp_path / "in" / "1.dcm")
    done = houndsfield("learn", "collect", "out", *arguments)
    assert one_sentence(done), done
    assert said in done.err


def test_without_the_extra_one_sentence_says_what_to_install(
    houndsfield: Houndsfield, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dx_file(tmp_path / "in" / "1.dcm")
    for name in [name for name in sys.modules if name.startswith(("metalearner.collecting", "metalearner.deidentify"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dicomanonymizer", None)
    done = houndsfield("learn", "collect", "out", "--from", "in")
    assert one_sentence(done)
    assert "dicomanonymizer is not installed: this part of `learn` needs pip install 'houndsfield[train]'" in done.err


def test_nothing_to_learn_from_is_no_success(houndsfield: Houndsfield, tmp_path: Path) -> None:
    dx_file(tmp_path / "in" / "1.dcm", BurnedInAnnotation="YES")
    done = houndsfield("learn", "collect", "out", "--from", "in")
    assert done.status == 1
    assert "1 images declined: text is burned into the pixels" in done.out


def test_labels_that_fit_nothing_are_said_by_their_lines(houndsfield: Houndsfield, tmp_path: Path) -> None:
    dx_file(tmp_path / "in" / "1.dcm")
    (tmp_path / "labels.csv").write_text("image,Cardiomegaly\n1.dcm,1\nBello Kim.dcm,0\n")
    done = houndsfield("learn", "collect", "out", "--from", "in", "--labels", "labels.csv")
    assert done.status == 0, done.err
    assert "labels.csv: 1 labels name no image of the collection (line 3)" in done.out
    assert "Bello" not in done.out + done.err
    (labels,) = Collection.load(tmp_path / "out").labels
    assert labels.classes == {"CARDIOMEGALY": 1.0}
    assert set(Collection.load(tmp_path / "out").parts().values()) == {Part.TRAIN}
    (tmp_path / "other.csv").write_text("image,Cardiomegaly\n1.dcm,0\n")
    again = houndsfield("learn", "collect", "out", "--from", "in", "--labels", "other.csv")
    assert "1 times sources or readers disagree: see `learn inspect`" in again.out
