"""The main job on real input: DCMTK's storescu sends, Orthanc holds the SR and the overlays a few seconds later."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import RunningNode, node
from peers import Orthanc, orthanc, require_tool, wait_until
from pydicom import dcmread

from phantoms.study import make_study

RAD01 = Path(__file__).parents[3] / "shared" / "data" / "rad01_dog_thorax_lat_fuji_dx_mono1.dcm"


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    require_tool("Orthanc")
    with orthanc(tmp_path_factory.mktemp("pacs") / "orthanc") as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc) -> Iterator[RunningNode]:
    folder = tmp_path_factory.mktemp("node")
    with node(folder, destinations=[("orthanc", "ORTHANC", pacs.dicom_port)]) as started:
        yield started


def storescu(
    port: int, *files: Path, calling_ae: str = "DRROOM1", encoding: str = "-xe"
) -> subprocess.CompletedProcess[str]:
    command = [
        require_tool("storescu"),
        "-v",
        "-R",
        encoding,
        "-aet",
        calling_ae,
        "-aec",
        "HOUNDSFIELD",
        "127.0.0.1",
        str(port),
    ]
    return subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=60, check=False)


def results(pacs: Orthanc, study: str) -> dict[str, list[str]]:
    """Orthanc's instances of the study that the node made, by modality."""
    return {modality: pacs.find(StudyInstanceUID=study, Modality=modality) for modality in ("SR", "OT")}


def dsrdump(pacs: Orthanc, instance: str, folder: Path) -> str:
    path = folder / "sr.dcm"
    path.write_bytes(pacs.file(instance))
    done = subprocess.run(
        [require_tool("dsrdump"), "+U8", "+Pl", str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not RAD01.exists(), reason="the shared test data is absent")
def test_a_real_dogs_thorax_comes_out_as_sr_and_overlay(running: RunningNode, pacs: Orthanc, tmp_path: Path) -> None:
    sent = storescu(running.port, RAD01)
    assert sent.returncode == 0, sent.stderr
    study = str(dcmread(RAD01, stop_before_pixels=True).StudyInstanceUID)
    wait_until(lambda: all(len(found) == 1 for found in results(pacs, study).values()), seconds=30, what="SR and overlay")
    text = dsrdump(pacs, results(pacs, study)["SR"][0], tmp_path)
    assert "Vertebral heart score" in text
    assert "DEMONSTRATION" in text
    assert "not a diagnosis" in text
    overlay = dcmread_from(pacs, results(pacs, study)["OT"][0], tmp_path)
    assert overlay.BurnedInAnnotation == "YES"
    assert overlay.StudyInstanceUID == study
    wait_until(
        lambda: (
            running.status()["destinations"][0]["waiting"] + running.status()["destinations"][0]["stored_unverified"] == 0
        ),
        what="every delivery verified",
    )


def test_a_phantom_study_is_measured_once_however_often_it_is_sent(
    running: RunningNode, pacs: Orthanc, tmp_path: Path
) -> None:
    files = make_study(41, directory=tmp_path / "study", rows=600, columns=750)
    study = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    for _ in range(2):
        sent = storescu(running.port, *files)
        assert sent.returncode == 0, sent.stderr
        wait_until(
            lambda: (len(results(pacs, study)["SR"]), len(results(pacs, study)["OT"])) == (1, len(files)),
            seconds=30,
            what="one SR and an overlay per image",
        )
    wait_until(lambda: running.status()["tasks"] == {}, seconds=20, what="nothing left to do")
    assert (len(results(pacs, study)["SR"]), len(results(pacs, study)["OT"])) == (1, len(files))
    text = dsrdump(pacs, results(pacs, study)["SR"][0], tmp_path)
    assert "Long Axis" in text
    assert "Short Axis" in text
    assert "{vertebrae}" in text


def test_a_late_image_makes_a_new_revision_that_names_its_predecessor(
    running: RunningNode, pacs: Orthanc, tmp_path: Path
) -> None:
    first, late, *_ = make_study(42, directory=tmp_path / "study", rows=600, columns=750)
    study = str(dcmread(first, stop_before_pixels=True).StudyInstanceUID)
    for number, path in enumerate((first, late), start=1):
        assert storescu(running.port, path).returncode == 0
        wait_until(lambda n=number: len(results(pacs, study)["SR"]) == n, seconds=30, what=f"revision {number}")  # type: ignore[misc]
    reports = sorted(
        (dcmread_from(pacs, instance, tmp_path) for instance in results(pacs, study)["SR"]),
        key=lambda ds: int(ds.InstanceNumber),
    )
    assert reports[0].SeriesInstanceUID == reports[1].SeriesInstanceUID
    predecessor = reports[1].PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert predecessor.ReferencedSOPInstanceUID == reports[0].SOPInstanceUID


def test_own_results_that_the_pacs_routes_back_are_not_analysed(running: RunningNode, pacs: Orthanc, tmp_path: Path) -> None:
    files = make_study(43, directory=tmp_path / "study", rows=600, columns=750, views=("lateral-right",))
    study = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    assert storescu(running.port, *files).returncode == 0
    wait_until(lambda: all(len(found) == 1 for found in results(pacs, study).values()), seconds=30, what="SR and overlay")
    routed = []
    for instance in pacs.find(StudyInstanceUID=study):
        routed.append(tmp_path / f"{instance}.dcm")
        routed[-1].write_bytes(pacs.file(instance))
    assert len(routed) == 2
    sent = storescu(running.port, *routed, encoding="-xy")  # the overlay is JPEG Baseline
    assert sent.returncode == 0, sent.stderr
    wait_until(lambda: running.status()["tasks"] == {}, seconds=20, what="nothing left to do")
    assert len(pacs.find(StudyInstanceUID=study)) == 2


def test_echoscu_is_answered(running: RunningNode) -> None:
    command = [require_tool("echoscu"), "-aet", "DRROOM1", "-aec", "HOUNDSFIELD", "127.0.0.1", str(running.port)]
    assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def test_an_unknown_sender_is_refused_and_listed(running: RunningNode, tmp_path: Path) -> None:
    files = make_study(44, directory=tmp_path / "study", rows=200, columns=250, views=("lateral-right",))
    refused = storescu(running.port, *files, calling_ae="STRANGER")
    assert refused.returncode != 0
    assert "Calling AE Title Not Recognized" in refused.stderr + refused.stdout
    listed = running.status()["unknown_senders"]
    assert [(sender["calling_ae"], sender["host"]) for sender in listed] == [("STRANGER", "127.0.0.1")]
    assert listed[0]["reason"] == "STRANGER at 127.0.0.1 called; no [[modality]] has this AE title"


def dcmread_from(pacs: Orthanc, instance: str, folder: Path):  # type: ignore[no-untyped-def]
    path = folder / f"{instance}.dcm"
    path.write_bytes(pacs.file(instance))
    return dcmread(path)
