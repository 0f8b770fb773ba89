"""Images back from real archives: C-FIND and C-GET from Orthanc and pynetdicom's qrscp, DICOMweb from Orthanc's plug-in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import peers
import pytest
from factories import dx_dataset, dx_file, uid
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, SecondaryCaptureImageStorage

from config.settings import Destination
from delivery.retrieve import RADIOGRAPHS, find_series, get
from delivery.retrieve_web import fetch
from delivery.store import store
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import Peer

PLUGINS = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def peer_of(server: peers.Orthanc | peers.Archive | peers.Receiver, ae_title: str) -> Peer:
    port = server.dicom_port if isinstance(server, peers.Orthanc) else server.port
    return Peer(ae_title=ae_title, host="127.0.0.1", port=port)


def sent(folder: Path, peer: Peer) -> list[Path]:
    """A study of two radiographs in two series and a screen capture, and another study of another day."""
    paths = [
        dx_file(folder / "1.dcm", study=7, series=1, instance=1),
        dx_file(folder / "2.dcm", study=7, series=2, instance=2, transfer_syntax=JPEG2000Lossless),
        dx_file(folder / "3.dcm", study=7, series=3, instance=3, Modality="OT", SOPClassUID=SecondaryCaptureImageStorage),
        dx_file(folder / "4.dcm", study=8, series=1, instance=4, StudyDate="20260102"),
    ]
    assert all(not result.reason for result in store(paths, peer, timeout_seconds=10))
    return paths


def uids(paths: tuple[Path, ...]) -> set[str]:
    return {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in paths}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Orthanc]:
    peers.require_tool("Orthanc")
    folder = tmp_path_factory.mktemp("retrieve")
    plugins = [str(PLUGINS)] if PLUGINS.exists() else []
    with peers.orthanc(folder / "server", settings={"DicomAlwaysAllowGet": True, "Plugins": plugins}) as running:
        sent(folder / "sent", peer_of(running, "ORTHANC"))
        yield running


WANTED = {str(uid("instance", 7, 1, 1)), str(uid("instance", 7, 2, 2))}


def test_orthanc_sends_the_radiographs_of_the_studies_that_match(tmp_path: Path, server: peers.Orthanc) -> None:
    series = find_series(
        {"StudyInstanceUID": uid("study", 7)}, peer_of(server, "ORTHANC"), modalities=RADIOGRAPHS, timeout_seconds=10
    )
    assert len(series) == 2
    counted: list[int] = []
    fetched = get(series, peer_of(server, "ORTHANC"), tmp_path / "got", timeout_seconds=10, told=counted.append)
    assert (fetched.missing, uids(fetched.paths), counted) == (0, WANTED, [1, 2])
    # As it lay there, compressed or not.
    kept = {dcmread(path).file_meta.TransferSyntaxUID for path in fetched.paths}
    assert JPEG2000Lossless in kept
    again = dcmread(next(path for path in fetched.paths if dcmread(path).SOPInstanceUID == uid("instance", 7, 1, 1)))
    assert again.PixelData == dx_dataset(study=7, series=1, instance=1).PixelData
    of_a_day = find_series(
        {"StudyDate": "20260101-20260131"}, peer_of(server, "ORTHANC"), modalities=RADIOGRAPHS, timeout_seconds=10
    )
    assert [one.study_instance_uid for one in of_a_day] == [uid("study", 8)]


def test_dicomweb_gives_the_same(tmp_path: Path, server: peers.Orthanc) -> None:
    if not PLUGINS.exists():
        pytest.skip("the DICOMweb plug-in is not installed (Debian package orthanc-dicomweb)")
    to = Destination.model_validate({"name": "clinic", "kind": "dicomweb", "url": f"{server.http}/dicom-web"})
    fetched = fetch(to, {"StudyInstanceUID": uid("study", 7)}, tmp_path / "got", modalities=RADIOGRAPHS)
    assert (fetched.missing, uids(fetched.paths)) == (0, WANTED)
    every = fetch(to, {}, tmp_path / "all", modalities=RADIOGRAPHS)
    assert len(every.paths) == 3


def test_qrscp_sends_them_too(tmp_path: Path) -> None:
    with peers.qrscp(tmp_path / "archive") as archive:
        sent(tmp_path / "sent", peer_of(archive, "PACS"))
        series = find_series(
            {"StudyInstanceUID": uid("study", 7)}, peer_of(archive, "PACS"), modalities=RADIOGRAPHS, timeout_seconds=10
        )
        fetched = get(series, peer_of(archive, "PACS"), tmp_path / "got", timeout_seconds=10)
    assert (fetched.missing, uids(fetched.paths)) == (0, WANTED)


def test_an_archive_that_sends_nothing_back_is_said_to(tmp_path: Path) -> None:
    with peers.storescp(tmp_path / "received") as receiver:
        with pytest.raises(PeerRefused, match="does not answer queries"):
            find_series({}, peer_of(receiver, "ANY"), modalities=RADIOGRAPHS, timeout_seconds=5)
        with pytest.raises(PeerRefused, match="does not send images back"):
            get([], peer_of(receiver, "ANY"), tmp_path / "got", timeout_seconds=5)
    with pytest.raises(PeerUnavailable):
        find_series({}, peer_of(receiver, "ANY"), modalities=RADIOGRAPHS, timeout_seconds=5)


def test_a_query_names_attributes() -> None:
    peer = Peer(ae_title="PACS", host="localhost", port=1)
    with pytest.raises(ValueError, match="there is no attribute Patient;"):
        find_series({"Patient": "x"}, peer, modalities=RADIOGRAPHS, timeout_seconds=1)
